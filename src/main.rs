//! Parses the command line, runs the command, turns its outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    atlassian_authz::cli::run()
}
