//! The section `admin`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The admin API: API tokens, checks that are explained, what a provider says of a token. On the address of
/// `listen.admin`, below `/api/v1/`. Absent: there is none.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Names of the providers whose tokens callers may show. Absent: all. API tokens are never taken: a token
    /// cannot make tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = ["sso"])]
    pub providers: Option<Vec<String>>,
    /// Who the administrators are.
    #[serde(default)]
    pub access: AdminAccess,
    /// Every user of the providers may manage their own API tokens, for the applications that accept their
    /// provider.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub self_service: bool,
}

/// Who the administrators are: whoever is named, and whoever is in one of the groups.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminAccess {
    /// Groups, as the provider's `groups` gives them. A token whose groups are unknown is in none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["authz-admins"])]
    pub groups: Vec<String>,
    /// User names, as the products would see them. Upper and lower case are the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["alice"])]
    pub users: Vec<String>,
}
