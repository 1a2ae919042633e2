//! The section `applications`.

use std::{collections::HashMap, sync::Arc};

use super::{
    Resolver,
    access::some_tell_groups,
    marks::{Mark, marks},
};
use crate::{
    access::Access,
    api_token::PathPrefix,
    config::{ApplicationConfig, ProviderConfig, schema},
    request::Host,
    route::{DeniedPaths, Messages, NativeTraffic, PublicPath, Upgrades},
    verdict::CODES,
};

impl Resolver<'_> {
    pub(super) fn applications(
        &mut self,
        file: &schema::File,
        providers: &[Option<ProviderConfig>],
    ) -> Vec<ApplicationConfig> {
        let (written, named) = (&file.applications, &file.providers);
        let members = self.group_members(file);
        if written.is_empty() {
            self.problem(
                "/applications",
                "'applications' is empty: every request would be denied",
            );
        }
        let names = written.iter().enumerate();
        let names = names.map(|(at, one)| (format!("/applications/{at}/name"), &*one.name));
        self.unique("application", &names.collect::<Vec<_>>());
        let mut taken = HashMap::new();
        let mut applications = Vec::new();
        for (at, application) in written.iter().enumerate() {
            let pointer = format!("/applications/{at}");
            self.name(&format!("{pointer}/name"), &application.name);
            let (name, wanted) = (&application.name, application.providers.as_deref());
            let chosen = self.chosen_providers(&pointer, name, wanted, named);
            self.one_provider_per_token(&pointer, name, &chosen, providers);
            let is_told = !members.0.is_empty() || some_tell_groups(&chosen, providers);
            self.somebody_has_groups(&pointer, application, is_told);
            applications.push(ApplicationConfig {
                name: application.name.clone(),
                hosts: self.hosts(&pointer, application, &mut taken),
                providers: chosen,
                product: application.product,
                context_path: self.context_path(&pointer, application),
                enforcement: application.enforcement.unwrap_or(file.enforcement),
                native: native(application),
                upgrades: self.upgrades(&pointer, application),
                public_paths: self.public_paths(&pointer, application),
                denied_paths: self.denied_paths(&pointer, application),
                access: Access {
                    members: Arc::clone(&members),
                    ..self.access(&pointer, application)
                },
                messages: self.messages(&pointer, application),
            });
        }
        applications
    }

    /// Positions of the providers that a section called `owner` names; all, if it names none.
    pub(super) fn chosen_providers(
        &mut self,
        pointer: &str,
        owner: &str,
        wanted: Option<&[String]>,
        named: &[schema::Provider],
    ) -> Vec<usize> {
        let Some(wanted) = wanted else {
            return (0..named.len()).collect();
        };
        if wanted.is_empty() {
            self.problem(
                &format!("{pointer}/providers"),
                format!("{owner}: 'providers' is empty: leave it out to accept all of them"),
            );
        }
        let mut chosen = Vec::new();
        for (at, name) in wanted.iter().enumerate() {
            match named.iter().position(|provider| provider.name == *name) {
                Some(position) => chosen.push(position),
                None => self.problem(
                    &format!("{pointer}/providers/{at}"),
                    format!(
                        "{owner}: there is no provider '{name}', only {}",
                        names_of(named)
                    ),
                ),
            }
        }
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// Otherwise a token would have two providers, and we never try two.
    pub(super) fn one_provider_per_token(
        &mut self,
        pointer: &str,
        owner: &str,
        chosen: &[usize],
        providers: &[Option<ProviderConfig>],
    ) {
        let mut owners: Vec<(&str, Mark<'_>)> = Vec::new();
        let chosen = chosen
            .iter()
            .filter_map(|position| providers.get(*position)?.as_ref());
        for (provider, mark) in chosen.flat_map(|provider| {
            let marks = marks(&provider.judge).into_iter();
            marks.map(|mark| (provider.name.as_str(), mark))
        }) {
            let clashes =
                |(first, other): &&(&str, Mark<'_>)| *first != provider && mark.clashes(*other);
            if let Some((first, _)) = owners.iter().find(clashes) {
                self.problem(
                    pointer,
                    format!(
                        "{owner}: the providers '{first}' and '{provider}' {}, so it cannot be told \
                         whose token one is: {}name only one of them in 'providers'",
                        mark.in_words(),
                        mark.remedy(),
                    ),
                );
            }
            owners.push((provider, mark));
        }
    }

    fn hosts(
        &mut self,
        pointer: &str,
        application: &schema::Application,
        taken: &mut HashMap<Host, String>,
    ) -> Vec<Host> {
        let name = &application.name;
        let mut hosts = Vec::new();
        for (at, written) in application.hosts.iter().enumerate() {
            let mut taken_by = |host: &Host| taken.insert(host.clone(), name.clone());
            let why = match Host::parse(written).map(|host| (taken_by(&host), host)) {
                Ok((_, host)) if host.as_str().contains('*') => format!(
                    "'{written}' in 'hosts': there are no wildcards: write every host, or let \
                     Envoy's context_extensions choose the application"
                ),
                Ok((Some(owner), host)) => {
                    format!("the host {host} already belongs to '{owner}'")
                }
                Ok((None, host)) => {
                    hosts.push(host);
                    continue;
                }
                Err(error) => format!(
                    "'{written}' in 'hosts': {error}: write a plain host name such as \
                     jira-api.example.com"
                ),
            };
            self.problem(&format!("{pointer}/hosts/{at}"), format!("{name}: {why}"));
        }
        hosts
    }

    fn denied_paths(&mut self, pointer: &str, application: &schema::Application) -> DeniedPaths {
        let mut product = None;
        let mut own = Vec::new();
        for (at, written) in application.denied_paths.as_slice().iter().enumerate() {
            if written == schema::PRODUCT_DEFAULT {
                product = Some(application.product);
                continue;
            }
            match PathPrefix::parse(written) {
                Ok(path) => own.push(path),
                Err(error) => self.problem(
                    &format!("{pointer}/denied_paths/{at}"),
                    format!(
                        "{}: '{written}' in 'denied_paths': {error}, or the word product_default",
                        application.name
                    ),
                ),
            }
        }
        DeniedPaths::new(product, &own)
    }

    fn context_path(&mut self, pointer: &str, application: &schema::Application) -> String {
        let path = &application.context_path;
        if !path.is_empty() && PathPrefix::parse(path).is_err() {
            let why = format!(
                "{}: 'context_path' must be a plain path that does not end in '/', such as /jira, or left out, \
                 not '{path}'",
                application.name
            );
            self.problem(&format!("{pointer}/context_path"), why);
        }
        path.clone()
    }

    fn public_paths(
        &mut self,
        pointer: &str,
        application: &schema::Application,
    ) -> Vec<PublicPath> {
        let mut paths = Vec::new();
        for (at, rule) in application.public_paths.as_slice().iter().enumerate() {
            if rule == schema::PRODUCT_DEFAULT {
                paths.extend(PublicPath::parse(&format!(
                    "{}/status",
                    application.context_path
                )));
                continue;
            }
            let pointer = format!("{pointer}/public_paths/{at}");
            match PublicPath::parse(rule) {
                Some(_) if rule == "/*" => self.problem(
                    &pointer,
                    format!("{}: '/*' would make the whole application public", application.name),
                ),
                Some(path) => paths.push(path),
                None => self.problem(
                    &pointer,
                    format!(
                        "{}: '{rule}' must be a plain path as '/status', or '/below/*': no '..', '//', \
                         ';', '?', needless escapes or other wildcards; or the word product_default",
                        application.name
                    ),
                ),
            }
        }
        paths
    }

    fn upgrades(&mut self, pointer: &str, application: &schema::Application) -> Upgrades {
        let connect = application.upgrades.contains(&schema::Upgrade::Connect);
        if connect && !application.denied_paths.as_slice().is_empty() {
            let why = format!(
                "{}: 'connect' in 'upgrades' opens a tunnel in which no path is seen, so 'denied_paths' cannot hold: \
                 write denied_paths: [] too, or leave 'connect' out",
                application.name
            );
            self.problem(&format!("{pointer}/upgrades"), why);
        }
        Upgrades {
            websocket: application.upgrades.contains(&schema::Upgrade::Websocket),
            connect,
        }
    }

    fn messages(&mut self, pointer: &str, application: &schema::Application) -> Messages {
        let mut messages = Messages::default();
        for (code, message) in &application.messages {
            let why = if !CODES.contains(&code.as_str()) {
                format!("there is no code '{code}', only {}", CODES.join(", "))
            } else if let Err(error) = messages.insert(code, message) {
                format!("the message for '{code}' {error}")
            } else {
                continue;
            };
            let name = &application.name;
            self.problem(
                &format!("{pointer}/messages/{code}"),
                format!("{name}: 'messages': {why}"),
            );
        }
        messages
    }
}

fn native(application: &schema::Application) -> NativeTraffic {
    let is_native = |setting| setting == schema::Foreign::Native;
    NativeTraffic {
        without_credentials: is_native(application.without_credentials),
        foreign_credentials: is_native(application.foreign_credentials),
        preflight: is_native(application.preflight),
    }
}

fn names_of(providers: &[schema::Provider]) -> String {
    let names = providers.iter().map(|one| format!("'{}'", one.name));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
