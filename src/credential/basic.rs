//! `Authorization: Basic` (RFC 7617): how git and `curl -u` send an API token.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};

use super::MalformedCredential;
use crate::api_token;

/// What the two parts of a Basic credential are to us.
pub(super) enum Basic {
    /// An API token as the password, or text that begins like one in either place: ours alone.
    Ours {
        /// Who is named beside it.
        claim: Claim,
        /// The token, or what somebody took for it.
        token: SecretString,
    },
    /// Somebody's password at the product.
    Password,
}

impl Basic {
    /// Reads what follows the scheme.
    pub(super) fn parse(token68: &[u8]) -> Result<Self, MalformedCredential> {
        // Strict: canonical padding and trailing bits. The products' decoders are lenient in ways of their
        // own, and what two of them read differently must not pass.
        let decoded = STANDARD
            .decode(token68)
            .map_err(|_not_base64| MalformedCredential::NotBasic)?;
        let colon = decoded.iter().position(|byte| *byte == b':');
        let (user, password) = colon
            .and_then(|at| decoded.split_at_checked(at))
            .ok_or(MalformedCredential::NotBasic)?;
        let (user, password) = (text(user), text(password.get(1..).unwrap_or_default()));
        Ok(match (user, password) {
            (user, Some(password)) if api_token::is_own(password) => Self::Ours {
                claim: user.map_or(Claim::Unreadable, |user| Claim::User(user.to_owned())),
                token: password.into(),
            },
            // Some tools send a token as the user name. It is not accepted so, and shown to nobody.
            (Some(user), _) if api_token::is_own(user) => Self::Ours {
                claim: Claim::Unreadable,
                token: SecretString::from(""),
            },
            _ => Self::Password,
        })
    }
}

/// Passwords may be in any encoding; our tokens are ASCII.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// An API token that somebody sends, in either of its two forms. Has no `Debug`.
pub struct OwnCredential<'a> {
    token: Text<'a>,
    claim: Claim,
}

enum Text<'a> {
    Borrowed(&'a str),
    Owned(SecretString),
}

/// Whom a credential says it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// `Bearer`: says nothing.
    Nobody,
    /// `Basic`: this user.
    User(String),
    /// `Basic`: somebody whose name cannot be read.
    Unreadable,
}

impl<'a> OwnCredential<'a> {
    pub(super) fn bearer(token: &'a str) -> Self {
        Self {
            token: Text::Borrowed(token),
            claim: Claim::Nobody,
        }
    }

    pub(super) fn basic(claim: Claim, token: SecretString) -> Self {
        Self {
            token: Text::Owned(token),
            claim,
        }
    }

    /// The token; for parsing, never for a log.
    pub fn expose(&self) -> &str {
        match &self.token {
            Text::Borrowed(text) => text,
            Text::Owned(text) => text.expose_secret(),
        }
    }

    /// The user that stands beside the token.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }
}
