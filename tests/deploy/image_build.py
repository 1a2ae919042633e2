"""Builds the image of deploy/docker/Dockerfile around a program that is built already, and looks at what came out.

    tests/deploy/image_build.py PROGRAM [--archive FILE] [--tag NAME:TAG]

The Dockerfile's build stage is replaced by a directory, so nothing is pulled and no daemon is needed: buildah, and root or a user
that it may map. PROGRAM is linked statically (`make image` builds such a one). FILE can be loaded by `docker load` or `podman load`.
`test_image_build.py` proves that the checks can fail.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks import Checks

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
CONFIG = ROOT / "deploy/kubernetes/config.yaml"
CA_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PROGRAM = "atlassian-authz"
VERSION = re.search(r'^version = "(.+?)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]

# All of it: no shell, no library, no file that anything could be written to.
CONTENT = {PROGRAM: 0o755, "etc": 0o755, "etc/ssl": 0o755, "etc/ssl/certs": 0o755, "etc/ssl/certs/ca-certificates.crt": 0o644}
# What the archive may have besides the files themselves.
OVERHEAD = 64 * 1024
PT_INTERP, ET_DYN = 3, 3


class Failure(Exception):
    """What keeps the image from being built."""


@dataclass
class Built:
    """An image, unpacked as far as the checks need it."""

    config: dict[str, Any]
    files: dict[str, tarfile.TarInfo]
    program: bytes
    certificates: bytes
    size: int
    # Runs the program in the image with these arguments, as the image's user.
    run: Callable[[list[str]], subprocess.CompletedProcess[str]]


class Buildah:
    """buildah with a storage of its own below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.options = ["--storage-driver", "vfs", "--root", str(folder / "storage"), "--runroot", str(folder / "run")]

    def __call__(self, command: str, *arguments: str) -> str:
        done = self.try_to(command, *arguments)
        if done.returncode:
            raise Failure(f"buildah {command}: {(done.stderr or done.stdout).strip()[-800:]}")
        return done.stdout.strip()

    def try_to(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        if shutil.which("buildah") is None:
            raise Failure("buildah is not installed: scripts/setup.py buildah")
        return subprocess.run(["buildah", *self.options, command, *arguments], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


def stage(folder: Path, program: Path) -> Path:
    """What the Dockerfile's build stage leaves behind."""
    image = folder / "build/image"
    certificates = image / str(CA_CERTIFICATES).lstrip("/")
    certificates.parent.mkdir(parents=True)
    shutil.copy(program, image / PROGRAM)
    (image / PROGRAM).chmod(0o755)
    shutil.copy(CA_CERTIFICATES, certificates)
    certificates.chmod(0o644)
    for directory in (image, *(p for p in image.rglob("*") if p.is_dir())):
        directory.chmod(0o755)
    return folder / "build"


def build(folder: Path, stage: Path, tag: str, archive: Path | None = None, dockerfile: str | None = None) -> Built:
    """Builds with the directory in place of the build stage."""
    buildah = Buildah(folder)
    (folder / "context").mkdir(exist_ok=True)
    file = folder / "Dockerfile"
    file.write_text(dockerfile or DOCKERFILE.read_text())
    buildah("bud", "--isolation", "chroot", "--build-context", f"build={stage}", "--file", str(file), "--tag", tag, str(folder / "context"))
    archive = archive or folder / "image.tar"
    archive.unlink(missing_ok=True)
    buildah("push", tag, f"docker-archive:{archive}:{tag}")
    container = buildah("from", "--pull-never", tag)
    (folder / "config").mkdir(exist_ok=True)
    shutil.copy(CONFIG, folder / "config")

    def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
        mount = f"{folder / 'config'}:/etc/atlassian-authz:ro"
        return buildah.try_to("run", "--isolation", "chroot", "--volume", mount, container, "--", f"/{PROGRAM}", *arguments)

    return unpacked(archive, run)


def unpacked(archive: Path, run: Callable[[list[str]], subprocess.CompletedProcess[str]]) -> Built:
    files: dict[str, tarfile.TarInfo] = {}
    content: dict[str, bytes] = {}
    with tarfile.open(archive) as outer:
        (manifest,) = json.load(outer.extractfile("manifest.json"))
        config = json.load(outer.extractfile(manifest["Config"]))["config"]
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(outer.extractfile(layer).read())) as inner:
                for member in inner:
                    name = member.name.strip("./")
                    if name:
                        files[name] = member
                    if member.isfile():
                        content[name] = inner.extractfile(member).read()
    bundle = content.get(str(CA_CERTIFICATES).lstrip("/"), b"")
    return Built(config, files, content.get(PROGRAM, b""), bundle, archive.stat().st_size, run)


# --- checks ---------------------------------------------------------------------------------------------------------------------

CHECKS: Checks[Built] = Checks()
check, problems = CHECKS.named, CHECKS.run


@check("image-content")
def content(built: Built) -> Iterator[str]:
    for name in sorted(set(built.files) - set(CONTENT)):
        yield f"/{name} is in the image"
    for name in sorted(set(CONTENT) - set(built.files)):
        yield f"/{name} is missing"


@check("image-owner")
def owner(built: Built) -> Iterator[str]:
    """Root's, and nobody else's to change: the program runs as somebody else."""
    for name, member in built.files.items():
        if (member.uid, member.gid) != (0, 0):
            yield f"/{name} belongs to {member.uid}:{member.gid}"
        mode = member.mode & 0o7777
        if mode != CONTENT.get(name, mode) or mode & 0o6022:
            yield f"/{name} has the mode {mode:04o}"


@check("image-static")
def static(built: Built) -> Iterator[str]:
    """No interpreter, which the image does not have, and position-independent, so that addresses are random."""
    if built.program[:5] != b"\x7fELF\x02":
        yield "the program is no 64-bit ELF file"
        return
    kind = struct.unpack_from("<H", built.program, 16)[0]
    (offset,) = struct.unpack_from("<Q", built.program, 32)
    size, count = struct.unpack_from("<HH", built.program, 54)
    if any(struct.unpack_from("<I", built.program, offset + size * number)[0] == PT_INTERP for number in range(count)):
        yield "the program is linked dynamically"
    if kind != ET_DYN:
        yield "the program is not position-independent"


@check("image-certificates")
def certificates(built: Built) -> Iterator[str]:
    if (found := built.certificates.count(b"BEGIN CERTIFICATE")) < 50:
        yield f"{found} CA certificates"


@check("image-start")
def start(built: Built) -> Iterator[str]:
    expected = {
        "User": "65532:65532",
        "Entrypoint": [f"/{PROGRAM}"],
        "Cmd": ["serve", "--config", "/etc/atlassian-authz/config.yaml"],
        "ExposedPorts": {"9001/tcp": {}, "9002/tcp": {}},
    }
    for key, value in expected.items():
        if built.config.get(key) != value:
            yield f"{key} is {built.config.get(key)}, expected {value}"
    for variable in built.config.get("Env") or []:
        if not variable.startswith("PATH="):
            yield f"the environment has {variable}"


@check("image-size")
def size(built: Built) -> Iterator[str]:
    if (more := built.size - len(built.program) - len(built.certificates)) > OVERHEAD:
        yield f"{more} bytes are neither program nor certificates"


@check("image-runs")
def runs(built: Built) -> Iterator[str]:
    for arguments, expected in ((["--version"], f"{PROGRAM} {VERSION}"), (["config", "check", "/etc/atlassian-authz/config.yaml"], "ok (")):
        done = built.run(arguments)
        if done.returncode or expected not in done.stdout:
            yield f"{' '.join(arguments)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path, help="atlassian-authz, linked statically")
    parser.add_argument("--archive", type=Path, help="where to leave the image")
    parser.add_argument("--tag", default=f"{PROGRAM}:{VERSION}", help="its name")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="image-") as temporary:
        folder = Path(temporary)
        try:
            built = build(folder, stage(folder, options.program), options.tag, options.archive)
        except (Failure, OSError) as failure:
            print(f"FAIL  image-builds: {failure}")
            return 1
        found = problems(built)
    for name, said in found.items():
        print("\n".join(f"FAIL  {name}: {problem}" for problem in said) or f"ok    {name}")
    failed = sum(map(bool, found.values()))
    print(f"{options.tag}: {built.size / 1e6:.1f} MB, of which {len(built.program) / 1e6:.1f} MB are the program")
    print(f"{len(found) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
