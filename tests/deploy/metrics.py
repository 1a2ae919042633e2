"""What the program counts, and whether rules and dashboards ask for anything else.

A query for a metric that does not exist is no error anywhere: the alert just never fires. So every name, every label and every
word that stands for a label's value is held against the sources, and the names in the sources against a running service.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFIX = "atlassian_authz_"
SUFFIXES = {"Counter": ("_total",), "Gauge": ("",), "Histogram": ("_bucket", "_sum", "_count"), "Info": ("_info",)}
# What Prometheus adds to every series, if it is set up as the README says.
SCRAPED = {"job", "namespace", "instance", "pod"}
# Values of these labels are names of the configuration, or numbers.
FREE = {"application", "provider", "issuer", "status", "le", "version"} | SCRAPED
START_LIMIT = 30  # seconds

CONFIG = """\
listen: {{ grpc: 127.0.0.1:0, admin: 127.0.0.1:0 }}
providers:
  - name: sso
    jwt: {{ issuer: "https://sso.invalid" }}
    audiences: [jira-api]
    username: {{ claim: preferred_username }}
api_tokens:
  store: "sqlite://{folder}/tokens.db"
  pepper: {{ file: "{folder}/pepper" }}
applications:
  - name: jira
    product: jira
    hosts: [jira-api.example.com]
"""


@dataclass
class Metrics:
    """The labels of each series by its name, and the words that the program can put into a label."""

    labels: dict[str, set[str]]
    words: set[str]


def declared(root: Path) -> Metrics:
    """From the registrations in src/metrics.rs and its modules, and the label sets beside them."""
    files = [root / "src/metrics.rs", *sorted((root / "src/metrics").rglob("*.rs"))]
    source = "\n".join(_without_visibility(file.read_text()) for file in files)
    sets = {
        name: set(re.findall(r"(\w+): [\w&' ]+,", body)) for name, body in re.findall(r"struct (\w+Labels) \{\n?(.*?)\n?\}", source, re.S)
    }
    kinds: dict[str, tuple[str, set[str]]] = {}
    for field, family, plain in re.findall(r"^    (\w+): (?:Family<(.+?)>|(Counter|Gauge)),$", source, re.M):
        if family:
            labels, kind = re.match(r"(\w+), (\w+)", family).groups()
            kinds[field] = (kind, sets[labels])
        else:
            kinds[field] = (plain, set())
    found = {f"{PREFIX}build_info": {"version"}}
    for name, field in re.findall(r'to\.register\(\s*"(\w+)",\s*"[^"]*",\s*self\.(\w+)\.clone\(\),\s*\)', source):
        kind, labels = kinds[field]
        for suffix in SUFFIXES[kind]:
            found[f"{PREFIX}{name}{suffix}"] = labels | ({"le"} if suffix == "_bucket" else set())
    if len(found) < len(kinds):
        raise ValueError(f"src/metrics has {len(kinds)} metrics, and only {len(found)} registrations were understood")
    words = {word for file in (root / "src").rglob("*.rs") for word in re.findall(r'"([a-z_0-9]+)"', file.read_text())}
    return Metrics(found, words)


def _without_visibility(source: str) -> str:
    return re.sub(r"pub\(super\) ", "", source)


def exposed(binary: Path) -> dict[str, set[str]]:
    """The series on /metrics of a service, with their labels, after one check that it has to refuse.

    It listens on ports that the kernel chooses, and its provider does not exist. What is counted with labels is not on the page
    before the first time, so this is not everything, but of every kind something.
    """
    with tempfile.TemporaryDirectory() as folder:
        pepper, config, log = (Path(folder) / name for name in ("pepper", "config.yaml", "log"))
        pepper.write_text("0123456789abcdef" * 4)
        pepper.chmod(0o600)
        config.write_text(CONFIG.format(folder=folder))
        with log.open("w") as output:
            service = subprocess.Popen([binary, "serve", "--config", config], stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            listening = addresses(service, log)
            with send_check(listening["grpc"]):
                page = _page_with_a_decision(listening["admin"])
        finally:
            service.kill()
            service.wait()
    samples = re.findall(r"^(\w+)(?:\{(.*)\})? ", page, re.M)
    return {name: set(re.findall(r'(\w+)="', labels)) for name, labels in samples}


def addresses(service: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    limit = time.monotonic() + START_LIMIT
    while time.monotonic() < limit and service.poll() is None:
        for line in log.read_text().splitlines():
            if '"listening"' in line and line.endswith("}"):
                return json.loads(line)
        time.sleep(0.05)
    raise RuntimeError(f"the service does not listen: {log.read_text().strip()[-300:]}")


def send_check(address: str, request: bytes = b"") -> socket.socket:
    """Sends a CheckRequest, without a field if nothing else is said: HTTP/2 by hand, which is less than a gRPC library to install."""

    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/envoy.service.auth.v3.Authorization/Check",
        ":authority": address,
        "content-type": "application/grpc",
        "te": "trailers",
    }
    # HPACK: literals that are neither indexed nor compressed.
    block = b"".join(b"\x00" + b"".join(bytes([len(part)]) + part.encode() for part in pair) for pair in headers.items())
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    message = b"\x00" + len(request).to_bytes(4, "big") + request  # not compressed
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, block) + frame(0, 1, 1, message))
    return connection


def _page_with_a_decision(address: str) -> str:
    limit = time.monotonic() + START_LIMIT
    while time.monotonic() < limit:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            page = answer.read().decode()
        if f"\n{PREFIX}decisions_total{{" in page:
            return page
        time.sleep(0.05)
    raise RuntimeError("the service was asked and has counted no decision")


def exposed_problems(found: dict[str, set[str]], known: Metrics) -> list[str]:
    """How a running service differs from what was read from the sources."""
    problems = [
        f"/metrics has {name}{sorted(labels)}, the sources say {sorted(known.labels.get(name, []))}"
        for name, labels in sorted(found.items())
        if known.labels.get(name) != labels
    ]
    unlabelled = {name for name, labels in known.labels.items() if not labels}
    return problems + [f"/metrics lacks {name}" for name in sorted(unlabelled - set(found))]


# --- queries --------------------------------------------------------------------------------------------------------------------


def query_problems(query: str, known: Metrics, recorded: dict[str, set[str]]) -> Iterator[str]:
    """What a PromQL query asks for that no series has. `recorded`: the labels of what recording rules make."""
    strings: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        strings.append(match[1])
        return f'"{len(strings) - 1}"'

    bare = re.sub(r'"([^"]*)"', put_aside, query)
    usable: set[str] = set(SCRAPED)
    found = re.findall(rf"\b({PREFIX}\w+|\w+(?::\w+)+)\s*(?:\{{([^}}]*)\}})?", bare)
    if not found:
        yield f"{query!r} asks for no metric of the program"
    for name, matchers in found:
        labels = known.labels.get(name, recorded.get(name))
        if labels is None:
            yield f"there is no metric {name}"
            continue
        usable |= labels
        for label, number in re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"(\d+)"', matchers):
            if label not in labels | SCRAPED:
                yield f"{name} has no label {label}"
            elif label not in FREE:
                for word in strings[int(number)].split("|"):
                    if word not in known.words and not word.startswith("$"):
                        yield f"no label is ever {label}={word!r}"
    for listed in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", bare):
        for label in filter(None, map(str.strip, listed.split(","))):
            if label not in usable:
                yield f"{query!r} groups by {label}, which nothing in it has"


def labels_after(query: str) -> set[str]:
    """The labels of what a recording rule makes: those that its aggregations keep."""
    kept = [set(map(str.strip, listed.split(","))) for listed in re.findall(r"\bby\s*\(([^)]*)\)", query)]
    return set.intersection(*kept) if kept else set()


def rules_of(document: Any) -> Iterator[dict[str, Any]]:
    for group in document["groups"]:
        yield from group["rules"]


def rules_problems(document: Any, known: Metrics) -> list[str]:
    recorded = {rule["record"]: labels_after(rule["expr"]) for rule in rules_of(document) if "record" in rule}
    problems = []
    for rule in rules_of(document):
        problems += [f"{rule.get('alert') or rule['record']}: {problem}" for problem in query_problems(rule["expr"], known, recorded)]
    return problems


def alerts_problems(document: Any, tests: list[Any], runbook: str) -> list[str]:
    """Every alert says how bad it is and what is wrong, has a page to go to, and a test of when it fires and one of when it does not."""
    fires, silent = set(), set()
    for test in (test for file in tests for test in file["tests"]):
        for case in test.get("alert_rule_test", []):
            (fires if case.get("exp_alerts") else silent).add(case["alertname"])
    problems = []
    for rule in rules_of(document):
        if not (name := rule.get("alert")):
            continue
        if rule.get("labels", {}).get("severity") not in {"critical", "warning"}:
            problems.append(f"{name} has no severity that anybody routes by")
        if not {"summary", "runbook"} <= set(rule.get("annotations", {})):
            problems.append(f"{name} has no summary or no runbook")
        elif rule["annotations"]["runbook"] != f"deploy/prometheus/README.md#{name.lower()}":
            problems.append(f"the runbook of {name} leads elsewhere")
        if not re.search(rf"^### {name}$", runbook, re.M):
            problems.append(f"the runbook has no section {name}")
        problems += [f"no test in which {name} {what}" for what, cases in (("fires", fires), ("does not fire", silent)) if name not in cases]
    return problems


def names_problems(text: str, known: Metrics) -> list[str]:
    """Metrics that a page names and that do not exist."""
    return [f"there is no metric {name}" for name in sorted(set(re.findall(rf"\b{PREFIX}\w+", text)) - set(known.labels))]


# --- dashboards -----------------------------------------------------------------------------------------------------------------

GRID_WIDTH = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def overlaps(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in (("x", "w"), ("y", "h")))


def dashboard_problems(document: Any, known: Metrics) -> list[str]:
    """What Grafana would show wrongly without a word: it imports almost anything."""
    problems = []
    panels = [inner for panel in document["panels"] for inner in (panel, *panel.get("panels", []))]
    ids = [panel["id"] for panel in panels]
    problems += [f"the id {one} is used twice" for one in sorted(set(ids)) if ids.count(one) > 1]
    if document.get("id") is not None:
        problems.append("it has the id of one Grafana's database")

    variables = {variable["name"]: variable for variable in document["templating"]["list"]}
    if (variables.get("datasource", {}).get("type"), variables.get("datasource", {}).get("query")) != ("datasource", "prometheus"):
        problems.append("the data source is no variable")
    queries = []
    for name, variable in variables.items():
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
            queries.append((f"variable {name}", f"count by ({label}) ({metric})", variable["datasource"]))

    for number, panel in enumerate(panels):
        title, grid = panel.get("title") or f"panel {panel['id']}", panel["gridPos"]
        if grid["x"] < 0 or grid["x"] + grid["w"] > GRID_WIDTH:
            problems.append(f"{title} is wider than the grid")
        problems += [f"{title} overlaps {other['title']}" for other in panels[:number] if overlaps(grid, other["gridPos"])]
        targets = panel.get("targets", [])
        if panel["type"] != "row" and not targets:
            problems.append(f"{title} asks nothing")
        if len({target["refId"] for target in targets}) != len(targets):
            problems.append(f"{title} has a refId twice")
        queries += [(title, target["expr"], target["datasource"]) for target in targets]
        if targets and panel.get("datasource") != DATASOURCE:
            problems.append(f"{title} does not use the variable data source")

    for title, query, source in queries:
        if source != DATASOURCE:
            problems.append(f"{title} does not use the variable data source")
        problems += [
            f"{title}: there is no variable ${name}"
            for name in re.findall(r"\$\{?(\w+)", query)
            if name not in variables and not name.startswith("__")
        ]
        problems += [f"{title}: {problem}" for problem in query_problems(query, known, {})]
    return problems


def dashboard_as_rules(document: Any) -> Any:
    """The dashboard's queries as recording rules, which promtool can parse."""
    queries = [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]
    rules = [{"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")} for number, query in enumerate(queries)]
    return {"groups": [{"name": "dashboard", "rules": rules}]}
