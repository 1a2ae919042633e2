//! GitLab, gitlab.com or self-managed. `/oauth/token/info` tells the application that obtained the
//! token, `/oauth/userinfo` the user; both must speak of the same one. Tokens of the client
//! credentials grant have no user, and userinfo refuses them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Sources, Wrong, base_url, claims, get, groups, self_chosen, status},
};
use crate::{
    config::schema::{BoundBy, ClaimDocument, ClaimReading, HttpCall, HttpCheck, Tokens},
    identity::Unstable,
    outbound::UrlPolicy,
};

/// GitLab: OAuth tokens of your own applications (`clients`: their application IDs).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gitlab {
    /// The base URL of a self-managed GitLab. Absent: gitlab.com.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"https://gitlab.corp.example.com")]
    pub url: Option<String>,
}

const NO_USERNAME: &str = "GitLab's user names can be changed by their users. Write { claim: sub, map: users.yaml } \
    with the numbers of your users";
const SUB: &str = "sub (the number of the user) with a map";
const UNSTABLE: &[Unstable] = &[
    self_chosen("nickname", SUB),
    self_chosen("preferred_username", SUB),
];

impl Gitlab {
    pub(super) const ABOUT: About = About {
        mode: "http_check",
        binding: "client",
        username: "-",
    };
}

impl Preset for Gitlab {
    fn expand(&self, urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let url = self.url.as_deref().unwrap_or("https://gitlab.com");
        let url = base_url("url", url, urls)?;
        let token_info = HttpCall {
            // Where Doorkeeper says 401.
            invalid: vec![status(400, &[("/error", "invalid_request")])],
            ..get(format!("{url}/oauth/token/info"))
        };
        let (first, second) = (ClaimDocument::First, ClaimDocument::Second);
        let check = HttpCheck {
            calls: vec![token_info, get(format!("{url}/oauth/userinfo"))],
            claims: Sources::default()
                .claim("client_id", first, "/application/uid", ClaimReading::Value)
                .claim("owner", first, "/resource_owner_id", ClaimReading::Integer)
                .claim("exp", first, "/expires_in", ClaimReading::Lifetime)
                .claim("scope", first, "/scope", ClaimReading::Value)
                .members(
                    second,
                    &["sub", "nickname", "preferred_username", "email", "email_verified", "groups"],
                )
                .finish(),
            equal_claims: claims([("owner", "sub")]),
            tokens: Tokens::default(),
            bound_by: BoundBy::Client,
            ..HttpCheck::default()
        };
        Ok(Expansion {
            groups: Some(groups(&["groups"])),
            unstable: UNSTABLE,
            ..Expansion::of(Generic::HttpCheck(check), Err(NO_USERNAME))
        })
    }
}
