//! What a check costs, beside a server that answers every check without looking at it.
//!
//! `cargo bench --bench load [-- --quick] [-- --json FILE]`. The figures of two machines cannot be
//! compared, nor those of two hours on a shared one: what counts are the ratios, taken between
//! neighbouring measurements of one run. Every answer is checked; a wrong one ends the run.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::string_slice,
    unreachable_pub,
    let_underscore_drop,
    reason = "a measurement that fails says so by panicking, and reads the clock"
)]

mod bare;
mod calls;
mod client;
mod floor;
mod guard;
mod memory;
mod own_tokens;
mod process;
mod report;
mod rules;
mod scenarios;
mod server;
mod start;
mod timing;

#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the provider of the tests can do more"
)]
#[path = "../../tests/it/support/idp.rs"]
mod idp;
#[expect(dead_code, reason = "the tests need more kinds of keys")]
#[path = "../../tests/it/support/keys.rs"]
mod keys;
#[expect(
    dead_code,
    clippy::cast_possible_wrap,
    reason = "the tests need more kinds of tokens"
)]
#[path = "../../tests/it/support/tokens.rs"]
mod tokens;

use std::{env, path::PathBuf, process::ExitCode};

use clap::Parser;

use crate::{report::Report, server::Server};

/// Measures checks beside a server that does nothing.
#[derive(Parser)]
struct Options {
    /// Cargo passes it to benchmarks.
    #[arg(long, hide = true)]
    bench: bool,
    /// A few seconds, to see that everything works; the figures mean little.
    #[arg(long)]
    quick: bool,
    /// Also writes every single figure to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only scenarios, and parts `memory`, `API tokens`, `access rules` and `start`, whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Measurements of each figure; floor and service take turns.
    #[arg(long, value_name = "N")]
    pairs: Option<usize>,
    /// Distinct tokens for the memory figure.
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,
    /// Another build of the service.
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_atlassian-authz"))]
    service: PathBuf,
}

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Measurements of each figure.
    pub pairs: usize,
    /// Divides the number of checks of each.
    pub divisor: usize,
    /// Distinct tokens for the memory figure.
    pub tokens: usize,
    /// Starts.
    pub starts: usize,
}

impl Options {
    fn effort(&self) -> Effort {
        let (pairs, divisor, tokens, starts) = if self.quick {
            (1, 20, 5_000, 1)
        } else {
            (5, 1, 200_000, 9)
        };
        Effort {
            pairs: self.pairs.unwrap_or(pairs).max(1),
            divisor,
            tokens: self.tokens.unwrap_or(tokens),
            starts,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        // This program is also the servers' other half: see these modules.
        Some("floor") => return floor::run(),
        Some("guard") => return guard::run(&arguments[1..]),
        _ => {}
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` runs benchmarks too. A test has no business with speed.
        println!("not measured: use cargo bench --bench load");
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    debug_assert!(options.bench);
    run(&options);
    ExitCode::SUCCESS
}

fn run(options: &Options) {
    let effort = options.effort();
    let mut report = Report::new(&options.service, options.quick);
    report.print_head();
    let idp = scenarios::provider();
    let service = Server::service(&options.service, &server::config(&idp.issuer));
    let idle = service.resident();

    let chosen = scenarios::all(effort.divisor)
        .into_iter()
        .filter(|scenario| scenario.name().contains(&options.only));
    let mut bench = scenarios::Bench::new(&service, &idp, effort);
    for scenario in chosen {
        report.add(bench.measure(&scenario));
    }
    drop(bench);
    if "memory".contains(&options.only) {
        report.remember("idle, after start", idle);
        memory::measure(&service, &idp, effort, &mut report);
    }
    drop(service);
    if "API tokens".contains(&options.only) {
        own_tokens::measure(&options.service, &idp.issuer, effort, &mut report);
        timing::measure(effort);
    }
    if "access rules".contains(&options.only) {
        rules::measure(&options.service, &idp.issuer, effort, &mut report);
    }
    if "start".contains(&options.only) {
        report.starts = start::measure(&options.service, effort.starts);
    }
    report.print_end();
    if let Some(file) = &options.json {
        report.write(file);
    }
}
