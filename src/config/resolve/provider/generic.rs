//! The generic form of a provider: as written, or as its preset expands.

use super::{Resolver, Section};
use crate::{
    config::schema,
    outbound::UrlPolicy,
    provider::preset::{Expansion, Presets},
};

/// The generic form and where it stands in the file.
pub(super) struct Generic {
    /// A JSON pointer.
    pub(super) place: String,
    pub(super) jwt: schema::Jwt,
    pub(super) username: Option<schema::Username>,
}

impl Resolver<'_> {
    pub(super) fn generic(&mut self, section: &Section<'_>, urls: UrlPolicy) -> Option<Generic> {
        let Section {
            pointer, written, ..
        } = section;
        match (&written.preset, &written.jwt) {
            (Some(presets), None) => self.preset(section, presets, urls),
            (None, Some(jwt)) => Some(Generic {
                place: format!("{pointer}/jwt"),
                jwt: jwt.clone(),
                username: written.username.clone(),
            }),
            (Some(_), Some(_)) => self.not_one_kind(section, "both 'jwt' and 'preset' are there"),
            (None, None) => self.not_one_kind(section, "neither 'jwt' nor 'preset' is there"),
        }
    }

    fn preset(
        &mut self,
        section: &Section<'_>,
        presets: &Presets,
        urls: UrlPolicy,
    ) -> Option<Generic> {
        let chosen = presets.chosen();
        let [(preset_name, preset)] = chosen.as_slice() else {
            return self.not_one_kind(
                section,
                if chosen.is_empty() {
                    "'preset' names none"
                } else {
                    "'preset' names more than one"
                },
            );
        };
        let Section {
            pointer,
            name,
            written,
        } = section;
        let place = format!("{pointer}/preset/{preset_name}");
        match preset.expand(urls) {
            Ok(Expansion { jwt, username }) => {
                let username = match (&written.username, username) {
                    (Some(username), _) => username.clone(),
                    (None, Ok(username)) => username,
                    (None, Err(why)) => {
                        self.problem(pointer, format!("{name}: 'username' is missing: {why}"));
                        return None;
                    }
                };
                Some(Generic {
                    place,
                    jwt,
                    username: Some(username),
                })
            }
            Err((member, why)) => {
                self.problem(
                    &format!("{place}/{member}"),
                    format!("{name}: '{member}' {why}"),
                );
                None
            }
        }
    }

    fn not_one_kind(&mut self, section: &Section<'_>, what: &str) -> Option<Generic> {
        let known = Presets::NAMES.join(", ");
        self.problem(
            &section.pointer,
            format!(
                "{}: {what}: write 'jwt', or 'preset' with exactly one of {known}",
                section.name
            ),
        );
        None
    }
}
