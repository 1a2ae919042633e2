//! The audit trail as a stream: one log line for each event that the store has written down.

use tracing::{field::display, info};

use crate::{api_token::Owner, store::Event};

/// Logs an event that is already in the store.
pub fn log(event: &Event) {
    let detail = (!event.detail.is_null()).then(|| display(&event.detail));
    info!(
        target: concat!(env!("CARGO_CRATE_NAME"), "::audit"),
        event = event.kind.as_str(),
        actor = event.actor.as_deref(),
        token_id = event.token.map(display),
        owner = event.owner.as_ref().map(Owner::as_str),
        source = event.source.as_deref(),
        detail,
        "audit"
    );
}
