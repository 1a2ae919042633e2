//! Everything that needs more than one module: the real binary, the real Envoy, real tokens.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    clippy::print_stderr,
    clippy::format_collect,
    clippy::cast_possible_wrap,
    clippy::disallowed_methods,
    let_underscore_drop,
    unreachable_pub,
    reason = "tests say what they expect by panicking"
)]

#[expect(dead_code, reason = "tests/faults uses the rest")]
mod support;

mod access;
mod admin_api;
mod api_tokens;
mod architecture;
mod command_line;
mod envoy_facts;
mod hours;
mod keycloak;
mod opaque_tokens;
mod provider_faults;
mod providers;
mod real_parts;
mod reload;
mod rolling;
mod token_attacks;
mod token_store;
mod tomcat;
mod transport;
mod walk;
