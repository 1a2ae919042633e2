//! A new secret for an old purpose.

use serde_json::json;

use super::{
    By, CreateError, Event, EventKind, Limits, NewToken, Store, StoreError,
    change::Change,
    row::{columns, record},
    statement::Statement,
};
use crate::api_token::{ApiTokenId, Digest, State, TokenRecord};

/// The token that takes over: owner, name and scope are those of the old one.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// Its public name.
    pub id: ApiTokenId,
    /// What is kept of its secret.
    pub digest: Digest,
    /// It ends before this moment, in Unix seconds.
    pub expires_at: i64,
    /// The old token ends before this moment, if not earlier.
    pub ends_old_at: i64,
    /// New tokens in the last hour; `None`: any number. Otherwise rotating would get around the limit.
    pub created_per_hour: Option<u32>,
}

/// Why a token has not been replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotateError {
    /// There is none.
    #[error("there is no such API token")]
    Unknown,
    /// Somebody was faster.
    #[error("this API token has been replaced already, by {by}")]
    AlreadyReplaced {
        /// The replacement.
        by: ApiTokenId,
    },
    /// It is over, and nothing that is over comes back.
    #[error("this API token is {}, and cannot be replaced", words(*state))]
    NotActive {
        /// How it ended.
        state: State,
    },
    /// The new one may not be made, or the store failed.
    #[error(transparent)]
    Create(#[from] CreateError),
}

impl From<StoreError> for RotateError {
    fn from(error: StoreError) -> Self {
        Self::Create(error.into())
    }
}

impl Store {
    /// Makes the replacement and sets the end of the old token, both or none. Tells both events.
    pub async fn rotate(
        &self,
        old: ApiTokenId,
        new: &Replacement,
        by: By<'_>,
    ) -> Result<[Event; 2], RotateError> {
        let mut change = self.change().await?;
        let token = match change.replaceable(old, new, by.now).await {
            Ok(old) => new.token(old),
            Err(refusal) => {
                change.abandon().await;
                return Err(refusal);
            }
        };
        change.insert(&token, Some(old), by).await?;
        let replaced = Statement::new(
            "UPDATE api_token SET replaced_by = $2, revision = $3, \
             expires_at = CASE WHEN expires_at > $4 THEN $4 ELSE expires_at END WHERE id = $1",
        )
        .text(old.as_str())
        .text(new.id.as_str())
        .integer(change.revision)
        .integer(new.ends_old_at);
        change.session.rows(&replaced).await?;
        let detail = json!({ "replaced_by": new.id, "ends_at": new.ends_old_at });
        let events = [
            Event::new(EventKind::Rotated, by, detail).about(old, &token.owner),
            token.created(Some(old), by),
        ];
        for event in &events {
            change.tell(event).await?;
        }
        change.commit(&[old, new.id]).await?;
        Ok(events)
    }
}

impl Change<'_> {
    async fn replaceable(
        &mut self,
        old: ApiTokenId,
        new: &Replacement,
        now: i64,
    ) -> Result<TokenRecord, RotateError> {
        let statement = concat!("SELECT ", columns!(), " FROM api_token WHERE id = $1");
        let row = self
            .session
            .row(&Statement::new(statement).text(old.as_str()))
            .await?;
        let old = record(&row.ok_or(RotateError::Unknown)?)?;
        if let Some(by) = old.replaced_by {
            return Err(RotateError::AlreadyReplaced { by });
        }
        match old.state(now) {
            State::Active => {}
            state @ (State::Expired | State::Revoked) => {
                return Err(RotateError::NotActive { state });
            }
        }
        let limits = Limits {
            active_per_owner: u32::MAX,
            created_per_hour: new.created_per_hour,
        };
        self.may_create(&old.owner, limits, now).await?;
        Ok(old)
    }
}

impl Replacement {
    fn token(&self, old: TokenRecord) -> NewToken {
        NewToken {
            id: self.id,
            owner: old.owner,
            name: old.name,
            digest: self.digest.clone(),
            scope: old.scope,
            expires_at: self.expires_at,
        }
    }
}

fn words(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Expired => "expired",
        State::Revoked => "revoked",
    }
}
