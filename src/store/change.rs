//! A change of tokens: one transaction that has the revision alone, tells the audit trail, and tells who listens.

use serde_json::json;

use super::{
    Event, EventKind, Store, StoreError,
    dialect::Dialect,
    events,
    row::{column, id, owner},
    session::Session,
    statement::Statement,
};
use crate::api_token::{Actor, ApiTokenId, Owner};

/// Where changes are announced. The feed listens there.
pub(super) const CHANNEL: &str = "atlassian_authz_tokens";
/// A notification has less than 8000 bytes, an id 13.
const MOST_ANNOUNCED: usize = 500;

/// Who changes something, from where, and when.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// From which address, if that is known.
    pub source: Option<&'a str>,
    /// Unix seconds.
    pub now: i64,
}

/// A change that has begun. Nobody else changes anything until it ends.
///
/// The revision is taken first, always: so there is one order in which changes wait for each other, and none can
/// lock another out; and whatever a change has read is still true when it writes.
pub(super) struct Change<'a> {
    pub(super) session: Session<'a>,
    pub(super) revision: i64,
}

impl Store {
    pub(super) async fn change(&self) -> Result<Change<'_>, StoreError> {
        let mut session = self.sessions.write().await?;
        let next = "UPDATE api_token_revision SET revision = revision + 1 RETURNING revision";
        let row = session.row(&Statement::new(next)).await?;
        let row = row.ok_or(StoreError::Corrupt("revision"))?;
        let revision = column(&row, "revision")?;
        Ok(Change { session, revision })
    }
}

impl Change<'_> {
    /// Writes one event.
    pub(super) async fn tell(&mut self, event: &Event) -> Result<(), StoreError> {
        self.session.rows(&events::insertion(event)).await?;
        Ok(())
    }

    /// Ends tokens and says so. The statement stamps them with the revision.
    pub(super) async fn end(
        &mut self,
        tokens: Statement,
        reason: &str,
        by: By<'_>,
    ) -> Result<Vec<Event>, StoreError> {
        self.session.for_many_rows();
        let statement = tokens
            .integer(by.now)
            .text(by.actor.as_str())
            .text(reason)
            .integer(self.revision);
        self.session.rows(&statement).await?;
        let detail = json!({ "reason": reason });
        let insertion = Statement::new(
            "INSERT INTO api_token_event (at, event, actor, token, owner, source, detail) \
             SELECT $1, $2, $3, id, owner, $4, $5 FROM api_token WHERE revision = $6 RETURNING token, owner",
        )
        .integer(by.now)
        .text(EventKind::Revoked.as_str())
        .text(by.actor.as_str())
        .text_or_nothing(by.source)
        .text(detail.to_string().as_str())
        .integer(self.revision);
        let rows = self.session.rows(&insertion).await?;
        rows.iter()
            .map(|row| {
                let event = Event::new(EventKind::Revoked, by, detail.clone());
                Ok(event.about(id(row, "token")?, &owner(row)?))
            })
            .collect()
    }

    /// Announces the change, and makes it last.
    pub(super) async fn commit(mut self, touched: &[ApiTokenId]) -> Result<(), StoreError> {
        if self.session.dialect() == Dialect::Postgres {
            let announcement = announcement(self.revision, touched);
            let notify = Statement::new("SELECT pg_notify($1, $2)")
                .text(CHANNEL)
                .text(announcement.as_str());
            self.session.rows(&notify).await?;
        }
        self.session.commit().await
    }

    /// Nothing has changed after all.
    pub(super) async fn abandon(self) {
        self.session.roll_back().await;
    }
}

impl Event {
    /// An event of a change.
    pub(super) fn new(kind: EventKind, by: By<'_>, detail: serde_json::Value) -> Self {
        Self {
            at: by.now,
            kind,
            actor: Some(by.actor.as_str().to_owned()),
            token: None,
            owner: None,
            source: by.source.map(str::to_owned),
            detail,
        }
    }

    pub(super) fn about(mut self, token: ApiTokenId, owner: &Owner) -> Self {
        self.token = Some(token);
        self.owner = Some(owner.clone());
        self
    }
}

/// `<revision> <id> <id>`, or `<revision> *` if there are too many: then the reader asks.
fn announcement(revision: i64, touched: &[ApiTokenId]) -> String {
    let mut text = revision.to_string();
    if touched.len() > MOST_ANNOUNCED {
        text.push_str(" *");
        return text;
    }
    for id in touched {
        text.push(' ');
        text.push_str(id.as_str());
    }
    text
}
