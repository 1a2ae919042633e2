#!/usr/bin/env python3
"""The whole thing on one machine: an OpenID provider, Envoy, atlassian-authz and a stand-in for Jira.

    scripts/demo.py [--once | --keep] [--binary FILE]

Sends requests that should and should not get through, and shows what came. On a terminal everything then stays up, with
curl commands to try, until Ctrl-C. Without one it ends: 0, or 1 at the first surprise, with the end of the log that matters.

Envoy runs with deploy/envoy/envoy.yaml itself; only addresses differ. All on loopback, all ports chosen by the kernel.
"""

import argparse
import base64
import ctypes
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
ENVOY = ROOT / ".tools/bin/envoy"
ENVOY_CONFIG = ROOT / "deploy/envoy/envoy.yaml"
OIDC = ROOT / "tests/real/oidc"
JIRA = ROOT / "tests/real/jira/stand_in.py"

LOOPBACK = "127.0.0.1"
START_LIMIT = 30  # seconds, for anything to become ready
STOP_LIMIT = 10
RECOVERY_LIMIT = 60
PATH = "/rest/api/2/myself"

AUTHZ_CONFIG = """\
listen: {{ grpc: 127.0.0.1:{grpc}, admin: 127.0.0.1:{admin} }}
outbound: {{ allow_loopback_http: true }}
providers:
  - name: demo
    jwt: {{ issuer: "{issuer}", leeway: 0s }}
    audiences: [jira-api]
    username: {{ claim: preferred_username }}
api_tokens:
  store: "sqlite://{directory}/tokens.db"
  pepper: {{ file: "{directory}/pepper" }}
applications:
  - name: jira
    product: jira
    hosts: [localhost, 127.0.0.1]
    access:
      rules:
        - name: users-are-read-only
          deny: 'request.resource.startsWith("/rest/api/user") && request.operation == "write"'
"""


class Surprise(Exception):
    """Something is missing or did not do what it should; `process` is whose log may tell why."""

    def __init__(self, message, process=None):
        super().__init__(message)
        self.process = process


class Process:
    """A child that this script starts, and stops by its own process id on every way out."""

    def __init__(self, name, directory):
        self.name = name
        self.log = directory / f"{name}.log"
        self.child = None

    def start(self, *command):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,  # never written to: it ends with this script
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for this script, which stops the others in order
                preexec_fn=end_with_this_process,
            )

    def stop(self):
        if self.child is None:
            return
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.child.stdin.close()
        self.child = None

    def wait_until(self, condition, limit=START_LIMIT):
        """Polls until the condition gives something true, and returns that."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            self.must_run()
            if result := condition():
                return result
            time.sleep(0.02)
        raise Surprise(f"{self.name} is not ready after {limit} s", self)

    def must_run(self):
        if self.child.poll() is not None:
            raise Surprise(f"{self.name} ended with status {self.child.returncode}", self)

    def ready_line(self):
        """What our own servers say once they accept: `ready {…}`. The newest one, after a restart."""
        lines = [line for line in self.log.read_text().splitlines(True) if line.startswith("ready ") and line.endswith("\n")]
        return json.loads(lines[-1].removeprefix("ready ")) if lines else None

    def log_tail(self, lines=15):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def end_with_this_process():
    """Runs in the child: even if this script is killed with SIGKILL, nothing stays behind."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def free_ports(count):
    """All taken before any is released, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def __str__(self):
        """What came, in the words in which the table says what is expected."""
        if self.status != 200:
            challenge = self.headers.get("WWW-Authenticate", "").split(" ")[0]
            return " ".join(filter(None, [str(self.status), challenge, "Retry-After" * ("Retry-After" in self.headers)]))
        at_jira = json.loads(self.body)["headers"]
        user = [value for name, value in at_jira if is_identity(name)]
        leaks = [name for name, _ in at_jira if name.lower() in ("authorization", "cookie")]
        leaks += ["Set-Cookie to the client"] * ("Set-Cookie" in self.headers)
        return " ".join(["200 as", " and ".join(user) or "nobody", *(f"with {leak}" for leak in leaks)])


def is_identity(header):
    """Any spelling that something behind a proxy may take for X-Remote-User."""
    return header.lower().replace("_", "-").replace(".", "-") == "x-remote-user"


def request(port, path, headers=(), method="GET", body=None):
    """Sends the headers exactly as given: twice, in any case."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=20)
    try:
        has_host = any(name.lower() == "host" for name, _ in headers)
        connection.putrequest(method, path, skip_host=has_host, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def answers(port, path, status=200):
    """The answer if it has that status, else None; also while nobody listens."""
    try:
        answer = request(port, path)
        return answer if answer.status == status else None
    except OSError:
        return None


def bearer(token):
    return ("Authorization", f"Bearer {token}")


def basic(user, password):
    return ("Authorization", f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}")


class Demo:
    AUTHZ_CONFIG = AUTHZ_CONFIG
    # What of Envoy's configuration is replaced, besides addresses.
    ENVOY_CHANGES = {"domains: [jira-api.example.com]": f"domains: [{LOOPBACK}]"}

    def __init__(self, directory, binary):
        self.directory = directory
        self.binary = binary
        self.oidc = Process("oidc-provider", directory)
        self.jira = Process("jira-stand-in", directory)
        self.authz = Process("atlassian-authz", directory)
        self.envoy = Process("envoy", directory)
        self.processes = [self.envoy, self.authz, self.jira, self.oidc]  # in the order in which they are stopped
        self.issuer = self.grpc_port = self.admin_port = self.envoy_port = None
        self.config = directory / "config.yaml"

    def start(self):
        self.start_oidc()
        self.jira.start(sys.executable, JIRA, "--exit-with-parent")
        jira_port = self.jira.wait_until(self.jira.ready_line)["port"]
        self.grpc_port, self.admin_port = free_ports(2)
        (self.directory / "pepper").write_text(secrets.token_urlsafe(48))
        self.config.write_text(
            self.AUTHZ_CONFIG.format(grpc=self.grpc_port, admin=self.admin_port, issuer=self.issuer, directory=self.directory)
        )
        self.start_authz()
        self.start_envoy(jira_port)

    def start_authz(self):
        self.authz.start(self.binary, "serve", "--config", self.config)
        self.authz.wait_until(lambda: answers(self.admin_port, "/readyz"))

    def start_oidc(self, *options):
        """The first start takes a port from the kernel; later ones take the same, as the port is part of the issuer."""
        port = urllib.parse.urlsplit(self.issuer).port if self.issuer else 0
        self.oidc.log.unlink(missing_ok=True)
        server = ["node", OIDC / "server.mjs", "--port", port, "--keys", self.directory / "keys", "--exit-with-parent"]
        self.oidc.start(*server, *options)
        self.issuer = self.oidc.wait_until(self.oidc.ready_line)["issuer"]

    def start_envoy(self, jira_port):
        """Port 0 for both of its listeners: it tells the admin one in a file, and that one tells the other."""
        config = ENVOY_CONFIG.read_text()
        for placeholder, value in {
            "address: 0.0.0.0, port_value: 8443": f"address: {LOOPBACK}, port_value: 0",
            "address: 127.0.0.1, port_value: 9901": f"address: {LOOPBACK}, port_value: 0",
            "address: jira.example.internal, port_value: 8080": f"address: {LOOPBACK}, port_value: {jira_port}",
            "address: atlassian-authz, port_value: 9001": f"address: {LOOPBACK}, port_value: {self.grpc_port}",
            **self.ENVOY_CHANGES,
        }.items():
            if (count := config.count(placeholder)) != 1:
                raise Surprise(f"{ENVOY_CONFIG} has «{placeholder}» {count} times instead of once")
            config = config.replace(placeholder, value)
        file = self.directory / "envoy.yaml"
        file.write_text(config)
        admin = self.directory / "envoy-admin"
        self.envoy.start(
            ENVOY, "--config-path", file, "--admin-address-path", admin, "--disable-hot-restart", "--concurrency", 2
        )
        self.envoy.wait_until(lambda: admin.exists() and ":" in admin.read_text())
        admin_port = int(admin.read_text().rpartition(":")[2])
        self.envoy.wait_until(lambda: answers(admin_port, "/ready"))
        listeners = json.loads(request(admin_port, "/listeners?format=json").body)["listener_statuses"]
        self.envoy_port = listeners[0]["local_address"]["socket_address"]["port_value"]

    def token(self, client="cli", **parameters):
        """A token of alice, with one POST."""
        form = {"grant_type": "password", "username": "alice", "password": "alice-password", **parameters}
        headers = [basic(client, f"{client}-secret"), ("Content-Type", "application/x-www-form-urlencoded")]
        body = urllib.parse.urlencode(form).encode()
        headers.append(("Content-Length", str(len(body))))
        answer = request(urllib.parse.urlsplit(self.issuer).port, "/token", headers, "POST", body)
        if answer.status != 200:
            raise Surprise(f"the provider answered {answer.status} to a request for a token", self.oidc)
        return json.loads(answer.body)["access_token"]

    def expired_token(self):
        token = self.token(client="short-lived")
        payload = token.split(".")[1]
        expires = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        time.sleep(max(0, expires - time.time()) + 0.05)
        return token

    def api_token(self, *arguments):
        """What one of the `token` commands prints."""
        command = [self.binary, "token", *arguments, "--json", "--config", self.config]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise Surprise(f"token {arguments[0]}: {result.stderr}", self.authz)
        return json.loads(result.stdout)

    def to_jira(self, *headers, path=PATH, method="GET"):
        try:
            return request(self.envoy_port, path, headers, method)
        except (OSError, http.client.HTTPException) as error:
            raise Surprise(f"no answer from Envoy: {error}", self.envoy)

    def walk(self, table):
        """Every request of the demo, in the order in which the table shows them."""
        good = self.token()

        table.section("Who is this?")
        table.row("no token", "401 Bearer", self.to_jira())
        table.row("a token that is none", "401 Bearer", self.to_jira(bearer("garbage")))
        table.row("an expired token", "401 Bearer", self.to_jira(bearer(self.expired_token())))
        other = self.token(resource="urn:other-api")
        table.row("a token for another application", "401 Bearer", self.to_jira(bearer(other)))
        table.row("alice's token", "200 as alice", self.to_jira(bearer(good)))

        table.section("alice's token, and an attempt to be somebody else")
        spoofs = {
            "X-Remote-User: admin": [("X-Remote-User", "admin")],
            "X-Remote-User: admin, twice": [("X-Remote-User", "admin"), ("X-Remote-User", "root")],
            "x-ReMoTe-UsEr: admin": [("x-ReMoTe-UsEr", "admin")],
            "X.Remote.User: admin": [("X.Remote.User", "admin")],
            "Cookie: JSESSIONID of an administrator": [("Cookie", "JSESSIONID=of-an-administrator")],
        }
        for sent, headers in spoofs.items():
            table.row(sent, "200 as alice", self.to_jira(bearer(good), *headers))
        table.row("X_Remote_User: admin", "400", self.to_jira(bearer(good), ("X_Remote_User", "admin")), self.envoy)
        second = self.to_jira(bearer(good), path=f"{PATH}?os_username=admin&os_password=admin")
        table.row("?os_username=admin&os_password=…", "400 Bearer", second)

        table.section("What alice may do, and what nobody may")
        table.row("GET /status, without a token", "200 as nobody", self.to_jira(path="/status"))
        users = "/rest/api/latest/user"
        table.row(f"GET {users}", "200 as alice", self.to_jira(bearer(good), path=users))
        table.row(f"POST {users}", "403", self.to_jira(bearer(good), path=users, method="POST"))
        evasion = "/rest/api/2/x/%2e%2e;/user"
        table.row(f"POST {evasion}", "400 Bearer", self.to_jira(bearer(good), path=evasion, method="POST"))
        tokens = "/rest/pat/latest/tokens"
        table.row(f"POST {tokens}", "403", self.to_jira(bearer(good), path=tokens, method="POST"))

        table.section("An API token that may only read")
        order = ["--user", "alice", "--name", "demo", "--expires", "1h", "--scope", "read", "--application", "jira"]
        made = self.api_token("create", *order)
        as_bearer, as_basic = bearer(made["token"]), basic("alice", made["token"])
        table.row("the token", "200 as alice", self.to_jira(as_bearer))
        table.row("the token as alice's password", "200 as alice", self.to_jira(as_basic))
        table.row("the token as bob's password", "401 Bearer", self.to_jira(basic("bob", made["token"])))
        table.row("a DELETE with it", "403 Bearer", self.to_jira(as_bearer, method="DELETE"))
        self.api_token("revoke", made["id"], "--reason", "end of the demonstration")
        table.row("the token, revoked a moment ago", "401 Bearer", self.until_revoked(as_bearer))

        table.section("The provider is down")
        self.oidc.stop()
        table.row("alice's token, seen before", "200 as alice", self.to_jira(bearer(good)))
        # The provider rotates its key unseen: it is up only for as long as it takes to get a token under the new one.
        self.start_oidc("--rotate")
        rotated = self.token()
        self.oidc.stop()
        table.row("a token under a key that cannot be fetched", "503 Retry-After", self.to_jira(bearer(rotated)))
        self.start_oidc()
        table.row("the same token, with the provider back", "200 as alice", self.after_recovery(rotated))

    def until_revoked(self, authorization):
        """A revocation is heard of within a second."""
        deadline = time.monotonic() + RECOVERY_LIMIT
        while (answer := self.to_jira(authorization)).status == 200 and time.monotonic() < deadline:
            time.sleep(0.02)
        return answer

    def after_recovery(self, token):
        """The service waits a little before it asks a provider again that has just failed."""
        deadline = time.monotonic() + RECOVERY_LIMIT
        while (answer := self.to_jira(bearer(token))).status == 503 and time.monotonic() < deadline:
            time.sleep(0.2)
        return answer

    def stay(self):
        jira = f"http://{LOOPBACK}:{self.envoy_port}{PATH}"
        print(
            f"""
Everything is up until Ctrl-C. The stand-in for Jira answers with what it received. This token is good for five minutes:

curl -s {jira} -H 'Authorization: Bearer {self.token()}'

This API token is bob's, for an hour and for reading:

curl -s {jira} -u bob:{self.api_token("create", "--user", "bob", "--name", "demo", "--expires", "1h", "--application", "jira")["token"]}
{os.path.relpath(self.binary)} token list --config {self.config}

curl -i {jira}
curl -i {jira} -H 'X-Remote-User: admin'
curl -s http://{LOOPBACK}:{self.admin_port}/metrics
curl -s -u cli:cli-secret {self.issuer}/token -d grant_type=password -d username=bob -d password=bob-password

Logs and configurations: {self.directory}
""",
            flush=True,
        )
        while True:
            for process in self.processes:
                process.must_run()
            time.sleep(0.5)

    def stop(self):
        for process in self.processes:
            process.stop()


class Table:
    WIDTHS = (47, 19, 0)  # sent, expected, came

    def __init__(self, demo):
        self.demo = demo
        self.colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.rows = 0

    def paint(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def line(self, mark, *cells):
        columns = "".join(cell.ljust(width) for cell, width in zip(cells, self.WIDTHS))
        print(f" {mark}  {columns.rstrip()}", flush=True)

    def section(self, title):
        headings = ["expected", "came"] if self.rows == 0 else []
        print()
        self.line(" ", title, *headings)

    def row(self, sent, expected, answer, process=None):
        """`process` is the one whose decision it is; its log is shown when the answer is a surprise."""
        self.rows += 1
        as_expected = str(answer) == expected
        mark = self.paint(32, "✓") if as_expected else self.paint(31, "✗")
        self.line(mark, f"  {sent}", expected, str(answer))
        if not as_expected:
            body = answer.body.decode(errors="replace")
            raise Surprise(f"{sent}: {expected} expected, {answer} came: {body}", process or self.demo.authz)


def must_be_there(binary):
    for what, there, remedy in (
        (os.path.relpath(binary), binary.is_file(), "run cargo build --release"),
        ("Envoy", ENVOY.exists(), "run scripts/setup.py envoy"),
        ("Node.js", shutil.which("node"), "install Node.js 22 or newer"),
        ("oidc-provider", (OIDC / "node_modules").is_dir(), "run scripts/setup.py oidc"),
    ):
        if not there:
            raise Surprise(f"{what} is missing: {remedy}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=TARGET / "release/atlassian-authz")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="end after the table even on a terminal")
    how.add_argument("--keep", action="store_true", help="stay up even without a terminal")
    args = parser.parse_args()
    sys.stdout.reconfigure(errors="replace")
    # Both end like an ordinary exit, so that the children are stopped.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))

    must_be_there(args.binary)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atlassian-authz-demo-")))
        demo = Demo(directory, args.binary.resolve())
        stack.callback(demo.stop)
        try:
            demo.start()
            table = Table(demo)
            demo.walk(table)
            print(
                f"\n{table.rows} of {table.rows} as expected. «as alice»: Jira received exactly one X-Remote-User in any spelling,"
                "\nneither Authorization nor Cookie, and the client no Set-Cookie."
            )
            if args.keep or (sys.stdin.isatty() and sys.stdout.isatty() and not args.once):
                demo.stay()
        except Surprise as surprise:
            if surprise.process:
                print(f"\nThe end of the log of {surprise.process.name}:\n{surprise.process.log_tail()}\n", file=sys.stderr)
            raise


if __name__ == "__main__":
    try:
        main()
    except Surprise as surprise:
        sys.exit(f"demo.py: {surprise}")
    except KeyboardInterrupt:
        print()
