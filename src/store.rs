//! Where API tokens are kept: SQLite in a file, or PostgreSQL for several replicas.
//!
//! Both have the same tables, and nearly every statement is one text for both; what differs is in `dialect`.
//! Nothing here waits longer than [`Patience`] says, whatever the network does.

mod change;
mod create;
mod dialect;
mod error;
mod events;
mod find;
mod follow;
mod list;
mod location;
mod owner;
mod patience;
mod private_file;
mod revoke;
mod rotate;
mod row;
mod schema;
mod session;
mod statement;
mod usage;

pub use change::By;
pub use create::{CreateError, Limits, NewToken};
pub use error::StoreError;
pub use events::{Event, EventFilter, EventKind};
pub use find::{Changes, Found, Summary};
pub use follow::Follower;
pub use list::{Cursor, Filter};
pub use location::{LocationError, StoreLocation};
pub use patience::Patience;
pub use private_file::FileError;
pub use revoke::{Family, RevokeOutcome};
pub use rotate::{Replacement, RotateError};
pub use schema::SchemaError;
pub use usage::{Usage, network_of};

use location::Place;
use session::Sessions;

/// The store of all tokens. Cheap to open, expensive to open twice.
pub struct Store {
    sessions: Sessions,
}

/// Why the store cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The file is not safe.
    #[error(transparent)]
    File(#[from] FileError),
    /// The database is not there, or not as expected.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Opens the store and looks whether it is usable. Makes an SQLite file and its tables.
    pub async fn open(location: &StoreLocation, patience: Patience) -> Result<Self, OpenError> {
        let store = Self::open_lazily(location, patience)?;
        store.check().await?;
        if let Place::Sqlite(path) = &location.0 {
            private_file::check(path)?;
        }
        Ok(store)
    }

    /// As [`Self::open`], without asking the database: a server that is down now is asked when it is needed.
    pub fn open_lazily(location: &StoreLocation, patience: Patience) -> Result<Self, FileError> {
        if let Place::Sqlite(path) = &location.0 {
            private_file::make(path)?;
        }
        Ok(Self {
            sessions: Sessions::new(location, patience),
        })
    }

    /// Whether the database answers and has the tables of this version.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.sessions.read().await?.keep();
        Ok(())
    }
}
