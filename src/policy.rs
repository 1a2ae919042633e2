//! Step 8: may this identity do this? Pure: no network, no clock but the request's.
//!
//! Runs on every request, cached identity or not, so that nothing that was allowed once stays
//! allowed (CVE-2021-32701).
//!
//! Every policy only takes away. They are asked in the order of [`POLICIES`], the first refusal is the answer, and no
//! policy knows another one's: adding one never turns a denial into a grant.

mod access;
mod limits;
mod operation;
mod refusal;
mod resource;

pub use refusal::Refusal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    access::Rule,
    api_token::{AccessLevel, Scope},
    identity::Identity,
    provider::Provider,
    request::{CanonicalPath, Request},
    route::Application,
};

/// Who wants what, and what is known about both.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Who.
    pub identity: &'a Identity,
    /// What their token is good for.
    pub bounds: Bounds<'a>,
    /// What.
    pub request: &'a Request,
    /// Where.
    pub application: &'a Application,
}

/// What a token is good for, by the word of whoever made it.
#[derive(Clone, Copy)]
pub enum Bounds<'a> {
    /// A provider's token.
    Provider(&'a Provider),
    /// One of ours.
    ApiToken(&'a Scope),
}

/// What one policy says.
enum Ruling {
    /// The operator asks nothing of the kind.
    Silent,
    /// It does not stand in the way.
    Passes,
    /// It does.
    Refuses(Refusal),
}

/// What one policy says, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Explained {
    /// The setting, and the name of a rule.
    #[schema(example = "access.groups")]
    pub policy: String,
    /// Whether it lets the request pass.
    pub passes: bool,
    /// Why it does not.
    pub why: Option<String>,
}

type Policy = fn(&Question<'_>) -> Ruling;

/// The settings and their policies, in the order in which they are asked. The operator's own rules come last.
const POLICIES: [(&str, Policy); 8] = [
    ("required_scopes", limits::required_scopes),
    ("api_token", limits::api_token),
    ("denied_paths", limits::denied_paths),
    ("access.users", access::users),
    ("access.groups", access::groups),
    ("access.networks", access::networks),
    ("access.methods", access::methods),
    ("access.scopes", access::scopes),
];

/// Asks every policy; the first refusal is the answer.
pub fn decide(question: &Question<'_>) -> Result<(), Refusal> {
    for (_, policy) in POLICIES {
        policy(question).into_result()?;
    }
    let rules = &question.application.access.rules;
    if rules.is_empty() {
        return Ok(());
    }
    let asked = access::Rules::about(question);
    let mut rules = rules.iter();
    rules.try_for_each(|rule| asked.ask(rule).into_result())
}

/// Asks every policy that has something to say, whatever the others say.
pub fn explain(question: &Question<'_>) -> Vec<Explained> {
    let settings = POLICIES
        .iter()
        .map(|(setting, policy)| ((*setting).to_owned(), policy(question)));
    let asked = access::Rules::about(question);
    let rules = question.application.access.rules.iter();
    let rules = rules.map(|rule| (name_of(rule), asked.ask(rule)));
    let explained = settings.chain(rules).filter_map(|(policy, ruling)| {
        let why = match ruling {
            Ruling::Silent => return None,
            Ruling::Passes => None,
            Ruling::Refuses(refusal) => Some(refusal.to_string()),
        };
        Some(Explained {
            policy,
            passes: why.is_none(),
            why,
        })
    });
    explained.collect()
}

/// Whether a token has the scopes that its provider's section asks of every token.
pub fn has_required_scopes(identity: &Identity, provider: &Provider) -> Result<(), Refusal> {
    limits::has_scopes(identity, &provider.required_scopes)
}

fn name_of(rule: &Rule) -> String {
    format!("access.rules {}", rule.name())
}

impl Ruling {
    fn into_result(self) -> Result<(), Refusal> {
        match self {
            Self::Silent | Self::Passes => Ok(()),
            Self::Refuses(refusal) => Err(refusal),
        }
    }
}

impl From<Result<(), Refusal>> for Ruling {
    fn from(result: Result<(), Refusal>) -> Self {
        result.map_or_else(Self::Refuses, |()| Self::Passes)
    }
}

impl<'a> Question<'a> {
    /// The path, when everybody reads it alike: nothing is decided on any other.
    fn path(&self) -> Result<CanonicalPath<'a>, Refusal> {
        let path = self.request.path.canonical();
        path.ok_or(Refusal::PathNotCanonical)
    }

    fn operation(&self) -> Result<AccessLevel, Refusal> {
        let path = self.path()?;
        Ok(operation::needed(self.request, path, self.application))
    }
}

#[cfg(test)]
mod tests;
