//! What the forms share that ask a provider, and the form `introspection`.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::{LONGEST_LEEWAY, Resolver, Section, WrittenRules, generic::Form};
use crate::{
    config::{JudgeConfig, schema},
    outbound::UrlPolicy,
    provider::Taken,
    verify::{
        claims::{Expiry, TypPolicy},
        introspection::{AssertionKey, ClientAuthentication, Introspection},
        remote::RemoteCheck,
    },
};

/// A minute more, and a revoked token lives a minute longer.
const LONGEST_BELIEF: Duration = Duration::from_mins(5);

impl Resolver<'_> {
    pub(super) fn introspection(
        &mut self,
        section: &Section<'_>,
        form: &Form,
        written: &schema::Introspection,
        urls: UrlPolicy,
    ) -> Option<JudgeConfig> {
        let place = &form.place;
        let endpoint = self.endpoint(
            section,
            &format!("{place}/endpoint"),
            &written.endpoint,
            urls,
        );
        let client = self.client(section, place, written);
        let timeout = self.call_timeout(place, &written.timeout);
        let believed_for = self.belief(place, &written.cache_ttl);
        let taken = self.taken(section, place, &written.tokens);
        let rules = WrittenRules {
            typ: TypPolicy::AccessToken,
            leeway: self.leeway(place, &written.leeway),
            expiry: Expiry::Optional,
            required: &written.required_claims,
            machine_if: &written.machine_if,
        };
        let rules = self.claim_rules(section, form, &rules);
        Some(JudgeConfig::Remote {
            check: RemoteCheck::Introspection(Introspection {
                endpoint: endpoint?,
                client: client?,
                timeout,
                issuers: taken.issuers.clone(),
            }),
            rules,
            believed_for,
            taken,
        })
    }

    fn client(
        &mut self,
        section: &Section<'_>,
        place: &str,
        written: &schema::Introspection,
    ) -> Option<ClientAuthentication> {
        let id = written.client_id.clone();
        if id.is_empty() {
            self.problem(
                &format!("{place}/client_id"),
                format!("{}: 'client_id' is empty", section.name),
            );
        }
        self.only_with_its_method(section, place, written);
        let at = |member: &str| format!("{place}/{member}");
        match written.client_auth {
            schema::ClientAuth::ClientSecretBasic => {
                let secret = self.needed(
                    section,
                    &at("client_secret"),
                    written.client_secret.as_ref(),
                )?;
                Some(ClientAuthentication::SecretBasic { id, secret })
            }
            schema::ClientAuth::ClientSecretPost => {
                let secret = self.needed(
                    section,
                    &at("client_secret"),
                    written.client_secret.as_ref(),
                )?;
                Some(ClientAuthentication::SecretPost { id, secret })
            }
            schema::ClientAuth::PrivateKeyJwt => {
                let pem = self.needed(section, &at("private_key"), written.private_key.as_ref())?;
                let Some(algorithm) = written.key_algorithm else {
                    let why = "'key_algorithm' is missing: which algorithm does the key sign with?";
                    self.problem(place, format!("{}: {why}", section.name));
                    return None;
                };
                let key = AssertionKey::from_pem(
                    pem.expose_secret().as_bytes(),
                    algorithm,
                    written.key_id.clone(),
                );
                match key {
                    Ok(key) => Some(ClientAuthentication::PrivateKey {
                        id,
                        key: Box::new(key),
                        audience: written.assertion_audience.clone(),
                    }),
                    Err(error) => {
                        let message = format!("{}: 'private_key' {error}", section.name);
                        self.problem(&at("private_key"), message);
                        None
                    }
                }
            }
        }
    }

    /// A secret that nobody uses is a mistake, and not one to be silent about.
    fn only_with_its_method(
        &mut self,
        section: &Section<'_>,
        place: &str,
        written: &schema::Introspection,
    ) {
        let with_key = written.client_auth == schema::ClientAuth::PrivateKeyJwt;
        let useless = [
            ("client_secret", with_key && written.client_secret.is_some()),
            ("private_key", !with_key && written.private_key.is_some()),
            ("key_id", !with_key && written.key_id.is_some()),
            (
                "key_algorithm",
                !with_key && written.key_algorithm.is_some(),
            ),
            (
                "assertion_audience",
                !with_key && written.assertion_audience.is_some(),
            ),
        ];
        for (member, _) in useless.into_iter().filter(|(_, is_useless)| *is_useless) {
            self.problem(
                &format!("{place}/{member}"),
                format!(
                    "{}: '{member}' is not used with this 'client_auth': remove one of them",
                    section.name
                ),
            );
        }
    }

    fn needed(
        &mut self,
        section: &Section<'_>,
        pointer: &str,
        written: Option<&schema::Secret>,
    ) -> Option<secrecy::SecretString> {
        if let Some(secret) = written {
            return self.secret(section.name, pointer, secret);
        }
        let member = pointer.rsplit('/').next().unwrap_or_default();
        self.problem(
            pointer,
            format!(
                "{}: '{member}' is missing: write {{ file: ... }} or {{ env: ... }}",
                section.name
            ),
        );
        None
    }

    pub(super) fn endpoint(
        &mut self,
        section: &Section<'_>,
        pointer: &str,
        written: &str,
        urls: UrlPolicy,
    ) -> Option<url::Url> {
        match urls.parse(written) {
            Ok(url) => Some(url),
            Err(error) => {
                let member = pointer.rsplit('/').next().unwrap_or_default();
                self.problem(pointer, format!("{}: '{member}' {error}", section.name));
                None
            }
        }
    }

    pub(super) fn call_timeout(&mut self, place: &str, written: &str) -> Duration {
        self.duration(
            &format!("{place}/timeout"),
            written,
            Duration::from_millis(50)..=Duration::from_secs(10),
        )
    }

    pub(super) fn belief(&mut self, place: &str, written: &str) -> Duration {
        let range = Duration::ZERO..=LONGEST_BELIEF;
        self.duration(&format!("{place}/cache_ttl"), written, range)
    }

    pub(super) fn leeway(&mut self, place: &str, written: &str) -> Duration {
        let range = Duration::ZERO..=LONGEST_LEEWAY;
        self.duration(&format!("{place}/leeway"), written, range)
    }

    /// Which tokens are shown to the provider.
    pub(super) fn taken(
        &mut self,
        section: &Section<'_>,
        place: &str,
        written: &schema::Tokens,
    ) -> Taken {
        let place = format!("{place}/tokens");
        let name = section.name;
        for (at, prefix) in written.prefixes.iter().enumerate() {
            if let Some(why) = unusable_prefix(prefix) {
                self.problem(
                    &format!("{place}/prefixes/{at}"),
                    format!("{name}: '{prefix}' in 'prefixes' {why}"),
                );
            }
        }
        if let Some(at) = written.issuers.iter().position(String::is_empty) {
            self.problem(
                &format!("{place}/issuers/{at}"),
                format!("{name}: an entry of 'issuers' is empty"),
            );
        }
        let named = !written.prefixes.is_empty() || !written.issuers.is_empty();
        let opaque = written.opaque.unwrap_or(!named);
        if !opaque && !named {
            self.problem(&place, format!("{name}: 'tokens' takes none at all"));
        }
        Taken {
            prefixes: written.prefixes.clone(),
            issuers: written.issuers.clone(),
            opaque,
        }
    }
}

/// A prefix that would take tokens away from their provider, or that no token has.
fn unusable_prefix(prefix: &str) -> Option<&'static str> {
    let overlaps = |other: &str| prefix.starts_with(other) || other.starts_with(prefix);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if prefix.is_empty() || !prefix.bytes().all(plain) {
        return Some("is not the beginning of a token");
    }
    if overlaps("ey") {
        return Some("would take every JWT: use 'issuers'");
    }
    if overlaps("axt_") || overlaps("axs_") {
        return Some("is that of the API tokens which this service issues itself");
    }
    None
}

#[cfg(test)]
mod tests;
