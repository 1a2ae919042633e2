//! The targets as a library, for cargo-fuzz: see `fuzz/`.

mod recipe;
mod reference;
mod support;
mod tally;
pub mod targets;
mod world;
