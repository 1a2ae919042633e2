//! Step 9: verdict → `CheckResponse`. Protobuf begins again here.
//!
//! What Envoy 1.40 does with an answer decides the form of every answer: an empty response allows;
//! an allow that does not mention the identity header lets the client's own through; a header that
//! is both set and removed is removed; a gRPC error is no denial. There are two constructors, and
//! neither can leave the status out.

mod denied;
mod headers;
mod wire;

pub use headers::{HeaderNameError, IdentityHeader};
use wire::{Message, check_response, google_struct, ok_response, status};

use crate::{
    pipeline::{Decision, TokenId},
    request::Headers,
    route::Enforcement,
    verdict::{self, Denial, Grant, Verdict},
};

/// google.rpc.Code
const PERMISSION_DENIED: u32 = 7;
const UNAUTHENTICATED: u32 = 16;

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

/// Encodes a decision as a `CheckResponse`, behind what is in `to`. `headers` are the request's; `None` when they could
/// not be read.
pub fn encode(
    to: &mut Vec<u8>,
    decision: &Decision,
    headers: Option<&Headers>,
    identity: &IdentityHeader,
) {
    let mut response = Message(to);
    match &decision.verdict {
        Ok(grant) => {
            // `OK` is 0, and protobuf does not write zeros: what says OK is that there is a status.
            response.message(check_response::STATUS, |_ok| {});
            response.message(check_response::OK_RESPONSE, |to| {
                ok(to, grant, headers, identity);
            });
        }
        Err(denial) => {
            response.message(check_response::STATUS, |status| {
                status.number(status::CODE, denied::rpc_code(denial));
            });
            response.message(check_response::DENIED_RESPONSE, |to| {
                denied::response(to, denial, &decision.trail);
            });
        }
    }
    response.message(check_response::DYNAMIC_METADATA, |to| {
        metadata(to, decision);
    });
}

fn ok(to: &mut Message<'_>, grant: &Grant, headers: Option<&Headers>, identity: &IdentityHeader) {
    if let Grant::As(user) = grant {
        let username = user.username.as_str();
        headers::overwrite(to, ok_response::HEADERS, identity.name(), username);
    }
    let aliases = headers.into_iter().flat_map(|it| identity.aliases_in(it));
    for alias in aliases {
        to.text(ok_response::HEADERS_TO_REMOVE, alias);
    }
    match grant {
        // The product's own credentials stay: they are why a native request passes.
        Grant::Anonymous | Grant::Native(_) => {
            to.text(ok_response::HEADERS_TO_REMOVE, identity.name());
        }
        Grant::As(_) => to.fields(identity.carriers_to_remove()),
    }
}

/// For Envoy's access log and rate limits. No secret, no claim but the user name.
fn metadata(to: &mut Message<'_>, decision: &Decision) {
    let trail = &decision.trail;
    let user = decision.verdict.as_ref().ok().and_then(Grant::identity);
    let application = trail.application.as_ref();
    let denial = verdict::denial(&decision.verdict);
    // In the order of the alphabet, as a map is written that everybody writes alike.
    entry(to, "application", application.map(|one| &*one.name));
    entry(to, "credential", Some(trail.credential.as_str()));
    entry(to, "enforcement", relaxed(trail.enforcement));
    entry(to, "provider", trail.provider.as_deref());
    entry(to, "reason", Some(reason(&decision.verdict)));
    let refused = trail.refused.as_ref();
    entry(to, "refused_user", refused.map(|it| it.username.as_str()));
    entry(to, "rule", denial.and_then(rule));
    let token_id = trail.token_id.as_ref();
    entry(to, "token_id", token_id.map(TokenId::as_str));
    entry(to, "user", user.map(|it| it.username.as_str()));
}

/// One field of a `google.protobuf.Struct`, if there is anything to say.
fn entry(to: &mut Message<'_>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        to.message(google_struct::FIELDS, |field| {
            field.text(google_struct::KEY, name);
            field.message(google_struct::VALUE, |to| {
                to.text(google_struct::STRING_VALUE, value);
            });
        });
    }
}

/// The operator's rule that refuses.
fn rule(denial: &Denial) -> Option<&str> {
    if let Denial::Refused(refusal) = denial {
        refusal.rule()
    } else {
        None
    }
}

/// What is worth a word: that decisions do not hold.
fn relaxed(enforcement: Enforcement) -> Option<&'static str> {
    (enforcement != Enforcement::Enforce).then(|| enforcement.as_str())
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
