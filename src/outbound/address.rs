//! Where requests may go: judged on the URL, and again on every address that its name resolves to.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// What the operator allows beyond https to public and private addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UrlPolicy {
    /// `http://` and loopback addresses: for demonstrations and tests only.
    pub allow_loopback_http: bool,
}

/// Why a URL is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL at all, or one without a host.
    #[error("is not an absolute URL")]
    Malformed,
    /// Not https.
    #[error(
        "must begin with https:// (http:// only with outbound.allow_loopback_http, on loopback)"
    )]
    NotHttps,
    /// `https://user:password@host`, `#fragment`.
    #[error("must not hold a user, a password or a fragment")]
    Decorated,
    /// Loopback, link-local, metadata, multicast, unspecified.
    #[error("names an address that is never allowed (loopback, link-local, metadata, multicast)")]
    Address,
}

impl UrlPolicy {
    /// Reads and judges a URL.
    pub fn parse(self, text: &str) -> Result<Url, UrlError> {
        let url = Url::parse(text).map_err(|_malformed| UrlError::Malformed)?;
        self.check(&url)?;
        Ok(url)
    }

    /// Judges a URL.
    pub fn check(self, url: &Url) -> Result<(), UrlError> {
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(UrlError::Decorated);
        }
        let host = url.host().ok_or(UrlError::Malformed)?;
        let address = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        };
        match url.scheme() {
            "https" => {}
            "http" if self.allow_loopback_http && is_loopback_host(&host) => {}
            _ => return Err(UrlError::NotHttps),
        }
        if address.is_some_and(|address| !self.allows(address)) {
            return Err(UrlError::Address);
        }
        Ok(())
    }

    /// Judges an address at the moment of connecting (F2: redirects, DNS rebinding and discovery
    /// all pass here).
    pub fn allows(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_loopback() {
            return self.allow_loopback_http;
        }
        !is_special(address)
    }
}

fn is_loopback_host(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn is_special(address: IpAddr) -> bool {
    /// Metadata services outside of the link-local range: Alibaba Cloud, AWS over IPv6.
    const METADATA: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    ];
    let special = match address {
        IpAddr::V4(v4) => {
            v4.is_link_local() || v4.is_broadcast() || v4.octets().first() == Some(&0)
        }
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    special || address.is_unspecified() || address.is_multicast() || METADATA.contains(&address)
}

/// Resolves like the system, then leaves out what may not be connected to.
pub(super) struct GuardedResolver {
    urls: UrlPolicy,
}

#[derive(Debug, thiserror::Error)]
#[error("the name resolves to no allowed address")]
struct AddressRefused;

impl GuardedResolver {
    pub(super) fn new(urls: UrlPolicy) -> Self {
        Self { urls }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let urls = self.urls;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| urls.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(AddressRefused.into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

/// Whether our resolver, somewhere below, refused the address.
pub(super) fn is_refusal(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<AddressRefused>() {
            return true;
        }
        source = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: UrlPolicy = UrlPolicy {
        allow_loopback_http: false,
    };
    const DEMO: UrlPolicy = UrlPolicy {
        allow_loopback_http: true,
    };

    #[test]
    fn only_plain_https_urls_are_accepted() {
        assert!(STRICT.parse("https://sso.example.com/realms/acme").is_ok());
        assert!(
            STRICT.parse("https://10.1.2.3:8443/").is_ok(),
            "private networks are where identity providers live"
        );
        for (url, error) in [
            ("http://sso.example.com", UrlError::NotHttps),
            ("ftp://sso.example.com", UrlError::NotHttps),
            ("http://127.0.0.1", UrlError::NotHttps),
            ("https://user@sso.example.com", UrlError::Decorated),
            ("https://sso.example.com/#x", UrlError::Decorated),
            ("sso.example.com", UrlError::Malformed),
            ("", UrlError::Malformed),
            ("https://127.0.0.1", UrlError::Address),
            ("https://2130706433", UrlError::Address),
            ("https://0x7f.1", UrlError::Address),
            ("https://[::1]", UrlError::Address),
            ("https://[::ffff:169.254.169.254]", UrlError::Address),
            ("https://169.254.169.254", UrlError::Address),
        ] {
            assert_eq!(STRICT.parse(url).map(drop), Err(error), "{url}");
        }
    }

    #[test]
    fn loopback_http_opens_loopback_and_nothing_else() {
        assert!(DEMO.parse("http://127.0.0.1:8080").is_ok());
        assert!(DEMO.parse("http://localhost:8080").is_ok());
        assert_eq!(
            DEMO.parse("http://sso.example.com").map(drop),
            Err(UrlError::NotHttps)
        );
        assert_eq!(
            DEMO.parse("http://10.0.0.1").map(drop),
            Err(UrlError::NotHttps)
        );
        assert_eq!(
            DEMO.parse("https://169.254.169.254").map(drop),
            Err(UrlError::Address)
        );
    }

    #[test]
    fn addresses_that_a_provider_never_has_are_refused_after_resolution() {
        for bad in [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::ffff:127.0.0.1",
            "fe80::1",
            "224.0.0.1",
            "ff02::1",
            "100.100.100.200",
            "fd00:ec2::254",
            "255.255.255.255",
        ] {
            assert!(!STRICT.allows(bad.parse().expect("an address")), "{bad}");
        }
        for good in [
            "8.8.8.8",
            "10.0.0.1",
            "192.168.1.1",
            "2001:db8::1",
            "fd12::1",
        ] {
            assert!(STRICT.allows(good.parse().expect("an address")), "{good}");
        }
    }
}
