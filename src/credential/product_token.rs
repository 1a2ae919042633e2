//! What the products' own tokens look like.
//!
//! They are told apart by their shape, for a product's token that is taken for a provider's would be sent to that
//! provider.

use base64::{Engine, engine::general_purpose::STANDARD};

/// What Bitbucket puts before its HTTP access tokens.
const BITBUCKET: &str = "BBDC-";
/// Bytes of a personal access token of Jira or Confluence, and their length in base64.
const BYTES: usize = 33;
const LENGTH: usize = 44;
/// Digits of the number that such a token begins with.
const DIGITS: usize = 12;

/// Whether a bearer token has the shape of a product's own.
pub(super) fn has_shape(token: &str) -> bool {
    token.starts_with(BITBUCKET) || is_personal_access_token(token)
}

/// Twelve digits, a colon and twenty random bytes. No other issuer begins its tokens with such a number by chance.
fn is_personal_access_token(token: &str) -> bool {
    if token.len() != LENGTH {
        return false;
    }
    let decoded = STANDARD.decode(token).unwrap_or_default();
    let (number, secret) = decoded.split_at_checked(DIGITS).unwrap_or_default();
    decoded.len() == BYTES && number.iter().all(u8::is_ascii_digit) && secret.starts_with(b":")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn personal_access_token(number: &str, secret: &[u8]) -> String {
        STANDARD.encode([number.as_bytes(), b":", secret].concat())
    }

    #[test]
    fn the_tokens_of_the_products_are_known_by_their_shape() {
        assert!(has_shape(&personal_access_token(
            "601462647388",
            &[0xa7; 20]
        )));
        assert!(has_shape(
            "BBDC-MDYwNzU2NDU3MzM4Orc0m4BQ0yL9v2v1sBz9cQpRkVx3"
        ));
    }

    #[test]
    fn what_only_resembles_them_is_not_theirs() {
        for token in [
            personal_access_token("60146264738a", &[0xa7; 20]),
            personal_access_token("6014626473", &[0xa7; 22]),
            personal_access_token("601462647388", &[0xa7; 19]),
            personal_access_token("601462647388", &[0xa7; 21]),
            STANDARD.encode([b'7'; 33]),
            "bbdc-x".to_owned(),
            "gho_16C7e42F292c6912E7710c838347Ae178B4a".to_owned(),
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln".to_owned(),
            String::new(),
        ] {
            assert!(!has_shape(&token), "{token}");
        }
    }

    proptest! {
        #[test]
        fn a_random_token_is_not_theirs(bytes in any::<[u8; 33]>()) {
            let is_number = bytes.iter().take(12).all(u8::is_ascii_digit);
            prop_assume!(!is_number);
            prop_assert!(!has_shape(&STANDARD.encode(bytes)));
        }
    }
}
