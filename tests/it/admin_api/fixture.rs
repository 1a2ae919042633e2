//! A service with an admin API, two providers and a store of tokens.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    client::{self, Answer},
    idp::Idp,
    service::Service,
    tokens::Token,
};

/// Administrators by group and by name, and users who help themselves.
const ADMIN: &str = "admin:\n  providers: [idp]\n  access: { groups: [authz-admins], users: [Boss] }\n  self_service: true\n";

pub struct Api {
    pub service: Service,
    /// Takes jira; its users may use the API.
    pub idp: Idp,
    /// Takes the wiki; the API does not know it.
    pub other: Idp,
    _directory: TempDir,
}

impl Api {
    pub fn start() -> Self {
        Self::with(ADMIN, "")
    }

    /// With this section `admin`, and further members of `api_tokens`.
    pub fn with(admin: &str, further: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let pepper = directory.path().join("pepper");
        fs::write(&pepper, "a pepper of the tests, long enough").expect("written");
        let section = format!(
            "api_tokens:\n  store: \"sqlite://{}\"\n  pepper: {{ file: \"{}\" }}\n  usage_interval: 1s\n{further}",
            directory.path().join("tokens.db").display(),
            pepper.display(),
        );
        Self::of(directory, &format!("{section}{admin}"))
    }

    pub fn without_tokens() -> Self {
        let directory = TempDir::new().expect("a directory");
        Self::of(directory, &ADMIN.replace("  self_service: true\n", ""))
    }

    fn of(directory: TempDir, sections: &str) -> Self {
        let (idp, other) = (Idp::start(), Idp::start());
        let provider = |name: &str, idp: &Idp| {
            format!(
                "  - name: {name}\n    jwt: {{ issuer: \"{}\", leeway: 0s }}\n    audiences: [jira-api]\n    \
                 username: {{ claim: preferred_username }}\n    \
                 groups: {{ claim: groups, unknown_if_present: [hasgroups] }}\n",
                idp.issuer
            )
        };
        let config = format!(
            "providers:\n{}{}{sections}applications:\n  \
             - {{ name: jira, product: jira, hosts: [jira.example.com], providers: [idp] }}\n  \
             - {{ name: wiki, product: confluence, hosts: [wiki.example.com], providers: [other] }}\n",
            provider("idp", &idp),
            provider("other", &other),
        );
        Self {
            service: Service::with_config(&config),
            idp,
            other,
            _directory: directory,
        }
    }

    /// A token of the provider's for this user.
    pub fn token_of(&self, user: &str) -> String {
        let token = Token::of(&self.idp.issuer);
        token.claim("preferred_username", user).signed()
    }

    /// A token of an administrator, by their group.
    pub fn admin(&self) -> String {
        let token = Token::of(&self.idp.issuer).claim("preferred_username", "carol");
        token
            .claim("groups", json!(["dev", "authz-admins"]))
            .signed()
    }

    pub fn get(&self, path: &str, token: &str) -> Answer {
        self.send("GET", path, &[&bearer(token)], "")
    }

    pub fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        let lines = [&*bearer(token), "content-type: application/json"];
        self.send("POST", path, &lines, &body.to_string())
    }

    /// Exactly these header lines and this body, below `/api/v1`.
    pub fn send(&self, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
        let answer = ask(
            &self.service,
            method,
            &format!("/api/v1{path}"),
            lines,
            body,
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        let allows = |(name, _): &&(String, String)| name.starts_with("access-control-");
        assert_eq!(answer.headers.iter().find(allows), None, "{path}");
        answer
    }

    /// Makes a token through the API.
    pub fn make(&self, caller: &str, order: &Value) -> Value {
        let answer = self.post("/tokens", caller, order);
        assert_eq!(answer.status, 201, "{}", answer.body);
        json_of(&answer)
    }
}

pub fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

pub fn ask(service: &Service, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{lines}\r\n{body}",
        service.admin,
        body.len()
    );
    client::send(&service.admin, request.as_bytes())
}

pub fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("no JSON: {}", answer.body))
}

/// The problem of an answer, which must have this status and this code.
pub fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let problem = json_of(answer);
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["type"], "about:blank");
    assert!(problem["title"].is_string() && problem["detail"].is_string());
    let challenge = (status == 401).then_some("Bearer realm=\"atlassian-authz\"");
    assert_eq!(answer.header("www-authenticate"), challenge);
    let waits = status == 503 || status == 429;
    assert_eq!(answer.header("retry-after").is_some(), waits);
    problem
}

/// The usual order.
pub fn order() -> Value {
    json!({"name": "ci", "expires": "30d", "applications": ["jira"]})
}
