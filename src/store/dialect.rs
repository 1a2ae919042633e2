//! Everything in which the two databases differ.

use super::{location::Place, row::columns};

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    pub(super) fn of(place: &Place) -> Self {
        match place {
            Place::Sqlite(_) => Self::Sqlite,
            Place::Postgres(_) => Self::Postgres,
        }
    }

    /// What a new connection is told.
    pub(super) fn greeting(self) -> &'static str {
        match self {
            // WAL: readers do not wait for the writer. FULL: what was answered survives a power failure.
            // Untrusted: a schema that somebody has planted runs no functions.
            Self::Sqlite => {
                "PRAGMA busy_timeout = 1500;
                 PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = FULL;
                 PRAGMA foreign_keys = ON;
                 PRAGMA trusted_schema = OFF;"
            }
            // The server's own limits, for when it no longer hears from us: nobody else can change anything
            // while a transaction of ours is open.
            Self::Postgres => {
                "SET statement_timeout = '20s';
                 SET lock_timeout = '1500ms';
                 SET idle_in_transaction_session_timeout = '5s';
                 SET TIME ZONE 'UTC';"
            }
        }
    }

    /// Whether the server is a copy, which may lag behind a revocation.
    pub(super) fn is_copy(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT 0",
            Self::Postgres => "SELECT CAST(pg_is_in_recovery() AS INTEGER)",
        }
    }

    /// Begins a transaction that writes. In SQLite a transaction that began by reading may be refused to write.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// A token, and whether its time is over by the clock that all replicas share.
    pub(super) fn find(self) -> &'static str {
        match self {
            Self::Sqlite => concat!(
                "SELECT ",
                columns!(),
                ", expires_at <= unixepoch() AS expired FROM api_token WHERE id = $1"
            ),
            Self::Postgres => concat!(
                "SELECT ",
                columns!(),
                ", CAST(expires_at <= extract(epoch FROM statement_timestamp()) AS INTEGER) AS expired \
                 FROM api_token WHERE id = $1"
            ),
        }
    }
}
