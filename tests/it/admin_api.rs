//! The admin API as its callers and its attackers meet it, with the real binary, a real issuer and a real store.

mod bodies;
mod browsers;
mod callers;
mod checks;
mod document;
mod fixture;
mod rights;
mod tokens;

use fixture::{Api, ask, json_of, problem};
