//! The section `providers`.

mod generic;
mod issuers;
mod username;

use std::{collections::HashMap, fs, time::Duration};

use super::Resolver;
use crate::{
    config::{ProviderConfig, document::child, schema},
    identity::{Mapping, Username},
    outbound::{ExtraAuthorities, Outbound, UrlPolicy},
    verify::{
        algorithm::Algorithm,
        claims::{Audiences, ClaimRules, MachineMarker, TypPolicy},
        jwt::JwtVerifier,
    },
};
use generic::Generic;

const LONGEST_LEEWAY: Duration = Duration::from_mins(2);
const A_YEAR: Duration = Duration::from_hours(24 * 365);

/// One provider on its way: where it stands, and what it is called in messages.
struct Section<'p> {
    pointer: String,
    name: &'p str,
    written: &'p schema::Provider,
}

impl Resolver<'_> {
    /// The providers, `None` where a problem was found, and their generic forms.
    pub(super) fn providers(
        &mut self,
        written: &[schema::Provider],
        urls: UrlPolicy,
    ) -> (Vec<Option<ProviderConfig>>, Vec<schema::Provider>) {
        if written.is_empty() {
            self.problem(
                "/providers",
                "'providers' is empty: no token could be verified",
            );
        }
        let names = written.iter().enumerate();
        let names = names.map(|(at, one)| (format!("/providers/{at}/name"), &*one.name));
        self.unique("provider", &names.collect::<Vec<_>>());
        let mut resolved = Vec::new();
        let mut expanded = Vec::new();
        for (at, provider) in written.iter().enumerate() {
            let section = Section {
                pointer: format!("/providers/{at}"),
                name: &provider.name,
                written: provider,
            };
            self.name(&format!("{}/name", section.pointer), section.name);
            self.lists(&section);
            let Some(generic) = self.generic(&section, urls) else {
                // What stands beside `jwt` and `preset` is judged all the same.
                self.audiences(&section);
                resolved.push(None);
                continue;
            };
            resolved.push(self.provider(&section, &generic, urls));
            expanded.push(schema::Provider {
                preset: None,
                jwt: Some(generic.jwt),
                username: generic.username,
                ..provider.clone()
            });
        }
        (resolved, expanded)
    }

    fn provider(
        &mut self,
        section: &Section<'_>,
        generic: &Generic,
        urls: UrlPolicy,
    ) -> Option<ProviderConfig> {
        let before = self.problems.len();
        let issuers = self.issuers(section, generic, urls);
        let rules = self.claim_rules(section, generic);
        let algorithms = self.algorithms(section, generic);
        let rule = if let Some(username) = &generic.username {
            self.username(section, username)
        } else {
            let why = "which claim names the user? Write for example { claim: preferred_username }";
            let message = format!("{}: 'username' is missing: {why}", section.name);
            self.problem(&section.pointer, message);
            None
        };
        let machine_clients = self.machine_clients(section);
        let authorities = self.authorities(section, urls);
        let max_stale = self.jwt_duration(section, "max_stale", &generic.jwt.max_stale, A_YEAR);
        if self.problems.len() > before {
            return None;
        }
        Some(ProviderConfig {
            name: section.name.to_owned(),
            issuers,
            verifier: JwtVerifier { algorithms, rules },
            mapping: Mapping {
                rule: rule?,
                machine_clients,
            },
            required_scopes: section.written.required_scopes.clone(),
            authorities,
            max_stale,
        })
    }

    fn claim_rules(&mut self, section: &Section<'_>, generic: &Generic) -> ClaimRules {
        let jwt = &generic.jwt;
        ClaimRules {
            audiences: self.audiences(section),
            clients: section.written.clients.clone(),
            typ: match jwt.typ {
                schema::TypPolicy::AccessToken => TypPolicy::AccessToken,
                schema::TypPolicy::Legacy => TypPolicy::Legacy,
            },
            leeway: self.jwt_duration(section, "leeway", &jwt.leeway, LONGEST_LEEWAY),
            max_lifetime: self.jwt_duration(section, "max_lifetime", &jwt.max_lifetime, A_YEAR),
            required: jwt.required_claims.clone(),
            machine_markers: self.machine_markers(section, generic),
        }
    }

    /// A token must be bound to us, or the operator must have written that it need not be.
    fn audiences(&mut self, section: &Section<'_>) -> Audiences {
        let Section {
            pointer,
            name,
            written,
        } = section;
        let audiences = &written.audiences;
        match (audiences.is_empty(), written.accept_unbound_tokens) {
            (true, true) => return Audiences::Unbound,
            (true, false) => self.problem(
                &format!("{pointer}/audiences"),
                format!(
                    "{name}: audiences is missing: a token for any application would be accepted"
                ),
            ),
            (false, true) => self.problem(
                &format!("{pointer}/accept_unbound_tokens"),
                format!(
                    "{name}: 'accept_unbound_tokens' contradicts 'audiences': remove one of them"
                ),
            ),
            (false, false) => {}
        }
        Audiences::OneOf(audiences.clone())
    }

    /// What no token could have is a mistake; an empty string might even be had.
    fn lists(&mut self, section: &Section<'_>) {
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

    fn algorithms(&mut self, section: &Section<'_>, generic: &Generic) -> Vec<Algorithm> {
        if generic.jwt.algorithms.is_empty() {
            self.problem(
                &format!("{}/algorithms", generic.place),
                format!(
                    "{}: 'algorithms' is empty: no token could be verified; leave it out for \
                     RS256 and ES256",
                    section.name
                ),
            );
        }
        generic.jwt.algorithms.clone()
    }

    fn machine_markers(&mut self, section: &Section<'_>, generic: &Generic) -> Vec<MachineMarker> {
        let mut markers = Vec::new();
        for (at, marker) in generic.jwt.machine_if.iter().enumerate() {
            let at = format!("{}/machine_if/{at}", generic.place);
            let claim = marker.claim.clone();
            if claim.is_empty() {
                self.problem(
                    &format!("{at}/claim"),
                    format!("{}: 'claim' is empty", section.name),
                );
            }
            let marker = match (&marker.equals, &marker.starts_with, marker.present) {
                (Some(value), None, None) => MachineMarker::Equals(claim, value.clone()),
                (None, Some(prefix), None) => MachineMarker::StartsWith(claim, prefix.clone()),
                (None, None, Some(true)) => MachineMarker::Present(claim),
                (None, None, Some(false)) => MachineMarker::Absent(claim),
                _ => {
                    let why = "write exactly one of 'equals', 'starts_with', 'present'";
                    self.problem(&at, format!("{}: machine_if: {why}", section.name));
                    continue;
                }
            };
            markers.push(marker);
        }
        markers
    }

    fn jwt_duration(
        &mut self,
        section: &Section<'_>,
        member: &str,
        text: &str,
        longest: Duration,
    ) -> Duration {
        let pointer = format!("{}/jwt/{member}", section.pointer);
        self.duration(&pointer, text, Duration::ZERO..=longest)
    }

    fn machine_clients(&mut self, section: &Section<'_>) -> HashMap<String, Username> {
        let Section {
            pointer,
            name,
            written,
        } = section;
        let policy = self.policy(section, written.username.as_ref());
        let place = format!("{pointer}/machine_clients");
        let mut clients = HashMap::new();
        for (client, user) in &written.machine_clients {
            let at = child(&place, client);
            if client.is_empty() {
                self.problem(
                    &at,
                    format!("{name}: a client of 'machine_clients' is empty"),
                );
            }
            match Username::parse(user, &policy) {
                Ok(username) => drop(clients.insert(client.clone(), username)),
                Err(error) => self.problem(
                    &at,
                    format!("{name}: '{user}' in 'machine_clients': {error}"),
                ),
            }
        }
        clients
    }

    fn authorities(&mut self, section: &Section<'_>, urls: UrlPolicy) -> ExtraAuthorities {
        let Some(file) = &section.written.ca_file else {
            return ExtraAuthorities::default();
        };
        let read = fs::read(self.path(file)).map_err(|error| error.to_string());
        let usable = read.and_then(|pem| {
            let authorities =
                ExtraAuthorities::from_pem(&pem).map_err(|error| error.to_string())?;
            if authorities.is_empty() {
                return Err("holds no certificate in PEM form".to_owned());
            }
            // PEM is only the wrapping: what is in it is read when a client is made.
            Outbound::new(urls, authorities.clone()).map_err(|error| error.to_string())?;
            Ok(authorities)
        });
        usable.unwrap_or_else(|why| {
            self.problem(
                &format!("{}/ca_file", section.pointer),
                format!("{}: 'ca_file' {file}: {why}", section.name),
            );
            ExtraAuthorities::default()
        })
    }
}

#[cfg(test)]
mod tests;
