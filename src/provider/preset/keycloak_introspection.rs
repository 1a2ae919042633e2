//! Keycloak, asked about every token: lightweight access tokens, and revocation that is seen at once.
//!
//! Since 26.6.2 Keycloak confirms a token only to a client in its audience. Older versions confirm
//! any token to any client, so the audience is checked here in any case.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    keycloak::{GROUPS, issuer, service_accounts},
    parts::{Wrong, claims, groups, introspection, issuers},
};
use crate::{
    config::schema::{Introspection, Secret, Username},
    outbound::UrlPolicy,
};

/// Keycloak: tokens of one realm, judged by its introspection endpoint.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeycloakIntrospection {
    /// Keycloak's base URL as clients see it.
    #[schemars(example = &"https://sso.example.com")]
    pub url: String,
    /// The realm's name, as in `/realms/NAME`.
    #[schemars(example = &"acme")]
    pub realm: String,
    /// A confidential client that stands for the gateway; also the audience, unless `audiences` says
    /// otherwise.
    #[schemars(example = &"atlassian-gateway")]
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

impl KeycloakIntrospection {
    pub(super) const ABOUT: About = About {
        mode: "introspection",
        binding: "audience",
        username: "username",
    };
}

impl Preset for KeycloakIntrospection {
    fn expand(&self, urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let issuer = issuer(&self.url, &self.realm, urls)?;
        let endpoint = format!("{issuer}/protocol/openid-connect/token/introspect");
        let form = Introspection {
            tokens: issuers(vec![issuer]),
            required_claims: claims([("typ", "Bearer")]),
            machine_if: service_accounts(),
            ..introspection(endpoint, &self.client_id, &self.client_secret)
        };
        let username = Username::from_claim("username");
        Ok(Expansion {
            groups: Some(groups(&GROUPS)),
            audiences: vec![self.client_id.clone()],
            ..Expansion::of(Generic::Introspection(form), Ok(username))
        })
    }
}
