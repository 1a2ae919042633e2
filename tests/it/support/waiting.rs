//! Waiting for what another process is about to make true.

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
