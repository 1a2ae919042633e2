//! What the token itself is good for, and what no token is good for.

use super::{Bounds, Question, Refusal, Ruling};
use crate::{api_token::Scope, identity::Identity};

/// The scopes that the provider's section asks of every token.
pub(super) fn required_scopes(question: &Question<'_>) -> Ruling {
    match question.bounds {
        Bounds::Provider(provider) if !provider.required_scopes.is_empty() => {
            has_scopes(question.identity, &provider.required_scopes).into()
        }
        Bounds::Provider(_) | Bounds::ApiToken(_) => Ruling::Silent,
    }
}

/// All of them; the first missing one is named.
pub(super) fn has_scopes(identity: &Identity, wanted: &[String]) -> Result<(), Refusal> {
    let mut wanted = wanted.iter();
    match wanted.find(|scope| !identity.scopes.contains(scope)) {
        None => Ok(()),
        Some(scope) => Err(Refusal::InsufficientScope {
            scope: scope.clone(),
        }),
    }
}

/// The limits of an API token.
pub(super) fn api_token(question: &Question<'_>) -> Ruling {
    match question.bounds {
        Bounds::ApiToken(scope) => within(scope, question).into(),
        Bounds::Provider(_) => Ruling::Silent,
    }
}

fn within(scope: &Scope, question: &Question<'_>) -> Result<(), Refusal> {
    if !scope.applications.contains(&*question.application.name) {
        return Err(Refusal::OtherApplication);
    }
    if !scope.takes_address(question.request.source) {
        return Err(Refusal::OtherNetwork);
    }
    if !scope.needs_canonical_path() {
        return Ok(());
    }
    if !scope.takes_path(question.path()?) {
        return Err(Refusal::OtherPath);
    }
    if scope.access < question.operation()? {
        return Err(Refusal::ReadOnly);
    }
    Ok(())
}

/// Paths that are closed to callers with a token.
pub(super) fn denied_paths(question: &Question<'_>) -> Ruling {
    let application = question.application;
    if application.denied_paths.is_empty() {
        return Ruling::Silent;
    }
    let open = |path| {
        let closed = application
            .denied_paths
            .contain(path, &application.context_path);
        if closed {
            Err(Refusal::DeniedPath)
        } else {
            Ok(())
        }
    };
    question.path().and_then(open).into()
}
