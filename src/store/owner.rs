//! All tokens of one user.

use serde_json::{Value, json};

use super::{
    By, Event, EventKind, Store, StoreError, change::Change, revoke::end, statement::Statement,
};
use crate::api_token::Owner;

impl Store {
    /// Ends every token of a user. Tells one event for each.
    pub async fn revoke_owner(
        &self,
        owner: &Owner,
        reason: &str,
        by: By<'_>,
    ) -> Result<Vec<Event>, StoreError> {
        let mut change = self.change().await?;
        let events = change.end_all(owner, reason, by).await?;
        change.finish(events).await
    }

    /// Ends every token of a user, who cannot have new ones from then on.
    pub async fn disable_owner(
        &self,
        owner: &Owner,
        reason: &str,
        by: By<'_>,
    ) -> Result<Vec<Event>, StoreError> {
        let mut change = self.change().await?;
        let disabling = Statement::new(
            "INSERT INTO api_token_owner (owner, disabled_at) VALUES ($1, $2) ON CONFLICT (owner) \
             DO UPDATE SET disabled_at = excluded.disabled_at WHERE api_token_owner.disabled_at IS NULL \
             RETURNING owner",
        )
        .text(owner.as_str())
        .integer(by.now);
        let disabled = change.session.row(&disabling).await?;
        let mut events = Vec::new();
        if disabled.is_some() {
            let mut event = Event::new(EventKind::OwnerDisabled, by, json!({ "reason": reason }));
            event.owner = Some(owner.clone());
            change.tell(&event).await?;
            events.push(event);
        }
        events.extend(change.end_all(owner, reason, by).await?);
        change.finish(events).await
    }

    /// Lets a user have new tokens again. What has been ended stays so.
    pub async fn enable_owner(&self, owner: &Owner, by: By<'_>) -> Result<Vec<Event>, StoreError> {
        let mut change = self.change().await?;
        let enabling = Statement::new(
            "UPDATE api_token_owner SET disabled_at = NULL \
             WHERE owner = $1 AND disabled_at IS NOT NULL RETURNING owner",
        );
        let enabled = change.session.row(&enabling.text(owner.as_str())).await?;
        let mut events = Vec::new();
        if enabled.is_some() {
            let mut event = Event::new(EventKind::OwnerEnabled, by, Value::Null);
            event.owner = Some(owner.clone());
            change.tell(&event).await?;
            events.push(event);
        }
        change.finish(events).await
    }
}

impl Change<'_> {
    async fn end_all(
        &mut self,
        owner: &Owner,
        reason: &str,
        by: By<'_>,
    ) -> Result<Vec<Event>, StoreError> {
        // The clocks of this machine and of the database may differ: what has just expired by one of them is
        // ended too.
        let tokens = Statement::new(end!("owner = $1 AND expires_at > $2 - 3600"));
        self.end(tokens.text(owner.as_str()), reason, by).await
    }

    async fn finish(self, events: Vec<Event>) -> Result<Vec<Event>, StoreError> {
        if events.is_empty() {
            self.abandon().await;
        } else {
            let touched: Vec<_> = events.iter().filter_map(|event| event.token).collect();
            self.commit(&touched).await?;
        }
        Ok(events)
    }
}
