//! The only source of time. Everything else takes a [`Now`] as a value.

use std::time::SystemTime;

use tokio::time::Instant;

/// One moment, read once for each request.
///
/// Wall time judges the claims of a token (`exp`, `nbf`, `iat`); the monotonic instant judges how
/// long something has been cached, so that a jump of the node's clock cannot prolong a cache entry.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Whole seconds since 1970-01-01T00:00:00Z, as RFC 7519 counts its `NumericDate`.
    pub unix_seconds: i64,
    /// The same moment on the clock that never goes back.
    pub instant: Instant,
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Now;

    /// The same moment on the clock that never goes back, for those who only measure how long something took.
    fn instant(&self) -> Instant {
        self.now().instant
    }

    /// The time on the wall with all its digits, for people who compare it with that of other machines.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clocks"
    )]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clocks"
    )]
    fn now(&self) -> Now {
        Now {
            unix_seconds: jiff::Timestamp::now().as_second(),
            instant: Instant::now(),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clocks"
    )]
    fn instant(&self) -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
pub(crate) mod tests;
