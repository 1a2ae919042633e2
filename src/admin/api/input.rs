//! What callers send: bodies, queries, paths. What has two readings is refused, what is refused is not repeated.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    body,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use jsonschema::{ValidationError, error::ValidationErrorKind};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::{Api, document, problem::Problem};
use crate::{
    api_token::ApiTokenId,
    verify::strict_json::{self, JsonError, Limits},
};

/// Largest body, in bytes.
const LARGEST_BODY: usize = 64 * 1024;
/// Longest time that a body may take to arrive.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A token of an identity provider is the longest text.
const BODY: Limits = Limits {
    depth: 8,
    members: 1024,
    string: 32 * 1024,
};

/// A body of the form that the document describes.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + ToSchema> FromRequest<Arc<Api>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<Self, Problem> {
        only_json(request.headers())?;
        let bytes = timeout(
            LONGEST_WAIT,
            body::to_bytes(request.into_body(), LARGEST_BODY),
        )
        .await
        .map_err(|_elapsed| {
            let detail = "The body did not arrive in time.";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", detail)
        })?
        .map_err(|_too_long_or_cut| too_large())?;
        read(&bytes).map(Self)
    }
}

/// Exactly this type: a form of another site can send three others without asking anybody (Fetch, "simple
/// requests").
fn only_json(headers: &HeaderMap) -> Result<(), Problem> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let is_json = types.next().is_some_and(|only| only == "application/json");
    if is_json && types.next().is_none() {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "Send JSON with exactly Content-Type: application/json.",
    ))
}

fn too_large() -> Problem {
    let detail = format!("The body is larger than {LARGEST_BODY} bytes, or was cut.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

fn read<T: DeserializeOwned + ToSchema>(bytes: &[u8]) -> Result<T, Problem> {
    let malformed = |error: JsonError| {
        let detail = format!("The body cannot be read: {error}.");
        Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
    };
    let members = strict_json::parse_object(bytes, BODY).map_err(malformed)?;
    let value = Value::Object(members);
    if let Some(validator) = document::validator(&T::name())
        && let Err(error) = validator.validate(&value)
    {
        return Err(violation(&error));
    }
    // serde's words may repeat the value.
    serde_json::from_value(value).map_err(|_may_quote| {
        let detail = "The body does not have the form that /api/v1/openapi.json describes.";
        Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    })
}

/// The place of what does not fit, and what would. Only names from the document are repeated.
fn violation(error: &ValidationError<'_>) -> Problem {
    let at = error.instance_path().as_str().trim_start_matches('/');
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the document says it better than a sentence for each rule"
    )]
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let member = if at.is_empty() {
                name.to_owned()
            } else {
                format!("{at}/{name}")
            };
            Problem::invalid(member, "is missing")
        }
        ValidationErrorKind::AdditionalProperties { .. } => {
            Problem::invalid(at, "there is a member that is not known here")
        }
        _ => Problem::invalid(
            at,
            "does not have the form that /api/v1/openapi.json describes",
        ),
    }
}

/// The parameters of a query, each at most once and none that is not known.
pub(super) struct Query(BTreeMap<&'static str, String>);

impl Query {
    /// Reads a query that may have these parameters.
    pub(super) fn parse(query: Option<&str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let Some(name) = known.iter().find(|known| **known == name) else {
                let known = known.join(", ");
                let detail = format!("There is a parameter that is not known here, only {known}.");
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "invalid_request",
                    detail,
                ));
            };
            if parameters.insert(*name, value.into_owned()).is_some() {
                return Err(Problem::invalid(*name, "is there twice"));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// A token's id in the path. What cannot be one is no token.
pub(super) struct TokenPath(pub(super) ApiTokenId);

impl FromRequestParts<Arc<Api>> for TokenPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let NamePath(name) = NamePath::from_request_parts(parts, api).await?;
        ApiTokenId::parse(&name)
            .map(Self)
            .map_err(|_no_id| Problem::no_token())
    }
}

/// A name in the path.
pub(super) struct NamePath(pub(super) String);

impl FromRequestParts<Arc<Api>> for NamePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let name = Path::<String>::from_request_parts(parts, api).await;
        name.map(|Path(name)| Self(name))
            .map_err(|_not_utf8| Problem::no_route())
    }
}
