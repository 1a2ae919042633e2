//! Denials as the client sees them.

use super::{PERMISSION_DENIED, UNAUTHENTICATED, headers::overwrite};
use crate::{
    credential::MalformedCredential,
    pb::envoy::{
        service::auth::v3::DeniedHttpResponse,
        r#type::v3::{HttpStatus, StatusCode},
    },
    pipeline::Trail,
    policy::Refusal,
    verdict::{Denial, DenialStatus},
};

/// RFC 9110 §11.5; names the gateway, not the product.
const REALM: &str = "atlassian-authz";
/// Seconds: long enough to spare a provider, short enough for a rotated key.
const RETRY_AFTER: &str = "2";

/// Envoy takes any code but 0 for a denial; the client sees the HTTP status only.
pub(super) fn rpc_code(denial: &Denial) -> i32 {
    match denial.status() {
        DenialStatus::Unauthorized => UNAUTHENTICATED,
        DenialStatus::BadRequest | DenialStatus::Forbidden | DenialStatus::ServiceUnavailable => {
            PERMISSION_DENIED
        }
    }
}

/// A denied response with a status: never an `error_response`, never a gRPC error, both of which
/// `failure_mode_allow` would turn into an allow.
pub(super) fn response(denial: &Denial, trail: &Trail) -> DeniedHttpResponse {
    let mut headers = vec![
        overwrite("content-type", "application/json"),
        overwrite("cache-control", "no-store"),
    ];
    // Two lines, and Envoy sends both: git and old clients read the first scheme of a line only.
    let mut challenges = Vec::from_iter(challenge(denial));
    if trail.takes_basic && denial.status() == DenialStatus::Unauthorized {
        challenges.push(format!("Basic realm=\"{REALM}\", charset=\"UTF-8\""));
    }
    headers.extend(
        challenges
            .iter()
            .map(|value| overwrite("www-authenticate", value)),
    );
    if denial.status() == DenialStatus::ServiceUnavailable {
        headers.push(overwrite("retry-after", RETRY_AFTER));
    }
    DeniedHttpResponse {
        status: Some(http_status(denial.status())),
        headers,
        body: body(denial, trail),
    }
}

fn http_status(status: DenialStatus) -> HttpStatus {
    let code = match status {
        DenialStatus::BadRequest => StatusCode::BadRequest,
        DenialStatus::Unauthorized => StatusCode::Unauthorized,
        DenialStatus::Forbidden => StatusCode::Forbidden,
        DenialStatus::ServiceUnavailable => StatusCode::ServiceUnavailable,
    };
    HttpStatus { code: code.into() }
}

/// RFC 6750 §3: no `error` when no credential was sent, and never a hint why a token is bad.
fn challenge(denial: &Denial) -> Option<String> {
    let attributes = match denial {
        Denial::NoCredential
        | Denial::ForeignCredential(_)
        | Denial::MalformedCredential(MalformedCredential::UnsupportedScheme) => String::new(),
        Denial::BadApiToken(_) | Denial::NoProvider(_) | Denial::InvalidToken(_) => {
            ", error=\"invalid_token\"".to_owned()
        }
        Denial::MalformedCredential(_) | Denial::Refused(Refusal::PathNotCanonical) => {
            ", error=\"invalid_request\"".to_owned()
        }
        Denial::MalformedRequest(_)
        | Denial::NoRoute(_)
        | Denial::NoUser(_)
        | Denial::Undecided(_) => return None,
        Denial::Refused(Refusal::InsufficientScope { scope }) if is_scope_token(scope) => {
            format!(", error=\"insufficient_scope\", scope=\"{scope}\"")
        }
        Denial::Refused(refusal) if !refusal.is_of_api_token() && !lacks_scope(refusal) => {
            return None;
        }
        Denial::Refused(_) => ", error=\"insufficient_scope\"".to_owned(),
    };
    Some(format!("Bearer realm=\"{REALM}\"{attributes}"))
}

fn lacks_scope(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::InsufficientScope { .. })
}

/// RFC 6749 §3.3: what can stand in the quoted attribute.
fn is_scope_token(scope: &str) -> bool {
    scope
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// The shape that callers of the plugin before us already parse, plus a stable code. The operator may have a
/// better sentence for it.
fn body(denial: &Denial, trail: &Trail) -> String {
    let code = denial.code();
    let own = trail
        .application
        .as_ref()
        .and_then(|application| application.messages.get(code));
    let message = serde_json::Value::from(own.unwrap_or_else(|| denial.message()));
    // The code is a constant without a character that JSON would escape.
    format!(r#"{{"error":{{"status":"ERROR","code":"{code}","message":{message}}}}}"#)
}
