//! The configuration file as it is written. One doc comment serves the JSON schema, the reference
//! in docs/CONFIGURATION.md and the reader of this file.
//!
//! Durations are text such as `30s`, `5m`, `24h`. Optional members are absent, never null.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{provider::preset::Presets, verify::algorithm::Algorithm};

/// The configuration of atlassian-authz.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "atlassian-authz")]
pub struct File {
    /// Where the service listens.
    #[serde(default)]
    pub listen: Listen,
    /// How the service logs.
    #[serde(default)]
    pub log: Log,
    /// The header that tells the product who the user is.
    #[serde(default = "default_identity_header")]
    pub identity_header: String,
    /// Further request headers that the product would believe; removed from every request.
    #[serde(default)]
    pub identity_header_aliases: Vec<String>,
    /// Who issues the tokens. At least one.
    pub providers: Vec<Provider>,
    /// What stands behind the gateway. At least one.
    pub applications: Vec<Application>,
    /// Where requests to providers may go.
    #[serde(default)]
    pub outbound: Outbound,
    /// Limits of one check and of the identity cache.
    #[serde(default)]
    pub limits: Limits,
    /// How the service stops.
    #[serde(default)]
    pub shutdown: Shutdown,
}

fn default_identity_header() -> String {
    "x-remote-user".to_owned()
}

/// Addresses: `host:port`, or for gRPC also `unix:/path`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Envoy's checks, gRPC health and reflection.
    pub grpc: String,
    /// `/metrics`, `/livez`, `/readyz`, `/statusz`. Never expose it to clients.
    pub admin: String,
}

impl Default for Listen {
    fn default() -> Self {
        Self { grpc: "0.0.0.0:9001".to_owned(), admin: "127.0.0.1:9002".to_owned() }
    }
}

/// Logging. Other libraries than this service never log below `info`, whatever the level: they
/// would log tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// What is logged.
    pub level: LogLevel,
    /// How it is written.
    pub format: LogFormat,
}

/// The least important line that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Failures.
    Error,
    /// And what may become one.
    Warn,
    /// And one line for each decision.
    #[default]
    Info,
    /// And details.
    Debug,
    /// And more details.
    Trace,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `human` on a terminal, `json` otherwise.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}

/// A provider: exactly one of `preset` and `jwt`, and what binds its tokens to us.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// A unique name for logs and metrics: letters, digits, `-`, `_`.
    pub name: String,
    /// A known product; `config show` prints what it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Presets>,
    /// The generic form: signed JWT access tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// Values of `aud`, one of which a token must have: the name of your API at the provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// Accept tokens that were made for any other application. Dangerous: whoever can get a user
    /// to sign in anywhere at this provider can then act as that user here.
    #[serde(default, skip_serializing_if = "is_false")]
    pub accept_unbound_tokens: bool,
    /// Scopes that every token must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_scopes: Vec<String>,
    /// The clients (`client_id`, `azp`, `appid`, `cid`) that may have obtained the token. Absent: any
    /// client that can get a token for the audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<Vec<String>>,
    /// How a token becomes a user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Username>,
    /// Client-credentials tokens, which have no user: client → user name. Others are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub machine_clients: BTreeMap<String, String>,
    /// A PEM file of certificate authorities to trust for this provider, besides the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
}

/// JWT access tokens, verified locally with the issuer's published keys.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The exact `iss` of the tokens. Its keys are found by OpenID Connect Discovery unless
    /// `jwks_uri` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Where the issuer's keys are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Instead of `issuer`: several issuers of one provider, each with its own keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<TrustedIssuer>,
    /// Hosts, besides the issuer's own, that a discovered `jwks_uri` may be on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jwks_hosts: Vec<String>,
    /// Accepted signature algorithms. Default: RS256 and ES256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithms: Option<Vec<Algorithm>>,
    /// Accepted header `typ`. Default: `at+jwt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typ: Option<TypPolicy>,
    /// Accepted difference between the provider's clock and ours, at most 120s. Default: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leeway: Option<String>,
    /// Longest accepted life of a token, from `iat` to `exp`. Default: 24h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lifetime: Option<String>,
    /// How long keys may be used while the provider cannot be reached. Default: 24h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_stale: Option<String>,
    /// Claims that must be exactly these strings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub required_claims: BTreeMap<String, String>,
    /// How a token without a user (client credentials) is recognised; any one suffices. A token
    /// whose `sub` is its client always counts as one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machine_if: Vec<MachineMarker>,
}

/// One of several issuers.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedIssuer {
    /// The exact `iss`.
    pub issuer: String,
    /// Where its keys are. Absent: OpenID Connect Discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
}

/// Which header `typ` an access token has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TypPolicy {
    /// `at+jwt` (RFC 9068).
    #[serde(rename = "at+jwt")]
    AccessToken,
    /// Also `JWT`, or none; ID tokens are then recognised by their claims.
    #[serde(rename = "legacy")]
    Legacy,
}

/// A mark of tokens without a user: exactly one condition on one claim.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineMarker {
    /// The claim's name.
    pub claim: String,
    /// The claim is this string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// The claim is a string that begins so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_with: Option<String>,
    /// The claim is there (`true`), or is not (`false`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
}

/// How a token becomes a user name. The steps are applied in the order in which they stand here; a
/// value that a step does not fit is refused.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Username {
    /// The claim: a name, or a JSON pointer such as `/resource/user`. Must be a string; `email`
    /// counts only with `email_verified: true`.
    pub claim: String,
    /// A YAML or JSON file of exact pairs, value of the claim → user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// A regular expression that must match the whole value; its first group is the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Cut `@DOMAIN` off. Values of other domains are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_domain: Option<String>,
    /// Put before the name, so that two providers cannot name the same user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Write the name in lower case, as the products compare it. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower_case: Option<bool>,
    /// A regular expression that the whole resulting name must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
    /// Reserved names (admin, administrator, root, superuser, sysadmin) that this provider may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_reserved: Vec<String>,
    /// Allow `@` and `+` in names: only if the product's authenticator does not split there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_email_characters: bool,
}

impl Username {
    /// The claim's value as it stands.
    pub fn from_claim(claim: &str) -> Self {
        Self { claim: claim.to_owned(), ..Self::default() }
    }
}

/// A product behind the gateway.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// A unique name; Envoy's `context_extensions: { application: NAME }` chooses it.
    pub name: String,
    /// What it is.
    pub product: Product,
    /// Host names that choose it when Envoy does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Names of the providers whose tokens it accepts. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<String>>,
    /// Paths that need no credential: `/exact`, or `/below/*` for whole segments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_paths: Vec<String>,
}

/// The Atlassian Data Center products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Product {
    /// Jira Software, Jira Service Management.
    Jira,
    /// Confluence.
    Confluence,
    /// Bitbucket.
    Bitbucket,
}

/// Where requests to providers may go.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// Allow `http://` and loopback addresses. For demonstrations and tests only.
    pub allow_loopback_http: bool,
}

/// Limits.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Longest time for one check; Envoy's own time-out shortens it further.
    pub check_timeout: String,
    /// How long a verified identity is remembered, at most 5m.
    pub cache_ttl: String,
    /// How many identities are remembered.
    pub cache_entries: u32,
    /// How many bytes they may take.
    pub cache_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            check_timeout: "1s".to_owned(),
            cache_ttl: "5m".to_owned(),
            cache_entries: 100_000,
            cache_bytes: 64 * 1024 * 1024,
        }
    }
}

/// How the service stops on SIGTERM.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// How long to go on serving while health says NOT_SERVING, so that Envoy looks elsewhere.
    pub drain_delay: String,
    /// How long checks in flight may take after that.
    pub drain_timeout: String,
    /// Age at which a connection is asked to reconnect, so that load spreads over new replicas.
    pub max_connection_age: String,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            drain_delay: "10s".to_owned(),
            drain_timeout: "10s".to_owned(),
            max_connection_age: "10m".to_owned(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The JSON schema of [`File`].
pub fn json_schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(File).to_value();
    strip_null(&mut schema);
    schema
}

/// An optional member is absent, never null; the messages are plainer without the alternative.
fn strip_null(schema: &mut serde_json::Value) {
    use serde_json::Value;
    match schema {
        Value::Array(list) => list.iter_mut().for_each(strip_null),
        Value::Object(members) => {
            members.values_mut().for_each(strip_null);
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(options)) = members.get("anyOf")
                && let [Value::Object(one), Value::Object(null)] = options.as_slice()
                && null.get("type").is_some_and(|kind| kind == "null")
            {
                let one = one.clone();
                members.remove("anyOf");
                members.extend(one);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
