//! Configurations of the service under measurement.

use std::{fmt::Write, path::PathBuf};

use super::calls::{HOST, NATIVE_HOST};

/// What differs from the smallest useful configuration.
#[derive(Clone)]
pub struct Config {
    /// One provider for each.
    pub issuers: Vec<String>,
    /// `listen.grpc`
    pub listen: String,
    /// In all; the one that is asked about is in the middle.
    pub applications: usize,
    /// Access rules of each application.
    pub rules: usize,
    /// How many identities are remembered; `None`: the default.
    pub remembered: Option<usize>,
    /// Where the API tokens and the pepper are.
    pub api_tokens: Option<(PathBuf, PathBuf)>,
}

impl Config {
    /// One provider, one application and one more that takes requests without a credential, the defaults for all the
    /// rest.
    pub fn of(issuers: &[String]) -> Self {
        Self {
            issuers: issuers.to_vec(),
            listen: "127.0.0.1:0".to_owned(),
            applications: 1,
            rules: 0,
            remembered: None,
            api_tokens: None,
        }
    }

    pub fn yaml(&self) -> String {
        let mut yaml = format!(
            "listen: {{ grpc: \"{}\", admin: 127.0.0.1:0 }}\n\
             log: {{ level: info, format: json }}\n\
             outbound: {{ allow_loopback_http: true }}\n\
             shutdown: {{ drain_delay: 0s }}\n",
            self.listen
        );
        if let Some(entries) = self.remembered {
            let bytes = entries * 4096;
            yaml += &format!("limits: {{ cache_entries: {entries}, cache_bytes: {bytes} }}\n");
        }
        if let Some((store, pepper)) = &self.api_tokens {
            let (store, pepper) = (store.display(), pepper.display());
            yaml += &format!(
                "api_tokens:\n  store: \"sqlite://{store}\"\n  pepper: {{ file: \"{pepper}\" }}\n"
            );
        }
        yaml += "providers:\n";
        for (number, issuer) in self.issuers.iter().enumerate() {
            yaml += &format!(
                "  - name: idp{number}\n    \
                 jwt: {{ issuer: \"{issuer}\", algorithms: [RS256, ES256, EdDSA] }}\n    \
                 audiences: [jira-api]\n    username: {{ claim: preferred_username }}\n"
            );
        }
        yaml += "applications:\n";
        yaml += &format!(
            "  - name: browsers\n    product: confluence\n    hosts: [{NATIVE_HOST}]\n    \
             without_credentials: native\n"
        );
        for number in 0..self.applications {
            self.application(&mut yaml, number);
        }
        yaml
    }

    fn application(&self, yaml: &mut String, number: usize) {
        let host = if number == self.applications / 2 {
            HOST.to_owned()
        } else {
            format!("jira-{number}.example.com")
        };
        let name = if host == HOST {
            "jira".to_owned()
        } else {
            format!("jira-{number}")
        };
        *yaml += &format!("  - name: {name}\n    product: jira\n    hosts: [{host}]\n");
        if self.rules > 0 {
            *yaml += "    access:\n      rules:\n";
        }
        for number in 0..self.rules {
            let expression = rule(number);
            writeln!(
                yaml,
                "        - {{ name: r{number}, deny: \"{expression}\" }}"
            )
            .expect("text");
        }
    }
}

/// Rules as operators write them: about users, clients, paths, scopes that nobody has.
fn rule(number: usize) -> String {
    match number % 4 {
        0 => format!("identity.username == 'svc-{number}' && request.operation == 'write'"),
        1 => format!("request.resource.startsWith('/rest/admin-{number}')"),
        2 => format!("identity.client == 'client-{number}' || 'scope-{number}' in identity.scopes"),
        _ => format!("request.method == 'DELETE' && request.path.endsWith('/{number}')"),
    }
}
