"""What our manifests promise beyond being valid Kubernetes, Istio and Envoy Gateway: named checks over the rendered objects.

Each check is a generator of problems; none means that it holds. A check that cannot find what it looks at fails.
`validate.py` runs them, `test_validate.py` proves that each can fail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
Check = Callable[["World"], Iterator[str]]

# What the server registers with gRPC health (docs: `listen.grpc`). A probe for any other name fails for ever.
HEALTH_SERVICES = {"", "envoy.service.auth.v3.Authorization", "liveness", "readiness"}
# The server's own shutdown after SIGTERM: NOT_SERVING and still answering (`shutdown.drain_delay`), then open checks
# (`shutdown.drain_timeout`), then its queues.
DRAIN_DELAY, DRAIN_TIMEOUT, FLUSH_SECONDS, MARGIN_SECONDS = "10s", "10s", 5, 5
# Values that Istio and Envoy Gateway both read as HTTP/2 without TLS.
HTTP2_APP_PROTOCOLS = {"kubernetes.io/h2c", "grpc"}
# Every field of a MeshConfig gRPC provider. MeshConfig is no custom resource, so no published schema refuses a misspelt one.
PROVIDER_FIELDS = {"service", "port", "timeout", "failOpen", "statusOnError", "includeRequestBodyInCheck", "clearRouteCache"}
# The address from which Istio's ambient mode lets the kubelet's probes arrive.
AMBIENT_PROBES = "169.254.7.127/32"


@dataclass
class World:
    """Everything the checks look at, so that a test can change any of it."""

    kubernetes: list[Object]
    istio: list[Object]
    # The check at a waypoint, beside or in place of the one at a Gateway.
    waypoint: list[Object]
    # What a mesh may need besides, and nothing applies.
    istio_examples: list[Object]
    envoy_gateway: list[Object]
    # The configuration of a plain Envoy, which the others are held against.
    envoy: Object
    mesh: Object
    config: Object
    # What nothing applies: shapes of Secrets, the products' NetworkPolicy, the Job that prepares a database.
    examples: list[Object]
    # Whether a changed configuration is to reach the running pods instead of making new ones.
    hot_reload: bool = False

    def one(self, kind: str, *, among: str = "kubernetes") -> Object:
        found = [o for o in getattr(self, among) if o["kind"] == kind]
        if len(found) != 1:
            raise LookupError(f"{len(found)} objects of kind {kind}, expected one")
        return found[0]

    def all(self, kind: str) -> list[Object]:
        """Those of Envoy Gateway, of which there must be at least one."""
        if not (found := [o for o in self.envoy_gateway if o["kind"] == kind]):
            raise LookupError(f"no object of kind {kind}")
        return found

    @property
    def pod(self) -> Object:
        return self.one("Deployment")["spec"]["template"]

    @property
    def container(self) -> Object:
        containers = self.pod["spec"]["containers"]
        if len(containers) != 1:
            raise LookupError(f"{len(containers)} containers, expected one")
        return containers[0]

    def listen(self, which: str) -> tuple[str, int]:
        host, _, port = self.config["listen"][which].rpartition(":")
        return host, int(port)

    @property
    def listening(self) -> dict[str, int]:
        return {which: self.listen(which)[1] for which in ("grpc", "admin", "health") if which in self.config["listen"]}

    @property
    def probed(self) -> int:
        """Where the kubelet asks: it speaks no TLS."""
        return self.listening.get("health") or self.listening["grpc"]

    @property
    def store(self) -> str | None:
        """Which kind of database holds API tokens. A URL in a file is PostgreSQL's: only that one has a password."""
        if not (tokens := self.config.get("api_tokens")):
            return None
        return "sqlite" if str(tokens["store"]).startswith("sqlite:") else "postgres"

    @property
    def policies(self) -> list[Object]:
        """The NetworkPolicies of the pods, which add up."""
        namespace = self.one("Deployment")["metadata"]["namespace"]
        if not (found := [o["spec"] for o in self.kubernetes if o["kind"] == "NetworkPolicy" and o["metadata"]["namespace"] == namespace]):
            raise LookupError("no NetworkPolicy")
        return found

    @property
    def replicas(self) -> int:
        scalers = [o["spec"] for o in self.kubernetes if o["kind"] == "HorizontalPodAutoscaler"]
        return min(s["minReplicas"] for s in scalers) if scalers else self.one("Deployment")["spec"].get("replicas", 1)

    @property
    def pods(self) -> Iterator[tuple[str, Object]]:
        """Every pod that runs something of ours."""
        for rendered in (self.one("Deployment"), *(o for o in self.examples if o["kind"] == "Job")):
            yield f"{rendered['kind']} {rendered['metadata']['name']}", rendered["spec"]["template"]["spec"]

    @property
    def secrets(self) -> dict[str, set[str]]:
        """The keys of every Secret, by its name: as an example shows them, or as cert-manager writes them."""
        shown = {o["metadata"]["name"]: set(o["stringData"]) for o in self.examples if o["kind"] == "Secret"}
        issued = {o["spec"]["secretName"]: {"tls.crt", "tls.key", "ca.crt"} for o in self.kubernetes if o["kind"] == "Certificate"}
        return shown | issued

    def policy(self, action: str) -> Object:
        found = [o for o in self.istio if o["kind"] == "AuthorizationPolicy" and o["spec"].get("action", "ALLOW") == action]
        if len(found) != 1:
            raise LookupError(f"{len(found)} AuthorizationPolicies with action {action}, expected one")
        return found[0]

    @property
    def provider(self) -> Object:
        name = self.policy("CUSTOM")["spec"]["provider"]["name"]
        found = [p for p in self.mesh["extensionProviders"] if p["name"] == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} extension providers are named {name}, expected one")
        return found[0]


CHECKS: dict[str, tuple[str, Check]] = {}


def check(name: str, where: str) -> Callable[[Check], Check]:
    def register(function: Check) -> Check:
        CHECKS[name] = (where, function)
        return function

    return register


def run(world: World, within: str = "deploy") -> dict[str, list[str]]:
    """Problems by check name; an empty list is a pass. `within`: only the checks of that part of the tree."""
    results = {}
    for name, (where, function) in CHECKS.items():
        if not where.startswith(within):
            continue
        try:
            results[name] = list(function(world))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            results[name] = [f"{type(error).__name__}: {error}"]
    return results


def seconds(duration: str) -> float:
    parts = re.fullmatch(r"(?:(\d+)m)?(?:([\d.]+)s)?(?:(\d+)ms)?", duration)
    if not parts or not duration:
        raise ValueError(f"not a duration: {duration!r}")
    minutes, whole, millis = parts.groups()
    return float(minutes or 0) * 60 + float(whole or 0) + float(millis or 0) / 1000


def selects(selector: Object | None, labels: Object) -> bool:
    """Whether a non-empty matchLabels picks these labels. An empty selector means "all" and is never what we want."""
    wanted = (selector or {}).get("matchLabels") or {}
    return bool(wanted) and all(labels.get(k) == v for k, v in wanted.items())


def mounted(w: World, path: str) -> tuple[Object, Object]:
    """The mount at this path and the volume behind it."""
    for mount in w.container["volumeMounts"]:
        for volume in w.pod["spec"]["volumes"]:
            if (mount["mountPath"], mount["name"]) == (path, volume["name"]):
                return mount, volume
    raise LookupError(f"nothing is mounted at {path}")


def containers_of(pod: Object) -> Iterator[Object]:
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a document, with where it is."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from strings(inner, f"{path}.{key}" if path else str(key))
    if isinstance(value, str):
        yield path, value


def namespace_of(peer: Object) -> str | None:
    return peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name")


# --- the pods -------------------------------------------------------------------------------------------------------------------


@check("probe-services", "deploy/kubernetes/base/deployment.yaml")
def probe_services(w: World) -> Iterator[str]:
    for probe, expected in (("livenessProbe", {"liveness"}), ("readinessProbe", {"readiness"}), ("startupProbe", HEALTH_SERVICES)):
        service = w.container[probe]["grpc"].get("service", "")
        if service not in HEALTH_SERVICES:
            yield f"{probe} asks for {service!r}, which the server does not register"
        elif service not in expected:
            yield f"{probe} asks for {service!r}, expected {' or '.join(sorted(map(repr, expected)))}"


@check("probe-port", "deploy/kubernetes/base/deployment.yaml")
def probe_port(w: World) -> Iterator[str]:
    port = w.probed
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probed := w.container[probe]["grpc"]["port"]) != port:
            yield f"{probe} asks port {probed}, the config listens on {port}"
    if "grpc_tls" in w.config["listen"] and "health" not in w.config["listen"]:
        yield "the kubelet's probes speak no TLS, and no port answers without it: set listen.health"


@check("listen-addresses", "deploy/kubernetes/config.yaml")
def listen_addresses(w: World) -> Iterator[str]:
    if missing := {"grpc", "admin"} - set(w.listening):
        yield f"left to their defaults: {sorted(missing)}"
    for which in w.listening:
        host, _ = w.listen(which)
        if host != "0.0.0.0":
            yield f"listen.{which} is bound to {host}: Envoy, the kubelet and Prometheus come to the pod's address"


@check("container-ports", "deploy/kubernetes/base/deployment.yaml")
def container_ports(w: World) -> Iterator[str]:
    declared = {p["name"]: p["containerPort"] for p in w.container["ports"]}
    if declared != w.listening:
        yield f"the container declares {declared}, the config listens on {w.listening}"


@check("grace-period", "deploy/kubernetes/base/deployment.yaml")
def grace_period(w: World) -> Iterator[str]:
    pod = w.pod["spec"]
    hook = w.container.get("lifecycle", {}).get("preStop", {})
    sleep = hook.get("sleep", {}).get("seconds", 0)
    if "exec" in hook:
        yield "a preStop command cannot run: the image has no shell"
    shutdown = w.config.get("shutdown", {})
    drain = seconds(shutdown.get("drain_delay", DRAIN_DELAY)) + seconds(shutdown.get("drain_timeout", DRAIN_TIMEOUT))
    needed = sleep + drain + FLUSH_SECONDS + MARGIN_SECONDS
    if (given := pod.get("terminationGracePeriodSeconds", 30)) < needed:
        yield f"terminationGracePeriodSeconds is {given}, the shutdown needs {needed:g}"


@check("config-mount", "deploy/kubernetes/base/deployment.yaml")
def config_mount(w: World) -> Iterator[str]:
    args = w.container["args"]
    if args[:2] != ["serve", "--config"]:
        yield f"the container runs {args}"
    directory, _, file = args[2].rpartition("/")
    mount, volume = mounted(w, directory)
    if "subPath" in mount:
        yield "a subPath mount is never updated"
    config_map = w.one("ConfigMap")
    if volume["configMap"]["name"] != config_map["metadata"]["name"]:
        yield f"the pods mount {volume['configMap']['name']}, the ConfigMap is {config_map['metadata']['name']}"
    if file not in config_map["data"]:
        yield f"the ConfigMap has no {file}"
    annotations = w.pod["metadata"].get("annotations", {})
    rolls = bool(re.search(r"-[a-z0-9]{10}$", config_map["metadata"]["name"])) or "checksum/config" in annotations
    if rolls == w.hot_reload:
        yield "a change would roll the pods" if rolls else "neither name nor annotation has a hash of the content: a change would not roll the pods"


@check("secrets-mount", "deploy/kubernetes/base/deployment.yaml")
def secrets_mount(w: World) -> Iterator[str]:
    mount, volume = mounted(w, "/run/secrets/atlassian-authz")
    secret = volume["secret"]
    if secret.get("optional") is not True:
        yield "the Secret is not optional: JWT providers need none"
    if not mount.get("readOnly"):
        yield "the mount is writable"
    if secret.get("defaultMode", 0o644) & 0o007:
        yield f"defaultMode {secret.get('defaultMode', 0o644):04o} lets everyone read the secrets"
    if secret["secretName"] not in w.secrets:
        yield "secret.example.yaml shows another name than the pods mount"


@check("config-files-are-mounted", "deploy/kubernetes/config.yaml")
def config_files_are_mounted(w: World) -> Iterator[str]:
    """Files that the configuration names, and that are not there in the pod."""
    volumes = {v["name"]: v for v in w.pod["spec"]["volumes"]}
    for at, text in strings(w.config):
        path = text.removeprefix("sqlite://")
        if not path.startswith("/") or at.startswith("applications.") or "context_path" in at:
            continue
        mount = max((m for m in w.container["volumeMounts"] if path.startswith(m["mountPath"] + "/")), key=lambda m: len(m["mountPath"]), default=None)
        if mount is None:
            yield f"{at}: nothing is mounted where {path} should be"
            continue
        volume, key = volumes[mount["name"]], path.removeprefix(mount["mountPath"] + "/")
        if "secret" in volume and key not in w.secrets.get(volume["secret"]["secretName"], set()):
            yield f"{at}: the Secret {volume['secret']['secretName']} has no key {key}"
        if "subPath" in mount:
            yield f"{at}: a subPath mount is never updated"


@check("non-root", "deploy/kubernetes/base/deployment.yaml")
def non_root(w: World) -> Iterator[str]:
    for name, pod in w.pods:
        for which, context in ((name, pod["securityContext"]), *((f"{name}, {c['name']}", c["securityContext"]) for c in containers_of(pod))):
            if context.get("runAsNonRoot") is not True:
                yield f"{which} does not say runAsNonRoot"
            if context.get("runAsUser", 1) == 0 or context.get("runAsGroup", 1) == 0:
                yield f"{which} runs as root"


@check("locked-down", "deploy/kubernetes/base/deployment.yaml")
def locked_down(w: World) -> Iterator[str]:
    account = w.one("ServiceAccount")
    for name, pod in w.pods:
        for container in containers_of(pod):
            which, context = f"{name}, {container['name']}", container["securityContext"]
            if context.get("readOnlyRootFilesystem") is not True:
                yield f"{which}: the root file system is writable"
            if context.get("allowPrivilegeEscalation") is not False:
                yield f"{which}: privileges can be escalated"
            if context.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{which}: capabilities are {context.get('capabilities')}"
            if context.get("privileged"):
                yield f"{which} is privileged"
        if pod["securityContext"].get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name}: seccomp is not RuntimeDefault"
        if any(pod.get(k) for k in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{name} shares something of the host"
        if pod.get("automountServiceAccountToken") is not False or account.get("automountServiceAccountToken") is not False:
            yield f"{name}: a token for the Kubernetes API is mounted"
        if pod.get("serviceAccountName") != account["metadata"]["name"]:
            yield f"{name} does not use the account of its own"
    if w.one("Namespace")["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace does not enforce the restricted level"


@check("resources", "deploy/kubernetes/base/deployment.yaml")
def resources(w: World) -> Iterator[str]:
    for name, pod in w.pods:
        for container in containers_of(pod):
            for kind, names in (("requests", ("cpu", "memory")), ("limits", ("memory",))):
                for resource in names:
                    if resource not in container["resources"].get(kind, {}):
                        yield f"{name}, {container['name']}: no {kind}.{resource}"


@check("survives-a-node", "deploy/kubernetes/base/deployment.yaml")
def survives_a_node(w: World) -> Iterator[str]:
    if w.store == "sqlite":
        return  # one-pod-for-one-file
    spec, labels = w.one("Deployment")["spec"], w.pod["metadata"]["labels"]
    if w.replicas < 2:
        yield f"{w.replicas} replica"
    if not selects(spec["selector"], labels):
        yield "the Deployment does not select its own pods"
    if spec["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
        yield "a roll-out takes pods away before their successors are ready"
    spread = [c for c in w.pod["spec"].get("topologySpreadConstraints", []) if c["topologyKey"] == "kubernetes.io/hostname"]
    if not any(c["whenUnsatisfiable"] == "DoNotSchedule" and selects(c["labelSelector"], labels) for c in spread):
        yield "nothing keeps the pods on different nodes"
    budget = w.one("PodDisruptionBudget")["spec"]
    if not selects(budget["selector"], labels):
        yield "the PodDisruptionBudget does not select the pods"
    unavailable = budget.get("maxUnavailable", w.replicas - budget.get("minAvailable", w.replicas))
    if not 1 <= unavailable < w.replicas:
        yield f"the PodDisruptionBudget lets {unavailable} of {w.replicas} pods be evicted"


@check("scales-with-load", "deploy/kubernetes/base/horizontalpodautoscaler.yaml")
def scales_with_load(w: World) -> Iterator[str]:
    if w.store == "sqlite":
        return  # one-pod-for-one-file
    deployment = w.one("Deployment")
    if not any(o["kind"] == "HorizontalPodAutoscaler" for o in w.kubernetes):
        if "replicas" not in deployment["spec"]:
            yield "neither an autoscaler nor a number of replicas"
        return
    scaler = w.one("HorizontalPodAutoscaler")["spec"]
    target = scaler["scaleTargetRef"]
    if (target["kind"], target["name"]) != ("Deployment", deployment["metadata"]["name"]):
        yield f"it scales {target['kind']} {target['name']}"
    if "replicas" in deployment["spec"]:
        yield "the Deployment says replicas: every apply would undo what the autoscaler decided"
    if scaler["maxReplicas"] <= scaler["minReplicas"]:
        yield f"from {scaler['minReplicas']} to {scaler['maxReplicas']} is no range"
    if [m["resource"]["name"] for m in scaler["metrics"]] != ["cpu"]:
        yield "it goes by something else than CPU"
    if "cpu" not in w.container["resources"].get("requests", {}):
        yield "a share of a CPU request that there is not"


@check("one-pod-for-one-file", "deploy/kubernetes/base/deployment.yaml")
def one_pod_for_one_file(w: World) -> Iterator[str]:
    """SQLite: two pods must never have the file, and the service must be able to keep it to itself."""
    claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in w.pod["spec"]["volumes"] if "persistentVolumeClaim" in v}
    if w.store != "sqlite":
        if claims:
            yield f"volumes that nothing needs: {sorted(claims)}"
        return
    deployment = w.one("Deployment")["spec"]
    if deployment.get("replicas") != 1 or any(o["kind"] == "HorizontalPodAutoscaler" for o in w.kubernetes):
        yield "more than one pod"
    if deployment["strategy"]["type"] != "Recreate":
        yield "a roll-out starts the new pod before the old one has let go of the volume"
    directory = w.config["api_tokens"]["store"].removeprefix("sqlite://").rpartition("/")[0]
    mount = next((m for m in w.container["volumeMounts"] if directory.startswith(m["mountPath"] + "/") and m["name"] in claims), None)
    if mount is None:
        yield f"{directory} is no directory of its own on a volume: the kubelet makes a volume's top directory writable to the group"
        return
    if claims[mount["name"]] not in {o["metadata"]["name"] for o in w.kubernetes if o["kind"] == "PersistentVolumeClaim"}:
        yield f"there is no claim {claims[mount['name']]}"
    prepared = [a for c in w.pod["spec"].get("initContainers", []) for a in c.get("args", []) if f"mkdir -p {directory}\n" in a]
    if not any(f"find {directory} -type d -exec chmod 0700" in a and f"find {directory} -type f -exec chmod 0600" in a for a in prepared):
        yield f"nothing makes {directory} private, and the service refuses it"


@check("tls-agrees", "deploy/kubernetes/config.yaml")
def tls_agrees(w: World) -> Iterator[str]:
    """With TLS on the Check port: its certificate, that of its clients, and what the Service says of it."""
    tls = w.config["listen"].get("grpc_tls")
    certificates = [o["spec"] for o in w.kubernetes if o["kind"] == "Certificate"]
    if not tls:
        if certificates:
            yield "certificates that nothing uses"
        return
    service = w.one("Service")
    if any(p.get("appProtocol") == "kubernetes.io/h2c" for p in service["spec"]["ports"]):
        yield "appProtocol says that the port speaks HTTP/2 without TLS"
    _, volume = mounted(w, tls["certificate"].rpartition("/")[0])
    own = [c for c in certificates if c["secretName"] == volume["secret"]["secretName"]]
    name = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc.cluster.local"
    if not any(name in c["dnsNames"] and "server auth" in c["usages"] for c in own):
        yield f"no certificate in {volume['secret']['secretName']} is for {name}"
    if volume["secret"].get("defaultMode", 0o644) & 0o007:
        yield "everyone may read the key"
    if not (clients := tls.get("clients")) or not clients.get("names"):
        yield "any client of the CA, or any at all, may call"
        return
    issuers = {o["metadata"]["name"]: o["spec"] for o in w.kubernetes if o["kind"] == "Issuer"}
    if not issuers:
        return  # who signs is the user's choice, and so is the client's certificate
    issued = {n for c in certificates if "client auth" in c.get("usages", []) and own and c["issuerRef"] == own[0]["issuerRef"] for n in c["dnsNames"]}
    if missing := set(clients["names"]) - issued:
        yield f"no client certificate has the names {sorted(missing)}"
    for certificate in certificates:
        if certificate["issuerRef"]["kind"] != "Issuer" or certificate["issuerRef"]["name"] not in issuers:
            yield f"{certificate['secretName']}: no Issuer of this namespace signs it"
        elif not certificate.get("isCA") and not certificate["privateKey"].get("rotationPolicy") == "Always":
            yield f"{certificate['secretName']}: a renewal keeps the key"


# --- who reaches them -----------------------------------------------------------------------------------------------------------


@check("service-port", "deploy/kubernetes/base/service.yaml")
def service_port(w: World) -> Iterator[str]:
    service = w.one("Service")
    ports = {p["name"]: p["containerPort"] for p in w.container["ports"]}
    for port in service["spec"]["ports"]:
        target = port.get("targetPort", port["port"])
        if ports.get(target, target) == w.listen("admin")[1]:
            yield f"port {port['name']} exposes the admin listener"
        elif ports.get(target, target) != w.listen("grpc")[1]:
            yield f"port {port['name']} leads to {target}, where nothing listens"
        if port.get("appProtocol") not in HTTP2_APP_PROTOCOLS:
            yield f"appProtocol {port.get('appProtocol')} is not one that Istio and Envoy Gateway both read as HTTP/2"
        if port["name"].split("-")[0] != "grpc":
            yield f"the port's name {port['name']} does not start with grpc"
    if not selects({"matchLabels": service["spec"]["selector"]}, w.pod["metadata"]["labels"]):
        yield "the Service does not select the pods"
    if service["spec"].get("clusterIP") == "None":
        yield "a headless Service makes Istio send checks to the original request's address"
    if service["spec"].get("type", "ClusterIP") != "ClusterIP":
        yield f"a Service of type {service['spec']['type']} is reachable from outside the cluster"


@check("network-policy-ingress", "deploy/kubernetes/base/networkpolicy.yaml")
def network_policy_ingress(w: World) -> Iterator[str]:
    if not any("Ingress" in policy["policyTypes"] for policy in w.policies):
        yield "no policyTypes have Ingress"
    # The kubelet comes from the node and needs no rule: nobody else is to reach the port for its probes.
    listening = {w.listen("grpc")[1], w.listen("admin")[1]}
    opened = set()
    for policy in w.policies:
        if not selects(policy["podSelector"], w.pod["metadata"]["labels"]):
            yield "a policy does not select the pods"
        for rule in policy.get("ingress", []):
            ports = {p.get("port") for p in rule.get("ports", [{}])}
            opened |= ports
            if not ports <= listening:
                yield f"a rule opens {ports - listening}"
            if len(ports) != 1:
                yield "a rule opens several ports to the same peers"
            if not rule.get("from") or not all(namespace_of(peer) for peer in rule["from"]):
                yield f"{ports} is not limited to named namespaces"
    if missing := listening - opened:
        yield f"nobody may reach {missing}"


@check("network-policy-egress", "deploy/kubernetes/base/networkpolicy.yaml")
def network_policy_egress(w: World) -> Iterator[str]:
    if not any("Egress" in policy["policyTypes"] for policy in w.policies):
        yield "no policyTypes have Egress"
    anywhere, somewhere = set(), set()
    for rule in (rule for policy in w.policies for rule in policy.get("egress", [])):
        narrow = rule.get("to") and all(namespace_of(peer) or peer.get("ipBlock", {}).get("cidr") not in (None, "0.0.0.0/0", "::/0") for peer in rule["to"])
        (somewhere if narrow else anywhere).update((p.get("protocol", "TCP"), p.get("port")) for p in rule.get("ports", [{}]))
    if anywhere != {("TCP", 443)}:
        yield f"egress to anywhere is {sorted(anywhere, key=str)}, expected 443"
    expected = {("UDP", 53), ("TCP", 53)} | ({("TCP", 5432)} if w.store == "postgres" else set())
    if somewhere != expected:
        yield f"egress to named peers is {sorted(somewhere, key=str)}, expected {sorted(expected)}"


# The HTTP ports of the products.
PRODUCT_PORTS = {8080, 8090, 7990}


@check("product-is-closed", "deploy/kubernetes/product-networkpolicy.example.yaml")
def product_is_closed(w: World) -> Iterator[str]:
    found = [o for o in w.examples if o["kind"] == "NetworkPolicy"]
    if len(found) != 1:
        raise LookupError(f"{len(found)} examples of a NetworkPolicy, expected one")
    policy, gateway = found[0]["spec"], w.policy("CUSTOM")
    if policy["policyTypes"] != ["Ingress"] or not policy["podSelector"].get("matchLabels"):
        yield "it does not say which pods it closes"
    (target,) = gateway["spec"]["targetRefs"]
    door = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": gateway["metadata"]["namespace"]}},
        "podSelector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": target["name"]}},
    }
    opened = set()
    for rule in policy["ingress"]:
        ports = {p.get("port") for p in rule.get("ports", [{}])}
        opened |= ports
        if ports & (PRODUCT_PORTS | {None}):
            if rule.get("from") != [door]:
                yield f"{sorted(ports, key=str)} is open to more than the gateway's pods"
        elif rule.get("from") != [{"podSelector": policy["podSelector"]}]:
            yield f"{sorted(ports)} is open to more than the product's own pods"
    if not opened & PRODUCT_PORTS:
        yield "nobody may reach the product"


@check("no-secret-values", "deploy/kubernetes")
def no_secret_values(w: World) -> Iterator[str]:
    for rendered in (*w.kubernetes, *w.istio, *w.waypoint, *w.istio_examples, *w.envoy_gateway):
        if rendered["kind"] == "Secret":
            yield f"the kustomization applies Secret {rendered['metadata']['name']}"
    for example in (o for o in w.examples if o["kind"] == "Secret"):
        if "data" in example:
            yield "secret.example.yaml has data: show placeholders under stringData"
        for key, value in example.get("stringData", {}).items():
            if not re.fullmatch(r"<[^<>]+>", value):
                yield f"secret.example.yaml has a value for {key} that is not a <placeholder>"

    def inline(value: Any, path: str) -> Iterator[str]:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
            at = f"{path}.{key}" if path else str(key)
            if re.search(r"secret|password|pepper|token$", str(key)) and not isinstance(inner, (dict, list, bool)):
                yield f"config.yaml: {at} is not {{ file: … }} or {{ env: … }}"
            yield from inline(inner, at)
        if isinstance(value, str) and re.search(r"://[^/@\s]*:[^/@\s]+@", value):
            yield f"config.yaml: {path} is a URL with a password"

    yield from inline(w.config, "")
    for variable in w.container.get("env", []):
        if re.search(r"(?i)secret|password|pepper|token", variable["name"]) and "value" in variable:
            yield f"the environment variable {variable['name']} has its value in the manifest"


@check("config-fails-closed", "deploy/kubernetes/config.yaml")
def config_fails_closed(w: World) -> Iterator[str]:
    if w.config.get("enforcement", "enforce") != "enforce":
        yield f"enforcement is {w.config['enforcement']}"
    if w.config.get("outbound", {}).get("allow_loopback_http"):
        yield "outbound.allow_loopback_http is for demos and tests"
    for provider in w.config["providers"]:
        if provider.get("accept_unbound_tokens") or not (provider.get("audiences") or provider.get("clients")):
            yield f"provider {provider['name']} accepts tokens meant for other applications"
    for application in w.config["applications"]:
        if not application.get("hosts"):
            yield f"application {application['name']} has no hosts"


@check("one-namespace", "deploy/kubernetes")
def one_namespace(w: World) -> Iterator[str]:
    namespace = w.one("Namespace")["metadata"]["name"]
    for rendered in w.kubernetes:
        # A product's policy is where the product is; `policies` finds those of the pods.
        if rendered["kind"] not in ("Namespace", "NetworkPolicy") and rendered["metadata"].get("namespace") != namespace:
            yield f"{rendered['kind']} {rendered['metadata']['name']} is in {rendered['metadata'].get('namespace')}"


# --- Istio ----------------------------------------------------------------------------------------------------------------------


@check("mesh-provider-fails-closed", "deploy/istio/istiod-values.yaml")
def mesh_provider_fails_closed(w: World) -> Iterator[str]:
    settings = w.provider["envoyExtAuthzGrpc"]
    if unknown := set(settings) - PROVIDER_FIELDS:
        yield f"unknown fields: {sorted(unknown)}"
    if settings.get("failOpen") is not False:
        yield "failOpen is not false: a check that fails would let the request through"
    if settings.get("statusOnError") != "503":
        yield f"statusOnError is {settings.get('statusOnError')!r}, expected the text \"503\""
    if "timeout" not in settings:
        yield "no timeout: the default is 600 s"
    elif not 0 < seconds(settings["timeout"]) <= 5:
        yield f"timeout is {settings['timeout']}"
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", w.provider["name"]):
        yield f"istiod refuses the name {w.provider['name']}"


@check("mesh-provider-reaches-service", "deploy/istio/istiod-values.yaml")
def mesh_provider_reaches_service(w: World) -> Iterator[str]:
    settings, service = w.provider["envoyExtAuthzGrpc"], w.one("Service")
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    if settings["service"] != (expected := f"{namespace}/{name}.{namespace}.svc.cluster.local"):
        yield f"service is {settings['service']}, the Service is {expected}"
    if settings["port"] not in [p["port"] for p in service["spec"]["ports"]]:
        yield f"the Service has no port {settings['port']}"


@check("every-request-is-checked", "deploy/istio/authorization-policy.yaml")
def every_request_is_checked(w: World) -> Iterator[str]:
    spec = w.policy("CUSTOM")["spec"]
    if spec.get("rules") != [{}]:
        yield f"rules are {spec.get('rules')}: only [{{}}] matches every request, and what is not matched is not checked"
    if not spec.get("targetRefs") or "selector" in spec:
        yield "the policy must be attached by targetRefs"
    for target in spec.get("targetRefs", []):
        if (target.get("group"), target["kind"]) != ("gateway.networking.k8s.io", "Gateway"):
            yield f"the policy is attached to a {target['kind']}, not to the Gateway"


def patches(w: World, message: str) -> Iterator[Object]:
    for patch in w.one("EnvoyFilter", among="istio")["spec"]["configPatches"]:
        settings = patch["patch"]["value"]["typed_config"]
        if settings["@type"].endswith(f".{message}"):
            if patch["patch"]["operation"] != "MERGE" or patch["match"].get("context") != "GATEWAY":
                raise ValueError(f"the {message} patch must MERGE in context GATEWAY")
            yield settings


@check("client-identity-is-stripped", "deploy/istio/envoy-filter.yaml")
def client_identity_is_stripped(w: World) -> Iterator[str]:
    header = w.config.get("identity_header", "x-remote-user").lower()
    removed = {
        mutation.get("remove")
        for settings in patches(w, "HttpConnectionManager")
        for extension in settings.get("early_header_mutation_extensions", [])
        for mutation in extension["typed_config"]["mutations"]
    }
    if missing := {header, *early_removals(w.envoy)} - removed:
        yield f"not removed early: {sorted(missing)}"
    if not any(
        s.get("common_http_protocol_options", {}).get("headers_with_underscores_action") == "REJECT_REQUEST"
        for s in patches(w, "HttpConnectionManager")
    ):
        yield "headers with underscores are not rejected"
    policy, envoy_filter = w.policy("CUSTOM"), w.one("EnvoyFilter", among="istio")
    if policy["metadata"]["namespace"] != envoy_filter["metadata"]["namespace"]:
        yield "the EnvoyFilter is not in the policy's namespace"
    if policy["spec"].get("targetRefs") != envoy_filter["spec"].get("targetRefs"):
        yield "the EnvoyFilter is attached to another Gateway than the policy"


@check("ext-authz-stays-closed", "deploy/istio/envoy-filter.yaml")
def ext_authz_stays_closed(w: World) -> Iterator[str]:
    settings = list(patches(w, "ExtAuthz"))
    if not settings:
        yield "no patch of the ext_authz filter"
    for s in settings:
        if s.get("failure_mode_allow"):
            yield "failure_mode_allow is on"
        for field in ("validate_mutations", "encode_raw_headers"):
            if s.get(field) is not True:
                yield f"{field} is not on"
        if "filter_enabled" in s or "allowed_headers" in s:
            yield "the patch narrows what is checked"
        if s.get("deny_at_disable", {}).get("default_value") is not True:
            yield "what no rule matches passes unchecked"
        if s.get("decoder_header_mutation_rules") != next(ext_authz_of(w.envoy))["decoder_header_mutation_rules"]:
            yield "an answer may touch other headers than in envoy.yaml"


def ext_authz_of(config: Any) -> Iterator[Object]:
    if isinstance(config, dict) and str(config.get("@type", "")).endswith(".ExtAuthz"):
        yield config
    for inner in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from ext_authz_of(inner)


@check("only-the-gateway-calls", "deploy/istio/authorizer-access.yaml")
def only_the_gateway_calls(w: World) -> Iterator[str]:
    labels, namespace = w.pod["metadata"]["labels"], w.one("Namespace")["metadata"]["name"]
    gateway = w.policy("CUSTOM")["metadata"]["namespace"]
    grpc, admin = (str(w.listen(which)[1]) for which in ("grpc", "admin"))
    policy, peers = w.policy("ALLOW"), w.one("PeerAuthentication", among="istio")
    for rendered in (policy, peers):
        if rendered["metadata"]["namespace"] != namespace or not selects(rendered["spec"].get("selector"), labels):
            yield f"the {rendered['kind']} does not select the pods"
    opened = set()
    for rule in policy["spec"]["rules"]:
        ports = {port for to in rule.get("to", []) for port in to["operation"].get("ports", [])}
        opened |= ports
        if not ports <= {grpc, admin} or len(ports) != 1:
            yield f"a rule opens {sorted(ports) or 'every port'}"
        if not rule.get("from"):
            yield f"anyone may reach {sorted(ports)}"
        if grpc in ports:
            for source in rule.get("from", []):
                principals = source["source"].get("principals", [])
                if not principals or any(f"/ns/{gateway}/sa/" not in p or p.endswith("*") for p in principals):
                    yield f"{principals or source['source']} may reach {grpc}, expected an account of {gateway}"
    if grpc not in opened:
        yield f"nobody may reach {grpc}"
    ports = peers["spec"].get("portLevelMtls", {})
    if peers["spec"].get("mtls", {}).get("mode") != "STRICT" or ports.get(grpc, {}).get("mode", "STRICT") != "STRICT":
        yield f"mTLS is not STRICT for {grpc}: without it no caller has an identity"


@check("mesh-network-policy", "deploy/istio/networkpolicy.yaml")
def mesh_network_policy(w: World) -> Iterator[str]:
    policy = w.one("NetworkPolicy", among="istio")
    if policy["metadata"]["namespace"] != w.one("Namespace")["metadata"]["name"]:
        yield "the policy is in another namespace than the pods"
    if not selects(policy["spec"]["podSelector"], w.pod["metadata"]["labels"]):
        yield "the policy does not select the pods"
    listening = {w.listen("grpc")[1], w.listen("admin")[1]}
    for rule in policy["spec"]["ingress"]:
        ports = {p.get("port") for p in rule.get("ports", [{}])}
        if ports & (listening | {None}) and rule.get("from") != [{"ipBlock": {"cidr": AMBIENT_PROBES}}]:
            yield f"a rule opens {ports & (listening | {None})} to more than the kubelet's probes"
        elif not rule.get("from"):
            yield f"anyone may reach {ports}"


@check("waypoint-checks-everything", "deploy/istio/waypoint")
def waypoint_checks_everything(w: World) -> Iterator[str]:
    gateway = w.one("Gateway", among="waypoint")
    name, namespace = gateway["metadata"]["name"], gateway["metadata"]["namespace"]
    if gateway["spec"]["gatewayClassName"] != "istio-waypoint" or gateway["metadata"]["labels"].get("istio.io/waypoint-for") not in ("service", "all"):
        yield "the Gateway is no waypoint for Services"
    policies = [o for o in w.waypoint if o["kind"] == "AuthorizationPolicy"]
    custom = [o for o in policies if o["spec"]["action"] == "CUSTOM"]
    if len(custom) != 1 or custom[0]["metadata"]["namespace"] != namespace:
        yield "no policy asks the service in the waypoint's namespace"
    for policy in custom:
        spec = policy["spec"]
        if spec.get("rules") != [{}]:
            yield f"rules are {spec.get('rules')}: only [{{}}] matches every request"
        if spec.get("targetRefs") != [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name}] or "selector" in spec:
            yield "the policy is attached to something else than the waypoint"
        if spec["provider"] != w.policy("CUSTOM")["spec"]["provider"]:
            yield f"it asks {spec['provider']}, which istiod is not told of"


@check("waypoint-is-the-only-way", "deploy/istio/waypoint")
def waypoint_is_the_only_way(w: World) -> Iterator[str]:
    gateway, service = w.one("Gateway", among="waypoint")["metadata"], w.one("Namespace")["metadata"]["name"]
    account = [{"source": {"principals": [f"cluster.local/ns/{gateway['namespace']}/sa/{gateway['name']}"]}}]
    allowing = {o["metadata"]["namespace"]: o["spec"] for o in w.waypoint if o["kind"] == "AuthorizationPolicy" and o["spec"]["action"] == "ALLOW"}
    for namespace, what, labels in (
        (gateway["namespace"], "the product", None),
        (service, "the service", w.pod["metadata"]["labels"]),
    ):
        spec = allowing[namespace]
        if not spec.get("selector") or "targetRefs" in spec:
            yield f"{what}: ztunnel does not enforce a policy without a selector for pods"
        if labels and not selects(spec["selector"], labels):
            yield "the policy does not select the service's pods"
        if any(rule.get("from") != account for rule in spec["rules"]):
            yield f"{what} may be reached by others than the waypoint"
        opened = {port for rule in spec["rules"] for to in rule.get("to", [{"operation": {"ports": ["every"]}}]) for port in to["operation"]["ports"]}
        if what == "the service" and opened != {str(w.listen("grpc")[1])}:
            yield f"{sorted(opened)} of the service is open to the waypoint"
    peers = w.one("PeerAuthentication", among="waypoint")
    if peers["spec"]["mtls"]["mode"] != "STRICT" or peers["spec"].get("portLevelMtls") or peers["spec"]["selector"] != allowing[gateway["namespace"]]["selector"]:
        yield "the product also takes callers without an identity"
    policy = w.one("NetworkPolicy", among="waypoint")
    if policy["metadata"]["namespace"] != service or not selects(policy["spec"]["podSelector"], w.pod["metadata"]["labels"]):
        yield "the NetworkPolicy does not select the pods"
    for rule in policy["spec"]["ingress"]:
        if [p.get("port") for p in rule.get("ports", [{}])] != [15008]:
            yield "the NetworkPolicy opens more than the mesh's tunnel"
        for peer in rule.get("from", [{}]):
            if namespace_of(peer) != gateway["namespace"] or peer.get("podSelector", {}).get("matchLabels") != {"gateway.networking.k8s.io/gateway-name": gateway["name"]}:
                yield "the tunnel is open to others than the waypoint"


@check("mesh-leaves-tls-to-the-service", "deploy/istio/egress.example.yaml")
def mesh_leaves_tls_to_the_service(w: World) -> Iterator[str]:
    """Providers: the service speaks TLS itself, the mesh passes it on."""
    providers = {p["preset"]["keycloak"]["url"].removeprefix("https://") for p in w.config["providers"]}
    entries = {h: o for o in w.istio_examples if o["kind"] == "ServiceEntry" for h in o["spec"]["hosts"]}
    for host in sorted(providers):
        if host not in entries:
            yield f"no ServiceEntry for {host}"
            continue
        entry = entries[host]
        if [(p["number"], p["protocol"]) for p in entry["spec"]["ports"]] != [(443, "TLS")]:
            yield f"{host}: {entry['spec']['ports']} is something else than TLS that is passed on"
        if entry["metadata"]["namespace"] != w.one("Namespace")["metadata"]["name"]:
            yield f"{host} is known in {entry['metadata']['namespace']}"
        if any(o["kind"] == "DestinationRule" and o["spec"]["host"] == host and "tls" in o["spec"].get("trafficPolicy", {}) for o in w.istio_examples):
            yield f"{host}: TLS within TLS"


@check("mesh-reaches-an-outer-service-by-tls", "deploy/istio/external-authorizer.example.yaml")
def mesh_reaches_an_outer_service(w: World) -> Iterator[str]:
    rule = w.one("DestinationRule", among="istio_examples")
    host, tls = rule["spec"]["host"], rule["spec"]["trafficPolicy"].get("tls", {})
    entries = [o for o in w.istio_examples if o["kind"] == "ServiceEntry" and o["spec"]["hosts"] == [host]]
    if len(entries) != 1 or entries[0]["metadata"]["namespace"] != rule["metadata"]["namespace"]:
        yield f"no ServiceEntry beside it for {host}"
    for entry in entries:
        if [(p["number"], p["protocol"], p["name"]) for p in entry["spec"]["ports"]] != [(w.listen("grpc")[1], "GRPC", "grpc")]:
            yield f"{entry['spec']['ports']} is no port for checks"
    if tls.get("mode") not in ("SIMPLE", "MUTUAL"):
        yield f"TLS is {tls.get('mode')}"
    if tls.get("sni") != host or tls.get("subjectAltNames") != [host] or tls.get("insecureSkipVerify"):
        yield "any certificate is taken for the service's"
    if not tls.get("credentialName"):
        yield "no CA, and nothing to show"
    if rule["metadata"]["namespace"] != w.policy("CUSTOM")["metadata"]["namespace"]:
        yield "it is not where the Gateway is"


@check("gateway-namespace-agrees", "deploy")
def gateway_namespace_agrees(w: World) -> Iterator[str]:
    gateway, grpc = w.policy("CUSTOM")["metadata"]["namespace"], w.listen("grpc")[1]
    for rule in (rule for policy in w.policies for rule in policy.get("ingress", [])):
        if grpc in {p.get("port") for p in rule.get("ports", [])} and gateway not in map(namespace_of, rule["from"]):
            yield f"the NetworkPolicy does not let {gateway}, the Gateway's namespace, reach {grpc}"


# --- Envoy Gateway --------------------------------------------------------------------------------------------------------------


def targets(policy: Object) -> list[tuple[str, str, str | None]]:
    """What a policy is attached to."""
    if set(policy["spec"]) & {"targetRef", "targetSelectors"}:
        raise ValueError(f"{policy['metadata']['name']} is attached by something else than targetRefs")
    return [(t["kind"], t["name"], t.get("sectionName")) for t in policy["spec"]["targetRefs"]]


def early_removals(config: Any) -> Iterator[str]:
    """Headers that a plain Envoy's configuration removes first."""
    if isinstance(config, dict):
        for extension in config.get("early_header_mutation_extensions", []):
            yield from (m["remove"] for m in extension["typed_config"]["mutations"])
    for inner in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from early_removals(inner)


def gateway_rules(w: World) -> Iterator[tuple[str, Object]]:
    for route in w.all("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            yield route["metadata"]["name"], rule


@check("gateway-checks-every-route", "deploy/envoy-gateway/security-policy.yaml")
def gateway_checks_every_route(w: World) -> Iterator[str]:
    gateway = w.one("Gateway", among="envoy_gateway")
    name, namespace = gateway["metadata"]["name"], gateway["metadata"]["namespace"]
    routes = {r["metadata"]["name"] for r in w.all("HTTPRoute")}
    attached = [target for policy in w.all("SecurityPolicy") for target in targets(policy)]
    if ("Gateway", name, None) not in attached:
        yield f"no policy is attached to the whole Gateway {name}: a route without a policy of its own is not checked"
    for kind, target, section in attached:
        if (kind, target) != ("Gateway", name) and not (kind == "HTTPRoute" and target in routes and section is None):
            yield f"a policy is attached to {kind} {target}, which is not here"
    for policy in w.all("SecurityPolicy"):
        if "grpc" not in policy["spec"].get("extAuth", {}):
            yield f"{policy['metadata']['name']} asks nobody, and replaces the Gateway's policy"
    for rendered in (*w.all("SecurityPolicy"), *w.all("HTTPRoute"), *w.all("ClientTrafficPolicy")):
        if rendered["metadata"]["namespace"] != namespace:
            yield f"{rendered['metadata']['name']} is not in the Gateway's namespace"
    for route in w.all("HTTPRoute"):
        if [parent["name"] for parent in route["spec"]["parentRefs"]] != [name]:
            yield f"{route['metadata']['name']} belongs to another Gateway"
    for listener in gateway["spec"]["listeners"]:
        if listener.get("allowedRoutes", {}).get("namespaces", {}).get("from", "Same") != "Same":
            yield f"{listener['name']} takes routes of other namespaces, whose policies replace the Gateway's"


@check("gateway-fails-closed", "deploy/envoy-gateway/security-policy.yaml")
def gateway_fails_closed(w: World) -> Iterator[str]:
    for policy in w.all("SecurityPolicy"):
        name, settings = policy["metadata"]["name"], policy["spec"]["extAuth"]
        if settings.get("failOpen") is not False:
            yield f"{name}: failOpen is not false: what cannot be checked would pass, and with a mistake in the policy everything"
        if settings.get("statusOnError") != 503:
            yield f"{name}: statusOnError is {settings.get('statusOnError')}, expected 503"
        if "timeout" not in settings:
            yield f"{name}: no timeout: the default is 10 s"
        elif not 0 < seconds(settings["timeout"]) <= 5:
            yield f"{name}: timeout is {settings['timeout']}"
        for field in ("headersToExtAuth", "recomputeRoute", "bodyToExtAuth", "http"):
            if settings.get(field):
                yield f"{name}: {field} is set"


@check("gateway-policies-agree", "deploy/envoy-gateway/security-policy.yaml")
def gateway_policies_agree(w: World) -> Iterator[str]:
    """A route's policy replaces the Gateway's, so it must say all of it; only the application's name is its own."""
    said = [{k: v for k, v in p["spec"]["extAuth"].items() if k != "contextExtensions"} for p in w.all("SecurityPolicy")]
    for policy, settings in zip(w.all("SecurityPolicy"), said, strict=True):
        if settings != said[0]:
            yield f"{policy['metadata']['name']} says something else than {w.all('SecurityPolicy')[0]['metadata']['name']}"
        if more := set(policy["spec"]) - {"targetRefs", "extAuth"}:
            yield f"{policy['metadata']['name']} also has {sorted(more)}"


@check("gateway-names-the-application", "deploy/envoy-gateway/security-policy.yaml")
def gateway_names_the_application(w: World) -> Iterator[str]:
    applications = {a["name"]: set(a["hosts"]) for a in w.config["applications"]}
    for policy in w.all("SecurityPolicy"):
        named = policy["spec"]["extAuth"].get("contextExtensions", [])
        for kind, target, _ in targets(policy):
            if kind == "Gateway":
                if named:
                    yield "the Gateway's policy gives all routes one application"
                continue
            if [(one["name"], one["type"]) for one in named] != [("application", "Value")] or named[0].get("value") not in applications:
                yield f"{policy['metadata']['name']} names {named}, and the config has {sorted(applications)}"
                continue
            hosts = {h for r in w.all("HTTPRoute") if r["metadata"]["name"] == target for h in r["spec"].get("hostnames", ["*"])}
            if not hosts <= applications[named[0]["value"]]:
                yield f"{target} is for {sorted(hosts)}, which are not the hosts of {named[0]['value']}"


@check("gateway-reaches-service", "deploy/envoy-gateway")
def gateway_reaches_service(w: World) -> Iterator[str]:
    service, grpc = w.one("Service"), w.listen("grpc")[1]
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    callers = {p["metadata"]["namespace"] for p in w.all("SecurityPolicy")}
    for policy in w.all("SecurityPolicy"):
        for backend in policy["spec"]["extAuth"]["grpc"]["backendRefs"]:
            if (backend["name"], backend.get("namespace"), backend.get("kind", "Service")) != (name, namespace, "Service"):
                yield f"{policy['metadata']['name']} asks {backend.get('namespace')}/{backend['name']}, the Service is {namespace}/{name}"
            if backend.get("port") not in [p["port"] for p in service["spec"]["ports"]]:
                yield f"the Service has no port {backend.get('port')}"
    grant = w.one("ReferenceGrant", among="envoy_gateway")
    if grant["metadata"]["namespace"] != namespace:
        yield "the ReferenceGrant is in another namespace than the Service"
    expected = [{"group": "gateway.envoyproxy.io", "kind": "SecurityPolicy", "namespace": one} for one in sorted(callers)]
    if grant["spec"]["from"] != expected or grant["spec"]["to"] != [{"group": "", "kind": "Service", "name": name}]:
        yield "the ReferenceGrant does not say that exactly the SecurityPolicies may refer to the Service"
    policy, gateway = w.one("NetworkPolicy", among="envoy_gateway"), w.one("Gateway", among="envoy_gateway")["metadata"]
    if policy["metadata"]["namespace"] != namespace or not selects(policy["spec"]["podSelector"], w.pod["metadata"]["labels"]):
        yield "the NetworkPolicy does not select the pods"
    owner = {f"gateway.envoyproxy.io/owning-gateway-{key}": gateway[key] for key in ("name", "namespace")}
    for rule in policy["spec"]["ingress"]:
        if [p.get("port") for p in rule.get("ports", [{}])] != [grpc]:
            yield f"a rule opens something else than {grpc}"
        for peer in rule.get("from", [{}]):
            if not namespace_of(peer) or not owner.items() <= peer.get("podSelector", {}).get("matchLabels", {}).items():
                yield f"{peer or 'anyone'} may reach {grpc}, expected the proxies of the Gateway"


@check("gateway-strips-identity", "deploy/envoy-gateway/client-traffic-policy.yaml")
def gateway_strips_identity(w: World) -> Iterator[str]:
    policy, gateway = w.one("ClientTrafficPolicy", among="envoy_gateway"), w.one("Gateway", among="envoy_gateway")
    if targets(policy) != [("Gateway", gateway["metadata"]["name"], None)]:
        yield "the policy is not attached to the whole Gateway"
    headers = policy["spec"]["headers"]
    early = headers.get("earlyRequestHeaders", {})
    expected = {w.config.get("identity_header", "x-remote-user").lower(), *early_removals(w.envoy)}
    if missing := expected - {name.lower() for name in early.get("remove", [])}:
        yield f"not removed early: {sorted(missing)}"
    if more := set(early) - {"remove"}:
        yield f"headers are also changed by {sorted(more)}"
    if headers.get("withUnderscoresAction", "RejectRequest") != "RejectRequest":
        yield "headers with underscores are not rejected"


@check("gateway-keeps-paths", "deploy/envoy-gateway")
def gateway_keeps_paths(w: World) -> Iterator[str]:
    path = w.one("ClientTrafficPolicy", among="envoy_gateway")["spec"].get("path", {})
    if path.get("escapedSlashesAction") != "RejectRequest":
        yield "encoded slashes are not rejected"
    if path.get("disableMergeSlashes"):
        yield "slashes are not merged"
    for name, rule in gateway_rules(w):
        for used in (*rule.get("filters", []), *(f for b in rule["backendRefs"] for f in b.get("filters", []))):
            if used["type"] != "ResponseHeaderModifier":
                yield f"{name}: {used['type']} runs after the check"


@check("gateway-sessions-stay-inside", "deploy/envoy-gateway/httproute.yaml")
def gateway_sessions_stay_inside(w: World) -> Iterator[str]:
    for name, rule in gateway_rules(w):
        removed = [h.lower() for f in rule.get("filters", []) for h in f.get("responseHeaderModifier", {}).get("remove", [])]
        if "set-cookie" not in removed:
            yield f"{name}: a product's session outlives the token"


@check("gateway-client-address", "deploy/envoy-gateway/client-traffic-policy.yaml")
def gateway_client_address(w: World) -> Iterator[str]:
    detection = w.one("ClientTrafficPolicy", among="envoy_gateway")["spec"].get("clientIPDetection", {})
    hops = w.config.get("client_address", {}).get("trusted_hops", 0)
    trusted = detection.get("xForwardedFor", {})
    if set(detection) - {"xForwardedFor"} or set(trusted) - {"numTrustedHops"}:
        yield "the client's address is read from what a client can write"
    behind = trusted.get("numTrustedHops", 0)
    if hops not in ({behind + 1} if behind else {0, 1}):
        yield f"Envoy trusts {behind} load balancers, and the service {hops} addresses: the second is one more, for Envoy itself"


@check("gateway-encrypts", "deploy/envoy-gateway")
def gateway_encrypts(w: World) -> Iterator[str]:
    for listener in w.one("Gateway", among="envoy_gateway")["spec"]["listeners"]:
        if listener["protocol"] != "HTTPS" or listener["tls"].get("mode", "Terminate") != "Terminate":
            yield f"{listener['name']} is no listener that ends TLS"
    namespace = w.one("Gateway", among="envoy_gateway")["metadata"]["namespace"]
    verified = set()
    for policy in w.all("BackendTLSPolicy"):
        validation = policy["spec"]["validation"]
        trusted = validation.get("caCertificateRefs") or validation.get("wellKnownCACertificates")
        if policy["metadata"]["namespace"] == namespace and validation.get("hostname") and trusted:
            verified |= {target["name"] for target in policy["spec"]["targetRefs"] if target["kind"] == "Service"}
    for name, rule in gateway_rules(w):
        for backend in rule["backendRefs"]:
            if backend["name"] not in verified:
                yield f"{name}: no BackendTLSPolicy verifies {backend['name']}"
