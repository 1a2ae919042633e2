//! What a check costs, beside a server that answers every check without looking at it, and beside Envoy's own filters.
//!
//! `cargo bench --bench load [-- --quick] [-- --only TEXT] [-- --json FILE]`. The figures of two machines cannot be
//! compared, nor those of two hours on a shared one: what counts are the ratios, taken between
//! neighbouring measurements of one run. Every answer is checked; a wrong one ends the run.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::format_push_string,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::string_slice,
    unreachable_pub,
    let_underscore_drop,
    reason = "a measurement that fails says so by panicking, and reads the clock"
)]

mod bare;
mod bars;
mod calls;
mod client;
mod comparison;
mod config;
mod envoy;
mod floor;
mod gateway;
mod growth;
mod guard;
mod http1;
mod kinds;
mod lab;
mod load;
mod machine;
mod memory;
mod mint;
mod own_tokens;
mod process;
mod report;
mod sample;
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

use crate::{
    lab::{Effort, Lab},
    report::Report,
};

/// Measures checks beside a server that does nothing, and beside what Envoy has itself.
#[derive(Parser)]
struct Options {
    /// Cargo passes it to benchmarks.
    #[arg(long, hide = true)]
    bench: bool,
    /// To see that everything works; the figures mean little.
    #[arg(long)]
    quick: bool,
    /// Also writes every single figure to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What `benches/allocations` has written, to go into that file.
    #[arg(long, value_name = "FILE")]
    allocations: Option<PathBuf>,
    /// Only what has this in its title, as it is printed; `memory`, `start` and `API tokens: timing` are titles, too.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Measurements of each figure; candidates take turns.
    #[arg(long, value_name = "N")]
    turns: Option<usize>,
    /// Distinct tokens for the memory figure.
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,
    /// Another build of the service.
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_atlassian-authz"))]
    service: PathBuf,
}

impl Options {
    fn effort(&self) -> Effort {
        let (turns, divisor, tokens, starts) = if self.quick {
            (1, 50, 5_000, 1)
        } else {
            (5, 1, 1_000_000, 9)
        };
        Effort {
            turns: self.turns.unwrap_or(turns).max(1),
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
        Some("floor") => return floor::run(&arguments[1], false),
        Some("telling-floor") => return floor::run(&arguments[1], true),
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
    let report = Report::new(options.quick, options.allocations.as_deref());
    report.print_head(&options.service);
    let mut lab = Lab::new(&options.service, &options.only, options.effort(), report);
    kinds::shapes(&mut lab);
    kinds::kinds(&mut lab);
    growth::measure(&mut lab);
    gateway::measure(&mut lab);
    memory::measure(&mut lab);
    start::measure(&mut lab);
    timing::measure(&lab);
    lab.report.conclude();
    if let Some(file) = &options.json {
        lab.report.write(file);
    }
}
