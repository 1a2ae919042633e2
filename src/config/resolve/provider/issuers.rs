//! The issuers of a provider, and where their keys are.

use std::collections::BTreeMap;

use super::{Resolver, Section, generic::Form};
use crate::{
    config::{
        IssuerConfig,
        schema::{Jwt, TrustedIssuer},
    },
    outbound::UrlPolicy,
    verify::{discovery::Discovery, keyring::KeySource},
};

impl Resolver<'_> {
    pub(super) fn issuers(
        &mut self,
        section: &Section<'_>,
        form: &Form,
        jwt: &Jwt,
        urls: UrlPolicy,
    ) -> Vec<IssuerConfig> {
        let name = section.name;
        self.jwks_hosts(section, form, jwt);
        let mut issuers: Vec<IssuerConfig> = Vec::new();
        for (place, issuer) in self.written_issuers(section, form, jwt) {
            if issuers.iter().any(|other| other.issuer == issuer.issuer) {
                let why = format!("{name}: the issuer {} is there twice", issuer.issuer);
                self.problem(&format!("{place}/issuer"), why);
                continue;
            }
            match key_source(&issuer, &jwt.jwks_hosts, urls) {
                Ok(source) => issuers.push(IssuerConfig {
                    issuer: issuer.issuer,
                    source,
                    required: issuer.required_claims,
                }),
                Err((member, why)) => {
                    self.problem(
                        &format!("{place}/{member}"),
                        format!("{name}: '{member}' {why}"),
                    );
                }
            }
        }
        issuers
    }

    /// One issuer or a list of them, each with its place.
    fn written_issuers(
        &mut self,
        section: &Section<'_>,
        form: &Form,
        jwt: &Jwt,
    ) -> Vec<(String, TrustedIssuer)> {
        let name = section.name;
        let place = &form.place;
        match (&jwt.issuer, jwt.issuers.as_slice()) {
            (Some(issuer), []) => {
                let issuer = TrustedIssuer {
                    issuer: issuer.clone(),
                    jwks_uri: jwt.jwks_uri.clone(),
                    required_claims: BTreeMap::new(),
                };
                vec![(place.clone(), issuer)]
            }
            (None, issuers @ [_, ..]) => {
                if jwt.jwks_uri.is_some() {
                    let at = format!("{place}/jwks_uri");
                    let why = "belongs to 'issuer': write one into each entry of 'issuers'";
                    self.problem(&at, format!("{name}: 'jwks_uri' {why}"));
                }
                let issuers = issuers.iter().enumerate();
                issuers
                    .map(|(at, issuer)| (format!("{place}/issuers/{at}"), issuer.clone()))
                    .collect()
            }
            (None, []) => {
                let why = "'jwt.issuer' is missing: which 'iss' do its tokens have?";
                self.problem(place, format!("{name}: {why}"));
                Vec::new()
            }
            (Some(_), [_, ..]) => {
                let why = "both 'jwt.issuer' and 'jwt.issuers' are there: remove one of them";
                self.problem(place, format!("{name}: {why}"));
                Vec::new()
            }
        }
    }

    /// They are compared with the host of a URL, so what is no plain host would never match.
    fn jwks_hosts(&mut self, section: &Section<'_>, form: &Form, jwt: &Jwt) {
        for (at, host) in jwt.jwks_hosts.iter().enumerate() {
            let is_host = !host.contains('*')
                && url::Host::parse(host).is_ok_and(|parsed| parsed.to_string() == *host);
            if !is_host {
                self.problem(
                    &format!("{}/jwks_hosts/{at}", form.place),
                    format!(
                        "{}: '{host}' in 'jwks_hosts' must be a host name in lower case, without \
                         scheme, port and path",
                        section.name
                    ),
                );
            }
        }
    }
}

/// Where the keys of an issuer are. An error is the member that is wrong, and how.
fn key_source(
    issuer: &TrustedIssuer,
    hosts: &[String],
    urls: UrlPolicy,
) -> Result<KeySource, (&'static str, String)> {
    if let Some(address) = &issuer.jwks_uri {
        // The issuer is then only a name that is compared; ADFS has http:// issuers.
        if issuer.issuer.is_empty() {
            return Err(("issuer", "is empty".to_owned()));
        }
        return urls
            .parse(address)
            .map(KeySource::Fixed)
            .map_err(|error| ("jwks_uri", error.to_string()));
    }
    let url = urls
        .parse(&issuer.issuer)
        .map_err(|error| ("issuer", error.to_string()))?;
    if url.query().is_some() {
        return Err(("issuer", "must not have a query".to_owned()));
    }
    let own = url.host_str().map(str::to_owned);
    Ok(KeySource::Discovered(Discovery {
        issuer: issuer.issuer.clone(),
        hosts: own.into_iter().chain(hosts.iter().cloned()).collect(),
        urls,
    }))
}
