"""What the Envoy configurations that we ship promise beyond loading: named checks, in the form of `invariants.py`.

Each is a line of what an Envoy in front of a product that believes a header has to have. `validate.py` runs them, `test_validate.py`
proves that each can fail.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from checks import Checks

Object = dict[str, Any]
AUTHORIZER = "atlassian-authz"
IDENTITY = "x-remote-user"
# The virtual hosts whose clients have sessions, and so cookies. All others are for callers with a token.
BROWSERS = {"jira-browsers"}
EXT_AUTHZ = "envoy.filters.http.ext_authz"


@dataclass
class Config:
    """A whole configuration. `secret`: what its files of secrets hold, by their names; none where it has no TLS."""

    config: Object
    secrets: dict[str, Object] | None = None

    def of_type(self, message: str) -> Object:
        found = [o for o in objects(self.config) if str(o.get("@type", "")).endswith(f".{message}")]
        if len(found) != 1:
            raise LookupError(f"{len(found)} objects of type {message}, expected one")
        return found[0]

    @property
    def manager(self) -> Object:
        return self.of_type("HttpConnectionManager")

    @property
    def ext_authz(self) -> Object:
        return self.of_type("ExtAuthz")

    @property
    def hosts(self) -> list[Object]:
        return self.manager["route_config"]["virtual_hosts"]

    def cluster(self, name: str) -> Object:
        (found,) = (c for c in self.config["static_resources"]["clusters"] if c["name"] == name)
        return found


def objects(value: Any) -> Iterator[Object]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(inner)


CHECKS: Checks[Config] = Checks()
check, run = CHECKS.named, CHECKS.run


def differing(given: Object, expected: Object) -> Iterator[str]:
    for name, value in expected.items():
        if given.get(name) != value:
            yield f"{name} is {given.get(name)}, expected {value}"


@check("envoy-asks-about-everything")
def asks_about_everything(c: Config) -> Iterator[str]:
    first, *rest = c.manager["http_filters"]
    if first["name"] != EXT_AUTHZ:
        yield f"{first['name']} runs before the check"
    if [f["name"] for f in rest] != ["envoy.filters.http.router"]:
        yield f"after the check come {[f['name'] for f in rest]}"
    for name in ("filter_enabled", "filter_enabled_metadata", "shadow_mode", "allowed_headers", "with_request_body", "clear_route_cache"):
        if name in c.ext_authz:
            yield f"{name} is set"
    if c.ext_authz.get("deny_at_disable", {}).get("default_value") is not True:
        yield "a filter that is switched off lets everything through"
    for o in objects(c.config):
        if o.get("disabled") is True:
            yield "a route is not checked"


@check("envoy-fails-closed")
def fails_closed(c: Config) -> Iterator[str]:
    yield from differing(c.ext_authz, {"failure_mode_allow": False, "status_on_error": {"code": "ServiceUnavailable"}, "transport_api_version": "V3"})
    timeout = c.ext_authz["grpc_service"].get("timeout", "0")
    if not 0 < float(timeout.rstrip("s")) <= 1:
        yield f"the time limit of a check is {timeout}"


@check("envoy-shows-and-applies-headers-exactly")
def headers_exactly(c: Config) -> Iterator[str]:
    yield from differing(c.ext_authz, {"encode_raw_headers": True, "validate_mutations": True})
    rules = c.ext_authz["decoder_header_mutation_rules"]
    yield from differing(rules, {"disallow_all": True, "disallow_is_error": True})
    allowed = re.compile(rules["allow_expression"]["regex"])
    for name in (IDENTITY, "remote-user", "x-forwarded-email", "authorization", "cookie"):
        if not allowed.fullmatch(name):
            yield f"an answer may not touch {name}, so nobody gets in"
    for name in (":path", ":method", ":authority", "host", "content-length", "transfer-encoding", "x-forwarded-for"):
        if allowed.fullmatch(name):
            yield f"an answer may change {name}"


@check("envoy-removes-identity-first")
def removes_identity(c: Config) -> Iterator[str]:
    removed = [m.get("remove") for e in c.manager.get("early_header_mutation_extensions", []) for m in e["typed_config"]["mutations"]]
    if IDENTITY not in removed:
        yield f"a client's {IDENTITY} is not removed early"
    if c.manager["common_http_protocol_options"].get("headers_with_underscores_action") != "REJECT_REQUEST":
        yield "headers with underscores are not rejected"
    for o in objects(c.config):
        for name in ("request_headers_to_remove", "request_headers_to_add"):
            if name in o:
                yield f"{name} runs after the check"


@check("envoy-has-one-reading-of-a-path")
def one_path(c: Config) -> Iterator[str]:
    yield from differing(c.manager, {"normalize_path": True, "merge_slashes": True, "path_with_escaped_slashes_action": "REJECT_REQUEST"})
    if c.manager.get("stream_error_on_invalid_http_message"):
        yield "a connection outlives an invalid message"
    for o in objects(c.config):
        if rewrites := {"prefix_rewrite", "regex_rewrite", "path_rewrite_policy", "path_rewrite"} & set(o):
            yield f"{sorted(rewrites)} runs after the check"


@check("envoy-believes-no-client")
def believes_no_client(c: Config) -> Iterator[str]:
    yield from differing(c.manager, {"use_remote_address": True, "forward_client_cert_details": "SANITIZE"})
    for name in ("internal_address_config", "skip_xff_append", "xff_num_trusted_hops"):
        if name in c.manager:
            yield f"{name} is set: whoever is believed must be known"
    for host in c.hosts:
        if "*" in host["domains"]:
            yield f"{host['name']} is for every name"
        named = host["typed_per_filter_config"][EXT_AUTHZ]["check_settings"]["context_extensions"]
        if named != {"application": host["name"]}:
            yield f"{host['name']} is checked as {named}"


@check("envoy-sessions-stay-where-they-belong")
def sessions(c: Config) -> Iterator[str]:
    """Callers with a token get no cookie, which would outlive it. Browsers need theirs."""
    if missing := BROWSERS - {h["name"] for h in c.hosts}:
        yield f"there is no host {sorted(missing)}"
    for host in c.hosts:
        places = [host, c.manager["route_config"], *host["routes"], *(r.get("route", {}) for r in host["routes"])]
        removes = any("set-cookie" in map(str.lower, place.get("response_headers_to_remove", [])) for place in places)
        if removes == (host["name"] in BROWSERS):
            yield f"{host['name']}: " + ("browsers lose their sessions" if removes else "a product's session outlives the token")


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


@check("envoy-survives-a-replica")
def survives_a_replica(c: Config) -> Iterator[str]:
    retry = c.ext_authz["grpc_service"]["retry_policy"]
    if not {"connect-failure", "refused-stream", "reset", "unavailable"} <= set(retry["retry_on"].split(",")):
        yield f"no second try on {retry['retry_on']}"
    if [p["name"] for p in retry.get("retry_host_predicate", [])] != ["envoy.retry_host_predicates.previous_hosts"]:
        yield "a second try may meet the same replica"
    # Envoy gives up each try after max_interval, whatever the name says.
    if seconds(retry["retry_back_off"]["max_interval"]) < seconds(c.ext_authz["grpc_service"]["timeout"]):
        yield "a check that takes long is cut off and asked again"
    cluster = c.cluster(AUTHORIZER)
    (limits,) = cluster["circuit_breakers"]["thresholds"]
    if limits["max_retries"] < 100:
        yield f"only {limits['max_retries']} second tries at a time"
    (health,) = cluster["health_checks"]
    if health["grpc_health_check"]["service_name"] != "envoy.service.auth.v3.Authorization":
        yield f"health is asked of {health['grpc_health_check']}"
    options = cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    if "http2_protocol_options" not in options["explicit_http_config"]:
        yield "gRPC needs HTTP/2"
        return
    streams = options["explicit_http_config"]["http2_protocol_options"].get("max_concurrent_streams")
    if streams is None or streams > 32:
        yield "one connection is served on one core, however much is asked on it"
    elif streams * limits.get("max_connections", 1024) < limits["max_requests"]:
        yield "there are not enough connections for all requests"


@check("envoy-is-bounded")
def bounded(c: Config) -> Iterator[str]:
    if not any(m["name"].endswith("global_downstream_max_connections") for m in c.config["overload_manager"]["resource_monitors"]):
        yield "any number of connections"
    for name in ("request_headers_timeout", "stream_idle_timeout"):
        if name not in c.manager:
            yield f"no {name}"
    for listener in c.config["static_resources"]["listeners"]:
        if listener.get("enable_reuse_port") is not False:
            yield f"another process may share the port of {listener['name']}"
        if listener.get("per_connection_buffer_limit_bytes", 1 << 20) > 1 << 16:
            yield f"a slow reader costs {listener['name']} a MiB"
    if c.config["admin"]["address"]["socket_address"]["address"] != "127.0.0.1":
        yield "the admin port is open to the network"


@check("envoy-encrypts")
def encrypts(c: Config) -> Iterator[str]:
    """Only of a configuration that has secrets at all."""
    if c.secrets is None:
        return
    for listener in c.config["static_resources"]["listeners"]:
        for chain in listener["filter_chains"]:
            if not chain.get("transport_socket", {}).get("typed_config", {}).get("@type", "").endswith(".DownstreamTlsContext"):
                yield f"{listener['name']} speaks to clients without TLS"
    for cluster in c.config["static_resources"]["clusters"]:
        context = cluster.get("transport_socket", {}).get("typed_config", {})
        if not context.get("@type", "").endswith(".UpstreamTlsContext"):
            yield f"{cluster['name']} is reached without TLS"
            continue
        if context["common_tls_context"].get("tls_params", {}).get("tls_maximum_protocol_version") != "TLSv1_3":
            yield f"{cluster['name']}: as a client Envoy speaks TLS 1.2 at most unless it is told to"
        validation = context["common_tls_context"].get("combined_validation_context", {})
        names = validation.get("default_validation_context", {}).get("match_typed_subject_alt_names", [])
        if [n["matcher"].get("exact") for n in names] != [context["sni"]]:
            yield f"{cluster['name']}: any certificate of its CA is taken"
        if "validation_context_sds_secret_config" not in validation:
            yield f"{cluster['name']}: nobody's certificate is verified"
        if cluster["name"] == AUTHORIZER and not context["common_tls_context"].get("tls_certificate_sds_secret_configs"):
            yield "the service is shown no certificate"
    used = {o["name"]: o["sds_config"]["path_config_source"]["path"] for o in objects(c.config) if "sds_config" in o}
    for name, path in used.items():
        if path.rpartition("/")[2] != f"{name}.yaml" or name not in c.secrets:
            yield f"there is no secret {name} in {path}"
            continue
        (secret,) = c.secrets[name]["resources"]
        if secret["name"] != name:
            yield f"{path} has {secret['name']}"
        content = secret.get("tls_certificate") or secret["validation_context"]
        files = [o["filename"] for o in objects(content) if "filename" in o]
        if {f.rpartition("/")[0] for f in files} != {content.get("watched_directory", {}).get("path")}:
            yield f"{path}: a renewed file is not seen"
    if unused := set(c.secrets) - set(used):
        yield f"nobody uses {sorted(unused)}"


def without_tls(config: Object) -> Object:
    """The configuration as it would be without any TLS."""
    plain = copy.deepcopy(config)
    plain.pop("node", None)
    for o in objects(plain):
        o.pop("transport_socket", None)
    return plain
