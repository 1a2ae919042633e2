//! Google ID tokens, for clients that can present one: they are bound and verified locally.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    google::{NO_USERNAME, unstable},
    parts::{Wrong, claims, host},
};
use crate::{
    config::schema::{Jwt, TrustedIssuer, TypPolicy},
    outbound::UrlPolicy,
    verify::algorithm::Algorithm,
};

/// Google: ID tokens of your own OAuth clients (`audiences`), by explicit choice.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GoogleIdToken {
    /// Only users of this Google Workspace domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"corp.example.com")]
    pub hosted_domain: Option<String>,
}

impl GoogleIdToken {
    pub(super) const ABOUT: About = About {
        mode: "jwt",
        binding: "audience",
        username: "-",
    };
}

impl Preset for GoogleIdToken {
    fn expand(&self, _urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let domain = self.hosted_domain.as_ref();
        let domain = domain.map(|domain| host("hosted_domain", domain)).transpose()?;
        // Google documents both spellings.
        let issuers = ["https://accounts.google.com", "accounts.google.com"];
        let issuers = issuers.map(|issuer| TrustedIssuer {
            issuer: issuer.to_owned(),
            jwks_uri: Some("https://www.googleapis.com/oauth2/v3/certs".to_owned()),
            required_claims: BTreeMap::new(),
        });
        let jwt = Jwt {
            issuers: issuers.to_vec(),
            algorithms: vec![Algorithm::RS256],
            typ: TypPolicy::IdToken,
            required_claims: domain.map_or_else(BTreeMap::new, |domain| claims([("hd", &domain)])),
            ..Jwt::default()
        };
        Ok(Expansion {
            unstable: unstable(self.hosted_domain.as_ref()),
            ..Expansion::of(Generic::Jwt(jwt), Err(NO_USERNAME))
        })
    }
}
