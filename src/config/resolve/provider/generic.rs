//! The generic form of a provider: as written, or as its preset expands.

use super::{Resolver, Section};
use crate::{
    config::schema,
    outbound::UrlPolicy,
    provider::preset::{Expansion, Generic, Presets, Unstable},
};

/// The generic form, what belongs to it, and where it stands in the file.
pub(super) struct Form {
    /// A JSON pointer.
    pub(super) place: String,
    pub(super) generic: Generic,
    pub(super) username: Option<schema::Username>,
    pub(super) groups: Option<schema::Groups>,
    pub(super) audiences: Vec<String>,
    pub(super) clients: Option<Vec<String>>,
    pub(super) unstable: &'static [Unstable],
    /// Why its tokens cannot be bound, if they cannot.
    pub(super) unbound: Option<&'static str>,
}

impl Form {
    /// The provider as it would be written in the generic form.
    pub(super) fn written_out(self, written: &schema::Provider) -> schema::Provider {
        let mut provider = schema::Provider {
            preset: None,
            username: self.username,
            groups: self.groups,
            audiences: self.audiences,
            clients: self.clients,
            ..written.clone()
        };
        match self.generic {
            Generic::Jwt(jwt) => provider.jwt = Some(jwt),
            Generic::Introspection(introspection) => provider.introspection = Some(introspection),
            Generic::HttpCheck(check) => provider.http_check = Some(check),
        }
        provider
    }
}

/// The operator's, and what the preset knows of tokens that cannot hold all groups: whoever names another claim
/// does not mean that half of the groups are all.
fn groups(
    written: Option<&schema::Groups>,
    known: Option<schema::Groups>,
) -> Option<schema::Groups> {
    let Some(written) = written else {
        return known;
    };
    let mut groups = written.clone();
    if groups.unknown_if_present.is_empty() {
        groups.unknown_if_present = known
            .map(|known| known.unknown_if_present)
            .unwrap_or_default();
    }
    Some(groups)
}

impl Resolver<'_> {
    pub(super) fn form(&mut self, section: &Section<'_>, urls: UrlPolicy) -> Option<Form> {
        let written = section.written;
        let forms: [Option<(&'static str, Generic)>; 3] = [
            written.jwt.clone().map(|jwt| ("jwt", Generic::Jwt(jwt))),
            written
                .introspection
                .clone()
                .map(|one| ("introspection", Generic::Introspection(one))),
            written
                .http_check
                .clone()
                .map(|check| ("http_check", Generic::HttpCheck(check))),
        ];
        let mut forms: Vec<_> = forms.into_iter().flatten().collect();
        match (&written.preset, forms.pop(), forms.is_empty()) {
            (Some(presets), None, _) => self.preset(section, presets, urls),
            (None, Some((member, generic)), true) => Some(Form {
                place: format!("{}/{member}", section.pointer),
                generic,
                username: written.username.clone(),
                groups: written.groups.clone(),
                audiences: written.audiences.clone(),
                clients: written.clients.clone(),
                unstable: &[],
                unbound: None,
            }),
            (None, None, _) => self.not_one_form(section, "none of them is there"),
            (Some(_) | None, Some(_), _) => {
                self.not_one_form(section, "more than one of them is there")
            }
        }
    }

    fn preset(
        &mut self,
        section: &Section<'_>,
        presets: &Presets,
        urls: UrlPolicy,
    ) -> Option<Form> {
        let chosen = presets.chosen();
        let [(preset_name, preset)] = chosen.as_slice() else {
            let what = if chosen.is_empty() {
                "names none"
            } else {
                "names more than one"
            };
            self.problem(
                &format!("{}/preset", section.pointer),
                format!(
                    "{}: 'preset' {what}: write exactly one; 'atlassian-authz provider list' \
                     shows all",
                    section.name
                ),
            );
            return None;
        };
        let place = format!("{}/preset/{preset_name}", section.pointer);
        match preset.expand(urls) {
            Ok(expansion) => self.expanded(section, place, expansion),
            Err((member, why)) => {
                self.problem(
                    &format!("{place}/{member}"),
                    format!("{}: '{member}' {why}", section.name),
                );
                None
            }
        }
    }

    fn expanded(
        &mut self,
        section: &Section<'_>,
        place: String,
        expansion: Expansion,
    ) -> Option<Form> {
        let Section {
            pointer,
            name,
            written,
        } = section;
        let username = match (&written.username, expansion.username) {
            (Some(username), _) => username.clone(),
            (None, Ok(username)) => username,
            (None, Err(why)) => {
                self.problem(pointer, format!("{name}: 'username' is missing: {why}"));
                return None;
            }
        };
        if let (Some(why), None) = (expansion.clients_required, &written.clients) {
            self.problem(
                &format!("{pointer}/clients"),
                format!("{name}: clients is missing: {why}"),
            );
        }
        let audiences = match written.audiences.as_slice() {
            [] => expansion.audiences,
            audiences => audiences.to_vec(),
        };
        let clients = match (&written.clients, expansion.clients) {
            (Some(clients), _) => Some(clients.clone()),
            (None, known) => (!known.is_empty()).then_some(known),
        };
        Some(Form {
            place,
            generic: expansion.generic,
            username: Some(username),
            groups: groups(written.groups.as_ref(), expansion.groups),
            audiences,
            clients,
            unstable: expansion.unstable,
            unbound: expansion.unbound,
        })
    }

    fn not_one_form(&mut self, section: &Section<'_>, what: &str) -> Option<Form> {
        self.problem(
            &section.pointer,
            format!(
                "{}: write exactly one of 'preset', 'jwt', 'introspection' and 'http_check': \
                 {what}",
                section.name
            ),
        );
        None
    }
}
