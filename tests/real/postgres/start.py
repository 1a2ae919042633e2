#!/usr/bin/env python3
"""Runs a real PostgreSQL on loopback for the tests, with its data in a directory of the caller's.

    SUPERUSER_PASSWORD=… start.py --dir DIR [--port 0] [--cert FILE --key FILE] [--standby-of DIR]

An empty DIR becomes a new cluster, or the standby of the one that runs in another DIR; a DIR with a cluster in it is started
again. `--port 0` lets the kernel choose; the one line on standard output, `ready {…}`, tells the result once it answers.
Superuser is `postgres`: with the password over TCP, with none over the socket, which lies in DIR. SIGTERM and the end of
standard input stop it at once, as a crash would, and committed data survives that.
"""

import argparse
import ctypes
import json
import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

INSTALLED = Path(__file__).resolve().parents[3] / ".tools/postgres"
UNPRIVILEGED = "nobody"  # runs the server when we are root, which PostgreSQL refuses to be
START_LIMIT = 60  # seconds; 1 on an idle core
STOP_LIMIT = 20

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "password_encryption": "scram-sha-256",
    "wal_level": "replica",
    "wal_keep_size": "256MB",  # a standby that was away for a while finds what it has missed
    "wal_retrieve_retry_interval": "100ms",  # it looks for its primary again
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",  # in DIR, not in a place that outlives a SIGKILL
    "jit": "off",
    # The machine does not crash with the server: what was written is there, flushed or not.
    "fsync": "off",
    "full_page_writes": "off",
}


class Failure(Exception):
    pass


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def other_user():
    """For Popen: the unprivileged user if we are root, else nothing."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def hand_over(path):
    """Gives a file to the user that the server runs as, and to nobody else."""
    path.chmod(0o700 if path.is_dir() else 0o600)
    if os.geteuid() == 0:
        user = pwd.getpwnam(UNPRIVILEGED)
        os.chown(path, user.pw_uid, user.pw_gid)


def need_a_way_to(directory):
    closed = [parent for parent in directory.parents if not parent.stat().st_mode & stat.S_IXOTH]
    if os.geteuid() == 0 and closed:
        raise Failure(f"{UNPRIVILEGED}, who runs PostgreSQL for root, may not enter {closed[0]}: set TMPDIR to another place")


def run(program, *arguments, directory):
    result = subprocess.run(
        [INSTALLED.resolve() / program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=directory,
        **other_user(),
    )
    if result.returncode != 0:
        raise Failure(f"{program} failed:\n{result.stdout}")


def write(file, text):
    file.touch(mode=0o600)
    file.write_text(text)
    hand_over(file)


def make_cluster(directory, certificate, key):
    data = directory / "data"
    password = directory / "password"
    if not os.environ.get("SUPERUSER_PASSWORD"):
        raise Failure("SUPERUSER_PASSWORD is to have the password of the new cluster's superuser")
    write(password, os.environ["SUPERUSER_PASSWORD"])
    run(
        "initdb",
        f"--pgdata={data}",
        "--username=postgres",
        f"--pwfile={password}",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
        directory=directory,
    )
    password.unlink()
    over_tcp = "hostssl" if certificate else "host"
    write(
        data / "pg_hba.conf",
        "local all,replication postgres trust\n"  # the directory of the socket is closed to others
        f"{over_tcp} all,replication all 127.0.0.1/32 scram-sha-256\n",
    )
    if certificate:
        write(data / "server.crt", certificate.read_text())
        write(data / "server.key", key.read_text())


def make_standby(directory, primary):
    """A copy that follows its primary over the primary's socket, so that no proxy and no TLS stands between them."""
    port = (primary / "data/postmaster.pid").read_text().splitlines()[3]
    run(
        "pg_basebackup",
        f"--pgdata={directory / 'data'}",
        f"--host={primary}",
        f"--port={port}",
        "--username=postgres",
        "--checkpoint=fast",
        "--write-recovery-conf",
        "--no-sync",
        directory=directory,
    )


def end_with_this_process():
    """Runs in the child. Whoever kills start.py with SIGKILL, as test harnesses do, must not leave a PostgreSQL behind."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


def launch(directory, port):
    settings = {
        **SETTINGS,
        "port": port,
        "unix_socket_directories": directory,
        "ssl": "on" if (directory / "data/server.crt").exists() else "off",
    }
    with open(directory / "log", "wb") as log:
        return subprocess.Popen(
            [
                INSTALLED.resolve() / "postgres",
                "-D",
                directory / "data",
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=directory,
            start_new_session=True,
            preexec_fn=end_with_this_process,
            **other_user(),
        )


def stop(postgres):
    """SIGQUIT: no shutdown checkpoint, no goodbye to clients. The server waits for its own children, and we for it."""
    if postgres.poll() is None:
        postgres.send_signal(signal.SIGQUIT)
        try:
            postgres.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(postgres.pid, signal.SIGKILL)
            postgres.wait()


def is_ready(postgres, directory):
    """The server writes its state into the file that also says who it is; a file of an earlier one may still be there."""
    try:
        lines = (directory / "data/postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(postgres.pid) and lines[7].strip() == "ready"


def start(directory, wanted_port, keep):
    """Somebody may take a port between our choice and the server's; then another is chosen, or the wanted one awaited."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        port = wanted_port or free_port()
        postgres = launch(directory, port)
        keep(postgres)
        while postgres.poll() is None and time.monotonic() < deadline:
            if is_ready(postgres, directory):
                return postgres, port
            time.sleep(0.01)
        stop(postgres)
        if "Address already in use" not in (directory / "log").read_text(errors="replace"):
            break
        time.sleep(0.1)
    raise Failure(f"PostgreSQL did not start; its log ends:\n{tail(directory / 'log')}")


def tail(file, lines=20):
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:]) if file.exists() else ""


def end_when_told():
    """SIGTERM, Ctrl-C and the end of standard input all end the main thread in the same way."""

    def end(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the stop that follows must not be cut short
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)

    def watch():
        # Not sys.stdin: Python aborts when it ends while a thread is inside of that.
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, required=True, help="a directory that is empty or has a cluster of ours in it")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cert", type=Path, help="with --key: TCP is answered over TLS only")
    parser.add_argument("--key", type=Path)
    parser.add_argument("--standby-of", type=Path, metavar="DIR", help="the directory of a running cluster")
    args = parser.parse_args()

    end_when_told()
    if not INSTALLED.exists():
        raise Failure("PostgreSQL is not installed: run scripts/setup.py postgres")
    directory = args.dir.resolve()
    need_a_way_to(directory)
    hand_over(directory)
    if not (directory / "data").exists():
        if args.standby_of:
            make_standby(directory, args.standby_of.resolve())
        else:
            make_cluster(directory, args.cert, args.key)
    started = []
    try:
        postgres, port = start(directory, args.port, started.append)
        print("ready", json.dumps({"port": port, "pid": postgres.pid}), flush=True)
        postgres.wait()
        raise Failure(f"PostgreSQL ended; its log ends:\n{tail(directory / 'log')}")
    finally:
        for postgres in started:
            stop(postgres)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"start.py: {failure}")
