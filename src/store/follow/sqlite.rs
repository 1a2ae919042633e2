//! SQLite tells a connection whether another one has written, in whatever process: by a number, when asked.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use sqlx::AnyConnection;
use tokio::time::sleep;

use super::{Ended, Known, NOTHING_SINCE};
use crate::store::{
    Changes, StoreError,
    find::{CHANGES, changes},
    session::{Sessions, ask, first_integer},
    statement::Statement,
};

pub(super) async fn session(sessions: &Sessions, path: &Path, known: &mut Known<'_>) -> Ended {
    let mut connection = sessions.connect().await?;
    let file = number_of(path)?;
    let mut seen = version(sessions, &mut connection).await?;
    known.begin(&since(sessions, &mut connection, NOTHING_SINCE).await?);
    loop {
        sleep(sessions.patience.look).await;
        // The open file stays what it is when its name is given to another one.
        if number_of(path)? != file {
            return Err(StoreError::Unreachable("its file has been replaced"));
        }
        let version = version(sessions, &mut connection).await?;
        if version == seen {
            known.follower.heard();
        } else {
            seen = version;
            known.take(&since(sessions, &mut connection, known.revision).await?);
        }
    }
}

async fn version(
    sessions: &Sessions,
    connection: &mut AnyConnection,
) -> Result<Option<i64>, StoreError> {
    let question = Statement::new("PRAGMA data_version");
    first_integer(&ask(connection, &question, sessions.patience.statement).await?)
}

async fn since(
    sessions: &Sessions,
    connection: &mut AnyConnection,
    revision: i64,
) -> Result<Changes, StoreError> {
    let question = Statement::new(CHANGES).integer(revision);
    changes(&ask(connection, &question, sessions.patience.bulk).await?)
}

fn number_of(path: &Path) -> Result<u64, StoreError> {
    fs::metadata(path)
        .map(|about| about.ino())
        .map_err(|_no_detail| StoreError::Unreachable("its file is not there"))
}
