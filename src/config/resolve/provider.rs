//! The section `providers`.

mod binding;
mod generic;
mod groups;
mod http_check;
mod issuers;
mod remote;
mod username;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::Resolver;
use crate::{
    config::{JudgeConfig, ProviderConfig, document::child, schema},
    holder,
    identity::{Keep, Mapping, Username},
    outbound::{ExtraAuthorities, Outbound, UrlPolicy},
    provider::preset::Generic,
    verify::{
        algorithm::Algorithm,
        claims::{ClaimRules, Expiry, MachineMarker, TypPolicy},
        jwt::JwtVerifier,
    },
};
use generic::Form;

const LONGEST_LEEWAY: Duration = Duration::from_mins(2);
const A_YEAR: Duration = Duration::from_hours(24 * 365);

/// One provider on its way: where it stands, and what it is called in messages.
struct Section<'p> {
    pointer: String,
    name: &'p str,
    written: &'p schema::Provider,
}

/// What every generic form says about claims.
struct WrittenRules<'w> {
    typ: TypPolicy,
    leeway: Duration,
    expiry: Expiry,
    required: &'w BTreeMap<String, String>,
    machine_if: &'w [schema::MachineMarker],
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
            // Rules tell users of our own tokens by this name.
            if section.name == holder::ISSUER {
                let why = format!(
                    "'{}' is the name of our own tokens: use another",
                    section.name
                );
                self.problem(&format!("{}/name", section.pointer), why);
            }
            self.lists(&section);
            self.inputs.begin();
            self.inputs.add(format!("{provider:?}{urls:?}").as_bytes());
            let Some(form) = self.form(&section, urls) else {
                // What stands beside the form is judged all the same.
                self.binding_of_unknown_form(&section);
                resolved.push(None);
                continue;
            };
            resolved.push(self.provider(&section, &form, urls));
            expanded.push(form.written_out(provider));
        }
        (resolved, expanded)
    }

    fn provider(
        &mut self,
        section: &Section<'_>,
        form: &Form,
        urls: UrlPolicy,
    ) -> Option<ProviderConfig> {
        let before = self.problems.len();
        let judge = match &form.generic {
            Generic::Jwt(jwt) => Some(self.jwt(section, form, jwt, urls)),
            Generic::Introspection(written) => self.introspection(section, form, written, urls),
            Generic::HttpCheck(written) => self.http_check(section, form, written, urls),
        };
        let rule = if let Some(username) = &form.username {
            self.username(section, username, form.unstable)
        } else {
            let why = "which claim names the user? Write for example { claim: preferred_username }";
            let message = format!("{}: 'username' is missing: {why}", section.name);
            self.problem(&section.pointer, message);
            None
        };
        let groups = form.groups.as_ref();
        let groups = groups.and_then(|groups| self.groups(section, groups));
        let claims = self.kept_claims(section);
        let machine_clients = self.machine_clients(section);
        let authorities = self.authorities(section, urls);
        if self.problems.len() > before {
            return None;
        }
        Some(ProviderConfig {
            name: section.name.to_owned(),
            judge: judge?,
            mapping: Mapping {
                rule: rule?,
                machine_clients,
            },
            keep: Keep { groups, claims },
            unstable: form.unstable,
            is_unbound: section.written.accept_unbound_tokens,
            required_scopes: section.written.required_scopes.clone(),
            authorities,
            edition: self.inputs.edition(),
        })
    }

    fn jwt(
        &mut self,
        section: &Section<'_>,
        form: &Form,
        jwt: &schema::Jwt,
        urls: UrlPolicy,
    ) -> JudgeConfig {
        let issuers = self.issuers(section, form, jwt, urls);
        let max_lifetime = self.jwt_duration(section, "max_lifetime", &jwt.max_lifetime, A_YEAR);
        let written = WrittenRules {
            typ: match jwt.typ {
                schema::TypPolicy::AccessToken => TypPolicy::AccessToken,
                schema::TypPolicy::Legacy => TypPolicy::Legacy,
                schema::TypPolicy::IdToken => TypPolicy::IdToken,
            },
            leeway: self.jwt_duration(section, "leeway", &jwt.leeway, LONGEST_LEEWAY),
            expiry: Expiry::Required { max_lifetime },
            required: &jwt.required_claims,
            machine_if: &jwt.machine_if,
        };
        JudgeConfig::Jwt {
            verifier: JwtVerifier {
                rules: self.claim_rules(section, form, &written),
                algorithms: self.algorithms(section, form, jwt),
            },
            issuers,
            max_stale: self.jwt_duration(section, "max_stale", &jwt.max_stale, A_YEAR),
        }
    }

    fn claim_rules(
        &mut self,
        section: &Section<'_>,
        form: &Form,
        written: &WrittenRules<'_>,
    ) -> ClaimRules {
        ClaimRules {
            audiences: self.binding(section, form),
            clients: form.clients.clone(),
            typ: written.typ,
            leeway: written.leeway,
            expiry: written.expiry,
            required: written.required.clone(),
            machine_markers: self.machine_markers(section, &form.place, written.machine_if),
        }
    }

    fn algorithms(
        &mut self,
        section: &Section<'_>,
        form: &Form,
        jwt: &schema::Jwt,
    ) -> Vec<Algorithm> {
        if jwt.algorithms.is_empty() {
            self.problem(
                &format!("{}/algorithms", form.place),
                format!(
                    "{}: 'algorithms' is empty: no token could be verified; leave it out for \
                     RS256 and ES256",
                    section.name
                ),
            );
        }
        jwt.algorithms.clone()
    }

    fn machine_markers(
        &mut self,
        section: &Section<'_>,
        place: &str,
        written: &[schema::MachineMarker],
    ) -> Vec<MachineMarker> {
        let mut markers = Vec::new();
        for (at, marker) in written.iter().enumerate() {
            let at = format!("{place}/machine_if/{at}");
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
        let read = self.inputs.file(&self.path(file));
        let read = read.map_err(|error| error.to_string());
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
