//! The tables and their versions.

use std::time::Duration;

use sqlx::{
    AnyConnection, Connection, SqlSafeStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};
use tokio::time::timeout;

use super::{Store, StoreError, dialect::Dialect, statement::Statement};

/// The tables are not those of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Nobody has made them.
    #[error("the token database has no tables yet: run `atlassian-authz token migrate`")]
    Empty,
    /// An older version has made them.
    #[error("the token database is older than this version: run `atlassian-authz token migrate`")]
    Older,
    /// A newer version has made them.
    #[error(
        "the token database is newer than this version: install the version that made it, or a newer one"
    )]
    Newer,
    /// Neither.
    #[error("the tables of the token database were not made by this program")]
    Foreign,
}

/// Its name says whose migrations they are: others may use the same database.
const TABLE: &str = "api_token_migration";
/// The newest.
const VERSION: i64 = 1;

impl Store {
    /// Makes the tables, or those that are missing since the last version. PostgreSQL is migrated by a command
    /// only, for the service may not.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.sessions.migrate().await
    }
}

pub(super) async fn migrate(
    connection: &mut AnyConnection,
    dialect: Dialect,
    limit: Duration,
) -> Result<(), StoreError> {
    let migrator = migrator(dialect);
    let run = async {
        match dialect {
            Dialect::Postgres => migrator.run_direct(None, connection, false).await,
            // It has no lock for this, and two processes may meet an empty file.
            Dialect::Sqlite => {
                let mut transaction = connection.begin_with(dialect.begin()).await?;
                migrator.run_direct(None, &mut *transaction, false).await?;
                Ok(transaction.commit().await?)
            }
        }
    };
    match timeout(limit, run).await {
        Ok(done) => done.map_err(of_migration),
        Err(_elapsed) => Err(StoreError::Timeout),
    }
}

/// The newest version that the tables have.
pub(super) fn version() -> Statement {
    Statement::new("SELECT max(version) FROM api_token_migration")
}

pub(super) fn judge(version: Option<i64>) -> Result<(), SchemaError> {
    match version.unwrap_or_default() {
        0 => Err(SchemaError::Empty),
        older if older < VERSION => Err(SchemaError::Older),
        VERSION => Ok(()),
        _ => Err(SchemaError::Newer),
    }
}

fn migrator(dialect: Dialect) -> Migrator {
    let first = match dialect {
        Dialect::Sqlite => include_str!("../../migrations/sqlite/0001_api_tokens.sql"),
        Dialect::Postgres => include_str!("../../migrations/postgres/0001_api_tokens.sql"),
    };
    let first = Migration::new(
        1,
        "api tokens".into(),
        MigrationType::Simple,
        first.into_sql_str(),
        false,
    );
    let mut migrator = Migrator::with_migrations(vec![first]);
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

fn of_migration(error: MigrateError) -> StoreError {
    if matches!(
        error,
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..)
    ) {
        return SchemaError::Newer.into();
    }
    if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
        return error.into();
    }
    SchemaError::Foreign.into()
}
