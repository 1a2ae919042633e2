//! The value of `Authorization`: whose credential it is, byte for byte.

use atlassian_authz::credential::{Claim, Credential as Read, Foreign, MalformedCredential};

use crate::{
    reference::{
        Broken,
        authorization::{self, Credential, User},
    },
    tally,
};

const TARGET: &str = "authorization";

pub fn target(data: &[u8]) {
    tally::executed(TARGET);
    let ours = Read::parse(data).map(|credential| match credential {
        Read::Bearer(token) => Credential::Bearer(token.expose().to_owned()),
        Read::Own(own) => Credential::Own {
            token: own.expose().to_owned(),
            user: match own.claim() {
                Claim::Nobody => User::Nobody,
                Claim::User(user) => User::Named(user.clone()),
                Claim::Unreadable => User::Unusable,
            },
        },
        Read::Foreign(Foreign::Password) => Credential::Password,
        Read::Foreign(Foreign::ProductToken) => Credential::ProductToken,
    });
    is_named_by_its_scheme(data, ours.as_ref().err());
    tally::compare(TARGET, ours, authorization::read(data), &Broken::default());
}

/// What is answered 401 with a challenge and what 400: only an unknown scheme is no malformed credential.
fn is_named_by_its_scheme(data: &[u8], error: Option<&MalformedCredential>) {
    if error == Some(&MalformedCredential::UnsupportedScheme) {
        let scheme = data.split(|byte| *byte == b' ').next().unwrap_or_default();
        assert!(!scheme.eq_ignore_ascii_case(b"bearer") && !scheme.eq_ignore_ascii_case(b"basic"));
    }
}
