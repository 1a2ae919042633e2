//! The variables of rules as types, for a JSON Schema: for editors, and for those who write rules.
//!
//! These types are never filled. A test holds them against what the grammar lets through.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

/// Everything that a rule can read. What is not required may be absent: reading it then makes the rule refuse, and
/// `has()` asks first.
#[derive(JsonSchema)]
#[schemars(title = "Variables of access rules", deny_unknown_fields)]
pub struct Variables {
    /// Who asks.
    pub identity: Identity,
    /// What is asked for. Written by the client.
    pub request: Request,
    /// Where it comes from.
    pub source: Source,
    /// Whom it is for.
    pub application: Application,
}

/// Who asks.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Identity {
    /// The user, as the product sees it.
    pub username: String,
    /// The name of the provider that vouches; `api_token` for an API token.
    pub provider: String,
    /// The user's groups, those of `group_members` among them. Absent when they are unknown.
    pub groups: Option<Vec<String>>,
    /// What an access token may be used for; empty for an API token.
    pub scopes: Vec<String>,
    /// Who obtained the token. Absent when the token does not say.
    pub client: Option<String>,
    /// The kind of the credential: `jwt`, `opaque` or `api_token`.
    pub credential: String,
    /// Claims of the token that the provider's `claims` names, by these names.
    pub claims: BTreeMap<String, Value>,
}

/// What is asked for.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Request {
    /// The HTTP method, as sent.
    pub method: String,
    /// The path, as sent. A rule that reads it is never asked about a path that two servers could read differently.
    pub path: String,
    /// The path without the context path, and without the version of an API. Absent outside of the context path.
    pub resource: Option<String>,
    /// The host, in lower case, without port.
    pub host: String,
    /// What follows the first `?`. Absent when it is empty.
    pub query: Option<String>,
    /// Headers by their names in lower case; several lines are joined with `, `. Those that carry credentials cannot be
    /// read.
    pub headers: BTreeMap<String, String>,
    /// `read` or `write`.
    pub operation: String,
}

/// Where the request comes from.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Source {
    /// The client's address, see `client_address`. Absent when it is not known.
    pub address: Option<String>,
}

/// Whom the request is for.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Application {
    /// Its name in the configuration.
    pub name: String,
    /// `jira`, `confluence` or `bitbucket`.
    pub product: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::access::rule::schema::members;

    fn names(schema: &Value) -> BTreeSet<&str> {
        let properties = schema["properties"].as_object().expect("properties");
        properties.keys().map(String::as_str).collect()
    }

    #[test]
    fn the_schema_names_what_rules_can_read_and_nothing_else() {
        let schema = schemars::schema_for!(Variables).to_value();
        let namespaces = names(&schema);
        assert_eq!(
            namespaces,
            BTreeSet::from(["application", "identity", "request", "source"])
        );
        for namespace in namespaces {
            let reference = schema["properties"][namespace]["$ref"].as_str();
            let name = reference.expect("a reference").rsplit('/').next();
            let definition = &schema["$defs"][name.expect("a name")];
            let known = members(namespace).expect("a namespace");
            assert_eq!(names(definition), known.iter().copied().collect());
        }
    }
}
