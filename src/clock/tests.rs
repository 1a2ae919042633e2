//! A clock that stands still with tokio's.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Clock, Now};

/// One hour after the beginning of 1970 on the wall; claims are judged at its first second.
pub(crate) struct PausedClock;

impl Clock for PausedClock {
    #[expect(clippy::disallowed_methods, reason = "tokio's clock, which is paused")]
    fn now(&self) -> Now {
        Now {
            unix_seconds: 0,
            instant: Instant::now(),
        }
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(1)
    }
}
