"""Proves that check.py can fail: one page for each kind of problem, and one that has none.

    .tools/venv/bin/python tests/docs/test_check.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

import check

import metrics

HELP = {
    (): """\
        Usage: atlassian-authz <COMMAND>

        Commands:
          serve   Run the service
          token   Make and end API tokens
          health  Ask a running service
          help    Print this message

        Options:
          -h, --help     Print help
          -V, --version  Print version
        """,
    ("token",): """\
        Usage: atlassian-authz token <COMMAND>

        Commands:
          revoke  End tokens now
          help    Print this message

        Options:
          -h, --help  Print help
        """,
    ("token", "revoke"): """\
        Usage: atlassian-authz token revoke [OPTIONS] --config <FILE> --reason <REASON> <ID|--user <USER>>

        Arguments:
          [ID]  The id of a token

        Options:
              --config <FILE>    The configuration file
              --json             Print JSON
              --user <USER>      All tokens of this user
              --reason <REASON>  Why
          -h, --help             Print help
        """,
    ("health",): """\
        Usage: atlassian-authz health [OPTIONS] <ADDRESS>

        Arguments:
          <ADDRESS>
                  IP:PORT or `unix:/path`

        Options:
              --service <SERVICE>
                  The gRPC health service to ask for: empty, `liveness`, --never-an-option

          -h, --help
                  Print help
        """,
}
PROGRAM = check.Program(lambda words: textwrap.dedent(HELP[words]))

RUST = """\
macro_rules! promises {
    ($($group:ident: $($name:ident),+;)+) => {
        mod on_sqlite {
            $($(#[test] fn $name() { super::run(super::$group::$name) })+)+
        }
        mod on_postgres {
            $($(#[test] fn $name() { super::run(super::$group::$name) })+)+
        }
    };
}

promises! {
    lives:
        what_is_created_is_found;
}

pub fn helper() {}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table"
)]
fn it_holds() {}

#[cfg(test)]
mod tests {
    #[tokio::test(start_paused = true)]
    async fn so_does_this() {
        let text = "#[test] is only text here";
    }

    fn no_test() {}

    proptest! {
        #[test]
        fn for_all(value in ".*") {
            prop_assert!(true);
        }
    }
}
"""


def found(problems: check.Problems) -> list[str]:
    return [f"{line}: {what}" for line, what in problems]


class TestTests(unittest.TestCase):
    def setUp(self) -> None:
        self.names = check.Names(targets={"audit"}, crates={"tokio"})
        self.names.read_rust(["store"], RUST)

    def found(self, text: str) -> list[str]:
        return found(self.names.problems(check.Page.parse(text)))

    def test_of_a_source_the_tests_are_known_and_nothing_else(self) -> None:
        expected = {"store::it_holds", "store::tests::so_does_this", "store::tests::for_all"}
        expected |= {f"store::{place}::what_is_created_is_found" for place in ("on_sqlite", "on_postgres")}
        self.assertEqual(self.names.tests, expected)

    def test_what_exists_may_be_named(self) -> None:
        for name in [*self.names.tests, "store::tests", "store::on_sqlite", "store::helper", "tokio::time::sleep", "atlassian_authz::audit"]:
            self.assertEqual(self.found(f"See `{name}`."), [], name)
        self.assertEqual(self.found("`Grant::As(Identity)` and `2001:db8::/32` are no tests; outside of backticks a::b is none."), [])

    def test_what_does_not_exist_is_found(self) -> None:
        for name in ["store::it_held", "stores::it_holds", "store::tests::it_holds", "store::tests::no_more", "atlassian_authz::no_target"]:
            self.assertEqual(self.found(f"# Page\n\nSee `{name}`."), [f"3: there is no test, module or item {name}"])

    def test_a_test_of_python_exists_or_is_found(self) -> None:
        self.names.read_python(Path(__file__))
        self.assertEqual(self.found("`test_check.TestTests.test_what_exists_may_be_named`"), [])
        self.assertEqual(self.found("`test_check.TestTests.test_nothing`"), ["1: there is no test test_check.TestTests.test_nothing"])


class TestLinks(unittest.TestCase):
    """A page beside another one; the root has both."""

    def found(self, text: str) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            (root / "docs").mkdir()
            here, there = root / "docs/HERE.md", root / "THERE.md"
            here.write_text(text)
            there.write_text("# A `heading`, twice\n\n# A heading, twice\n\n```sh\n# no heading\n```\n\n<a id=\"mark\"></a>\n")
            pages = check.pages_of(root)
            return found(check.link_problems(here, pages, root))

    def test_what_leads_somewhere_is_no_problem(self) -> None:
        for link in ["../THERE.md", "../THERE.md#a-heading-twice", "../THERE.md#a-heading-twice-1", "../THERE.md#mark", "../docs", "#here"]:
            self.assertEqual(self.found(f"# Here\n\n[text]({link}) ![image]({link}) [with `code`](<{link}> \"title\")"), [], link)
        self.assertEqual(self.found("[elsewhere](https://example.com/x#y), `[code](nowhere.md)`\n\n```text\n[code](nowhere.md)\n```\n"), [])

    def test_a_file_that_is_not_there(self) -> None:
        self.assertEqual(self.found("a [link](../NOWHERE.md) too many"), ["1: the link ../NOWHERE.md leads to nothing"])
        self.assertEqual(self.found("\n[name]: NOWHERE.md"), ["2: the link NOWHERE.md leads to nothing"])
        self.assertEqual(self.found("[out of the repository](../../..)"), ["1: the link ../../.. leads to nothing"])

    def test_a_heading_that_is_not_there(self) -> None:
        for anchor in ["no-heading", "a-heading-twice-2"]:
            problem = f"1: the link ../THERE.md#{anchor} leads to no heading of THERE.md"
            self.assertEqual(self.found(f"[link](../THERE.md#{anchor})"), [problem])
        self.assertEqual(self.found("# Here\n\n[link](#nowhere)"), ["3: the link #nowhere leads to no heading of docs/HERE.md"])

    def test_a_row_that_is_broken(self) -> None:
        table = "| a | b |\n| --- | --- |\n| `x \\| y` | 1 |\n"
        self.assertEqual(found(check.table_problems(check.Page.parse(table))), [])
        problem = "4: a row of a table has more or fewer cells than its head"
        self.assertEqual(found(check.table_problems(check.Page.parse(table + "| `x | y` | 1 |\n"))), [problem])


class TestCommands(unittest.TestCase):
    def found(self, text: str) -> list[str]:
        return found(PROGRAM.problems(check.Page.parse(text)))

    def in_a_block(self, line: str) -> list[str]:
        return self.found(f"```sh\n{line}\n```\n")

    def test_commands_that_there_are(self) -> None:
        for line in [
            "atlassian-authz serve",
            "atlassian-authz token revoke --config config.yaml x7Kd02MqZr5B --reason 'laptop lost; again' --json   # no --such option",
            "kubectl -n atlassian-authz exec deploy/atlassian-authz -- /atlassian-authz token revoke --user alice --reason x",
            "sudo target/debug/atlassian-authz health 127.0.0.1:9001 --service=liveness && atlassian-authz --version",
            "jq -r .id tokens.json | xargs -n 1 echo atlassian-authz no command --at all",
            "helm install atlassian-authz deploy/helm/atlassian-authz -n atlassian-authz",
            "atlassian-authz token revoke …",
            "(umask 077; atlassian-authz token revoke --user alice > file --no-option-of-ours)",
        ]:
            self.assertEqual(self.in_a_block(line), [], line)
        self.assertEqual(self.found("`atlassian-authz health ADDRESS`, `token revoke --user U`, `--any`\n\n```text\natlassian-authz nothing\n```"), [])

    def test_a_command_that_there_is_not(self) -> None:
        self.assertEqual(self.in_a_block("x=1 atlassian-authz starts"), ["2: atlassian-authz has no command starts"])
        self.assertEqual(self.in_a_block("true; ./atlassian-authz token end x"), ["2: atlassian-authz token has no command end"])
        self.assertEqual(self.found("\n`atlassian-authz tokens`"), ["2: atlassian-authz has no command tokens"])

    def test_an_option_that_there_is_not(self) -> None:
        line = "echo\natlassian-authz token revoke \\\n  --token axt_x"
        self.assertEqual(self.in_a_block(line), ["3: atlassian-authz token revoke has no option --token"])
        self.assertEqual(self.in_a_block("atlassian-authz health --never-an-option x"), ["2: atlassian-authz health has no option --never-an-option"])
        self.assertEqual(self.found("`token revoke --all`"), ["1: atlassian-authz token revoke has no option --all"])

    def test_an_argument_too_many(self) -> None:
        self.assertEqual(self.in_a_block("atlassian-authz health a b"), ["2: atlassian-authz health takes no further argument b"])


class TestMetrics(unittest.TestCase):
    KNOWN = metrics.Metrics({"atlassian_authz_decisions_total": {"status", "reason"}}, {"expired"})

    def found(self, text: str) -> list[str]:
        return found(check.metric_problems(check.Page.parse(text), self.KNOWN))

    def test_a_metric_that_there_is(self) -> None:
        self.assertEqual(self.found("`atlassian_authz_decisions_total`\n\n```promql\nsum by (reason) (atlassian_authz_decisions_total)\n```"), [])

    def test_a_metric_that_there_is_not(self) -> None:
        for text in ["`atlassian_authz_decision_total`", "atlassian_authz_decision_total", "```text\natlassian_authz_decision_total 1\n```"]:
            self.assertEqual([problem.partition(" ")[2] for problem in self.found(text)], ["there is no metric atlassian_authz_decision_total"])

    def test_a_label_or_word_that_is_never_counted(self) -> None:
        query = "```promql\n\nsum by (user) (atlassian_authz_decisions_total{reason=\"tired\"})   # a comment\n```"
        self.assertEqual(len(self.found(query)), 2)
        self.assertTrue(all(problem.startswith("3: ") for problem in self.found(query)), self.found(query))

    def test_the_list_has_every_metric_every_label_and_every_bucket(self) -> None:
        text = (check.ROOT / "docs/METRICS.md").read_text()
        known = metrics.declared(check.ROOT)

        def spoilt(old: str, new: str) -> list[str]:
            self.assertIn(old, text)
            return found(check.list_problems(text.replace(old, new), check.ROOT, known))

        self.assertEqual(spoilt("Metrics", "Metrics"), [])
        row = next(line for line in text.splitlines() if "panics_total" in line)
        self.assertEqual(spoilt(row + "\n", ""), ["1: atlassian_authz_panics_total is not listed"])
        self.assertEqual(spoilt("`provider`, `issuer`, `outcome`", "`provider`, `outcome`"), ["1: atlassian_authz_provider_fetches_total has the labels issuer, outcome, provider"])
        self.assertEqual(len(spoilt("0.0025", "0.002")), 1)


class TestCommand(unittest.TestCase):
    """The whole of it, on a tree with one page of problems and one that is of no concern."""

    def test_each_kind_is_printed_with_its_place_and_ends_with_1(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for directory in ("docs", "src/metrics", "tests/it", "target"):
                (root / directory).mkdir(parents=True)
            (root / "Cargo.toml").write_text("[dependencies]\ntokio = \"1\"\n")
            (root / "tests/it/store.rs").write_text(RUST)
            for source in [check.ROOT / "src/metrics.rs", *(check.ROOT / "src/metrics").glob("*.rs")]:
                (root / source.relative_to(check.ROOT)).write_text(source.read_text())
            wrong = "`store::it_held` [link](NOWHERE.md) `atlassian-authz no` atlassian_authz_no_metric\n"
            (root / "docs/PAGE.md").write_text(wrong)
            (root / "target/PAGE.md").write_text(wrong)
            (root / "CHANGELOG.md").write_text("What was: `store::it_held`, `atlassian-authz no`, atlassian_authz_no_metric\n")
            binary = root / "binary"
            binary.write_text(f"#!/bin/sh\ncat <<'END'\n{textwrap.dedent(HELP[()])}END\n")
            binary.chmod(0o700)
            command = [sys.executable, check.__file__, "--root", root, "--binary", binary]
            ended = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertEqual(
            ended.stdout.splitlines(),
            [
                "docs/PAGE.md:1: atlassian-authz has no command no",
                "docs/PAGE.md:1: the link NOWHERE.md leads to nothing",
                "docs/PAGE.md:1: there is no metric atlassian_authz_no_metric",
                "docs/PAGE.md:1: there is no test, module or item store::it_held",
                "docs: 4 problems",
            ],
        )


if __name__ == "__main__":
    unittest.main()
