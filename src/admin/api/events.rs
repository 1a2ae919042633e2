//! `/events`

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api,
    caller::Caller,
    input::Query,
    page::{self, Limit},
    problem::Problem,
    shapes::EventPage,
};
use crate::{
    api_token::{ApiTokenId, Owner},
    desk::EventView,
    store::EventFilter,
};

/// The routes.
pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list_events))
}

/// Read the audit trail
///
/// The newest event first. Administrators only.
#[utoipa::path(
    get, path = "/events", tag = "events",
    params(
        ("token" = Option<String>, Query, description = "Only those about the token with this id."),
        ("user" = Option<String>, Query, description = "Only those about tokens of this user."),
        ("after" = Option<String>, Query, description = "The `next` of the page before."),
        ("limit" = Option<u32>, Query, description = "How many at most; 50 if absent.", minimum = 1, maximum = 200),
    ),
    responses((status = 200, description = "A page.", body = EventPage))
)]
async fn list_events(
    State(api): State<Arc<Api>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<EventPage>, Problem> {
    let by = caller.administrator()?;
    let desk = api.desk()?;
    let query = Query::parse(query.as_deref(), &["token", "user", "after", "limit"])?;
    let limit = Limit::of(&query)?;
    let token_id = query.get("token").map(ApiTokenId::parse).transpose();
    let filter = EventFilter {
        token: token_id.map_err(|no_id| Problem::invalid("token", no_id.to_string()))?,
        owner: query.get("user").map(Owner::new),
        after: page::after_event(&query)?,
    };
    let mut events = desk.events(&filter, limit.asked(), &by).await?;
    let next = limit.cut(&mut events, |(number, _)| page::event_cursor(*number));
    Ok(Json(EventPage {
        items: events
            .iter()
            .map(|(number, event)| EventView::of(*number, event))
            .collect(),
        next,
    }))
}
