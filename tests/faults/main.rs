//! What breaks around the service, while a steady load goes through a real Envoy: minutes each, so not
//! part of `make test`. `make test-faults` runs them one after the other; docs/FAULTS.md says what each
//! must show, and which of the shorter tests show the rest.
//!
//! Nothing here is judged by a time: the criteria are counts, and ratios between phases of one run.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::excessive_nesting,
    clippy::print_stderr,
    clippy::disallowed_methods,
    let_underscore_drop,
    unreachable_pub,
    reason = "tests say what they expect by panicking"
)]

mod canaries;
mod flood;
mod load;
mod product;
mod scene;
mod tally;
mod traffic;

mod balance;
mod database;
mod hostile;
mod introspection;
mod keys;
mod memory;
mod overload;
mod replicas;
mod soak;

#[expect(
    dead_code,
    clippy::format_collect,
    clippy::cast_possible_wrap,
    reason = "shared with the shorter tests, which use all of it"
)]
#[path = "../it/support"]
mod support {
    pub mod children;
    pub mod client;
    pub mod envoy;
    pub mod idp;
    pub mod keys;
    pub mod postgres;
    pub mod proxy;
    pub mod service;
    pub mod tokens;
    pub mod upstream;
    mod waiting;

    pub use waiting::eventually;
}

#[expect(
    dead_code,
    reason = "shared with the shorter tests, which use all of it"
)]
#[path = "../it/api_tokens/fixture.rs"]
mod desk;

#[expect(dead_code, reason = "shared with the benchmark, which uses all of it")]
#[path = "../../benches/load/process.rs"]
mod process;
