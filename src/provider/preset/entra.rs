//! Microsoft Entra ID, tokens for an API of our own.
//!
//! Which version a token has is the API registration's setting, not the client's; over time both
//! arrive. Each version has its own issuer and its own keys. Several tenants are several pairs of
//! issuers, each with its tenant's keys: nothing is taken from a template that any tenant fills.
//! Microsoft Graph tokens carry a `nonce` in the header and are refused by the general header rules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    parts::{Wrong, base_url, changeable, claims, equals, groups, guid, present},
};
use crate::{
    config::schema::{Groups, Jwt, TrustedIssuer, TypPolicy},
    identity::Unstable,
    outbound::UrlPolicy,
    verify::algorithm::Algorithm,
};

/// Microsoft Entra ID: tokens of your own API registration (v1.0 and v2.0).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entra {
    /// The directory (tenant) ID, a GUID. Names like `common` or `contoso.com` are refused: they
    /// do not bind a token to one tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"8eaef023-2b34-4da1-9baa-8bc8c9d6a490")]
    pub tenant_id: Option<String>,
    /// Instead of `tenant_id`: the tenants whose users you want, of an API registration that
    /// several tenants use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["8eaef023-2b34-4da1-9baa-8bc8c9d6a490"])]
    pub tenants: Vec<String>,
    /// The API registration's application ID, if it signs with keys of its own (a claims mapping
    /// policy makes it so).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"11112222-bbbb-3333-cccc-4444dddd5555")]
    pub app_id: Option<String>,
}

/// Personal Microsoft accounts: anybody in the world can have one.
const CONSUMER_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
const LOGIN: &str = "https://login.microsoftonline.com";

const NO_USERNAME: &str = "Entra has no claim that is at once stable, unique and an Atlassian user name. Write for \
    example { claim: oid, map: users.yaml }, or { claim: preferred_username, strip_domain: corp.example.com } if every \
    user of the tenant is one of yours and no one else can choose that name";

const OID: &str = "oid with a map, or strip_domain";
const UNSTABLE: &[Unstable] = &[
    changeable("preferred_username", OID),
    changeable("upn", OID),
    changeable("unique_name", OID),
    Unstable {
        claim: "email",
        why: "is not verified and can be any address (nOAuth)",
        better: "oid with a map",
        domain_makes_it_stable: false,
    },
];

impl Entra {
    pub(super) const ABOUT: About = About {
        mode: "jwt",
        binding: "audience, tenant",
        username: "-",
    };

    fn tenants(&self) -> Result<Vec<String>, Wrong> {
        match (&self.tenant_id, self.tenants.as_slice()) {
            (Some(tenant), []) => Ok(vec![organisation("tenant_id", tenant)?]),
            (None, tenants @ [_, ..]) => tenants
                .iter()
                .map(|tenant| organisation("tenants", tenant))
                .collect(),
            (None, []) | (Some(_), [_, ..]) => Err((
                "tenant_id",
                "is needed, or 'tenants' with several, but not both".to_owned(),
            )),
        }
    }
}

impl Preset for Entra {
    fn expand(&self, urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let app_id = self.app_id.as_ref();
        let own_keys = app_id.map(|id| guid("app_id", id)).transpose()?;
        let own_keys = own_keys.map_or(String::new(), |id| format!("?appid={id}"));
        let login = base_url("tenant_id", LOGIN, urls)?;
        let mut issuers = Vec::new();
        for tenant in self.tenants()? {
            let keys = format!("{login}/{tenant}/discovery");
            let mut add = |issuer: String, keys: String| {
                issuers.push(TrustedIssuer {
                    issuer,
                    jwks_uri: Some(format!("{keys}{own_keys}")),
                    required_claims: claims([("tid", &tenant)]),
                });
            };
            add(format!("{login}/{tenant}/v2.0"), format!("{keys}/v2.0/keys"));
            // The final slash is part of the v1.0 issuer.
            add(
                format!("https://sts.windows.net/{tenant}/"),
                format!("{keys}/keys"),
            );
        }
        let jwt = Jwt {
            issuers,
            algorithms: vec![Algorithm::RS256],
            typ: TypPolicy::Legacy,
            // An ID token of the same registration has the same issuer and audience, but no
            // `scp`; neither has a client-credentials token. Both then need a mapped client.
            machine_if: vec![equals("idtyp", "app"), present("scp", false)],
            ..Jwt::default()
        };
        Ok(Expansion {
            groups: Some(Groups {
                // More than 200 groups do not fit: the token then says where they are instead.
                unknown_if_present: vec![
                    "/_claim_names/groups".to_owned(),
                    "/_claim_names/roles".to_owned(),
                    "hasgroups".to_owned(),
                ],
                ..groups(&["roles", "groups"])
            }),
            unstable: UNSTABLE,
            ..Expansion::of(Generic::Jwt(jwt), Err(NO_USERNAME))
        })
    }
}

/// A tenant whose users somebody has chosen.
pub(super) fn organisation(member: &'static str, written: &str) -> Result<String, Wrong> {
    let tenant = guid(member, written).map_err(|(member, _)| {
        let why = "must be the tenant's GUID, as 8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
        (member, why.to_owned())
    })?;
    if tenant == CONSUMER_TENANT {
        let why = "is the tenant of personal Microsoft accounts, which anybody can have";
        return Err((member, why.to_owned()));
    }
    Ok(tenant)
}
