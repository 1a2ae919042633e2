//! A new token.

use serde_json::json;

use super::{
    By, Event, EventKind, Store, StoreError, change::Change, row::column, statement::Statement,
};
use crate::api_token::{ApiTokenId, Digest, Owner, Scope};

/// What a new token is to be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Its public name.
    pub id: ApiTokenId,
    /// Whom it stands for.
    pub owner: Owner,
    /// What its owner calls it.
    pub name: String,
    /// What is kept of its secret.
    pub digest: Digest,
    /// What it may do.
    pub scope: Scope,
    /// It ends before this moment, in Unix seconds.
    pub expires_at: i64,
}

/// How much one owner may have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Tokens that can be used and have no replacement yet.
    pub active_per_owner: u32,
    /// New tokens in the last hour, replacements too; `None`: any number.
    pub created_per_hour: Option<u32>,
}

/// Why there is no new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// There are enough.
    #[error("this user has {limit} active API tokens, and may not have more")]
    TooManyActive {
        /// So many.
        limit: u32,
    },
    /// There are enough for now.
    #[error("this user has made {limit} API tokens within an hour, and may not make more now")]
    TooManyCreated {
        /// So many.
        limit: u32,
    },
    /// The user may not have any.
    #[error("this user may not have API tokens")]
    OwnerDisabled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const HOUR: i64 = 3600;

impl Store {
    /// Keeps a new token, unless its owner has enough of them.
    pub async fn create(
        &self,
        token: &NewToken,
        limits: Limits,
        by: By<'_>,
    ) -> Result<Event, CreateError> {
        let mut change = self.change().await?;
        if let Err(refusal) = change.may_create(&token.owner, limits, by.now).await {
            change.abandon().await;
            return Err(refusal);
        }
        change.insert(token, None, by).await?;
        let event = token.created(None, by);
        change.tell(&event).await?;
        change.commit(&[token.id]).await?;
        Ok(event)
    }
}

impl Change<'_> {
    /// Judges the limits. True until the change ends, for no other change can come between.
    pub(super) async fn may_create(
        &mut self,
        owner: &Owner,
        limits: Limits,
        now: i64,
    ) -> Result<(), CreateError> {
        let known = Statement::new(
            "INSERT INTO api_token_owner (owner) VALUES ($1) \
             ON CONFLICT (owner) DO UPDATE SET owner = excluded.owner RETURNING disabled_at",
        );
        let known = self.session.row(&known.text(owner.as_str())).await?;
        let known = known.ok_or(StoreError::Corrupt("owner"))?;
        if column::<Option<i64>>(&known, "disabled_at")?.is_some() {
            return Err(CreateError::OwnerDisabled);
        }
        let counts = Statement::new(
            "SELECT count(CASE WHEN revoked_at IS NULL AND replaced_by IS NULL AND expires_at > $2 THEN 1 END) \
             AS active, count(CASE WHEN created_at > $3 THEN 1 END) AS recent FROM api_token WHERE owner = $1",
        )
        .text(owner.as_str())
        .integer(now)
        .integer(now.saturating_sub(HOUR));
        let counts = self.session.row(&counts).await?;
        let counts = counts.ok_or(StoreError::Corrupt("owner"))?;
        let limit = limits.active_per_owner;
        if column::<i64>(&counts, "active")? >= i64::from(limit) {
            return Err(CreateError::TooManyActive { limit });
        }
        let recent: i64 = column(&counts, "recent")?;
        match limits.created_per_hour {
            Some(limit) if recent >= i64::from(limit) => Err(CreateError::TooManyCreated { limit }),
            _ => Ok(()),
        }
    }

    pub(super) async fn insert(
        &mut self,
        token: &NewToken,
        replaces: Option<ApiTokenId>,
        by: By<'_>,
    ) -> Result<(), StoreError> {
        let scope = serde_json::to_string(&token.scope)
            .map_err(|_never_fails| StoreError::Refused("the scope cannot be written"))?;
        let insertion = Statement::new(
            "INSERT INTO api_token (id, owner, name, pepper, digest, scope, applications, created_at, \
             created_by, expires_at, replaces, revision) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .text(token.id.as_str())
        .text(token.owner.as_str())
        .text(token.name.as_str())
        .text(token.digest.pepper.as_str())
        .bytes(&token.digest.mac)
        .text(scope.as_str())
        .text(lines(&token.scope).as_str())
        .integer(by.now)
        .text(by.actor.as_str())
        .integer(token.expires_at)
        .text_or_nothing(replaces.as_ref().map(ApiTokenId::as_str))
        .integer(self.revision);
        self.session.rows(&insertion).await?;
        Ok(())
    }
}

impl NewToken {
    pub(super) fn created(&self, replaces: Option<ApiTokenId>, by: By<'_>) -> Event {
        let mut detail = json!({
            "name": self.name,
            "scope": self.scope,
            "expires_at": self.expires_at,
        });
        if let (Some(replaces), Some(members)) = (replaces, detail.as_object_mut()) {
            members.insert("replaces".to_owned(), json!(replaces));
        }
        Event::new(EventKind::Created, by, detail).about(self.id, &self.owner)
    }
}

/// The applications as a text that both databases can search for one of them.
fn lines(scope: &Scope) -> String {
    let mut text = "\n".to_owned();
    for application in &scope.applications {
        text.push_str(application);
        text.push('\n');
    }
    text
}
