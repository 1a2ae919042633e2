//! AWS Cognito user pools. Access tokens have no audience: the client that obtained one binds it,
//! and `token_use` tells it from an ID token of the same pool.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Wrong, claims, groups, legacy_jwt, present},
};
use crate::{
    config::schema::{BoundBy, Jwt, Username},
    outbound::UrlPolicy,
};

/// AWS Cognito: access tokens of one user pool.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cognito {
    /// The user pool's ID, with its region.
    #[schemars(example = &"eu-west-1_aBcDeFgHi")]
    pub user_pool_id: String,
}

impl Cognito {
    pub(super) const ABOUT: About = About {
        mode: "jwt",
        binding: "client",
        username: "username",
    };
}

impl Preset for Cognito {
    fn expand(&self, _urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let pool = &self.user_pool_id;
        let region = region(pool).ok_or_else(|| {
            let why = "must be the ID of a user pool, as eu-west-1_aBcDeFgHi";
            ("user_pool_id", why.to_owned())
        })?;
        // China is a partition of its own.
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let issuer = format!("https://cognito-idp.{region}.{domain}/{pool}");
        let keys = format!("{issuer}/.well-known/jwks.json");
        let jwt = Jwt {
            bound_by: BoundBy::Client,
            required_claims: claims([("token_use", "access")]),
            // Client credentials.
            machine_if: vec![present("username", false)],
            ..legacy_jwt(issuer, keys)
        };
        Ok(Expansion {
            groups: Some(groups(&["cognito:groups"])),
            ..Expansion::of(Generic::Jwt(jwt), Ok(Username::from_claim("username")))
        })
    }
}

/// The region of a user pool: what stands before the underscore.
fn region(pool: &str) -> Option<&str> {
    let (region, id) = pool.split_once('_')?;
    let mut parts = region.split('-');
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let number = parts.next_back()?;
    let is_region = number.len() == 1
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && parts.clone().count() >= 2
        && parts.all(letters);
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_region && is_id).then_some(region)
}
