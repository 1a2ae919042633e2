//! `/tokens` and `/leaked-tokens`

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, PREFIX,
    caller::Caller,
    input::{Body, Query, TokenPath},
    page::{self, Limit},
    problem::Problem,
    shapes::{
        IssuedView, LeakedToken, RevocationOrder, RevocationView, RotationOrder, TokenOrder,
        TokenPage,
    },
};
use crate::{
    api_token::{Owner, State as TokenState},
    desk::{By, Desk, Issued, Text, TokenView, Written, lasting},
    store::{Cursor, Family, Filter},
};

const FILTERS: [&str; 6] = [
    "user",
    "application",
    "state",
    "expires_within",
    "after",
    "limit",
];

/// The routes.
pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(show_token))
        .routes(routes!(rotate_token))
        .routes(routes!(revoke_token))
        .routes(routes!(revoke_leaked_token))
}

/// Make a token
///
/// Administrators make tokens for everybody. With `self_service` users make tokens for themselves, for the
/// applications that accept their identity provider.
#[utoipa::path(
    post, path = "/tokens", tag = "tokens", request_body = TokenOrder,
    responses(
        (status = 201, description = "The token. Its text cannot be shown again.", body = IssuedView,
            headers(("Location" = String, description = "Where it is."))),
        (status = 409, description = "Too many active tokens, or the user is disabled.", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many new tokens in an hour.", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn create_token(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Body(order): Body<TokenOrder>,
) -> Result<Response, Problem> {
    let by = caller.manager()?;
    let desk = api.desk()?;
    let user = order.user.as_deref();
    let order = desk.rules().order(&Written {
        user: user.unwrap_or(caller.identity.username.as_str()),
        name: &order.name,
        expires: &order.expires,
        access: order.access.unwrap_or_default(),
        applications: &order.applications,
        paths: &order.paths,
        networks: &order.networks,
    })?;
    let issued = desk.issue(order, &by).await?;
    Ok(created(&issued, desk))
}

/// List tokens
///
/// The newest first. Users see their own.
#[utoipa::path(
    get, path = "/tokens", tag = "tokens",
    params(
        ("user" = Option<String>, Query, description = "Only those of this user."),
        ("application" = Option<String>, Query, description = "Only those for this application."),
        ("state" = Option<TokenState>, Query, description = "Only those in this state."),
        ("expires_within" = Option<String>, Query, description = "Only those that end within this time.", example = "7d"),
        ("after" = Option<String>, Query, description = "The `next` of the page before."),
        ("limit" = Option<u32>, Query, description = "How many at most; 50 if absent.", minimum = 1, maximum = 200),
    ),
    responses((status = 200, description = "A page.", body = TokenPage))
)]
async fn list_tokens(
    State(api): State<Arc<Api>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<TokenPage>, Problem> {
    let by = caller.manager()?;
    let desk = api.desk()?;
    let query = Query::parse(query.as_deref(), &FILTERS)?;
    let limit = Limit::of(&query)?;
    let after = page::after_token(&query)?;
    let filter = filter(&query, desk, &by)?;
    let mut records = desk.list(&filter, after, limit.asked(), &by).await?;
    let next = limit.cut(&mut records, |last| {
        page::token_cursor(&Cursor {
            created_at: last.created_at,
            id: last.id,
        })
    });
    let now = desk.now();
    let items = records.iter().map(|record| TokenView::of(record, now));
    Ok(Json(TokenPage {
        items: items.collect(),
        next,
    }))
}

fn filter(query: &Query, desk: &Desk, by: &By) -> Result<Filter, Problem> {
    let owner = query.get("user").map(Owner::new);
    let is_theirs = |owner: &Owner| by.limits.as_ref().is_none_or(|own| own.owner == *owner);
    if !owner.as_ref().is_none_or(is_theirs) {
        return Err(Problem::forbidden("You may list your own tokens only."));
    }
    let state = match query.get("state") {
        None => None,
        Some("active") => Some(TokenState::Active),
        Some("expired") => Some(TokenState::Expired),
        Some("revoked") => Some(TokenState::Revoked),
        Some(_) => {
            return Err(Problem::invalid(
                "state",
                "must be active, expired or revoked",
            ));
        }
    };
    let within = query.get("expires_within");
    let within = within
        .map(|text| lasting("expires_within", text))
        .transpose()?;
    let before = |within: Duration| {
        let seconds = i64::try_from(within.as_secs()).unwrap_or(i64::MAX);
        desk.now().saturating_add(seconds)
    };
    Ok(Filter {
        owner,
        application: query.get("application").map(str::to_owned),
        state,
        expires_before: within.map(before),
        text: None,
    })
}

/// Show a token
///
/// Without its text, which nobody has. Tokens of others do not exist for a user.
#[utoipa::path(
    get, path = "/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The 12 characters between `axt_` and the second `_`.")),
    responses((status = 200, description = "The token.", body = TokenView))
)]
async fn show_token(
    State(api): State<Arc<Api>>,
    caller: Caller,
    TokenPath(id): TokenPath,
) -> Result<Json<TokenView>, Problem> {
    let by = caller.manager()?;
    let desk = api.desk()?;
    let record = desk.show(id, &by).await?;
    Ok(Json(TokenView::of(&record, desk.now())))
}

/// Make a successor
///
/// With the same user, name and limits. The old token works on for a while.
#[utoipa::path(
    post, path = "/tokens/{id}/rotate", tag = "tokens", request_body = RotationOrder,
    params(("id" = String, Path, description = "The id of the old token.")),
    responses(
        (status = 201, description = "The new token. Its text cannot be shown again.", body = IssuedView,
            headers(("Location" = String, description = "Where it is."))),
        (status = 409, description = "The token has been replaced already, or is not active.", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn rotate_token(
    State(api): State<Arc<Api>>,
    caller: Caller,
    TokenPath(id): TokenPath,
    Body(order): Body<RotationOrder>,
) -> Result<Response, Problem> {
    let by = caller.manager()?;
    let desk = api.desk()?;
    let duration = |member, text: Option<String>| {
        let text = text.as_deref();
        text.map(|text| lasting(member, text)).transpose()
    };
    let expires = duration("expires", order.expires)?;
    let overlap = duration("overlap", order.overlap)?;
    let issued = desk.rotate(id, expires, overlap, &by).await?;
    Ok(created(&issued, desk))
}

/// End a token now
#[utoipa::path(
    post, path = "/tokens/{id}/revoke", tag = "tokens", request_body = RevocationOrder,
    params(("id" = String, Path, description = "The id of the token.")),
    responses((status = 200, description = "It is ended.", body = RevocationView))
)]
async fn revoke_token(
    State(api): State<Arc<Api>>,
    caller: Caller,
    TokenPath(id): TokenPath,
    Body(order): Body<RevocationOrder>,
) -> Result<Json<RevocationView>, Problem> {
    let by = caller.manager()?;
    let desk = api.desk()?;
    let reason = Text::reason(&order.reason)?;
    let family = if order.family {
        Family::Included
    } else {
        Family::Spared
    };
    let revoked = desk.revoke(id, family, &reason, &by).await?;
    Ok(Json(RevocationView {
        id,
        was_revoked: !revoked,
    }))
}

/// End a token that somebody has found
///
/// Whoever can show a token may end it: any user of the providers. The tokens that it replaced, and those that
/// replaced it, are ended too.
#[utoipa::path(
    post, path = "/leaked-tokens", tag = "tokens", request_body = LeakedToken,
    responses((status = 200, description = "It is ended.", body = RevocationView))
)]
async fn revoke_leaked_token(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Body(leaked): Body<LeakedToken>,
) -> Result<Json<RevocationView>, Problem> {
    let desk = api.desk()?;
    let reason = Text::reason(&leaked.reason)?;
    let by = caller.anybody();
    let (id, revoked) = desk.revoke_leaked(&leaked.token, &reason, &by).await?;
    Ok(Json(RevocationView {
        id,
        was_revoked: !revoked,
    }))
}

fn created(issued: &Issued, desk: &Desk) -> Response {
    let location = format!("{PREFIX}/tokens/{}", issued.record.id);
    let view = IssuedView {
        view: TokenView::of(&issued.record, desk.now()),
        token: issued.token.expose().to_owned(),
    };
    (
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(view),
    )
        .into_response()
}
