//! The member `access` of an application.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked of those whom a token or an API token names. Each member only takes away: a request passes if
/// all of them let it. Networks: `10.0.0.0/8`, or one address.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Users, as the product would see them. Upper and lower case are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<AllowDeny>,
    /// Groups of users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupAccess>,
    /// Networks that requests may come from; see `client_address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<AllowDeny>,
    /// The only HTTP methods that pass. `GET` stands for `HEAD` too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = ["GET", "POST"])]
    pub methods: Option<Vec<String>>,
    /// Scopes that an access token must have. An API token has limits of its own instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<ScopeAccess>,
    /// Expressions, each with a name that logs and `check` show. The first that refuses is the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// A list of who may, and one of who may not. The second wins.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AllowDeny {
    /// The only ones that pass. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// Those that do not pass.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// Groups, as the provider's `groups` gives them. A user must be in one of the groups of `allow` or `read_only`. Users whose
/// groups are unknown are in none.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupAccess {
    /// Those who are in one of them may read and write. `*` stands for everybody, known groups or not.
    #[schemars(example = ["jira-users"])]
    pub allow: Vec<String>,
    /// Those who are in one of them may only read, whatever other groups they are in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["auditors"])]
    pub read_only: Vec<String>,
}

/// Scopes that an access token must have, all of a list.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScopeAccess {
    /// To read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["jira:read"])]
    pub read: Vec<String>,
    /// To change anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["jira:write"])]
    pub write: Vec<String>,
}

/// A rule in the Common Expression Language, see docs/ACCESS.md: exactly one of `deny` and `require`. One that cannot be
/// evaluated (it reads what is not there, divides by zero) refuses.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A unique name: letters, digits, `-`, `_`.
    #[schemars(example = &"no-admin-from-ci")]
    pub name: String,
    /// Refuses requests for which it is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"identity.username == 'svc-ci' && request.resource.startsWith('/rest/api/user')")]
    pub deny: Option<String>,
    /// Refuses requests for which it is not true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"request.operation == 'read' || identity.client == 'ci'")]
    pub require: Option<String>,
}
