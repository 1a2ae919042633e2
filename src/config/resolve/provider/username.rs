//! The member `username` of a provider.

use std::collections::HashMap;

use super::{Resolver, Section};
use crate::{
    config::{
        document::{Document, child},
        problem::Problems,
        schema,
    },
    identity::{Stability, Unstable, Username, UsernamePolicy, UsernameRule, anchored},
    verify::claims::ClaimPath,
};

impl Resolver<'_> {
    pub(super) fn username(
        &mut self,
        section: &Section<'_>,
        written: &schema::Username,
        unstable: &[Unstable],
    ) -> Option<UsernameRule> {
        let before = self.problems.len();
        let pointer = format!("{}/username", section.pointer);
        let name = section.name;
        let claim = ClaimPath::parse(&written.claim);
        if claim.is_none() {
            self.problem(
                &format!("{pointer}/claim"),
                format!("{name}: 'username.claim' is empty: which claim names the user?"),
            );
        }
        self.domain(section, written);
        self.stability(section, written, unstable);
        let policy = self.policy(section, Some(written));
        self.prefix(section, written, &policy);
        let mut rule = UsernameRule {
            claim: claim?,
            map: None,
            regex: self.regex(section, written),
            strip_domain: written.strip_domain.clone(),
            prefix: written.prefix.clone().unwrap_or_default(),
            lower_case: written.lower_case,
            policy,
        };
        // The users of the map go through all the other steps, so these must be right by now.
        if let Some(file) = written
            .map
            .as_ref()
            .filter(|_| self.problems.len() == before)
        {
            self.map(section, file, &mut rule);
        }
        (self.problems.len() == before).then_some(rule)
    }

    pub(super) fn policy(
        &mut self,
        section: &Section<'_>,
        written: Option<&schema::Username>,
    ) -> UsernamePolicy {
        let Some(written) = written else {
            return UsernamePolicy::default();
        };
        UsernamePolicy {
            allow_email_characters: written.allow_email_characters,
            allow_reserved: written
                .allow_reserved
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            pattern: written
                .allow
                .as_ref()
                .and_then(|allow| self.compiled(section, "allow", allow)),
        }
    }

    fn domain(&mut self, section: &Section<'_>, written: &schema::Username) {
        let domain = written.strip_domain.as_deref();
        if domain.is_some_and(|domain| domain.is_empty() || domain.contains('@')) {
            self.problem(
                &format!("{}/username/strip_domain", section.pointer),
                format!(
                    "{}: 'username.strip_domain' must be the domain alone, such as \
                     corp.example.com, without '@'",
                    section.name
                ),
            );
        }
    }

    /// The product believes the name: whoever can choose it can choose to be somebody else.
    fn stability(
        &mut self,
        section: &Section<'_>,
        written: &schema::Username,
        unstable: &[Unstable],
    ) {
        if written.accept_unstable_claim {
            return;
        }
        let Stability::Unstable(claim) = Stability::of(&written.claim, unstable) else {
            return;
        };
        if claim.domain_makes_it_stable && written.strip_domain.is_some() {
            return;
        }
        let Unstable {
            claim, why, better, ..
        } = claim;
        self.problem(
            &format!("{}/username/claim", section.pointer),
            format!(
                "{}: the claim '{claim}' {why}: whoever gets the name of another user there takes \
                 over that user's account here; use {better}, or accept the risk with \
                 accept_unstable_claim: true",
                section.name
            ),
        );
    }

    /// With a prefix that no user name can have, every token would be refused.
    fn prefix(
        &mut self,
        section: &Section<'_>,
        written: &schema::Username,
        policy: &UsernamePolicy,
    ) {
        let Some(prefix) = &written.prefix else {
            return;
        };
        let any = UsernamePolicy {
            pattern: None,
            ..policy.clone()
        };
        if let Err(error) = Username::parse(&format!("{prefix}0"), &any) {
            self.problem(
                &format!("{}/username/prefix", section.pointer),
                format!(
                    "{}: 'username.prefix': no user name can begin with '{prefix}': {error}",
                    section.name
                ),
            );
        }
    }

    fn regex(&mut self, section: &Section<'_>, written: &schema::Username) -> Option<regex::Regex> {
        let compiled = self.compiled(section, "regex", written.regex.as_ref()?)?;
        // Group 0 is the whole match; the name is group 1.
        if compiled.captures_len() < 2 {
            self.problem(
                &format!("{}/username/regex", section.pointer),
                format!(
                    "{}: 'username.regex' has no group: put the name in (parentheses)",
                    section.name
                ),
            );
        }
        Some(compiled)
    }

    fn compiled(
        &mut self,
        section: &Section<'_>,
        member: &str,
        pattern: &str,
    ) -> Option<regex::Regex> {
        match anchored(pattern) {
            Ok(regex) => Some(regex),
            Err(error) => {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim();
                let why = why.strip_prefix("error: ").unwrap_or(why);
                self.problem(
                    &format!("{}/username/{member}", section.pointer),
                    format!(
                        "{}: 'username.{member}' is not a regular expression: {why}",
                        section.name
                    ),
                );
                None
            }
        }
    }

    /// Exact pairs. Every name is judged now, so that a typing error is found before a user is.
    fn map(&mut self, section: &Section<'_>, file: &str, rule: &mut UsernameRule) {
        let read = self.inputs.text(&self.path(file));
        let judged = read
            .map_err(|error| Problems::unreadable(file, &error))
            .and_then(|text| judged(file, &text, rule));
        if let Err(Problems(problems)) = judged {
            let pointer = format!("{}/username/map", section.pointer);
            for problem in problems {
                self.problem(
                    &pointer,
                    format!("{}: 'username.map': {problem}", section.name),
                );
            }
        }
    }
}

/// Reads the pairs into the rule, and sends every user of them through the rule's other steps.
fn judged(file: &str, text: &str, rule: &mut UsernameRule) -> Result<(), Problems> {
    let document = Document::parse(file, text)?;
    let owned = |(value, user): (&str, &str)| (value.to_owned(), user.to_owned());
    let pairs: HashMap<String, String> = document.pairs()?.into_iter().map(owned).collect();
    rule.map = Some(pairs);
    let mut problems = Vec::new();
    for (value, user) in rule.map.iter().flatten() {
        if let Err(error) = rule.name(value) {
            problems.push(document.problem(&child("", value), format!("'{user}': {error}")));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problems::sorted(problems))
    }
}

#[cfg(test)]
mod tests;
