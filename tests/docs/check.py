"""Holds what the pages say against what there is: tests, links, commands and metrics.

    .tools/venv/bin/python tests/docs/check.py [--binary target/debug/atlassian-authz]

* A test that a page names (`envoy_facts::identity::over_http_1_no_client_chooses_who_it_is`) exists, by its full name as `cargo test`
  prints it, or as `test_check.TestLinks.test_a_file_that_is_not_there` for tests of Python. So does a module of tests, an item
  of the source, a target of the log.
* A relative link leads to a file, and what follows `#` to a heading of it.
* A command line names subcommands and options that `--help` knows.
* A metric exists, and a query in PromQL asks only for labels and words that the program can count.
* A row of a table has as many cells as its head: a `|` inside of backticks ends a cell, too, unless it is written `\\|`.

One line per problem, with file and line; exit code 1 if there is one. `test_check.py` proves that each kind is found.
"""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/deploy"))

import metrics  # noqa: E402, the list of what the program counts

NOT_OURS = {".git", ".tools", "node_modules", "target"}
PROGRAM = "atlassian-authz"
SHELLS = {"sh", "bash", "shell", "console"}
Problems = Iterator[tuple[int, str]]  # line, what is wrong


# --- pages ----------------------------------------------------------------------------------------------------------------------


@dataclass
class Block:
    """A fenced block of code; `line` is that of its first line."""

    language: str
    line: int
    text: str


@dataclass
class Page:
    """Markdown, taken apart as far as it matters here."""

    blocks: list[Block] = field(default_factory=list)
    prose: list[tuple[int, str]] = field(default_factory=list)  # without blocks and without what is in backticks
    snippets: list[tuple[int, str]] = field(default_factory=list)  # what is in backticks
    anchors: set[str] = field(default_factory=set)
    rows: list[list[tuple[int, int]]] = field(default_factory=list)  # of each table, line and cells of each row

    @classmethod
    def parse(cls, text: str) -> Page:
        page, seen, block, fence, was_row = cls(), Counter[str](), None, "", False
        for number, line in enumerate(text.splitlines(), 1):
            mark = re.match(r"\s*(`{3,}|~{3,})(.*)$", line)
            if block is not None:
                if mark and mark[1].startswith(fence) and not mark[2].strip():
                    page.blocks.append(block)
                    block = None
                else:
                    block.text += line + "\n"
                continue
            if line.startswith("|"):
                if not was_row:
                    page.rows.append([])
                page.rows[-1].append((number, len(re.findall(r"(?<!\\)\|", line))))
            was_row = line.startswith("|")
            if mark:
                block, fence = Block(mark[2].strip().split(" ")[0], number + 1, ""), mark[1]
                continue
            page.snippets += [(number, found[2]) for found in re.finditer(r"(`+)(.+?)\1(?!`)", line)]
            page.prose.append((number, re.sub(r"(`+)(.+?)\1(?!`)", lambda found: "`" * len(found[0]), line)))
            if heading := re.match(r"#{1,6}\s+(.*?)\s*#*$", line):
                name = slug(heading[1])
                page.anchors.add(f"{name}-{seen[name]}" if seen[name] else name)
                seen[name] += 1
            page.anchors |= set(re.findall(r'<a (?:id|name)="([^"]+)"', line))
        if block is not None:
            page.blocks.append(block)
        return page


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def pages_of(root: Path) -> dict[Path, Page]:
    found = [path for path in sorted(root.rglob("*.md")) if not NOT_OURS & set(path.relative_to(root).parts)]
    return {path: Page.parse(path.read_text()) for path in found}


def describes_the_program(path: Path, root: Path) -> bool:
    """Pages for users: what they name must exist."""
    inside = path.relative_to(root)
    return inside.parts[0] == "docs" or inside == Path("README.md") or (inside.parts[0] == "deploy" and path.name == "README.md")


# --- tests ----------------------------------------------------------------------------------------------------------------------


@dataclass
class Names:
    """What a name with `::` or `.` in it can be."""

    tests: set[str] = field(default_factory=set)
    items: set[str] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    crates: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, root: Path) -> Names:
        names = cls(crates={"std"})
        for top in ("tests/it", "tests/faults", "src"):
            for path in sorted((root / top).rglob("*.rs")):
                module = list(path.relative_to(root / top).with_suffix("").parts)
                module = [] if module in (["main"], ["lib"]) else module
                names.read_rust(module, path.read_text())
        for path in sorted((root / "tests").rglob("test_*.py")):
            if not NOT_OURS & set(path.relative_to(root).parts):
                names.read_python(path)
        dependencies = re.split(r"^\[.*dependencies\]$", (root / "Cargo.toml").read_text(), flags=re.M)[1:]
        names.crates |= {found for part in dependencies for found in re.findall(r"^([\w-]+)\s*=", part.split("\n[")[0], re.M)}
        return names

    def read_rust(self, module: list[str], source: str) -> None:
        """The source is formatted: what begins at an indentation ends at the same one."""
        inner: list[tuple[str, str]] = []  # indentation and name of modules and macros that are open
        macros: dict[str, list[list[str]]] = {}  # the modules in which a macro makes tests
        is_test, call = False, None
        self.items.add("::".join(module))
        for line in source.splitlines():
            indent = line[: len(line) - len(line.lstrip())]
            path = [*module, *(name for _, name in inner if not name.endswith("!"))]
            if call is not None:
                if re.match(r"[)}]", line):
                    call = None
                else:
                    words = re.findall(r"\b[a-z]\w*\b(?!:)", line)
                    self.tests |= {"::".join([*place, word]) for word in words for place in macros[call]}
                continue
            if inner and line.rstrip() == inner[-1][0] + "}":
                inner.pop()
            elif opens := re.match(r"\s*(?:pub(?:\([^)]*\))? )?mod (\w+) \{$", line):
                inner.append((indent, opens[1]))
            elif opens := re.match(r"\s*macro_rules! (\w+) \{$", line):
                inner.append((indent, f"{opens[1]}!"))
            elif (begins := re.match(r"(\w+)!\s*[({]$", line)) and begins[1] in macros:
                call = begins[1]
            if re.match(r"[\s$()]*#\[(?:tokio::)?test\b", line):
                is_test = True
            if found := re.search(r"\bfn (\$?\w+)", line):
                macro = next((name for _, name in inner if name.endswith("!")), None)
                if is_test and macro and found[1].startswith("$"):
                    macros.setdefault(macro[:-1], []).append(path)
                elif is_test:
                    self.tests.add("::".join([*path, found[1]]))
                is_test = False
            if item := re.match(r"\s*(?:pub(?:\([^)]*\))? )?(?:const |async )*(?:fn|struct|enum|trait|type|const|static) (\w+)", line):
                self.items.add("::".join([*path, item[1]]))
            self.targets |= set(re.findall(r'"::(\w+)"', line))

    def read_python(self, path: Path) -> None:
        for top in ast.parse(path.read_text()).body:
            if isinstance(top, ast.ClassDef):
                methods = [one.name for one in top.body if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")]
                self.tests |= {f"{path.stem}.{top.name}.{method}" for method in methods}

    def problems(self, page: Page) -> Problems:
        modules = {test[: found.start()] for test in self.tests for found in re.finditer(r"::|\.", test)}
        for number, snippet in page.snippets:
            for name in re.findall(r"(?<![\w:.])[a-z_]\w*(?:::[a-z_]\w*)+(?![\w:(])", snippet):
                first, _, rest = name.partition("::")
                if first == PROGRAM.replace("-", "_"):
                    known = rest in self.targets or rest in self.items
                else:
                    known = name in self.tests | modules | self.items or first in self.crates
                if not known:
                    yield number, f"there is no test, module or item {name}"
            for name in re.findall(r"(?<![\w/])test_\w+\.\w+\.\w+", snippet):
                if name not in self.tests:
                    yield number, f"there is no test {name}"


# --- links ----------------------------------------------------------------------------------------------------------------------

LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s+(\S+)")


def link_problems(path: Path, pages: dict[Path, Page], root: Path) -> Problems:
    for number, line in pages[path].prose:
        for found in LINK.finditer(line):
            target = found[1] or found[2]
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            file, _, anchor = target.partition("#")
            leads_to = (path.parent / file).resolve() if file else path
            if not leads_to.is_relative_to(root) or not leads_to.exists():
                yield number, f"the link {target} leads to nothing"
            elif anchor and leads_to in pages and anchor not in pages[leads_to].anchors:
                yield number, f"the link {target} leads to no heading of {leads_to.relative_to(root)}"


def table_problems(page: Page) -> Problems:
    for table in page.rows:
        yield from ((line, "a row of a table has more or fewer cells than its head") for line, cells in table if cells != table[0][1])


# --- commands -------------------------------------------------------------------------------------------------------------------


@dataclass
class Help:
    """What a `--help` says."""

    commands: set[str]
    options: dict[str, bool]  # whether it takes a value
    arguments: int

    @classmethod
    def parse(cls, text: str) -> Help:
        sections = dict(re.findall(r"^(Commands|Arguments|Options):\n((?:(?:[ \t].*)?\n?)*)", text, re.M))
        return cls(
            commands=set(re.findall(r"^  ([a-z][\w-]*)", sections.get("Commands", ""), re.M)),
            options={
                name: bool(value)
                for name, value in re.findall(r"^ +(?:-\w, )?(--[\w-]+)( <[^>]+>)?", sections.get("Options", ""), re.M)
            },
            arguments=len(re.findall(r"^  [\[<][A-Z]", sections.get("Arguments", ""), re.M)),
        )


class Program:
    """Asks each command for its help, once."""

    def __init__(self, ask: Callable[[tuple[str, ...]], str]) -> None:
        self.ask = ask
        self.known: dict[tuple[str, ...], Help] = {}

    @classmethod
    def at(cls, binary: Path) -> Program:
        return cls(lambda words: subprocess.run([binary, *words, "--help"], capture_output=True, text=True, check=True).stdout)

    def help(self, words: tuple[str, ...]) -> Help:
        if words not in self.known:
            self.known[words] = Help.parse(self.ask(words))
        return self.known[words]

    def problems_with(self, words: list[str]) -> Iterator[str]:
        """`words` is what follows the name of the program."""
        command: tuple[str, ...] = ()
        arguments, waiting = 0, list(words)
        while waiting:
            word, said = waiting.pop(0), " ".join([PROGRAM, *command])
            known = self.help(command)
            if word in {"…", "..."}:
                return
            if word.startswith("-") and word != "-":
                option, _, value = word.partition("=")
                if option in {"-h", "-V"}:
                    continue
                if option not in known.options:
                    yield f"{said} has no option {option}"
                elif known.options[option] and not value and waiting:
                    waiting.pop(0)
            elif known.commands:
                if word not in known.commands:
                    yield f"{said} has no command {word}"
                    return
                command = (*command, word)
            else:
                arguments += 1
                if arguments > known.arguments:
                    yield f"{said} takes no further argument {word}"
                    return

    def problems(self, page: Page) -> Problems:
        lines = [(block.line + offset, line) for block in page.blocks if block.language in SHELLS for offset, line in joined(block.text)]
        for number, line in [*lines, *page.snippets]:
            for words in commands_in(line):
                for problem in self.problems_with(words):
                    yield number, problem
        # Pages leave the name of the program out where it is clear.
        for number, snippet in page.snippets:
            words = next(simple_commands(snippet), [])
            if words and words[0] in self.help(()).commands and any(word.startswith("--") for word in words):
                for problem in self.problems_with(words):
                    yield number, problem


def joined(text: str) -> Iterator[tuple[int, str]]:
    """Lines, those that end in a backslash with their continuation."""
    begin, whole = 0, ""
    for number, line in enumerate(text.splitlines()):
        whole += line
        if line.endswith("\\"):
            whole = whole[:-1]
            continue
        yield begin, whole
        begin, whole = number + 1, ""
    if whole:
        yield begin, whole


def simple_commands(line: str) -> Iterator[list[str]]:
    """What stands between pipes, semicolons, brackets and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for token in lexer:
            if set(token) <= set("();<>|&"):
                yield words
                words = []
            elif token.startswith(("$(", "[--")):
                yield words
                words = [token.lstrip("$([")]
            else:
                words.append(token.rstrip("]"))
    except ValueError:
        pass  # a quotation that ends on another line: what came before it counts
    yield words


def commands_in(line: str) -> Iterator[list[str]]:
    """What follows the name of the program, wherever it stands in the place of a command."""
    for words in simple_commands(line):
        for at, word in enumerate(words):
            is_first = at == 0 or words[at - 1] in {"--", "$", "sudo", "time", "nice"} or all("=" in before for before in words[:at])
            if is_first and word.rpartition("/")[2] == PROGRAM:
                yield words[at + 1 :]
                break


# --- metrics --------------------------------------------------------------------------------------------------------------------


def metric_problems(page: Page, known: metrics.Metrics) -> Problems:
    lines = [*page.prose, *page.snippets]
    lines += [(block.line + offset, line) for block in page.blocks for offset, line in enumerate(block.text.splitlines())]
    for number, line in lines:
        for problem in metrics.names_problems(line, known):
            yield number, problem
    for block in page.blocks:
        if block.language == "promql":
            for offset, line in enumerate(block.text.splitlines()):
                query = re.sub(r"\s+#.*", "", line)
                # A name that does not exist has been told above, and its labels are not known.
                if metrics.PREFIX in query and not metrics.names_problems(query, known):
                    for problem in metrics.query_problems(query, known, {}):
                        yield block.line + offset, problem


def list_problems(text: str, root: Path, known: metrics.Metrics) -> Problems:
    """The list must hold every metric with all its labels, and every bucket."""
    rows = {}
    for line in text.splitlines():
        if row := re.match(r"\| `(\w+)` \| (\w+) \| ([^|]*)\|", line):
            rows[row[1]] = set(re.findall(r"`(\w+)`", row[3]))
    expected = {}
    for name, labels in known.labels.items():
        if not name.endswith(("_sum", "_count")):
            expected[name] = labels
    for name in sorted(expected.keys() | rows.keys()):
        if name not in rows:
            yield 1, f"{name} is not listed"
        elif name in expected and rows[name] != expected[name]:
            yield 1, f"{name} has the labels {', '.join(sorted(expected[name])) or 'none'}"
    source = (root / "src/metrics/decisions.rs").read_text()
    (buckets,) = re.findall(r"DURATION_BUCKETS: [^=]*= \[(.*?)\];", source, re.S)
    buckets = ", ".join(f"{float(bucket.replace('_', '')):f}".rstrip("0").rstrip(".") for bucket in re.findall(r"[\d._]+", buckets))
    if buckets not in text:
        yield 1, f"the buckets are {buckets}"


# --- all ------------------------------------------------------------------------------------------------------------------------


def problems(root: Path, program: Program) -> Iterator[str]:
    pages, names, known = pages_of(root), Names.of(root), metrics.declared(root)
    for path, page in pages.items():
        found = [*link_problems(path, pages, root), *table_problems(page)]
        if describes_the_program(path, root):
            found += [*names.problems(page), *program.problems(page), *metric_problems(page, known)]
        if path == root / "docs/METRICS.md":
            found += list_problems(path.read_text(), root, known)
        yield from (f"{path.relative_to(root)}:{line}: {what}" for line, what in sorted(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=ROOT / f"target/debug/{PROGRAM}")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args()
    found = list(problems(options.root.resolve(), Program.at(options.binary)))
    for problem in found:
        print(problem)
    print(f"docs: {len(found)} problems" if found else "docs: what the pages name is there")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
