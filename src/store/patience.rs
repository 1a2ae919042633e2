//! How long the store waits for what.

use std::time::Duration;

/// Limits of time. The defaults are those of the service; tests have others.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection, a new one or one that others use now.
    pub acquire: Duration,
    /// For the answer to one statement.
    pub statement: Duration,
    /// For the answer to one that may touch many rows, and for each step of a migration.
    pub bulk: Duration,
    /// Between two looks at an SQLite file.
    pub look: Duration,
    /// Between two signs of life of the session that listens.
    pub beat: Duration,
    /// For such a sign to come back.
    pub beat_answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            acquire: Duration::from_secs(1),
            statement: Duration::from_secs(2),
            bulk: Duration::from_secs(20),
            look: Duration::from_millis(100),
            beat: Duration::from_secs(5),
            beat_answer: Duration::from_secs(5),
        }
    }
}
