//! What Envoy makes of an answer, read from the bytes on the wire, and the rules that every answer keeps
//! (docs/SECURITY-MODEL.md, "Answers").

use atlassian_authz::pb::envoy::service::auth::v3::{
    CheckResponse, OkHttpResponse, check_response::HttpResponse,
};
use prost::Message;

use super::walk::Line;

const IDENTITY: &str = "x-remote-user";
/// Names that some product or plugin believes.
const BELIEVED: [&str; 9] = [
    IDENTITY,
    "remote-user",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-user",
    "x-webauth-user",
];
/// docs/ATLASSIAN.md: what never reaches a product beside an identity.
const CREDENTIALS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "dpop",
    "cookie",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As this user, or as nobody.
    Allowed(Option<String>),
    Denied,
}

/// Panics if a rule is broken: there is no answer for which that would be right.
pub fn read(wire: &[u8], request: &[Line]) -> Answer {
    let response = CheckResponse::decode(wire).expect("an answer is protobuf");
    let status = response.status.expect("without a status Envoy allows").code;
    match response.http_response.expect("an answer says what it is") {
        HttpResponse::OkResponse(ok) => {
            assert_eq!(status, 0, "an OK response with a status that denies");
            Answer::Allowed(allowed(&ok, request))
        }
        HttpResponse::DeniedResponse(denied) => {
            assert_ne!(status, 0, "Envoy takes status 0 for an allow");
            let code = denied.status.expect("an HTTP status").code;
            assert!(
                [400, 401, 403, 503].contains(&code),
                "a denial with status {code}"
            );
            for option in denied.headers {
                let header = option.header.expect("a header");
                assert!(!is_believed(&header.key), "a denial names a user");
            }
            Answer::Denied
        }
    }
}

fn allowed(ok: &OkHttpResponse, request: &[Line]) -> Option<String> {
    let mut user = None;
    for option in &ok.headers {
        let header = option.header.as_ref().expect("a header");
        assert_eq!(header.key, IDENTITY, "an allow sets nothing else");
        assert_eq!(option.append_action, 2, "OVERWRITE_IF_EXISTS_OR_ADD");
        assert!(header.raw_value.is_empty(), "Envoy sends one of two values");
        assert!(!header.value.is_empty(), "nobody as a user");
        assert!(
            user.replace(header.value.clone()).is_none(),
            "two identities"
        );
    }
    let removes = |name: &str| ok.headers_to_remove.iter().any(|removed| removed == name);
    // Envoy removes after it has set.
    assert_ne!(
        user.is_some(),
        removes(IDENTITY),
        "the identity header is set, or removed, and never both"
    );
    if user.is_some() {
        for name in CREDENTIALS {
            assert!(
                removes(name),
                "{name} reaches the product beside an identity"
            );
        }
    }
    for line in request {
        let is_header_itself = line.name.eq_ignore_ascii_case(IDENTITY);
        assert!(
            is_header_itself || !is_believed(&line.name) || removes(&line.name),
            "{} reaches the product",
            line.name
        );
    }
    user
}

/// CGI (RFC 3875 §4.1.18) and servlets read `_`, `.` and blanks as `-`.
fn is_believed(name: &str) -> bool {
    BELIEVED.contains(
        &name
            .to_ascii_lowercase()
            .replace(['_', '.', ' '], "-")
            .as_str(),
    )
}
