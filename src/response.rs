//! Step 9: verdict → `CheckResponse`. Protobuf begins again here.
//!
//! What Envoy 1.40 does with an answer decides the form of every answer: an empty response allows;
//! an allow that does not mention the identity header lets the client's own through; a header that
//! is both set and removed is removed; a gRPC error is no denial. There are two constructors, and
//! neither can leave the status out.

mod denied;
mod headers;

use prost_types::{Struct, Value, value::Kind};

pub use headers::{HeaderNameError, IdentityHeader};

use crate::{
    pb::{
        envoy::service::auth::v3::{CheckResponse, OkHttpResponse, check_response::HttpResponse},
        google::rpc::Status,
    },
    pipeline::Decision,
    request::Headers,
    route::Enforcement,
    verdict::{self, Denial, Grant, Verdict},
};

/// google.rpc.Code
const OK: i32 = 0;
const PERMISSION_DENIED: i32 = 7;
const UNAUTHENTICATED: i32 = 16;

/// Removed from every request that gets an identity: the product must see one credential, ours.
/// A session cookie would win over the header; a method-override header would change what was
/// decided upon.
const CARRIERS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "dpop",
    "cookie",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// Encodes a decision. `headers` are the request's; `None` when they could not be read.
pub fn encode(
    decision: &Decision,
    headers: Option<&Headers>,
    identity: &IdentityHeader,
) -> CheckResponse {
    let (status, http) = match &decision.verdict {
        Ok(grant) => (OK, HttpResponse::OkResponse(ok(grant, headers, identity))),
        Err(denial) => (
            denied::rpc_code(denial),
            HttpResponse::DeniedResponse(denied::response(denial, &decision.trail)),
        ),
    };
    CheckResponse {
        status: Some(Status { code: status }),
        http_response: Some(http),
        dynamic_metadata: Some(metadata(decision)),
    }
}

fn ok(grant: &Grant, headers: Option<&Headers>, identity: &IdentityHeader) -> OkHttpResponse {
    let aliases = headers
        .into_iter()
        .flat_map(|headers| identity.aliases_in(headers));
    let mut remove: Vec<String> = aliases.map(str::to_owned).collect();
    match grant {
        // The product's own credentials stay: they are why a native request passes.
        Grant::Anonymous | Grant::Native(_) => {
            remove.push(identity.name().to_owned());
            OkHttpResponse {
                headers: Vec::new(),
                headers_to_remove: remove,
            }
        }
        Grant::As(user) => {
            remove.extend(CARRIERS.map(str::to_owned));
            OkHttpResponse {
                headers: vec![headers::overwrite(identity.name(), user.username.as_str())],
                headers_to_remove: remove,
            }
        }
    }
}

/// For Envoy's access log and rate limits. No secret, no claim but the user name.
fn metadata(decision: &Decision) -> Struct {
    let trail = &decision.trail;
    let identity = decision.verdict.as_ref().ok().and_then(Grant::identity);
    let refused = trail.refused.as_ref();
    let refused = refused.map(|identity| identity.username.to_string());
    let user = identity.map(|identity| identity.username.to_string());
    let text = |value: String| Value {
        kind: Some(Kind::StringValue(value)),
    };
    let present = [
        ("user", user),
        ("refused_user", refused),
        ("provider", trail.provider.as_deref().map(str::to_owned)),
        (
            "application",
            trail.application.as_ref().map(|one| one.name.to_string()),
        ),
        ("credential", Some(trail.credential.as_str().to_owned())),
        ("token_id", trail.token_id.map(|id| id.to_string())),
        ("reason", Some(reason(&decision.verdict).to_owned())),
        ("rule", verdict::denial(&decision.verdict).and_then(rule)),
        ("enforcement", relaxed(trail.enforcement)),
    ];
    Struct {
        fields: present
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), text(value?))))
            .collect(),
    }
}

/// The operator's rule that refuses.
fn rule(denial: &Denial) -> Option<String> {
    if let Denial::Refused(refusal) = denial {
        refusal.rule().map(str::to_owned)
    } else {
        None
    }
}

/// What is worth a word: that decisions do not hold.
fn relaxed(enforcement: Enforcement) -> Option<String> {
    (enforcement != Enforcement::Enforce).then(|| enforcement.as_str().to_owned())
}

/// One word for the outcome, from a closed set.
pub fn reason(verdict: &Verdict) -> &'static str {
    match verdict {
        Ok(grant) => grant.reason(),
        Err(denial) => denial.reason(),
    }
}

#[cfg(test)]
mod tests;
