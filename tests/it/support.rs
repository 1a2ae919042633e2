//! What the tests are made of. Every server listens on loopback, takes a port from the kernel and
//! dies with the value that stands for it.

pub mod children;
pub mod client;
pub mod collector;
pub mod envoy;
pub mod git;
pub mod idp;
pub mod keys;
pub mod postgres;
#[path = "../../benches/load/process.rs"]
pub mod process;
pub mod proxy;
pub mod service;
pub mod tokens;
pub mod upstream;
pub mod waiting;

pub use waiting::eventually;
