//! Zitadel. Its introspection endpoint confirms a token only to a client in its audience.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Wrong, base_url, changeable, groups, introspection},
};
use crate::{
    config::schema::{BoundBy, GroupFormat, Groups, Introspection, Secret, Tokens},
    identity::Unstable,
    outbound::UrlPolicy,
};

/// Zitadel: tokens of one project, judged by its introspection endpoint.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Zitadel {
    /// The instance's URL.
    #[schemars(example = &"https://acme.zitadel.cloud")]
    pub url: String,
    /// An application of the type API, which asks.
    #[schemars(example = &"69234237810729234@corp")]
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

const NO_USERNAME: &str = "Zitadel's user names are most often addresses. Write for example \
    { claim: username, strip_domain: corp.example.com }, or { claim: sub, map: users.yaml }";
const UNSTABLE: &[Unstable] = &[
    changeable("username", "sub with a map, or strip_domain"),
    changeable("preferred_username", "sub with a map, or strip_domain"),
];
const ROLES: &str = "urn:zitadel:iam:org:project:roles";

impl Zitadel {
    pub(super) const ABOUT: About = About {
        mode: "introspection",
        binding: "server",
        username: "-",
    };
}

impl Preset for Zitadel {
    fn expand(&self, urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let issuer = base_url("url", &self.url, urls)?;
        let endpoint = format!("{issuer}/oauth/v2/introspect");
        let form = Introspection {
            // Opaque tokens unless the application says so.
            tokens: Tokens {
                issuers: vec![issuer],
                opaque: Some(true),
                ..Tokens::default()
            },
            bound_by: BoundBy::Server,
            ..introspection(endpoint, &self.client_id, &self.client_secret)
        };
        Ok(Expansion {
            groups: Some(Groups {
                format: GroupFormat::Keys,
                ..groups(&[ROLES])
            }),
            unstable: UNSTABLE,
            ..Expansion::of(Generic::Introspection(form), Err(NO_USERNAME))
        })
    }
}
