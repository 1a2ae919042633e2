//! Keycloak, access tokens verified locally.
//!
//! Default tokens have no audience but `account`: the realm needs an Audience mapper for ours.
//! Keycloak writes the kind of token into the payload (`typ`: Bearer, ID, Refresh, …) and publishes
//! an encryption key beside the signing keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Wrong, base_url, claims, groups, legacy_jwt, present, segment, starts_with},
};
use crate::{
    config::schema::{Jwt, MachineMarker, Username},
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

/// Realm roles, and what a group mapper adds.
pub(super) const GROUPS: [&str; 2] = ["/realm_access/roles", "groups"];

impl Keycloak {
    pub(super) const ABOUT: About = About {
        mode: "jwt",
        binding: "audience",
        username: "preferred_username",
    };
}

impl Preset for Keycloak {
    fn expand(&self, urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let issuer = issuer(&self.url, &self.realm, urls)?;
        let keys = format!("{issuer}/protocol/openid-connect/certs");
        let jwt = Jwt {
            algorithms: vec![
                Algorithm::RS256,
                Algorithm::PS256,
                Algorithm::ES256,
                Algorithm::EdDSA,
            ],
            // at+jwt only where the client's RFC 9068 switch is on.
            required_claims: claims([("typ", "Bearer")]),
            machine_if: service_accounts(),
            ..legacy_jwt(issuer, keys)
        };
        let username = Username::from_claim("preferred_username");
        Ok(Expansion {
            groups: Some(groups(&GROUPS)),
            ..Expansion::of(Generic::Jwt(jwt), Ok(username))
        })
    }
}

/// The issuer of a realm.
pub(super) fn issuer(url: &str, realm: &str, urls: UrlPolicy) -> Result<String, Wrong> {
    let url = base_url("url", url, urls)?;
    let realm = segment("realm", realm)
        .map_err(|(member, why)| (member, why.replace("must be", "must be the realm's name:")))?;
    Ok(format!("{url}/realms/{realm}"))
}

/// How Keycloak marks the tokens of service accounts.
pub(super) fn service_accounts() -> Vec<MachineMarker> {
    vec![
        starts_with("preferred_username", "service-account-"),
        starts_with("username", "service-account-"),
        present("clientHost", true),
    ]
}
