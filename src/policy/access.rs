//! What the application asks of those whom it knows: the section `access`.

use std::borrow::Cow;

use super::{Bounds, Question, Refusal, Ruling, limits::has_scopes, resource::resource};
use crate::{
    access::{
        GroupRights, Rule,
        rule::{Facts, RuleRefusal},
    },
    api_token::AccessLevel,
    identity::Groups,
    provider::Judge,
    request::CanonicalPath,
};

pub(super) fn users(question: &Question<'_>) -> Ruling {
    let Some(users) = &question.application.access.users else {
        return Ruling::Silent;
    };
    if users.takes_user(question.identity.username.as_str()) {
        Ruling::Passes
    } else {
        Ruling::Refuses(Refusal::User)
    }
}

pub(super) fn groups(question: &Question<'_>) -> Ruling {
    let Some(access) = &question.application.access.groups else {
        return Ruling::Silent;
    };
    match access.rights(question.groups()) {
        GroupRights::Full => Ruling::Passes,
        GroupRights::ReadOnly => question.only_reads().into(),
        GroupRights::NoMember => Ruling::Refuses(Refusal::Group),
        GroupRights::Unknown => Ruling::Refuses(Refusal::GroupsUnknown),
    }
}

pub(super) fn networks(question: &Question<'_>) -> Ruling {
    match &question.application.access.networks {
        None => Ruling::Silent,
        Some(networks) if networks.takes_address(question.request.source) => Ruling::Passes,
        Some(_) => Ruling::Refuses(Refusal::Network),
    }
}

pub(super) fn methods(question: &Question<'_>) -> Ruling {
    let Some(methods) = &question.application.access.methods else {
        return Ruling::Silent;
    };
    // RFC 9110 §9.3.2: HEAD is GET without its content.
    let method = match question.request.method.as_str() {
        "HEAD" => "GET",
        other => other,
    };
    if methods.contains(method) {
        Ruling::Passes
    } else {
        Ruling::Refuses(Refusal::Method)
    }
}

/// An API token has limits of its own, and no scopes of OAuth.
pub(super) fn scopes(question: &Question<'_>) -> Ruling {
    let scopes = &question.application.access.scopes;
    let (Some(scopes), Bounds::Provider(_)) = (scopes, question.bounds) else {
        return Ruling::Silent;
    };
    let wanted = question.operation().map(|operation| match operation {
        AccessLevel::Read => &scopes.read,
        AccessLevel::Write => &scopes.write,
    });
    wanted
        .and_then(|wanted| has_scopes(question.identity, wanted))
        .into()
}

/// What all rules of an application read, found out once.
pub(super) struct Rules<'a> {
    question: &'a Question<'a>,
    path: Option<&'a str>,
    resource: Option<Cow<'a, str>>,
    operation: Option<AccessLevel>,
    groups: Option<[&'a [String]; 2]>,
}

impl<'a> Rules<'a> {
    pub(super) fn about(question: &'a Question<'a>) -> Self {
        let path = question.path().ok();
        let context_path = &question.application.context_path;
        Self {
            question,
            path: path.map(CanonicalPath::as_str),
            resource: path.and_then(|path| resource(path, context_path)),
            operation: question.operation().ok(),
            groups: question.groups(),
        }
    }

    pub(super) fn ask(&self, rule: &Rule) -> Ruling {
        if rule.reads_path() && self.path.is_none() {
            return Ruling::Refuses(Refusal::PathNotCanonical);
        }
        match rule.judge(&self.facts()) {
            Ok(()) => Ruling::Passes,
            Err(refusal) => Ruling::Refuses(Refusal::Rule {
                name: rule.name().into(),
                failed: refusal == RuleRefusal::Failed,
            }),
        }
    }

    fn facts(&self) -> Facts<'_> {
        let Question {
            identity,
            request,
            application,
            ..
        } = *self.question;
        Facts {
            username: identity.username.as_str(),
            provider: &identity.provider,
            groups: self.groups,
            scopes: &identity.scopes,
            client: identity.client.as_deref(),
            credential: self.question.credential(),
            claims: &identity.claims.0,
            method: &request.method,
            path: self.path,
            resource: self.resource.as_deref(),
            host: request.host.as_str(),
            query: request.path.query(),
            headers: &request.headers,
            operation: self.operation.map(AccessLevel::as_str),
            address: request.source,
            application: &application.name,
            product: application.product.as_str(),
        }
    }
}

impl<'a> Question<'a> {
    /// Those of the token and those that the operator adds; `None`: unknown. The operator's are all there are only
    /// where the token could not tell of others.
    fn groups(&self) -> Option<[&'a [String]; 2]> {
        let members = &self.application.access.members;
        let further = members.of(self.identity.username.as_str());
        match &self.identity.groups {
            Groups::Known(groups) => Some([groups, further.unwrap_or_default()]),
            Groups::Untold => Some([&[], further?]),
            Groups::Unknown => None,
        }
    }

    fn only_reads(&self) -> Result<(), Refusal> {
        match self.operation()? {
            AccessLevel::Read => Ok(()),
            AccessLevel::Write => Err(Refusal::ReadOnlyGroup),
        }
    }

    fn credential(&self) -> &'static str {
        match self.bounds {
            Bounds::ApiToken(_) => "api_token",
            Bounds::Provider(provider) => match provider.judge {
                Judge::Jwt(_) => "jwt",
                Judge::Remote(_) => "opaque",
            },
        }
    }
}
