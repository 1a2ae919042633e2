#!/usr/bin/env python3
"""Starts a real Keycloak on loopback with the realm of realm.json, for the tests.

    start.py [--port 0] [--dir DIR] [--realm FILE] [--exit-with-parent]

`--port 0` lets the kernel choose; the one line on standard output, `ready {…}`, tells the result once it answers. Everything
it writes is in DIR (default: a temporary directory that is removed), its database in memory; .tools/keycloak is only read.
SIGTERM stops it. README.md shows the calls that rotate keys and disable the realm.
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSTALLED = HERE.parents[2] / ".tools/keycloak"
ADMIN = {"username": "admin", "password": "admin"}
START_LIMIT = 180  # seconds; 12 to 15 on two idle cores
STOP_LIMIT = 20

# The optimising compiler and the parallel collector cost more CPU than they give back in a short life: 15 s for a start
# instead of 26 s.
JAVA_OPTIONS = "-Xms64m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Dfile.encoding=UTF-8"


class Failure(Exception):
    pass


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def make_home(home, realm):
    """A Keycloak home of its own: kc.sh takes the directory above itself for its home, and writes there only into data/."""
    if not (INSTALLED / "installed").exists():
        raise Failure("Keycloak is not installed: run scripts/setup.py keycloak")
    (home / "bin").mkdir(parents=True)
    shutil.copy(INSTALLED / "bin/kc.sh", home / "bin/kc.sh")
    for part in ("conf", "lib", "providers", "themes"):
        (home / part).symlink_to(INSTALLED / part)
    (home / "tmp").mkdir()
    (home / "data/import").mkdir(parents=True)
    shutil.copy(realm, home / "data/import/realm.json")


def end_with_this_process():
    """Runs in the child. Whoever kills start.py with SIGKILL, as test harnesses do, must not leave a Keycloak behind."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def launch(home, port):
    """One process group, so that a Keycloak that does not stop can be killed together with the shell around it."""
    log = open(home / "keycloak.log", "wb")
    return subprocess.Popen(
        [
            home / "bin/kc.sh",
            f"-Djava.io.tmpdir={home / 'tmp'}",
            "start",
            "--optimized",
            "--import-realm",
            "--cache=local",  # otherwise it opens a cluster port on every address of the machine
            "--http-enabled=true",
            "--http-host=127.0.0.1",
            f"--http-port={port}",
            f"--hostname=http://127.0.0.1:{port}",
        ],
        env={
            **os.environ,
            "JAVA_OPTS": JAVA_OPTIONS,
            "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN["username"],
            "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN["password"],
        },
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=end_with_this_process,
    )


def stop(keycloak):
    if keycloak.poll() is None:
        keycloak.terminate()  # kc.sh passes it on and waits
        try:
            keycloak.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(keycloak.pid, signal.SIGKILL)
            keycloak.wait()


def await_answer(keycloak, url):
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if keycloak.poll() is not None:
            raise Failure("Keycloak ended while it started")
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise Failure(f"Keycloak did not answer within {START_LIMIT} s")


def tail(file, lines=20):
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:]) if file.exists() else ""


def end_when_told(with_parent):
    """SIGTERM, Ctrl-C and the end of standard input all end the main thread in the same way."""

    def end(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the stop that follows must not be cut short
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    if with_parent:

        def watch():
            sys.stdin.buffer.read()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=watch, daemon=True).start()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dir", type=Path, help="an empty or absent directory for everything Keycloak writes")
    parser.add_argument("--realm", type=Path, default=HERE / "realm.json")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    args = parser.parse_args()

    end_when_told(args.exit_with_parent)
    with ExitStack() as stack:
        home = args.dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keycloak-")))
        home = home.resolve()
        make_home(home, args.realm)
        port = args.port or free_port()
        base = f"http://127.0.0.1:{port}"
        realm = json.loads(args.realm.read_text())["realm"]
        keycloak = launch(home, port)
        stack.callback(stop, keycloak)
        try:
            await_answer(keycloak, f"{base}/realms/{realm}")
        except Failure as failure:
            raise Failure(f"{failure}; its log ends:\n{tail(home / 'keycloak.log')}")
        ready = {
            "issuer": f"{base}/realms/{realm}",
            "token_endpoint": f"{base}/realms/{realm}/protocol/openid-connect/token",
            "admin": f"{base}/admin/realms/{realm}",
            "admin_token_endpoint": f"{base}/realms/master/protocol/openid-connect/token",
            "admin_username": ADMIN["username"],
            "admin_password": ADMIN["password"],
        }
        print("ready", json.dumps(ready), flush=True)
        if keycloak.wait() != 0:
            raise Failure(f"Keycloak ended; its log ends:\n{tail(home / 'keycloak.log')}")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"start.py: {failure}")
