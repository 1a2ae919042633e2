"""Named checks of deploy/docker/Dockerfile, in the form of `invariants.py`: generators of problems, none means that it holds.

They need no container engine. hadolint knows the language; these know our image.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checks import Checks

# What the final stage copies, and what the build stage must have put there.
CONTENT = "/image"
CA_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# Sources that the dependency layer writes as empty files.
STUBBED = {"src/main.rs", "src/lib.rs", "build.rs", "benches/load/main.rs", "benches/allocations/main.rs", "tests/faults/main.rs"}


@dataclass
class Stage:
    base: str
    name: str | None
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        return [rest for k, rest in self.instructions if k == keyword]

    def last(self, keyword: str) -> str:
        return self.all(keyword)[-1]


@dataclass
class Image:
    """A parsed Dockerfile and what it is compared with."""

    root: Path
    stages: list[Stage]
    ignore: list[str]
    container: dict[str, Any]
    config: dict[str, Any]

    @property
    def final(self) -> Stage:
        return self.stages[-1]

    @property
    def build(self) -> Stage:
        return {s.name: s for s in self.stages}["build"]

    def context_sources(self) -> Iterator[str]:
        """What is copied from the build context."""
        for stage in self.stages:
            for rest in stage.all("COPY") + stage.all("ADD"):
                words = shlex.split(rest)
                if not any(w.startswith("--from") for w in words):
                    yield from (w.rstrip("/") for w in words[:-1] if not w.startswith("--"))


def parse(text: str) -> list[Stage]:
    """Stages of a Dockerfile. ARGs before the first FROM are substituted; heredocs are not understood (we use none)."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for instruction in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if not instruction.strip():
            continue
        keyword, _, rest = instruction.strip().partition(" ")
        keyword, rest = keyword.upper(), re.sub(r"\s+", " ", rest.strip())
        if keyword == "FROM":
            rest = re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], rest)
            words = [w for w in rest.split() if not w.startswith("--")]
            stages.append(Stage(words[0], words[2] if len(words) == 3 else None))
        elif not stages:
            name, _, value = rest.partition("=")
            arguments[name] = value
        else:
            stages[-1].instructions.append((keyword, rest))
    return stages


CHECKS: Checks[Image] = Checks()
check, run = CHECKS.named, CHECKS.run


@check("image-non-root")
def non_root(image: Image) -> Iterator[str]:
    user = image.final.last("USER").split(":")[0]
    if not user.isdigit():
        yield f"USER {user} is not a number: Kubernetes cannot tell that it is not root"
    elif int(user) == 0:
        yield "the final stage runs as root"


@check("image-has-no-shell")
def no_shell(image: Image) -> Iterator[str]:
    if image.final.base != "scratch":
        yield f"{image.final.base} is more than nothing"
    for keyword in ("RUN", "SHELL", "ADD"):
        if image.final.all(keyword):
            yield f"{keyword} in the final stage"
    if image.final.all("COPY") != [f"--from=build {CONTENT} /"]:
        yield f"the final stage copies {image.final.all('COPY')}, expected {CONTENT} of the build stage"


@check("image-is-self-contained")
def self_contained(image: Image) -> Iterator[str]:
    """Nothing is there to link with at run time, nor to verify a provider by, unless the build stage brings it."""
    if '"-C target-feature=+crt-static"' not in " ".join(image.build.all("ENV")):
        yield "the program is not linked statically"
    for build in re.findall(r"cargo build[^&;|]*", " && ".join(image.build.all("RUN"))):
        if "--target" not in build:
            yield f"{build.strip()}: without --target procedural macros would be linked statically too, which they cannot be"
    copied = re.findall(rf"cp (\"[^\"]+\"|\S+) {CONTENT}(/\S*)", image.build.last("RUN"))
    if not any(source.strip('"').endswith("/release/atlassian-authz") and to == "/" for source, to in copied):
        yield f"the program is not put into {CONTENT}"
    if (CA_CERTIFICATES, CA_CERTIFICATES.rpartition("/")[0] + "/") not in copied:
        yield "no CA certificates: no provider could be verified"


@check("image-starts-the-service")
def starts_the_service(image: Image) -> Iterator[str]:
    entrypoint, arguments = json.loads(image.final.last("ENTRYPOINT")), json.loads(image.final.last("CMD"))
    if entrypoint != ["/atlassian-authz"]:
        yield f"ENTRYPOINT is {entrypoint}"
    if arguments != image.container["args"]:
        yield f"CMD is {arguments}, the Deployment runs {image.container['args']}"
    if "command" in image.container:
        yield "the Deployment replaces the entry point"
    exposed = {int(port) for rest in image.final.all("EXPOSE") for port in rest.split()}
    listening = {int(image.config["listen"][which].rpartition(":")[2]) for which in ("grpc", "admin")}
    if exposed != listening:
        yield f"EXPOSE names {sorted(exposed)}, the config listens on {sorted(listening)}"


@check("image-bases-are-pinned")
def bases_are_pinned(image: Image) -> Iterator[str]:
    for stage in image.stages[:-1]:
        _, _, tag = stage.base.rpartition(":")
        if "/" in tag or tag in ("", "latest", stage.base):
            yield f"{stage.base} has no version"
    version = re.fullmatch(r"rust:(\d+\.\d+\.\d+)-slim-(\w+)", image.build.base)
    if not version:
        yield f"{image.build.base} names no exact Rust version and Debian release"
        return
    manifest = tomllib.loads((image.root / "Cargo.toml").read_text())
    wanted = [int(part) for part in manifest["package"]["rust-version"].split(".")]
    if [int(part) for part in version[1].split(".")] < wanted:
        yield f"Rust {version[1]} is older than the manifest's rust-version"


@check("image-build-is-locked")
def build_is_locked(image: Image) -> Iterator[str]:
    builds = re.findall(r"cargo (?:build|install)[^&;|]*", " && ".join(image.build.all("RUN")))
    if len(builds) < 2:
        yield "expected one build of the dependencies and one of the service"
    for build in builds:
        if "--locked" not in build or "--release" not in build:
            yield f"{build.strip()}: not --release --locked"


@check("image-copies-exist")
def copies_exist(image: Image) -> Iterator[str]:
    for source in image.context_sources():
        if not (image.root / source).exists():
            yield f"COPY {source}: no such file"


@check("image-context-is-minimal")
def context_is_minimal(image: Image) -> Iterator[str]:
    if not image.ignore or image.ignore[0] != "*":
        yield "the ignore file does not start by ignoring everything"
    allowed = {line[1:].rstrip("/") for line in image.ignore if line.startswith("!")}
    wanted = set(image.context_sources())
    if allowed != wanted:
        yield f"sent but not copied: {sorted(allowed - wanted)}; copied but not sent: {sorted(wanted - allowed)}"


@check("image-has-what-the-sources-include")
def includes_are_copied(image: Image) -> Iterator[str]:
    copied = [(image.root / source).resolve() for source in image.context_sources()]
    files = [image.root / "build.rs", *sorted((image.root / "src").rglob("*.rs"))]
    for file in (f for f in files if f.exists()):
        for macro, name in re.findall(r'\b(include(?:_str|_bytes)?|migrate)!\s*\(\s*"([^"]+)"', file.read_text()):
            # sqlx's migrate! is relative to the manifest, the compiler's own macros to the file.
            target = ((image.root if macro == "migrate" else file.parent) / name).resolve()
            if not any(target == c or target.is_relative_to(c) for c in copied):
                yield f"{file.relative_to(image.root)} includes {name}, which the build stage does not copy"


@check("image-dependency-layer-parses")
def dependency_layer_parses(image: Image) -> Iterator[str]:
    """Cargo refuses a manifest that names a source file which is not there, so the dependency layer needs a stub of each."""
    manifest = tomllib.loads((image.root / "Cargo.toml").read_text())
    folders = {"bin": "src/bin", "bench": "benches", "test": "tests", "example": "examples"}
    paths = [manifest.get("lib", {}).get("path", "src/lib.rs"), manifest["package"].get("build", "build.rs")]
    for kind, folder in folders.items():
        paths += [target.get("path", f"{folder}/{target['name']}.rs") for target in manifest.get(kind, [])]
    for path in paths:
        if path not in STUBBED:
            yield f"the manifest names {path}, which is neither stubbed nor copied before the dependencies are built"
    if manifest.get("workspace", {}).get("members"):
        yield "workspace members are not copied before the dependencies are built"
