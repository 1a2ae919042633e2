"""Validates everything under deploy/ that can be validated without a cluster or a container engine, and docs/openapi.json.

    .tools/venv/bin/python tests/deploy/validate.py [--binary target/debug/atlassian-authz]

Renders the kustomizations and the Helm chart with several values, checks every object against the published schemas with
unknown fields refused, checks what our
manifests promise (`invariants.py`, `image.py`), loads the Envoy configurations in Envoy, tests the alerts with promtool and holds
what they ask for against what the program counts (`metrics.py`). One line per check; exit 1 if one fails. Prepared by
`scripts/setup.py deploy-schemas helm promtool`; SKIP_PROMTOOL=1 leaves promtool out, and says so. `test_validate.py` proves that the checks can fail.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import openapi_spec_validator
import trustme
import yaml

import compose
import envoy_rules
import image
import invariants
import metrics

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DEPLOY = ROOT / "deploy"
# The oldest release we say we run on, one between, and the newest the schemas know.
KUBERNETES = ("1.31", "1.34", "1.37")

Object = dict[str, Any]


class StrictLoader(yaml.SafeLoader):
    """PyYAML lets the last of two equal keys win, silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"line {node.start_mark.line + 1}: duplicate key {key}")
        return super().construct_mapping(node, deep)


def load(text: str) -> list[Any]:
    return [document for document in yaml.load_all(text, StrictLoader) if document is not None]


def load_one(path: Path) -> Any:
    (document,) = load(path.read_text())
    return document


class Report:
    def __init__(self) -> None:
        self.passed = self.failed = 0

    def add(self, name: str, what: str, problems: list[str]) -> None:
        if problems:
            self.failed += 1
            for problem in problems:
                print(f"FAIL  {name}: {what}: {problem}")
        else:
            self.passed += 1
            print(f"ok    {name}: {what}")

    def servers_failed(self, name: str, error: Exception) -> None:
        """What a server says last is most often why."""
        self.add(name, "the servers", [str(error)])
        if process := getattr(error, "process", None):
            print(f"\nThe end of the log of {process.name}:\n{process.log_tail()}\n", file=sys.stderr)

    def skip(self, name: str, what: str, why: str) -> None:
        print(f"skip  {name}: {what}: {why}")


# --- tools ----------------------------------------------------------------------------------------------------------------------


def find_tool(name: str) -> str | None:
    """The tool that the variable names, else the one that setup installed, else the one on PATH."""
    candidates = (os.environ.get(name.upper()), ROOT / ".tools/bin" / name, Path(sys.executable).parent / name, name)
    return next((found for c in candidates if c and (found := shutil.which(c))), None)


def output_of(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def failure_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    if done.returncode == 0:
        return []
    lines = (done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}").splitlines()
    return lines[-5:]


def render(folder: Path) -> list[Object]:
    if kustomize := find_tool("kustomize"):
        command = [kustomize, "build", str(folder)]
    elif kubectl := find_tool("kubectl"):
        command = [kubectl, "kustomize", str(folder)]
    else:
        raise RuntimeError("neither kustomize nor kubectl is installed")
    done = output_of(command)
    if done.returncode:
        raise RuntimeError("; ".join(failure_of(done)))
    return load(done.stdout)


# --- schemas --------------------------------------------------------------------------------------------------------------------


def title(rendered: Object) -> str:
    return f"{rendered['kind']} {rendered['metadata'].get('namespace', '')}/{rendered['metadata']['name']}"


def kubernetes_problems(rendered: Object) -> list[str]:
    problems = []
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(rendered, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            at = ".".join(map(str, error.path)) or "(top)"
            problems.append(f"Kubernetes {version}: {at}: {error.message[:200]}")
        except kubernetes_validate.SchemaNotFoundError as error:
            problems.append(f"Kubernetes {version}: {error.message}")
    return problems


def published_problems(objects: list[Object]) -> list[list[str]]:
    """Problems of custom resources by the schemas on npm; see published.mjs."""
    if not objects:
        return []
    if not (node := find_tool("node")):
        raise RuntimeError("node is not installed")
    if not (HERE / "node_modules").exists():
        raise RuntimeError("the published schemas are not installed: scripts/setup.py deploy-schemas")
    done = output_of([node, str(HERE / "published.mjs")], input=json.dumps(objects))
    if done.returncode:
        raise RuntimeError("; ".join(failure_of(done)))
    return json.loads(done.stdout)


def is_core(rendered: Object) -> bool:
    group = rendered["apiVersion"].rpartition("/")[0]
    return "." not in group or (group.endswith(".k8s.io") and not group.startswith("gateway."))


def schema_problems(objects: list[Object]) -> list[list[str]]:
    custom = [o for o in objects if not is_core(o)]
    known = [without_newer(o) for o in custom]
    found = published_problems([o for o, _ in known])
    by_identity = {id(o): problems + newer for o, (_, newer), problems in zip(custom, known, found, strict=True)}
    return [by_identity[id(o)] if id(o) in by_identity else kubernetes_problems(o) for o in objects]


# Fields that are newer than the published schemas, and what they may hold. Each goes when the package knows it.
NEWER: dict[str, dict[tuple[str, ...], Callable[[Any], bool]]] = {
    "SecurityPolicy": {("spec", "extAuth", "statusOnError"): lambda value: type(value) is int and 400 <= value <= 511},
}


def without_newer(rendered: Object) -> tuple[Object, list[str]]:
    """The object without the fields that no published schema knows yet, and what is wrong with those."""
    rendered, problems = copy.deepcopy(rendered), []
    for path, is_valid in NEWER.get(rendered["kind"], {}).items():
        inner: Any = rendered
        for key in path[:-1]:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and path[-1] in inner and not is_valid(value := inner.pop(path[-1])):
            problems.append(f"{'.'.join(path)} is {value!r}")
    return rendered, problems


# --- Envoy ----------------------------------------------------------------------------------------------------------------------


def envoy_load(envoy: str, config: Any) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "envoy.json"
        path.write_text(json.dumps(config))
        return failure_of(output_of([envoy, "--mode", "validate", "-l", "error", "-c", str(path)]))


def merged(base: Any, patch: Any) -> Any:
    """The merge istiod does: fields are set, messages merge, lists grow."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return {**base, **{k: merged(base[k], v) if k in base else v for k, v in patch.items()}}
    if isinstance(base, list) and isinstance(patch, list):
        return base + patch
    return patch


def patched_envoy(world: invariants.World) -> Object:
    """A minimal Envoy with the filters that istiod generates for the Gateway, and our EnvoyFilter's patches merged into them."""
    api = "type.googleapis.com/envoy.extensions"
    settings = world.provider["envoyExtAuthzGrpc"]
    ext_authz: Object = {
        "@type": f"{api}.filters.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": "authz"}, "timeout": settings["timeout"]},
        "status_on_error": {"code": int(settings["statusOnError"])},
        # How a filter learns from the RBAC filter before it that a rule of the policy matches.
        "filter_enabled_metadata": {
            "filter": "envoy.filters.http.rbac",
            "path": [{"key": "istio_ext_authz_shadow_effective_policy_id"}],
            "value": {"string_match": {"prefix": "istio-ext-authz"}},
        },
    }
    for patch in invariants.patches(world, "ExtAuthz"):
        ext_authz = merged(ext_authz, patch)
    manager: Object = {
        "@type": f"{api}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "use_remote_address": True,
        "normalize_path": True,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 204}}]}]},
        "http_filters": [
            {"name": "envoy.filters.http.ext_authz", "typed_config": ext_authz},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{api}.filters.http.router.v3.Router"}},
        ],
    }
    for patch in invariants.patches(world, "HttpConnectionManager"):
        manager = merged(manager, patch)
    http2 = {"@type": f"{api}.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "gateway",
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                    "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {"name": "authz", "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2}},
            ],
        }
    }


def envoy_secrets() -> dict[str, Object]:
    return {path.stem: load_one(path) for path in sorted((DEPLOY / "envoy/sds").glob("*.yaml"))}


def envoy_configs() -> dict[str, envoy_rules.Config]:
    """By file."""
    plain, secured = (load_one(DEPLOY / "envoy" / name) for name in ("envoy.yaml", "envoy-tls.yaml"))
    return {"deploy/envoy/envoy.yaml": envoy_rules.Config(plain), "deploy/envoy/envoy-tls.yaml": envoy_rules.Config(secured, envoy_secrets())}


def tls_differences(configs: dict[str, envoy_rules.Config]) -> list[str]:
    """How the configuration with TLS differs from the one without in something else."""
    plain, secured = configs.values()
    return [problem.replace("deploy/kubernetes", "envoy.yaml") for problem in differences(plain.config, envoy_rules.without_tls(secured.config), "envoy-tls")]


def with_certificates(folder: Path, config: Object, authority: trustme.CA) -> Object:
    """The configuration with TLS, its files in the folder: those of `sds` as they are shipped, and new certificates."""
    for name, identity in (("server", "jira-api.example.com"), ("client", "gateway.atlassian-authz.internal"), ("jira", "jira.example.internal")):
        put_certificate(folder / "tls" / name, authority, identity)
    (folder / "sds").mkdir()
    for path in (DEPLOY / "envoy/sds").glob("*.yaml"):
        (folder / "sds" / path.name).write_text(path.read_text().replace("/etc/envoy/tls", str(folder / "tls")))
    return json.loads(json.dumps(config).replace("/etc/envoy/sds", str(folder / "sds")))


def put_certificate(directory: Path, authority: trustme.CA, identity: str) -> None:
    """As the kubelet does it: everything in a new directory, and then one link that is swapped."""
    directory.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix="..", dir=directory))
    certificate = authority.issue_cert(identity)
    (new / "tls.crt").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    (new / "tls.key").write_bytes(certificate.private_key_pem.bytes())
    (new / "ca.crt").write_bytes(authority.cert_pem.bytes())
    link = directory / "..data.new"
    link.symlink_to(new.name)
    link.replace(directory / "..data")
    for name in ("tls.crt", "tls.key", "ca.crt"):
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")


# --- Prometheus -----------------------------------------------------------------------------------------------------------------


def promtool_problems(promtool: str, folder: Path) -> dict[str, list[str]]:
    """What promtool says about each file of the folder."""
    tests = sorted(folder.glob("*_test.yaml"))
    found = {"rules.yaml": failure_of(output_of([promtool, "check", "rules", "--lint-fatal", str(folder / "rules.yaml")]))}
    for path in tests:
        done = output_of([promtool, "test", "rules", str(path)])
        # It prints the alerts that came and those that were expected.
        found[path.name] = [" ".join((done.stdout + done.stderr).split())[:600]] if done.returncode else []
    with tempfile.TemporaryDirectory() as temporary:
        config = load_one(folder / "prometheus.yaml")
        for job in config["scrape_configs"]:
            # Debian builds promtool without knowledge of Kubernetes; `scrape_problems` looks at this part.
            job.pop("kubernetes_sd_configs", None)
        for name in config["rule_files"]:
            shutil.copy(folder / name, temporary)
        (Path(temporary) / "prometheus.yaml").write_text(json.dumps(config))
        found["prometheus.yaml"] = failure_of(output_of([promtool, "check", "config", str(Path(temporary) / "prometheus.yaml")]))
    return found


def scrape_problems(config: Any, world: invariants.World) -> list[str]:
    """Whether the scrape configuration finds the pods that the Deployment makes, and gives them the label that the rules sum by."""
    (job,) = config["scrape_configs"]
    problems = []
    (discovery,) = job["kubernetes_sd_configs"]
    if discovery != {"role": "pod", "namespaces": {"names": [world.one("Namespace")["metadata"]["name"]]}}:
        problems.append(f"it looks for {discovery}")
    kept = [r for r in job["relabel_configs"] if r.get("action") == "keep"]
    admin = next(p["name"] for p in world.container["ports"] if p["containerPort"] == world.listen("admin")[1])
    expected = {
        "source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name", "__meta_kubernetes_pod_container_port_name"],
        "regex": f"{world.pod['metadata']['labels']['app.kubernetes.io/name']};{admin}",
        "action": "keep",
    }
    if kept != [expected]:
        problems.append(f"it keeps {kept}, expected {expected}")
    if "namespace" not in [r.get("target_label") for r in job["relabel_configs"]]:
        problems.append("no label namespace is set")
    return problems


def operator_problems(readme: str, root: Path) -> list[str]:
    """The README's command for the Prometheus operator must make an object of the very rules that are tested."""
    command = next((line for line in readme.splitlines() if "kind: PrometheusRule" in line), "")
    made, pipe, _ = command.partition(" | kubectl apply")
    if not pipe:
        return ["the README has no command that makes a PrometheusRule"]
    done = output_of(["bash", "-c", made], cwd=root)
    if done.returncode:
        return failure_of(done)
    (made,) = load(done.stdout)
    head = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "atlassian-authz", "namespace": "monitoring"}}
    expected = {**head, "spec": load_one(root / "deploy/prometheus/rules.yaml")}
    return [] if made == expected else ["the README's command makes something else than an object of rules.yaml"]


def find_promtool(report: Report, what: str) -> str | None:
    if os.environ.get("SKIP_PROMTOOL") == "1":
        report.skip("promtool", what, "SKIP_PROMTOOL=1")
        return None
    if not (promtool := find_tool("promtool")):
        report.add("promtool", what, ["promtool is not installed: scripts/setup.py promtool, or SKIP_PROMTOOL=1"])
    return promtool


def query_syntax_problems(promtool: str, dashboard: Any) -> list[str]:
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "rules.yaml"
        path.write_text(json.dumps(metrics.dashboard_as_rules(dashboard)))
        return failure_of(output_of([promtool, "check", "rules", str(path)]))


def validate_prometheus(report: Report, world: invariants.World) -> None:
    folder = DEPLOY / "prometheus"
    rules, readme = load_one(folder / "rules.yaml"), (folder / "README.md").read_text()
    tests = [load_one(path) for path in sorted(folder.glob("*_test.yaml"))]
    report.add("metrics-exist", "deploy/prometheus/rules.yaml", metrics.rules_problems(rules, metrics.declared(ROOT)))
    report.add("alerts-are-tested-and-explained", "deploy/prometheus/rules.yaml", metrics.alerts_problems(rules, tests, readme))
    report.add("scrape-finds-the-pods", "deploy/prometheus/prometheus.yaml", scrape_problems(load_one(folder / "prometheus.yaml"), world))
    report.add("operator-object", "deploy/prometheus/README.md", operator_problems(readme, ROOT))
    report.add("metrics-exist", "deploy/prometheus/README.md", metrics.names_problems(readme, metrics.declared(ROOT)))
    if promtool := find_promtool(report, "deploy/prometheus"):
        for name, problems in promtool_problems(promtool, folder).items():
            report.add("promtool", f"deploy/prometheus/{name}", problems)


def validate_grafana(report: Report) -> None:
    path = DEPLOY / "grafana/dashboard.json"
    what = str(path.relative_to(ROOT))
    try:
        dashboard = json.loads(path.read_text())
        problems = metrics.dashboard_problems(dashboard, metrics.declared(ROOT))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        report.add("dashboard", what, [f"{type(error).__name__}: {error}"])
        return
    report.add("dashboard", what, problems)
    if promtool := find_promtool(report, what):
        report.add("promtool", what, query_syntax_problems(promtool, dashboard))


# --- everything -----------------------------------------------------------------------------------------------------------------


KUBERNETES_FOLDER = DEPLOY / "kubernetes"
# Overlays whose configuration is to be read anew by the running pods.
HOT_RELOAD = {"cert-manager"}


def config_of(objects: list[Object]) -> str:
    (config_map,) = (o for o in objects if o["kind"] == "ConfigMap")
    return config_map["data"]["config.yaml"]


def examples(folder: Path) -> list[Object]:
    """What users are shown and nothing applies. An example of the overlay takes the place of the general one of that name."""
    files = {path.name: path for place in (KUBERNETES_FOLDER, folder) for path in sorted(place.glob("*.example.yaml"))}
    return [document for path in files.values() for document in load(path.read_text())]


def load_world() -> invariants.World:
    kubernetes = render(KUBERNETES_FOLDER)
    (config,) = load(config_of(kubernetes))
    return invariants.World(
        kubernetes=kubernetes,
        istio=render(DEPLOY / "istio"),
        waypoint=render(DEPLOY / "istio/waypoint"),
        istio_examples=[d for path in sorted((DEPLOY / "istio").glob("*.example.yaml")) for d in load(path.read_text())],
        envoy_gateway=render(DEPLOY / "envoy-gateway"),
        envoy=load_one(DEPLOY / "envoy/envoy.yaml"),
        mesh=load_one(DEPLOY / "istio/istiod-values.yaml")["meshConfig"],
        config=config,
        examples=examples(KUBERNETES_FOLDER),
    )


def overlays() -> dict[str, Path]:
    return {str(path.relative_to(ROOT)): path for path in sorted((KUBERNETES_FOLDER / "overlays").iterdir())}


def load_overlay(world: invariants.World, folder: Path) -> invariants.World:
    """The world with the overlay in place of the base."""
    kubernetes = render(folder)
    (config,) = load(config_of(kubernetes))
    return dataclasses.replace(world, kubernetes=kubernetes, config=config, examples=examples(folder), hot_reload=folder.name in HOT_RELOAD)


CHART = DEPLOY / "helm/atlassian-authz"
# The overlay whose Secret a value file of the chart's tests needs.
CHART_SECRETS = {"minimal-values.yaml": "", "sqlite-values.yaml": "sqlite-single", "full-values.yaml": "postgres"}
# Helm's own idea of a cluster depends on how it was built.
CHART_OPTIONS = ("--kube-version", KUBERNETES[0] + ".0")


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    if not (found := find_tool("helm")):
        raise RuntimeError("helm is not installed: scripts/setup.py helm")
    return output_of([found, *arguments, *CHART_OPTIONS])


def render_chart(*options: str, chart: Path = CHART) -> list[Object]:
    done = helm("template", "atlassian-authz", str(chart), "--namespace", "atlassian-authz", *options)
    if done.returncode:
        raise RuntimeError("; ".join(failure_of(done)))
    return load(done.stdout)


def lint_chart(chart: Path = CHART) -> dict[str, list[str]]:
    """What `helm lint` says with the default values and with each value file."""
    files = [None, *sorted((chart / "ci").glob("*.yaml"))]
    found = {}
    for file in files:
        done = helm("lint", "--strict", str(chart), *(("--values", str(file)) if file else ()))
        found[file.name if file else "values.yaml"] = done.stdout.splitlines()[-8:] if done.returncode else []
    return found


def load_chart(world: invariants.World, values: Path | None) -> invariants.World:
    """The world with what the chart makes in place of the base; its namespace is made by whoever installs it."""
    objects = render_chart(*(("--values", str(values)) if values else ()))
    made = dataclasses.replace(
        world,
        kubernetes=[world.one("Namespace"), *objects],
        config=load(config_of(objects))[0],
        hot_reload=bool(values) and load_one(values).get("rollOnConfigChange") is False,
    )
    shown = examples(KUBERNETES_FOLDER / "overlays" / CHART_SECRETS[values.name]) if values and CHART_SECRETS[values.name] else world.examples
    made.examples = [copy.deepcopy(o) for o in shown if o["kind"] != "Job"]
    (mounted,) = (v["secret"]["secretName"] for v in made.pod["spec"]["volumes"] if v["name"] == "secrets")
    next(o for o in made.examples if o["kind"] == "Secret")["metadata"]["name"] = mounted
    return made


# What Helm asks of labels, and the ways in which a changed configuration makes new pods.
CHART_ONLY = {"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart", "checksum/config"}


def comparable(value: Any) -> Any:
    if isinstance(value, dict):
        # IfNotPresent is the default for an image with a tag.
        return {k: comparable(v) for k, v in value.items() if k not in CHART_ONLY and (k, v) != ("imagePullPolicy", "IfNotPresent")}
    if isinstance(value, list):
        return [comparable(inner) for inner in value]
    return re.sub(r"^(atlassian-authz-config)-[a-z0-9]{10}$", r"\1", value) if isinstance(value, str) else value


def differences(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}, key=str):
            yield from differences(one.get(key), other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{path}[{number}]")
    elif one != other:
        yield f"{path} is {str(other)[:80]!r}, and {str(one)[:80]!r} in deploy/kubernetes"


def drift(base: list[Object], chart: list[Object]) -> list[str]:
    """How the chart's objects with its default values differ from those of deploy/kubernetes."""
    left, right = ({f"{o['kind']} {comparable(o['metadata']['name'])}": comparable(o) for o in objects if o["kind"] != "Namespace"} for objects in (base, chart))
    problems = [f"only one of the two makes {what}" for what in sorted(set(left) ^ set(right))]
    for what in sorted(set(left) & set(right)):
        problems += differences(left[what], right[what], what)
    return problems


def schema_descriptions(schema: Any, path: str = "values") -> list[str]:
    """Values that the chart's schema lets pass unseen, or does not explain."""
    problems = []
    for name, inner in schema.get("properties", {}).items():
        if not inner.get("description"):
            problems.append(f"{path}.{name} is not explained")
        problems += schema_descriptions(inner, f"{path}.{name}")
    if "properties" in schema and schema.get("additionalProperties") is not False:
        problems.append(f"{path} takes any key")
    if isinstance(schema.get("items"), dict):
        problems += schema_descriptions(schema["items"], f"{path}[]")
    return problems


def undescribed(values: Any, schema: Any, path: str = "values") -> list[str]:
    """Default values that the schema does not know as such."""
    problems = []
    for name, inner in values.items():
        if name not in schema.get("properties", {}):
            problems.append(f"{path}.{name} is not in the schema")
        elif isinstance(inner, dict) and "properties" in schema["properties"][name]:
            problems += undescribed(inner, schema["properties"][name], f"{path}.{name}")
    missing = set(schema.get("properties", {})) - set(values) - {"global"}
    return problems + [f"{path}.{name} has no default" for name in sorted(missing) if not path.endswith("resources")]


def validate_chart(report: Report, world: invariants.World) -> None:
    what = str(CHART.relative_to(ROOT))
    try:
        for file, problems in lint_chart().items():
            report.add("helm-lint", f"{what}/{file}", problems)
        report.add("chart-makes-the-same", what, drift(world.kubernetes, render_chart()))
    except RuntimeError as error:
        report.add("helm-lint", what, [str(error)])
    schema = json.loads((CHART / "values.schema.json").read_text())
    report.add("chart-schema", what, schema_descriptions(schema) + undescribed(load_one(CHART / "values.yaml"), schema))
    same = (CHART / "files/rules.yaml").read_bytes() == (DEPLOY / "prometheus/rules.yaml").read_bytes()
    report.add("chart-has-the-alerts", what, [] if same else ["files/rules.yaml is not deploy/prometheus/rules.yaml: copy it"])


def load_worlds() -> dict[str, invariants.World]:
    """By the folder that makes it, the base first."""
    world = load_world()
    values = {str((CHART / "values.yaml").relative_to(ROOT)): None}
    values |= {str(path.relative_to(ROOT)): path for path in sorted((CHART / "ci").glob("*.yaml"))}
    return {
        "deploy/kubernetes": world,
        **{where: load_overlay(world, folder) for where, folder in overlays().items()},
        **{where: load_chart(world, path) for where, path in values.items()},
    }


# What the program wants to find in a Secret, where it is more than any text.
SECRET_VALUES = {
    "pepper": "0123456789abcdef" * 4,
    "token-store": "postgres://authz_check:password@db.example.com/authz?sslrootcert={folder}/db-ca.crt",
}


def secret_values(folder: Path, names: set[str]) -> dict[str, str]:
    """For every key of a Secret a text of the kind that belongs there; certificates are made anew."""
    authority = trustme.CA()
    certificate = authority.issue_cert("atlassian-authz.example.com")
    pem = {
        "tls.crt": b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
        "tls.key": certificate.private_key_pem.bytes(),
        "ca.crt": authority.cert_pem.bytes(),
        "db-ca.crt": authority.cert_pem.bytes(),
    }
    return {name: pem[name].decode() if name in pem else SECRET_VALUES.get(name, "text").format(folder=folder) for name in names}


def config_problems(binary: Path, world: invariants.World) -> list[str]:
    """What `config check` says of the ConfigMap's configuration, with the files of the pod's Secrets where it names them."""
    text = config_of(world.kubernetes)
    volumes = {v["name"]: world.secrets.get(v["secret"]["secretName"], set()) for v in world.pod["spec"]["volumes"] if "secret" in v}
    # Another ConfigMap than ours holds certificates of a CA.
    volumes |= {v["name"]: {"ca.crt"} for v in world.pod["spec"]["volumes"] if "configMap" in v and v["name"] != "config"}
    with tempfile.TemporaryDirectory() as folder:
        for number, mount in enumerate(m for m in world.container["volumeMounts"] if m["name"] in volumes):
            place = Path(folder) / str(number)
            place.mkdir()
            for name, value in secret_values(place, volumes[mount["name"]]).items():
                (place / name).write_text(value)
                (place / name).chmod(0o600)
            text = text.replace(mount["mountPath"] + "/", f"{place}/")
        path = Path(folder) / "config.yaml"
        path.write_text(text)
        return failure_of(output_of([str(binary), "config", "check", str(path)]))


def load_image(world: invariants.World) -> image.Image:
    ignore = (DEPLOY / "docker/Dockerfile.dockerignore").read_text().splitlines()
    return image.Image(
        root=ROOT,
        stages=image.parse((DEPLOY / "docker/Dockerfile").read_text()),
        ignore=[line.strip() for line in ignore if line.strip() and not line.startswith("#")],
        container=world.container,
        config=world.config,
    )


def unused_files(folder: Path) -> list[str]:
    """Manifests that nobody applies because the kustomization does not name them."""
    kustomization = load_one(folder / "kustomization.yaml")
    used = set(kustomization.get("resources", []))
    for generator in kustomization.get("configMapGenerator", []):
        used |= {file.rpartition("=")[2] for file in generator.get("files", [])}
    used |= {patch["path"] for patch in kustomization.get("patches", []) if "path" in patch}
    used |= {"kustomization.yaml", "istiod-values.yaml"}
    return [f"{f.name} is not in kustomization.yaml" for f in sorted(folder.glob("*.yaml")) if f.name not in used and ".example." not in f.name]


def openapi_problems(document: Any) -> list[str]:
    """What OpenAPI 3.1 forbids, examples and defaults included."""
    errors = openapi_spec_validator.OpenAPIV31SpecValidator(document).iter_errors()
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


def validate_sources(report: Report) -> None:
    """What needs no rendering."""
    for path in sorted(p for folder in ("kubernetes", "istio", "envoy", "envoy-gateway", "prometheus", "docker") for p in (DEPLOY / folder).rglob("*.yaml")):
        try:
            load(path.read_text())
            problems = []
        except yaml.YAMLError as error:
            problems = [" ".join(str(error).split())]
        report.add("yaml", str(path.relative_to(ROOT)), problems)
    for path in sorted(DEPLOY.rglob("kustomization.yaml")):
        report.add("every-file-is-applied", str(path.parent.relative_to(ROOT)), unused_files(path.parent))


def validate_objects(report: Report, worlds: dict[str, invariants.World]) -> None:
    """Every object once, by its schema; every world by what our manifests promise."""
    seen: list[Object] = []
    named: list[str] = []
    for where, world in worlds.items():
        for rendered in world.kubernetes + world.examples + world.istio + world.waypoint + world.istio_examples + world.envoy_gateway:
            if rendered not in seen:
                seen.append(rendered)
                named.append(f"{where}: {title(rendered)}")
    try:
        for what, problems in zip(named, schema_problems(seen), strict=True):
            report.add("schema", what, problems)
    except RuntimeError as error:
        report.add("schema", "deploy", [str(error)])
    (base, world), *variants = worlds.items()
    for name, problems in invariants.run(world).items():
        report.add(name, invariants.CHECKS[name][0], problems)
    for where, world in variants:
        for name, problems in invariants.run(world, base).items():
            report.add(name, where, problems)


def validate_image(report: Report, world: invariants.World) -> None:
    for name, problems in image.run(load_image(world)).items():
        report.add(name, "deploy/docker/Dockerfile", problems)
    if hadolint := find_tool("hadolint"):
        report.add("hadolint", "deploy/docker/Dockerfile", failure_of(output_of([hadolint, "--no-color", str(DEPLOY / "docker/Dockerfile")])))
    else:
        report.add("hadolint", "deploy/docker/Dockerfile", ["hadolint is not installed"])


def compose_versions() -> dict[str, str]:
    """Those that the tests run, and our own."""
    setup = (ROOT / "scripts/setup.py").read_text()
    found = {name.lower(): version for name, version in re.findall(r'^(ENVOY|KEYCLOAK) = "(.+?)"$', setup, re.M)}
    return {"envoy": f"v{found['envoy']}", "keycloak": found["keycloak"], "authz": load_one(CHART / "Chart.yaml")["appVersion"]}


def compose_problems(document: Any) -> list[str]:
    folder = DEPLOY / "docker"
    envoy, config = load_one(DEPLOY / "envoy/envoy.yaml"), load_one(folder / "config.yaml")
    try:
        return compose.schema_problems(document) or list(compose.problems(document, folder, envoy, config, compose_versions()))
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        return [f"{type(error).__name__}: {error}"]


def validate_envoy(report: Report, world: invariants.World) -> None:
    envoy = find_tool("envoy")
    missing = ["envoy is not installed"]
    report.add("envoy", "deploy/istio/envoy-filter.yaml", envoy_load(envoy, patched_envoy(world)) if envoy else missing)
    configs = envoy_configs()
    for what, shipped in configs.items():
        with tempfile.TemporaryDirectory() as folder:
            config = with_certificates(Path(folder), shipped.config, trustme.CA()) if shipped.secrets else shipped.config
            report.add("envoy", what, envoy_load(envoy, config) if envoy else missing)
        for name, problems in envoy_rules.run(shipped).items():
            report.add(name, what, problems)
    report.add("envoy-tls-is-envoy-with-tls", "deploy/envoy/envoy-tls.yaml", tls_differences(configs))


def validate_with_binary(report: Report, binary: Path | None, worlds: dict[str, invariants.World]) -> None:
    """What only the program itself can say."""
    if not binary:
        report.skip("metrics-are-exposed", "src/metrics.rs", "needs --binary PATH")
        report.skip("config-check", "deploy", "needs --binary PATH")
        return
    try:
        problems = metrics.exposed_problems(metrics.exposed(binary), metrics.declared(ROOT))
    except (RuntimeError, OSError) as error:
        problems = [str(error)]
    report.add("metrics-are-exposed", "src/metrics.rs", problems)
    for where, world in worlds.items():
        report.add("config-check", where, config_problems(binary, world))
    path = DEPLOY / "docker/config.yaml"
    report.add("config-check", str(path.relative_to(ROOT)), failure_of(output_of([str(binary), "config", "check", str(path)])))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", type=Path, help="atlassian-authz, to check the configurations with")
    options = arguments.parse_args()
    report = Report()

    validate_sources(report)
    try:
        worlds = load_worlds()
    except (RuntimeError, ValueError, yaml.YAMLError) as error:
        report.add("render", "deploy", [" ".join(str(error).split())])
        print(f"{report.passed} passed, {report.failed} failed")
        return 1
    report.add("render", ", ".join([*worlds, "deploy/istio", "deploy/envoy-gateway"]), [])
    world = next(iter(worlds.values()))

    validate_objects(report, worlds)
    validate_chart(report, world)
    validate_image(report, world)
    report.add("compose", "deploy/docker/compose.yaml", compose_problems(load_one(DEPLOY / "docker/compose.yaml")))
    validate_envoy(report, world)
    report.add("openapi", "docs/openapi.json", openapi_problems(json.loads((ROOT / "docs/openapi.json").read_text())))
    validate_prometheus(report, world)
    validate_grafana(report)
    validate_with_binary(report, options.binary, worlds)

    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
