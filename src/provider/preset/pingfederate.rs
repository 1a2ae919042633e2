//! PingFederate: reference tokens, judged by its introspection endpoint.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Wrong, base_url, introspection},
};
use crate::{
    config::schema::{BoundBy, Introspection, Secret, Username},
    outbound::UrlPolicy,
};

/// PingFederate: reference tokens of your own clients (`clients`).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pingfederate {
    /// The base URL.
    #[schemars(example = &"https://sso.corp.example.com")]
    pub url: String,
    /// A client with the grant type *Access Token Validation*.
    #[schemars(example = &"atlassian-gateway")]
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

impl Pingfederate {
    pub(super) const ABOUT: About = About {
        mode: "introspection",
        binding: "client",
        username: "username",
    };
}

impl Preset for Pingfederate {
    fn expand(&self, urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let endpoint = format!("{}/as/introspect.oauth2", base_url("url", &self.url, urls)?);
        let form = Introspection {
            bound_by: BoundBy::Client,
            ..introspection(endpoint, &self.client_id, &self.client_secret)
        };
        let username = Username::from_claim("username");
        Ok(Expansion::of(Generic::Introspection(form), Ok(username)))
    }
}
