//! The generic forms of a provider: what every preset expands to, and what an operator writes for a
//! provider that has none.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::verify::algorithm::Algorithm;

/// JWT access tokens, verified locally with the issuer's published keys.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Jwt {
    /// The exact `iss` of the tokens. Its keys are found by OpenID Connect Discovery unless
    /// `jwks_uri` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"https://idp.example.com")]
    pub issuer: Option<String>,
    /// Where the keys of `issuer` are, instead of discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"https://idp.example.com/keys")]
    pub jwks_uri: Option<String>,
    /// Instead of `issuer`: several issuers of one provider, each with its own keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<TrustedIssuer>,
    /// Hosts, besides the issuer's own, that a discovered `jwks_uri` may be on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["keys.example.com"])]
    pub jwks_hosts: Vec<String>,
    /// Accepted signature algorithms.
    pub algorithms: Vec<Algorithm>,
    /// Accepted `typ` in a token's header.
    pub typ: TypPolicy,
    /// Accepted difference between the provider's clock and ours, at most 2m.
    #[schemars(example = &"30s")]
    pub leeway: String,
    /// Longest accepted life of a token, from `iat` to `exp`.
    #[schemars(example = &"24h")]
    pub max_lifetime: String,
    /// How long keys may be used while the provider cannot be reached.
    #[schemars(example = &"24h")]
    pub max_stale: String,
    /// What binds a token to you: `audience` or `client`.
    #[serde(skip_serializing_if = "BoundBy::is_default")]
    pub bound_by: BoundBy,
    /// Claims that must be exactly these strings.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = BTreeMap::from([("tenant", "acme")]))]
    pub required_claims: BTreeMap<String, String>,
    /// How a token without a user (client credentials) is recognised; any one suffices. A token
    /// whose `sub` is its client always counts as one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machine_if: Vec<MachineMarker>,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            issuer: None,
            jwks_uri: None,
            issuers: Vec::new(),
            jwks_hosts: Vec::new(),
            // RFC 8725 §3.2: what nearly every provider signs with.
            algorithms: vec![Algorithm::RS256, Algorithm::ES256],
            typ: TypPolicy::AccessToken,
            leeway: "30s".to_owned(),
            max_lifetime: "24h".to_owned(),
            max_stale: "24h".to_owned(),
            bound_by: BoundBy::default(),
            required_claims: BTreeMap::new(),
            machine_if: Vec::new(),
        }
    }
}

/// One of several issuers of a provider.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedIssuer {
    /// The exact `iss`.
    #[schemars(example = &"https://idp.example.com")]
    pub issuer: String,
    /// Where its keys are. Absent: OpenID Connect Discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"https://idp.example.com/keys")]
    pub jwks_uri: Option<String>,
    /// Claims that its tokens must have, besides those of the provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = BTreeMap::from([("tid", "8eaef023-2b34-4da1-9baa-8bc8c9d6a490")]))]
    pub required_claims: BTreeMap<String, String>,
}

/// Which `typ` the header of an access token has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TypPolicy {
    /// Only `at+jwt` (RFC 9068).
    #[serde(rename = "at+jwt")]
    AccessToken,
    /// Also `JWT`, or none; ID tokens are then recognised by their claims.
    #[serde(rename = "legacy")]
    Legacy,
    /// `JWT`, or none: an ID token (OpenID Connect), which says who signed in at an application. Only
    /// for providers whose access tokens cannot be bound to you.
    #[serde(rename = "id_token")]
    IdToken,
}

/// A mark of tokens without a user: exactly one condition on one claim.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineMarker {
    /// The claim's name.
    #[schemars(example = &"idtyp")]
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

/// Opaque tokens, or JWTs that only their issuer may judge: the introspection endpoint says whose
/// they are (RFC 7662).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// The introspection endpoint.
    #[schemars(example = &"https://sso.example.com/introspect")]
    pub endpoint: String,
    /// Who we are there.
    #[schemars(example = &"gateway")]
    pub client_id: String,
    /// How we prove it.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// Our secret; not with `private_key_jwt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// Our signing key (PKCS #8 PEM); only with `private_key_jwt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<Secret>,
    /// The `kid` of our signing key, if the provider wants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"gateway-2026")]
    pub key_id: Option<String>,
    /// The algorithm of our signing key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = Algorithm::RS256)]
    pub key_algorithm: Option<Algorithm>,
    /// The `aud` of our assertion. Absent: the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"https://sso.example.com")]
    pub assertion_audience: Option<String>,
    /// Which tokens are shown to this provider.
    #[serde(default)]
    pub tokens: Tokens,
    /// What binds an active token to you.
    #[serde(default)]
    pub bound_by: BoundBy,
    /// Accepted difference between the provider's clock and ours, at most 2m.
    #[serde(default = "leeway")]
    #[schemars(example = &"30s")]
    pub leeway: String,
    /// Members of the answer that must be exactly these strings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = BTreeMap::from([("tenant", "acme")]))]
    pub required_claims: BTreeMap<String, String>,
    /// How a token without a user (client credentials) is recognised; any one suffices. A token
    /// whose `sub` is its client always counts as one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machine_if: Vec<MachineMarker>,
    /// Longest time for the provider's answer, 50ms to 10s.
    #[serde(default = "remote_timeout")]
    #[schemars(example = &"2s")]
    pub timeout: String,
    /// How long an answer is believed, at most 5m: so much later a revoked token is refused.
    #[serde(default = "introspection_ttl")]
    #[schemars(example = &"30s")]
    pub cache_ttl: String,
}

impl Default for Introspection {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            client_id: String::new(),
            client_auth: ClientAuth::default(),
            client_secret: None,
            private_key: None,
            key_id: None,
            key_algorithm: None,
            assertion_audience: None,
            tokens: Tokens::default(),
            bound_by: BoundBy::default(),
            leeway: leeway(),
            required_claims: BTreeMap::new(),
            machine_if: Vec::new(),
            timeout: remote_timeout(),
            cache_ttl: introspection_ttl(),
        }
    }
}

/// Which tokens are shown to a provider. A token goes to one provider only, and never to one that
/// does not take it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// Tokens that begin so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["gho_"])]
    pub prefixes: Vec<String>,
    /// JWTs that name one of these as their `iss`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["https://sso.example.com"])]
    pub issuers: Vec<String>,
    /// Tokens that are no JWT and have no known prefix. Absent: yes, if the others are empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque: Option<bool>,
}

/// What binds a token to you.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BoundBy {
    /// Its audience: `audiences` is required.
    #[default]
    Audience,
    /// The client that obtained it: `clients` is required.
    Client,
    /// The endpoint itself, which confirms only tokens that were made for the client that asks:
    /// Keycloak since 26.6.2, Zitadel, Doorkeeper.
    Server,
}

impl BoundBy {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that serde asks for"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// The secret in `Authorization: Basic` (RFC 6749 §2.3.1).
    #[default]
    ClientSecretBasic,
    /// The secret in the form body.
    ClientSecretPost,
    /// A signed assertion (RFC 7523).
    PrivateKeyJwt,
}

/// A secret. It is never written into this file: exactly one of `file` and `env`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// A file that holds it; one line end is dropped. A relative path is relative to the
    /// configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"/run/secrets/gateway")]
    pub file: Option<String>,
    /// An environment variable that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"GATEWAY_SECRET")]
    pub env: Option<String>,
}

/// Groups and roles of a user, for access rules.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// A claim: a name, or a JSON pointer such as `/realm_access/roles`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"groups")]
    pub claim: Option<String>,
    /// Instead of `claim`: several, whose values count together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["/realm_access/roles", "groups"])]
    pub claims: Vec<String>,
    /// How groups are written there.
    #[serde(default)]
    pub format: GroupFormat,
    /// Put before the name of each group, so that two providers cannot name the same group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"partner-")]
    pub prefix: Option<String>,
    /// Claims whose presence says that the token could not hold all groups. A rule about groups
    /// then refuses the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["hasgroups"])]
    pub unknown_if_present: Vec<String>,
}

/// How groups are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupFormat {
    /// A list of strings.
    #[default]
    List,
    /// One string of words.
    Words,
    /// An object, whose members' names are the groups, or a list of such objects.
    Keys,
}

pub(super) fn leeway() -> String {
    "30s".to_owned()
}

pub(super) fn remote_timeout() -> String {
    "2s".to_owned()
}

fn introspection_ttl() -> String {
    "30s".to_owned()
}
