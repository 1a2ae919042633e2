//! Google access tokens, checked at tokeninfo. They are opaque; every value of the answer is text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Sources, Wrong, claims, get, host, prefixes, present, status},
};
use crate::{
    config::schema::{
        ClaimDocument, ClaimReading, HttpCall, HttpCheck, Method, TokenPlace, Username,
    },
    identity::Unstable,
    outbound::UrlPolicy,
};

/// Google: access tokens of your own OAuth clients (`audiences`).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Google {
    /// Only users of this Google Workspace domain. Needs a second request, to userinfo.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"corp.example.com")]
    pub hosted_domain: Option<String>,
}

pub(super) const NO_USERNAME: &str = "Google knows addresses and numbers only. Write for example \
    { claim: sub, map: users.yaml }, or, with hosted_domain, { claim: email, strip_domain: corp.example.com }";

/// Anybody can have an account with a foreign address; inside of a Workspace domain the domain's
/// administrators give the addresses.
const EMAIL: Unstable = Unstable {
    claim: "email",
    why: "can be any address, also one that the account's owner has lost since",
    better: "sub with a map, or hosted_domain and strip_domain",
    domain_makes_it_stable: false,
};
const OUTSIDE: &[Unstable] = &[EMAIL];
const INSIDE: &[Unstable] = &[Unstable {
    domain_makes_it_stable: true,
    ..EMAIL
}];

/// What is known of addresses, with or without a hosted domain.
pub(super) fn unstable(hosted_domain: Option<&String>) -> &'static [Unstable] {
    if hosted_domain.is_some() { INSIDE } else { OUTSIDE }
}

impl Google {
    pub(super) const ABOUT: About = About {
        mode: "http_check",
        binding: "audience",
        username: "-",
    };
}

impl Preset for Google {
    fn expand(&self, _urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let tokeninfo = HttpCall {
            method: Method::Post,
            token: TokenPlace::Form,
            token_name: Some("access_token".to_owned()),
            invalid: vec![status(400, &[])],
            ..get("https://oauth2.googleapis.com/tokeninfo".to_owned())
        };
        let first = ClaimDocument::First;
        let mut check = HttpCheck {
            calls: vec![tokeninfo],
            tokens: prefixes(&["ya29."]),
            // A service account, or a token without openid, email and profile.
            machine_if: vec![present("sub", false)],
            ..HttpCheck::default()
        };
        let mut sources = Sources::default()
            .members(first, &["aud", "azp", "sub", "scope", "email"])
            .claim("exp", first, "/exp", ClaimReading::NumericDate)
            .claim("email_verified", first, "/email_verified", ClaimReading::Boolean);
        if let Some(domain) = &self.hosted_domain {
            let domain = host("hosted_domain", domain)?;
            let userinfo = "https://openidconnect.googleapis.com/v1/userinfo";
            check.calls.push(get(userinfo.to_owned()));
            sources = sources
                .members(ClaimDocument::Second, &["hd"])
                .claim("userinfo_sub", ClaimDocument::Second, "/sub", ClaimReading::Value);
            check.required_claims = claims([("hd", &domain)]);
            check.equal_claims = claims([("sub", "userinfo_sub")]);
        }
        check.claims = sources.finish();
        let username: Result<Username, _> = Err(NO_USERNAME);
        Ok(Expansion {
            unstable: unstable(self.hosted_domain.as_ref()),
            ..Expansion::of(Generic::HttpCheck(check), username)
        })
    }
}
