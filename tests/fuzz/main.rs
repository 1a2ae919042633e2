//! Fuzzing on the stable toolchain: seeds, structured edits of them, and a reference that says what is right. See
//! docs/FUZZING.md; the same targets run under libFuzzer from `fuzz/`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    clippy::print_stderr,
    clippy::map_err_ignore,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    let_underscore_drop,
    unreachable_pub,
    reason = "tests say what they expect by panicking"
)]

mod mutate;
mod recipe;
mod reference;
mod run;
mod support;
mod tally;
mod targets;
mod world;

use mutate::Kind;
use run::Target;

/// One test for each target, so that each is run and reported by its name.
macro_rules! targets {
    ($($name:ident: $kind:ident, 1 in $share:literal;)*) => {$(
        #[test]
        fn $name() {
            run::run(&Target {
                name: stringify!($name),
                run: targets::$name::target,
                kind: Kind::$kind,
                share: $share,
            });
        }
    )*};
}

targets! {
    authorization: Credential, 1 in 1;
    jws: Token, 1 in 1;
    claims: Json, 1 in 1;
    jwks: Json, 1 in 1;
    discovery: Json, 1 in 1;
    introspection: Json, 1 in 1;
    path: Text, 1 in 1;
    api_token: Text, 1 in 1;
    username: Text, 1 in 1;
    check_request: Check, 1 in 1;
    config: Text, 1 in 20;
}
