//! Slack user tokens. Slack tells nobody for which app one was made: only the workspace can be
//! checked, and the operator must accept that. ID tokens (`slack_id_token`) are bound.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Sources, Wrong, changeable, claims, get, prefixes, present, segment, self_chosen},
};
use crate::{
    config::schema::{
        ClaimDocument, ClaimReading, Expect, HttpCall, HttpCheck, Method,
    },
    identity::Unstable,
    outbound::UrlPolicy,
};

/// Slack: user tokens (`xoxp-`) of one workspace; needs `accept_unbound_tokens`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// The workspace's ID.
    #[schemars(example = &"T0R7GR123")]
    pub team_id: String,
    /// Which method is called.
    #[serde(default)]
    pub check: SlackCheck,
}

/// Which method of Slack checks a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlackCheck {
    /// `openid.connect.userInfo`: also tells the address; tokens need the scope `openid`.
    #[default]
    UserInfo,
    /// `auth.test`: tokens need no scope.
    AuthTest,
}

const NO_USERNAME: &str = "Slack's names are for display only. Write { claim: sub, map: users.yaml } with the member \
    IDs of your users, or { claim: email, strip_domain: corp.example.com }";
const UNBOUND: &str = "Slack does not say for which app a token was made. Use the preset slack_id_token, or accept \
    the tokens of every app of the workspace with accept_unbound_tokens: true";
/// Refusals of a token; Slack sends failures of its own in the same form.
const REFUSALS: [&str; 5] = [
    "invalid_auth",
    "not_authed",
    "token_revoked",
    "token_expired",
    "account_inactive",
];
pub(super) const UNSTABLE: &[Unstable] = &[
    changeable("email", "sub with a map, or strip_domain"),
    self_chosen("user", "sub with a map"),
];
/// `https://slack.com/team_id` as a JSON pointer.
const TEAM: &str = "/https:~1~1slack.com~1team_id";
const USER: &str = "/https:~1~1slack.com~1user_id";

impl Slack {
    pub(super) const ABOUT: About = About {
        mode: "http_check",
        binding: "none (workspace only)",
        username: "-",
    };
}

impl Preset for Slack {
    fn expand(&self, _urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let team = segment("team_id", &self.team_id)?;
        let first = ClaimDocument::First;
        let (method, sources) = match self.check {
            SlackCheck::UserInfo => (
                "openid.connect.userInfo",
                Sources::default()
                    .claim("team_id", first, TEAM, ClaimReading::Value)
                    .claim("sub", first, USER, ClaimReading::Value)
                    .members(first, &["email", "email_verified", "name"]),
            ),
            SlackCheck::AuthTest => (
                "auth.test",
                Sources::default()
                    .claim("sub", first, "/user_id", ClaimReading::Value)
                    .members(first, &["team_id", "user", "bot_id"]),
            ),
        };
        let refusal = |error: &str| Expect {
            is_false: Some("/ok".to_owned()),
            equals: claims([("/error", error)]),
            ..Expect::default()
        };
        let call = HttpCall {
            method: Method::Post,
            success: Expect {
                is_true: Some("/ok".to_owned()),
                ..Expect::default()
            },
            invalid: REFUSALS.map(refusal).to_vec(),
            ..get(format!("https://slack.com/api/{method}"))
        };
        let check = HttpCheck {
            calls: vec![call],
            claims: sources.finish(),
            tokens: prefixes(&["xoxp-", "xoxe.xoxp-"]),
            required_claims: claims([("team_id", &team)]),
            machine_if: vec![present("bot_id", true)],
            ..HttpCheck::default()
        };
        Ok(Expansion {
            unstable: UNSTABLE,
            unbound: Some(UNBOUND),
            ..Expansion::of(Generic::HttpCheck(check), Err(NO_USERNAME))
        })
    }
}
