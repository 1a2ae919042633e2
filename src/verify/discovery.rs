//! OpenID Connect Discovery 1.0: from the issuer to the address of its keys.
//!
//! Two members are read: `issuer`, which must be the configured one byte for byte (§4.3, RFC 8414
//! §3.3), and `jwks_uri`, which must lead to a host that the operator has named.

use serde_json::Value;
use url::Url;

use super::strict_json::{self, JsonError, Limits};
use crate::outbound::UrlPolicy;

/// Where a provider's keys may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// As configured, compared byte for byte.
    pub issuer: String,
    /// Hosts that `jwks_uri` may name; the issuer's own is always among them.
    pub hosts: Vec<String>,
    /// http or https, loopback or not.
    pub urls: UrlPolicy,
}

/// Why a discovery document is refused. The keys in use stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// See [`JsonError`].
    #[error("the discovery document is refused: {0}")]
    Json(#[from] JsonError),
    /// It speaks for somebody else.
    #[error("the discovery document names another issuer than the configured one")]
    OtherIssuer,
    /// No usable `jwks_uri`.
    #[error("the discovery document has no usable jwks_uri")]
    NoJwksUri,
    /// `jwks_uri` leads elsewhere.
    #[error(
        "jwks_uri is on a host that is not allowed: set jwt.jwks_uri, or add it to jwt.jwks_hosts"
    )]
    OtherHost,
}

impl Discovery {
    /// Where the document is (§4.1): the issuer without its final slash, plus a fixed path.
    pub fn document_url(&self) -> Result<Url, DiscoveryError> {
        let base = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        Url::parse(&format!("{base}/.well-known/openid-configuration"))
            .map_err(|_malformed| DiscoveryError::NoJwksUri)
    }

    /// Reads the address of the keys out of the document.
    pub fn jwks_uri(&self, document: &[u8]) -> Result<Url, DiscoveryError> {
        let members = strict_json::parse_object(document, Limits::DOCUMENT)?;
        if members.get("issuer").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return Err(DiscoveryError::OtherIssuer);
        }
        let address = members
            .get("jwks_uri")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let url = self
            .urls
            .parse(address)
            .map_err(|_refused| DiscoveryError::NoJwksUri)?;
        let host = url.host_str().unwrap_or_default();
        if !self.hosts.iter().any(|allowed| allowed == host) {
            return Err(DiscoveryError::OtherHost);
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery() -> Discovery {
        Discovery {
            issuer: "https://idp.example/realm".to_owned(),
            hosts: vec!["idp.example".to_owned()],
            urls: UrlPolicy::default(),
        }
    }

    fn jwks_uri(document: &str) -> Result<String, DiscoveryError> {
        discovery()
            .jwks_uri(document.as_bytes())
            .map(|url| url.to_string())
    }

    #[test]
    fn the_issuer_must_be_the_configured_one_byte_for_byte() {
        for other in [
            "https://idp.example/realm/",
            "https://IDP.example/realm",
            "http://idp.example/realm",
            "https://evil.example",
        ] {
            let document =
                format!(r#"{{"issuer":"{other}","jwks_uri":"https://idp.example/keys"}}"#);
            assert_eq!(
                jwks_uri(&document),
                Err(DiscoveryError::OtherIssuer),
                "{other}"
            );
        }
        assert_eq!(
            jwks_uri(
                r#"{"issuer":["https://idp.example/realm"],"jwks_uri":"https://idp.example/keys"}"#
            ),
            Err(DiscoveryError::OtherIssuer)
        );
    }

    #[test]
    fn the_keys_must_be_on_an_allowed_host_and_https() {
        let document =
            |uri: &str| format!(r#"{{"issuer":"https://idp.example/realm","jwks_uri":"{uri}"}}"#);
        assert_eq!(
            jwks_uri(&document("https://idp.example/keys")).as_deref(),
            Ok("https://idp.example/keys")
        );
        for elsewhere in [
            "https://evil.example/keys",
            "https://idp.example.evil.example/keys",
            "https://sub.idp.example/keys",
        ] {
            assert_eq!(
                jwks_uri(&document(elsewhere)),
                Err(DiscoveryError::OtherHost),
                "{elsewhere}"
            );
        }
        for bad in [
            "http://idp.example/keys",
            "file:///etc/passwd",
            "keys",
            "https://user:pw@idp.example/keys",
            "https://169.254.169.254/",
            "https://[::1]/",
            "",
        ] {
            assert_eq!(
                jwks_uri(&document(bad)),
                Err(DiscoveryError::NoJwksUri),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_document_is_found_with_and_without_a_final_slash() {
        let url = |issuer: &str| {
            Discovery {
                issuer: issuer.to_owned(),
                ..discovery()
            }
            .document_url()
            .map(|url| url.to_string())
        };
        assert_eq!(
            url("https://a.example/r").as_deref(),
            Ok("https://a.example/r/.well-known/openid-configuration")
        );
        assert_eq!(
            url("https://a.example/").as_deref(),
            Ok("https://a.example/.well-known/openid-configuration")
        );
    }
}
