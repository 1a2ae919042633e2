//! Presets: a provider's name and the two or three values that only its operator knows, expanded
//! to the generic form. `config show` prints the expansion; nothing is hidden.
//!
//! A new preset is one file in `preset/` and one line below.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::schema::{Jwt, MachineMarker, Username},
    outbound::UrlPolicy,
};

/// The generic form of a preset.
#[derive(Clone, Debug)]
pub struct Expansion {
    /// How its tokens are verified.
    pub jwt: Jwt,
    /// How its users are named when the operator does not say; `None`: the operator must.
    pub username: Result<Username, &'static str>,
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
    /// Microsoft Entra ID: tokens of your own API registration (v1.0 and v2.0), one tenant.
    entra: Entra,
    /// Keycloak 17 or newer: JWT access tokens of one realm.
    keycloak: Keycloak,
}

fn starts_with(claim: &str, prefix: &str) -> MachineMarker {
    MachineMarker {
        claim: claim.to_owned(),
        starts_with: Some(prefix.to_owned()),
        ..MachineMarker::default()
    }
}

fn equals(claim: &str, value: &str) -> MachineMarker {
    MachineMarker {
        claim: claim.to_owned(),
        equals: Some(value.to_owned()),
        ..MachineMarker::default()
    }
}

fn present(claim: &str, present: bool) -> MachineMarker {
    MachineMarker {
        claim: claim.to_owned(),
        present: Some(present),
        ..MachineMarker::default()
    }
}
