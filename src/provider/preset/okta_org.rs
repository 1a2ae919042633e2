//! Okta, the org authorization server. Its tokens look like JWTs, but Okta says that only Okta may
//! read them, and their audience is Okta itself: it is asked, and the client binds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    okta::{NO_USERNAME, UNSTABLE},
    parts::{Wrong, host, introspection, issuers, present},
};
use crate::{
    config::schema::{BoundBy, Introspection, Secret},
    outbound::UrlPolicy,
};

/// Okta: tokens of the org authorization server, judged by its introspection endpoint.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OktaOrg {
    /// Your Okta domain.
    #[schemars(example = &"acme.okta.com")]
    pub domain: String,
    /// An application of yours, which asks.
    #[schemars(example = &"0oa1gatewayclient0h7")]
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

impl OktaOrg {
    pub(super) const ABOUT: About = About {
        mode: "introspection",
        binding: "client",
        username: "-",
    };
}

impl Preset for OktaOrg {
    fn expand(&self, _urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let issuer = format!("https://{}", host("domain", &self.domain)?);
        let endpoint = format!("{issuer}/oauth2/v1/introspect");
        let form = Introspection {
            tokens: issuers(vec![issuer]),
            bound_by: BoundBy::Client,
            machine_if: vec![present("uid", false)],
            ..introspection(endpoint, &self.client_id, &self.client_secret)
        };
        Ok(Expansion {
            unstable: UNSTABLE,
            ..Expansion::of(Generic::Introspection(form), Err(NO_USERNAME))
        })
    }
}
