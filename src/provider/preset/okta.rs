//! Okta, a custom authorization server: tokens verified locally.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Wrong, changeable, groups, host, legacy_jwt, present, segment},
};
use crate::{config::schema::Jwt, identity::Unstable, outbound::UrlPolicy};

/// Okta: JWT access tokens of a custom authorization server.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Okta {
    /// Your Okta domain, or your custom domain for it.
    #[schemars(example = &"acme.okta.com")]
    pub domain: String,
    /// The authorization server's ID; `default` is one too.
    #[schemars(example = &"aus9o8wzkhckw9TLa0h7")]
    pub authorization_server: String,
}

pub(super) const NO_USERNAME: &str = "Okta's sub is the login, most often an address. Write for example \
    { claim: sub, strip_domain: corp.example.com }, or { claim: uid, map: users.yaml }";

pub(super) const UNSTABLE: &[Unstable] = &[
    changeable("sub", "uid with a map, or strip_domain"),
    changeable("username", "uid with a map, or strip_domain"),
];

impl Okta {
    pub(super) const ABOUT: About = About {
        mode: "jwt",
        binding: "audience",
        username: "-",
    };
}

impl Preset for Okta {
    fn expand(&self, _urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let domain = host("domain", &self.domain)?;
        let server = segment("authorization_server", &self.authorization_server)?;
        let issuer = format!("https://{domain}/oauth2/{server}");
        let keys = format!("{issuer}/v1/keys");
        let jwt = Jwt {
            // Tokens of client credentials have no user ID.
            machine_if: vec![present("uid", false)],
            ..legacy_jwt(issuer, keys)
        };
        let shared = server == "default";
        Ok(Expansion {
            groups: Some(groups(&["groups"])),
            clients_required: shared.then_some(
                "the server 'default' and its audience api://default are shared by every \
                 application of the organisation",
            ),
            unstable: UNSTABLE,
            ..Expansion::of(Generic::Jwt(jwt), Err(NO_USERNAME))
        })
    }
}
