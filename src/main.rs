//! Parses the command line, runs the command, turns its outcome into an exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    atlassian_authz::cli::run(atlassian_authz::cli::Cli::parse())
}
