//! `/users`

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api,
    caller::Caller,
    input::{Body, NamePath},
    problem::Problem,
    shapes::{Nothing, Reason, RevokedTokens},
};
use crate::{
    api_token::Owner,
    desk::{Invalid, Text},
};

/// The routes.
pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(revoke_tokens_of_user))
        .routes(routes!(disable_user))
        .routes(routes!(enable_user))
}

/// End all tokens of a user
///
/// Users may end all of their own.
#[utoipa::path(
    post, path = "/users/{user}/revoke-tokens", tag = "users", request_body = Reason,
    params(("user" = String, Path, description = "The user's name.")),
    responses((status = 200, description = "They are ended.", body = RevokedTokens))
)]
async fn revoke_tokens_of_user(
    State(api): State<Arc<Api>>,
    caller: Caller,
    NamePath(user): NamePath,
    Body(order): Body<Reason>,
) -> Result<Json<RevokedTokens>, Problem> {
    let by = caller.manager()?;
    let desk = api.desk()?;
    let (owner, reason) = (owner(&user)?, Text::reason(&order.reason)?);
    let revoked = desk.revoke_all(&owner, &reason, &by).await?;
    Ok(Json(RevokedTokens { revoked }))
}

/// End all tokens of a user, who gets no new ones
///
/// Administrators only.
#[utoipa::path(
    post, path = "/users/{user}/disable", tag = "users", request_body = Reason,
    params(("user" = String, Path, description = "The user's name.")),
    responses((status = 200, description = "The user is disabled.", body = RevokedTokens))
)]
async fn disable_user(
    State(api): State<Arc<Api>>,
    caller: Caller,
    NamePath(user): NamePath,
    Body(order): Body<Reason>,
) -> Result<Json<RevokedTokens>, Problem> {
    let by = caller.administrator()?;
    let desk = api.desk()?;
    let (owner, reason) = (owner(&user)?, Text::reason(&order.reason)?);
    let revoked = desk.disable_user(&owner, &reason, &by).await?;
    Ok(Json(RevokedTokens { revoked }))
}

/// Let a user have tokens again
///
/// Administrators only. Tokens that were ended stay so.
#[utoipa::path(
    post, path = "/users/{user}/enable", tag = "users", request_body = Nothing,
    params(("user" = String, Path, description = "The user's name.")),
    responses((status = 204, description = "The user may have tokens."))
)]
async fn enable_user(
    State(api): State<Arc<Api>>,
    caller: Caller,
    NamePath(user): NamePath,
    Body(Nothing {}): Body<Nothing>,
) -> Result<StatusCode, Problem> {
    let by = caller.administrator()?;
    let desk = api.desk()?;
    desk.enable_user(&owner(&user)?, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Also a name that may not have tokens any more: its tokens must still be ended.
fn owner(user: &str) -> Result<Owner, Problem> {
    let name = Text::reason(user).map_err(|Invalid { why, .. }| Problem::invalid("user", why))?;
    Ok(Owner::new(name.as_str()))
}
