//! The member `username` of a provider.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
};

use super::{Resolver, Section};
use crate::{
    config::schema,
    identity::{Username, UsernamePolicy, UsernameRule, anchored},
    verify::claims::ClaimPath,
};

impl Resolver<'_> {
    pub(super) fn username(
        &mut self,
        section: &Section<'_>,
        written: &schema::Username,
    ) -> Option<UsernameRule> {
        let pointer = format!("{}/username", section.pointer);
        let name = section.name;
        let claim = ClaimPath::parse(&written.claim);
        if claim.is_none() {
            self.problem(&format!("{pointer}/claim"), format!("{name}: 'claim' is empty"));
        }
        let policy = self.policy(section, Some(written));
        let regex = written.regex.as_ref().and_then(|regex| {
            let at = format!("{pointer}/regex");
            let compiled = self.compiled(&at, name, regex)?;
            // Group 0 is the whole match; the name is group 1.
            if compiled.captures_len() < 2 {
                self.problem(&at, format!("{name}: 'regex' has no group: put the name in (parentheses)"));
                return None;
            }
            Some(compiled)
        });
        let map = written.map.as_ref().and_then(|file| self.map(section, file, &policy));
        if written.map.is_some() && map.is_none() {
            return None;
        }
        Some(UsernameRule {
            claim: claim?,
            map,
            regex,
            strip_domain: written.strip_domain.clone(),
            prefix: written.prefix.clone().unwrap_or_default(),
            lower_case: written.lower_case.unwrap_or(true),
            policy,
        })
    }

    pub(super) fn policy(
        &mut self,
        section: &Section<'_>,
        written: Option<&schema::Username>,
    ) -> UsernamePolicy {
        let Some(written) = written else {
            return UsernamePolicy::default();
        };
        let at = format!("{}/username/allow", section.pointer);
        UsernamePolicy {
            allow_email_characters: written.allow_email_characters,
            allow_reserved: written.allow_reserved.iter().map(|name| name.to_ascii_lowercase()).collect(),
            pattern: written.allow.as_ref().and_then(|allow| self.compiled(&at, section.name, allow)),
        }
    }

    fn compiled(&mut self, pointer: &str, name: &str, pattern: &str) -> Option<regex::Regex> {
        match anchored(pattern) {
            Ok(regex) => Some(regex),
            Err(error) => {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim();
                self.problem(pointer, format!("{name}: '{pattern}' is not a regular expression: {why}"));
                None
            }
        }
    }

    /// Exact pairs. Every name is judged now, so that a typing error is found before a user is.
    fn map(
        &mut self,
        section: &Section<'_>,
        file: &str,
        policy: &UsernamePolicy,
    ) -> Option<HashMap<String, String>> {
        let pointer = format!("{}/username/map", section.pointer);
        let name = section.name;
        let pairs: BTreeMap<String, String> = match fs::read_to_string(self.path(file)) {
            Err(error) => {
                self.problem(&pointer, format!("{name}: {file}: {error}"));
                return None;
            }
            Ok(text) => match serde_saphyr::from_str(&text) {
                Ok(pairs) => pairs,
                Err(error) => {
                    let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column()));
                    let place = place.unwrap_or_default();
                    self.problem(&pointer, format!("{name}: {file}{place}: must be pairs of text, value: user"));
                    return None;
                }
            },
        };
        // Prefix and domain come after the map, so only a plain name can be judged here.
        for user in pairs.values() {
            if let Err(error) = Username::parse(user, &UsernamePolicy { pattern: None, ..policy.clone() }) {
                self.problem(&pointer, format!("{name}: {file}: a name on the right is refused: {error}"));
                break;
            }
        }
        Some(pairs.into_iter().collect())
    }
}
