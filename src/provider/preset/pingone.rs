//! PingOne: access tokens for a custom resource.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Wrong, guid, legacy_jwt},
};
use crate::outbound::UrlPolicy;

/// PingOne: JWT access tokens for your own resource (`audiences`).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pingone {
    /// The environment's ID, a GUID.
    #[schemars(example = &"abcd1234-0000-1111-2222-333344445555")]
    pub environment_id: String,
    /// Where the environment is.
    #[serde(default)]
    pub region: PingoneRegion,
}

/// The regions of PingOne, by their domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PingoneRegion {
    /// North America: pingone.com
    #[default]
    Com,
    /// Europe: pingone.eu
    Eu,
    /// Asia: pingone.asia
    Asia,
    /// Canada: pingone.ca
    Ca,
}

const NO_USERNAME: &str = "PingOne's sub is a number of its own. Write { claim: sub, map: users.yaml }, or map an \
    attribute of the user to the resource and write its name, as { claim: username }";

impl Pingone {
    pub(super) const ABOUT: About = About {
        mode: "jwt",
        binding: "audience",
        username: "-",
    };
}

impl Preset for Pingone {
    fn expand(&self, _urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let environment = guid("environment_id", &self.environment_id)?;
        let region = match self.region {
            PingoneRegion::Com => "com",
            PingoneRegion::Eu => "eu",
            PingoneRegion::Asia => "asia",
            PingoneRegion::Ca => "ca",
        };
        let issuer = format!("https://auth.pingone.{region}/{environment}/as");
        let keys = format!("{issuer}/jwks");
        let jwt = legacy_jwt(issuer, keys);
        Ok(Expansion::of(Generic::Jwt(jwt), Err(NO_USERNAME)))
    }
}
