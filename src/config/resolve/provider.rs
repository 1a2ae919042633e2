//! The section `providers`.

mod username;

use std::{collections::HashMap, fs, time::Duration};

use super::Resolver;
use crate::{
    config::{IssuerConfig, ProviderConfig, schema},
    identity::Mapping,
    outbound::{ExtraAuthorities, UrlPolicy},
    verify::{
        algorithm::Algorithm,
        claims::{Audiences, ClaimRules, MachineMarker, TypPolicy},
        discovery::Discovery,
        jwt::JwtVerifier,
        keyring::KeySource,
    },
};

/// RFC 8725 §3.2: what nearly every provider signs with.
const DEFAULT_ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];
const DEFAULT_LEEWAY: &str = "30s";
const LONGEST_LEEWAY: Duration = Duration::from_mins(2);
const DEFAULT_MAX_LIFETIME: &str = "24h";
const DEFAULT_MAX_STALE: &str = "24h";
const A_YEAR: Duration = Duration::from_hours(24 * 365);

/// One provider on its way: where it stands, and what it is called in messages.
struct Section<'p> {
    pointer: String,
    name: &'p str,
    written: &'p schema::Provider,
}

impl Resolver<'_> {
    /// The providers, `None` where a problem was found, and their generic forms.
    pub(super) fn providers(
        &mut self,
        written: &[schema::Provider],
        urls: UrlPolicy,
    ) -> (Vec<Option<ProviderConfig>>, Vec<schema::Provider>) {
        if written.is_empty() {
            self.problem("/providers", "'providers' is empty: no token could be verified");
        }
        let names = written.iter().enumerate();
        let names = names.map(|(at, one)| (format!("/providers/{at}/name"), &*one.name));
        self.unique("provider", &names.collect::<Vec<_>>());
        let mut resolved = Vec::new();
        let mut expanded = Vec::new();
        for (at, provider) in written.iter().enumerate() {
            let section = Section {
                pointer: format!("/providers/{at}"),
                name: &provider.name,
                written: provider,
            };
            self.name(&format!("{}/name", section.pointer), section.name);
            let generic = self.generic(&section);
            resolved.push(
                generic.as_ref().and_then(|(jwt, name)| self.provider(&section, jwt, name.as_ref(), urls)),
            );
            expanded.push(match generic {
                Some((jwt, username)) => schema::Provider {
                    preset: None,
                    jwt: Some(jwt),
                    username,
                    ..provider.clone()
                },
                None => provider.clone(),
            });
        }
        (resolved, expanded)
    }

    /// The generic form: as written, or as the preset expands.
    fn generic(
        &mut self,
        section: &Section<'_>,
    ) -> Option<(schema::Jwt, Option<schema::Username>)> {
        let Section { pointer, name, written } = section;
        let (presets, jwt) = match (&written.preset, &written.jwt) {
            (Some(presets), None) => (presets, None),
            (None, Some(jwt)) => return Some((jwt.clone(), written.username.clone())),
            (Some(_), Some(_)) => (&crate::provider::preset::Presets::default(), Some(())),
            (None, None) => (&crate::provider::preset::Presets::default(), None),
        };
        let chosen = presets.chosen();
        let [(preset_name, preset)] = chosen.as_slice() else {
            let known = crate::provider::preset::Presets::NAMES.join(", ");
            let what = if jwt.is_some() { "both 'preset' and 'jwt' are there" } else { "what kind of provider it is is not said" };
            self.problem(pointer, format!("{name}: {what}: write exactly one of 'jwt' and 'preset' ({known})"));
            return None;
        };
        match preset.expand() {
            Ok(expansion) => {
                let username = match (&written.username, expansion.username) {
                    (Some(username), _) => Some(username.clone()),
                    (None, Ok(username)) => Some(username),
                    (None, Err(why)) => {
                        self.problem(pointer, format!("{name}: 'username' is missing: {why}"));
                        return None;
                    }
                };
                Some((expansion.jwt, username))
            }
            Err((member, why)) => {
                self.problem(&format!("{pointer}/preset/{preset_name}/{member}"), format!("{name}: {member} {why}"));
                None
            }
        }
    }

    fn provider(
        &mut self,
        section: &Section<'_>,
        jwt: &schema::Jwt,
        username: Option<&schema::Username>,
        urls: UrlPolicy,
    ) -> Option<ProviderConfig> {
        let before = self.problems.len();
        let issuers = self.issuers(section, jwt, urls);
        let rules = self.claim_rules(section, jwt);
        let algorithms = self.algorithms(section, jwt);
        let rule = match username {
            Some(username) => self.username(section, username),
            None => {
                let Section { pointer, name, .. } = section;
                self.problem(pointer, format!("{name}: 'username' is missing: which claim names the user?"));
                None
            }
        };
        let machine_clients = self.machine_clients(section);
        let authorities = self.authorities(section);
        let max_stale = self.jwt_duration(section, "max_stale", jwt.max_stale.as_deref().unwrap_or(DEFAULT_MAX_STALE), A_YEAR);
        if self.problems.len() > before {
            return None;
        }
        Some(ProviderConfig {
            name: section.name.to_owned(),
            issuers,
            verifier: JwtVerifier { algorithms, rules },
            mapping: Mapping { rule: rule?, machine_clients },
            required_scopes: section.written.required_scopes.clone(),
            authorities,
            max_stale,
        })
    }

    fn issuers(
        &mut self,
        section: &Section<'_>,
        jwt: &schema::Jwt,
        urls: UrlPolicy,
    ) -> Vec<IssuerConfig> {
        let Section { pointer, name, .. } = section;
        let written: Vec<schema::TrustedIssuer> = match (&jwt.issuer, jwt.issuers.as_slice()) {
            (Some(issuer), []) => {
                vec![schema::TrustedIssuer { issuer: issuer.clone(), jwks_uri: jwt.jwks_uri.clone() }]
            }
            (None, [_, ..]) => jwt.issuers.clone(),
            (None, []) | (Some(_), [_, ..]) => {
                self.problem(&format!("{pointer}/jwt"), format!("{name}: write exactly one of 'jwt.issuer' and 'jwt.issuers'"));
                Vec::new()
            }
        };
        let mut issuers = Vec::new();
        for issuer in &written {
            match key_source(issuer, &jwt.jwks_hosts, urls) {
                Ok(source) => issuers.push(IssuerConfig { issuer: issuer.issuer.clone(), source }),
                Err((member, why)) => self.problem(&format!("{pointer}/jwt/{member}"), format!("{name}: {member} {why}")),
            }
        }
        issuers
    }

    fn claim_rules(&mut self, section: &Section<'_>, jwt: &schema::Jwt) -> ClaimRules {
        let leeway = jwt.leeway.as_deref().unwrap_or(DEFAULT_LEEWAY);
        let max_lifetime = jwt.max_lifetime.as_deref().unwrap_or(DEFAULT_MAX_LIFETIME);
        ClaimRules {
            audiences: self.audiences(section),
            clients: section.written.clients.clone(),
            typ: match jwt.typ {
                None | Some(schema::TypPolicy::AccessToken) => TypPolicy::AccessToken,
                Some(schema::TypPolicy::Legacy) => TypPolicy::Legacy,
            },
            leeway: self.jwt_duration(section, "leeway", leeway, LONGEST_LEEWAY),
            max_lifetime: self.jwt_duration(section, "max_lifetime", max_lifetime, A_YEAR),
            required: jwt.required_claims.clone(),
            machine_markers: self.machine_markers(section, jwt),
        }
    }

    /// DESIGN: a token must be bound to us, or the operator must have written that it need not be.
    fn audiences(&mut self, section: &Section<'_>) -> Audiences {
        let Section { pointer, name, written } = section;
        let audiences = &written.audiences;
        match (audiences.is_empty(), written.accept_unbound_tokens) {
            (true, true) => return Audiences::Unbound,
            (true, false) => self.problem(
                pointer,
                format!("{name}: 'audiences' is missing: a token for any application would be accepted"),
            ),
            (false, true) => self.problem(
                &format!("{pointer}/accept_unbound_tokens"),
                format!("{name}: 'accept_unbound_tokens' contradicts 'audiences': remove one of them"),
            ),
            (false, false) => {}
        }
        if let Some(at) = audiences.iter().position(String::is_empty) {
            self.problem(&format!("{pointer}/audiences/{at}"), format!("{name}: an audience is empty"));
        }
        if written.clients.as_ref().is_some_and(Vec::is_empty) {
            self.problem(&format!("{pointer}/clients"), format!("{name}: 'clients' is empty: no token would be accepted"));
        }
        Audiences::OneOf(audiences.clone())
    }

    fn algorithms(&mut self, section: &Section<'_>, jwt: &schema::Jwt) -> Vec<Algorithm> {
        let algorithms = jwt.algorithms.clone().unwrap_or_else(|| DEFAULT_ALGORITHMS.to_vec());
        if algorithms.is_empty() {
            self.problem(&format!("{}/jwt/algorithms", section.pointer), format!("{}: 'algorithms' is empty", section.name));
        }
        algorithms
    }

    fn machine_markers(&mut self, section: &Section<'_>, jwt: &schema::Jwt) -> Vec<MachineMarker> {
        let mut markers = Vec::new();
        for (at, marker) in jwt.machine_if.iter().enumerate() {
            let claim = marker.claim.clone();
            markers.push(match (&marker.equals, &marker.starts_with, marker.present) {
                (Some(value), None, None) => MachineMarker::Equals(claim, value.clone()),
                (None, Some(prefix), None) => MachineMarker::StartsWith(claim, prefix.clone()),
                (None, None, Some(true)) => MachineMarker::Present(claim),
                (None, None, Some(false)) => MachineMarker::Absent(claim),
                _ => {
                    self.problem(
                        &format!("{}/jwt/machine_if/{at}", section.pointer),
                        format!("{}: write exactly one of 'equals', 'starts_with', 'present'", section.name),
                    );
                    continue;
                }
            });
        }
        markers
    }

    fn jwt_duration(
        &mut self,
        section: &Section<'_>,
        member: &str,
        text: &str,
        longest: Duration,
    ) -> Duration {
        self.duration(&format!("{}/jwt/{member}", section.pointer), text, longest)
    }

    fn machine_clients(
        &mut self,
        section: &Section<'_>,
    ) -> HashMap<String, crate::identity::Username> {
        let Section { pointer, name, written } = section;
        let policy = self.policy(section, written.username.as_ref());
        let mut clients = HashMap::new();
        for (client, user) in &written.machine_clients {
            match crate::identity::Username::parse(user, &policy) {
                Ok(username) => drop(clients.insert(client.clone(), username)),
                Err(error) => self.problem(
                    &format!("{pointer}/machine_clients/{}", client.replace('~', "~0").replace('/', "~1")),
                    format!("{name}: machine_clients: {error}"),
                ),
            }
        }
        clients
    }

    fn authorities(&mut self, section: &Section<'_>) -> ExtraAuthorities {
        let Some(file) = &section.written.ca_file else {
            return ExtraAuthorities::default();
        };
        let read = fs::read(self.path(file)).map_err(|error| error.to_string());
        let parsed = read.and_then(|pem| ExtraAuthorities::from_pem(&pem).map_err(|error| error.to_string()));
        match parsed {
            Ok(authorities) if !authorities.is_empty() => authorities,
            Ok(_) => {
                self.problem(&format!("{}/ca_file", section.pointer), format!("{}: {file} holds no PEM certificate", section.name));
                ExtraAuthorities::default()
            }
            Err(error) => {
                self.problem(&format!("{}/ca_file", section.pointer), format!("{}: {file}: {error}", section.name));
                ExtraAuthorities::default()
            }
        }
    }
}

/// Where the keys of an issuer are. An error is the member that is wrong, and how.
fn key_source(
    issuer: &schema::TrustedIssuer,
    hosts: &[String],
    urls: UrlPolicy,
) -> Result<KeySource, (&'static str, String)> {
    let url = urls.parse(&issuer.issuer);
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
    let url = url.map_err(|error| ("issuer", error.to_string()))?;
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
