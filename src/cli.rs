//! The commands.

mod check;
mod config;
mod health;
mod provider;
mod serve;
mod token;

use std::{
    fmt::Display,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{
    Parser, Subcommand,
    error::{ContextKind, ContextValue},
};

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
    ///
    /// Exit code 0: stopped in good order, 1: the configuration is not valid, 2: anything else.
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
    /// Look at identity providers and at what they say of a token
    Provider {
        #[command(subcommand)]
        command: provider::ProviderCommand,
    },
    /// Make, list, replace and end API tokens, straight at the store
    ///
    /// Exit code 0: done, 1: refused, 2: anything else.
    Token {
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// Decide about one request as the service would, and explain every step
    ///
    /// Exit code 0: allowed, 1: denied, 2: could not be decided.
    Check(check::Arguments),
    /// Ask a running service whether it serves
    ///
    /// Exit code 0: it does, 1: it does not.
    Health {
        /// IP:PORT or `unix:/path`
        address: String,
        /// The gRPC health service to ask for: empty, `liveness`, `readiness`, ...
        #[arg(long, default_value = "")]
        service: String,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Validate a file and print every problem in it with its line and column
    ///
    /// Exit code 0: valid, 1: not valid.
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
    /// Print the JSON Schema of what access rules can read
    RuleVariables,
    /// Print the OpenAPI document of the admin API
    Openapi,
}

/// Allowed, valid, healthy, stopped in good order.
const YES: u8 = 0;
/// Denied, invalid, unhealthy.
const NO: u8 = 1;
/// The question could not be asked or answered.
const ERROR: u8 = 2;

/// Reads the command line and runs the command that it names.
pub fn run() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => ExitCode::from(run_command(cli.command)),
        Err(error) if repeats_a_value(&error) => {
            complain(NOT_REPEATED);
            ExitCode::from(ERROR)
        }
        Err(error) => {
            drop(error.print());
            ExitCode::from(if error.use_stderr() { ERROR } else { YES })
        }
    }
}

const NOT_REPEATED: &str = "error: there is an argument that does not belong here (not shown: it may \
    be a secret)\n\nA token is never taken from the command line: write it to a file and use \
    --bearer-file FILE, or - for standard input.\n\nFor more information, try '--help'.";

/// Whether the message would repeat a long word that is no option: someone may have put a token
/// there, and standard error ends up in the logs of a CI job.
fn repeats_a_value(error: &clap::Error) -> bool {
    let is_long = |word: &str| word.len() > 16 && !word.starts_with("--");
    [
        ContextKind::InvalidArg,
        ContextKind::InvalidSubcommand,
        ContextKind::InvalidValue,
    ]
    .into_iter()
    .filter_map(|kind| error.get(kind))
    .any(|value| matches!(value, ContextValue::String(word) if is_long(word)))
}

fn run_command(command: Command) -> u8 {
    match command {
        Command::Serve { config } => serve::run(&config),
        Command::Config {
            command: ConfigCommand::Check { file },
        } => config::check(&file),
        Command::Config {
            command: ConfigCommand::Show { file },
        } => config::show(&file),
        Command::Config {
            command: ConfigCommand::Schema,
        } => config::schema(),
        Command::Config {
            command: ConfigCommand::RuleVariables,
        } => config::rule_variables(),
        Command::Config {
            command: ConfigCommand::Openapi,
        } => config::openapi(),
        Command::Provider { command } => provider::run(&command),
        Command::Token { command } => token::run(&command),
        Command::Check(arguments) => check::run(&arguments),
        Command::Health { address, service } => health::run(&address, service),
    }
}

/// Reads a token and drops the line end that editors and `echo` add.
fn secret(option: &str, file: &Path) -> anyhow::Result<String> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    // The name is not repeated: it may be the token itself, put in the wrong place.
    let text = text.with_context(|| format!("cannot read what {option} names"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// For what a script reads.
///
/// Whoever reads may have enough (`| head`): that is no reason to panic, as `println!` would.
fn say(text: impl Display) {
    drop(writeln!(io::stdout(), "{text}"));
}

/// For what a person reads when something is wrong.
fn complain(text: impl Display) {
    drop(writeln!(io::stderr(), "{text}"));
}
