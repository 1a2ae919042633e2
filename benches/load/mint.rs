//! Tokens of a provider, as many as are asked for, each with the user that it stands for.

use std::{ops::Range, thread};

use super::{
    keys::{SigningKey, shared_es256, shared_rs256},
    tokens::{Token, unix_now},
};

/// Tokens that are used again and again.
pub const CACHED: usize = 64;
/// Longer than any run lasts.
const LIFETIME: i64 = 7_200;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    Rs256,
    Es256,
    EdDsa,
}

/// A credential, and whom it stands for.
#[derive(Clone)]
pub struct Held {
    pub user: String,
    pub text: String,
}

/// Makes tokens.
pub struct Mint<'a> {
    /// Each in turn.
    pub issuers: &'a [String],
    pub signature: Signature,
    /// About how long a token is; `None`: as long as its claims make it.
    pub bytes: Option<usize>,
}

impl Signature {
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    pub fn key(self) -> &'static SigningKey {
        static EDDSA: std::sync::OnceLock<SigningKey> = std::sync::OnceLock::new();
        match self {
            Self::Rs256 => shared_rs256(),
            Self::Es256 => shared_es256(),
            Self::EdDsa => EDDSA.get_or_init(SigningKey::eddsa),
        }
    }

    /// Under which the provider publishes the key.
    pub fn key_id(self) -> &'static str {
        match self {
            Self::Rs256 => "k1",
            Self::Es256 => "k2",
            Self::EdDsa => "k3",
        }
    }

    /// As tokens call it.
    pub fn name(self) -> &'static str {
        self.key().alg()
    }
}

/// Whom a token stands for.
pub fn user(number: usize) -> String {
    format!("user{:03}", number % 1000)
}

impl<'a> Mint<'a> {
    /// Tokens of one provider, as long as they come.
    pub fn of(issuers: &'a [String], signature: Signature) -> Self {
        Self {
            issuers,
            signature,
            bytes: None,
        }
    }

    /// Distinct tokens, signed on all cores.
    pub fn tokens(&self, numbers: Range<usize>) -> Vec<Held> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let numbers: Vec<usize> = numbers.collect();
        let mut signed = Vec::with_capacity(numbers.len());
        thread::scope(|scope| {
            let mut signers = Vec::new();
            for part in numbers.chunks(numbers.len().div_ceil(threads).max(1)) {
                let sign = |number: &usize| self.token(*number);
                signers.push(scope.spawn(move || part.iter().map(sign).collect::<Vec<_>>()));
            }
            for signer in signers {
                signed.extend(signer.join().expect("signed"));
            }
        });
        signed
    }

    fn token(&self, number: usize) -> Held {
        let key = self.signature.key();
        let token = Token::of(&self.issuers[number % self.issuers.len()])
            .header("alg", key.alg())
            .header("kid", self.signature.key_id())
            .claim("exp", unix_now() + LIFETIME)
            .claim("jti", format!("6f1c9c1e-7a0b-4a51-9a43-{number:012}"))
            .claim("preferred_username", user(number))
            .claim("scope", "openid profile jira:read jira:write")
            .claim("azp", "portal");
        let text = token.signed_by(key);
        let missing = self
            .bytes
            .map_or(0, |bytes| bytes.saturating_sub(text.len()));
        let text = if missing > 0 {
            token.claim("groups", groups(missing)).signed_by(key)
        } else {
            text
        };
        Held {
            user: user(number),
            text,
        }
    }
}

/// What makes tokens of companies long: as many groups as give so many characters of a token.
fn groups(characters: usize) -> Vec<String> {
    // Three bytes of JSON are four of base64; quotes and a comma around each.
    let bytes = characters * 3 / 4;
    let group = |number| format!("5c0ffee5-1b6e-4f0c-8d4e-{number:012}");
    (0..bytes.div_ceil(39)).map(group).collect()
}
