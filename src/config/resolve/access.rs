//! The member `access` of an application.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ipnet::IpNet;

use super::Resolver;
use crate::{
    access::{
        Access, AllowDeny, GroupAccess, GroupMembers, Rule, ScopeAccess, network, rule::Effect,
    },
    config::{ProviderConfig, schema},
};

/// In `groups.allow`.
const EVERYBODY: &str = "*";
/// Rules of one application. Each costs about a microsecond on every request.
const MOST_RULES: usize = 200;

impl Resolver<'_> {
    /// Refuses a section that lets nobody pass, because nobody's groups are told: whoever wrote it thinks otherwise.
    pub(super) fn somebody_has_groups(
        &mut self,
        pointer: &str,
        application: &schema::Application,
        is_told: bool,
    ) {
        let access = application.access.as_ref();
        let groups = access.and_then(|access| access.groups.as_ref());
        let asks =
            groups.is_some_and(|groups| !groups.allow.iter().any(|group| group == EVERYBODY));
        if asks && !is_told {
            self.problem(
                &format!("{pointer}/access/groups"),
                format!(
                    "{}: access.groups lets nobody pass: none of the providers has 'groups', and there are no \
                     'group_members'",
                    application.name
                ),
            );
        }
    }

    /// Groups of users besides those that their tokens name.
    pub(super) fn group_members(&mut self, file: &schema::File) -> Arc<GroupMembers> {
        let mut members = BTreeMap::new();
        for (user, groups) in &file.group_members {
            let pointer = format!("/group_members/{user}");
            if groups.iter().any(String::is_empty) {
                self.problem(
                    &pointer,
                    format!("group_members: a group of '{user}' has no name"),
                );
            }
            if members
                .insert(user.to_ascii_lowercase(), groups.clone())
                .is_some()
            {
                let why = "is there twice: upper and lower case are the same";
                self.problem(&pointer, format!("group_members: '{user}' {why}"));
            }
        }
        Arc::new(GroupMembers(members))
    }

    pub(super) fn access(&mut self, pointer: &str, application: &schema::Application) -> Access {
        let Some(written) = &application.access else {
            return Access::default();
        };
        let mut section = AccessSection {
            pointer: format!("{pointer}/access"),
            name: &application.name,
            resolver: self,
        };
        Access {
            users: written.users.as_ref().map(|users| section.users(users)),
            groups: written.groups.as_ref().map(|groups| section.groups(groups)),
            networks: written
                .networks
                .as_ref()
                .map(|networks| section.networks(networks)),
            methods: written
                .methods
                .as_ref()
                .map(|methods| section.methods(methods)),
            scopes: written.scopes.as_ref().map(|scopes| ScopeAccess {
                read: scopes.read.clone(),
                write: scopes.write.clone(),
            }),
            members: Arc::default(),
            rules: section.rules(&written.rules),
        }
    }
}

/// Whether one of the chosen providers tells its users' groups. One that has problems of its own may.
pub(super) fn some_tell_groups(chosen: &[usize], providers: &[Option<ProviderConfig>]) -> bool {
    let mut chosen = chosen.iter().map(|position| providers.get(*position));
    chosen.any(|provider| match provider {
        Some(Some(provider)) => provider.keep.groups.is_some(),
        Some(None) | None => true,
    })
}

/// The section, and where its problems go.
struct AccessSection<'s, 'd> {
    pointer: String,
    name: &'s str,
    resolver: &'s mut Resolver<'d>,
}

impl AccessSection<'_, '_> {
    fn problem(&mut self, place: &str, message: impl AsRef<str>) {
        let (pointer, message) = (format!("{}/{place}", self.pointer), message.as_ref());
        let member = place.split('/').next().unwrap_or(place);
        self.resolver.problem(
            &pointer,
            format!("{}: access.{member}: {message}", self.name),
        );
    }

    /// Names that are not empty; an empty one would never match, and whoever wrote it thinks otherwise.
    fn names(&mut self, place: &str, names: &[String]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (at, name) in names.iter().enumerate() {
            if name.is_empty() {
                self.problem(&format!("{place}/{at}"), "a name is empty");
            }
            found.insert(name.clone());
        }
        found
    }

    fn users(&mut self, written: &schema::AllowDeny) -> AllowDeny<BTreeSet<String>> {
        let mut lower = |place: &str, names: &[String]| {
            let names = self.names(place, names).into_iter();
            names.map(|name| name.to_ascii_lowercase()).collect()
        };
        AllowDeny {
            allow: written
                .allow
                .as_ref()
                .map(|names| lower("users/allow", names)),
            deny: lower("users/deny", &written.deny),
        }
    }

    fn groups(&mut self, written: &schema::GroupAccess) -> GroupAccess {
        let allow = self.names("groups/allow", &written.allow);
        if allow.is_empty() && written.read_only.is_empty() {
            self.problem(
                "groups/allow",
                "nobody is in no group: name one, or write ['*'] for everybody",
            );
        }
        let read_only = self.names("groups/read_only", &written.read_only);
        // It would match nobody, and whoever wrote it means everybody: a wrong allow.
        if read_only.contains(EVERYBODY) {
            self.problem(
                "groups/read_only",
                "'*' is no group: let everybody only read with methods: [GET], or with a rule",
            );
        }
        GroupAccess {
            allow: (!allow.contains(EVERYBODY)).then_some(allow),
            read_only,
        }
    }

    fn networks(&mut self, written: &schema::AllowDeny) -> AllowDeny<Vec<IpNet>> {
        let allow = written.allow.as_ref();
        AllowDeny {
            allow: allow.map(|networks| self.network_list("networks/allow", networks)),
            deny: self.network_list("networks/deny", &written.deny),
        }
    }

    fn network_list(&mut self, place: &str, written: &[String]) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for (at, text) in written.iter().enumerate() {
            match network(text) {
                Ok(network) => networks.push(network),
                Err(error) => {
                    self.problem(&format!("{place}/{at}"), format!("'{text}': {error}"));
                }
            }
        }
        networks
    }

    fn methods(&mut self, written: &[String]) -> BTreeSet<String> {
        for (at, method) in written.iter().enumerate() {
            let plain = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
            let why = match method.as_str() {
                "HEAD" => "HEAD passes where GET does: write GET".to_owned(),
                _ if plain => continue,
                _ => {
                    format!("'{method}' is no method: they are written in capital letters, as GET")
                }
            };
            self.problem(&format!("methods/{at}"), why);
        }
        written.iter().cloned().collect()
    }

    fn rules(&mut self, written: &[schema::Rule]) -> Vec<Rule> {
        if written.len() > MOST_RULES {
            self.problem(
                "rules",
                format!("there are more than {MOST_RULES}: each costs time on every request"),
            );
        }
        let pointer = self.pointer.clone();
        let names = written.iter().enumerate();
        let names = names.map(|(at, rule)| (format!("{pointer}/rules/{at}/name"), &*rule.name));
        self.resolver.unique("rule", &names.collect::<Vec<_>>());
        let rules = written.iter().enumerate();
        rules.filter_map(|(at, rule)| self.rule(at, rule)).collect()
    }

    fn rule(&mut self, at: usize, written: &schema::Rule) -> Option<Rule> {
        self.resolver
            .name(&format!("{}/rules/{at}/name", self.pointer), &written.name);
        let (member, effect, expression) = match (&written.deny, &written.require) {
            (Some(expression), None) => ("deny", Effect::Deny, expression),
            (None, Some(expression)) => ("require", Effect::Require, expression),
            (None, None) | (Some(_), Some(_)) => {
                let why = format!(
                    "'{}' needs exactly one of 'deny' and 'require'",
                    written.name
                );
                self.problem(&format!("rules/{at}"), why);
                return None;
            }
        };
        match Rule::compile(&written.name, effect, expression) {
            Ok(rule) => Some(rule),
            Err(error) => {
                self.problem(&format!("rules/{at}/{member}"), error.to_string());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
