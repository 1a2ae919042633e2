//! AD FS 2016 and later. Access tokens have another issuer than ID tokens, with `http`: a name that is
//! compared, never an address. Keys are named by `x5t`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Wrong, changeable, groups, host, legacy_jwt},
};
use crate::{identity::Unstable, outbound::UrlPolicy};

/// AD FS 2016 or newer: access tokens for your own Web API (`audiences`: its identifier).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adfs {
    /// The federation service's host.
    #[schemars(example = &"adfs.corp.example.com")]
    pub host: String,
}

const NO_USERNAME: &str = "AD FS puts into a token what claim rules issue. Write { claim: winaccountname }, or \
    { claim: upn, strip_domain: corp.example.com }, and issue that claim to the Web API";
const UNSTABLE: &[Unstable] = &[
    changeable("upn", "winaccountname, or strip_domain"),
    changeable("unique_name", "winaccountname, or strip_domain"),
];

impl Adfs {
    pub(super) const ABOUT: About = About {
        mode: "jwt",
        binding: "audience",
        username: "-",
    };
}

impl Preset for Adfs {
    fn expand(&self, _urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let host = host("host", &self.host)?;
        let issuer = format!("http://{host}/adfs/services/trust");
        let jwt = legacy_jwt(issuer, format!("https://{host}/adfs/discovery/keys"));
        Ok(Expansion {
            groups: Some(groups(&["group", "role"])),
            unstable: UNSTABLE,
            ..Expansion::of(Generic::Jwt(jwt), Err(NO_USERNAME))
        })
    }
}
