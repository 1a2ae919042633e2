//! API tokens as their users and their attackers meet them: made at the command line, used through a real
//! Envoy or directly, ended while they are in use.

mod basic;
mod envoy;
pub mod fixture;
mod git;
mod life;
mod postgres;
mod scanners;
mod scopes;
mod secrets;

use fixture::Desk;
