"""Proves that validate.py can fail: breaks one thing at a time and expects the check that is there for it, by name.

    .tools/venv/bin/python tests/deploy/test_validate.py
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import envoy_rules
import image
import invariants
import metrics
import trustme
import validate
import yaml

World = invariants.World
Break = Callable[[World], Any]


def core(kind: str) -> Callable[[World], dict[str, Any]]:
    return lambda w: w.one(kind)


def pop(container: Any, key: Any) -> None:
    container.pop(key)


def put(container: Any, key: Any, value: Any) -> None:
    container[key] = value


def patch_of(w: World, message: str) -> dict[str, Any]:
    return next(invariants.patches(w, message))


def mount(w: World, name: str) -> dict[str, Any]:
    return next(m for m in w.container["volumeMounts"] if m["name"] == name)


def volume(w: World, name: str) -> dict[str, Any]:
    return next(v for v in w.pod["spec"]["volumes"] if v["name"] == name)


def scaler(w: World) -> dict[str, Any]:
    return w.one("HorizontalPodAutoscaler")["spec"]


def product(w: World) -> dict[str, Any]:
    return next(o["spec"] for o in w.examples if o["kind"] == "NetworkPolicy")


def secret_example(w: World) -> dict[str, Any]:
    return next(o for o in w.examples if o["kind"] == "Secret")


def job(w: World) -> dict[str, Any]:
    return next(o["spec"]["template"]["spec"] for o in w.examples if o["kind"] == "Job")


def certificate(w: World, name: str) -> dict[str, Any]:
    return next(o["spec"] for o in w.kubernetes if o["kind"] == "Certificate" and o["metadata"]["name"] == name)


def database(w: World) -> dict[str, Any]:
    return next(o["spec"]["egress"][0] for o in w.kubernetes if o["metadata"]["name"] == "atlassian-authz-database")


def preparation(w: World) -> dict[str, Any]:
    return w.pod["spec"]["initContainers"][0]


def secret_volume(w: World) -> dict[str, Any]:
    return next(v["secret"] for v in w.pod["spec"]["volumes"] if "secret" in v)


def ingress(w: World, port: int) -> dict[str, Any]:
    return next(r for r in w.one("NetworkPolicy")["spec"]["ingress"] if r["ports"][0]["port"] == port)


def authz(w: World) -> dict[str, Any]:
    return w.provider["envoyExtAuthzGrpc"]


def access(w: World) -> list[dict[str, Any]]:
    return w.policy("ALLOW")["spec"]["rules"]


def namespaces(labels: dict[str, str]) -> list[dict[str, Any]]:
    return [{"namespaceSelector": {"matchLabels": labels} if labels else {}}]


def peers(w: World) -> dict[str, Any]:
    return w.one("PeerAuthentication", among="istio")["spec"]


def mesh_ingress(w: World) -> list[dict[str, Any]]:
    return w.one("NetworkPolicy", among="istio")["spec"]["ingress"]


def at_waypoint(w: World, kind: str, namespace: str = "atlassian", action: str | None = None) -> dict[str, Any]:
    found = (o for o in w.waypoint if o["kind"] == kind and o["metadata"]["namespace"] == namespace)
    return next(o for o in found if action in (None, o["spec"].get("action")))


def entry(w: World, name: str) -> dict[str, Any]:
    return next(o for o in w.istio_examples if o["kind"] == "ServiceEntry" and o["metadata"]["name"] == name)


def outer_tls(w: World) -> dict[str, Any]:
    return w.one("DestinationRule", among="istio_examples")["spec"]["trafficPolicy"]["tls"]


def gateway(w: World, kind: str, number: int = 0) -> dict[str, Any]:
    return w.all(kind)[number]["spec"]


def ext_auth(w: World, number: int = 0) -> dict[str, Any]:
    return gateway(w, "SecurityPolicy", number)["extAuth"]


def client_traffic(w: World) -> dict[str, Any]:
    return gateway(w, "ClientTrafficPolicy")


def early(w: World) -> dict[str, Any]:
    return client_traffic(w)["headers"]["earlyRequestHeaders"]


def rule(w: World) -> dict[str, Any]:
    return gateway(w, "HTTPRoute")["rules"][0]


def filters(w: World) -> list[dict[str, Any]]:
    return rule(w)["filters"]


def proxies(w: World) -> dict[str, Any]:
    return w.one("NetworkPolicy", among="envoy_gateway")["spec"]["ingress"][0]


REWRITE = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/jira"}}}
REMOVAL = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-remote-user"]}}

# (the check that must fail, what is wrong, how to make it so)
BROKEN: list[tuple[str, str, Break]] = [
    ("probe-services", "misspelt name", lambda w: put(w.container["livenessProbe"]["grpc"], "service", "live")),
    ("probe-services", "liveness asks for readiness", lambda w: put(w.container["livenessProbe"]["grpc"], "service", "readiness")),
    ("probe-services", "HTTP probe", lambda w: put(w.container, "readinessProbe", {"httpGet": {"path": "/readyz", "port": 9002}})),
    ("probe-services", "no readiness probe", lambda w: pop(w.container, "readinessProbe")),
    ("probe-port", "probe on the admin port", lambda w: put(w.container["readinessProbe"]["grpc"], "port", 9002)),
    ("probe-port", "config moved to another port", lambda w: put(w.config["listen"], "grpc", "0.0.0.0:9101")),
    ("listen-addresses", "admin on loopback", lambda w: put(w.config["listen"], "admin", "127.0.0.1:9002")),
    ("listen-addresses", "the default", lambda w: pop(w.config, "listen")),
    ("container-ports", "wrong port", lambda w: put(w.container["ports"][0], "containerPort", 9000)),
    ("grace-period", "shorter than the drain", lambda w: put(w.pod["spec"], "terminationGracePeriodSeconds", 20)),
    ("grace-period", "a longer drain in the config", lambda w: put(w.config, "shutdown", {"drain_delay": "30s"})),
    ("grace-period", "Kubernetes' default after a sleep", lambda w: put(w.container, "lifecycle", {"preStop": {"sleep": {"seconds": 20}}})),
    ("config-mount", "another directory", lambda w: put(mount(w, "config"), "mountPath", "/config")),
    ("config-files-are-mounted", "a file from nowhere", lambda w: put(w.config["providers"][0], "ca_file", "/etc/ssl/company.pem")),
    ("config-mount", "no content hash", lambda w: put(w.one("ConfigMap")["metadata"], "name", "atlassian-authz-config")),
    ("config-mount", "subPath", lambda w: put(mount(w, "config"), "subPath", "config.yaml")),
    ("secrets-mount", "required Secret", lambda w: pop(secret_volume(w), "optional")),
    ("secrets-mount", "readable by all", lambda w: put(secret_volume(w), "defaultMode", 0o444)),
    ("secrets-mount", "the default mode", lambda w: pop(secret_volume(w), "defaultMode")),
    ("secrets-mount", "another name than the example", lambda w: put(secret_volume(w), "secretName", "other")),
    ("non-root", "root", lambda w: put(w.pod["spec"]["securityContext"], "runAsUser", 0)),
    ("non-root", "left to the image", lambda w: pop(w.container["securityContext"], "runAsNonRoot")),
    ("locked-down", "writable root", lambda w: put(w.container["securityContext"], "readOnlyRootFilesystem", False)),
    ("locked-down", "a capability", lambda w: put(w.container["securityContext"]["capabilities"], "add", ["NET_BIND_SERVICE"])),
    ("locked-down", "no seccomp", lambda w: pop(w.pod["spec"]["securityContext"], "seccompProfile")),
    ("locked-down", "escalation", lambda w: pop(w.container["securityContext"], "allowPrivilegeEscalation")),
    ("locked-down", "API token", lambda w: put(w.pod["spec"], "automountServiceAccountToken", True)),
    ("locked-down", "lax namespace", lambda w: pop(w.one("Namespace")["metadata"]["labels"], "pod-security.kubernetes.io/enforce")),
    ("resources", "no memory limit", lambda w: pop(w.container["resources"]["limits"], "memory")),
    ("survives-a-node", "one replica", lambda w: put(scaler(w), "minReplicas", 1)),
    ("scales-with-load", "another Deployment", lambda w: put(scaler(w)["scaleTargetRef"], "name", "other")),
    ("scales-with-load", "a number beside it", lambda w: put(w.one("Deployment")["spec"], "replicas", 3)),
    ("scales-with-load", "no range", lambda w: put(scaler(w), "maxReplicas", 3)),
    ("scales-with-load", "memory", lambda w: put(scaler(w)["metrics"][0]["resource"], "name", "memory")),
    ("scales-with-load", "a share of nothing", lambda w: pop(w.container["resources"]["requests"], "cpu")),
    ("one-pod-for-one-file", "a volume that nothing needs", lambda w: put(volume(w, "secrets"), "persistentVolumeClaim", {"claimName": "x"})),
    ("tls-agrees", "certificates that nothing uses", lambda w: w.kubernetes.append({"kind": "Certificate", "metadata": {"name": "x"}, "spec": {"secretName": "x"}})),
    ("probe-port", "TLS where the kubelet asks", lambda w: put(w.config["listen"], "grpc_tls", {"certificate": "/c", "key": "/k"})),
    ("survives-a-node", "no spread", lambda w: pop(w.pod["spec"], "topologySpreadConstraints")),
    ("survives-a-node", "budget of other pods", lambda w: put(w.one("PodDisruptionBudget")["spec"]["selector"], "matchLabels", {"a": "b"})),
    ("survives-a-node", "budget that blocks every drain", lambda w: put(w.one("PodDisruptionBudget")["spec"], "maxUnavailable", 0)),
    ("service-port", "admin exposed", lambda w: w.one("Service")["spec"]["ports"].append({"name": "grpc-admin", "port": 9002, "appProtocol": "grpc"})),
    ("service-port", "HTTP/1.1", lambda w: put(w.one("Service")["spec"]["ports"][0], "appProtocol", "http")),
    ("service-port", "headless", lambda w: put(w.one("Service")["spec"], "clusterIP", "None")),
    ("service-port", "nothing selected", lambda w: put(w.one("Service")["spec"], "selector", {"app": "x"})),
    ("network-policy-ingress", "9001 from anywhere", lambda w: pop(ingress(w, 9001), "from")),
    ("network-policy-ingress", "9001 from every namespace", lambda w: put(ingress(w, 9001), "from", namespaces({}))),
    ("network-policy-ingress", "every port", lambda w: pop(ingress(w, 9002), "ports")),
    ("network-policy-ingress", "a label anyone may set", lambda w: put(ingress(w, 9001), "from", namespaces({"gateway": "true"}))),
    ("network-policy-ingress", "ingress not governed", lambda w: put(w.one("NetworkPolicy")["spec"], "policyTypes", ["Egress"])),
    ("network-policy-egress", "everything", lambda w: w.one("NetworkPolicy")["spec"]["egress"].append({})),
    ("network-policy-egress", "443 to one only", lambda w: put(w.one("NetworkPolicy")["spec"]["egress"][1], "to", namespaces({"kubernetes.io/metadata.name": "sso"}))),
    ("product-is-closed", "the gateway's whole namespace", lambda w: pop(product(w)["ingress"][0]["from"][0], "podSelector")),
    ("product-is-closed", "another namespace", lambda w: product(w)["ingress"][0]["from"].extend(namespaces({"kubernetes.io/metadata.name": "default"}))),
    ("product-is-closed", "every port to the other nodes", lambda w: pop(product(w)["ingress"][1], "ports")),
    ("product-is-closed", "everyone", lambda w: put(product(w)["ingress"][1], "from", namespaces({}))),
    ("product-is-closed", "no door", lambda w: product(w)["ingress"].pop(0)),
    ("no-secret-values", "Secret applied", lambda w: w.kubernetes.append(secret_example(w))),
    ("no-secret-values", "real value in the example", lambda w: put(secret_example(w)["stringData"], "legacy-client-secret", "hunter2")),
    ("no-secret-values", "client secret in the config", lambda w: put(w.config["providers"][0], "introspection", {"client_secret": "hunter2"})),
    ("no-secret-values", "password in a URL", lambda w: put(w.config, "api_tokens", {"store": "postgres://authz:hunter2@db/authz"})),
    ("no-secret-values", "password in the environment", lambda w: put(w.container, "env", [{"name": "PG_PASSWORD", "value": "hunter2"}])),
    ("config-fails-closed", "report only", lambda w: put(w.config, "enforcement", "report_only")),
    ("config-fails-closed", "no audience", lambda w: pop(w.config["providers"][0], "audiences")),
    ("config-fails-closed", "unbound tokens", lambda w: put(w.config["providers"][0], "accept_unbound_tokens", True)),
    ("one-namespace", "elsewhere", lambda w: put(w.one("ServiceAccount")["metadata"], "namespace", "default")),
    ("mesh-provider-fails-closed", "failOpen", lambda w: put(authz(w), "failOpen", True)),
    ("mesh-provider-fails-closed", "failOpen left to the default", lambda w: pop(authz(w), "failOpen")),
    ("mesh-provider-fails-closed", "no timeout", lambda w: pop(authz(w), "timeout")),
    ("mesh-provider-fails-closed", "ten minutes", lambda w: put(authz(w), "timeout", "10m")),
    ("mesh-provider-fails-closed", "a number", lambda w: put(authz(w), "statusOnError", 503)),
    ("mesh-provider-fails-closed", "unknown field", lambda w: put(authz(w), "failopen", False)),
    ("mesh-provider-reaches-service", "wrong port", lambda w: put(authz(w), "port", 9000)),
    ("mesh-provider-reaches-service", "wrong namespace", lambda w: put(authz(w), "service", "authz/atlassian-authz.authz.svc.cluster.local")),
    ("every-request-is-checked", "no rules", lambda w: pop(w.policy("CUSTOM")["spec"], "rules")),
    ("every-request-is-checked", "empty list", lambda w: put(w.policy("CUSTOM")["spec"], "rules", [])),
    ("every-request-is-checked", "only some paths", lambda w: put(w.policy("CUSTOM")["spec"], "rules", [{"to": [{"operation": {"paths": ["/rest/*"]}}]}])),
    ("every-request-is-checked", "selector", lambda w: put(w.policy("CUSTOM")["spec"], "selector", {"matchLabels": {"a": "b"}})),
    ("client-identity-is-stripped", "another header", lambda w: put(w.config, "identity_header", "x-user")),
    ("client-identity-is-stripped", "no mutation", lambda w: pop(patch_of(w, "HttpConnectionManager"), "early_header_mutation_extensions")),
    ("client-identity-is-stripped", "underscores", lambda w: pop(patch_of(w, "HttpConnectionManager"), "common_http_protocol_options")),
    ("client-identity-is-stripped", "another Gateway", lambda w: put(w.one("EnvoyFilter", among="istio")["spec"]["targetRefs"][0], "name", "other")),
    ("ext-authz-stays-closed", "failure_mode_allow", lambda w: put(patch_of(w, "ExtAuthz"), "failure_mode_allow", True)),
    ("ext-authz-stays-closed", "unvalidated mutations", lambda w: pop(patch_of(w, "ExtAuthz"), "validate_mutations")),
    ("client-identity-is-stripped", "an alias less", lambda w: patch_of(w, "HttpConnectionManager")["early_header_mutation_extensions"][0]["typed_config"]["mutations"].pop()),
    ("ext-authz-stays-closed", "any header", lambda w: pop(patch_of(w, "ExtAuthz"), "decoder_header_mutation_rules")),
    ("ext-authz-stays-closed", "unmatched requests pass", lambda w: pop(patch_of(w, "ExtAuthz"), "deny_at_disable")),
    ("waypoint-checks-everything", "another class", lambda w: put(at_waypoint(w, "Gateway")["spec"], "gatewayClassName", "istio")),
    ("waypoint-checks-everything", "for pods only", lambda w: put(at_waypoint(w, "Gateway")["metadata"]["labels"], "istio.io/waypoint-for", "workload")),
    ("waypoint-checks-everything", "some paths", lambda w: put(at_waypoint(w, "AuthorizationPolicy", action="CUSTOM")["spec"], "rules", [{"to": []}])),
    ("waypoint-checks-everything", "a selector", lambda w: put(at_waypoint(w, "AuthorizationPolicy", action="CUSTOM")["spec"], "selector", {"matchLabels": {"a": "b"}})),
    ("waypoint-checks-everything", "another provider", lambda w: put(at_waypoint(w, "AuthorizationPolicy", action="CUSTOM")["spec"]["provider"], "name", "other")),
    ("waypoint-checks-everything", "another namespace", lambda w: put(at_waypoint(w, "AuthorizationPolicy", action="CUSTOM")["metadata"], "namespace", "other")),
    ("waypoint-is-the-only-way", "anyone in the mesh", lambda w: pop(at_waypoint(w, "AuthorizationPolicy", action="ALLOW")["spec"]["rules"][0], "from")),
    ("waypoint-is-the-only-way", "at the waypoint only", lambda w: pop(at_waypoint(w, "AuthorizationPolicy", action="ALLOW")["spec"], "selector")),
    ("waypoint-is-the-only-way", "plaintext", lambda w: put(at_waypoint(w, "PeerAuthentication")["spec"]["mtls"], "mode", "PERMISSIVE")),
    ("waypoint-is-the-only-way", "every port of the service", lambda w: pop(at_waypoint(w, "AuthorizationPolicy", "atlassian-authz")["spec"]["rules"][0], "to")),
    ("waypoint-is-the-only-way", "every pod beside the waypoint", lambda w: pop(at_waypoint(w, "NetworkPolicy", "atlassian-authz")["spec"]["ingress"][0]["from"][0], "podSelector")),
    ("waypoint-is-the-only-way", "beside the tunnel", lambda w: at_waypoint(w, "NetworkPolicy", "atlassian-authz")["spec"]["ingress"][0]["ports"].append({"port": 9001})),
    ("mesh-leaves-tls-to-the-service", "unknown", lambda w: put(entry(w, "sso")["spec"], "hosts", ["idp.example.com"])),
    ("mesh-leaves-tls-to-the-service", "HTTP", lambda w: put(entry(w, "sso")["spec"]["ports"][0], "protocol", "HTTP")),
    ("mesh-leaves-tls-to-the-service", "elsewhere", lambda w: put(entry(w, "sso")["metadata"], "namespace", "default")),
    ("mesh-leaves-tls-to-the-service", "TLS within TLS", lambda w: put(w.one("DestinationRule", among="istio_examples")["spec"], "host", "sso.example.com")),
    ("mesh-reaches-an-outer-service-by-tls", "plaintext", lambda w: pop(w.one("DestinationRule", among="istio_examples")["spec"]["trafficPolicy"], "tls")),
    ("mesh-reaches-an-outer-service-by-tls", "the mesh's certificates", lambda w: put(outer_tls(w), "mode", "ISTIO_MUTUAL")),
    ("mesh-reaches-an-outer-service-by-tls", "any certificate", lambda w: pop(outer_tls(w), "subjectAltNames")),
    ("mesh-reaches-an-outer-service-by-tls", "no CA", lambda w: pop(outer_tls(w), "credentialName")),
    ("mesh-reaches-an-outer-service-by-tls", "HTTP/1.1", lambda w: put(entry(w, "atlassian-authz")["spec"]["ports"][0], "name", "http")),
    ("mesh-reaches-an-outer-service-by-tls", "another host", lambda w: put(entry(w, "atlassian-authz")["spec"], "hosts", ["other.example.com"])),
    ("only-the-gateway-calls", "anyone", lambda w: pop(access(w)[0], "from")),
    ("only-the-gateway-calls", "every account of the mesh", lambda w: put(access(w)[0]["from"][0]["source"], "principals", ["*"])),
    ("only-the-gateway-calls", "every port", lambda w: pop(access(w)[0], "to")),
    ("only-the-gateway-calls", "plaintext", lambda w: put(peers(w)["mtls"], "mode", "PERMISSIVE")),
    ("only-the-gateway-calls", "plaintext on the port", lambda w: put(peers(w)["portLevelMtls"], "9001", {"mode": "DISABLE"})),
    ("mesh-network-policy", "opens 9001", lambda w: mesh_ingress(w).append({"from": namespaces({}), "ports": [{"port": 9001}]})),
    ("mesh-network-policy", "tunnel from anywhere", lambda w: pop(mesh_ingress(w)[0], "from")),
    ("gateway-namespace-agrees", "Gateway elsewhere", lambda w: put(w.policy("CUSTOM")["metadata"], "namespace", "gateways")),
    ("gateway-checks-every-route", "one listener only", lambda w: put(gateway(w, "SecurityPolicy")["targetRefs"][0], "sectionName", "https")),
    ("gateway-checks-every-route", "the route only", lambda w: w.envoy_gateway.remove(w.all("SecurityPolicy")[0])),
    ("gateway-checks-every-route", "a route that is not there", lambda w: put(gateway(w, "SecurityPolicy", 1)["targetRefs"][0], "name", "jira")),
    ("gateway-checks-every-route", "a route's policy without a check", lambda w: put(gateway(w, "SecurityPolicy", 1), "extAuth", {})),
    ("gateway-checks-every-route", "by labels", lambda w: put(gateway(w, "SecurityPolicy"), "targetSelectors", [{"kind": "Gateway"}])),
    ("gateway-checks-every-route", "routes of others", lambda w: put(gateway(w, "Gateway")["listeners"][0], "allowedRoutes", {"namespaces": {"from": "All"}})),
    ("gateway-checks-every-route", "another Gateway", lambda w: put(gateway(w, "HTTPRoute")["parentRefs"][0], "name", "other")),
    ("gateway-checks-every-route", "another namespace", lambda w: put(w.all("SecurityPolicy")[0]["metadata"], "namespace", "default")),
    ("gateway-fails-closed", "failOpen", lambda w: put(ext_auth(w, 1), "failOpen", True)),
    ("gateway-fails-closed", "failOpen left to the default", lambda w: pop(ext_auth(w), "failOpen")),
    ("gateway-fails-closed", "403 on error", lambda w: pop(ext_auth(w), "statusOnError")),
    ("gateway-fails-closed", "no timeout", lambda w: pop(ext_auth(w), "timeout")),
    ("gateway-fails-closed", "a minute", lambda w: put(ext_auth(w), "timeout", "1m")),
    ("gateway-fails-closed", "headers withheld", lambda w: put(ext_auth(w), "headersToExtAuth", ["authorization"])),
    ("gateway-fails-closed", "another route after the check", lambda w: put(ext_auth(w), "recomputeRoute", True)),
    ("gateway-policies-agree", "no second try for a route", lambda w: pop(ext_auth(w, 1)["grpc"]["backendSettings"], "retry")),
    ("gateway-policies-agree", "another filter", lambda w: put(gateway(w, "SecurityPolicy", 1), "basicAuth", {"users": {"name": "x"}})),
    ("gateway-names-the-application", "unknown", lambda w: put(ext_auth(w, 1)["contextExtensions"][0], "value", "wiki")),
    ("gateway-names-the-application", "nothing", lambda w: pop(ext_auth(w, 1), "contextExtensions")),
    ("gateway-names-the-application", "another word", lambda w: put(ext_auth(w, 1)["contextExtensions"][0], "name", "product")),
    ("gateway-names-the-application", "one for all routes", lambda w: put(ext_auth(w), "contextExtensions", ext_auth(w, 1)["contextExtensions"])),
    ("gateway-names-the-application", "a host of another one", lambda w: put(gateway(w, "HTTPRoute"), "hostnames", ["wiki.example.com"])),
    ("gateway-names-the-application", "every host", lambda w: pop(gateway(w, "HTTPRoute"), "hostnames")),
    ("gateway-reaches-service", "wrong port", lambda w: put(ext_auth(w)["grpc"]["backendRefs"][0], "port", 9000)),
    ("gateway-reaches-service", "wrong namespace", lambda w: pop(ext_auth(w)["grpc"]["backendRefs"][0], "namespace")),
    ("gateway-reaches-service", "no grant", lambda w: put(w.one("ReferenceGrant", among="envoy_gateway")["metadata"], "namespace", "atlassian")),
    ("gateway-reaches-service", "a grant for all Services", lambda w: pop(gateway(w, "ReferenceGrant")["to"][0], "name")),
    ("gateway-reaches-service", "a grant for others", lambda w: put(gateway(w, "ReferenceGrant")["from"][0], "namespace", "default")),
    ("gateway-reaches-service", "every pod of the namespace", lambda w: pop(proxies(w)["from"][0], "podSelector")),
    ("gateway-reaches-service", "anyone", lambda w: pop(proxies(w), "from")),
    ("gateway-reaches-service", "the admin port", lambda w: proxies(w)["ports"].append({"port": 9002})),
    ("gateway-strips-identity", "another header", lambda w: put(w.config, "identity_header", "x-user")),
    ("gateway-strips-identity", "an alias less", lambda w: early(w)["remove"].remove("x-auth-user")),
    ("gateway-strips-identity", "set instead", lambda w: put(early(w), "set", [{"name": "x-remote-user", "value": "x"}])),
    ("gateway-strips-identity", "underscores", lambda w: put(client_traffic(w)["headers"], "withUnderscoresAction", "Allow")),
    ("gateway-strips-identity", "one listener only", lambda w: put(client_traffic(w)["targetRefs"][0], "sectionName", "https")),
    ("gateway-keeps-paths", "the default", lambda w: pop(client_traffic(w)["path"], "escapedSlashesAction")),
    ("gateway-keeps-paths", "slashes", lambda w: put(client_traffic(w)["path"], "disableMergeSlashes", True)),
    ("gateway-keeps-paths", "rewrite", lambda w: filters(w).append(REWRITE)),
    ("gateway-keeps-paths", "removal after the check", lambda w: put(rule(w)["backendRefs"][0], "filters", [REMOVAL])),
    ("gateway-sessions-stay-inside", "no removal", lambda w: pop(rule(w), "filters")),
    ("gateway-client-address", "a header", lambda w: put(client_traffic(w), "clientIPDetection", {"customHeader": {"name": "x-real-ip"}})),
    ("gateway-client-address", "everybody trusted", lambda w: put(client_traffic(w), "clientIPDetection", {"xForwardedFor": {"trustedCIDRs": ["0.0.0.0/0"]}})),
    ("gateway-client-address", "one only here", lambda w: put(client_traffic(w), "clientIPDetection", {"xForwardedFor": {"numTrustedHops": 1}})),
    ("gateway-client-address", "two only there", lambda w: put(w.config, "client_address", {"trusted_hops": 2})),
    ("gateway-encrypts", "plain HTTP", lambda w: put(gateway(w, "Gateway")["listeners"][0], "protocol", "HTTP")),
    ("gateway-encrypts", "passed through", lambda w: put(gateway(w, "Gateway")["listeners"][0]["tls"], "mode", "Passthrough")),
    ("gateway-encrypts", "another backend", lambda w: put(rule(w)["backendRefs"][0], "name", "wiki")),
    ("gateway-encrypts", "no CA", lambda w: pop(gateway(w, "BackendTLSPolicy")["validation"], "caCertificateRefs")),
]

SQLITE, POSTGRES, CERT_MANAGER = (f"deploy/kubernetes/overlays/{name}" for name in ("sqlite-single", "postgres", "cert-manager"))

# (the overlay, the check that must fail, what is wrong, how to make it so)
BROKEN_OVERLAYS: list[tuple[str, str, str, Break]] = [
    (SQLITE, "one-pod-for-one-file", "two pods", lambda w: put(w.one("Deployment")["spec"], "replicas", 2)),
    (SQLITE, "one-pod-for-one-file", "an autoscaler", lambda w: w.kubernetes.append({"kind": "HorizontalPodAutoscaler", "metadata": {"name": "x"}, "spec": {"minReplicas": 1}})),
    (SQLITE, "one-pod-for-one-file", "two pods during a roll-out", lambda w: put(w.one("Deployment")["spec"]["strategy"], "type", "RollingUpdate")),
    (SQLITE, "one-pod-for-one-file", "the volume's top directory", lambda w: put(w.config["api_tokens"], "store", "sqlite:///var/lib/atlassian-authz/tokens.db")),
    (SQLITE, "one-pod-for-one-file", "a directory of the image", lambda w: put(w.config["api_tokens"], "store", "sqlite:///srv/private/tokens.db")),
    (SQLITE, "one-pod-for-one-file", "nobody prepares it", lambda w: pop(w.pod["spec"], "initContainers")),
    (SQLITE, "one-pod-for-one-file", "another directory is prepared", lambda w: put(preparation(w), "args", [preparation(w)["args"][0].replace("private", "store")])),
    (SQLITE, "one-pod-for-one-file", "no claim", lambda w: put(w.one("PersistentVolumeClaim")["metadata"], "name", "other")),
    (SQLITE, "config-files-are-mounted", "no pepper", lambda w: pop(secret_example(w)["stringData"], "pepper")),
    (SQLITE, "locked-down", "the preparation is root's", lambda w: put(preparation(w)["securityContext"], "readOnlyRootFilesystem", False)),
    (SQLITE, "non-root", "the preparation is root's", lambda w: put(preparation(w)["securityContext"], "runAsUser", 0)),
    (SQLITE, "resources", "unbounded preparation", lambda w: pop(preparation(w), "resources")),
    (POSTGRES, "network-policy-egress", "any database", lambda w: pop(database(w), "to")),
    (POSTGRES, "network-policy-egress", "the whole Internet", lambda w: put(database(w), "to", [{"ipBlock": {"cidr": "0.0.0.0/0"}}])),
    (POSTGRES, "network-policy-egress", "another port", lambda w: put(database(w)["ports"][0], "port", 5433)),
    (POSTGRES, "network-policy-ingress", "of other pods", lambda w: put(w.policies[1], "podSelector", {"matchLabels": {"a": "b"}})),
    (POSTGRES, "config-files-are-mounted", "no such key", lambda w: put(w.config["api_tokens"], "store", {"file": "/run/secrets/atlassian-authz/url"})),
    (POSTGRES, "config-files-are-mounted", "another place", lambda w: put(w.config["api_tokens"], "store", {"file": "/run/secrets/token-store"})),
    (POSTGRES, "no-secret-values", "the URL in the config", lambda w: put(w.config["api_tokens"], "store", "postgres://authz_check:hunter2@db/authz")),
    (POSTGRES, "locked-down", "a Job with another account", lambda w: put(job(w), "serviceAccountName", "default")),
    (POSTGRES, "non-root", "a Job of root", lambda w: put(job(w)["securityContext"], "runAsUser", 0)),
    (CERT_MANAGER, "probe-port", "probes on the port with TLS", lambda w: put(w.container["readinessProbe"]["grpc"], "port", 9001)),
    (CERT_MANAGER, "probe-port", "no port without TLS", lambda w: pop(w.config["listen"], "health")),
    (CERT_MANAGER, "container-ports", "the port of the probes is not declared", lambda w: w.container["ports"].pop(0)),
    (CERT_MANAGER, "listen-addresses", "health on loopback", lambda w: put(w.config["listen"], "health", "127.0.0.1:9003")),
    (CERT_MANAGER, "network-policy-ingress", "health for everybody", lambda w: w.policies[0]["ingress"].append({"from": namespaces({}), "ports": [{"port": 9003}]})),
    (CERT_MANAGER, "service-port", "health exposed", lambda w: w.one("Service")["spec"]["ports"].append({"name": "grpc-health", "port": 9003, "appProtocol": "grpc"})),
    (CERT_MANAGER, "config-mount", "a hash", lambda w: (put(volume(w, "config")["configMap"], "name", "a-0123456789"), put(w.one("ConfigMap")["metadata"], "name", "a-0123456789"))),
    (CERT_MANAGER, "config-files-are-mounted", "a key that cert-manager does not write", lambda w: put(w.config["listen"]["grpc_tls"], "key", "/run/tls/key.pem")),
    (CERT_MANAGER, "config-files-are-mounted", "a subPath", lambda w: put(mount(w, "tls"), "subPath", "tls")),
    (CERT_MANAGER, "tls-agrees", "HTTP/2 without TLS", lambda w: put(w.one("Service")["spec"]["ports"][0], "appProtocol", "kubernetes.io/h2c")),
    (CERT_MANAGER, "tls-agrees", "another Service's certificate", lambda w: put(certificate(w, "atlassian-authz"), "dnsNames", ["authz.example.com"])),
    (CERT_MANAGER, "tls-agrees", "a key for everybody", lambda w: pop(volume(w, "tls")["secret"], "defaultMode")),
    (CERT_MANAGER, "tls-agrees", "any client", lambda w: pop(w.config["listen"]["grpc_tls"], "clients")),
    (CERT_MANAGER, "tls-agrees", "any client of the CA", lambda w: pop(w.config["listen"]["grpc_tls"]["clients"], "names")),
    (CERT_MANAGER, "tls-agrees", "a name that nobody has", lambda w: put(certificate(w, "atlassian-authz-client"), "dnsNames", ["other.internal"])),
    (CERT_MANAGER, "tls-agrees", "a client of another CA", lambda w: put(certificate(w, "atlassian-authz-client")["issuerRef"], "name", "atlassian-authz-bootstrap")),
    (CERT_MANAGER, "tls-agrees", "a CA for all namespaces", lambda w: put(certificate(w, "atlassian-authz")["issuerRef"], "kind", "ClusterIssuer")),
    (CERT_MANAGER, "tls-agrees", "one key for ever", lambda w: pop(certificate(w, "atlassian-authz")["privateKey"], "rotationPolicy")),
]

# (the check that must fail, text of the Dockerfile, what replaces it)
BROKEN_IMAGE: list[tuple[str, str, str]] = [
    ("image-non-root", "USER 65532:65532", "USER 0"),
    ("image-non-root", "USER 65532:65532", "USER nonroot"),
    ("image-non-root", "USER 65532:65532", ""),
    ("image-has-no-shell", "FROM scratch", "FROM debian:trixie-slim"),
    ("image-has-no-shell", "COPY --from=build /image /", "COPY --from=build / /"),
    ("image-is-self-contained", "+crt-static", "-crt-static"),
    ("image-is-self-contained", ' --target "$(uname -m)-unknown-linux-gnu"', ""),
    ("image-is-self-contained", "cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/", "true"),
    ("image-is-self-contained", 'release/atlassian-authz" /image/', 'release/atlassian-authz" /image/bin'),
    ("image-has-no-shell", "EXPOSE", "RUN true\nEXPOSE"),
    ("image-has-no-shell", "EXPOSE", "COPY src /src\nEXPOSE"),
    ("image-starts-the-service", 'ENTRYPOINT ["/atlassian-authz"]', "ENTRYPOINT /atlassian-authz"),
    ("image-starts-the-service", "EXPOSE 9001 9002", "EXPOSE 9000"),
    ("image-starts-the-service", "/etc/atlassian-authz/config.yaml", "/config.yaml"),
    ("image-bases-are-pinned", "RUST_VERSION=1.95.0", "RUST_VERSION=1.70.0"),
    ("image-bases-are-pinned", "rust:${RUST_VERSION}-slim-trixie", "rust:latest"),
    ("image-build-is-locked", " --locked", ""),
    ("image-copies-exist", "COPY proto proto", "COPY protos protos"),
    ("image-context-is-minimal", "COPY src src", "COPY src docs ./"),
]
# These look at the sources and the manifest, not at the Dockerfile alone.
BROKEN_SOURCES = {"image-has-what-the-sources-include", "image-dependency-layer-parses"}


class TestInvariants(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.world = validate.load_world()

    def failing(self, world: World) -> set[str]:
        return {name for name, problems in invariants.run(world).items() if problems}

    def test_nothing_fails_as_it_is(self) -> None:
        self.assertEqual(self.failing(self.world), set())

    def test_each_defect_is_named(self) -> None:
        for name, what, spoil in BROKEN:
            with self.subTest(name, what=what):
                world = copy.deepcopy(self.world)
                spoil(world)
                self.assertIn(name, self.failing(world))

    def test_each_defect_of_an_overlay_is_named(self) -> None:
        worlds = {where: validate.load_overlay(self.world, folder) for where, folder in validate.overlays().items()}
        self.assertEqual({where for where, *_ in BROKEN_OVERLAYS}, set(worlds))
        for where, name, what, spoil in BROKEN_OVERLAYS:
            with self.subTest(where, name=name, what=what):
                world = copy.deepcopy(worlds[where])
                self.assertEqual(invariants.run(world, "deploy/kubernetes")[name], [])
                spoil(world)
                self.assertNotEqual(invariants.run(world, "deploy/kubernetes")[name], [])

    def test_every_check_is_broken_once(self) -> None:
        self.assertEqual({name for name, _, _ in BROKEN}, set(invariants.CHECKS))

    def test_what_is_missing_fails(self) -> None:
        """A check that does not find its object must not pass."""
        everywhere = self.world.kubernetes + self.world.istio + self.world.waypoint + self.world.istio_examples + self.world.envoy_gateway
        for kind in {o["kind"] for o in everywhere}:
            with self.subTest(kind):
                world = copy.deepcopy(self.world)
                world.kubernetes = [o for o in world.kubernetes if o["kind"] != kind]
                world.istio = [o for o in world.istio if o["kind"] != kind]
                world.waypoint = [o for o in world.waypoint if o["kind"] != kind]
                world.istio_examples = [o for o in world.istio_examples if o["kind"] != kind]
                world.envoy_gateway = [o for o in world.envoy_gateway if o["kind"] != kind]
                self.assertTrue(self.failing(world))


class TestSchemas(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.world = validate.load_world()

    def spoilt(self, spoil: Break) -> str:
        world = copy.deepcopy(self.world)
        spoil(world)
        before = self.objects(self.world)
        return self.problems([rendered for rendered in self.objects(world) if rendered not in before])

    @staticmethod
    def objects(w: World) -> list[dict[str, Any]]:
        return w.kubernetes + w.examples + w.istio + w.waypoint + w.istio_examples + w.envoy_gateway

    @staticmethod
    def problems(objects: list[dict[str, Any]]) -> str:
        return "\n".join(p for problems in validate.schema_problems(objects) for p in problems)

    def test_everything_is_valid_as_it_is(self) -> None:
        self.assertEqual(self.problems(self.objects(self.world)), "")

    def test_unknown_field_of_the_pod(self) -> None:
        self.assertIn("readonlyRootFilesystem", self.spoilt(lambda w: put(w.container["securityContext"], "readonlyRootFilesystem", True)))

    def test_wrong_type_in_a_probe(self) -> None:
        self.assertIn("Kubernetes 1.31", self.spoilt(lambda w: put(w.container["livenessProbe"]["grpc"], "port", "grpc")))

    def test_unknown_kind(self) -> None:
        self.assertIn("Couldn't find schema", self.spoilt(lambda w: put(w.one("ConfigMap"), "kind", "ConfigMapp")))

    def test_istio_unknown_field(self) -> None:
        self.assertIn("unknown field spec.providr", self.spoilt(lambda w: put(w.policy("CUSTOM")["spec"], "providr", {"name": "x"})))

    def test_istio_unknown_field_within_a_list(self) -> None:
        self.assertIn("unknown field spec.rules[0].form", self.spoilt(lambda w: put(w.policy("CUSTOM")["spec"], "rules", [{"form": []}])))

    def test_istio_unknown_value(self) -> None:
        self.assertIn("spec/mtls/mode", self.spoilt(lambda w: put(peers(w), "mtls", {"mode": "STRIKT"})))

    def test_istio_unknown_kind(self) -> None:
        self.assertIn("no published schema", self.spoilt(lambda w: put(w.policy("CUSTOM"), "kind", "AuthorisationPolicy")))

    def test_unknown_field_of_an_overlay(self) -> None:
        for where, what, spoil in (
            (CERT_MANAGER, "unknown field spec.renewbefore", lambda w: put(certificate(w, "atlassian-authz"), "renewbefore", "1h")),
            (CERT_MANAGER, "usages", lambda w: put(certificate(w, "atlassian-authz"), "usages", ["server"])),
            (SQLITE, "accessmodes", lambda w: put(w.one("PersistentVolumeClaim")["spec"], "accessmodes", [])),
            (POSTGRES, "restartpolicy", lambda w: put(job(w), "restartpolicy", "Never")),
        ):
            with self.subTest(what):
                world = validate.load_overlay(self.world, validate.ROOT / where)
                before = copy.deepcopy(self.objects(world))
                spoil(world)
                self.assertIn(what, self.problems([rendered for rendered in self.objects(world) if rendered not in before]))

    def test_envoy_gateway_unknown_field(self) -> None:
        self.assertIn("unknown field spec.extAuth.failopen", self.spoilt(lambda w: put(ext_auth(w), "failopen", False)))

    def test_envoy_gateway_unknown_field_within_a_list(self) -> None:
        self.assertIn("unknown field spec.extAuth.contextExtensions[0].val", self.spoilt(lambda w: put(ext_auth(w, 1)["contextExtensions"][0], "val", "jira")))

    def test_envoy_gateway_unknown_value(self) -> None:
        self.assertIn("withUnderscoresAction", self.spoilt(lambda w: put(client_traffic(w)["headers"], "withUnderscoresAction", "Reject")))

    def test_field_that_is_newer_than_the_published_schema(self) -> None:
        self.assertIn("spec.extAuth.statusOnError is '503'", self.spoilt(lambda w: put(ext_auth(w), "statusOnError", "503")))

    def test_gateway_unknown_field(self) -> None:
        self.assertIn("unknown field spec.rules[0].timeout", self.spoilt(lambda w: put(rule(w), "timeout", "1s")))

    def test_duplicate_key(self) -> None:
        with self.assertRaisesRegex(validate.yaml.YAMLError, "duplicate key failOpen"):
            validate.load("failOpen: false\nport: 1\nfailOpen: true\n")


class TestImage(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.world = validate.load_world()
        cls.text = (validate.DEPLOY / "docker/Dockerfile").read_text()

    def failing(self, loaded: image.Image) -> set[str]:
        return {name for name, problems in image.run(loaded).items() if problems}

    def test_nothing_fails_as_it_is(self) -> None:
        self.assertEqual(self.failing(validate.load_image(self.world)), set())

    def test_each_defect_is_named(self) -> None:
        for name, old, new in BROKEN_IMAGE:
            with self.subTest(name, old=old, new=new):
                self.assertIn(old, self.text)
                loaded = validate.load_image(self.world)
                loaded.stages = image.parse(self.text.replace(old, new))
                self.assertIn(name, self.failing(loaded))

    def test_defects_of_the_sources(self) -> None:
        """A file that the sources include, or a target the manifest names, which the image's build would not have."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "src").mkdir()
            (root / "proto").mkdir()
            (root / "migrations").mkdir()
            (root / "build.rs").write_text("fn main() {}")
            (root / "Cargo.lock").write_text("")
            (root / "README.md").write_text("")
            (root / "Cargo.toml").write_text('[package]\nname = "x"\nrust-version = "1.90"\n[[bench]]\nname = "hot"\nharness = false\n')
            (root / "src/main.rs").write_text('const S: &str = include_str!("../schema/config.json");\nfn main() {}')
            loaded = validate.load_image(self.world)
            loaded.root = root
            self.assertEqual(self.failing(loaded), BROKEN_SOURCES)

    def test_every_check_is_broken_once(self) -> None:
        self.assertEqual({name for name, _, _ in BROKEN_IMAGE} | BROKEN_SOURCES, set(image.CHECKS))


# (what Helm must say, options)
REFUSED_VALUES: list[tuple[str, tuple[str, ...]]] = [
    ("'imge' not allowed", ("--set", "imge.tag=1")),
    ("'registry' not allowed", ("--set", "image.registry=example.com")),
    ("/replicas", ("--set", "replicas=three")),
    ("/image/digest", ("--set", "image.digest=sha256:abc")),
    ("/autoscaling/minReplicas", ("--set", "autoscaling.minReplicas=1")),
    ("/persistence/accessMode", ("--set", "persistence.accessMode=ReadWriteMany")),
    ("/networkPolicy/gateways", ("--set-json", "networkPolicy.gateways=[]")),
    ("missing property 'namespace'", ("--set-json", 'networkPolicy.gateways=[{"podLabels":{}}]')),
    ("/networkPolicy/products/0/podLabels", ("--set-json", 'networkPolicy.products=[{"name":"j","namespace":"a","podLabels":{},"port":8080}]')),
    ("/config", ("--set-json", 'config={"providers":[]}')),
    ("/config", ("--set", "config=")),
    ("config cannot be read", ("--set", "config=listen: [")),
    ("listen.grpc is missing", ("--set", "config=providers: []")),
    ("listen.admin is 127.0.0.1:9002", ("--set-json", 'config="listen: { grpc: 0.0.0.0:9001, admin: 127.0.0.1:9002 }"')),
    ("listen.grpc is unix:/run/a", ("--set-json", 'config="listen: { grpc: unix:/run/a, admin: 0.0.0.0:9002 }"')),
    ("needs listen.health", ("--set-json", 'config="listen: { grpc: 0.0.0.0:9001, admin: 0.0.0.0:9002, grpc_tls: { certificate: /etc/tls/c, key: /etc/tls/k } }"')),
    ("needs tlsSecretName", ("--set-json", 'config="listen: { grpc: 0.0.0.0:9001, admin: 0.0.0.0:9002, grpc_tls: { certificate: /run/tls/tls.crt } }"')),
    ("needs persistence.enabled", ("--set-json", 'config="listen: { grpc: 0.0.0.0:9001, admin: 0.0.0.0:9002 }\\napi_tokens: { store: \\"sqlite:///t\\" }"')),
    ("maxReplicas is less", ("--set", "autoscaling.maxReplicas=2")),
    ("certManager.issuerRef.name is missing", ("--set", "certManager.enabled=true")),
]

# (what must be said, a file of the chart, its text, what replaces it): each makes another object than deploy/kubernetes
DRIFTED: list[tuple[str, str, str, str]] = [
    ("runAsUser", "templates/deployment.yaml", "runAsUser: 65532", "runAsUser: 65533"),
    ("containers[0].livenessProbe.failureThreshold", "templates/deployment.yaml", "timeoutSeconds: 3\n            failureThreshold: 3", "timeoutSeconds: 3\n            failureThreshold: 4"),
    ("terminationGracePeriodSeconds", "values.yaml", "terminationGracePeriodSeconds: 40", "terminationGracePeriodSeconds: 60"),
    ("limits.memory", "values.yaml", "memory: 256Mi", "memory: 512Mi"),
    ("ConfigMap atlassian-authz-config.data", "values.yaml", "audiences: [jira-api]", "audiences: [jira]"),
    ("only one of the two makes PodDisruptionBudget", "values.yaml", "podDisruptionBudget:\n  enabled: true", "podDisruptionBudget:\n  enabled: false"),
    ("NetworkPolicy atlassian-authz.spec.egress", "templates/networkpolicy.yaml", "port: 443", "port: 8443"),
    ("appProtocol", "templates/service.yaml", '"kubernetes.io/h2c"', '"http"'),
]


class TestChart(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.world = validate.load_world()

    def test_values_that_are_wrong_are_refused(self) -> None:
        for problem, options in REFUSED_VALUES:
            with self.subTest(problem, options=options):
                with self.assertRaises(RuntimeError) as refused:
                    validate.render_chart(*options)
                self.assertIn(problem, str(refused.exception))

    def test_drift_is_named(self) -> None:
        self.assertEqual(validate.drift(self.world.kubernetes, validate.render_chart()), [])
        for problem, file, old, new in DRIFTED:
            with self.subTest(problem), tempfile.TemporaryDirectory() as folder:
                chart = Path(folder) / "atlassian-authz"
                shutil.copytree(validate.CHART, chart)
                text = (chart / file).read_text()
                self.assertIn(old, text)
                (chart / file).write_text(text.replace(old, new, 1))
                self.assertIn(problem, "\n".join(validate.drift(self.world.kubernetes, validate.render_chart(chart=chart))))

    def test_lint_finds_what_is_no_yaml(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            chart = Path(folder) / "atlassian-authz"
            shutil.copytree(validate.CHART, chart)
            (chart / "templates/service.yaml").write_text("kind: [Service")
            self.assertTrue(all(validate.lint_chart(chart).values()))

    def test_values_that_nobody_explains_are_named(self) -> None:
        schema = json.loads((validate.CHART / "values.schema.json").read_text())
        values = validate.load_one(validate.CHART / "values.yaml")
        self.assertEqual(validate.schema_descriptions(schema) + validate.undescribed(values, schema), [])
        del schema["properties"]["image"]["properties"]["tag"], schema["properties"]["service"]["additionalProperties"]
        schema["properties"]["config"]["description"] = ""
        del values["replicas"]
        found = validate.schema_descriptions(schema) + validate.undescribed(values, schema)
        self.assertEqual(len(found), 4, found)

    def test_products_are_closed_as_the_example_shows(self) -> None:
        labels = product(self.world)["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
        gateways = [{"namespace": "istio-ingress", "podLabels": labels}]
        products = [{"name": "jira", "namespace": "atlassian", "podLabels": {"app.kubernetes.io/name": "jira"}, "port": 8080, "peerPorts": [40001, 40011]}]
        made = validate.render_chart("--set-json", f"networkPolicy.gateways={json.dumps(gateways)}", "--set-json", f"networkPolicy.products={json.dumps(products)}")
        (policy,) = (o for o in made if o["kind"] == "NetworkPolicy" and o["metadata"]["namespace"] == "atlassian")
        self.assertEqual(policy["spec"], product(self.world))


class TestConfigurations(unittest.TestCase):
    def test_config_check_sees_the_secrets_and_says_what_is_wrong(self) -> None:
        binary = validate.ROOT / "target/debug/atlassian-authz"
        if not binary.exists():
            self.skipTest("the program is not built")
        world = validate.load_overlay(validate.load_world(), validate.ROOT / POSTGRES)
        self.assertEqual(validate.config_problems(binary, world), [])
        pop(secret_example(world)["stringData"], "token-store")
        self.assertIn("'store'", "\n".join(validate.config_problems(binary, world)))
        data = world.one("ConfigMap")["data"]
        data["config.yaml"] = data["config.yaml"].replace("audiences:", "audience:")
        self.assertIn("unknown key 'audience'", "\n".join(validate.config_problems(binary, world)))


# (what must be said, how to make it so)
BROKEN_COMPOSE: list[tuple[str, Callable[[Any], Any]]] = [
    ("services/envoy: 'port' does not match", lambda d: put(d["envoy"], "port", ["8443"])),
    ("envoy: 8443:8443 is open to the network", lambda d: put(d["envoy"], "ports", ["8443:8443", "127.0.0.1:8180:8180"])),
    ("published are [8443]", lambda d: d["envoy"]["ports"].pop()),
    ("jira is not in Envoy's network namespace", lambda d: pop(d["jira"], "network_mode")),
    ("envoy.yaml connects to atlassian-authz, which is known as None", lambda d: d["envoy"]["extra_hosts"].pop(0)),
    ("envoy.yaml connects to port 8080", lambda d: put(d["jira"], "command", ["python3", "/stand_in.py", "--port", "8081"])),
    ("there is no file ./other.yaml", lambda d: put(d["authz"], "volumes", ["./other.yaml:/etc/atlassian-authz/config.yaml:ro"])),
    ("may write to ./config.yaml", lambda d: put(d["authz"], "volumes", ["./config.yaml:/etc/atlassian-authz/config.yaml"])),
    ("Keycloak calls itself http://keycloak:8180", lambda d: put(d["keycloak"]["environment"], "KC_HOSTNAME", "http://keycloak:8180")),
    ("Keycloak does not listen", lambda d: put(d["keycloak"], "command", ["start-dev", "--import-realm"])),
    ("envoy: the image is envoyproxy/envoy:v1.30.0", lambda d: put(d["envoy"], "image", "envoyproxy/envoy:v1.30.0")),
    ("jira: the image is python:latest", lambda d: put(d["jira"], "image", "python:latest")),
    ("authz may get more rights", lambda d: pop(d["authz"], "security_opt")),
    ("authz has rights", lambda d: pop(d["authz"], "read_only")),
]


class TestCompose(unittest.TestCase):
    def test_each_defect_is_named(self) -> None:
        path = validate.DEPLOY / "docker/compose.yaml"
        self.assertEqual(validate.compose_problems(validate.load_one(path)), [])
        for problem, spoil in BROKEN_COMPOSE:
            with self.subTest(problem):
                document = validate.load_one(path)
                spoil(document["services"])
                self.assertIn(problem, "\n".join(validate.compose_problems(document)))


class TestEnvoy(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.world = validate.load_world()
        if not (envoy := validate.find_tool("envoy")):
            raise unittest.SkipTest("envoy is not installed")
        cls.envoy = envoy

    def test_patches_load(self) -> None:
        self.assertEqual(validate.envoy_load(self.envoy, validate.patched_envoy(self.world)), [])

    def test_unknown_field_in_a_patch(self) -> None:
        world = copy.deepcopy(self.world)
        patch_of(world, "HttpConnectionManager")["early_header_mutations"] = []
        self.assertIn("early_header_mutations", "\n".join(validate.envoy_load(self.envoy, validate.patched_envoy(world))))


    def status(self, config: Any) -> int:
        """Of a request that no rule of the AuthorizationPolicy has matched."""
        with tempfile.TemporaryDirectory() as folder:
            file, admin = Path(folder) / "envoy.json", Path(folder) / "admin"
            file.write_text(json.dumps({**config, "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}}))
            command = [self.envoy, "-c", str(file), "--admin-address-path", str(admin), "--disable-hot-restart", "--concurrency", "1", "-l", "off"]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            try:
                limit = time.monotonic() + metrics.START_LIMIT
                while time.monotonic() < limit:
                    try:
                        page = urllib.request.urlopen(f"http://{admin.read_text()}/listeners?format=text", timeout=10).read()
                        return urllib.request.urlopen(f"http://127.0.0.1:{int(page.rpartition(b':')[2])}/rest", timeout=10).status
                    except urllib.error.HTTPError as answer:
                        return answer.code
                    except (OSError, ValueError):
                        time.sleep(0.05)
                raise AssertionError("Envoy does not answer")
            finally:
                process.kill()
                process.wait()

    def test_what_no_rule_matches_is_denied(self) -> None:
        config = validate.patched_envoy(self.world)
        for listener in config["static_resources"]["listeners"]:
            listener["enable_reuse_port"] = False
        self.assertEqual(self.status(config), 503)
        (settings,) = invariants.ext_authz_of(config)
        del settings["deny_at_disable"]
        self.assertEqual(self.status(config), 204)


Envoy = envoy_rules.Config


def host(c: Envoy, name: str = "jira") -> dict[str, Any]:
    return next(h for h in c.hosts if h["name"] == name)


def listener(c: Envoy) -> dict[str, Any]:
    return c.config["static_resources"]["listeners"][0]


def http2(c: Envoy) -> dict[str, Any]:
    (options,) = c.cluster("atlassian-authz")["typed_extension_protocol_options"].values()
    return options["explicit_http_config"]["http2_protocol_options"]


def tls(c: Envoy, cluster: str) -> dict[str, Any]:
    return c.cluster(cluster)["transport_socket"]["typed_config"]


def secret(c: Envoy, name: str) -> dict[str, Any]:
    return c.secrets[name]["resources"][0]


# (the check that must fail, what is wrong, how to make it so)
BROKEN_ENVOY: list[tuple[str, str, Callable[[Envoy], Any]]] = [
    ("envoy-asks-about-everything", "a filter before", lambda c: c.manager["http_filters"].insert(0, {"name": "envoy.filters.http.lua"})),
    ("envoy-asks-about-everything", "a filter after", lambda c: c.manager["http_filters"].insert(1, {"name": "envoy.filters.http.header_mutation"})),
    ("envoy-asks-about-everything", "a share of them", lambda c: put(c.ext_authz, "filter_enabled", {"default_value": {"numerator": 50}})),
    ("envoy-asks-about-everything", "in the shadow", lambda c: put(c.ext_authz, "shadow_mode", True)),
    ("envoy-asks-about-everything", "some headers", lambda c: put(c.ext_authz, "allowed_headers", {"patterns": [{"exact": "authorization"}]})),
    ("envoy-asks-about-everything", "open when off", lambda c: pop(c.ext_authz, "deny_at_disable")),
    ("envoy-asks-about-everything", "a route without", lambda c: put(host(c)["typed_per_filter_config"], "x", {"disabled": True})),
    ("envoy-fails-closed", "open", lambda c: put(c.ext_authz, "failure_mode_allow", True)),
    ("envoy-fails-closed", "403", lambda c: pop(c.ext_authz, "status_on_error")),
    ("envoy-fails-closed", "200 ms", lambda c: pop(c.ext_authz["grpc_service"], "timeout")),
    ("envoy-fails-closed", "a minute", lambda c: put(c.ext_authz["grpc_service"], "timeout", "60s")),
    ("envoy-shows-and-applies-headers-exactly", "joined headers", lambda c: pop(c.ext_authz, "encode_raw_headers")),
    ("envoy-shows-and-applies-headers-exactly", "unvalidated", lambda c: pop(c.ext_authz, "validate_mutations")),
    ("envoy-shows-and-applies-headers-exactly", "any header", lambda c: put(c.ext_authz["decoder_header_mutation_rules"]["allow_expression"], "regex", ".*")),
    ("envoy-shows-and-applies-headers-exactly", "no identity", lambda c: put(c.ext_authz["decoder_header_mutation_rules"]["allow_expression"], "regex", "x-user")),
    ("envoy-shows-and-applies-headers-exactly", "cleaned up", lambda c: pop(c.ext_authz["decoder_header_mutation_rules"], "disallow_is_error")),
    ("envoy-removes-identity-first", "not at all", lambda c: pop(c.manager, "early_header_mutation_extensions")),
    ("envoy-removes-identity-first", "underscores", lambda c: pop(c.manager["common_http_protocol_options"], "headers_with_underscores_action")),
    ("envoy-removes-identity-first", "after the check", lambda c: put(host(c), "request_headers_to_remove", ["x-remote-user"])),
    ("envoy-has-one-reading-of-a-path", "dots", lambda c: pop(c.manager, "normalize_path")),
    ("envoy-has-one-reading-of-a-path", "encoded slashes", lambda c: put(c.manager, "path_with_escaped_slashes_action", "UNESCAPE_AND_FORWARD")),
    ("envoy-has-one-reading-of-a-path", "a rewrite", lambda c: put(host(c)["routes"][0]["route"], "prefix_rewrite", "/jira")),
    ("envoy-believes-no-client", "its address", lambda c: pop(c.manager, "use_remote_address")),
    ("envoy-believes-no-client", "its certificate", lambda c: put(c.manager, "forward_client_cert_details", "ALWAYS_FORWARD_ONLY")),
    ("envoy-believes-no-client", "private addresses", lambda c: put(c.manager, "internal_address_config", {})),
    ("envoy-believes-no-client", "every name", lambda c: put(host(c), "domains", ["*"])),
    ("envoy-believes-no-client", "the wrong application", lambda c: put(host(c, "jira-browsers"), "typed_per_filter_config", host(c)["typed_per_filter_config"])),
    ("envoy-sessions-stay-where-they-belong", "sessions get out", lambda c: pop(host(c), "response_headers_to_remove")),
    ("envoy-sessions-stay-where-they-belong", "no sessions for browsers", lambda c: put(c.manager["route_config"], "response_headers_to_remove", ["Set-Cookie"])),
    ("envoy-sessions-stay-where-they-belong", "no browsers", lambda c: c.hosts.pop()),
    ("envoy-survives-a-replica", "the same one again", lambda c: pop(c.ext_authz["grpc_service"]["retry_policy"], "retry_host_predicate")),
    ("envoy-survives-a-replica", "cut off", lambda c: put(c.ext_authz["grpc_service"]["retry_policy"]["retry_back_off"], "max_interval", "0.25s")),
    ("envoy-survives-a-replica", "three at a time", lambda c: put(c.cluster("atlassian-authz")["circuit_breakers"]["thresholds"][0], "max_retries", 3)),
    ("envoy-survives-a-replica", "no health", lambda c: pop(c.cluster("atlassian-authz"), "health_checks")),
    ("envoy-survives-a-replica", "one core", lambda c: pop(http2(c), "max_concurrent_streams")),
    ("envoy-survives-a-replica", "few connections", lambda c: put(http2(c), "max_concurrent_streams", 4)),
    ("envoy-survives-a-replica", "HTTP/1.1", lambda c: pop(c.cluster("atlassian-authz"), "typed_extension_protocol_options")),
    ("envoy-is-bounded", "connections", lambda c: put(c.config["overload_manager"], "resource_monitors", [])),
    ("envoy-is-bounded", "slow headers", lambda c: pop(c.manager, "request_headers_timeout")),
    ("envoy-is-bounded", "a shared port", lambda c: pop(listener(c), "enable_reuse_port")),
    ("envoy-is-bounded", "a MiB each", lambda c: pop(listener(c), "per_connection_buffer_limit_bytes")),
    ("envoy-is-bounded", "admin for everybody", lambda c: put(c.config["admin"]["address"]["socket_address"], "address", "0.0.0.0")),
    ("envoy-encrypts", "clients in clear", lambda c: pop(listener(c)["filter_chains"][0], "transport_socket")),
    ("envoy-encrypts", "Jira in clear", lambda c: pop(c.cluster("jira"), "transport_socket")),
    ("envoy-encrypts", "anybody's certificate", lambda c: pop(tls(c, "jira")["common_tls_context"]["combined_validation_context"], "validation_context_sds_secret_config")),
    ("envoy-encrypts", "any name", lambda c: pop(tls(c, "atlassian-authz")["common_tls_context"]["combined_validation_context"], "default_validation_context")),
    ("envoy-encrypts", "nothing to show", lambda c: pop(tls(c, "atlassian-authz")["common_tls_context"], "tls_certificate_sds_secret_configs")),
    ("envoy-encrypts", "the default of clients", lambda c: pop(tls(c, "atlassian-authz")["common_tls_context"]["tls_params"], "tls_maximum_protocol_version")),
    ("envoy-encrypts", "a secret that is not there", lambda c: c.secrets.pop("jira-ca")),
    ("envoy-encrypts", "a secret of another name", lambda c: put(secret(c, "client"), "name", "server")),
    ("envoy-encrypts", "not watched", lambda c: pop(secret(c, "client")["tls_certificate"], "watched_directory")),
    ("envoy-encrypts", "another directory is watched", lambda c: put(secret(c, "jira-ca")["validation_context"]["watched_directory"], "path", "/etc/envoy/tls")),
]


class TestEnvoyRules(unittest.TestCase):
    def test_each_defect_is_named(self) -> None:
        configs = validate.envoy_configs()
        for config in configs.values():
            self.assertEqual([p for problems in envoy_rules.run(config).values() for p in problems], [])
        for name, what, spoil in BROKEN_ENVOY:
            with self.subTest(name, what=what):
                config = copy.deepcopy(configs["deploy/envoy/envoy-tls.yaml"])
                spoil(config)
                self.assertNotEqual(envoy_rules.run(config)[name], [])

    def test_every_check_is_broken_once(self) -> None:
        self.assertEqual({name for name, _, _ in BROKEN_ENVOY}, set(envoy_rules.CHECKS))

    def test_what_differs_from_the_configuration_without_tls(self) -> None:
        configs = validate.envoy_configs()
        configs["deploy/envoy/envoy-tls.yaml"].manager["stream_idle_timeout"] = "1s"
        self.assertIn("stream_idle_timeout is '1s'", "".join(validate.tls_differences(configs)))


SERVICE_WITH_TLS = """\
listen:
  grpc: 127.0.0.1:0
  grpc_tls:
    certificate: {tls}/tls.crt
    key: {tls}/tls.key
    clients: {{ ca: {tls}/ca.crt, names: [{name}] }}
  admin: 127.0.0.1:0
providers:
  - name: sso
    jwt: {{ issuer: "https://sso.invalid" }}
    audiences: [jira-api]
    username: {{ claim: preferred_username }}
applications:
  - name: jira
    product: jira
    hosts: [jira-api.example.com]
"""


class TestMutualTls(unittest.TestCase):
    """deploy/envoy/envoy-tls.yaml in the real Envoy, in front of the real service. Only addresses differ."""

    GATEWAY = "gateway.atlassian-authz.internal"

    def setUp(self) -> None:
        self.binary, self.envoy = validate.ROOT / "target/debug/atlassian-authz", validate.find_tool("envoy")
        if not self.binary.exists() or not self.envoy:
            self.skipTest("the program or Envoy is missing")
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.authority = trustme.CA()

    def start(self, name: str, *command: object) -> tuple[subprocess.Popen[bytes], Path]:
        log = self.folder / f"{name}.log"
        with log.open("w") as output:
            process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        return process, log

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        limit = time.monotonic() + metrics.START_LIMIT
        while time.monotonic() < limit:
            if found := condition():
                return found
            time.sleep(0.05)
        self.fail(f"{what}: not within {metrics.START_LIMIT} s")

    def scene(self, accepted: str) -> None:
        """The service, which takes the gateway of that name, and Envoy."""
        own = self.folder / "service"
        validate.put_certificate(own, self.authority, "atlassian-authz.atlassian-authz.svc.cluster.local")
        (self.folder / "config.yaml").write_text(SERVICE_WITH_TLS.format(tls=own, name=accepted))
        service, log = self.start("service", self.binary, "serve", "--config", self.folder / "config.yaml")
        grpc = int(metrics.addresses(service, log)["grpc"].rpartition(":")[2])

        config = validate.with_certificates(self.folder, validate.envoy_configs()["deploy/envoy/envoy-tls.yaml"].config, self.authority)
        for one in (config["admin"], *config["static_resources"]["listeners"]):
            one["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": 0}
        for cluster, port in zip(config["static_resources"]["clusters"], (grpc, 1), strict=True):
            (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
            endpoint["endpoint"]["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
        (self.folder / "envoy.json").write_text(json.dumps(config))
        admin = self.folder / "admin"
        self.start("envoy", self.envoy, "-c", self.folder / "envoy.json", "--admin-address-path", admin, "--disable-hot-restart", "--concurrency", "1")
        self.until(lambda: admin.exists() and ":" in admin.read_text(), "Envoy's admin port")
        self.admin = f"http://{admin.read_text()}"
        self.until(lambda: b"LIVE" in self.page("/ready"), "Envoy is ready")
        self.port = int(self.page("/listeners?format=text").rpartition(b":")[2])

    def page(self, path: str) -> bytes:
        try:
            return urllib.request.urlopen(self.admin + path, timeout=10).read()
        except OSError:
            return b""

    def status(self) -> int:
        """Of a request without a token."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="jira-api.example.com") as secure:
                secure.sendall(b"GET /rest/api/2/myself HTTP/1.1\r\nHost: jira-api.example.com\r\nConnection: close\r\n\r\n")
                return int(secure.recv(100).split()[1])

    def test_the_gateway_is_let_in_and_its_certificate_renewed(self) -> None:
        self.scene(self.GATEWAY)
        self.until(lambda: self.status() == 401, "an answer of the service")
        before = self.page("/certs")
        for name, identity in (("client", self.GATEWAY), ("server", "jira-api.example.com")):
            validate.put_certificate(self.folder / "tls" / name, self.authority, identity)

        def serials(page: bytes) -> set[str]:
            return {c["serial_number"] for one in json.loads(page)["certificates"] for c in one["cert_chain"]}

        self.until(lambda: not serials(before) & serials(self.page("/certs")), "both certificates are renewed")
        self.assertEqual(self.status(), 401)

    def test_another_client_is_not(self) -> None:
        self.scene("other.internal")
        self.assertEqual({self.status() for _ in range(5)}, {503})


# (what must be said, text of rules.yaml, what replaces it)
BROKEN_QUERIES: list[tuple[str, str, str]] = [
    ("there is no metric atlassian_authz_panic_total", "atlassian_authz_panics_total", "atlassian_authz_panic_total"),
    ("there is no metric atlassian_authz_decisions", "(atlassian_authz_decisions_total[15m])", "(atlassian_authz_decisions[15m])"),
    ("there is no metric application:atlassian_authz_undecided:rate5m", "undecided:ratio_rate5m >", "undecided:rate5m >"),
    ("atlassian_authz_api_tokens has no label status", 'tokens{state="', 'tokens{status="'),
    ("no label is ever reason='token_store_gone'", "token_store_away|", "token_store_gone|"),
    ("groups by issuers", "namespace, provider, issuer)", "namespace, provider, issuers)"),
    ("asks for no metric", "sum by (namespace) (increase(atlassian_authz_panics_total[15m]))", "sum(increase(up[15m]))"),
]

# (the alert, text of rules.yaml, what replaces it): each makes a rule that is valid, and wrong
BROKEN_ALERTS: list[tuple[str, str, str]] = [
    ("AtlassianAuthzUndecided", "ratio_rate5m > 0.05", "ratio_rate5m > 0.5"),
    ("AtlassianAuthzUndecided", "ratio_rate5m > 0.05", "ratio_rate5m > 0"),
    ("AtlassianAuthzProviderKeysGone", "min by (namespace, provider, issuer)", "max by (namespace, provider, issuer)"),
    ("AtlassianAuthzProviderKeysStale", "timestamp_seconds > 0)", "timestamp_seconds)"),
    ("AtlassianAuthzProviderKeysStale", "min by (namespace, provider, issuer) (atlassian_authz_provider_keys_confirmed", "max by (namespace, provider, issuer) (atlassian_authz_provider_keys_confirmed"),
    ("AtlassianAuthzConfigReloadFailed", "max by (namespace) (atlassian_authz_config_reload_failed)", "min by (namespace) (atlassian_authz_config_reload_failed)"),
    ("AtlassianAuthzConfigNeedsRestart", "config_needs_restart) == 1\n        for: 1h", "config_needs_restart) == 1\n        for: 5m"),
    ("AtlassianAuthzTlsCertificateExpiresSoon", "< 14 * 86400", "< 30 * 86400"),
    ("AtlassianAuthzTlsCertificateEnds", "- time() < 86400", "- time() < 864"),
    ("AtlassianAuthzTlsHandshakesFail", "[15m])) > 10\n", "[15m])) > 0\n"),
    ("AtlassianAuthzTokenStoreDown", "min by (namespace) (atlassian_authz_token_store_up)", "max by (namespace) (atlassian_authz_token_store_up)"),
    ("AtlassianAuthzProviderCircuitOpen", "(increase(atlassian_authz_provider_checks_total[5m])) > 0", "(atlassian_authz_provider_checks_total) > 0"),
    ("AtlassianAuthzTokenStoreFails", '{result="failed"}', '{result="unknown"}'),
]


class TestPrometheus(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = validate.DEPLOY / "prometheus"
        cls.text = (cls.folder / "rules.yaml").read_text()
        cls.readme = (cls.folder / "README.md").read_text()
        cls.tests = [validate.load_one(path) for path in sorted(cls.folder.glob("*_test.yaml"))]
        cls.known = metrics.declared(validate.ROOT)

    def rules(self, old: str = "", new: str = "") -> Any:
        self.assertIn(old, self.text)
        (document,) = validate.load(self.text.replace(old, new) if old else self.text)
        return document

    def test_nothing_fails_as_it_is(self) -> None:
        self.assertEqual(metrics.rules_problems(self.rules(), self.known), [])
        self.assertEqual(metrics.alerts_problems(self.rules(), self.tests, self.readme), [])
        self.assertEqual(validate.operator_problems(self.readme, validate.ROOT), [])
        self.assertEqual(metrics.names_problems(self.readme, self.known), [])

    def test_a_page_that_names_another_metric(self) -> None:
        self.assertEqual(metrics.names_problems("`atlassian_authz_key_age`", self.known), ["there is no metric atlassian_authz_key_age"])

    def test_what_is_not_counted_is_named(self) -> None:
        for problem, old, new in BROKEN_QUERIES:
            with self.subTest(problem):
                self.assertIn(problem, "\n".join(metrics.rules_problems(self.rules(old, new), self.known)))

    def test_alerts_without_test_or_runbook_are_named(self) -> None:
        renamed = metrics.alerts_problems(self.rules("alert: AtlassianAuthzSlow", "alert: AtlassianAuthzSlower"), self.tests, self.readme)
        self.assertEqual(len(renamed), 4, renamed)
        self.assertIn("severity", "\n".join(metrics.alerts_problems(self.rules("{ severity: warning }", "{ severity: page }"), self.tests, self.readme)))
        silent = copy.deepcopy(self.tests)
        for file in silent:
            for test in file["tests"]:
                test.pop("alert_rule_test", None)
        self.assertEqual(len(metrics.alerts_problems(self.rules(), silent, self.readme)), 2 * self.text.count("- alert: "))

    def test_pages_that_differ_from_the_sources_are_named(self) -> None:
        page = {name: labels for name, labels in self.known.labels.items() if not labels}
        self.assertEqual(metrics.exposed_problems(page, self.known), [])
        self.assertEqual(len(metrics.exposed_problems({**page, "atlassian_authz_api_tokens": {"status"}}, self.known)), 1)
        del page["atlassian_authz_panics_total"]
        self.assertEqual(metrics.exposed_problems(page, self.known), ["/metrics lacks atlassian_authz_panics_total"])

    def test_scrape_configuration_of_other_pods(self) -> None:
        config, world = validate.load_one(self.folder / "prometheus.yaml"), validate.load_world()
        self.assertEqual(validate.scrape_problems(config, world), [])
        job = config["scrape_configs"][0]
        job["kubernetes_sd_configs"][0]["namespaces"]["names"] = ["default"]
        job["relabel_configs"][0]["regex"] = "atlassian-authz;grpc"
        job["relabel_configs"][1]["target_label"] = "kubernetes_namespace"
        self.assertEqual(len(validate.scrape_problems(config, world)), 3)

    def test_other_object_of_the_operator(self) -> None:
        for old, new in (("s/^/  /", "s/^/    - /"), ("kind: PrometheusRule", "kind: PodMonitor"), ("sed 's/^/  /'", "sed 's/1h/2h/; s/^/  /'")):
            with self.subTest(new):
                self.assertIn(old, self.readme)
                self.assertNotEqual(validate.operator_problems(self.readme.replace(old, new), validate.ROOT), [])

    def test_promtool_finds_wrong_alerts(self) -> None:
        if os.environ.get("SKIP_PROMTOOL") == "1":
            self.skipTest("SKIP_PROMTOOL=1")
        promtool = validate.find_tool("promtool")
        for name, old, new in BROKEN_ALERTS:
            with self.subTest(name, new=new), tempfile.TemporaryDirectory() as temporary:
                self.assertIn(old, self.text)
                (Path(temporary) / "rules.yaml").write_text(self.text.replace(old, new, 1))
                shutil.copy(self.folder / "prometheus.yaml", temporary)
                # Only the tests of this alert: all of them take seconds.
                # Everything as text: to YAML `0x25` is a number, to promtool it is a series.
                document = yaml.load((self.folder / "rules_test.yaml").read_text(), yaml.BaseLoader)
                document["tests"] = [t for t in document["tests"] if name in {a["alertname"] for a in t.get("alert_rule_test", [])}]
                (Path(temporary) / "rules_test.yaml").write_text(json.dumps(document))
                found = validate.promtool_problems(promtool, Path(temporary))
                self.assertEqual({file for file, problems in found.items() if problems}, {"rules_test.yaml"})
                self.assertIn(f"alertname: {name}", found["rules_test.yaml"][0])


def panel(document: Any, title: str) -> dict[str, Any]:
    return next(p for p in document["panels"] if p["title"] == title)


def ask(document: Any, query: str) -> None:
    panel(document, "Checks")["targets"][0]["expr"] = query


# (what must be said, how to make it so)
BROKEN_DASHBOARDS: list[tuple[str, Callable[[Any], Any]]] = [
    ("the id 1 is used twice", lambda d: put(d["panels"][3], "id", 1)),
    ("Denials by reason overlaps Decisions by application and status", lambda d: put(panel(d, "Denials by reason")["gridPos"], "x", 11)),
    ("Denials by reason is wider than the grid", lambda d: put(panel(d, "Denials by reason")["gridPos"], "x", 13)),
    ("Checks overlaps Replicas", lambda d: put(panel(d, "Checks"), "gridPos", panel(d, "Replicas")["gridPos"])),
    ("there is no metric atlassian_authz_checks_total", lambda d: ask(d, "rate(atlassian_authz_checks_total[5m])")),
    ("groups by host", lambda d: ask(d, "sum by (host) (atlassian_authz_cache_bytes)")),
    ("has no label verdict", lambda d: ask(d, 'atlassian_authz_decisions_total{verdict="deny"}')),
    ("no label is ever reason='tokens_valid'", lambda d: ask(d, 'atlassian_authz_decisions_total{reason="tokens_valid"}')),
    ("there is no variable $cluster", lambda d: ask(d, 'atlassian_authz_cache_bytes{namespace="$cluster"}')),
    ("Checks does not use the variable data source", lambda d: put(panel(d, "Checks")["targets"][0], "datasource", {"type": "prometheus", "uid": "P1"})),
    ("Checks does not use the variable data source", lambda d: pop(panel(d, "Checks"), "datasource")),
    ("Checks asks nothing", lambda d: put(panel(d, "Checks"), "targets", [])),
    ("has a refId twice", lambda d: put(panel(d, "Time from check to answer")["targets"][1], "refId", "A")),
    ("the data source is no variable", lambda d: d["templating"]["list"].pop(0)),
    ("variable namespace: there is no metric", lambda d: put(d["templating"]["list"][1]["query"], "query", "label_values(atlassian_authz_info, namespace)")),
    ("it has the id", lambda d: put(d, "id", 7)),
]


class TestDashboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.document = json.loads((validate.DEPLOY / "grafana/dashboard.json").read_text())
        cls.known = metrics.declared(validate.ROOT)

    def test_nothing_fails_as_it_is(self) -> None:
        self.assertEqual(metrics.dashboard_problems(self.document, self.known), [])

    def test_each_defect_is_named(self) -> None:
        for problem, spoil in BROKEN_DASHBOARDS:
            with self.subTest(problem):
                document = copy.deepcopy(self.document)
                spoil(document)
                self.assertIn(problem, "\n".join(metrics.dashboard_problems(document, self.known)))

    def test_a_query_that_cannot_be_parsed(self) -> None:
        if os.environ.get("SKIP_PROMTOOL") == "1":
            self.skipTest("SKIP_PROMTOOL=1")
        promtool = validate.find_tool("promtool")
        self.assertEqual(validate.query_syntax_problems(promtool, self.document), [])
        document = copy.deepcopy(self.document)
        panel(document, "Checks")["targets"][0]["expr"] += ")"
        self.assertNotEqual(validate.query_syntax_problems(promtool, document), [])


class TestCommand(unittest.TestCase):
    """The whole command on a copy of the repository's deploy folder with one defect."""

    def run_on_copy(self, file: str, old: str, new: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            shutil.copytree(validate.DEPLOY, root / "deploy")
            shutil.copytree(validate.HERE, root / "tests/deploy", ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
            (root / "tests/deploy/node_modules").symlink_to(validate.HERE / "node_modules")
            for name in ("Cargo.toml", "Cargo.lock", "build.rs", "proto", "migrations", "docs", "src", "scripts", "tests/real", ".tools"):
                if (validate.ROOT / name).exists():
                    (root / name).parent.mkdir(parents=True, exist_ok=True)
                    (root / name).symlink_to(validate.ROOT / name)
            text = (root / file).read_text()
            self.assertIn(old, text)
            (root / file).write_text(text.replace(old, new))
            command = [sys.executable, str(root / "tests/deploy/validate.py")]
            return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})

    def test_a_defect_exits_1_and_is_named(self) -> None:
        done = self.run_on_copy("deploy/istio/istiod-values.yaml", "failOpen: false", "failOpen: true")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("FAIL  mesh-provider-fails-closed: deploy/istio/istiod-values.yaml: failOpen is not false", done.stdout)
        self.assertRegex(done.stdout.splitlines()[-1], r"^\d+ passed, [1-9]\d* failed$")

    def test_what_does_not_render_exits_1(self) -> None:
        done = self.run_on_copy("deploy/kubernetes/base/kustomization.yaml", "- service.yaml", "- servise.yaml")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("FAIL  render: ", done.stdout)
        self.assertIn("FAIL  every-file-is-applied: deploy/kubernetes/base: service.yaml is not in kustomization.yaml", done.stdout)


if __name__ == "__main__":
    unittest.main()
