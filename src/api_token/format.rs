//! The text of a token.

use std::fmt;

use rand::{
    CryptoRng,
    distr::{Alphanumeric, SampleString},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};

/// Begins the tokens of users. Neither base64 nor base62 has `_`, and a double click selects all of it.
const PREFIX: &str = "axt_";
/// Ours too, and not issued yet.
const RESERVED_PREFIX: &str = "axs_";
const ID: usize = 12;
/// 62^43 is more than 2^256.
const SECRET: usize = 43;
/// 62^6 is more than 2^32.
const CHECKSUM: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The public name of a token: for lists, logs and metadata.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiTokenId([u8; ID]);

/// A token that somebody sends: well formed, otherwise unknown. Has no `Debug`, so it cannot be logged.
#[derive(Clone, Copy)]
pub struct ApiToken<'a> {
    /// Which token it claims to be.
    pub id: ApiTokenId,
    secret: &'a str,
}

/// A new token, to be shown once.
pub struct IssuedToken {
    /// Its public name.
    pub id: ApiTokenId,
    text: SecretString,
}

/// A text that begins like one of our tokens and is none. Says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnApiToken {
    /// Another length, other characters, or another prefix of ours.
    #[error("the text is not a whole API token (66 characters, axt_...)")]
    Shape,
    /// A typing error, or a guess.
    #[error("the API token's checksum is wrong: it is mistyped or cut")]
    Checksum,
    /// Not an id of a token.
    #[error("an id of an API token is {ID} letters and digits")]
    Id,
}

/// Whether a text is ours alone, valid or not: it is shown to no provider and to no product. In any
/// case of its letters: a token that somebody's tool has changed is still a secret.
pub fn is_own(text: &str) -> bool {
    [PREFIX, RESERVED_PREFIX].iter().any(|prefix| {
        text.split_at_checked(prefix.len())
            .is_some_and(|(start, _)| start.eq_ignore_ascii_case(prefix))
    })
}

impl ApiTokenId {
    /// Reads an id as people copy it from a list.
    pub fn parse(text: &str) -> Result<Self, NotAnApiToken> {
        let bytes: [u8; ID] = text
            .as_bytes()
            .try_into()
            .map_err(|_other_length| NotAnApiToken::Id)?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) {
            Ok(Self(bytes))
        } else {
            Err(NotAnApiToken::Id)
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ApiTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ApiTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ApiTokenId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'a> ApiToken<'a> {
    /// Reads a token. Costs nothing but processor time, so that guesses cost nobody anything.
    pub fn parse(text: &'a str) -> Result<Self, NotAnApiToken> {
        let shaped = || {
            let (body, checksum) = text.split_at_checked(text.len().checked_sub(CHECKSUM)?)?;
            let (id, secret) = body.strip_prefix(PREFIX)?.split_once('_')?;
            let id = ApiTokenId::parse(id).ok()?;
            let whole =
                secret.len() == SECRET && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
            whole.then_some((body, id, secret, checksum))
        };
        let (body, id, secret, checksum) = shaped().ok_or(NotAnApiToken::Shape)?;
        if checksum_of(body) == checksum.as_bytes() {
            Ok(Self { id, secret })
        } else {
            Err(NotAnApiToken::Checksum)
        }
    }

    /// The secret part. For the digest; never for a log.
    pub(super) fn secret(self) -> &'a str {
        self.secret
    }
}

impl IssuedToken {
    /// Makes a token: 256 bits of secret.
    pub fn generate(random: &mut impl CryptoRng) -> Self {
        let mut id = [0; ID];
        for (to, from) in id
            .iter_mut()
            .zip(Alphanumeric.sample_string(random, ID).bytes())
        {
            *to = from;
        }
        let id = ApiTokenId(id);
        let mut text = format!(
            "{PREFIX}{id}_{}",
            Alphanumeric.sample_string(random, SECRET)
        );
        let checksum = checksum_of(&text);
        text.extend(checksum.map(char::from));
        Self {
            id,
            text: text.into(),
        }
    }

    /// The token as its owner will send it. To be shown once, and never for a log.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

/// CRC-32 (IEEE) in base 62, highest digit first. Not secret, and no protection: anybody can compute it.
fn checksum_of(body: &str) -> [u8; CHECKSUM] {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        let position = usize::try_from(rest % 62).unwrap_or_default();
        *digit = DIGITS.get(position).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn issued(seed: u64) -> IssuedToken {
        IssuedToken::generate(&mut StdRng::seed_from_u64(seed))
    }

    #[test]
    fn a_token_is_66_characters_that_a_double_click_selects() {
        let token = issued(1);
        let text = token.expose();
        assert_eq!(text.len(), 66);
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        );
        assert_eq!(ApiToken::parse(text).map(|parsed| parsed.id), Ok(token.id));
    }

    /// Tokens live longer than this code: the checksum of a known text must never change.
    #[test]
    fn the_checksum_is_crc32_in_base_62() {
        // CRC-32 of "123456789" is 0xCBF43926, the check value of the standard.
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
        assert_eq!(&checksum_of("123456789"), b"3jZRME");
        assert_eq!(&checksum_of(""), b"000000");
    }

    #[test]
    fn one_wrong_character_anywhere_is_noticed() {
        let token = issued(2);
        let text = token.expose();
        for at in 0..text.len() {
            let mut wrong = text.as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'a' { b'b' } else { b'a' };
            let wrong = String::from_utf8(wrong).expect("ASCII");
            assert!(ApiToken::parse(&wrong).is_err(), "position {at}");
        }
    }

    #[test]
    fn what_is_not_a_whole_token_is_none() {
        let token = issued(3);
        let text = token.expose();
        let other_prefix = text.replacen("axt_", "axs_", 1);
        let upper = text.replacen("axt_", "AXT_", 1);
        for wrong in [
            "",
            "axt_",
            "axt__",
            "axt_a_b",
            text.get(..65).unwrap_or_default(),
            &format!("{text}0"),
            &other_prefix,
            &upper,
        ] {
            assert_eq!(
                ApiToken::parse(wrong).err(),
                Some(NotAnApiToken::Shape),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_text_with_our_prefix_in_any_case_is_ours() {
        for own in ["axt_", "axt_x", "AXT_x", "Axs_1"] {
            assert!(is_own(own), "{own}");
        }
        for foreign in ["", "axt", "axt-", "xaxt_", "eyJ", "\u{e9}xt_"] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_accepts_only_what_was_issued(text in "(axt_)?[0-9A-Za-z_\\PC]{0,70}") {
            if let Ok(token) = ApiToken::parse(&text) {
                let body = format!("axt_{}_{}", token.id, token.secret());
                prop_assert!(text.starts_with(&body) && text.len() == 66);
            }
        }

        #[test]
        fn every_issued_token_is_read_back(seed in any::<u64>()) {
            let token = issued(seed);
            prop_assert_eq!(ApiToken::parse(token.expose()).map(|parsed| parsed.id), Ok(token.id));
        }
    }
}
