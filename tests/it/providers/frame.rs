//! What a case is, and how it is run.

use std::{fs, process::Command};

use atlassian_authz::provider::preset::Presets;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    idp::{Answer, Idp, JWKS},
    keys::{SigningKey, other_rs256, shared_rs256},
    service::Service,
    tokens::unix_now,
};

const JWT: &str = "jwt";
const INTROSPECTION: &str = "introspection";
const HTTP_CHECK: &str = "http_check";
const ALL: &[&str] = &[JWT, INTROSPECTION, HTTP_CHECK];
const REMOTE: &[&str] = &[INTROSPECTION, HTTP_CHECK];

/// The cases, and the forms of provider that each applies to.
pub const CASES: &[(&str, &[&str])] = &[
    ("valid_user", ALL),
    ("expired", ALL),
    ("foreign_audience", ALL),
    ("foreign_client", ALL),
    ("foreign_tenant_or_realm", ALL),
    ("machine_token_unmapped", ALL),
    ("machine_token_mapped", ALL),
    ("username_claim_missing", ALL),
    ("username_claim_array", ALL),
    ("username_claim_with_crlf", ALL),
    ("username_not_mapped", ALL),
    ("duplicate_json_member", ALL),
    ("sender_constrained_cnf", &[JWT, INTROSPECTION]),
    ("id_token_instead", &[JWT, INTROSPECTION]),
    ("refresh_token_instead", &[JWT, INTROSPECTION]),
    ("not_yet_valid", &[JWT, INTROSPECTION]),
    ("issuer_trailing_slash_variant", &[JWT]),
    ("wrong_signature", &[JWT]),
    ("unknown_kid_then_rotated", &[JWT]),
    ("alg_none", &[JWT]),
    ("alg_hs256_with_public_key", &[JWT]),
    ("remote_invalid_form", REMOTE),
    ("remote_active_is_string", &[INTROSPECTION]),
    ("remote_own_credentials_wrong", REMOTE),
    ("remote_429", REMOTE),
    ("remote_5xx", REMOTE),
    ("remote_timeout", REMOTE),
    ("remote_html_200", REMOTE),
    ("remote_truncated_body", REMOTE),
    ("remote_oversized_body", REMOTE),
    ("remote_redirect", REMOTE),
];

/// One preset and everything that is tried with it.
pub struct Subject {
    pub preset: &'static str,
    /// The members of the provider in the configuration, besides `name`.
    pub provider: &'static str,
    /// Addresses in the expanded form that the loopback server stands for: how each begins.
    pub hosts: &'static [&'static str],
    pub cases: Vec<Case>,
    /// Cases that do not apply, with the reason.
    pub exceptions: Vec<(&'static str, &'static str)>,
}

/// One token, what its provider says of it, and what must come of it.
pub struct Case {
    pub name: &'static str,
    pub token: String,
    /// Path at the provider, and its answer about this token.
    pub answers: Vec<(&'static str, Answer)>,
    pub expected: Expected,
    /// Publish a second key, `k2`, first.
    pub rotates: bool,
    /// Ask a service that has not seen any failure of the provider yet.
    pub afresh: bool,
}

/// What the service must say.
pub enum Expected {
    User(&'static str),
    Denied(u16, &'static str),
}

impl Case {
    pub fn new(name: &'static str, token: impl Into<String>, expected: Expected) -> Self {
        Self {
            name,
            token: token.into(),
            answers: Vec::new(),
            expected,
            rotates: false,
            afresh: false,
        }
    }

    pub fn answered(mut self, path: &'static str, answer: Answer) -> Self {
        self.answers.push((path, answer));
        self
    }
}

impl Subject {
    pub fn mode(&self) -> &'static str {
        let at = Presets::NAMES.iter().position(|name| *name == self.preset);
        Presets::ABOUT[at.expect("a preset")].mode
    }

    /// Asks about every token and compares; prints a row for each.
    pub fn run(self) {
        let idp = Idp::start();
        let config = self.expanded(&idp);
        let mut service = Service::with_config(&config);
        let mut wrong = Vec::new();
        let mut log = String::new();
        for case in &self.cases {
            for (path, answer) in &case.answers {
                idp.answer_about(&case.token, path, answer.clone());
            }
            if case.afresh {
                log.push_str(&service.process.output());
                service = Service::with_config(&config);
            }
            if case.rotates {
                let keys: [(&str, &SigningKey); 2] =
                    [("k1", shared_rs256()), ("k2", other_rs256())];
                idp.publish(&keys);
            }
            let answer = service.check_token(&case.token);
            let user = answer.user().map(str::to_owned);
            let verdict = format!(
                "{} {}",
                answer.status,
                user.as_deref().unwrap_or_else(|| answer.reason())
            );
            eprintln!(
                "| {:<24} | {:<36} | {verdict:<42} |",
                self.preset, case.name
            );
            let expected = match case.expected {
                Expected::User(user) => format!("200 {user}"),
                Expected::Denied(status, reason) => format!("{status} {reason}"),
            };
            if verdict != expected {
                wrong.push(format!("{}: {verdict}, not {expected}", case.name));
            }
        }
        log.push_str(&service.process.output());
        for case in self.cases.iter().filter(|case| case.token.len() > 20) {
            assert!(
                !log.contains(&case.token),
                "{}: a token is in the log",
                case.name
            );
        }
        assert!(!log.contains(SECRET), "a secret is in the log");
        assert!(
            wrong.is_empty(),
            "{}:\n{}\n{log}",
            self.preset,
            wrong.join("\n")
        );
    }

    /// The generic form, at a loopback server.
    pub fn expanded(&self, idp: &Idp) -> String {
        let directory = TempDir::new().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        fs::write(path("users.yaml"), USERS).expect("written");
        fs::write(path("secret"), SECRET).expect("written");
        fs::write(
            path("config.yaml"),
            format!(
                "listen: {{ grpc: '127.0.0.1:0', admin: '127.0.0.1:0' }}\n\
                 log: {{ level: trace, format: json }}\nshutdown: {{ drain_delay: 0s }}\n\
                 outbound: {{ allow_loopback_http: true }}\n\
                 limits: {{ check_timeout: 10s }}\n\
                 providers:\n  - name: tested\n{}\n\
                 applications:\n  - {{ name: jira, product: jira, hosts: [jira.example.com] }}\n",
                indented(self.provider)
            ),
        )
        .expect("written");
        let output = Command::new(env!("CARGO_BIN_EXE_atlassian-authz"))
            .args(["config", "show"])
            .arg(path("config.yaml"))
            .output()
            .expect("runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {errors}", self.preset);
        let mut shown = String::from_utf8(output.stdout).expect("UTF-8");
        // Only where requests go: an issuer is a name that is compared.
        for host in self.hosts {
            for place in ["url: ", "endpoint: "] {
                let at = format!("{place}{}", idp.issuer);
                shown = shown.replace(&format!("{place}{host}"), &at);
            }
        }
        let keys = format!("jwks_uri: {}{JWKS}", idp.issuer);
        let shown: Vec<String> = shown
            .lines()
            .map(|line| match line.split_once("jwks_uri: ") {
                Some((before, _)) => format!("{before}{keys}"),
                None => line.to_owned(),
            })
            .collect();
        let shown = shown.join("\n");
        for place in ["url: https", "endpoint: https"] {
            assert!(!shown.contains(place), "a real address in\n{shown}");
        }
        let keep = directory.keep();
        shown
            .replace("timeout: 2s", "timeout: 500ms")
            .replace(
                "map: users.yaml",
                &format!("map: {}/users.yaml", keep.display()),
            )
            .replace("file: secret", &format!("file: {}/secret", keep.display()))
    }
}

/// Never to be seen in a log.
pub const SECRET: &str = "s3cr3t-of-the-gateway";

/// The users of the fixtures.
const USERS: &str = "\
\"690222be-ff1a-4d56-abd1-7e4f7d38e474\": abe
\"110169484474386276334\": jdoe
\"1\": octocat
\"42\": jdoe
W12345678: grace
U0R7JM: krane
\"10215241773831025\": jdoe
\"auth0|123456\": jdoe
\"5f0a2c1e-aaaa-bbbb-cccc-ddddeeeeffff\": jdoe
";

fn indented(members: &str) -> String {
    let lines = members.trim().lines();
    lines.map(|line| format!("    {line}\n")).collect()
}

/// When the documents in `fixtures/` were written.
pub const DOCUMENTED: i64 = 1_790_000_000;

/// Moves the dates of a document to now.
pub fn now_from(documented: i64) -> i64 {
    documented - DOCUMENTED + unix_now() - 5
}

/// The status, headers and body of a published answer, its dates moved.
pub fn published(text: &str, change: impl FnOnce(&mut Value)) -> Answer {
    let fixture: Value = serde_json::from_str(text).expect("JSON");
    let response = &fixture["response"];
    let mut body = response["body"].clone();
    for pointer in [
        "/exp",
        "/iat",
        "/nbf",
        "/data/expires_at",
        "/data/issued_at",
    ] {
        if let Some(date) = body.pointer_mut(pointer) {
            *date = date.as_i64().map_or_else(
                || {
                    let text = date.as_str().expect("a date");
                    now_from(text.parse().expect("a number")).to_string().into()
                },
                |date| now_from(date).into(),
            );
        }
    }
    change(&mut body);
    let headers: Vec<String> = response["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}: {}", value.as_str().expect("text")))
        .collect();
    let mut headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    if !headers
        .iter()
        .any(|header| header.starts_with("content-type"))
    {
        headers.push("content-type: application/json");
    }
    let status = response["status"].as_u64().expect("a status");
    let text = body
        .as_str()
        .map_or_else(|| body.to_string(), str::to_owned);
    Answer::status(&format!("{status} X"), &headers, &text)
}
