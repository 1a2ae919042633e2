//! The audit trail. It only grows: the database itself refuses to change it.

use serde::Serialize;
use sqlx::any::AnyRow;

use super::{
    Store, StoreError,
    row::{column, optional_id},
    statement::Statement,
};
use crate::api_token::{ApiTokenId, Owner};

/// What happened. Never holds a secret or a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Unix seconds.
    pub at: i64,
    /// What.
    #[serde(rename = "event")]
    pub kind: EventKind,
    /// Who did it, if it was somebody's decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// To which token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<ApiTokenId>,
    /// Whose token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// From which address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What else there is to say; `null` if nothing.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub detail: serde_json::Value,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A token has been made.
    Created,
    /// A token has been given a replacement.
    Rotated,
    /// A token has been ended.
    Revoked,
    /// A user may have no more tokens.
    OwnerDisabled,
    /// A user may have tokens again.
    OwnerEnabled,
    /// A token has been used beyond its scope.
    DeniedByScope,
    /// A token has been used though it has a replacement and is over.
    UsedAfterRotation,
    /// A token has been used from where it was not used before.
    FirstUseFromNewNetwork,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this token.
    pub token: Option<ApiTokenId>,
    /// Of this owner.
    pub owner: Option<Owner>,
    /// Continues behind the event with this number.
    pub after: Option<i64>,
}

impl EventKind {
    const ALL: [Self; 8] = [
        Self::Created,
        Self::Rotated,
        Self::Revoked,
        Self::OwnerDisabled,
        Self::OwnerEnabled,
        Self::DeniedByScope,
        Self::UsedAfterRotation,
        Self::FirstUseFromNewNetwork,
    ];

    /// Its name in the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Rotated => "rotated",
            Self::Revoked => "revoked",
            Self::OwnerDisabled => "owner_disabled",
            Self::OwnerEnabled => "owner_enabled",
            Self::DeniedByScope => "denied_by_scope",
            Self::UsedAfterRotation => "used_after_rotation",
            Self::FirstUseFromNewNetwork => "first_use_from_new_network",
        }
    }
}

macro_rules! events {
    ($which:literal) => {
        concat!(
            "SELECT id, at, event, actor, token, owner, source, detail FROM api_token_event WHERE ",
            $which,
            " AND ($2 IS NULL OR owner = $2) AND id < $3 ORDER BY id DESC LIMIT $4"
        )
    };
}

impl Store {
    /// Events and their numbers, the newest first.
    pub async fn events(
        &self,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<(i64, Event)>, StoreError> {
        let text = match (&filter.token, &filter.owner) {
            (Some(_), _) => events!("token = $1"),
            (None, Some(_)) => events!("$1 IS NULL AND owner = $2"),
            (None, None) => events!("$1 IS NULL"),
        };
        let statement = Statement::new(text)
            .text_or_nothing(filter.token.as_ref().map(ApiTokenId::as_str))
            .text_or_nothing(filter.owner.as_ref().map(Owner::as_str))
            .integer(filter.after.unwrap_or(i64::MAX))
            .integer(i64::from(limit));
        let mut session = self.sessions.read().await?;
        session.for_many_rows();
        let rows = session.rows(&statement).await?;
        session.keep();
        rows.iter().map(event).collect()
    }

    /// Writes events that are no part of a change.
    pub async fn note(&self, events: &[Event]) -> Result<(), StoreError> {
        let mut session = self.sessions.write().await?;
        for event in events {
            session.rows(&insertion(event)).await?;
        }
        session.commit().await
    }
}

pub(super) fn insertion(event: &Event) -> Statement {
    let detail = (!event.detail.is_null()).then(|| event.detail.to_string());
    Statement::new(
        "INSERT INTO api_token_event (at, event, actor, token, owner, source, detail) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .integer(event.at)
    .text(event.kind.as_str())
    .text_or_nothing(event.actor.as_deref())
    .text_or_nothing(event.token.as_ref().map(ApiTokenId::as_str))
    .text_or_nothing(event.owner.as_ref().map(Owner::as_str))
    .text_or_nothing(event.source.as_deref())
    .text_or_nothing(detail.as_deref())
}

fn event(row: &AnyRow) -> Result<(i64, Event), StoreError> {
    let kind: &str = column(row, "event")?;
    let kind = EventKind::ALL
        .into_iter()
        .find(|known| known.as_str() == kind);
    let owner: Option<String> = column(row, "owner")?;
    let detail: Option<String> = column(row, "detail")?;
    let detail = detail.map(|text| serde_json::from_str(&text)).transpose();
    let event = Event {
        at: column(row, "at")?,
        kind: kind.ok_or(StoreError::Corrupt("event"))?,
        actor: column(row, "actor")?,
        token: optional_id(row, "token")?,
        owner: owner.map(|name| Owner::new(&name)),
        source: column(row, "source")?,
        detail: detail
            .map_err(|_no_detail| StoreError::Corrupt("detail"))?
            .unwrap_or_default(),
    };
    Ok((column(row, "id")?, event))
}
