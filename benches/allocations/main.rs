//! How often a check asks the allocator for memory, and for how much: the whole server, from the socket to the log,
//! beside the floor, which is the same without us.
//!
//! `cargo bench --bench allocations [-- --json FILE]`. Both servers are this program with an allocator that counts; a
//! program that only asks is no part of what is counted. A count does not depend on what else the machine does.
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

mod counter;

#[expect(dead_code, reason = "the load harness needs more")]
#[path = "../load"]
mod harness {
    pub mod calls;
    pub mod client;
    pub mod config;
    pub mod floor;
    pub mod guard;
    pub mod http1;
    pub mod load;
    pub mod mint;
    pub mod own_tokens;
    pub mod process;
    pub mod server;

    #[expect(clippy::unwrap_used, reason = "the provider of the tests unwraps")]
    #[path = "../../tests/it/support/idp.rs"]
    pub mod idp;
    #[path = "../../tests/it/support/keys.rs"]
    pub mod keys;
    #[expect(
        clippy::cast_possible_wrap,
        reason = "the tokens of the tests hold seconds"
    )]
    #[path = "../../tests/it/support/tokens.rs"]
    pub mod tokens;
}

use std::{env, fs, path::PathBuf, process::ExitCode, sync::Arc};

use clap::Parser;
use serde::Serialize;

use crate::{
    counter::Count,
    harness::{
        calls::{Answerer, Call, Recipe, Wire},
        client::{Client, Target},
        config::Config,
        floor, guard,
        idp::Idp,
        load::Load,
        mint::{CACHED, Mint, Signature},
        own_tokens::Stock,
        server::Server,
    },
};

/// Calls in one count; what is done now and then is spread over them.
const CALLS: usize = 20_000;
const LOAD: Load = Load::closed(4, 4);

/// Counts what checks allocate.
#[derive(Parser)]
struct Options {
    /// Cargo passes it to benchmarks.
    #[arg(long, hide = true)]
    bench: bool,
    /// Also writes the figures to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One kind of call.
#[derive(Serialize)]
struct Line {
    kind: &'static str,
    floor: Count,
    service: Count,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        // This program is also both servers.
        Some("floor") => {
            counter::publish();
            return floor::run(&arguments[1], false);
        }
        Some("serve") => {
            counter::publish();
            return atlassian_authz::cli::run();
        }
        Some("guard") => return guard::run(&arguments[1..]),
        _ => {}
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("not counted: use cargo bench --bench allocations");
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    debug_assert!(options.bench);
    let lines = measure();
    print(&lines);
    if let Some(file) = &options.json {
        let text = serde_json::to_string(&lines).expect("JSON");
        let written = file.parent().map_or(Ok(()), fs::create_dir_all);
        let written = written.and_then(|()| fs::write(file, text + "\n"));
        written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    ExitCode::SUCCESS
}

fn measure() -> Vec<Line> {
    let idp = Idp::start();
    let keys = Signature::ALL.map(|signature| (signature.key_id(), signature.key()));
    idp.publish(&keys);
    let issuer = [idp.issuer.clone()];
    let own = env::current_exe().expect("a path");
    let stock = Stock::fill(Config::of(&issuer), 1_000);
    let service = Server::service(&own, &stock.config.yaml());
    let floor = Server::floor();
    let tokens = Mint::of(&issuer, Signature::Rs256);
    let check = Recipe::CHECK;
    let kinds = [
        ("cached JWT", check.with(&tokens.tokens(0..CACHED))),
        (
            "RS256 seen first",
            check.with(&tokens.tokens(CACHED..CACHED + CALLS)),
        ),
        ("API token", check.with(&stock.held)),
        ("no credential", check.without_credential()),
        ("no credential, native", check.native()),
    ];
    kinds
        .iter()
        .map(|(kind, calls)| Line {
            kind,
            floor: count(&floor, Answerer::Floor, calls),
            service: count(&service, Answerer::Judge, calls),
        })
        .collect()
}

fn count(server: &Server, answerer: Answerer, calls: &Arc<[Call]>) -> Count {
    let target = Target {
        address: &server.address,
        wire: Wire::Grpc,
        answerer,
    };
    let mut client = Client::connect(target, LOAD);
    if calls.len() < CALLS {
        client.run(calls, calls.len().max(LOAD.streams * LOAD.connections));
    }
    let now = || {
        // The log is written after the answers.
        server.cpu_when_idle();
        counter::read(server.pid)
    };
    let before = now();
    client.run(calls, CALLS);
    now().since(&before).each(CALLS)
}

fn print(lines: &[Line]) {
    println!(
        "{:<24} {:>24} {:>24}",
        "for each check", "floor", "atlassian-authz"
    );
    for Line {
        kind,
        floor,
        service,
    } in lines
    {
        let text = |count: &Count| format!("{:.1} ({:.0} bytes)", count.allocations, count.bytes);
        println!("{kind:<24} {:>24} {:>24}", text(floor), text(service));
    }
}
