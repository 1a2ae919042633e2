//! GitHub, tokens of an OAuth App or of a GitHub App's users, checked with "check a token".
//!
//! The endpoint knows only the tokens of the app that asks: 404 is the answer to all others. That
//! binds them, and is why `/user`, which answers to every token, is not used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Sources, Wrong, base_url, claims, get, prefixes, segment, self_chosen, status},
};
use crate::{
    config::schema::{
        BoundBy, ClaimDocument, ClaimReading, ClientPlace, HttpCall, HttpCheck, HttpClient, Method,
        Secret, TokenPlace,
    },
    identity::Unstable,
    outbound::UrlPolicy,
};

/// GitHub: user tokens (`gho_`, `ghu_`) of your own OAuth App or GitHub App.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Github {
    /// The app's client ID.
    #[schemars(example = &"Iv1.8a61f9b3a7aba766")]
    pub client_id: String,
    /// A client secret of the app.
    pub client_secret: Secret,
    /// The base URL of GitHub Enterprise Server. Absent: github.com.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"https://github.corp.example.com")]
    pub url: Option<String>,
}

const NO_USERNAME: &str = "GitHub's login can be changed, and the old one taken by anybody. Write \
    { claim: sub, map: users.yaml } with the numbers of your users (api.github.com/users/LOGIN shows them)";

const UNSTABLE: &[Unstable] = &[self_chosen("login", "sub (the number of the user) with a map")];

impl Github {
    pub(super) const ABOUT: About = About {
        mode: "http_check",
        binding: "client",
        username: "-",
    };
}

impl Preset for Github {
    fn expand(&self, urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let api = match &self.url {
            None => "https://api.github.com".to_owned(),
            Some(url) => format!("{}/api/v3", base_url("url", url, urls)?),
        };
        let client = segment("client_id", &self.client_id)?;
        let call = HttpCall {
            method: Method::Post,
            token: TokenPlace::Json,
            token_name: Some("access_token".to_owned()),
            headers: claims([
                ("accept", "application/vnd.github+json"),
                ("x-github-api-version", "2022-11-28"),
            ]),
            client: Some(HttpClient {
                id: client.clone(),
                secret: self.client_secret.clone(),
                sent: ClientPlace::Basic,
            }),
            invalid: vec![status(404, &[]), status(422, &[])],
            ..get(format!("{api}/applications/{client}/token"))
        };
        let first = ClaimDocument::First;
        let check = HttpCheck {
            calls: vec![call],
            claims: Sources::default()
                .claim("sub", first, "/user/id", ClaimReading::Integer)
                .claim("login", first, "/user/login", ClaimReading::Value)
                .claim("client_id", first, "/app/client_id", ClaimReading::Value)
                .claim("scope", first, "/scopes", ClaimReading::Value)
                // OAuth App tokens have no end.
                .claim("exp", first, "/expires_at", ClaimReading::Rfc3339)
                .finish(),
            tokens: prefixes(&["gho_", "ghu_"]),
            bound_by: BoundBy::Client,
            ..HttpCheck::default()
        };
        Ok(Expansion {
            clients: vec![client],
            unstable: UNSTABLE,
            ..Expansion::of(Generic::HttpCheck(check), Err(NO_USERNAME))
        })
    }
}
