//! The generic form of a provider that an HTTP request can ask.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::generic::{BoundBy, MachineMarker, Secret, Tokens, leeway, remote_timeout};

/// Tokens that an HTTP request can check: userinfo, tokeninfo, "check a token". The answers are
/// read into claims, and the claims are held against the same rules as those of a JWT.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// One or two requests, in this order; all of them must succeed.
    pub calls: Vec<HttpCall>,
    /// The claims and where each is read from. A claim whose place is absent or null is absent.
    pub claims: BTreeMap<String, ClaimSource>,
    /// Claims that must be there and equal: a claim and the claim that it must be equal to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = BTreeMap::from([("oid", "id")]))]
    pub equal_claims: BTreeMap<String, String>,
    /// Which tokens are shown to this provider.
    #[serde(default)]
    pub tokens: Tokens,
    /// What binds a good token to you.
    #[serde(default)]
    pub bound_by: BoundBy,
    /// Accepted difference between the provider's clock and ours, at most 2m.
    #[serde(default = "leeway")]
    #[schemars(example = &"30s")]
    pub leeway: String,
    /// Claims that must be exactly these strings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = BTreeMap::from([("tenant", "acme")]))]
    pub required_claims: BTreeMap<String, String>,
    /// How a token without a user is recognised; any one suffices. A token whose `sub` is its
    /// client always counts as one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machine_if: Vec<MachineMarker>,
    /// Longest time for each answer, 50ms to 10s.
    #[serde(default = "remote_timeout")]
    #[schemars(example = &"2s")]
    pub timeout: String,
    /// How long an answer is believed, at most 5m: so much later a revoked token is refused.
    #[serde(default = "http_check_ttl")]
    #[schemars(example = &"1m")]
    pub cache_ttl: String,
}

impl Default for HttpCheck {
    fn default() -> Self {
        Self {
            calls: Vec::new(),
            claims: BTreeMap::new(),
            equal_claims: BTreeMap::new(),
            tokens: Tokens::default(),
            bound_by: BoundBy::default(),
            leeway: leeway(),
            required_claims: BTreeMap::new(),
            machine_if: Vec::new(),
            timeout: remote_timeout(),
            cache_ttl: http_check_ttl(),
        }
    }
}

/// One request that checks a token.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// The URL, without the token.
    #[schemars(example = &"https://idp.example.com/userinfo")]
    pub url: String,
    /// Where the token is put.
    #[serde(default)]
    pub token: TokenPlace,
    /// The parameter or member that carries the token; not with `token: bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"access_token")]
    pub token_name: Option<String>,
    /// Further request headers. Never a secret: see `client`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = BTreeMap::from([("accept", "application/json")]))]
    pub headers: BTreeMap<String, String>,
    /// Who we are there, where the endpoint wants to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<HttpClient>,
    /// The answer to a good token.
    #[serde(default)]
    pub success: Expect,
    /// Answers to a bad token, besides status 401. Everything else counts as a failure of the
    /// provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<Expect>,
}

/// Who we are at an endpoint.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpClient {
    /// Our client, application or app ID.
    #[schemars(example = &"gateway")]
    pub id: String,
    /// Our secret.
    pub secret: Secret,
    /// How both are sent.
    #[serde(default)]
    pub sent: ClientPlace,
}

/// How an identifier and a secret are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientPlace {
    /// `Authorization: Basic`.
    #[default]
    Basic,
    /// As the query parameter `access_token=ID|SECRET`, the app access token of Facebook.
    AppAccessToken,
}

/// The method of a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Method {
    /// GET
    #[default]
    #[serde(rename = "GET")]
    Get,
    /// POST
    #[serde(rename = "POST")]
    Post,
}

/// Where a token is put in a request to its provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenPlace {
    /// `Authorization: Bearer`.
    #[default]
    Bearer,
    /// A parameter of a form body.
    Form,
    /// A member of a JSON body.
    Json,
    /// A query parameter, where the provider offers nothing better.
    Query,
}

/// An answer that can be told from others. All conditions must hold.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The HTTP status.
    pub status: u16,
    /// A JSON pointer to the boolean `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"/ok")]
    pub is_true: Option<String>,
    /// A JSON pointer to the boolean `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"/ok")]
    pub is_false: Option<String>,
    /// JSON pointers to strings, or to whole numbers in decimal.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = BTreeMap::from([("/error/code", "190")]))]
    pub equals: BTreeMap<String, String>,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            status: 200,
            is_true: None,
            is_false: None,
            equals: BTreeMap::new(),
        }
    }
}

/// Where a claim is read from.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimSource {
    /// Which document.
    #[serde(default, rename = "in")]
    pub document: ClaimDocument,
    /// A JSON pointer (RFC 6901).
    #[schemars(example = &"/user/id")]
    pub at: String,
    /// What is written there.
    #[serde(default)]
    pub read: ClaimReading,
}

/// A document that claims are read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimDocument {
    /// The answer to the first call.
    #[default]
    First,
    /// The answer to the second call.
    Second,
    /// The payload of the token itself, after every call has succeeded with the very same token.
    /// Its signature is not checked here: believe only what the provider has just confirmed.
    Token,
}

/// How a value becomes a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimReading {
    /// As it is.
    #[default]
    Value,
    /// A whole number, which becomes text.
    Integer,
    /// A date in seconds since 1970, as a number or as text.
    NumericDate,
    /// The same, where 0 stands for never.
    NumericDateOrNever,
    /// A date as in RFC 3339.
    Rfc3339,
    /// Seconds from now.
    Lifetime,
    /// A boolean, or the text `true` or `false`.
    Boolean,
}

fn http_check_ttl() -> String {
    "1m".to_owned()
}
