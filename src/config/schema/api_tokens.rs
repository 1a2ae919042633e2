//! The section `api_tokens`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// API tokens that this service issues itself. Absent: there are none, and texts that look like one are refused.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiTokens {
    /// Where they are kept: `sqlite:///path/to/tokens.db` for one replica, `postgres://user@host/database` for
    /// several. A URL with a password in it is a secret: write `{ file: ... }` or `{ env: ... }`.
    #[schemars(example = &"sqlite:///var/lib/atlassian-authz/tokens.db")]
    pub store: StoreUrl,
    /// At least 32 random characters, kept outside of the store: without it nobody can make or check a token.
    pub pepper: Secret,
    /// Peppers of the past. Tokens that were made with one are still accepted, and kept with the present one from
    /// then on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_peppers: Vec<Secret>,
    /// Longest life of a token, 1h to 3650d.
    #[serde(default = "max_lifetime")]
    #[schemars(example = &"365d")]
    pub max_lifetime: String,
    /// Most tokens that one user may have at a time.
    #[serde(default = "max_per_user")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_per_user: u32,
    /// Most tokens that one user may make for themself in an hour.
    #[serde(default = "max_created_per_hour")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_created_per_hour: u32,
    /// How long a token that has been replaced still works, unless the caller says otherwise; at most 7d.
    #[serde(default = "rotation_overlap")]
    #[schemars(example = &"24h")]
    pub rotation_overlap: String,
    /// How often the last use of tokens is written to the store, 1s to 1h.
    #[serde(default = "usage_interval")]
    #[schemars(example = &"60s")]
    pub usage_interval: String,
    /// Reserved names (admin, administrator, root, superuser, sysadmin) that may have tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["admin"])]
    pub allow_reserved: Vec<String>,
    /// Allow `@` and `+` in the names of users: only if the product's authenticator does not split there.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub allow_email_characters: bool,
    /// Connect to PostgreSQL over a network without checking that it is the right server. Dangerous: whoever is
    /// in between can answer that any token is good for anybody.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub accept_insecure_store: bool,
}

/// The address of the store.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum StoreUrl {
    /// Without a password.
    Url(String),
    /// With a password, or simply elsewhere.
    Secret(Secret),
}

fn max_lifetime() -> String {
    "365d".to_owned()
}

fn max_per_user() -> u32 {
    20
}

fn max_created_per_hour() -> u32 {
    10
}

fn rotation_overlap() -> String {
    "24h".to_owned()
}

fn usage_interval() -> String {
    "60s".to_owned()
}
