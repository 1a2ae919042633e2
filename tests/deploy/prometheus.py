"""Lets a real Prometheus scrape the real service, with traffic through the real Envoy, and asks it everything that we ask of one.

    .tools/venv/bin/python tests/deploy/prometheus.py [--binary target/debug/atlassian-authz] [--seconds 8] [--draw FILE]

promtool knows the grammar, and the series that a test writes down. Here the series are those that the service has: the target is
up, all queries of the dashboard, the alerts and the runbook are accepted and find what the traffic left, and every alert is in
the state that the traffic calls for. Alerts that wait (`for`) are pending at best: nobody waits a week here.

Everything listens on loopback, on ports that the kernel chooses, and ends with this program. One line per check; exit 1 if one
fails. Prepared by `scripts/setup.py envoy oidc deploy-schemas prometheus`; SKIP_PROMTOOL=1 leaves it out, and says so.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import os
import re
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import trustme

import metrics
from validate import DEPLOY, ROOT, Report, find_tool, load_one

sys.path.insert(0, str(ROOT / "scripts"))
import demo  # noqa: E402

INTERVAL = 1  # seconds between scrapes, and between evaluations of the rules
LIMIT = 30  # seconds, for what takes a few
# What Grafana makes of the dashboard's variables when nothing is chosen, with four scrapes in a rate as it wants them.
VARIABLES = {"$namespace": ".*", "$application": ".*", "$__rate_interval": f"{4 * INTERVAL}s"}

NOWHERE = "http://127.0.0.1:1"  # nobody listens
AUTHZ_CONFIG = f"""\
listen:
  grpc: 127.0.0.1:{{grpc}}
  admin: 127.0.0.1:{{admin}}
  admin_tls: {{{{ certificate: "{{directory}}/tls.crt", key: "{{directory}}/tls.key" }}}}
outbound: {{{{ allow_loopback_http: true }}}}
shutdown: {{{{ drain_delay: 0s }}}}
providers:
  - name: sso
    jwt: {{{{ issuer: "{{issuer}}" }}}}
    audiences: [jira-api]
    username: {{{{ claim: preferred_username }}}}
  - name: gone
    jwt: {{{{ issuer: "{NOWHERE}" }}}}
    accept_unbound_tokens: true
    username: {{{{ claim: preferred_username }}}}
  - name: asked
    introspection: {{{{ endpoint: "{{issuer}}/token/introspection", client_id: gateway, client_secret: {{{{ file: "{{directory}}/secret" }}}} }}}}
    audiences: [jira-api]
    username: {{{{ claim: preferred_username }}}}
  - name: refuses
    introspection: {{{{ endpoint: "{{issuer}}/token/introspection", client_id: gateway, client_secret: {{{{ file: "{{directory}}/old-secret" }}}} }}}}
    audiences: [jira-api]
    username: {{{{ claim: preferred_username }}}}
  - name: broken
    introspection: {{{{ endpoint: "{NOWHERE}/introspect", client_id: gateway, client_secret: {{{{ file: "{{directory}}/secret" }}}} }}}}
    audiences: [jira-api]
    username: {{{{ claim: preferred_username }}}}
api_tokens:
  store: "sqlite://{{directory}}/tokens.db"
  pepper: {{{{ file: "{{directory}}/pepper" }}}}
applications:
  - name: jira
    product: jira
    hosts: [jira.test]
    providers: [sso, gone]
    access: {{{{ rules: [{{{{ name: read-only, deny: 'request.operation == "write"' }}}}] }}}}
  - {{{{ name: wiki, product: confluence, hosts: [wiki.test], providers: [sso], enforcement: report_only }}}}
  - {{{{ name: git, product: bitbucket, hosts: [git.test], providers: [asked] }}}}
  - {{{{ name: git-old, product: bitbucket, hosts: [git-old.test], providers: [refuses] }}}}
  - {{{{ name: git-new, product: bitbucket, hosts: [git-new.test], providers: [broken] }}}}
"""

# The alerts that are not at rest, with the applications, providers or ports that they name: before anybody has asked anything ...
BEFORE = {
    "AtlassianAuthzNoDecisions": ("pending", set()),
    "AtlassianAuthzTlsCertificateExpiresSoon": ("pending", {"admin"}),
    "AtlassianAuthzProviderKeysGone": ("pending", {"gone"}),
    "AtlassianAuthzProviderUnbound": ("pending", {"gone"}),
    "AtlassianAuthzNotEnforced": ("pending", {"wiki"}),
    "AtlassianAuthzPepperMissing": ("pending", set()),
}
# ... and after the traffic, with a configuration that is refused.
AFTER = {
    "AtlassianAuthzUndecided": ("pending", {"jira", "git-old", "git-new"}),
    "AtlassianAuthzUnreadableChecks": ("firing", set()),
    "AtlassianAuthzConfigReloadFailed": ("pending", set()),
    "AtlassianAuthzConfigNeedsRestart": ("pending", set()),
    "AtlassianAuthzTlsCertificateExpiresSoon": ("pending", {"admin"}),
    "AtlassianAuthzTlsHandshakesFail": ("pending", {"admin"}),
    "AtlassianAuthzProviderKeysGone": ("pending", {"gone"}),
    "AtlassianAuthzProviderCircuitOpen": ("pending", {"refuses", "broken"}),
    "AtlassianAuthzProviderRefusesUs": ("firing", {"refuses"}),
    "AtlassianAuthzProviderUnbound": ("pending", {"gone"}),
    "AtlassianAuthzNotEnforced": ("pending", {"wiki"}),
    "AtlassianAuthzPepperMissing": ("pending", set()),
}
# What the panels that show one number must show then.
NUMBERS = {"Replicas": 1, "Open circuits": 2, "Not enforced": 1, "Unbound providers": 1}


# Documented queries for troubles that nothing here makes.
QUIET = re.compile("token_store|unknown_key")


class Service(demo.Demo):
    """The demonstration's servers, with more applications, and providers that fail each in its own way."""

    AUTHZ_CONFIG = AUTHZ_CONFIG
    ENVOY_CHANGES = {
        "domains: [jira-api.example.com]": 'domains: ["*"]',
        # Then the host decides which application it is.
        "check_settings: { context_extensions: { application: jira } }": "check_settings: {}",
    }

    def start_authz(self) -> None:
        for name, secret in {"secret": "gateway-secret", "old-secret": "of-last-year", "lost-pepper": "0123456789abcdef" * 4}.items():
            (self.directory / name).write_text(secret)
        authority = trustme.CA()
        certificate = authority.issue_cert(demo.LOOPBACK, not_after=datetime.now(timezone.utc) + timedelta(days=7))
        certificate.cert_chain_pems[0].write_to_path(self.directory / "tls.crt")
        certificate.private_key_pem.write_to_path(self.directory / "tls.key")
        authority.cert_pem.write_to_path(self.directory / "ca.crt")
        # How many tokens there are is counted at the start and then once a minute.
        config = self.config.read_text()
        self.config.write_text(config.replace("/pepper", "/lost-pepper"))
        self.lost = self.new_api_token("kept-with-a-lost-pepper")
        self.config.write_text(config)
        self.own = self.new_api_token("own")
        self.authz.start(self.binary, "serve", "--config", self.config)
        self.authz.wait_until(self.is_ready)

    def is_ready(self) -> bool:
        context = ssl.create_default_context(cafile=self.directory / "ca.crt")
        try:
            with urllib.request.urlopen(f"https://{demo.LOOPBACK}:{self.admin_port}/readyz", timeout=10, context=context):
                return True
        except urllib.error.URLError:
            return False

    def change_config(self, old: str, new: str) -> None:
        """In one step, as a ConfigMap changes."""
        path = self.directory / "config.yaml.new"
        path.write_text(self.config.read_text().replace(old, new))
        path.replace(self.config)

    def shake_hands_badly(self) -> None:
        with socket.create_connection((demo.LOOPBACK, self.admin_port), timeout=10) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")

    def new_api_token(self, name: str) -> str:
        arguments = ("--user", "alice", "--name", name, "--expires", "1h", "--scope", "read", "--application", "jira")
        return self.api_token("create", *arguments)["token"]

    def ask(self, expected: int, application: str, *headers: tuple[str, str], path: str = demo.PATH, method: str = "GET") -> None:
        answer = self.to_jira(("Host", f"{application}.test"), *headers, path=path, method=method)
        if answer.status != expected:
            raise demo.Surprise(f"{method} {application}{path}: {expected} expected, {answer.status} came: {answer.body!r}", self.authz)

    def traffic(self, seconds: float) -> None:
        """Requests of every kind, again and again: a rate needs counters that grow between scrapes."""
        alice, opaque = demo.bearer(self.token()), demo.bearer(self.token(resource="urn:jira-api:opaque"))
        stranger = demo.bearer(unsigned({"iss": NOWHERE, "sub": "x", "aud": "jira-api", "exp": int(time.time()) + 3600}))
        own, lost = demo.bearer(self.own), demo.bearer(self.lost)
        deadline, round_ = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            round_ += 1
            for _ in range(4):
                self.ask(200, "jira", alice)
            self.ask(200, "jira", demo.bearer(self.token()))
            self.ask(200, "jira", own)
            self.ask(200, "jira", path="/status")
            self.ask(401, "jira")
            self.ask(401, "jira", demo.bearer("garbage"))
            self.ask(403, "jira", alice, method="POST")
            self.ask(400, "jira", alice, path="/rest/api/2/x/%2e%2e;/user")
            self.ask(503, "jira", stranger)
            self.ask(503, "jira", lost)
            self.ask(200, "wiki", alice)
            self.ask(200, "wiki")
            self.ask(200, "git", opaque)
            self.ask(401, "git", demo.bearer(f"unknown-{round_}"))
            self.ask(503, "git-old", demo.bearer(f"unknown-{round_}"))
            self.ask(503, "git-new", demo.bearer(f"unknown-{round_}"))
            self.shake_hands_badly()
            time.sleep(0.1)


def unsigned(claims: dict[str, Any]) -> str:
    """A JWT that no key has signed."""
    parts = (json.dumps(part).encode() for part in ({"alg": "RS256", "kid": "x", "typ": "at+jwt"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, bytes(256)))


# --- Prometheus -----------------------------------------------------------------------------------------------------------------


class Prometheus:
    def __init__(self, directory: Path, program: str) -> None:
        self.directory = directory / "prometheus"
        self.directory.mkdir()
        self.program = program
        self.process = demo.Process("prometheus", directory)
        self.port = 0

    def start(self, admin_port: int, grpc_port: int) -> None:
        """With our own rules and scrape configuration. In place of Kubernetes, which would find the pods, stands what it would find."""
        config = load_one(DEPLOY / "prometheus/prometheus.yaml")
        for name in config["rule_files"]:
            shutil.copy(DEPLOY / "prometheus" / name, self.directory)
        (job,) = config["scrape_configs"]
        del job["kubernetes_sd_configs"]
        found = {"namespace": "atlassian-authz", "pod_name": "replica-0", "pod_label_app_kubernetes_io_name": "atlassian-authz"}
        job |= {"scheme": "https", "tls_config": {"ca_file": str(self.directory.parent / "ca.crt")}}
        job["static_configs"] = [
            {
                "targets": [f"{demo.LOOPBACK}:{port}"],
                "labels": {f"__meta_kubernetes_{name}": value for name, value in {**found, "pod_container_port_name": port_name}.items()},
            }
            for port_name, port in (("admin", admin_port), ("grpc", grpc_port))
        ]
        config["global"] = {"scrape_interval": f"{INTERVAL}s", "scrape_timeout": f"{INTERVAL}s", "evaluation_interval": f"{INTERVAL}s"}
        (self.directory / "prometheus.yaml").write_text(json.dumps(config))
        (self.port,) = demo.free_ports(1)
        options = {
            "config.file": self.directory / "prometheus.yaml",
            "storage.tsdb.path": self.directory / "data",
            "web.listen-address": f"{demo.LOOPBACK}:{self.port}",
            "log.level": "warn",
        }
        self.process.start(self.program, *(f"--{name}={value}" for name, value in options.items()))
        self.process.wait_until(lambda: demo.answers(self.port, "/-/ready"))

    def ask(self, path: str, **parameters: Any) -> Any:
        """The data of an answer. Raises what Prometheus has against the question."""
        self.process.must_run()
        answer = json.loads(demo.request(self.port, f"/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}").body)
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        if answer.get("warnings"):
            raise ValueError("; ".join(answer["warnings"]))
        return answer["data"]

    def until(self, question: Callable[[], Any], expected: Any) -> list[str]:
        """A problem, if the answer does not become the expected one."""
        deadline = time.monotonic() + LIMIT
        while (came := question()) != expected and time.monotonic() < deadline:
            time.sleep(0.2)
        return [] if came == expected else [f"expected {expected}, came {came}"]

    def health(self) -> list[str]:
        return [target["health"] for target in self.ask("targets", state="active")["activeTargets"]]

    def rules(self) -> Iterator[dict[str, Any]]:
        for group in self.ask("rules")["groups"]:
            yield from group["rules"]

    def alerts(self) -> dict[str, tuple[str, set[str]]]:
        """Those that are not at rest."""
        found = {}
        for rule in self.rules():
            if rule.get("alerts"):
                labels = [alert["labels"] for alert in rule["alerts"]]
                named = {one.get("application") or one.get("provider") or one.get("port") for one in labels}
                found[rule["name"]] = (rule["state"], named - {None})
        return found


# --- what is checked ------------------------------------------------------------------------------------------------------------


def target_problems(prometheus: Prometheus) -> list[str]:
    """The pod's admin port is scraped without an error, its other port is left alone, and the labels are those that the rules need."""
    targets = prometheus.ask("targets")
    problems = [f"{target['scrapeUrl']}: {target['health']} {target['lastError']}" for target in targets["activeTargets"] if target["health"] != "up"]
    labels = [set(target["labels"]) for target in targets["activeTargets"]]
    if labels != [{"job", "instance", "namespace", "pod"}]:
        problems.append(f"the labels of the targets are {labels}")
    if len(targets["droppedTargets"]) != 1:
        problems.append(f"{len(targets['droppedTargets'])} targets were dropped, expected the gRPC port")
    return problems


def type_problems(prometheus: Prometheus) -> list[str]:
    """Prometheus has read the page as OpenMetrics: only then is a counter known by its name without `_total`, and an info an info."""
    kinds = {name: one["type"] for name, (one, *_) in prometheus.ask("metadata").items() if name.startswith(metrics.PREFIX)}
    expected = {f"{metrics.PREFIX}build": "info", f"{metrics.PREFIX}decisions": "counter", f"{metrics.PREFIX}check_duration_seconds": "histogram"}
    problems = [f"{name} is {kinds.get(name)}" for name, kind in expected.items() if kinds.get(name) != kind]
    return problems + [f"{name} is {kind}" for name, kind in kinds.items() if kind == "unknown"]


def rule_problems(rule: dict[str, Any]) -> list[str]:
    """It could be evaluated, and what it says has no gaps: a label that is not there is an empty text, not an error."""
    problems = [f"{rule['health']} {rule.get('lastError', '')}".strip()] if rule["health"] != "ok" else []
    for alert in rule.get("alerts", []):
        problems += [f"it says «{text}»" for text in alert["annotations"].values() if "<" in text]
        labels = {label for text in rule["annotations"].values() for label in re.findall(r"{{ \$labels\.(\w+) }}", text)}
        problems += [f"it speaks of {label}, which it does not have" for label in sorted(labels - set(alert["labels"]))]
    return problems


@dataclass
class Question:
    """A query of the dashboard, and Prometheus's answer to it."""

    panel: dict[str, Any]
    target: dict[str, Any]
    series: list[dict[str, Any]]
    problems: list[str]

    def values(self) -> list[float]:
        found = [float(value) for one in self.series for _, value in one.get("values") or [one["value"]]]
        return [value for value in found if not math.isnan(value)]


def dashboard() -> Any:
    return json.loads((DEPLOY / "grafana/dashboard.json").read_text())


def asked(prometheus: Prometheus, start: float, end: float) -> Iterator[Question]:
    """Everything that the dashboard asks, as Grafana would ask it for the time of the traffic."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            query = with_values(target["expr"])
            question = Question(panel, target, [], [])
            try:
                if target.get("instant"):
                    question.series = prometheus.ask("query", query=query, time=end)["result"]
                else:
                    question.series = prometheus.ask("query_range", query=query, start=start, end=end, step=INTERVAL)["result"]
            except ValueError as error:
                question.problems.append(str(error))
            yield question


def with_values(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


def panel_problems(question: Question) -> list[str]:
    if question.problems:
        return question.problems
    if not (values := question.values()):
        return ["no data"]
    problems = []
    expected = NUMBERS.get(question.panel["title"])
    if question.panel["type"] == "stat" and expected is not None and values != [expected]:
        problems.append(f"it shows {values}, expected {expected}")
    labels = set(re.findall(r"{{(\w+)}}", question.target.get("legendFormat") or ""))
    shown = {label for one in question.series for label, value in one["metric"].items() if value}
    return problems + [f"the legend has {label}, no series does" for label in sorted(labels - shown)]


def variable_problems(prometheus: Prometheus, query: str) -> list[str]:
    metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()
    found = prometheus.ask(f"label/{label}/values", **{"match[]": with_values(metric)})
    return [] if found else ["there is nothing to choose"]


def documented(path: Path) -> list[str]:
    """The queries that a page tells people to ask: lines of blocks, and those in the text."""
    text = path.read_text()
    blocks = re.findall(r"^```promql\n(.+?)^```", text, re.M | re.S)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`(sum(?: by [^`]+|\()[^`]+)`", text)


def documented_problems(prometheus: Prometheus, query: str, end: float) -> list[str]:
    try:
        found = prometheus.ask("query", query=query, time=end)["result"]
        return [] if found or QUIET.search(query) else ["no data"]
    except ValueError as error:
        return [str(error)]


# --- everything -----------------------------------------------------------------------------------------------------------------


def walk(service: Service, prometheus: Prometheus, report: Report, seconds: float) -> list[Question]:
    """From a service that nobody has asked to one that is gone."""
    service.start()
    prometheus.start(service.admin_port, service.grpc_port)
    start = time.time()
    report.add("scraped", "deploy/prometheus/prometheus.yaml", prometheus.until(prometheus.health, ["up"]) or target_problems(prometheus))
    report.add("alerts", "before the traffic", prometheus.until(prometheus.alerts, BEFORE))

    with metrics.send_check(f"{demo.LOOPBACK}:{service.grpc_port}", b"\xff"):  # no CheckRequest
        service.change_config("drain_delay: 0s", "drain_delay: 1s")
        service.traffic(seconds / 2)
        service.change_config("drain_delay: 1s", "drain_delay: 1s, max_connection_age: 5m")  # holds after a restart
        service.traffic(seconds / 2)
    end = time.time()
    service.change_config("drain_delay: 1s", "drain_delay: soon")
    report.add("alerts", "after the traffic", prometheus.until(prometheus.alerts, AFTER))
    report.add("scraped", "as OpenMetrics", target_problems(prometheus) + type_problems(prometheus))

    for rule in prometheus.rules():
        report.add("rule", rule["name"], rule_problems(rule))
        if rule["type"] == "recording":
            report.add("data", rule["name"], documented_problems(prometheus, rule["name"], end))
    questions = list(asked(prometheus, start, end))
    for question in questions:
        report.add("dashboard", f"{question.panel['title']}, {question.panel['type']} {question.target['refId']}", panel_problems(question))
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            report.add("dashboard", f"${variable['name']}", variable_problems(prometheus, variable["query"]["query"]))
    for path in [DEPLOY / "prometheus/README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for query in documented(path):
            report.add("documented", f"{path.relative_to(ROOT)}: {query}", documented_problems(prometheus, query, end))

    service.authz.stop()
    report.add("scraped", "not when it is gone", prometheus.until(prometheus.health, ["down"]))
    absent = prometheus.until(lambda: prometheus.alerts().get("AtlassianAuthzAbsent"), ("pending", set()))
    report.add("alerts", "when it is gone", absent)
    return questions


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--binary", type=Path, default=ROOT / "target/debug/atlassian-authz")
    arguments.add_argument("--seconds", type=float, default=8, help="how long the traffic lasts")
    arguments.add_argument("--draw", type=Path, metavar="FILE", help="draw the dashboard, with what it showed of the traffic, as a PNG")
    options = arguments.parse_args()
    for ending in (signal.SIGTERM, signal.SIGHUP):  # like an ordinary exit, so that the servers are stopped
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    report = Report()
    if os.environ.get("SKIP_PROMTOOL") == "1":
        report.skip("prometheus", "scraping the service", "SKIP_PROMTOOL=1")
        return 0
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atlassian-authz-prometheus-")))
        try:
            demo.must_be_there(options.binary)
            if not (program := find_tool("prometheus")):
                raise demo.Surprise("Prometheus is missing: run scripts/setup.py prometheus, or set SKIP_PROMTOOL=1")
            service = Service(directory, options.binary.resolve())
            stack.callback(service.stop)
            prometheus = Prometheus(directory, program)
            stack.callback(prometheus.process.stop)
            questions = walk(service, prometheus, report, options.seconds)
            if options.draw:
                from draw import draw  # needs matplotlib, which the rest does not

                options.draw.parent.mkdir(parents=True, exist_ok=True)
                draw(questions, dashboard(), options.draw)
                print(f"drawn: {options.draw}")
        except (demo.Surprise, ValueError, OSError) as error:
            report.servers_failed("prometheus", error)
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
