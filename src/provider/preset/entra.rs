//! Microsoft Entra ID, tokens for an API of our own, one tenant.
//!
//! Which version a token has is the API registration's setting, not the client's; over time both
//! arrive. Each version has its own issuer and its own keys. Microsoft Graph tokens carry a `nonce`
//! in the header and are refused by the general header rules.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Expansion, Preset, equals, present};
use crate::{
    config::schema::{Jwt, TrustedIssuer, TypPolicy},
    outbound::UrlPolicy,
    verify::algorithm::Algorithm,
};

/// Microsoft Entra ID: tokens of your own API registration (v1.0 and v2.0), one tenant.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entra {
    /// The directory (tenant) ID, a GUID. Names like `common` or `contoso.com` are refused: they
    /// do not bind a token to one tenant.
    #[schemars(example = &"8eaef023-2b34-4da1-9baa-8bc8c9d6a490")]
    pub tenant_id: String,
}

/// Personal Microsoft accounts: anybody in the world can have one.
const CONSUMER_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

const NO_USERNAME: &str = "Entra has no claim that is at once stable, unique and an Atlassian user name. Write for \
    example { claim: oid, map: users.yaml }, or { claim: preferred_username, strip_domain: corp.example.com } if every \
    user of the tenant is one of yours and no one else can choose that name";

impl Preset for Entra {
    fn expand(&self, _urls: UrlPolicy) -> Result<Expansion, (&'static str, String)> {
        let tenant = self.tenant_id.to_ascii_lowercase();
        if !is_guid(&tenant) {
            return Err((
                "tenant_id",
                "must be the tenant's GUID, as 8eaef023-2b34-4da1-9baa-8bc8c9d6a490".to_owned(),
            ));
        }
        if tenant == CONSUMER_TENANT {
            return Err((
                "tenant_id",
                "is the tenant of personal Microsoft accounts, which anybody can have".to_owned(),
            ));
        }
        let login = format!("https://login.microsoftonline.com/{tenant}");
        let issuers = vec![
            TrustedIssuer {
                issuer: format!("{login}/v2.0"),
                jwks_uri: Some(format!("{login}/discovery/v2.0/keys")),
            },
            // The final slash is part of the v1.0 issuer.
            TrustedIssuer {
                issuer: format!("https://sts.windows.net/{tenant}/"),
                jwks_uri: Some(format!("{login}/discovery/keys")),
            },
        ];
        Ok(Expansion {
            jwt: Jwt {
                issuers,
                algorithms: vec![Algorithm::RS256],
                typ: TypPolicy::Legacy,
                required_claims: BTreeMap::from([("tid".to_owned(), tenant)]),
                // An ID token of the same registration has the same issuer and audience, but no
                // `scp`; neither has a client-credentials token. Both then need a mapped client.
                machine_if: vec![equals("idtyp", "app"), present("scp", false)],
                ..Jwt::default()
            },
            username: Err(NO_USERNAME),
        })
    }
}

fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
