//! Step 4: headers → the one credential of the request.
//!
//! "None sent", "sent and readable", "sent but unusable" are three answers. A request with two
//! credentials is never answered by choosing one (RFC 9110 §5.3, RFC 6750 §2, CVE-2021-32777,
//! CVE-2026-26308).

use secrecy::{ExposeSecret, SecretString};

use crate::request::{Headers, Request, percent::take_escape};

/// Longest accepted `Authorization` value, in bytes. An Entra token with 200 groups has about 10 KiB.
pub const MAX_AUTHORIZATION_BYTES: usize = 16 * 1024;

/// Query parameters that Jira, Confluence and Bitbucket read a login or a token from.
const QUERY_CREDENTIALS: [&str; 5] = [
    "os_username",
    "os_password",
    "os_authtype",
    "os_cookie",
    "access_token",
];

/// A bearer token (RFC 6750 §2.1): a non-empty `b64token`. Has no `Debug`, so it cannot be logged.
#[derive(Clone, Copy)]
pub struct BearerToken<'a>(&'a str);

/// A token that outlives its request. Has no `Debug` either.
pub struct OwnedToken(SecretString);

impl From<BearerToken<'_>> for OwnedToken {
    fn from(token: BearerToken<'_>) -> Self {
        Self(token.0.into())
    }
}

impl OwnedToken {
    /// See [`BearerToken::expose`].
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Why what was sent is not a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedCredential {
    /// Two `Authorization` lines, or one that holds two.
    #[error("more than one Authorization value")]
    Several,
    /// More than [`MAX_AUTHORIZATION_BYTES`].
    #[error("the Authorization value is longer than {MAX_AUTHORIZATION_BYTES} bytes")]
    TooLong,
    /// `Bearer` is followed by something else than one `b64token`.
    #[error("the Bearer token is not a b64token")]
    NotB64Token,
    /// `os_username`, `access_token` and their like next to an identity.
    #[error("the query carries a second credential: {0}")]
    InQuery(&'static str),
    /// `Basic`, `Digest`, … or no scheme at all. Not malformed as such: answered 401.
    #[error("the authentication scheme is not accepted here")]
    UnsupportedScheme,
}

impl<'a> BearerToken<'a> {
    /// Reads the credential of a request. `Ok(None)`: none was sent.
    pub fn extract(request: &'a Request) -> Result<Option<Self>, MalformedCredential> {
        if let Some(parameter) = request.path.query().and_then(credential_in_query) {
            return Err(MalformedCredential::InQuery(parameter));
        }
        let Some(value) = only_authorization(&request.headers)? else {
            return Ok(None);
        };
        Self::parse(value).map(Some)
    }

    /// Reads an `Authorization` value: `Bearer` in any case, one or more spaces, the token.
    pub fn parse(value: &'a [u8]) -> Result<Self, MalformedCredential> {
        if value.len() > MAX_AUTHORIZATION_BYTES {
            return Err(MalformedCredential::TooLong);
        }
        // Envoy merges two lines into `one,two`; neither scheme nor b64token can hold a comma.
        if is_bearer(value) && value.contains(&b',') {
            return Err(MalformedCredential::Several);
        }
        let scheme_end = value
            .iter()
            .position(|byte| *byte == b' ')
            .unwrap_or(value.len());
        let (scheme, rest) = value.split_at(scheme_end);
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            return Err(MalformedCredential::UnsupportedScheme);
        }
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        let (_, token) = rest.split_at(spaces);
        Self::from_b64token(token)
    }

    /// Takes a bare token, as the command line reads it from a file.
    pub fn from_b64token(token: &'a [u8]) -> Result<Self, MalformedCredential> {
        let body = token
            .iter()
            .rposition(|byte| *byte != b'=')
            .map_or(0, |last| last + 1);
        let (characters, _padding) = token.split_at(body);
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
        if characters.is_empty() || !characters.iter().all(plain) {
            return Err(MalformedCredential::NotB64Token);
        }
        std::str::from_utf8(token)
            .map(Self)
            .map_err(|_not_ascii| MalformedCredential::NotB64Token)
    }

    /// The token itself. For parsing, hashing and sending to its provider; never for a log.
    pub fn expose(self) -> &'a str {
        self.0
    }
}

fn is_bearer(value: &[u8]) -> bool {
    value
        .split_at_checked(6)
        .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer"))
}

fn only_authorization(headers: &Headers) -> Result<Option<&[u8]>, MalformedCredential> {
    let mut values = headers.named("authorization");
    let first = values.next();
    if values.next().is_some() {
        return Err(MalformedCredential::Several);
    }
    Ok(first.map(|header| header.value.as_ref()))
}

/// The name of the first login or token parameter in a query.
fn credential_in_query(query: &str) -> Option<&'static str> {
    query.split('&').find_map(|pair| {
        let name = pair.split('=').next().unwrap_or(pair);
        let name = decode_name(name);
        QUERY_CREDENTIALS
            .into_iter()
            .find(|credential| name.eq_ignore_ascii_case(credential.as_bytes()))
    })
}

/// Decodes `%XX` as Tomcat does for parameter names; what is no escape stands for itself.
fn decode_name(name: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte == b'%').then(|| take_escape(after)).flatten() {
            Some((value, after)) => {
                decoded.push(value);
                rest = after;
            }
            None => decoded.push(byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(value: &str) -> Result<&str, MalformedCredential> {
        BearerToken::parse(value.as_bytes()).map(BearerToken::expose)
    }

    #[test]
    fn the_scheme_is_case_insensitive_and_spaces_before_the_token_are_allowed() {
        for value in ["Bearer abc", "bearer abc", "BEARER   abc", "bEaReR abc"] {
            assert_eq!(parsed(value), Ok("abc"), "{value}");
        }
        assert_eq!(parsed("Bearer a-._~+/9=="), Ok("a-._~+/9=="));
    }

    #[test]
    fn anything_but_one_b64token_is_refused() {
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Bearer a ",
            "Bearer =",
            "Bearer a=b",
            "Bearer a!",
            "Bearer \u{e9}",
            "Bearer a;b",
            "Bearer \"a\"",
        ] {
            assert_eq!(
                parsed(value),
                Err(MalformedCredential::NotB64Token),
                "{value:?}"
            );
        }
        assert_eq!(
            parsed("Bearer\tabc"),
            Err(MalformedCredential::UnsupportedScheme)
        );
    }

    #[test]
    fn a_comma_means_two_credentials() {
        for value in [
            "Bearer one,Bearer two",
            "Bearer one,two",
            "bearer a, Basic b",
            "Bearer,Bearer a",
        ] {
            assert_eq!(parsed(value), Err(MalformedCredential::Several), "{value}");
        }
    }

    #[test]
    fn other_schemes_are_not_accepted() {
        for value in [
            "Basic YTpi",
            "DPoP abc",
            "",
            "abc",
            "Bearerabc",
            "Digest a=1,b=2",
        ] {
            assert_eq!(
                parsed(value),
                Err(MalformedCredential::UnsupportedScheme),
                "{value}"
            );
        }
    }

    #[test]
    fn a_login_in_the_query_is_found_however_it_is_spelled() {
        for query in [
            "os_username=a",
            "x=1&os_password=b",
            "OS_AuthType=basic",
            "os%5fusername=a",
            "%6Fs_cookie=1",
            "access_token=x",
            "access%5Ftoken",
            "&&os_username",
        ] {
            assert!(credential_in_query(query).is_some(), "{query}");
        }
        for query in [
            "",
            "q=os_username",
            "my_access_token=1",
            "os_%zzusername=1",
            "jql=access_token%3D1",
        ] {
            assert!(credential_in_query(query).is_none(), "{query}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_one_b64token(value in "(?s).{0,80}") {
            if let Ok(token) = parsed(&value) {
                prop_assert!(!token.is_empty() && !token.contains([',', ' ']));
                prop_assert!(value.ends_with(token));
            }
        }
    }
}
