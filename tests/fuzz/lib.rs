//! The targets as a library, for cargo-fuzz: see `fuzz/`.
#![allow(dead_code, reason = "libFuzzer has edits and a report of its own")]

mod recipe;
mod reference;
mod support;
mod tally;
pub mod targets;
mod world;
