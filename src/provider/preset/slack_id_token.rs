//! Slack ID tokens ("Sign in with Slack"): bound to an app and verified locally.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Wrong, claims, legacy_jwt, segment},
    slack::UNSTABLE,
};
use crate::{
    config::schema::{Jwt, TypPolicy},
    outbound::UrlPolicy,
};

/// Slack: ID tokens of your own app (`audiences`: its client ID), by explicit choice.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackIdToken {
    /// The workspace's ID.
    #[schemars(example = &"T0R7GR123")]
    pub team_id: String,
}

const NO_USERNAME: &str = "Slack's names are for display only. Write { claim: sub, map: users.yaml } with the member \
    IDs of your users, or { claim: email, strip_domain: corp.example.com }";

impl SlackIdToken {
    pub(super) const ABOUT: About = About {
        mode: "jwt",
        binding: "audience, workspace",
        username: "-",
    };
}

impl Preset for SlackIdToken {
    fn expand(&self, _urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let team = segment("team_id", &self.team_id)?;
        let issuer = "https://slack.com".to_owned();
        let keys = format!("{issuer}/openid/connect/keys");
        let jwt = Jwt {
            typ: TypPolicy::IdToken,
            required_claims: claims([("https://slack.com/team_id", &team)]),
            ..legacy_jwt(issuer, keys)
        };
        Ok(Expansion {
            unstable: UNSTABLE,
            ..Expansion::of(Generic::Jwt(jwt), Err(NO_USERNAME))
        })
    }
}
