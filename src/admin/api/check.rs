//! `/check` and `/providers/{name}/inspect`

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api,
    caller::Caller,
    input::{Body, NamePath},
    problem::Problem,
    shapes::{CheckOrder, ShownToken},
};
use crate::{
    credential::BearerToken,
    grpc::trial::{Explanation, Trial, is_credential},
    inspect::{InspectError, Inspection},
    verify::TokenError,
};

/// A person waits.
const LONGEST_INSPECTION: Duration = Duration::from_secs(20);

/// The routes.
pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(check_request))
        .routes(routes!(inspect_token))
}

/// Decide about a request as the service would, and explain it
///
/// Administrators only. It is the real walk; an API token does not count as used.
#[utoipa::path(
    post, path = "/check", tag = "checks", request_body = CheckOrder,
    responses((status = 200, description = "What would happen.", body = Explanation))
)]
async fn check_request(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Body(order): Body<CheckOrder>,
) -> Result<Json<Explanation>, Problem> {
    caller.administrator()?;
    let trial = trial(order)?;
    let now = api.trials.clock.now();
    let deadline = now.instant + api.trials.check_timeout;
    let answer = api.trials.answer(trial, now, deadline, None).await;
    Ok(Json(Explanation::of(&answer)))
}

fn trial(order: CheckOrder) -> Result<Trial, Problem> {
    let headers: Vec<_> = order
        .headers
        .into_iter()
        .map(|line| (line.name, line.value))
        .collect();
    if headers.iter().any(|(name, _)| is_credential(name)) {
        return Err(Problem::invalid(
            "headers",
            "none of them may be a credential: use 'bearer' or 'basic'",
        ));
    }
    let authorization = match (order.bearer, order.basic) {
        (Some(_), Some(_)) => return Err(Problem::invalid("basic", "there is also 'bearer'")),
        (Some(token), None) => Some(format!("Bearer {token}")),
        (None, Some(pair)) => Some(format!("Basic {}", STANDARD.encode(pair))),
        (None, None) => None,
    };
    let source = order.source.map(|source| source.parse()).transpose();
    Ok(Trial {
        application: order.application,
        host: order.host,
        path: order.path,
        method: order.method.unwrap_or_else(|| "GET".to_owned()),
        headers,
        authorization,
        source: source.map_err(|_no_address| {
            Problem::invalid("source", "must be an address such as 10.1.2.3")
        })?,
    })
}

/// Ask a provider about a token
///
/// Every attribute that could name the user, and what the configuration makes of them. Administrators only.
#[utoipa::path(
    post, path = "/providers/{name}/inspect", tag = "checks", request_body = ShownToken,
    params(("name" = String, Path, description = "The provider's name in the configuration.")),
    responses(
        (status = 200, description = "What is known of the token.", body = Inspection),
        (status = 422, description = "The provider does not vouch for the token, or it is not one of the provider's.",
            body = Problem, content_type = "application/problem+json"),
    )
)]
async fn inspect_token(
    State(api): State<Arc<Api>>,
    caller: Caller,
    NamePath(name): NamePath,
    Body(shown): Body<ShownToken>,
) -> Result<Json<Inspection>, Problem> {
    caller.administrator()?;
    let mut inspectors = api.inspectors.iter();
    let inspector = inspectors.find(|inspector| *inspector.provider.name == *name);
    let inspector = inspector.ok_or_else(|| {
        let detail = "There is no provider of this name.";
        Problem::new(StatusCode::NOT_FOUND, "provider_not_found", detail)
    })?;
    let token = BearerToken::from_b64token(shown.token.as_bytes())
        .map_err(|malformed| Problem::invalid("token", malformed.to_string()))?;
    let now = api.checks.clock.now();
    let deadline = now.instant + LONGEST_INSPECTION;
    match inspector.inspect(token, now, deadline).await {
        Ok(inspection) => Ok(Json(inspection)),
        Err(InspectError::Token(TokenError::Unavailable(unavailable))) => Err(unavailable.into()),
        Err(
            error @ (InspectError::NotItsToken(_) | InspectError::Token(TokenError::Rejected(_))),
        ) => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "token_refused",
            error.to_string(),
        )),
    }
}
