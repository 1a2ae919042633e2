//! Auth0: access tokens for an API of your own. Tokens without one are opaque or for userinfo only,
//! and are refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Wrong, equals, groups, host, legacy_jwt},
};
use crate::{config::schema::Jwt, outbound::UrlPolicy};

/// Auth0: JWT access tokens for your own API (`audiences`: its identifier).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth0 {
    /// The tenant's domain, or your custom domain if clients ask for tokens there.
    #[schemars(example = &"acme.eu.auth0.com")]
    pub domain: String,
}

const NO_USERNAME: &str = "Auth0's access tokens name a user by sub (connection|number) only. Write \
    { claim: sub, map: users.yaml }, or a claim that an Action adds, as { claim: https://example.com/username }";

impl Auth0 {
    pub(super) const ABOUT: About = About {
        mode: "jwt",
        binding: "audience",
        username: "-",
    };
}

impl Preset for Auth0 {
    fn expand(&self, _urls: UrlPolicy) -> Result<Expansion, Wrong> {
        // The final slash is part of the issuer.
        let issuer = format!("https://{}/", host("domain", &self.domain)?);
        let keys = format!("{issuer}.well-known/jwks.json");
        let jwt = Jwt {
            machine_if: vec![equals("gty", "client-credentials")],
            ..legacy_jwt(issuer, keys)
        };
        Ok(Expansion {
            groups: Some(groups(&["permissions"])),
            ..Expansion::of(Generic::Jwt(jwt), Err(NO_USERNAME))
        })
    }
}
