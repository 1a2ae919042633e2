//! The questions: checks as Envoy asks them, encoded beforehand, each with the answer that it must
//! get.

use std::{sync::Arc, thread};

use atlassian_authz::pb::envoy::{
    config::core::v3::{HeaderMap, HeaderValue},
    service::auth::v3::{
        AttributeContext, CheckRequest, CheckResponse,
        attribute_context::{HttpRequest, Request},
        check_response::HttpResponse,
    },
};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use super::{
    floor,
    keys::{SigningKey, shared_es256, shared_rs256},
    tokens::Token,
};

const HOST: &str = "jira.example.com";
const PATH: &str =
    "/jira/rest/api/2/search?jql=project%20%3D%20OPS%20AND%20status%20%3D%20Open&maxResults=50";

/// One question.
#[derive(Clone)]
pub struct Call {
    /// A complete gRPC message.
    pub frame: Bytes,
    expected: Expected,
}

/// What the service must answer.
#[derive(Clone)]
enum Expected {
    User(String),
    Unauthorized,
}

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answerer {
    Floor,
    Service,
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    Rs256,
    Es256,
}

impl Signature {
    pub fn key(self) -> &'static SigningKey {
        match self {
            Self::Rs256 => shared_rs256(),
            Self::Es256 => shared_es256(),
        }
    }

    /// Under which the provider publishes the key.
    pub fn key_id(self) -> &'static str {
        match self {
            Self::Rs256 => "k1",
            Self::Es256 => "k2",
        }
    }

    fn sign(self, issuer: &str, number: usize) -> String {
        let key = self.key();
        Token::of(issuer)
            .header("alg", key.alg())
            .header("kid", self.key_id())
            .claim("jti", format!("6f1c9c1e-7a0b-4a51-9a43-{number:012}"))
            .claim("preferred_username", user(number))
            .claim("scope", "openid profile jira:read jira:write")
            .claim("azp", "portal")
            .signed_by(key)
    }
}

/// Whom a token stands for.
pub fn user(number: usize) -> String {
    format!("user{:03}", number % 1000)
}

/// Distinct tokens, signed on all cores.
pub fn tokens(
    issuer: &str,
    signature: Signature,
    numbers: std::ops::Range<usize>,
) -> Vec<(usize, String)> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let numbers: Vec<usize> = numbers.collect();
    let mut signed = Vec::with_capacity(numbers.len());
    thread::scope(|scope| {
        let mut signers = Vec::new();
        for part in numbers.chunks(numbers.len().div_ceil(threads).max(1)) {
            let sign = |number: &usize| (*number, signature.sign(issuer, *number));
            signers.push(scope.spawn(move || part.iter().map(sign).collect::<Vec<_>>()));
        }
        for signer in signers {
            signed.extend(signer.join().expect("signed"));
        }
    });
    signed
}

/// Calls with these tokens.
pub fn with_tokens(tokens: &[(usize, String)]) -> Arc<[Call]> {
    tokens
        .iter()
        .map(|(number, token)| Call::new(Some(token), Expected::User(user(*number))))
        .collect()
}

/// Calls with these tokens, each spoilt in the middle of its signature.
pub fn with_spoilt_tokens(tokens: &[(usize, String)]) -> Arc<[Call]> {
    tokens
        .iter()
        .map(|(_, token)| Call::new(Some(&spoilt(token)), Expected::Unauthorized))
        .collect()
}

/// A call without a token.
pub fn without_token() -> Arc<[Call]> {
    Arc::new([Call::new(None, Expected::Unauthorized)])
}

fn spoilt(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let (left, right) = signature.split_at(signature.len() / 2);
    let other = if right.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{left}{other}{}", &right[1..])
}

impl Call {
    fn new(token: Option<&str>, expected: Expected) -> Self {
        let message = check(token);
        let mut frame = BytesMut::new();
        frame.put_u8(0);
        frame.put_u32(message.encoded_len() as u32);
        message.encode(&mut frame).expect("grows");
        Self {
            frame: frame.freeze(),
            expected,
        }
    }

    /// Whether the answer is the right one, to the letter that matters.
    pub fn judge(&self, answerer: Answerer, answer: &CheckResponse) -> bool {
        let code = answer.status.as_ref().map(|status| status.code);
        match (&answer.http_response, &self.expected, answerer) {
            (Some(HttpResponse::OkResponse(ok)), Expected::User(user), Answerer::Service) => {
                code == Some(0)
                    && sets_user(&ok.headers, user)
                    && removes_credential(&ok.headers_to_remove)
            }
            (Some(HttpResponse::OkResponse(ok)), _, Answerer::Floor) => {
                code == Some(0) && sets_user(&ok.headers, floor::USER)
            }
            (
                Some(HttpResponse::DeniedResponse(denied)),
                Expected::Unauthorized,
                Answerer::Service,
            ) => {
                code.is_some_and(|code| code != 0)
                    && denied
                        .status
                        .as_ref()
                        .is_some_and(|status| status.code == 401)
            }
            _ => false,
        }
    }
}

fn sets_user(
    headers: &[atlassian_authz::pb::envoy::config::core::v3::HeaderValueOption],
    user: &str,
) -> bool {
    let [option] = headers else { return false };
    let header = option.header.as_ref();
    option.append_action == 2
        && header.is_some_and(|header| header.key == "x-remote-user" && header.value == user)
}

fn removes_credential(removed: &[String]) -> bool {
    removed.iter().any(|name| name == "authorization")
}

/// What Envoy sends for a call of a script, with `encode_raw_headers: true`.
fn check(token: Option<&str>) -> CheckRequest {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![
        (":authority", HOST),
        (":path", PATH),
        (":method", "GET"),
        (":scheme", "https"),
        ("user-agent", "python-requests/2.32.3"),
        ("accept-encoding", "gzip, deflate"),
        ("accept", "application/json"),
        ("accept-language", "en-US,en;q=0.9"),
        ("cache-control", "no-cache"),
        ("content-type", "application/json"),
        ("x-atlassian-token", "no-check"),
        ("x-requested-by", "release-notes-job"),
        ("x-forwarded-for", "203.0.113.57"),
        ("x-forwarded-proto", "https"),
        ("x-envoy-external-address", "203.0.113.57"),
        ("x-envoy-expected-rq-timeout-ms", "15000"),
        ("x-request-id", "5b3c9a5c-6c0e-4d8e-9a2f-0d9c7e1b2a34"),
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        ("x-correlation-id", "build-48213"),
    ];
    headers.extend(
        authorization
            .as_deref()
            .map(|value| ("authorization", value)),
    );
    let header = |(name, value): (&str, &str)| HeaderValue {
        key: name.to_owned(),
        value: String::new(),
        raw_value: value.as_bytes().to_vec().into(),
    };
    let http = HttpRequest {
        id: "12345678901234567890".to_owned(),
        method: "GET".to_owned(),
        path: PATH.to_owned(),
        host: HOST.to_owned(),
        scheme: "https".to_owned(),
        protocol: "HTTP/1.1".to_owned(),
        header_map: Some(HeaderMap {
            headers: headers.into_iter().map(header).collect(),
        }),
        ..HttpRequest::default()
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            request: Some(Request { http: Some(http) }),
            ..AttributeContext::default()
        }),
    }
}
