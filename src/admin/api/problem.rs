//! Answers that are no success, as RFC 9457 writes them. They never repeat what was sent: it may be a token, put
//! in the wrong place.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tracing::warn;
use utoipa::ToSchema;

use crate::{
    desk::{DeskError, Invalid},
    store::{CreateError, RotateError, StoreError},
    verdict::{Denial, DenialStatus},
    verify::Unavailable,
};

/// The media type of a problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";
/// RFC 6750 §3: only a bearer token helps.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"atlassian-authz\"");
/// An hour: the limits of new tokens are counted by the hour.
const AN_HOUR: HeaderValue = HeaderValue::from_static("3600");
const A_SECOND: HeaderValue = HeaderValue::from_static("1");

/// Why a request was not carried out (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Always `about:blank`: `code` tells problems apart.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The words of the status.
    #[schema(example = "Bad Request")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 400, minimum = 400, maximum = 599)]
    status: u16,
    /// A sentence for a person.
    #[schema(example = "must be a duration such as 12h or 90d")]
    detail: String,
    /// A stable word for a program.
    #[schema(example = "invalid_request")]
    code: &'static str,
    /// The member or parameter that breaks a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "expires")]
    member: Option<String>,
}

impl Problem {
    /// A problem of this status.
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Unknown"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            member: None,
        }
    }

    /// A member of the body, or a parameter, breaks a rule.
    pub(super) fn invalid(member: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            member: Some(member.into()),
            ..Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
        }
    }

    /// The caller is known and may not do this.
    pub(super) fn forbidden(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not_permitted", detail)
    }

    /// There is no such route.
    pub(super) fn no_route() -> Self {
        let detail = "There is no such resource: see /api/v1/openapi.json.";
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The resource knows other methods.
    pub(super) fn no_method() -> Self {
        let detail = "The resource does not know this method: see /api/v1/openapi.json.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// There is no such token, or it is somebody else's.
    pub(super) fn no_token() -> Self {
        let detail = DeskError::Unknown.to_string();
        Self::new(StatusCode::NOT_FOUND, "token_not_found", detail)
    }

    /// It cannot be found out now.
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            detail,
        )
    }

    fn headers(&self) -> Option<(header::HeaderName, HeaderValue)> {
        match self.status {
            401 => Some((header::WWW_AUTHENTICATE, CHALLENGE)),
            429 => Some((header::RETRY_AFTER, AN_HOUR)),
            503 => Some((header::RETRY_AFTER, A_SECOND)),
            _ => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let further = self.headers();
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.extend(further);
        response
    }
}

impl From<Denial> for Problem {
    /// What is wrong with the caller's own token. The reason is nobody's business but the operator's.
    fn from(denial: Denial) -> Self {
        let status = match denial.status() {
            DenialStatus::ServiceUnavailable => return Self::unavailable(denial.message()),
            // Whatever stands in `Authorization`, a good bearer token is the remedy.
            DenialStatus::BadRequest | DenialStatus::Unauthorized => StatusCode::UNAUTHORIZED,
            DenialStatus::Forbidden => StatusCode::FORBIDDEN,
        };
        Self::new(status, denial.code(), denial.message())
    }
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        Self::unavailable(unavailable.to_string())
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid.member, invalid.why)
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Invalid(invalid) => invalid.into(),
            DeskError::Forbidden(why) => Self::forbidden(why),
            DeskError::Unknown => Self::no_token(),
            DeskError::Conflict(conflict) => conflict.into(),
            DeskError::Store(error) => error.into(),
        }
    }
}

impl From<RotateError> for Problem {
    fn from(error: RotateError) -> Self {
        let detail = error.to_string();
        let (status, code) = match error {
            RotateError::Unknown => return Self::no_token(),
            RotateError::AlreadyReplaced { .. } => (StatusCode::CONFLICT, "already_replaced"),
            RotateError::NotActive { .. } => (StatusCode::CONFLICT, "not_active"),
            RotateError::Create(CreateError::TooManyActive { .. }) => {
                (StatusCode::CONFLICT, "too_many_active")
            }
            RotateError::Create(CreateError::TooManyCreated { .. }) => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_created")
            }
            RotateError::Create(CreateError::OwnerDisabled) => {
                (StatusCode::CONFLICT, "user_disabled")
            }
            RotateError::Create(CreateError::Store(error)) => return error.into(),
        };
        Self::new(status, code, detail)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        // Its words are about the database: they are for the log.
        warn!(%error, "the admin API cannot ask the token store");
        Self::unavailable("The token store cannot be asked right now. Try again.")
    }
}
