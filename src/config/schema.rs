//! The configuration file as it is written. One doc comment serves the JSON schema, the reference
//! in docs/CONFIGURATION.md and the reader of this file.
//!
//! Durations are text such as `30s`, `5m`, `24h`. Optional members are absent, never null. The
//! examples also serve the messages: `must be text such as 30s`.

mod access;
mod admin;
mod api_tokens;
mod application;
mod generic;
mod http_check;
mod json;
mod listen;
mod tracing;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{provider::preset::Presets, route::Enforcement};

pub use access::*;
pub use admin::*;
pub use api_tokens::*;
pub use application::*;
pub use generic::*;
pub use http_check::*;
pub use json::{json_schema, rule_variables};
pub use listen::*;
pub use tracing::*;

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
    /// Where spans go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
    /// What is done with decisions, for applications that do not say it themselves. `enforce`: they hold.
    /// `report_only`: users who are recognised pass as themselves, and denials are logged and counted while the request
    /// passes without an identity; see what would break before anything does. `off`: nothing is decided, every
    /// request passes without an identity. The client's own identity header is removed in each of them.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// Whose address the client's is.
    #[serde(default)]
    pub client_address: ClientAddress,
    /// The request header that tells the product who the user is.
    #[serde(default = "default_identity_header")]
    pub identity_header: String,
    /// Further request headers that the product would believe; removed from every request. The
    /// usual ones (`remote-user`, `x-forwarded-user`, ...) always are.
    #[serde(default)]
    #[schemars(example = ["x-sso-user"])]
    pub identity_header_aliases: Vec<String>,
    /// Who issues the tokens. At least one.
    pub providers: Vec<Provider>,
    /// Further groups of users: user name → groups. For users whose tokens never tell groups (API tokens, providers
    /// without `groups`) they are all there are. Upper and lower case of a name are the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = BTreeMap::from([("svc-ci", vec!["jira-users"])]))]
    pub group_members: BTreeMap<String, Vec<String>>,
    /// API tokens that this service issues itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_tokens: Option<ApiTokens>,
    /// The admin API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin>,
    /// What stands behind the gateway. At least one.
    pub applications: Vec<Application>,
    /// Where requests to providers may go.
    #[serde(default)]
    pub outbound: Outbound,
    /// Limits of one check, and of the cache of verified identities.
    #[serde(default)]
    pub limits: Limits,
    /// How the service stops.
    #[serde(default)]
    pub shutdown: Shutdown,
}

fn default_identity_header() -> String {
    "x-remote-user".to_owned()
}

/// Whose address the client's is: for networks in access rules and in API tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientAddress {
    /// 0: the other end of Envoy's connection. N: the Nth address from the right in `X-Forwarded-For`, where each proxy
    /// adds the address that it was called from; the client can write everything left of it. An Envoy with
    /// `use_remote_address: true` adds one itself, so behind one load balancer that adds one too it is 2. A request
    /// with fewer addresses comes from nowhere, and no network takes it.
    #[schemars(range(max = 16))]
    pub trusted_hops: u8,
}

/// How the service logs. Other libraries than this service never log below `info`, whatever the level: they
/// would log tokens.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least important line that is logged.
    pub level: LogLevel,
    /// How a line is written.
    pub format: LogFormat,
    /// The share of the lines about allowed checks that are written, chosen by chance; such a line says `sampled`
    /// when it is less than all, so that lines can be counted: each stands for `1 / sampled`. Lines about denials,
    /// enforced or only reported, about checks that could not be decided, and about what is done to API tokens are
    /// always written, and the metrics count everything.
    #[schemars(range(min = 0, max = 1))]
    pub sample_allowed: f64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: LogLevel::default(),
            format: LogFormat::default(),
            sample_allowed: 1.0,
        }
    }
}

/// The least important line that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// Also what may become a failure.
    Warn,
    /// Also one line for each decision.
    #[default]
    Info,
    /// Also details.
    Debug,
    /// As `debug`: there is nothing finer.
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
    /// Lines that a person can read.
    Human,
}

/// Who issues tokens: exactly one of `preset`, `jwt`, `introspection` and `http_check`, and what
/// binds the tokens to you.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// A unique name for logs and metrics: letters, digits, `-`, `_`.
    #[schemars(example = &"sso")]
    pub name: String,
    /// A known product; `config show` prints which of the generic forms it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Presets>,
    /// Signed JWT access tokens, verified here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// Tokens that an introspection endpoint judges (RFC 7662).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection: Option<Introspection>,
    /// Tokens that another HTTP endpoint judges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_check: Option<HttpCheck>,
    /// Values of `aud`, one of which a token must have: the name of your API at the provider.
    /// Required, unless `accept_unbound_tokens` is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["jira-api"])]
    pub audiences: Vec<String>,
    /// Accept tokens that were made for any other application. Dangerous: whoever can get a user
    /// to sign in anywhere at this provider can then act as that user here.
    #[serde(default, skip_serializing_if = "is_false")]
    pub accept_unbound_tokens: bool,
    /// Scopes that every token must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["access_as_user"])]
    pub required_scopes: Vec<String>,
    /// The clients (`client_id`, `azp`, `appid`, `cid`) that may have obtained the token. Absent: any
    /// client that can get a token for the audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<Vec<String>>,
    /// How a token becomes a user name. Required, unless a preset knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = Username::from_claim("preferred_username"))]
    pub username: Option<Username>,
    /// The user's groups and roles, for access rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Groups>,
    /// Claims that rules may read as `identity.claims.NAME`: names, or JSON pointers such as `/org/team`. They are
    /// kept for as long as the identity is remembered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["department"])]
    pub claims: Vec<String>,
    /// Client-credentials tokens, which have no user: client → user name. Others are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = BTreeMap::from([("ci", "svc-ci")]))]
    pub machine_clients: BTreeMap<String, String>,
    /// A PEM file of certificate authorities to trust for this provider, besides the system's. A
    /// relative path is relative to the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"company-ca.pem")]
    pub ca_file: Option<String>,
}

/// How a token becomes a user name. The steps are applied in this order: `claim`, `map`, `regex`,
/// `strip_domain`, `prefix`, `lower_case`, `allow`; a value that a step does not fit is refused.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Username {
    /// The claim: a name, or a JSON pointer such as `/resource/user`. Must be a string; `email`
    /// counts only with `email_verified: true`.
    #[schemars(example = &"preferred_username")]
    pub claim: String,
    /// A YAML or JSON file of exact pairs, value of the claim → user name. A relative path is
    /// relative to the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"users.yaml")]
    pub map: Option<String>,
    /// A regular expression that must match the whole value; its first group is the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"employee-([0-9]+)")]
    pub regex: Option<String>,
    /// Cut `@DOMAIN` off. Values of other domains are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"corp.example.com")]
    pub strip_domain: Option<String>,
    /// Put before the name, so that two providers cannot name the same user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"partner-")]
    pub prefix: Option<String>,
    /// Write the name in lower case, as the products compare it.
    #[serde(default = "yes")]
    pub lower_case: bool,
    /// A regular expression that the whole resulting name must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"[a-z]+\\.[a-z]+")]
    pub allow: Option<String>,
    /// Reserved names (admin, administrator, root, superuser, sysadmin) that this provider may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["admin"])]
    pub allow_reserved: Vec<String>,
    /// Take the name from a claim that its user can change, or that two users can share. Dangerous:
    /// whoever gives themself the name of another user is that user here.
    #[serde(default, skip_serializing_if = "is_false")]
    pub accept_unstable_claim: bool,
    /// Allow `@` and `+` in names: only if the product's authenticator does not split there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_email_characters: bool,
}

impl Username {
    /// The claim's value as it stands.
    pub fn from_claim(claim: &str) -> Self {
        Self {
            claim: claim.to_owned(),
            map: None,
            regex: None,
            strip_domain: None,
            prefix: None,
            lower_case: true,
            allow: None,
            allow_reserved: Vec::new(),
            accept_unstable_claim: false,
            allow_email_characters: false,
        }
    }
}

fn yes() -> bool {
    true
}

/// Where requests to providers may go.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// Allow `http://` and loopback addresses. For demonstrations and tests only.
    pub allow_loopback_http: bool,
}

/// Limits of one check, and of the cache of verified identities.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Longest time for one check, 20ms to 1m; Envoy's own time-out shortens it further.
    #[schemars(example = &"1s")]
    pub check_timeout: String,
    /// How long a verified identity is remembered, at most 5m, and never longer than its
    /// token lasts.
    #[schemars(example = &"5m")]
    pub cache_ttl: String,
    /// How many identities are remembered.
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub cache_entries: u32,
    /// How many bytes they may take.
    #[schemars(range(min = 65_536, max = 1_099_511_627_776_u64))]
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
    /// How long to go on serving while health says `NOT_SERVING`, so that Envoy looks elsewhere; at
    /// most 1h.
    #[schemars(example = &"10s")]
    pub drain_delay: String,
    /// How long checks in flight may take after that, at most 1h.
    #[schemars(example = &"10s")]
    pub drain_timeout: String,
    /// Age at which a connection is asked to reconnect, so that load spreads over new replicas; 1s
    /// to 24h.
    #[schemars(example = &"10m")]
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

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_false(value: &bool) -> bool {
    !value
}
