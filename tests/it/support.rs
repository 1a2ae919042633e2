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
pub mod proxy;
pub mod service;
pub mod tokens;
pub mod upstream;

use std::time::{Duration, Instant};

/// Waits for something that another process is about to make true. Panics after a generous time:
/// that is a hang, not a slow machine.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < give_up, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
