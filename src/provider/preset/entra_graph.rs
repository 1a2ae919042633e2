//! Microsoft Graph tokens (`User.Read`), checked at `/v1.0/me`.
//!
//! Nobody but Microsoft can verify such a token, and `/me` answers to the tokens of every app and of
//! every tenant. So Graph is asked first; when it has confirmed this very string, the payload of the
//! string says for whom it was made, and its `oid` must be the user of whom Graph has told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    About, Expansion, Generic, Preset,
    entra::organisation,
    parts::{Sources, Wrong, base_url, changeable, claims, equals, get, issuers, self_chosen, status},
};
use crate::{
    config::schema::{BoundBy, ClaimDocument, ClaimReading, HttpCall, HttpCheck},
    identity::Unstable,
    outbound::UrlPolicy,
};

/// Microsoft Entra ID: tokens for Microsoft Graph (`User.Read`), one tenant. Prefer `entra`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntraGraph {
    /// The directory (tenant) ID, a GUID.
    #[schemars(example = &"8eaef023-2b34-4da1-9baa-8bc8c9d6a490")]
    pub tenant_id: String,
    /// Where Microsoft Graph is, in a national cloud.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"https://graph.microsoft.us")]
    pub graph_url: Option<String>,
}

/// Microsoft Graph as an audience.
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";
const SELECT: &str = "id,userPrincipalName,onPremisesSamAccountName,mail,mailNickname,displayName,givenName,surname";

const NO_USERNAME: &str = "write for example { claim: onPremisesSamAccountName } if the directory is \
    synchronised, { claim: userPrincipalName, strip_domain: corp.example.com }, or { claim: id, map: users.yaml }";

const ID: &str = "id with a map, or onPremisesSamAccountName";
const UNSTABLE: &[Unstable] = &[
    changeable("userPrincipalName", "id with a map, or strip_domain"),
    self_chosen("givenName", ID),
    self_chosen("surname", ID),
    self_chosen("displayName", ID),
    self_chosen("mail", ID),
    self_chosen("mailNickname", ID),
];

impl EntraGraph {
    pub(super) const ABOUT: About = About {
        mode: "http_check",
        binding: "client, tenant, user",
        username: "-",
    };
}

impl Preset for EntraGraph {
    fn expand(&self, urls: UrlPolicy) -> Result<Expansion, Wrong> {
        let tenant = organisation("tenant_id", &self.tenant_id)?;
        let graph = self.graph_url.as_deref().unwrap_or("https://graph.microsoft.com");
        let graph = base_url("graph_url", graph, urls)?;
        let me = HttpCall {
            invalid: vec![
                // An app-only token: "/me request is only valid with delegated authentication flow".
                status(400, &[("/error/code", "BadRequest")]),
                // Without User.Read.
                status(403, &[("/error/code", "Authorization_RequestDenied")]),
            ],
            ..get(format!("{graph}/v1.0/me?$select={SELECT}"))
        };
        let (answer, token) = (ClaimDocument::First, ClaimDocument::Token);
        let check = HttpCheck {
            calls: vec![me],
            claims: Sources::default()
                .members(answer, &SELECT.split(',').collect::<Vec<_>>())
                .members(token, &["aud", "tid", "oid", "appid", "idtyp", "scp"])
                .claim("exp", token, "/exp", ClaimReading::NumericDate)
                .finish(),
            equal_claims: claims([("oid", "id")]),
            tokens: issuers(vec![
                format!("https://sts.windows.net/{tenant}/"),
                format!("https://login.microsoftonline.com/{tenant}/v2.0"),
            ]),
            bound_by: BoundBy::Client,
            required_claims: claims([("tid", &tenant), ("aud", GRAPH)]),
            machine_if: vec![equals("idtyp", "app")],
            ..HttpCheck::default()
        };
        Ok(Expansion {
            unstable: UNSTABLE,
            ..Expansion::of(Generic::HttpCheck(check), Err(NO_USERNAME))
        })
    }
}
