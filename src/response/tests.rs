#![expect(
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    reason = "one table of all denials"
)]

use std::sync::Arc;

use proptest::prelude::*;
use prost::Message as _;
use prost_types::{Value, value::Kind};
use serde_json::json;

use super::*;
use crate::{
    api_token::NotAnApiToken,
    credential::{BearerToken, Foreign, MalformedCredential},
    holder::ApiTokenRejection,
    identity::{
        Groups, Identity, KeptClaims, MappingError, Username, UsernameError, UsernamePolicy,
    },
    pb::envoy::{
        config::core::v3::{HeaderMap, HeaderValue, HeaderValueOption},
        service::auth::v3::{
            AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
            attribute_context::{HttpRequest, Request as HttpAttributes},
            check_response::HttpResponse,
        },
    },
    pb::google::rpc::Status,
    pipeline::{CacheLimits, CredentialKind, TokenCache, TokenId, Trail},
    policy::Refusal,
    provider::{NoProvider, Selector},
    request::{HostError, MalformedRequest, Request},
    route::{Application, Enforcement, NoRoute, Product},
    verdict::{CODES, Denial, enforced},
    verify::{
        Rejection, Unavailable, Voucher,
        algorithm::Algorithm,
        keys::{Candidates, KeySet, VerifyingKey},
        strict_json::JsonError,
    },
};

/// RFC 8037 §A.2.
const ED25519: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn key() -> Arc<VerifyingKey> {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": ED25519, "kid": "k"});
    let set = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).expect("a key set");
    match set.select(Some("k"), Algorithm::EdDSA) {
        Candidates::Keys(mut keys) => keys.remove(0),
        other => panic!("{other:?}"),
    }
}

fn alice() -> Grant {
    Grant::As(Arc::new(Identity {
        username: Username::parse("alice", &UsernamePolicy::default()).expect("a name"),
        provider: "corp".into(),
        client: Some("portal".to_owned()),
        scopes: vec!["read".to_owned()],
        valid_until: i64::MAX,
        voucher: Voucher::Key(key()),
        groups: Groups::Unknown,
        claims: KeptClaims::default(),
    }))
}

fn full_trail() -> Trail {
    let limits = CacheLimits {
        ttl: std::time::Duration::from_secs(1),
        entries: 1,
        bytes: 1,
    };
    let token = BearerToken::from_b64token(b"secret").expect("a token");
    let key = TokenCache::new(&[7; 32], limits).key(token, &Selector::new(0));
    Trail {
        application: Some(Arc::new(Application::plain("jira", Product::Jira))),
        provider: Some("corp".into()),
        credential: CredentialKind::Jwt,
        token_id: Some(TokenId::Fingerprint(key.fingerprint())),
        cached: true,
        enforcement: Enforcement::Enforce,
        refused: None,
        policies: Vec::new(),
        takes_basic: false,
    }
}

fn request<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Request {
    let line = |(key, value): (&str, &[u8])| HeaderValue {
        key: key.to_owned(),
        value: String::new(),
        raw_value: value.to_vec().into(),
    };
    let headers = std::iter::once((":path", b"/".as_slice())).chain(headers);
    let http = HttpRequest {
        path: "/".to_owned(),
        host: "jira".to_owned(),
        header_map: Some(HeaderMap {
            headers: headers.into_iter().map(line).collect(),
        }),
        ..HttpRequest::default()
    };
    let check = CheckRequest {
        attributes: Some(AttributeContext {
            request: Some(HttpAttributes { http: Some(http) }),
            ..AttributeContext::default()
        }),
    };
    Request::parse(check, 0).expect("a request")
}

fn identity_header() -> IdentityHeader {
    IdentityHeader::new("X-Remote-User", &["x-jira-user".to_owned()]).expect("good names")
}

fn decision(verdict: Verdict) -> Decision {
    Decision {
        verdict,
        trail: full_trail(),
    }
}

/// Name and value, and proof that nothing else is said about the header.
fn lines(options: &[HeaderValueOption]) -> Vec<(&str, &str)> {
    let line = |option: &'_ HeaderValueOption| {
        assert_eq!(option.append_action, 2, "OVERWRITE_IF_EXISTS_OR_ADD");
        let header = option.header.as_ref().expect("a header");
        assert!(header.raw_value.is_empty(), "raw_value arrives empty");
    };
    options.iter().for_each(line);
    options
        .iter()
        .filter_map(|option| option.header.as_ref())
        .map(|header| (&*header.key, &*header.value))
        .collect()
}

/// What Envoy reads. Every answer of every test here is as prost would have written it, which has no field that is not
/// in the contract.
fn encode(
    decision: &Decision,
    headers: Option<&Headers>,
    identity: &IdentityHeader,
) -> CheckResponse {
    let mut bytes = Vec::new();
    super::encode(&mut bytes, decision, headers, identity);
    let read = CheckResponse::decode(&bytes[..]).expect("a CheckResponse");
    assert_eq!(read.encode_to_vec(), bytes, "{read:?}");
    read
}

fn allowed(response: &CheckResponse) -> &OkHttpResponse {
    assert_eq!(response.status, Some(Status { code: 0 }));
    match &response.http_response {
        Some(HttpResponse::OkResponse(ok)) => ok,
        other => panic!("{other:?}"),
    }
}

fn denied(response: &CheckResponse) -> &DeniedHttpResponse {
    match &response.http_response {
        Some(HttpResponse::DeniedResponse(denied)) => denied,
        other => panic!("{other:?}"),
    }
}

fn metadata_of(response: &CheckResponse) -> Vec<(&str, &str)> {
    let fields = &response.dynamic_metadata.as_ref().expect("metadata").fields;
    let text = |value: &'_ Value| match &value.kind {
        Some(Kind::StringValue(_)) => {}
        other => panic!("{other:?}"),
    };
    fields.values().for_each(text);
    fields
        .iter()
        .filter_map(|(name, value)| match &value.kind {
            Some(Kind::StringValue(text)) => Some((&**name, &**text)),
            _ => None,
        })
        .collect()
}

#[test]
fn an_allow_sets_the_identity_once_and_removes_every_credential() {
    let request = request([("authorization", b"Bearer secret".as_slice())]);

    let response = encode(
        &decision(Ok(alice())),
        Some(&request.headers),
        &identity_header(),
    );

    let ok = allowed(&response);
    assert_eq!(lines(&ok.headers), [("x-remote-user", "alice")]);
    assert_eq!(
        ok.headers_to_remove,
        [
            "authorization",
            "proxy-authorization",
            "dpop",
            "cookie",
            "x-http-method-override",
            "x-http-method",
            "x-method-override"
        ]
    );
    let token_id = full_trail().token_id.expect("set").to_string();
    assert_eq!(token_id.len(), 16);
    assert_eq!(
        metadata_of(&response),
        [
            ("application", "jira"),
            ("credential", "jwt"),
            ("provider", "corp"),
            ("reason", "token_valid"),
            ("token_id", token_id.as_str()),
            ("user", "alice"),
        ]
    );
}

#[test]
fn an_anonymous_allow_removes_the_identity_and_leaves_the_rest() {
    let request = request([
        ("x-remote-user", b"admin".as_slice()),
        ("cookie", b"JSESSIONID=1"),
    ]);
    let decision = Decision {
        verdict: Ok(Grant::Anonymous),
        trail: Trail::default(),
    };

    let response = encode(&decision, Some(&request.headers), &identity_header());

    let ok = allowed(&response);
    assert!(ok.headers.is_empty());
    assert_eq!(ok.headers_to_remove, ["x-remote-user"]);
    assert_eq!(
        metadata_of(&response),
        [("credential", "none"), ("reason", "public_path")]
    );
}

#[test]
fn names_that_a_container_folds_into_an_identity_header_are_removed() {
    let folded = [
        "x_remote_user",
        "X-Remote_User",
        "x.remote.user",
        "x-remote user",
        "REMOTE_USER",
        "remote-user",
        "x-forwarded-user",
        "X_Forwarded_Email",
        "x.forwarded.preferred.username",
        "x-auth-request-user",
        "x_auth-request.email",
        "X-AUTH-USER",
        "x-webauth-user",
        "X_Jira-USER",
    ];
    let harmless = [
        "x-remote-users",
        "remote-use",
        "xx-remote-user",
        "x--remote-user",
        "xremoteuser",
    ];
    let request = request(
        folded
            .iter()
            .chain(&harmless)
            .map(|name| (*name, b"admin".as_slice())),
    );

    for grant in [alice(), Grant::Anonymous] {
        let response = encode(
            &decision(Ok(grant)),
            Some(&request.headers),
            &identity_header(),
        );
        let removed = &allowed(&response).headers_to_remove;
        for name in folded {
            assert!(removed.iter().any(|gone| gone == name), "{name}");
        }
        for name in harmless {
            assert!(!removed.iter().any(|gone| gone == name), "{name}");
        }
    }
}

/// How long names are is looked at first.
#[test]
fn an_alias_of_any_length_is_removed_in_every_spelling() {
    for length in [1, 2, 61, 62, 63, 64, 65, 127, 200] {
        let alias = format!("{}-x", "a".repeat(length));
        let header = IdentityHeader::new("x-remote-user", std::slice::from_ref(&alias));
        let (poses, longer) = (alias.to_uppercase().replace('-', "_"), format!("{alias}y"));
        let request = request([(&*poses, b"admin".as_slice()), (&*longer, b"admin")]);

        let decision = decision(Ok(Grant::Anonymous));
        let response = encode(
            &decision,
            Some(&request.headers),
            &header.expect("good names"),
        );

        let removed = &allowed(&response).headers_to_remove;
        assert_eq!(*removed, [&*poses, "x-remote-user"], "{length}");
    }
}

#[test]
fn another_identity_header_is_set_and_the_usual_one_removed() {
    let header = IdentityHeader::new("x_corp_user", &[]).expect("a good name");
    let request = request([
        ("x-remote-user", b"admin".as_slice()),
        ("x-corp-user", b"admin"),
        ("X_CORP_USER", b"admin"),
    ]);

    let response = encode(&decision(Ok(alice())), Some(&request.headers), &header);

    let ok = allowed(&response);
    assert_eq!(lines(&ok.headers), [("x_corp_user", "alice")]);
    for name in ["x-remote-user", "x-corp-user"] {
        assert!(
            ok.headers_to_remove.iter().any(|gone| gone == name),
            "{name}"
        );
    }
    assert!(
        !ok.headers_to_remove
            .iter()
            .any(|gone| gone.eq_ignore_ascii_case("x_corp_user"))
    );
}

#[test]
fn a_header_that_is_always_removed_cannot_carry_the_identity() {
    for name in CARRIERS {
        assert!(IdentityHeader::new(name, &[]).is_err(), "{name}");
        let upper = name.to_ascii_uppercase();
        assert!(IdentityHeader::new(&upper, &[]).is_err(), "{upper}");
    }
}

/// What the client sees of a denial.
struct Face {
    status: i32,
    rpc: i32,
    challenge: Option<&'static str>,
    code: &'static str,
    message: &'static str,
    reason: &'static str,
}

const INVALID_TOKEN: Face = Face {
    status: 401,
    rpc: 16,
    challenge: Some(r#"Bearer realm="atlassian-authz", error="invalid_token""#),
    code: "token_expired_or_invalid",
    message: "The access token is expired or invalid.",
    reason: "",
};
const MALFORMED: Face = Face {
    status: 400,
    rpc: 7,
    challenge: None,
    code: "malformed_request",
    message: "The request is malformed.",
    reason: "malformed_request",
};
const BAD_CREDENTIAL: Face = Face {
    status: 400,
    rpc: 7,
    challenge: Some(r#"Bearer realm="atlassian-authz", error="invalid_request""#),
    code: "malformed_credential",
    message: "Send exactly one credential: Authorization: Bearer <token>.",
    reason: "malformed_credential",
};
const NO_USER: Face = Face {
    status: 403,
    rpc: 7,
    challenge: None,
    code: "user_not_mapped",
    message: "The access token belongs to no user of this application.",
    reason: "",
};
const SCOPE: Face = Face {
    status: 403,
    rpc: 7,
    challenge: Some(r#"Bearer realm="atlassian-authz", error="insufficient_scope""#),
    code: "insufficient_scope",
    message: "The access token lacks a required scope.",
    reason: "insufficient_scope",
};
const UNDECIDED: Face = Face {
    status: 503,
    rpc: 7,
    challenge: None,
    code: "temporarily_unavailable",
    message: "The access token cannot be checked right now. Try again.",
    reason: "",
};

/// Every denial there is, with the face it must have. A variant that is added and not shown here
/// fails in [`every_denial_is_in_the_table`].
fn denials() -> Vec<(Denial, Face)> {
    let mut all = Vec::new();
    for malformed in [
        MalformedRequest::NoHttp,
        MalformedRequest::NoHeaders,
        MalformedRequest::HeadersTooLarge,
        MalformedRequest::PathTooLong,
        MalformedRequest::PathNotAbsolute,
        MalformedRequest::Host(HostError::Empty),
        MalformedRequest::Host(HostError::Ambiguous),
    ] {
        all.push((malformed.into(), MALFORMED));
    }
    all.push((
        NoRoute::UnknownApplication.into(),
        Face {
            code: "unknown_application",
            message: "No application is configured for it.",
            reason: "unknown_application",
            ..NO_USER
        },
    ));
    all.push((
        NoRoute::Tunnel.into(),
        Face {
            code: "upgrade_not_allowed",
            message: "Upgraded connections are not allowed.",
            reason: "upgrade_not_allowed",
            ..NO_USER
        },
    ));
    let no_credential = || Face {
        challenge: Some(r#"Bearer realm="atlassian-authz""#),
        code: "no_credential",
        message: "An access token is required.",
        reason: "no_credential",
        ..INVALID_TOKEN
    };
    all.push((Denial::NoCredential, no_credential()));
    all.push((
        MalformedCredential::UnsupportedScheme.into(),
        Face {
            code: "unsupported_scheme",
            message: "The authentication scheme is not supported. Use a Bearer token.",
            reason: "unsupported_scheme",
            ..no_credential()
        },
    ));
    for malformed in [
        MalformedCredential::Several,
        MalformedCredential::TooLong,
        MalformedCredential::NotB64Token,
        MalformedCredential::NotBasic,
        MalformedCredential::InQuery("os_password"),
        MalformedCredential::SessionInPath,
    ] {
        all.push((malformed.into(), BAD_CREDENTIAL));
    }
    for (foreign, code, message) in [
        (
            Foreign::Password,
            "password_not_accepted",
            "Passwords are not accepted here. Use an access token or an API token.",
        ),
        (
            Foreign::ProductToken,
            "product_token_not_accepted",
            "Tokens of the product are not accepted here. Use an access token or an API token.",
        ),
    ] {
        let face = Face {
            code,
            message,
            reason: code,
            ..no_credential()
        };
        all.push((Denial::ForeignCredential(foreign), face));
    }
    for (rejection, reason) in [
        (NotAnApiToken::Shape.into(), "api_token_malformed"),
        (NotAnApiToken::Checksum.into(), "api_token_malformed"),
        (ApiTokenRejection::Unknown, "api_token_unknown"),
        (ApiTokenRejection::WrongSecret, "api_token_wrong_secret"),
        (ApiTokenRejection::Revoked, "api_token_revoked"),
        (ApiTokenRejection::Expired, "api_token_expired"),
        (ApiTokenRejection::Replaced, "api_token_replaced"),
        (ApiTokenRejection::OtherUser, "api_token_other_user"),
        (UsernameError::Reserved.into(), "api_token_owner_refused"),
    ] {
        all.push((
            Denial::BadApiToken(rejection),
            Face {
                reason,
                ..INVALID_TOKEN
            },
        ));
    }
    for (no_provider, reason) in [
        (NoProvider::OwnToken, "api_tokens_disabled"),
        (NoProvider::Opaque, "no_provider_for_opaque_token"),
        (NoProvider::UnknownIssuer, "unknown_issuer"),
    ] {
        all.push((
            no_provider.into(),
            Face {
                reason,
                ..INVALID_TOKEN
            },
        ));
    }
    for (rejection, reason) in rejections() {
        all.push((
            rejection.into(),
            Face {
                reason,
                ..INVALID_TOKEN
            },
        ));
    }
    for (error, reason) in [
        (MappingError::ClaimMissing, "username_claim"),
        (MappingError::ClaimType, "username_claim"),
        (MappingError::UnverifiedEmail, "email_not_verified"),
        (MappingError::NotInMap, "username_not_mapped"),
        (MappingError::NoMatch, "username_not_mapped"),
        (MappingError::OtherDomain, "username_not_mapped"),
        (UsernameError::Reserved.into(), "username_refused"),
        (MappingError::UnknownMachine, "machine_client_not_mapped"),
    ] {
        all.push((error.into(), Face { reason, ..NO_USER }));
    }
    for (scope, challenge) in [
        (
            "jira:read",
            r#"Bearer realm="atlassian-authz", error="insufficient_scope", scope="jira:read""#,
        ),
        // What cannot stand between quotes is left out.
        ("a\" b=\"", SCOPE.challenge.expect("set")),
        ("a\r\nset-cookie: x", SCOPE.challenge.expect("set")),
    ] {
        let scope = scope.to_owned();
        all.push((
            Refusal::InsufficientScope { scope }.into(),
            Face {
                challenge: Some(challenge),
                ..SCOPE
            },
        ));
    }
    for (refusal, message, reason) in [
        (
            Refusal::OtherApplication,
            "The API token is not for this application.",
            "api_token_application",
        ),
        (
            Refusal::OtherNetwork,
            "The API token may not be used from this address.",
            "api_token_network",
        ),
        (
            Refusal::OtherPath,
            "The API token is not for this path.",
            "api_token_path",
        ),
        (
            Refusal::ReadOnly,
            "The API token may only read.",
            "api_token_read_only",
        ),
    ] {
        let face = Face {
            code: "api_token_scope",
            message,
            reason,
            ..SCOPE
        };
        all.push((refusal.into(), face));
    }
    all.push((
        Refusal::DeniedPath.into(),
        Face {
            code: "path_denied",
            message: "This path is not open to callers with a token.",
            reason: "path_denied",
            ..NO_USER
        },
    ));
    all.push((
        Refusal::PathNotCanonical.into(),
        Face {
            code: "path_not_canonical",
            message: "The path must be written plainly: no '..', '//', ';' or needless escapes.",
            reason: "path_not_canonical",
            ..BAD_CREDENTIAL
        },
    ));
    for (refusal, code, message, reason) in [
        (
            Refusal::User,
            "user_not_allowed",
            "User is not allowed to use this application.",
            "access_users",
        ),
        (
            Refusal::Group,
            "user_not_allowed",
            "User is not allowed to use this application.",
            "access_groups",
        ),
        (
            Refusal::GroupsUnknown,
            "user_not_allowed",
            "User is not allowed to use this application.",
            "access_groups_unknown",
        ),
        (
            Refusal::ReadOnlyGroup,
            "read_only",
            "User may only read.",
            "access_read_only",
        ),
        (
            Refusal::Network,
            "network_not_allowed",
            "Requests from this address are not allowed.",
            "access_networks",
        ),
        (
            Refusal::Method,
            "method_not_allowed",
            "Requests with this method are not allowed.",
            "access_methods",
        ),
        (
            rule("office-hours", false),
            "access_rule",
            "The request is not allowed.",
            "access_rule",
        ),
        (
            rule("office-hours", true),
            "access_rule",
            "The request is not allowed.",
            "access_rule_failed",
        ),
    ] {
        let face = Face {
            code,
            message,
            reason,
            ..NO_USER
        };
        all.push((refusal.into(), face));
    }
    for (unavailable, reason) in [
        (Unavailable::NoKeys, "provider_keys_not_loaded"),
        (Unavailable::StaleKeys, "provider_keys_stale"),
        (Unavailable::NoRefresh, "provider_keys_not_refreshed"),
        (Unavailable::Overloaded, "overloaded"),
        (Unavailable::StoreAway, "token_store_away"),
        (Unavailable::StoreError, "token_store_error"),
        (Unavailable::UnknownPepper, "pepper_unknown"),
        (Unavailable::Deadline, "deadline"),
        (Unavailable::Internal, "internal_error"),
    ] {
        all.push((
            unavailable.into(),
            Face {
                reason,
                ..UNDECIDED
            },
        ));
    }
    all
}

fn rule(name: &str, failed: bool) -> Refusal {
    Refusal::Rule {
        name: name.into(),
        failed,
    }
}

fn rejections() -> [(Rejection, &'static str); 22] {
    let json = Rejection::Json {
        part: "header",
        error: JsonError::Duplicate,
    };
    [
        (Rejection::MalformedJws, "malformed_token"),
        (json, "malformed_token"),
        (Rejection::HeaderMember("crit"), "header_refused"),
        (Rejection::HeaderValue("kid"), "header_refused"),
        (Rejection::Algorithm, "algorithm_not_allowed"),
        (Rejection::Typ, "typ_not_accepted"),
        (Rejection::UnknownKey, "unknown_key"),
        (Rejection::KeyMismatch, "key_mismatch"),
        (Rejection::BadSignature, "bad_signature"),
        (Rejection::ClaimType("exp"), "claim_type"),
        (Rejection::ClaimMissing("exp"), "claim_missing"),
        (Rejection::Audience, "wrong_audience"),
        (Rejection::TooManyAudiences, "wrong_audience"),
        (Rejection::Expired, "expired"),
        (Rejection::NotYetValid("nbf"), "not_yet_valid"),
        (Rejection::NotYetValid("iat"), "not_yet_valid"),
        (Rejection::LifetimeTooLong, "lifetime_too_long"),
        (Rejection::NotAnAccessToken("nonce"), "not_an_access_token"),
        (Rejection::NotAnAccessToken("typ"), "not_an_access_token"),
        (Rejection::SenderConstrained, "sender_constrained"),
        (Rejection::Client, "client_not_allowed"),
        (Rejection::RequiredClaim, "required_claim"),
    ]
}

#[test]
fn every_denial_has_its_status_headers_body_and_metadata() {
    let header = identity_header();
    for (denial, face) in denials() {
        let said = denial.to_string();
        let response = encode(&decision(Err(denial)), None, &header);

        assert_eq!(response.status, Some(Status { code: face.rpc }), "{said}");
        let denied = denied(&response);
        let status = denied.status.as_ref().map(|status| status.code);
        assert_eq!(status, Some(face.status), "{said}");
        let mut headers = vec![
            ("content-type", "application/json"),
            ("cache-control", "no-store"),
        ];
        headers.extend(face.challenge.map(|value| ("www-authenticate", value)));
        if face.status == 503 {
            headers.push(("retry-after", "2"));
        }
        assert_eq!(lines(&denied.headers), headers, "{said}");
        let body = format!(
            r#"{{"error":{{"status":"ERROR","code":"{}","message":"{}"}}}}"#,
            face.code, face.message
        );
        assert_eq!(denied.body, body, "{said}");
        let parsed: serde_json::Value = serde_json::from_str(&denied.body).expect("JSON");
        assert_eq!(parsed["error"]["code"], face.code);
        let metadata = metadata_of(&response);
        assert!(
            metadata.contains(&("reason", face.reason)),
            "{said}: {metadata:?}"
        );
        assert!(metadata.contains(&("provider", "corp")), "{said}");
        assert!(metadata.iter().all(|(name, _)| *name != "user"), "{said}");
    }
}

/// The compiler stops here when a variant is added; it then belongs into [`denials`] too.
fn group(denial: &Denial) -> usize {
    match denial {
        Denial::MalformedRequest(_) => 0,
        Denial::NoRoute(NoRoute::UnknownApplication) => 1,
        Denial::NoRoute(NoRoute::Tunnel) => 2,
        Denial::NoCredential => 3,
        Denial::MalformedCredential(MalformedCredential::UnsupportedScheme) => 4,
        Denial::MalformedCredential(
            MalformedCredential::Several
            | MalformedCredential::TooLong
            | MalformedCredential::NotB64Token
            | MalformedCredential::NotBasic
            | MalformedCredential::InQuery(_)
            | MalformedCredential::SessionInPath,
        ) => 5,
        Denial::ForeignCredential(_) => 6,
        Denial::BadApiToken(_) => 7,
        Denial::NoProvider(_) => 8,
        Denial::InvalidToken(_) => 9,
        Denial::NoUser(_) => 10,
        Denial::Refused(Refusal::InsufficientScope { .. }) => 11,
        Denial::Refused(
            Refusal::OtherApplication
            | Refusal::OtherNetwork
            | Refusal::OtherPath
            | Refusal::ReadOnly,
        ) => 12,
        Denial::Refused(Refusal::DeniedPath) => 13,
        Denial::Refused(Refusal::PathNotCanonical) => 14,
        Denial::Refused(
            Refusal::User
            | Refusal::Group
            | Refusal::GroupsUnknown
            | Refusal::ReadOnlyGroup
            | Refusal::Network
            | Refusal::Method
            | Refusal::Rule { .. },
        ) => 15,
        Denial::Undecided(_) => 16,
    }
}

/// The metadata that tells what was decided but not done.
#[test]
fn a_denial_that_is_only_reported_passes_without_an_identity() {
    let header = identity_header();
    let request = request([
        ("x-remote-user", b"admin".as_slice()),
        ("X_Remote_User", b"admin"),
        ("authorization", b"Bearer x"),
        ("cookie", b"JSESSIONID=1"),
    ]);
    for (denial, face) in denials() {
        let mut decision = decision(enforced(Err(denial), Enforcement::ReportOnly));
        decision.trail.enforcement = Enforcement::ReportOnly;
        let response = encode(&decision, Some(&request.headers), &header);
        let ok = allowed(&response);
        assert!(ok.headers.is_empty());
        assert_eq!(ok.headers_to_remove, ["X_Remote_User", "x-remote-user"]);
        let metadata = metadata_of(&response);
        assert!(metadata.contains(&("reason", face.reason)));
        assert!(metadata.contains(&("enforcement", "report_only")));
        assert!(metadata.iter().all(|(name, _)| *name != "user"));
    }
}

#[test]
fn the_metadata_name_the_operators_rule_that_refuses() {
    let names = |denial: Denial, enforcement: Enforcement| {
        let mut decision = decision(enforced(Err(denial), enforcement));
        decision.trail.enforcement = enforcement;
        let response = encode(&decision, None, &identity_header());
        let metadata = metadata_of(&response);
        let rule = metadata.iter().find(|(name, _)| *name == "rule");
        rule.map(|(_, rule)| (*rule).to_owned())
    };
    for enforcement in [Enforcement::Enforce, Enforcement::ReportOnly] {
        let refused = rule("no deletes", false).into();
        assert_eq!(names(refused, enforcement).as_deref(), Some("no deletes"));
        assert_eq!(names(Refusal::User.into(), enforcement), None);
        assert_eq!(names(Denial::NoCredential, enforcement), None);
    }
}

#[test]
fn nothing_is_decided_where_nothing_is_enforced() {
    for verdict in [Ok(alice()), Ok(Grant::Anonymous), Err(Denial::NoCredential)] {
        let mut decision = decision(enforced(verdict, Enforcement::Off));
        decision.trail.enforcement = Enforcement::Off;
        let response = encode(&decision, None, &identity_header());
        let ok = allowed(&response);
        assert!(ok.headers.is_empty());
        assert_eq!(ok.headers_to_remove, ["x-remote-user"]);
        assert!(metadata_of(&response).contains(&("reason", "not_enforced")));
    }
}

#[test]
fn the_operator_may_say_it_in_other_words_and_break_nothing() {
    let header = identity_header();
    for (denial, face) in denials() {
        let mut application = Application::plain("jira", Product::Jira);
        let said = "Ask \"IT\" \\ </script>";
        application
            .messages
            .insert(face.code, said)
            .expect("a message");
        let mut decision = decision(Err(denial));
        decision.trail.application = Some(Arc::new(application));
        let response = encode(&decision, None, &header);
        let body: serde_json::Value = serde_json::from_str(&denied(&response).body).expect("JSON");
        assert_eq!(body["error"]["message"], said);
        assert_eq!(body["error"]["code"], face.code);
        assert_eq!(body["error"]["status"], "ERROR");
    }
}

#[test]
fn every_public_word_can_have_another_message() {
    let known = ["malformed_request", "unknown_application"];
    for (denial, face) in denials() {
        let has_application = !known.contains(&face.code);
        assert_eq!(CODES.contains(&face.code), has_application, "{denial}");
    }
    let words: Vec<_> = denials().into_iter().map(|(_, face)| face.code).collect();
    assert!(CODES.iter().all(|code| words.contains(code)));
}

#[test]
fn every_denial_is_in_the_table() {
    let mut groups: Vec<usize> = denials().iter().map(|(denial, _)| group(denial)).collect();
    groups.dedup();
    assert_eq!(groups, (0..=16).collect::<Vec<_>>());
}

/// Git sends its password only to a server that asks for one, and reads the first scheme of each line.
#[test]
fn where_api_tokens_are_taken_every_401_also_asks_for_basic() {
    let header = identity_header();
    for (denial, face) in denials() {
        let mut decision = decision(Err(denial));
        decision.trail.takes_basic = true;
        let response = encode(&decision, None, &header);
        let denied = denied(&response);
        let challenges = lines(&denied.headers).into_iter();
        let challenges: Vec<_> = challenges
            .filter(|(name, _)| *name == "www-authenticate")
            .collect();
        let mut expected = Vec::from_iter(face.challenge.map(|value| ("www-authenticate", value)));
        if face.status == 401 {
            expected.push((
                "www-authenticate",
                r#"Basic realm="atlassian-authz", charset="UTF-8""#,
            ));
        }
        assert_eq!(challenges, expected, "{}", face.reason);
    }
}

#[test]
fn no_answer_tells_why_a_token_is_bad() {
    let header = identity_header();
    let faces: Vec<_> = denials()
        .into_iter()
        .filter(|(_, face)| face.code == INVALID_TOKEN.code)
        .map(|(denial, _)| encode(&decision(Err(denial)), None, &header))
        .collect();
    let first = faces.first().expect("some");
    for face in &faces {
        assert_eq!(face.status, first.status);
        assert_eq!(face.http_response, first.http_response);
    }
}

#[test]
fn a_status_is_in_the_bytes_of_every_answer() {
    let header = identity_header();
    let verdicts = denials().into_iter().map(|(denial, _)| Err(denial));
    let verdicts = verdicts.chain([Ok(Grant::Anonymous), Ok(alice())]);
    for verdict in verdicts {
        let denies = verdict.is_err();
        let bytes = encode(&decision(verdict), None, &header).encode_to_vec();
        let read = CheckResponse::decode(bytes.as_slice()).expect("decodes");
        let code = read.status.expect("an absent status is an allow").code;
        assert_eq!(code != 0, denies);
    }
}

/// Header names as attackers choose them: near the identity header, or anything.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[xX][-_. ][rR]emote[-_. ]([uU]ser|USER)",
        "([xX][-_.])?(remote|forwarded|auth|webauth)[-_. ](request[-_.])?(user|email)",
        "(?s).{0,24}",
        Just("authorization".to_owned()),
        Just("Cookie".to_owned()),
    ]
}

proptest! {
    #[test]
    fn an_allow_controls_the_identity_header_whatever_the_client_sends(
        sent in proptest::collection::vec((name(), proptest::collection::vec(any::<u8>(), 0..16)), 0..12),
        identity in "[xX][-_][a-zA-Z]{1,8}([-_][a-zA-Z]{1,6})?",
        anonymous in any::<bool>(),
    ) {
        let header = IdentityHeader::new(&identity, &[]);
        prop_assume!(header.is_ok());
        let header = header.expect("assumed");
        let request = request(sent.iter().map(|(name, value)| (&**name, &**value)));
        let grant = if anonymous { Grant::Anonymous } else { alice() };

        let response = encode(&decision(Ok(grant)), Some(&request.headers), &header);

        let ok = allowed(&response);
        let is_identity = |name: &str| name.eq_ignore_ascii_case(header.name());
        let sets = ok.headers.iter().filter_map(|option| option.header.as_ref());
        let set: Vec<_> = sets.filter(|set| is_identity(&set.key)).map(|set| &*set.value).collect();
        let removed = ok.headers_to_remove.iter().any(|name| is_identity(name));
        if anonymous {
            prop_assert!(set.is_empty() && removed);
        } else {
            prop_assert_eq!(set, ["alice"]);
            prop_assert!(!removed);
            prop_assert_eq!(ok.headers.len(), 1);
        }
        // What a container would read as the identity header is gone, in every spelling.
        let folded = |name: &str| name.to_ascii_lowercase().replace(['_', '.', ' '], "-");
        for (name, _) in &sent {
            let poses = [folded(header.name()), "x-remote-user".to_owned()].contains(&folded(name));
            if poses && !is_identity(name) {
                prop_assert!(ok.headers_to_remove.contains(name), "{:?}", name);
            }
        }
    }
}
