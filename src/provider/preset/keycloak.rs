//! Keycloak, access tokens verified locally.
//!
//! Default tokens have no audience but `account`: the realm needs an Audience mapper for ours.
//! Keycloak writes the kind of token into the payload (`typ`: Bearer, ID, Refresh, …) and publishes
//! an encryption key beside the signing keys.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Expansion, Preset, present, starts_with};
use crate::{
    config::schema::{Jwt, TypPolicy, Username},
    outbound::UrlPolicy,
    verify::algorithm::Algorithm,
};

/// Keycloak 17 or newer: JWT access tokens of one realm.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keycloak {
    /// Keycloak's base URL as clients see it (before version 17 it ended in `/auth`).
    #[schemars(example = &"https://sso.example.com")]
    pub url: String,
    /// The realm's name, as in `/realms/NAME`.
    #[schemars(example = &"acme")]
    pub realm: String,
}

impl Preset for Keycloak {
    fn expand(&self, urls: UrlPolicy) -> Result<Expansion, (&'static str, String)> {
        let url = urls
            .parse(&self.url)
            .map_err(|error| ("url", error.to_string()))?;
        if url.query().is_some() {
            return Err(("url", "must not have a query".to_owned()));
        }
        let realm_is_a_segment = !self.realm.is_empty()
            && self
                .realm
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if !realm_is_a_segment {
            return Err((
                "realm",
                "must be the realm's name: letters, digits, '-', '.', '_'".to_owned(),
            ));
        }
        let issuer = format!("{}/realms/{}", self.url.trim_end_matches('/'), self.realm);
        Ok(Expansion {
            jwt: Jwt {
                jwks_uri: Some(format!("{issuer}/protocol/openid-connect/certs")),
                issuer: Some(issuer),
                algorithms: vec![
                    Algorithm::RS256,
                    Algorithm::PS256,
                    Algorithm::ES256,
                    Algorithm::EdDSA,
                ],
                // at+jwt only where the client's RFC 9068 switch is on.
                typ: TypPolicy::Legacy,
                required_claims: BTreeMap::from([("typ".to_owned(), "Bearer".to_owned())]),
                machine_if: vec![
                    starts_with("preferred_username", "service-account-"),
                    present("clientHost", true),
                ],
                ..Jwt::default()
            },
            username: Ok(Username::from_claim("preferred_username")),
        })
    }
}
