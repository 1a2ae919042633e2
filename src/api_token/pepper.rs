//! How a token is kept: as a keyed hash, so that neither a copy of the store nor the right to write to it
//! makes a token.
//!
//! A fast hash is right here: the secret has 256 bits, so a slow one would slow down nobody but us.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use secrecy::{ExposeSecret, SecretString};

use super::ApiToken;

/// Shortest accepted pepper, in bytes.
const MIN_BYTES: usize = 32;
/// What else the pepper signs must never look like a digest.
const DIGEST_CONTEXT: &[u8] = b"api-token-v1";
const NAME_CONTEXT: &[u8] = b"pepper-name-v1";

/// Names a pepper: follows from the pepper alone, so that nobody has to number them, and tells nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PepperId(String);

/// What the store knows of a token's secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    /// The pepper that made it.
    pub pepper: PepperId,
    /// HMAC-SHA-256.
    pub mac: [u8; 32],
}

/// The keys that make digests.
pub struct Peppers {
    current: Pepper,
    former: Vec<Pepper>,
}

struct Pepper {
    id: PepperId,
    key: hmac::Key,
}

/// How a token compares with what the store knows.
pub enum Match {
    /// It is the one.
    Current,
    /// It is the one, kept with a former pepper; this should be kept instead.
    Former(Digest),
    /// It is another.
    Wrong,
    /// It was kept with a pepper that is not configured: nobody can tell.
    UnknownPepper,
}

/// Why a text cannot be a pepper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PepperError {
    /// Guessable.
    #[error("it is shorter than {MIN_BYTES} characters: make one with `openssl rand -base64 48`")]
    TooShort,
    /// Two of them are the same.
    #[error("it is there twice")]
    Twice,
}

impl PepperId {
    /// As the store has it.
    pub fn from_store(text: String) -> Self {
        Self(text)
    }

    /// For the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PepperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest")
            .field("pepper", &self.pepper)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Peppers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl Peppers {
    /// The pepper of new digests alone.
    pub fn new(current: &SecretString) -> Result<Self, PepperError> {
        Ok(Self {
            current: Pepper::new(current)?,
            former: Vec::new(),
        })
    }

    /// Adds one whose digests are still accepted.
    pub fn add_former(&mut self, former: &SecretString) -> Result<(), PepperError> {
        let pepper = Pepper::new(former)?;
        if self.ids().any(|id| *id == pepper.id) {
            return Err(PepperError::Twice);
        }
        self.former.push(pepper);
        Ok(())
    }

    /// All of them, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = &PepperId> {
        std::iter::once(&self.current)
            .chain(&self.former)
            .map(|pepper| &pepper.id)
    }

    /// What to keep of a token.
    pub fn digest(&self, token: ApiToken<'_>) -> Digest {
        self.current.digest(token)
    }

    /// Compares a token with what is kept of it, in the same time whatever the outcome.
    pub fn compare(&self, token: ApiToken<'_>, kept: &Digest) -> Match {
        if kept.pepper == self.current.id {
            return if self.current.made(token, kept) {
                Match::Current
            } else {
                Match::Wrong
            };
        }
        match self.former.iter().find(|pepper| pepper.id == kept.pepper) {
            Some(pepper) if pepper.made(token, kept) => Match::Former(self.digest(token)),
            Some(_) => Match::Wrong,
            None => Match::UnknownPepper,
        }
    }

    /// Does the work of [`Self::compare`] for a token that nobody knows, so that its time tells nothing.
    pub fn compare_with_nothing(&self, token: ApiToken<'_>) {
        let nothing = Digest {
            pepper: self.current.id.clone(),
            mac: [0; 32],
        };
        std::hint::black_box(self.current.made(token, &nothing));
    }
}

impl Pepper {
    fn new(text: &SecretString) -> Result<Self, PepperError> {
        let bytes = text.expose_secret().as_bytes();
        if bytes.len() < MIN_BYTES {
            return Err(PepperError::TooShort);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let [a, b, c, d, ..] = bytes_of(&hmac::sign(&key, NAME_CONTEXT));
        let name = format!("{a:02x}{b:02x}{c:02x}{d:02x}");
        Ok(Self {
            id: PepperId(name),
            key,
        })
    }

    fn digest(&self, token: ApiToken<'_>) -> Digest {
        Digest {
            pepper: self.id.clone(),
            mac: bytes_of(&self.mac(token)),
        }
    }

    fn made(&self, token: ApiToken<'_>, kept: &Digest) -> bool {
        verify_slices_are_equal(self.mac(token).as_ref(), &kept.mac).is_ok()
    }

    /// Id and secret have fixed lengths: no two tokens share a byte string.
    fn mac(&self, token: ApiToken<'_>) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(DIGEST_CONTEXT);
        context.update(token.id.as_str().as_bytes());
        context.update(token.secret().as_bytes());
        context.sign()
    }
}

/// HMAC-SHA-256 has 32 of them.
fn bytes_of(tag: &hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::api_token::IssuedToken;

    fn issued(seed: u64) -> IssuedToken {
        IssuedToken::generate(&mut StdRng::seed_from_u64(seed))
    }

    fn read(token: &IssuedToken) -> ApiToken<'_> {
        match ApiToken::parse(token.expose()) {
            Ok(token) => token,
            Err(error) => panic!("{error}"),
        }
    }

    fn pepper(letter: &str) -> SecretString {
        letter.repeat(32).into()
    }

    #[test]
    fn a_pepper_has_one_name() {
        let peppers = Peppers::new(&pepper("a")).expect("a pepper");
        for id in peppers.ids() {
            assert_eq!(id.as_str().len(), 8, "four bytes in hexadecimal");
            assert_eq!(id.to_string(), id.as_str());
        }
        assert_eq!(peppers.ids().count(), 1);
    }

    #[test]
    fn only_the_token_itself_matches_what_is_kept_of_it() {
        let peppers = Peppers::new(&pepper("a")).expect("a pepper");
        let (one, other) = (issued(1), issued(2));
        let kept = peppers.digest(read(&one));
        assert!(matches!(peppers.compare(read(&one), &kept), Match::Current));
        assert!(matches!(peppers.compare(read(&other), &kept), Match::Wrong));
    }

    #[test]
    fn a_former_pepper_still_verifies_and_names_what_to_keep_instead() {
        let old = Peppers::new(&pepper("a")).expect("a pepper");
        let mut new = Peppers::new(&pepper("b")).expect("a pepper");
        new.add_former(&pepper("a")).expect("another one");
        let token = issued(1);
        let kept = old.digest(read(&token));
        let Match::Former(instead) = new.compare(read(&token), &kept) else {
            panic!("a former pepper is accepted");
        };
        assert!(instead == new.digest(read(&token)));
        assert!(matches!(new.compare(read(&issued(2)), &kept), Match::Wrong));
    }

    #[test]
    fn a_digest_without_its_pepper_proves_nothing() {
        let old = Peppers::new(&pepper("a")).expect("a pepper");
        let new = Peppers::new(&pepper("b")).expect("a pepper");
        let token = issued(1);
        let mut kept = old.digest(read(&token));
        assert!(matches!(
            new.compare(read(&token), &kept),
            Match::UnknownPepper
        ));
        // Whoever can write to the store can name another pepper, and gains nothing.
        kept.pepper = new.digest(read(&token)).pepper;
        assert!(matches!(new.compare(read(&token), &kept), Match::Wrong));
    }

    #[test]
    fn a_pepper_is_long_and_there_once() {
        assert_eq!(
            Peppers::new(&"a".repeat(31).into()).err(),
            Some(PepperError::TooShort)
        );
        let mut peppers = Peppers::new(&pepper("a")).expect("a pepper");
        assert_eq!(peppers.add_former(&pepper("a")), Err(PepperError::Twice));
    }

    #[test]
    fn nothing_of_a_secret_is_printed() {
        let peppers = Peppers::new(&pepper("a")).expect("a pepper");
        let token = issued(1);
        let printed = format!("{peppers:?} {:?}", peppers.digest(read(&token)));
        assert!(
            !printed.contains("aaaa") && !printed.contains("mac"),
            "{printed}"
        );
    }
}
