//! The section `applications`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Access;
use crate::route::{Enforcement, Product};

/// A product behind the gateway.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// A unique name; Envoy's `context_extensions: { application: NAME }` chooses it.
    #[schemars(example = &"jira")]
    pub name: String,
    /// Which product it is.
    pub product: Product,
    /// Host names by which clients call it; they choose it when Envoy does not. Without port, no
    /// wildcards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["jira-api.example.com"])]
    pub hosts: Vec<String>,
    /// Names of the providers whose tokens it accepts. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = ["sso"])]
    pub providers: Option<Vec<String>>,
    /// Where the product begins, when that is not the root: `server.xml`'s context path.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(example = &"/jira")]
    pub context_path: String,
    /// What is done with decisions about it. Absent: as `enforcement` at the top says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
    /// What happens to requests without a credential: `native` leaves them to the product, so that its pages and
    /// sessions in a browser keep working while callers with tokens move over.
    #[serde(default)]
    pub without_credentials: Foreign,
    /// What happens to requests with a credential of the product: a password (`Basic`), a personal access token, an HTTP
    /// access token of Bitbucket. Whether it is good is for the product to say: Jira and Confluence take a request with
    /// a wrong token for one without.
    #[serde(default)]
    pub foreign_credentials: Foreign,
    /// What happens to a browser's preflight (`OPTIONS` with `Origin` and `Access-Control-Request-Method`, and no
    /// credential): `native` lets the product say which scripts may call it.
    #[serde(default)]
    pub preflight: Foreign,
    /// Connections that may outlive the decision about them: `websocket`, `connect`. Other upgrades never pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["websocket"])]
    pub upgrades: Vec<Upgrade>,
    /// Paths that anybody may look at (GET and HEAD): `/exact`, or `/below/*` for whole segments. `product_default`: the
    /// path by which load balancers ask the product how it is, `/status` below the context path. An empty list opens
    /// nothing.
    #[serde(default)]
    #[schemars(example = &"product_default", example = ["product_default", "/public/*"])]
    pub public_paths: Paths,
    /// Paths that callers with a token cannot reach: `product_default` closes those where the product makes
    /// credentials of its own (personal access tokens, sessions, OAuth, SSH keys), which would outlive the token. In a list,
    /// write it beside further paths; each closes itself and everything below. An empty list closes nothing. With any
    /// of them, a path that two servers could read differently (`..;`, `//`, `%2e`) is refused with 400.
    #[serde(default)]
    #[schemars(example = &"product_default", example = ["product_default", "/rest/admin"])]
    pub denied_paths: Paths,
    /// What else is asked of those whom a token or an API token names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// What those who are denied are told, by the `code` of the denial, instead of our own sentence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = BTreeMap::from([("no_credential", "Get a token at https://tokens.example.com.")]))]
    pub messages: BTreeMap<String, String>,
}

/// A connection that may outlive the decision about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Upgrade {
    /// RFC 6455: Confluence's editor wants it.
    Websocket,
    /// A tunnel to the product in which nothing is checked; needs `denied_paths: []`, and passes no policy that asks for
    /// the path.
    Connect,
}

/// The word in a list of paths that stands for the product's own list.
pub const PRODUCT_DEFAULT: &str = "product_default";

/// One path, or several.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Paths {
    /// One, or the word.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Default for Paths {
    fn default() -> Self {
        Self::One(PRODUCT_DEFAULT.to_owned())
    }
}

impl Paths {
    /// All of them.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(paths) => paths,
        }
    }
}

/// What happens to requests that are the product's own business.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Foreign {
    /// Refused with 401.
    #[default]
    Deny,
    /// Passed on untouched, without an identity: the product decides.
    Native,
}
