//! What Envoy tells about a request (docs/SECURITY-MODEL.md, "Requests: two readings").

use std::net::IpAddr;

use atlassian_authz::pb::envoy::{
    config::core::v3::address::Address, service::auth::v3::CheckRequest,
};

use super::super::{Broken, House, Ruling, host};

pub struct Line {
    pub name: String,
    pub value: Vec<u8>,
}

pub struct Request {
    pub method: String,
    pub host: String,
    target: String,
    lines: Vec<Line>,
    pub application: Option<String>,
    pub source: Option<IpAddr>,
}

/// The raw headers when there are any, else the joined ones.
pub fn lines(check: &CheckRequest) -> Vec<Line> {
    let attributes = check.attributes.as_ref();
    let http = attributes.and_then(|one| one.request.as_ref()?.http.as_ref());
    let Some(http) = http else {
        return Vec::new();
    };
    let raw = http.header_map.as_ref().map_or(&[][..], |map| &map.headers);
    if raw.is_empty() {
        let joined = http.headers.iter().map(|(name, value)| Line {
            name: name.clone(),
            value: value.clone().into_bytes(),
        });
        return joined.collect();
    }
    let raw = raw.iter().map(|header| Line {
        name: header.key.clone(),
        value: if header.raw_value.is_empty() {
            header.value.clone().into_bytes()
        } else {
            header.raw_value.to_vec()
        },
    });
    raw.collect()
}

impl Request {
    pub fn read(check: &CheckRequest, broken: &mut Broken) -> Ruling<Self> {
        let attributes = check.attributes.as_ref().ok_or("about nothing")?;
        let http = attributes
            .request
            .as_ref()
            .and_then(|request| request.http.as_ref());
        let http = http.ok_or("not about HTTP")?;
        let lines = lines(check);
        if lines.is_empty() {
            return Err("no headers");
        }
        let bytes: usize = lines
            .iter()
            .map(|line| line.name.len() + line.value.len())
            .sum();
        broken.add_if(
            bytes > 64 * 1024 || http.path.len() > 8 * 1024,
            House::Sizes,
        );
        if !http.path.starts_with('/') && http.method != "CONNECT" {
            return Err("no path");
        }
        let address = attributes
            .source
            .as_ref()
            .and_then(|peer| peer.address.as_ref()?.address.as_ref());
        let source = address
            .and_then(|Address::SocketAddress(socket)| socket.address.parse::<IpAddr>().ok());
        Ok(Self {
            method: http.method.clone(),
            host: host::name(&http.host)?,
            target: http.path.clone(),
            lines,
            application: attributes.context_extensions.get("application").cloned(),
            source: source.map(|address| address.to_canonical()),
        })
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// Every line of a header (RFC 9110 §5.1: in any case).
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        let named = self
            .lines
            .iter()
            .filter(|line| line.name.eq_ignore_ascii_case(name));
        named.map(|line| line.value.as_slice()).collect()
    }

    /// The logins and tokens that the products read from a query, and those of RFC 6750 §2.3 and RFC 5849 §3.5.3.
    pub fn has_query_credential(&self) -> bool {
        const NAMES: [&[u8]; 7] = [
            b"os_username",
            b"os_password",
            b"os_authtype",
            b"os_cookie",
            b"access_token",
            b"oauth_token",
            b"oauth_consumer_key",
        ];
        let parameters = self.query().unwrap_or_default().split('&');
        let mut names = parameters.map(|one| lenient(one.split('=').next().unwrap_or_default()));
        names.any(|name| NAMES.contains(&name.to_ascii_lowercase().as_slice()))
    }

    /// Servlet 6 §7.1.3, escaped or not.
    pub fn has_path_session(&self) -> bool {
        const SESSION: &[u8] = b";jsessionid";
        let path = lenient(self.path()).to_ascii_lowercase();
        (0..path.len()).any(|at| {
            let rest = path[at..].strip_prefix(SESSION);
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'=' | b';' | b'/')))
        })
    }
}

/// Decodes what is an escape and leaves the rest.
fn lenient(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        if let Some(value) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            decoded.push(value);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    decoded
}
