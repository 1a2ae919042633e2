"""Applies every manifest under deploy/ to a real kube-apiserver with a real etcd, and makes the pods that the Deployments ask for.

    .tools/venv/bin/python tests/deploy/kubernetes.py

A schema says which fields exist. The API server also has defaults, admission (Pod Security, accounts) and, in the definitions of
custom resources, rules that no validator outside of it runs. Each set of manifests (a kustomization, the Helm chart, an example)
is applied to a cluster that holds none of the others: an object at a time with `kubectl apply --server-side`, warnings count as
errors; then a pod is made from every template, as a controller would. After that come objects that must be refused: if one
is not, the rest has proved nothing.

No controller and no node runs here: nothing starts. Both servers listen on loopback and end with this program. One line per
object; exit 1 if one fails. Prepared by `make test-kubernetes`.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import validate
from validate import DEPLOY, ROOT, Object, Report, find_tool, title

sys.path.insert(0, str(ROOT / "scripts"))
import demo  # noqa: E402

CRDS = ROOT / ".tools/crds"
OURS = "atlassian-authz"
START_LIMIT = 120  # seconds; 10 on an idle core
# Namespaces that a set only mentions, as the gateway's: as strict as a namespace can be.
STRICT = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
ACCOUNT_KEY = "process.stdout.write(crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'sec1', format: 'pem' }))"


class Cluster:
    """etcd, kube-apiserver, and a kubectl that may do anything there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.etcd = demo.Process("etcd", directory)
        self.api = demo.Process("kube-apiserver", directory)
        self.kubeconfig = directory / "kubeconfig.json"
        # Nothing of the person who runs this: neither their clusters nor what kubectl remembers of them.
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            "HOME": str(directory),
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
        }

    def start(self) -> None:
        programs = {name: find_tool(name) for name in ("etcd", "kube-apiserver", "kubectl", "node")}
        if missing := [name for name, found in programs.items() if not found]:
            raise demo.Surprise(f"not installed: {', '.join(missing)}; run make test-kubernetes")
        (self.directory / "bin").mkdir()
        (self.directory / "bin/kubectl").symlink_to(programs["kubectl"])
        clients, peers, port = demo.free_ports(3)
        self._start_etcd(programs["etcd"], f"http://{demo.LOOPBACK}:{clients}", f"http://{demo.LOOPBACK}:{peers}")
        self._start_api(programs["kube-apiserver"], programs["node"], f"http://{demo.LOOPBACK}:{clients}", port)

    def _start_etcd(self, program: str, clients: str, peers: str) -> None:
        options = {
            "data-dir": self.directory / "etcd",
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
            "log-level": "warn",
        }
        # The machine does not crash with the server.
        self.etcd.start(program, "--unsafe-no-fsync", *(f"--{name}={value}" for name, value in options.items()))
        port = int(clients.rpartition(":")[2])
        self.etcd.wait_until(lambda: demo.answers(port, "/health"), START_LIMIT)

    def _start_api(self, program: str, node: str, etcd: str, port: int) -> None:
        token, certificates, key = secrets.token_urlsafe(32), self.directory / "certificates", self.directory / "accounts.pem"
        key.write_text(subprocess.run([node, "-e", ACCOUNT_KEY], capture_output=True, text=True, check=True).stdout)
        (self.directory / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
        options = {
            "etcd-servers": etcd,
            "bind-address": demo.LOOPBACK,
            "secure-port": port,
            "cert-dir": certificates,
            "endpoint-reconciler-type": "none",
            "service-cluster-ip-range": "10.96.0.0/16",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "token-auth-file": self.directory / "tokens.csv",
            "authorization-mode": "RBAC",
            # It keeps volumes from being deleted until a controller says that nothing uses them.
            "disable-admission-plugins": "StorageObjectInUseProtection",
        }
        self.api.start(program, *(f"--{name}={value}" for name, value in options.items()))
        server = {"server": f"https://{demo.LOOPBACK}:{port}", "certificate-authority": str(certificates / "apiserver.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": server}],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }
        self.kubeconfig.write_text(json.dumps(config))
        self.api.wait_until(lambda: self.kubectl("get", "--raw=/readyz").returncode == 0, START_LIMIT)

    def stop(self) -> None:
        self.api.stop()
        self.etcd.stop()

    def kubectl(self, *arguments: str, documents: Any = None) -> subprocess.CompletedProcess[str]:
        self.api.must_run()
        return self.run(["kubectl", *arguments], None if documents is None else json.dumps(documents))

    def run(self, command: list[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, input=text or "", capture_output=True, text=True, timeout=START_LIMIT, cwd=ROOT, env=self.environment)

    def version(self) -> str:
        return json.loads(self.kubectl("get", "--raw=/version").stdout)["gitVersion"]

    def define(self, folder: Path) -> list[str]:
        """Custom resources, in the words of those who publish them."""
        if problems := problems_of(self.kubectl("apply", "--server-side", "-f", str(folder))):
            return problems
        established = self.kubectl("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=60s")
        return problems_of(established)

    def need_namespace(self, name: str) -> None:
        """Makes a namespace that is not there. One that is there is left alone, its labels too."""
        if self.kubectl("get", "namespace", name).returncode:
            self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": STRICT}})

    def apply(self, rendered: Object, *options: str) -> list[str]:
        return problems_of(self.kubectl("apply", "--server-side", *options, *namespace_option(rendered), "-f", "-", documents=rendered))

    def create(self, rendered: Object) -> list[str]:
        return problems_of(self.kubectl("create", *namespace_option(rendered), "-f", "-", documents=rendered))

    def delete(self, objects: list[Object]) -> list[str]:
        """All but the namespaces: without controllers those would never be gone."""
        problems = []
        for option in ([], ["-n", OURS]):
            items = [o for o in objects if o["kind"] != "Namespace" and namespace_option(o) == option]
            listed = {"apiVersion": "v1", "kind": "List", "items": items}
            done = self.kubectl("delete", "--ignore-not-found", "--timeout=30s", *option, "-f", "-", documents=listed)
            problems += problems_of(done) if items else []
        return problems


def namespace_option(rendered: Object) -> list[str]:
    return [] if rendered["metadata"].get("namespace") else ["-n", OURS]


def problems_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What kubectl complained about. A warning is the server's, of something that will not work or not for long."""
    said = [" ".join(line.split())[:600] for line in done.stderr.splitlines() if line.strip()]
    return said or ([] if done.returncode == 0 else [f"exit {done.returncode}"])


# --- what is applied ------------------------------------------------------------------------------------------------------------


@dataclass
class Set:
    """Objects that are applied together, and where they come from."""

    name: str
    objects: list[Object]


def sets(cluster: Cluster) -> Iterator[Set]:
    """Everything in deploy/ that is meant for a cluster, found by looking for it: a new folder needs no line here."""
    folders = [path.parent for path in sorted(DEPLOY.rglob("kustomization.yaml")) if validate.load_one(path)["kind"] == "Kustomization"]
    for folder in sorted(folders, key=lambda folder: folder != DEPLOY / "kubernetes"):
        yield Set(str(folder.relative_to(ROOT)), validate.render(folder))
    for path in sorted((DEPLOY / "kubernetes").glob("*.example.yaml")):
        yield Set(str(path.relative_to(ROOT)), validate.load(path.read_text()))
    for chart in sorted(path.parent for path in DEPLOY.glob("helm/*/Chart.yaml")):
        for values in (None, *sorted(chart.glob("ci/*.yaml"))):
            yield Set(str((values or chart).relative_to(ROOT)), templated(cluster, chart, values))


def templated(cluster: Cluster, chart: Path, values: Path | None) -> list[Object]:
    """What the chart makes of this cluster: it is told its version, and which custom resources it knows."""
    if not (helm := find_tool("helm")):
        raise demo.Surprise("helm is not installed")
    done = cluster.run([helm, "template", OURS, str(chart), "--validate", "--namespace", OURS, *(["--values", str(values)] if values else [])])
    if done.returncode:
        raise demo.Surprise(f"{chart}: {'; '.join(validate.failure_of(done))}")
    return validate.load(done.stdout)


def pods(objects: list[Object]) -> Iterator[Object]:
    """The first pod that the controller of each workload would make."""
    for workload in objects:
        spec = workload.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if workload["apiVersion"] in ("apps/v1", "batch/v1") and "template" in spec:
            metadata = {**spec["template"].get("metadata", {}), "name": f"{workload['metadata']['name']}-0"}
            if namespace := workload["metadata"].get("namespace"):
                metadata["namespace"] = namespace
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec["template"]["spec"]}


def try_set(cluster: Cluster, report: Report, one: Set) -> None:
    made = {o["metadata"]["name"] for o in one.objects if o["kind"] == "Namespace"}
    for namespace in sorted({o["metadata"].get("namespace", OURS) for o in one.objects} - made):
        cluster.need_namespace(namespace)
    for rendered in one.objects:
        report.add(title(rendered), one.name, cluster.apply(rendered))
    admitted = list(pods(one.objects))
    for pod in admitted:
        report.add(title(pod), f"{one.name}, from its template", cluster.create(pod))
    if problems := cluster.delete([*admitted, *one.objects]):
        report.add("delete", one.name, problems)


def try_operator_command(cluster: Cluster, report: Report) -> None:
    """The README's own words for the Prometheus operator."""
    readme = (DEPLOY / "prometheus/README.md").read_text()
    command = next((line for line in readme.splitlines() if "kind: PrometheusRule" in line), "false")
    cluster.need_namespace("monitoring")
    report.add("PrometheusRule monitoring/atlassian-authz", "deploy/prometheus/README.md", problems_of(cluster.run(["bash", "-c", command])))


# --- what must be refused -------------------------------------------------------------------------------------------------------


@dataclass
class Refusal:
    """A change that spoils an object which is accepted without it, and a word of the reason that must be given."""

    kind: str
    what: str
    path: tuple[str | int, ...]
    value: Any
    reason: str


POD: tuple[str | int, ...] = ("spec", "securityContext")
CONTAINER: tuple[str | int, ...] = ("spec", "containers", 0, "securityContext")
UNKNOWN = "field not declared in schema"
INSECURE = 'violates PodSecurity "restricted:latest": '
REFUSALS = [
    Refusal("Deployment", "an unknown field", ("spec", "template", "spec", "containers", 0, "readinesProbe"), {}, UNKNOWN),
    Refusal("Service", "a port that is none", ("spec", "ports", 0, "port"), 90010, "Invalid value: 90010"),
    Refusal("NetworkPolicy", "a protocol that is none", ("spec", "ingress", 0, "ports", 0, "protocol"), "GRPC", 'Unsupported value: "GRPC"'),
    Refusal("SecurityPolicy", "an unknown field", ("spec", "extAuth", "failOpn"), False, UNKNOWN),
    # Two of the rules in definitions of custom resources that only the API server runs.
    Refusal("SecurityPolicy", "a target that is no Gateway", ("spec", "targetRefs", 0, "kind"), "Service", "can only have a targetRefs[*].kind of Gateway"),
    Refusal("PeerAuthentication", "a port without a selector", ("spec", "selector"), {}, "portLevelMtls requires selector"),
    Refusal("Pod", "one that runs as root", POD + ("runAsUser",), 0, f"{INSECURE}runAsUser=0"),
    Refusal("Pod", "one that may run as root", CONTAINER + ("runAsNonRoot",), False, f"{INSECURE}runAsNonRoot != true"),
    Refusal("Pod", "one that may gain privileges", CONTAINER + ("allowPrivilegeEscalation",), True, f"{INSECURE}allowPrivilegeEscalation != false"),
    Refusal("Pod", "one with a capability", CONTAINER + ("capabilities", "add"), ["NET_ADMIN"], f"{INSECURE}unrestricted capabilities"),
    Refusal("Pod", "one that keeps capabilities", CONTAINER + ("capabilities",), {}, f"{INSECURE}unrestricted capabilities"),
    Refusal("Pod", "one without a system call filter", POD + ("seccompProfile", "type"), "Unconfined", f"{INSECURE}seccompProfile"),
    Refusal("Pod", "one in the node's network", ("spec", "hostNetwork"), True, f"{INSECURE}host namespaces"),
    Refusal("Pod", "an account that does not exist", ("spec", "serviceAccountName"), "nobody", 'serviceaccount "nobody" not found'),
]


def spoilt(rendered: Object, refusal: Refusal) -> Object:
    rendered = copy.deepcopy(rendered)
    *way, last = refusal.path
    inner: Any = rendered
    for key in way:
        inner = inner[key]
    inner[last] = refusal.value
    return rendered


def try_refusals(cluster: Cluster, report: Report, known: list[Set]) -> None:
    """With the plain manifests there again: the pods need their account."""
    plain = known[0].objects
    for rendered in plain:
        cluster.apply(rendered)
    # The first of each kind.
    objects = {o["kind"]: o for one in reversed(known) for o in reversed([*one.objects, *pods(one.objects)])}
    for refusal in REFUSALS:
        problems = cluster.apply(spoilt(objects[refusal.kind], refusal), "--dry-run=server")
        refused = any(refusal.reason in problem for problem in problems)
        came = "; ".join(problems) or "it was accepted"
        report.add(title(objects[refusal.kind]), f"refused: {refusal.what}", [] if refused else [f"expected «{refusal.reason}», came: {came}"])


# --- everything -----------------------------------------------------------------------------------------------------------------


def main() -> int:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    for ending in (signal.SIGTERM, signal.SIGHUP):  # like an ordinary exit, so that the servers are stopped
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    report = Report()
    with ExitStack() as stack:
        cluster = Cluster(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="atlassian-authz-kubernetes-"))))
        stack.callback(cluster.stop)
        try:
            cluster.start()
            print(f"kube-apiserver {cluster.version()}")
            for folder in sorted(path for path in CRDS.iterdir() if path.is_dir()):
                report.add("CustomResourceDefinitions", folder.name, cluster.define(folder))
            known = list(sets(cluster))
            for one in known:
                try_set(cluster, report, one)
            try_operator_command(cluster, report)
            try_refusals(cluster, report, known)
        except (demo.Surprise, RuntimeError, OSError, subprocess.SubprocessError) as error:
            report.servers_failed("kubernetes", error)
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
