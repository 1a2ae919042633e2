//! What several presets are made of.

use std::collections::BTreeMap;

use crate::{
    config::schema::{
        ClaimDocument, ClaimReading, ClaimSource, Expect, Groups, HttpCall, Introspection, Jwt,
        MachineMarker, Secret, Tokens, TypPolicy,
    },
    identity::Unstable,
    outbound::UrlPolicy,
    verify::algorithm::Algorithm,
};

/// A member of a preset, and what is wrong with it.
pub(super) type Wrong = (&'static str, String);

pub(super) fn starts_with(claim: &str, prefix: &str) -> MachineMarker {
    MachineMarker {
        claim: claim.to_owned(),
        starts_with: Some(prefix.to_owned()),
        ..MachineMarker::default()
    }
}

pub(super) fn equals(claim: &str, value: &str) -> MachineMarker {
    MachineMarker {
        claim: claim.to_owned(),
        equals: Some(value.to_owned()),
        ..MachineMarker::default()
    }
}

pub(super) fn present(claim: &str, present: bool) -> MachineMarker {
    MachineMarker {
        claim: claim.to_owned(),
        present: Some(present),
        ..MachineMarker::default()
    }
}

/// Claims that must be these strings.
pub(super) fn claims<const N: usize>(wanted: [(&str, &str); N]) -> BTreeMap<String, String> {
    wanted
        .into_iter()
        .map(|(claim, value)| (claim.to_owned(), value.to_owned()))
        .collect()
}

/// A list of strings in one of these claims.
pub(super) fn groups(claims: &[&str]) -> Groups {
    Groups {
        claims: claims.iter().map(|claim| (*claim).to_owned()).collect(),
        ..Groups::default()
    }
}

/// JWTs of one issuer, signed with RS256, whose header does not say what they are.
pub(super) fn legacy_jwt(issuer: String, jwks_uri: String) -> Jwt {
    Jwt {
        issuer: Some(issuer),
        jwks_uri: Some(jwks_uri),
        algorithms: vec![Algorithm::RS256],
        typ: TypPolicy::Legacy,
        ..Jwt::default()
    }
}

/// Introspection with a secret, all else as it is most often.
pub(super) fn introspection(endpoint: String, client_id: &str, secret: &Secret) -> Introspection {
    Introspection {
        endpoint,
        client_id: client_id.to_owned(),
        client_secret: Some(secret.clone()),
        ..Introspection::default()
    }
}

/// Tokens that begin so, and no others.
pub(super) fn prefixes(prefixes: &[&str]) -> Tokens {
    Tokens {
        prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
        opaque: Some(false),
        ..Tokens::default()
    }
}

/// JWTs of these issuers, and no other tokens.
pub(super) fn issuers(issuers: Vec<String>) -> Tokens {
    Tokens {
        issuers,
        opaque: Some(false),
        ..Tokens::default()
    }
}

/// GET with the token in `Authorization`.
pub(super) fn get(url: String) -> HttpCall {
    HttpCall {
        url,
        ..HttpCall::default()
    }
}

/// A status that stands for a bad token, and the members that tell it from a failure.
pub(super) fn status(status: u16, equals: &[(&str, &str)]) -> Expect {
    Expect {
        status,
        equals: equals
            .iter()
            .map(|(pointer, value)| ((*pointer).to_owned(), (*value).to_owned()))
            .collect(),
        ..Expect::default()
    }
}

/// Claims and their sources.
#[derive(Default)]
pub(super) struct Sources(BTreeMap<String, ClaimSource>);

impl Sources {
    pub(super) fn claim(
        mut self,
        name: &str,
        document: ClaimDocument,
        at: &str,
        read: ClaimReading,
    ) -> Self {
        let at = at.to_owned();
        let source = ClaimSource { document, at, read };
        self.0.insert(name.to_owned(), source);
        self
    }

    /// Members of an answer that are claims as they are.
    pub(super) fn members(self, document: ClaimDocument, names: &[&str]) -> Self {
        names.iter().fold(self, |sources, name| {
            sources.claim(name, document, &format!("/{name}"), ClaimReading::Value)
        })
    }

    pub(super) fn finish(self) -> BTreeMap<String, ClaimSource> {
        self.0
    }
}

/// A base URL, without its final slash.
pub(super) fn base_url(
    member: &'static str,
    written: &str,
    urls: UrlPolicy,
) -> Result<String, Wrong> {
    let url = urls
        .parse(written)
        .map_err(|error| (member, error.to_string()))?;
    if url.query().is_some() {
        return Err((member, "must not have a query".to_owned()));
    }
    Ok(written.trim_end_matches('/').to_owned())
}

/// A host name: the operator has it, and the scheme is https.
pub(super) fn host(member: &'static str, written: &str) -> Result<String, Wrong> {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let is_host = written.contains('.')
        && !written.starts_with('.')
        && !written.ends_with('.')
        && written.bytes().all(plain);
    if !is_host {
        let why = "must be a host name in lower case, such as acme.example.com, without https://";
        return Err((member, why.to_owned()));
    }
    Ok(written.to_owned())
}

/// One segment of a path: no letter of it can leave the place where it is put.
pub(super) fn segment(member: &'static str, written: &str) -> Result<String, Wrong> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if written.is_empty() || !written.bytes().all(plain) {
        let why = "must be letters, digits, '-', '.', '_'";
        return Err((member, why.to_owned()));
    }
    Ok(written.to_owned())
}

/// A GUID, in lower case.
pub(super) fn guid(member: &'static str, written: &str) -> Result<String, Wrong> {
    let guid = written.to_ascii_lowercase();
    let groups: Vec<&str> = guid.split('-').collect();
    let is_guid = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if !is_guid {
        let why = "must be a GUID, as 8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
        return Err((member, why.to_owned()));
    }
    Ok(guid)
}

/// A name that an administrator, or its owner, can give to somebody else; with `strip_domain` only
/// the owner of the domain can.
pub(super) const fn changeable(claim: &'static str, better: &'static str) -> Unstable {
    Unstable {
        claim,
        why: "can be changed, and then belongs to somebody else",
        better,
        domain_makes_it_stable: true,
    }
}

/// A name that its user chooses.
pub(super) const fn self_chosen(claim: &'static str, better: &'static str) -> Unstable {
    Unstable {
        claim,
        why: "is chosen by its user, and free for others once it is changed",
        better,
        domain_makes_it_stable: false,
    }
}
