//! Denials as the client sees them.

use super::{
    PERMISSION_DENIED, UNAUTHENTICATED,
    headers::overwrite,
    wire::{Message, denied_response, status},
};
use crate::{
    credential::MalformedCredential,
    pipeline::Trail,
    policy::Refusal,
    verdict::{Denial, DenialStatus},
};

/// RFC 9110 §11.5; names the gateway, not the product.
const REALM: &str = "atlassian-authz";
/// Seconds: long enough to spare a provider, short enough for a rotated key.
const RETRY_AFTER: &str = "2";

/// Envoy takes any code but 0 for a denial; the client sees the HTTP status only.
pub(super) fn rpc_code(denial: &Denial) -> u32 {
    match denial.status() {
        DenialStatus::Unauthorized => UNAUTHENTICATED,
        DenialStatus::BadRequest | DenialStatus::Forbidden | DenialStatus::ServiceUnavailable => {
            PERMISSION_DENIED
        }
    }
}

/// A denied response with a status: never an `error_response`, never a gRPC error, both of which
/// `failure_mode_allow` would turn into an allow.
pub(super) fn response(to: &mut Message<'_>, denial: &Denial, trail: &Trail) {
    to.message(denied_response::STATUS, |status| {
        status.number(status::CODE, denial.status().code().into());
    });
    let mut header = |name: &str, value: &str| overwrite(to, denied_response::HEADERS, name, value);
    header("content-type", "application/json");
    header("cache-control", "no-store");
    // Two lines, and Envoy sends both: git and old clients read the first scheme of a line only.
    if let Some(challenge) = challenge(denial) {
        header("www-authenticate", &challenge);
    }
    if trail.takes_basic && denial.status() == DenialStatus::Unauthorized {
        // RFC 7617
        let challenge = format!("Basic realm=\"{REALM}\", charset=\"UTF-8\"");
        header("www-authenticate", &challenge);
    }
    if denial.status() == DenialStatus::ServiceUnavailable {
        header("retry-after", RETRY_AFTER);
    }
    to.text(denied_response::BODY, &body(denial, trail));
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
