//! The identity header and everything that some program could take for it.

use bytes::Bytes;

use super::{
    CARRIERS,
    wire::{Message, header, ok_response},
};
use crate::request::{Header, Headers};

/// Headers that products and their plugins are known to believe.
const WELL_KNOWN: [&str; 9] = [
    "x-remote-user",
    "remote-user",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-user",
    "x-webauth-user",
];

/// The header that carries the user, and the names that stand for the same thing.
#[derive(Clone, Debug)]
pub struct IdentityHeader {
    name: String,
    /// In the form of [`folded`].
    protected: Vec<String>,
    /// How long they are; asked first, because almost no header is one of them.
    lengths: Lengths,
    /// Fields of an `OkHttpResponse`: every allow with an identity has them.
    carriers_to_remove: Bytes,
}

/// Why a header name cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderNameError {
    /// The identity header itself.
    #[error("identity_header {0}")]
    Identity(&'static str),
    /// The alias at this position.
    #[error("identity_header_aliases[{0}] {1}")]
    Alias(usize, &'static str),
}

impl IdentityHeader {
    /// Takes the configured names.
    pub fn new(name: &str, aliases: &[String]) -> Result<Self, HeaderNameError> {
        let name = name.to_ascii_lowercase();
        check(&name).map_err(HeaderNameError::Identity)?;
        for (index, alias) in aliases.iter().enumerate() {
            check(&alias.to_ascii_lowercase()).map_err(|why| HeaderNameError::Alias(index, why))?;
        }
        let protected: Vec<_> = std::iter::once(name.as_str())
            .chain(WELL_KNOWN)
            .chain(aliases.iter().map(String::as_str))
            .map(folded)
            .collect();
        let lengths = protected.iter().map(String::len).collect();
        let mut carriers = Vec::new();
        for carrier in CARRIERS {
            Message(&mut carriers).text(ok_response::HEADERS_TO_REMOVE, carrier);
        }
        Ok(Self {
            name,
            protected,
            lengths,
            carriers_to_remove: carriers.into(),
        })
    }

    pub(super) fn carriers_to_remove(&self) -> &[u8] {
        &self.carriers_to_remove
    }

    /// The header's name, lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names, as received, of all headers that some program could take for the identity, except
    /// the identity header itself (CVE-2025-64484, GHSA-x677-9fxg-v5c5, GHSA-f59h-q822-g45g).
    pub(super) fn aliases_in<'h>(&self, headers: &'h Headers) -> impl Iterator<Item = &'h str> {
        headers
            .iter()
            .filter(|header| !header.is(&self.name) && self.protects(header.name_bytes()))
            .map(Header::name)
    }

    fn protects(&self, name: &[u8]) -> bool {
        let folded = || name.iter().copied().map(folded_byte);
        self.lengths.may_have(name.len())
            && self
                .protected
                .iter()
                .any(|protected| protected.len() == name.len() && protected.bytes().eq(folded()))
    }
}

/// A set of lengths; those from 63 on are one.
#[derive(Clone, Copy, Debug)]
struct Lengths(u64);

impl Lengths {
    fn bit(length: usize) -> u64 {
        1 << length.min(63)
    }

    fn may_have(self, length: usize) -> bool {
        self.0 & Self::bit(length) != 0
    }
}

impl FromIterator<usize> for Lengths {
    fn from_iter<I: IntoIterator<Item = usize>>(lengths: I) -> Self {
        let bits = lengths.into_iter().map(Self::bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

/// CGI, WSGI and servlet containers read `_` and `.` as `-` (RFC 3875 §4.1.18).
fn folded(name: &str) -> String {
    name.bytes()
        .map(|byte| char::from(folded_byte(byte)))
        .collect()
}

fn folded_byte(byte: u8) -> u8 {
    match byte {
        b'_' | b'.' | b' ' => b'-',
        other => other.to_ascii_lowercase(),
    }
}

/// Headers that mean something to Envoy or HTTP cannot carry a user, nor those that every allow
/// removes: Envoy removes after it has set.
fn check(name: &str) -> Result<(), &'static str> {
    const TAKEN: [&str; 12] = [
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-request-id",
    ];
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        Err("must be a header name: letters, digits and '-'")
    } else if TAKEN.contains(&name) || CARRIERS.contains(&name) || name.starts_with("x-envoy-") {
        Err("is a header with a meaning of its own")
    } else {
        Ok(())
    }
}

/// `OVERWRITE_IF_EXISTS_OR_ADD`
const OVERWRITE: u32 = 2;

/// Sets a header so that exactly one copy arrives. `append` stays unset and the action is written
/// out: Envoy versions differ in which of the two they read. `value`, never `raw_value`.
pub(super) fn overwrite(to: &mut Message<'_>, tag: u32, name: &str, value: &str) {
    to.message(tag, |option| {
        option.message(header::HEADER, |to| {
            to.text(header::KEY, name);
            to.text(header::VALUE, value);
        });
        option.number(header::APPEND_ACTION, OVERWRITE);
    });
}
