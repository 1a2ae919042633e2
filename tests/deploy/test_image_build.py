"""Proves that image_build.py can fail: builds images with one thing wrong, around a small program that stands in for ours.

    .tools/venv/bin/python tests/deploy/test_image_build.py
"""

from __future__ import annotations

import subprocess
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

import image_build

STAND_IN = """
fn main() {
    if std::env::args().nth(1).as_deref() == Some("--version") {
        println!("atlassian-authz VERSION");
    } else {
        println!("ok (1)");
    }
}
"""

TEXT = image_build.DOCKERFILE.read_text()


def write(path: Path, data: bytes = b"x", mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def compiled(folder: Path, *options: str, source: str = STAND_IN) -> Path:
    program = folder / "stand-in"
    (folder / "stand-in.rs").write_text(source.replace("VERSION", image_build.VERSION))
    subprocess.run(["rustc", *options, "-o", str(program), str(folder / "stand-in.rs")], check=True, capture_output=True, timeout=300)
    return program


def program(stage: Path, *options: str, source: str = STAND_IN) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(stage / "image/atlassian-authz", compiled(Path(folder), *options, source=source).read_bytes(), 0o755)


STATIC = ("-C", "target-feature=+crt-static", "-C", "strip=symbols")
BUNDLE = "image/etc/ssl/certs/ca-certificates.crt"

# (the checks that must fail, what is wrong, what is changed in the stage's directory, in the Dockerfile's text)
BROKEN: list[tuple[set[str], str, Callable[[Path], object], tuple[str, str]]] = [
    ({"image-content"}, "a shell", lambda s: write(s / "image/bin/sh", mode=0o755), ("", "")),
    ({"image-content", "image-certificates"}, "no CA certificates", lambda s: (s / BUNDLE).unlink(), ("", "")),
    ({"image-certificates"}, "an empty bundle", lambda s: write(s / BUNDLE), ("", "")),
    ({"image-owner"}, "a program that its user may replace", lambda s: None, ("COPY --from=build", "COPY --chown=65532:65532 --from=build")),
    ({"image-owner"}, "setuid", lambda s: (s / "image/atlassian-authz").chmod(0o4755), ("", "")),
    ({"image-owner"}, "writable by all", lambda s: (s / BUNDLE).chmod(0o666), ("", "")),
    ({"image-static", "image-runs"}, "linked dynamically", lambda s: program(s, "-C", "strip=symbols"), ("", "")),
    ({"image-static"}, "at fixed addresses", lambda s: program(s, *STATIC, "-C", "relocation-model=static"), ("", "")),
    ({"image-static", "image-runs"}, "a script", lambda s: write(s / "image/atlassian-authz", b"#!/bin/sh\n", 0o755), ("", "")),
    ({"image-start"}, "root", lambda s: None, ("USER 65532:65532", "USER 0")),
    ({"image-start"}, "another command", lambda s: None, ('CMD ["serve"', 'CMD ["check"')),
    ({"image-start"}, "a port less", lambda s: None, ("EXPOSE 9001 9002", "EXPOSE 9001")),
    ({"image-start"}, "a variable", lambda s: None, ("EXPOSE", "ENV TOKEN=1\nEXPOSE")),
    ({"image-content", "image-size"}, "a file that nobody needs", lambda s: write(s / "image/data", bytes(1 << 20)), ("", "")),
    ({"image-runs"}, "another version", lambda s: program(s, *STATIC, source=STAND_IN.replace("VERSION", "9.9.9")), ("", "")),
]


class TestImageBuild(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.program = compiled(Path(temporary.name), *STATIC)

    def failing(self, spoil: Callable[[Path], object], replace: tuple[str, str]) -> set[str]:
        with tempfile.TemporaryDirectory(prefix="image-") as temporary:
            folder = Path(temporary)
            stage = image_build.stage(folder, self.program)
            spoil(stage)
            self.assertIn(replace[0], TEXT)
            built = image_build.build(folder, stage, "stand-in:1", dockerfile=TEXT.replace(*replace) if replace[0] else None)
            return {name for name, problems in image_build.problems(built).items() if problems}

    def test_nothing_fails_as_it_is(self) -> None:
        self.assertEqual(self.failing(lambda s: None, ("", "")), set())

    def test_each_defect_is_named(self) -> None:
        for checks, what, spoil, replace in BROKEN:
            with self.subTest(what):
                self.assertEqual(self.failing(spoil, replace), checks)

    def test_every_check_is_broken_once(self) -> None:
        self.assertEqual(set.union(*(checks for checks, *_ in BROKEN)), set(image_build.CHECKS))

    def test_what_does_not_build_is_a_failure(self) -> None:
        with self.assertRaises(image_build.Failure):
            self.failing(lambda s: None, ("COPY --from=build /image /", "COPY --from=build /nothing /"))


if __name__ == "__main__":
    unittest.main()
