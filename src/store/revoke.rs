//! The end of a token.

use super::{By, Event, Store, StoreError, statement::Statement};
use crate::api_token::ApiTokenId;

/// What else ends with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Nothing: its replacement has another secret.
    Spared,
    /// What it replaced and what replaces it, all the way: whoever has one may have had them all.
    Included,
}

/// What became of the wish to end a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// It is over now, and these are the events, one for each token.
    Revoked(Vec<Event>),
    /// It was over already.
    AlreadyRevoked,
    /// There is none.
    Unknown,
}

macro_rules! end {
    ($which:literal) => {
        concat!(
            "UPDATE api_token SET revoked_at = $2, revoked_by = $3, revoke_reason = $4, revision = $5 \
             WHERE revoked_at IS NULL AND ",
            $which
        )
    };
}
pub(super) use end;

impl Store {
    /// Ends a token at once. Again is not an error.
    pub async fn revoke(
        &self,
        id: ApiTokenId,
        family: Family,
        reason: &str,
        by: By<'_>,
    ) -> Result<RevokeOutcome, StoreError> {
        let mut change = self.change().await?;
        let tokens = match family {
            Family::Spared => end!("id = $1"),
            Family::Included => end!(
                "id IN (WITH RECURSIVE family (id) AS (SELECT id FROM api_token WHERE id = $1 UNION \
                 SELECT token.id FROM api_token token JOIN family \
                 ON token.replaces = family.id OR token.replaced_by = family.id) SELECT id FROM family)"
            ),
        };
        let tokens = Statement::new(tokens).text(id.as_str());
        let events = change.end(tokens, reason, by).await?;
        if events.is_empty() {
            let known = Statement::new("SELECT id FROM api_token WHERE id = $1").text(id.as_str());
            let known = change.session.row(&known).await?.is_some();
            change.abandon().await;
            return Ok(if known {
                RevokeOutcome::AlreadyRevoked
            } else {
                RevokeOutcome::Unknown
            });
        }
        let touched: Vec<_> = events.iter().filter_map(|event| event.token).collect();
        change.commit(&touched).await?;
        Ok(RevokeOutcome::Revoked(events))
    }
}
