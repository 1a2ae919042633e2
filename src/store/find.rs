//! What the service asks: one token, what has changed, how many there are.

use sqlx::any::AnyRow;

use super::{
    Store, StoreError,
    row::{column, optional_id, record},
    statement::Statement,
};
use crate::api_token::{ApiTokenId, Digest, PepperId, TokenRecord};

/// A token as it was when it was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Everything that is known of it.
    pub record: TokenRecord,
    /// Its time is over by the clock of the database, which all replicas share.
    pub expired: bool,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The newest revision. Everything up to it is in `ids`.
    pub revision: i64,
    /// Tokens that have changed and the revisions of their last changes, in this order.
    pub ids: Vec<(ApiTokenId, i64)>,
}

/// How many tokens there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// That can be used.
    pub active: i64,
    /// Of those, that end within 7 days.
    pub expiring_within_7_days: i64,
    /// Of those that can be used, for each pepper.
    pub by_pepper: Vec<(PepperId, i64)>,
}

/// What has changed since a revision: one statement, so that its parts belong together.
pub(super) const CHANGES: &str = "SELECT now.revision, token.id, token.revision AS changed FROM api_token_revision now \
     LEFT JOIN api_token token ON token.revision > $1 ORDER BY token.revision";

const SEVEN_DAYS: i64 = 7 * 24 * 3600;

impl Store {
    /// Looks for a token.
    pub async fn find(&self, id: ApiTokenId) -> Result<Option<Found>, StoreError> {
        let statement = Statement::new(self.sessions.dialect.find()).text(id.as_str());
        self.first(&statement)
            .await?
            .as_ref()
            .map(found)
            .transpose()
    }

    /// What has changed since this revision, and nothing else.
    pub async fn changes_since(&self, revision: i64) -> Result<Changes, StoreError> {
        let mut session = self.sessions.read().await?;
        session.for_many_rows();
        let rows = session
            .rows(&Statement::new(CHANGES).integer(revision))
            .await?;
        session.keep();
        changes(&rows)
    }

    /// Counts the tokens.
    pub async fn summary(&self, now: i64) -> Result<Summary, StoreError> {
        let statement = Statement::new(
            "SELECT pepper, count(*) AS active, count(CASE WHEN expires_at <= $2 THEN 1 END) AS expiring \
             FROM api_token WHERE revoked_at IS NULL AND expires_at > $1 GROUP BY pepper ORDER BY pepper",
        )
        .integer(now)
        .integer(now.saturating_add(SEVEN_DAYS));
        let mut session = self.sessions.read().await?;
        session.for_many_rows();
        let rows = session.rows(&statement).await?;
        session.keep();
        let mut summary = Summary::default();
        for row in &rows {
            let active: i64 = column(row, "active")?;
            summary.active += active;
            summary.expiring_within_7_days += column::<i64>(row, "expiring")?;
            let pepper = PepperId::from_store(column(row, "pepper")?);
            summary.by_pepper.push((pepper, active));
        }
        Ok(summary)
    }

    /// Keeps another digest of the same secret, unless somebody has done so. Tells whether it did.
    pub async fn rehash(
        &self,
        id: ApiTokenId,
        from: &PepperId,
        to: &Digest,
    ) -> Result<bool, StoreError> {
        let statement = Statement::new(
            "UPDATE api_token SET pepper = $3, digest = $4 WHERE id = $1 AND pepper = $2 RETURNING id",
        )
        .text(id.as_str())
        .text(from.as_str())
        .text(to.pepper.as_str())
        .bytes(&to.mac);
        Ok(self.first(&statement).await?.is_some())
    }

    async fn first(&self, statement: &Statement) -> Result<Option<AnyRow>, StoreError> {
        let mut session = self.sessions.read().await?;
        let row = session.row(statement).await?;
        session.keep();
        Ok(row)
    }
}

fn found(row: &AnyRow) -> Result<Found, StoreError> {
    Ok(Found {
        record: record(row)?,
        expired: column::<i64>(row, "expired")? != 0,
    })
}

pub(super) fn changes(rows: &[AnyRow]) -> Result<Changes, StoreError> {
    let first = rows.first().ok_or(StoreError::Corrupt("revision"))?;
    let mut ids = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(id) = optional_id(row, "id")? {
            ids.push((id, column(row, "changed")?));
        }
    }
    Ok(Changes {
        revision: column(first, "revision")?,
        ids,
    })
}
