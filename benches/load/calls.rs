//! The questions: requests of a script, as Envoy asks about them or as the script sends them to Envoy,
//! encoded beforehand, each with the answer that it must get.

use std::sync::Arc;

use atlassian_authz::pb::envoy::{
    config::core::v3::{HeaderMap, HeaderValue, HeaderValueOption},
    service::auth::v3::{
        AttributeContext, CheckRequest, CheckResponse,
        attribute_context::{HttpRequest, Request},
        check_response::HttpResponse,
    },
};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use super::{floor, mint::Held};

pub const HOST: &str = "jira.example.com";
/// The application that is told by this name takes requests without a credential.
pub const NATIVE_HOST: &str = "wiki.example.com";
const PATH: &str =
    "/jira/rest/api/2/search?jql=project%20%3D%20OPS%20AND%20status%20%3D%20Open&maxResults=50";

/// What the script sends, besides its credential.
const OF_THE_CLIENT: [(&str, &str); 9] = [
    ("user-agent", "python-requests/2.32.3"),
    ("accept-encoding", "gzip, deflate"),
    ("accept", "application/json"),
    ("accept-language", "en-US,en;q=0.9"),
    ("cache-control", "no-cache"),
    ("content-type", "application/json"),
    ("x-atlassian-token", "no-check"),
    ("x-requested-by", "release-notes-job"),
    ("x-correlation-id", "build-48213"),
];
/// What Envoy adds.
const OF_ENVOY: [(&str, &str); 6] = [
    ("x-forwarded-for", "203.0.113.57"),
    ("x-forwarded-proto", "https"),
    ("x-envoy-external-address", "203.0.113.57"),
    ("x-envoy-expected-rq-timeout-ms", "15000"),
    ("x-request-id", "5b3c9a5c-6c0e-4d8e-9a2f-0d9c7e1b2a34"),
    (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
];

/// One question.
#[derive(Clone)]
pub struct Call {
    /// A complete gRPC message, or a complete HTTP/1.1 request.
    pub bytes: Bytes,
    expected: Expected,
}

/// What the service must answer.
#[derive(Clone)]
enum Expected {
    User(String),
    Unauthorized,
    /// Left to the product, without an identity.
    Native,
}

/// Who answers, and so whom everybody is let in as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answerer {
    Floor,
    /// Something that looks at credentials.
    Judge,
    /// An Envoy that asks nobody.
    Nobody,
}

/// How calls are written.
#[derive(Clone, Copy)]
pub struct Recipe {
    pub wire: Wire,
    /// Headers of a check in all, the credential included; `None`: as many as there are.
    pub headers: Option<usize>,
}

/// How calls travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// The check that Envoy asks.
    Grpc,
    /// The request that Envoy gets.
    Http1,
}

impl Recipe {
    pub const CHECK: Self = Self {
        wire: Wire::Grpc,
        headers: None,
    };
    pub const REQUEST: Self = Self {
        wire: Wire::Http1,
        headers: None,
    };

    /// Calls with these credentials.
    pub fn with(self, held: &[Held]) -> Arc<[Call]> {
        let call = |held: &Held| self.call(Some(&held.text), Expected::User(held.user.clone()));
        held.iter().map(call).collect()
    }

    /// Calls with these tokens, each spoilt in the middle of its signature.
    pub fn with_spoilt(self, held: &[Held]) -> Arc<[Call]> {
        let call = |held: &Held| self.call(Some(&spoilt(&held.text)), Expected::Unauthorized);
        held.iter().map(call).collect()
    }

    /// A call without a credential, which is denied.
    pub fn without_credential(self) -> Arc<[Call]> {
        Arc::new([self.call(None, Expected::Unauthorized)])
    }

    /// A call without a credential, which is the product's own business.
    pub fn native(self) -> Arc<[Call]> {
        Arc::new([Call {
            bytes: self.check(NATIVE_HOST, None),
            expected: Expected::Native,
        }])
    }

    fn call(self, credential: Option<&str>, expected: Expected) -> Call {
        let bytes = match self.wire {
            Wire::Grpc => self.check(HOST, credential),
            Wire::Http1 => request(credential),
        };
        Call { bytes, expected }
    }

    /// What Envoy sends for a call of a script, with `encode_raw_headers: true`.
    fn check(self, host: &str, credential: Option<&str>) -> Bytes {
        let check = check(host, &self.headers(host, credential));
        let mut frame = BytesMut::new();
        frame.put_u8(0);
        frame.put_u32(check.encoded_len() as u32);
        check.encode(&mut frame).expect("grows");
        frame.freeze()
    }

    fn headers(self, host: &str, credential: Option<&str>) -> Vec<(String, String)> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let pseudo = [
            (":authority", host),
            (":path", PATH),
            (":method", "GET"),
            (":scheme", "https"),
        ];
        let mut headers: Vec<_> = pseudo.into_iter().map(own).collect();
        headers.extend(OF_THE_CLIENT.into_iter().chain(OF_ENVOY).map(own));
        if let Some(wanted) = self.headers {
            headers.truncate(wanted - 1);
            let further = |number| {
                let value = format!("a value of a usual length, {number}");
                (format!("x-further-{number}"), value)
            };
            headers.extend((headers.len()..wanted - 1).map(further));
        }
        let bearer = |credential| ("authorization".to_owned(), format!("Bearer {credential}"));
        headers.extend(credential.map(bearer));
        headers
    }
}

impl Call {
    /// Whether the answer is the right one, to the letter that matters.
    pub fn judge(&self, answerer: Answerer, answer: &CheckResponse) -> bool {
        let code = answer.status.as_ref().map(|status| status.code);
        match (&answer.http_response, &self.expected, answerer) {
            (Some(HttpResponse::OkResponse(ok)), _, Answerer::Floor) => {
                code == Some(0) && sets_user(&ok.headers, floor::USER)
            }
            (Some(HttpResponse::OkResponse(ok)), Expected::User(user), _) => {
                code == Some(0)
                    && sets_user(&ok.headers, user)
                    && removes(&ok.headers_to_remove, "authorization")
            }
            (Some(HttpResponse::OkResponse(ok)), Expected::Native, _) => {
                code == Some(0)
                    && ok.headers.is_empty()
                    && removes(&ok.headers_to_remove, "x-remote-user")
            }
            (Some(HttpResponse::DeniedResponse(denied)), Expected::Unauthorized, _) => {
                let status = denied.status.as_ref().map(|status| status.code);
                code.is_some_and(|code| code != 0) && status == Some(401)
            }
            _ => false,
        }
    }

    /// The same of what came through Envoy: the status, and the user whom the product would have seen.
    pub fn judge_http(&self, answerer: Answerer, status: &[u8], user: Option<&[u8]>) -> bool {
        let (wanted, seen) = match (&self.expected, answerer) {
            (_, Answerer::Floor) => (b"200", Some(floor::USER.as_bytes())),
            (Expected::User(name), Answerer::Judge) => (b"200", Some(name.as_bytes())),
            (Expected::Unauthorized, Answerer::Judge) => (b"401", None),
            (_, Answerer::Nobody) | (Expected::Native, Answerer::Judge) => (b"200", None),
        };
        status == wanted && user == seen
    }
}

fn sets_user(headers: &[HeaderValueOption], user: &str) -> bool {
    let [option] = headers else { return false };
    let header = option.header.as_ref();
    option.append_action == 2
        && header.is_some_and(|header| header.key == "x-remote-user" && header.value == user)
}

fn removes(removed: &[String], name: &str) -> bool {
    removed.iter().any(|removed| removed == name)
}

fn spoilt(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let (left, right) = signature.split_at(signature.len() / 2);
    let other = if right.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{left}{other}{}", &right[1..])
}

fn request(credential: Option<&str>) -> Bytes {
    let mut text = format!("GET {PATH} HTTP/1.1\r\nhost: {HOST}\r\n");
    for (name, value) in OF_THE_CLIENT {
        text += &format!("{name}: {value}\r\n");
    }
    if let Some(credential) = credential {
        text += &format!("authorization: Bearer {credential}\r\n");
    }
    (text + "\r\n").into()
}

fn check(host: &str, headers: &[(String, String)]) -> CheckRequest {
    let header = |(name, value): &(String, String)| HeaderValue {
        key: name.clone(),
        value: String::new(),
        raw_value: value.as_bytes().to_vec().into(),
    };
    let http = HttpRequest {
        id: "12345678901234567890".to_owned(),
        method: "GET".to_owned(),
        path: PATH.to_owned(),
        host: host.to_owned(),
        scheme: "https".to_owned(),
        protocol: "HTTP/1.1".to_owned(),
        header_map: Some(HeaderMap {
            headers: headers.iter().map(header).collect(),
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
