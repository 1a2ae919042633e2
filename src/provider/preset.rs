//! Presets: a provider's name and the two or three values that only its operator knows, expanded
//! to a generic form. `config show` prints the expansion; nothing is hidden.
//!
//! A new preset is one file in `preset/` and one line below.

mod parts;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::identity::Unstable;
use crate::{
    config::schema::{Groups, HttpCheck, Introspection, Jwt, Username},
    outbound::UrlPolicy,
};

/// How the tokens of a provider are judged.
#[derive(Clone, Debug)]
pub enum Generic {
    /// See [`Jwt`].
    Jwt(Jwt),
    /// See [`Introspection`].
    Introspection(Introspection),
    /// See [`HttpCheck`].
    HttpCheck(HttpCheck),
}

impl Generic {
    /// The name of the form, as in the configuration.
    pub fn mode(&self) -> &'static str {
        match self {
            Self::Jwt(_) => "jwt",
            Self::Introspection(_) => "introspection",
            Self::HttpCheck(_) => "http_check",
        }
    }
}

/// The generic form of a preset, and what belongs to it.
#[derive(Clone, Debug)]
pub struct Expansion {
    /// How its tokens are judged.
    pub generic: Generic,
    /// How its users are named when the operator does not say. The error says why the operator
    /// must, and what to write.
    pub username: Result<Username, &'static str>,
    /// Where its groups are when the operator does not say.
    pub groups: Option<Groups>,
    /// The audiences, where the preset knows them.
    pub audiences: Vec<String>,
    /// The clients, where the preset knows them.
    pub clients: Vec<String>,
    /// Why `clients` must be there besides the binding; `None`: it need not.
    pub clients_required: Option<&'static str>,
    /// Claims that name a user only with `accept_unstable_claim`, besides those that never do.
    pub unstable: &'static [Unstable],
    /// Accepted only with `accept_unbound_tokens`: the reason, for the message.
    pub unbound: Option<&'static str>,
}

impl Expansion {
    /// This form and nothing else.
    pub fn of(generic: Generic, username: Result<Username, &'static str>) -> Self {
        Self {
            generic,
            username,
            groups: None,
            audiences: Vec::new(),
            clients: Vec::new(),
            clients_required: None,
            unstable: &[],
            unbound: None,
        }
    }
}

/// What `provider list` says of a preset.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct About {
    /// `jwt`, `introspection` or `http_check`.
    pub mode: &'static str,
    /// What binds a token to its operator.
    pub binding: &'static str,
    /// The claim that names the user unless the operator says otherwise; `-`: the operator must.
    pub username: &'static str,
}

/// What every preset can do.
pub trait Preset {
    /// Writes the preset out. An error is `(member of the preset, what is wrong with it)`.
    fn expand(&self, urls: UrlPolicy) -> Result<Expansion, (&'static str, String)>;
}

macro_rules! presets {
    ($($(#[$doc:meta])* $name:ident: $type:ident),+ $(,)?) => {
        $(mod $name; pub use $name::$type;)+

        /// Exactly one preset.
        #[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct Presets {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<$type>,)+
        }

        impl Presets {
            /// The names of all presets.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];

            /// What is known of each preset, in the order of [`Self::NAMES`].
            pub const ABOUT: &[About] = &[$($type::ABOUT),+];

            /// The presets that are written down, with their names.
            pub fn chosen(&self) -> Vec<(&'static str, &dyn Preset)> {
                let mut chosen: Vec<(&'static str, &dyn Preset)> = Vec::new();
                $(if let Some(preset) = &self.$name { chosen.push((stringify!($name), preset)); })+
                chosen
            }
        }
    };
}

presets! {
    /// AD FS 2016 or newer: access tokens for your own Web API.
    adfs: Adfs,
    /// Auth0: JWT access tokens for your own API.
    auth0: Auth0,
    /// AWS Cognito: access tokens of one user pool.
    cognito: Cognito,
    /// Microsoft Entra ID: tokens of your own API registration (v1.0 and v2.0).
    entra: Entra,
    /// Microsoft Entra ID: tokens for Microsoft Graph (`User.Read`), one tenant. Prefer `entra`.
    entra_graph: EntraGraph,
    /// Facebook: user tokens of your own app.
    facebook: Facebook,
    /// GitHub: user tokens (`gho_`, `ghu_`) of your own OAuth App or GitHub App.
    github: Github,
    /// GitLab: OAuth tokens of your own applications.
    gitlab: Gitlab,
    /// Google: access tokens of your own OAuth clients.
    google: Google,
    /// Google: ID tokens of your own OAuth clients, by explicit choice.
    google_id_token: GoogleIdToken,
    /// Keycloak 17 or newer: JWT access tokens of one realm.
    keycloak: Keycloak,
    /// Keycloak: tokens of one realm, judged by its introspection endpoint.
    keycloak_introspection: KeycloakIntrospection,
    /// Okta: JWT access tokens of a custom authorization server.
    okta: Okta,
    /// Okta: tokens of the org authorization server, judged by its introspection endpoint.
    okta_org: OktaOrg,
    /// PingFederate: reference tokens of your own clients.
    pingfederate: Pingfederate,
    /// PingOne: JWT access tokens for your own resource.
    pingone: Pingone,
    /// Slack: user tokens (`xoxp-`) of one workspace; needs `accept_unbound_tokens`.
    slack: Slack,
    /// Slack: ID tokens of your own app, by explicit choice.
    slack_id_token: SlackIdToken,
    /// Zitadel: tokens of one project, judged by its introspection endpoint.
    zitadel: Zitadel,
}

#[cfg(test)]
mod tests;
