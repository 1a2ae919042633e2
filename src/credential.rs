//! Step 4: headers → the one credential of the request.
//!
//! A text with our own prefix is an API token of ours or nothing: it is told apart here, before anybody
//! could show it to a provider.
//!
//! "None sent", "sent and readable", "sent but unusable" are three answers. A request with two
//! credentials is never answered by choosing one (RFC 9110 §5.3, RFC 6750 §2, CVE-2021-32777,
//! CVE-2026-26308).

mod basic;
mod product_token;

use secrecy::{ExposeSecret, SecretString};

use basic::Basic;
pub use basic::{Claim, OwnCredential};

use crate::{
    api_token,
    request::{Headers, Request, percent::take_escape},
};

/// Longest accepted `Authorization` value, in bytes. An Entra token with 200 groups has about 10 KiB.
pub const MAX_AUTHORIZATION_BYTES: usize = 16 * 1024;

/// Bytes of a token that are judged together.
const TOGETHER: usize = 64;

/// Query parameters that Jira, Confluence and Bitbucket read a login or a token from.
const QUERY_CREDENTIALS: [&str; 7] = [
    "os_username",
    "os_password",
    "os_authtype",
    "os_cookie",
    "access_token",
    // OAuth 1.0a, which application links still speak (RFC 5849 §3.5.3).
    "oauth_token",
    "oauth_consumer_key",
];
/// The path parameter from which Tomcat reads a session, where its cookie is not there (Servlet 6 §7.1.3).
const SESSION_PARAMETER: &[u8] = b"jsessionid";

/// The one credential of a request.
pub enum Credential<'a> {
    /// A token of an identity provider.
    Bearer(BearerToken<'a>),
    /// A token of ours, or what begins like one.
    Own(OwnCredential<'a>),
    /// One of the product's own, which only the product can judge.
    Foreign(Foreign),
}

/// A credential that a product has given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// A user's password.
    Password,
    /// A personal access token, or an HTTP access token of Bitbucket. No provider is ever shown one.
    ProductToken,
}

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
    /// `Basic` is followed by something else than `user:password` in base64 (RFC 7617 §2).
    #[error("the Basic credential is not user:password in base64")]
    NotBasic,
    /// `os_username`, `access_token` and their like next to an identity.
    #[error("the query carries a second credential: {0}")]
    InQuery(&'static str),
    /// `;jsessionid=…` next to an identity: the session is somebody's too, and it is in a place from which nothing is
    /// removed.
    #[error("the path carries a session beside the credential")]
    SessionInPath,
    /// `Digest`, `DPoP`, … or no scheme at all. Not malformed as such: answered 401.
    #[error("the authentication scheme is not accepted here")]
    UnsupportedScheme,
}

impl<'a> Credential<'a> {
    /// Reads the credential of a request. `Ok(None)`: none was sent.
    pub fn extract(request: &'a Request) -> Result<Option<Self>, MalformedCredential> {
        if let Some(parameter) = request.path.query().and_then(credential_in_query) {
            return Err(MalformedCredential::InQuery(parameter));
        }
        let Some(value) = only_authorization(&request.headers)? else {
            return Ok(None);
        };
        if has_session(request.path.path()) {
            return Err(MalformedCredential::SessionInPath);
        }
        Self::parse(value).map(Some)
    }

    /// Reads an `Authorization` value: the scheme in any case, one or more spaces, the credential.
    pub fn parse(value: &'a [u8]) -> Result<Self, MalformedCredential> {
        if value.len() > MAX_AUTHORIZATION_BYTES {
            return Err(MalformedCredential::TooLong);
        }
        // Envoy merges two lines into `one,two`; neither scheme nor its credential can hold a comma.
        let has_scheme = |scheme: &[u8]| {
            let start = value.get(..scheme.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        if (has_scheme(b"bearer") || has_scheme(b"basic")) && value.contains(&b',') {
            return Err(MalformedCredential::Several);
        }
        let scheme_end = value
            .iter()
            .position(|byte| *byte == b' ')
            .unwrap_or(value.len());
        let (scheme, rest) = value.split_at(scheme_end);
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        let (_, credential) = rest.split_at(spaces);
        if scheme.eq_ignore_ascii_case(b"bearer") {
            let token = BearerToken::from_b64token(credential)?;
            Ok(if api_token::is_own(token.0) {
                Self::Own(OwnCredential::bearer(token.0))
            } else if product_token::has_shape(token.0) {
                Self::Foreign(Foreign::ProductToken)
            } else {
                Self::Bearer(token)
            })
        } else if scheme.eq_ignore_ascii_case(b"basic") {
            Ok(match Basic::parse(credential)? {
                Basic::Ours { claim, token } => Self::Own(OwnCredential::basic(claim, token)),
                Basic::Password => Self::Foreign(Foreign::Password),
            })
        } else {
            Err(MalformedCredential::UnsupportedScheme)
        }
    }
}

impl<'a> BearerToken<'a> {
    /// Takes a bare token, as the command line reads it from a file.
    pub fn from_b64token(token: &'a [u8]) -> Result<Self, MalformedCredential> {
        let body = token
            .iter()
            .rposition(|byte| *byte != b'=')
            .map_or(0, |last| last + 1);
        let (characters, _padding) = token.split_at(body);
        // Every byte is looked at, without leaving at the first bad one: so the compiler can take many at a time.
        let are_plain = |part: &[u8]| {
            part.iter()
                .fold(true, |plain, byte| plain & is_plain(*byte))
        };
        if characters.is_empty() || !characters.chunks(TOGETHER).all(are_plain) {
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

/// A character of a `b64token` (RFC 6750 §2.1).
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}

fn only_authorization(headers: &Headers) -> Result<Option<&[u8]>, MalformedCredential> {
    let mut values = headers.named("authorization");
    let first = values.next();
    if values.next().is_some() {
        return Err(MalformedCredential::Several);
    }
    Ok(first.map(|header| header.value))
}

/// The name of the first login or token parameter in a query.
fn credential_in_query(query: &str) -> Option<&'static str> {
    query.split('&').find_map(|pair| {
        let name = pair.split('=').next().unwrap_or(pair);
        let decoded = name.contains('%').then(|| decode_name(name));
        let name = decoded.as_deref().unwrap_or(name.as_bytes());
        QUERY_CREDENTIALS
            .into_iter()
            .find(|credential| name.eq_ignore_ascii_case(credential.as_bytes()))
    })
}

/// Whether a path names a session, as Tomcat would read it or after a proxy has decoded it once.
fn has_session(path: &str) -> bool {
    if !path.bytes().any(|byte| matches!(byte, b';' | b'%')) {
        return false;
    }
    let path = decode_name(path);
    let mut parameters = path
        .split(|byte| *byte == b'/')
        .flat_map(|segment| segment.split(|byte| *byte == b';').skip(1));
    parameters.any(|parameter| {
        let name = parameter.split(|byte| *byte == b'=').next();
        name.is_some_and(|name| name.eq_ignore_ascii_case(SESSION_PARAMETER))
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
    use base64::{Engine, engine::general_purpose::STANDARD};
    use proptest::prelude::*;

    use super::*;

    /// The bearer token of a value; what else it holds is named.
    fn parsed(value: &str) -> Result<&str, MalformedCredential> {
        Credential::parse(value.as_bytes()).map(|credential| match credential {
            Credential::Bearer(token) => token.expose(),
            Credential::Own(_) => "(own)",
            Credential::Foreign(Foreign::Password) => "(password)",
            Credential::Foreign(Foreign::ProductToken) => "(product token)",
        })
    }

    fn basic(credentials: impl AsRef<[u8]>) -> String {
        format!("Basic {}", STANDARD.encode(credentials))
    }

    /// What an own credential is: the user it claims, and the token.
    fn own(value: &str) -> Option<(String, String)> {
        match Credential::parse(value.as_bytes()) {
            Ok(Credential::Own(own)) => {
                Some((format!("{:?}", own.claim()), own.expose().to_owned()))
            }
            _ => None,
        }
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
    fn a_value_is_bounded() {
        let of_bytes = |bytes: usize| format!("Bearer {}", "a".repeat(bytes - "Bearer ".len()));
        assert_eq!(MAX_AUTHORIZATION_BYTES, 16_384);
        assert!(parsed(&of_bytes(MAX_AUTHORIZATION_BYTES)).is_ok());
        for bytes in [MAX_AUTHORIZATION_BYTES + 1, MAX_AUTHORIZATION_BYTES + 2] {
            let too_long = Err(MalformedCredential::TooLong);
            assert_eq!(parsed(&of_bytes(bytes)), too_long, "{bytes}");
        }
    }

    #[test]
    fn a_token_that_outlives_its_request_is_the_same_token() {
        let token = BearerToken::from_b64token(b"a-._~+/9==").expect("a token");
        assert_eq!(OwnedToken::from(token).expose(), "a-._~+/9==");
    }

    #[test]
    fn a_comma_means_two_credentials() {
        for value in [
            "Bearer one,Bearer two",
            "Bearer one,two",
            "bearer a, Basic b",
            "Bearer,Bearer a",
            "Basic YTpi, Basic YTpi",
            "basic YTpi,Bearer a",
        ] {
            assert_eq!(parsed(value), Err(MalformedCredential::Several), "{value}");
        }
    }

    #[test]
    fn other_schemes_are_not_accepted() {
        for value in ["DPoP abc", "", "abc", "Bearerabc", "Digest a=1,b=2"] {
            assert_eq!(
                parsed(value),
                Err(MalformedCredential::UnsupportedScheme),
                "{value}"
            );
        }
    }

    #[test]
    fn a_text_with_our_prefix_is_ours_in_either_scheme_and_any_case() {
        let is = |user: &str, token: &str| Some((user.to_owned(), token.to_owned()));
        assert_eq!(own("Bearer axt_x"), is("Nobody", "axt_x"));
        assert_eq!(own("bearer AXS_x"), is("Nobody", "AXS_x"));
        assert_eq!(own(&basic("alice:axt_x")), is("User(\"alice\")", "axt_x"));
        assert_eq!(own(&basic(":axt_x")), is("User(\"\")", "axt_x"));
        assert_eq!(own(&basic(b"\xff:axt_x")), is("Unreadable", "axt_x"));
        // The first colon ends the user (RFC 7617 §2).
        assert_eq!(own(&basic("a:axt_x:y")), is("User(\"a\")", "axt_x:y"));
        assert_eq!(own(&basic("a:b:axt_x")), None);
        // A token in the place of the user is nobody's login, and no product's business.
        assert_eq!(own(&basic("axt_x:")), is("Unreadable", ""));
        assert_eq!(own(&basic("axt_x:x-oauth-basic")), is("Unreadable", ""));
    }

    #[test]
    fn a_password_is_told_from_a_token() {
        for password in ["alice:secret", "alice:", ":", "a:b:c", "alice:xaxt_"] {
            assert_eq!(parsed(&basic(password)), Ok("(password)"), "{password}");
        }
        assert_eq!(parsed(&basic(b"alice:\xe4\xff")), Ok("(password)"));
    }

    #[test]
    fn basic_that_two_decoders_could_read_differently_is_refused() {
        for value in [
            "Basic",
            "Basic ",
            "Basic !",
            "Basic YWxpY2U",
            "Basic YTpi YTpi",
            "Basic YTpi ",
            // Trailing bits that are not zero, URL alphabet, missing and needless padding.
            "Basic YTpjZB==",
            "Basic YT-_",
            "Basic YTpjZA",
            "Basic YTpi====",
            // No colon.
            "Basic YWJj",
        ] {
            assert_eq!(
                parsed(value),
                Err(MalformedCredential::NotBasic),
                "{value:?}"
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
            "oauth_token=x",
            "oauth%5fconsumer_key=x",
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

    #[test]
    fn a_session_in_the_path_is_found_however_it_is_spelled() {
        for path in [
            "/rest;jsessionid=1/x",
            "/rest/x;jsessionid=1",
            "/rest;a=b;JSessionID=1",
            "/rest%3Bjsessionid%3d1",
            "/rest;%6asessionid=1",
        ] {
            assert!(has_session(path), "{path}");
        }
        for path in [
            "/rest/jsessionid=1",
            "/rest;a=jsessionid",
            "/rest;jsession=1",
            "/",
            "",
        ] {
            assert!(!has_session(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_one_b64token(value in "(?i:bearer +)?(?s).{0,80}") {
            if let Ok(Credential::Bearer(token)) = Credential::parse(value.as_bytes()) {
                let token = token.expose();
                prop_assert!(!api_token::is_own(token));
                prop_assert!(!token.is_empty() && !token.contains([',', ' ']));
                prop_assert!(value.ends_with(token));
            }
        }
    }
}
