//! Facebook user tokens, checked with `debug_token`, which answers only about tokens of the app that
//! asks. Both secrets travel in the query: no URL is ever logged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Sources, Wrong, claims, get, prefixes, segment, status},
};
use crate::{
    config::schema::{
        BoundBy, ClaimDocument, ClaimReading, ClientPlace, Expect, HttpCall, HttpCheck, HttpClient,
        Secret, TokenPlace,
    },
    outbound::UrlPolicy,
};

/// Facebook: user tokens of your own app.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Facebook {
    /// The app's ID.
    #[schemars(example = &"138483919580948")]
    pub app_id: String,
    /// The app's secret.
    pub app_secret: Secret,
}

const NO_USERNAME: &str = "Facebook has no user names. Write { claim: sub, map: users.yaml } with the app-scoped \
    numbers of your users";
const FOREIGN_APP: &str = "(#100) The App_id in the input_token did not match the Viewing App";

impl Facebook {
    pub(super) const ABOUT: About = About {
        mode: "http_check",
        binding: "client",
        username: "-",
    };
}

impl Preset for Facebook {
    fn expand(&self, _urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let app_id = segment("app_id", &self.app_id)?;
        let is_valid = || Some("/data/is_valid".to_owned());
        let call = HttpCall {
            token: TokenPlace::Query,
            token_name: Some("input_token".to_owned()),
            client: Some(HttpClient {
                id: app_id.clone(),
                secret: self.app_secret.clone(),
                sent: ClientPlace::AppAccessToken,
            }),
            success: Expect {
                is_true: is_valid(),
                ..Expect::default()
            },
            invalid: vec![
                Expect {
                    is_false: is_valid(),
                    ..Expect::default()
                },
                status(400, &[("/error/message", FOREIGN_APP)]),
            ],
            ..get("https://graph.facebook.com/v23.0/debug_token".to_owned())
        };
        let first = ClaimDocument::First;
        let check = HttpCheck {
            calls: vec![call],
            claims: Sources::default()
                .claim("sub", first, "/data/user_id", ClaimReading::Value)
                .claim("client_id", first, "/data/app_id", ClaimReading::Value)
                .claim("type", first, "/data/type", ClaimReading::Value)
                .claim("scope", first, "/data/scopes", ClaimReading::Value)
                .claim("exp", first, "/data/expires_at", ClaimReading::NumericDateOrNever)
                .finish(),
            // An app's or a page's own token has no user.
            required_claims: claims([("type", "USER")]),
            tokens: prefixes(&["EAA"]),
            bound_by: BoundBy::Client,
            ..HttpCheck::default()
        };
        Ok(Expansion {
            clients: vec![app_id],
            ..Expansion::of(Generic::HttpCheck(check), Err(NO_USERNAME))
        })
    }
}
