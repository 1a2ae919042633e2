//! The commands.

mod check;
mod config;
mod health;
mod serve;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// External authorization for Envoy in front of Atlassian Data Center.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until SIGTERM
    Serve {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Look at a configuration file without running it
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Decide about one request as the service would, and explain every step.
    /// Exit code 0: allowed, 1: denied, 2: could not be decided
    Check(check::Arguments),
    /// Ask a running service whether it serves. Exit code 0: it does, 1: it does not
    Health {
        /// ADDRESS:PORT or unix:/path
        address: String,
        /// The gRPC health service to ask for: empty, `liveness`, `readiness`, ...
        #[arg(long, default_value = "")]
        service: String,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Validate a file and print every problem in it with its line and column
    Check {
        /// The configuration file
        file: PathBuf,
    },
    /// Print what a file means: presets expanded, defaults filled in
    Show {
        /// The configuration file
        file: PathBuf,
    },
    /// Print the JSON Schema of the file
    Schema,
}

/// Allowed, valid, healthy, stopped in good order.
const YES: u8 = 0;
/// Denied, invalid, unhealthy.
const NO: u8 = 1;
/// The question could not be asked or answered.
const ERROR: u8 = 2;

/// Runs a command.
pub fn run(cli: Cli) -> ExitCode {
    let code = match cli.command {
        Command::Serve { config } => serve::run(&config),
        Command::Config { command: ConfigCommand::Check { file } } => config::check(&file),
        Command::Config { command: ConfigCommand::Show { file } } => config::show(&file),
        Command::Config { command: ConfigCommand::Schema } => config::schema(),
        Command::Check(arguments) => check::run(&arguments),
        Command::Health { address, service } => health::run(&address, service),
    };
    ExitCode::from(code)
}

/// For what a script reads.
#[expect(clippy::print_stdout, reason = "a command's answer goes to standard output")]
fn say(text: impl std::fmt::Display) {
    println!("{text}");
}

/// For what a person reads when something is wrong.
#[expect(clippy::print_stderr, reason = "a command's complaint goes to standard error")]
fn complain(text: impl std::fmt::Display) {
    eprintln!("{text}");
}
