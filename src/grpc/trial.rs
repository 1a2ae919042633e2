//! A check that Envoy has not sent: the message that it would send, and the answer for a person.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use prost::Message;
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use crate::{
    pb::envoy::{
        config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress, address},
        service::auth::v3::{
            AttributeContext, CheckRequest, CheckResponse, OkHttpResponse,
            attribute_context::{HttpRequest, Peer, Request},
            check_response::HttpResponse,
        },
    },
    policy::Explained,
    request::Check,
    response,
    route::Enforcement,
    verdict::{Denial, Grant, denial},
};

/// Headers that hold nothing but a secret: they have a place of their own.
const CREDENTIALS: [&str; 2] = ["authorization", "proxy-authorization"];

/// A request as somebody describes it.
#[derive(Clone)]
pub struct Trial {
    /// The application, as Envoy's `context_extensions` would name it.
    pub application: Option<String>,
    /// The host that the client calls.
    pub host: String,
    /// The path with its query.
    pub path: String,
    /// The HTTP method.
    pub method: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The value of `Authorization`.
    pub authorization: Option<String>,
    /// Where the request comes from.
    pub source: Option<IpAddr>,
}

/// What would happen to a request, and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// `allow` or `deny`.
    #[schema(example = "allow")]
    pub verdict: &'static str,
    /// The status that the client gets; 200: the product answers.
    #[schema(example = 200)]
    pub status: u16,
    /// What is done with denials. Where they are only reported, `verdict` is `allow`, and `code` and `why` are those of
    /// the denial.
    pub enforcement: Enforcement,
    /// The public word of a denial.
    pub code: Option<&'static str>,
    /// The private word of the outcome.
    #[schema(example = "token_valid")]
    pub reason: &'static str,
    /// Why it is denied.
    pub why: Option<String>,
    /// The user whom the product would see.
    #[schema(example = "alice")]
    pub user: Option<String>,
    /// Who is known and may not pass.
    pub refused_user: Option<String>,
    /// The user's groups, if they are known.
    pub groups: Option<Vec<String>>,
    /// The application that was found.
    #[schema(example = "jira")]
    pub application: Option<String>,
    /// The provider that was chosen.
    #[schema(example = "sso")]
    pub provider: Option<String>,
    /// The kind of credential that was read.
    #[schema(example = "jwt")]
    pub credential: &'static str,
    /// What every policy says about the user, whichever of them decided.
    pub policies: Vec<Explained>,
    /// Headers that the product gets.
    pub sets: BTreeMap<String, String>,
    /// Headers that the product does not get.
    pub removes: Vec<String>,
}

/// Whether this header is no place for anything but a secret.
pub fn is_credential(name: &str) -> bool {
    CREDENTIALS.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// By the way that Envoy's own would take.
impl From<Trial> for Check {
    fn from(trial: Trial) -> Self {
        CheckRequest::from(trial).into()
    }
}

impl From<Trial> for CheckRequest {
    /// The message that Envoy would send for this request.
    fn from(trial: Trial) -> Self {
        let mut headers = vec![header(":method", &trial.method)];
        let further = trial.headers.iter();
        headers.extend(further.map(|(name, value)| header(name, value)));
        let authorization = trial.authorization.iter();
        headers.extend(authorization.map(|value| header("authorization", value)));
        let source = trial.source.map(|address| Peer {
            address: Some(Address {
                address: Some(address::Address::SocketAddress(SocketAddress {
                    address: address.to_string(),
                })),
            }),
        });
        let http = HttpRequest {
            method: trial.method,
            path: trial.path,
            host: trial.host,
            header_map: Some(HeaderMap { headers }),
            ..HttpRequest::default()
        };
        let application = trial.application.into_iter();
        let context_extensions: HashMap<String, String> = application
            .map(|name| ("application".to_owned(), name))
            .collect();
        Self {
            attributes: Some(AttributeContext {
                source,
                request: Some(Request { http: Some(http) }),
                context_extensions,
            }),
        }
    }
}

fn header(key: &str, value: &str) -> HeaderValue {
    HeaderValue {
        key: key.to_ascii_lowercase(),
        value: value.to_owned(),
        ..HeaderValue::default()
    }
}

impl Explanation {
    /// What an answer says.
    pub fn of(answer: &Answer) -> Self {
        let trail = &answer.decision.trail;
        let verdict = &answer.decision.verdict;
        let denial = denial(verdict);
        let identity = verdict.as_ref().ok().and_then(Grant::identity);
        let known = identity.or(trail.refused.as_ref());
        let groups = known.and_then(|identity| identity.groups.known());
        Self {
            verdict: if verdict.is_ok() { "allow" } else { "deny" },
            status: verdict
                .as_ref()
                .map_or_else(|denial| denial.status().code(), |_| 200),
            enforcement: trail.enforcement,
            code: denial.map(Denial::code),
            reason: response::reason(&answer.decision.verdict),
            why: denial.map(ToString::to_string),
            user: identity.map(|identity| identity.username.to_string()),
            refused_user: trail.refused.as_ref().map(|one| one.username.to_string()),
            groups: groups.map(<[String]>::to_vec),
            application: trail.application.as_ref().map(|one| one.name.to_string()),
            provider: trail.provider.as_deref().map(str::to_owned),
            credential: trail.credential.as_str(),
            policies: trail.policies.clone(),
            sets: upstream_headers(answer).into_iter().collect(),
            removes: removed_headers(answer),
        }
    }
}

/// Headers that the product gets, in order.
pub fn upstream_headers(answer: &Answer) -> Vec<(String, String)> {
    let headers = read(answer).map(|ok| ok.headers).unwrap_or_default();
    headers
        .into_iter()
        .filter_map(|option| option.header)
        .map(|header| (header.key, header.value))
        .collect()
}

/// Headers that the product does not get.
pub fn removed_headers(answer: &Answer) -> Vec<String> {
    let ok = read(answer);
    ok.map(|ok| ok.headers_to_remove).unwrap_or_default()
}

/// What Envoy would read.
fn read(answer: &Answer) -> Option<OkHttpResponse> {
    let response = CheckResponse::decode(answer.response()).ok()?;
    match response.http_response? {
        HttpResponse::OkResponse(ok) => Some(ok),
        HttpResponse::DeniedResponse(_) => None,
    }
}
