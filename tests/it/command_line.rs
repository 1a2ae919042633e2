//! The program as its user meets it: arguments in, text and exit code out.

mod check;
mod config;
mod providers;
mod providers_page;
mod published;
mod refusals;
mod running;

use std::{
    fs, io,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use insta::assert_snapshot;
use tempfile::TempDir;

const OK: i32 = 0;
const NO: i32 = 1;
const ERROR: i32 = 2;

/// What one run of the program said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_atlassian-authz"))
}

fn run(directory: &Path, arguments: &[&str]) -> Said {
    run_with_input(directory, arguments, "")
}

fn run_with_input(directory: &Path, arguments: &[&str], input: &str) -> Said {
    let mut child = program()
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stdin = child.stdin.take().expect("piped");
    // A program that does not read its input may be gone already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    said(&child.wait_with_output().expect("ended"))
}

fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    Said {
        code: output.status.code().expect("no signal"),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// A directory with a file `config.yaml`.
fn directory_with(config: &str) -> TempDir {
    let directory = TempDir::new().expect("a directory");
    fs::write(directory.path().join("config.yaml"), config).expect("written");
    directory
}

const SMALLEST: &str = "\
providers:
  - name: sso
    preset: { keycloak: { url: https://sso.example.com, realm: acme } }
    audiences: [jira-api]
applications:
  - name: jira
    product: jira
    hosts: [jira-api.example.com]
";

/// Help has lines of blanks; this file has none.
fn trimmed(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[test]
fn help_says_what_there_is() {
    let here = Path::new(".");
    let help = run(here, &["--help"]);
    assert_eq!((help.code, help.err.as_str()), (OK, ""));
    assert_snapshot!(trimmed(&help.out), @"
    External authorization for Envoy in front of Atlassian Data Center

    Usage: atlassian-authz <COMMAND>

    Commands:
      serve     Run the service until SIGTERM
      config    Look at a configuration file without running it
      provider  Look at identity providers and at what they say of a token
      token     Make, list, replace and end API tokens, straight at the store
      check     Decide about one request as the service would, and explain every step
      health    Ask a running service whether it serves
      help      Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version
    ");
    let nothing = run(here, &[]);
    assert_eq!(
        (nothing.code, nothing.out.as_str(), nothing.err),
        (ERROR, "", help.out)
    );
}

#[test]
fn the_help_of_a_command_lists_what_is_below_it() {
    let here = Path::new(".");
    assert_snapshot!(trimmed(&run(here, &["config", "--help"]).out), @"
    Look at a configuration file without running it

    Usage: atlassian-authz config <COMMAND>

    Commands:
      check           Validate a file and print every problem in it with its line and column
      show            Print what a file means: presets expanded, defaults filled in
      schema          Print the JSON Schema of the file
      rule-variables  Print the JSON Schema of what access rules can read
      openapi         Print the OpenAPI document of the admin API
      help            Print this message or the help of the given subcommand(s)

    Options:
      -h, --help  Print help
    ");
    assert_snapshot!(trimmed(&run(here, &["check", "--help"]).out), @"
    Decide about one request as the service would, and explain every step

    Exit code 0: allowed, 1: denied, 2: could not be decided.

    Usage: atlassian-authz check [OPTIONS] --config <FILE> --host <HOST> --path <PATH>

    Options:
          --config <FILE>
              The configuration file

          --host <HOST>
              The host that the client calls

          --path <PATH>
              The path, with its query if there is one

          --method <METHOD>
              The HTTP method

              [default: GET]

          --header <NAME: VALUE>
              A further request header

          --application <APPLICATION>
              The application, as Envoy's `context_extensions` would name it

          --bearer-file <FILE>
              A file that holds the bearer token; `-` reads standard input

              A token is never taken from the command line, where every user of the machine could see it.

          --basic-file <FILE>
              A file that holds `user:token` for Basic authentication; `-` reads standard input

          --source <IP>
              The address that the request comes from

          --json
              Print JSON

      -h, --help
              Print help (see a summary with '-h')
    ");
}

#[test]
fn the_help_of_a_command_says_what_its_exit_codes_mean() {
    let here = Path::new(".");
    for (command, codes) in [
        (
            vec!["serve"],
            "Exit code 0: stopped in good order, 1: the configuration is not valid, 2: anything else.",
        ),
        (vec!["config", "check"], "Exit code 0: valid, 1: not valid."),
        (
            vec!["check"],
            "Exit code 0: allowed, 1: denied, 2: could not be decided.",
        ),
        (vec!["health"], "Exit code 0: it does, 1: it does not."),
    ] {
        let help = run(here, &[command.as_slice(), &["--help"]].concat());
        assert_eq!((help.code, help.err.as_str()), (OK, ""), "{command:?}");
        assert!(help.out.contains(codes), "{command:?}: {}", help.out);
    }
    let version = run(here, &["--version"]);
    assert_eq!(
        version.out,
        concat!("atlassian-authz ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_mistake_on_the_command_line_is_an_error_with_a_hint() {
    let here = Path::new(".");
    let typing_error = run(here, &["chekc"]);
    assert_eq!((typing_error.code, typing_error.out.as_str()), (ERROR, ""));
    assert!(
        typing_error
            .err
            .contains("a similar subcommand exists: 'check'"),
        "{}",
        typing_error.err
    );
    for arguments in [
        vec!["serve"],
        vec!["config"],
        vec!["config", "check"],
        vec!["config", "check", "a", "b"],
        vec!["check", "--config", "a", "--host", "h"],
        vec!["serve", "--config"],
        vec!["health"],
    ] {
        let said = run(here, &arguments);
        assert_eq!((said.code, said.out.as_str()), (ERROR, ""), "{arguments:?}");
        assert!(said.err.contains("--help"), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn a_reader_that_has_enough_is_no_reason_to_panic() {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let output = program()
        .args(["config", "schema"])
        .stdout(writer)
        .output()
        .expect("ended");
    assert_eq!((said(&output).code, said(&output).err.as_str()), (OK, ""));
}
