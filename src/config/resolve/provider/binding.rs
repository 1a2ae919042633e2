//! What binds a token to us. There is no provider without it, unless the operator writes so.

use super::{Resolver, Section, generic::Form};
use crate::{config::schema::BoundBy, provider::preset::Generic, verify::claims::Audiences};

impl Resolver<'_> {
    /// Holds `audiences`, `clients` and `accept_unbound_tokens` against what the form says binds.
    pub(super) fn binding(&mut self, section: &Section<'_>, form: &Form) -> Audiences {
        let written = section.written;
        let bound_by = match &form.generic {
            Generic::Jwt(jwt) => jwt.bound_by,
            Generic::Introspection(introspection) => introspection.bound_by,
            Generic::HttpCheck(check) => check.bound_by,
        };
        if bound_by == BoundBy::Server && matches!(form.generic, Generic::Jwt(_)) {
            self.problem(
                &format!("{}/bound_by", form.place),
                format!(
                    "{}: 'bound_by' must be audience or client: no server is asked about a JWT",
                    section.name
                ),
            );
        }
        let (member, is_there, why) = match bound_by {
            BoundBy::Audience => (
                "audiences",
                !form.audiences.is_empty(),
                "a token for any application would be accepted",
            ),
            BoundBy::Client => (
                "clients",
                form.clients.is_some(),
                "a token that any application has obtained would be accepted",
            ),
            BoundBy::Server => ("bound_by", true, ""),
        };
        self.hold_against(section, (member, is_there, form.unbound.unwrap_or(why)));
        if form.audiences.is_empty() || written.accept_unbound_tokens {
            Audiences::Any
        } else {
            Audiences::OneOf(form.audiences.clone())
        }
    }

    /// When the form itself is wrong: what most forms would ask for.
    pub(super) fn binding_of_unknown_form(&mut self, section: &Section<'_>) {
        let written = section.written;
        if written.clients.is_some() {
            return;
        }
        let is_there = !written.audiences.is_empty();
        let why = "a token for any application would be accepted";
        self.hold_against(section, ("audiences", is_there, why));
    }

    fn hold_against(&mut self, section: &Section<'_>, (member, is_there, why): (&str, bool, &str)) {
        let Section {
            pointer,
            name,
            written,
        } = section;
        match (is_there, written.accept_unbound_tokens) {
            (false, false) => self.problem(
                &format!("{pointer}/{member}"),
                format!("{name}: {member} is missing: {why}"),
            ),
            (true, true) => self.problem(
                &format!("{pointer}/accept_unbound_tokens"),
                format!(
                    "{name}: 'accept_unbound_tokens' contradicts '{member}': remove one of them"
                ),
            ),
            (true, false) | (false, true) => {}
        }
    }

    /// What no token could have is a mistake; an empty string might even be had.
    pub(super) fn lists(&mut self, section: &Section<'_>) {
        let Section {
            pointer,
            name,
            written,
        } = section;
        let clients = written.clients.as_deref();
        if clients.is_some_and(<[String]>::is_empty) {
            self.problem(
                &format!("{pointer}/clients"),
                format!(
                    "{name}: 'clients' is empty: no token would be accepted; leave it out to \
                     accept any client of the audience"
                ),
            );
        }
        for (list, entries) in [
            ("audiences", written.audiences.as_slice()),
            ("clients", clients.unwrap_or_default()),
            ("required_scopes", written.required_scopes.as_slice()),
        ] {
            self.entries(section, list, entries);
        }
    }

    fn entries(&mut self, section: &Section<'_>, list: &str, entries: &[String]) {
        let Section { pointer, name, .. } = section;
        for (at, entry) in entries.iter().enumerate() {
            let at = format!("{pointer}/{list}/{at}");
            if entry.is_empty() {
                self.problem(&at, format!("{name}: an entry of '{list}' is empty"));
            } else if list == "required_scopes" && entry.contains(' ') {
                let why = "is more than one scope: write each as an entry of its own";
                self.problem(&at, format!("{name}: '{entry}' in '{list}' {why}"));
            }
        }
    }
}
