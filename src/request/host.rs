//! The `:authority` of a request, in the one form that is compared.

use std::{fmt, net::Ipv6Addr};

/// A host name: lower case, without port and trailing dot, naming exactly one host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host(String);

/// Why an authority names no single host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No `Host` and no `:authority`.
    #[error("the host is empty")]
    Empty,
    /// `a,b` is how Envoy forwards two `Host` lines; `user@host` hides the host.
    #[error("the host is ambiguous")]
    Ambiguous,
}

impl Host {
    /// Normalises the raw authority as Envoy passes it on (case, port, trailing dot kept).
    pub fn parse(authority: &str) -> Result<Self, HostError> {
        let ambiguous = |byte: u8| !byte.is_ascii_graphic() || b",@/\\?#%".contains(&byte);
        if authority.bytes().any(ambiguous) {
            return Err(HostError::Ambiguous);
        }
        let name = without_port(authority).ok_or(HostError::Ambiguous)?;
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        Ok(Self(name.to_ascii_lowercase()))
    }

    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `None`: more than one colon outside of brackets, or a port that is not digits.
fn without_port(authority: &str) -> Option<&str> {
    let (name, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            // RFC 3986 §3.2.2: nothing but an address stands in brackets.
            address.parse::<Ipv6Addr>().ok()?;
            match after.strip_prefix(':') {
                Some(port) => (address, port),
                None if after.is_empty() => (address, ""),
                None => return None,
            }
        }
        None => match authority.split_once(':') {
            Some((name, port)) => (name, port),
            None => (authority, ""),
        },
    };
    port.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(authority: &str) -> Result<String, HostError> {
        Host::parse(authority).map(|host| host.as_str().to_owned())
    }

    #[test]
    fn case_port_and_trailing_dot_do_not_make_another_host() {
        for same in [
            "jira.example.com",
            "JIRA.Example.COM",
            "jira.example.com:443",
            "jira.example.com.",
        ] {
            assert_eq!(parsed(same).as_deref(), Ok("jira.example.com"), "{same}");
        }
        assert_eq!(parsed("[::1]:8080").as_deref(), Ok("::1"));
    }

    #[test]
    fn an_ambiguous_authority_is_refused() {
        for bad in [
            "a,b",
            "a, evil",
            "user@jira",
            "jira:80:90",
            "jira:http",
            "a/b",
            "[::1",
            "[::1]x",
            "[jira.example.com]",
            "[]",
            "jira\u{e9}",
            "a b",
        ] {
            assert_eq!(parsed(bad), Err(HostError::Ambiguous), "{bad}");
        }
        for empty in ["", ":80", "."] {
            assert_eq!(parsed(empty), Err(HostError::Empty), "{empty:?}");
        }
    }
}
