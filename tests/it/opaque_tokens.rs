//! A real OpenID provider whose access tokens only it understands: introspection, revocation, and the
//! three ways to say who asks.

use std::{fs, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    children::Running, client, envoy::Options, eventually, service::Service, upstream::Upstream,
};

struct Provider {
    _process: Running,
    ready: Value,
    keys: TempDir,
}

impl Provider {
    fn start() -> Self {
        let keys = TempDir::new().expect("a directory");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/oidc/server.mjs");
        let mut command = Command::new("node");
        command
            .args([script, "--port", "0", "--exit-with-parent", "--keys"])
            .arg(keys.path());
        let mut process = Running::start(command);
        let ready = process.wait_for("the provider", |line| {
            serde_json::from_str(line.strip_prefix("ready ")?).ok()
        });
        Self {
            _process: process,
            ready,
            keys,
        }
    }

    fn post(&self, path: &str, form: &str) -> client::Answer {
        let issuer = self.ready["issuer"].as_str().expect("an issuer");
        let address = issuer.strip_prefix("http://").expect("http");
        let length = form.len();
        client::send(
            address,
            format!(
                "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
            )
            .as_bytes(),
        )
    }

    fn token(&self, form: &str) -> String {
        let answer = self.post("/token", form);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let tokens: Value = serde_json::from_str(&answer.body).expect("JSON");
        tokens["access_token"].as_str().expect("a token").to_owned()
    }

    /// A token of alice's for a resource.
    fn alice(&self, resource: &str) -> String {
        self.token(&format!(
            "grant_type=password&client_id=cli&client_secret=cli-secret&username=alice\
             &password=alice-password&scope=read&resource={resource}"
        ))
    }

    fn machine(&self, resource: &str) -> String {
        self.token(&format!(
            "grant_type=client_credentials&client_id=cli&client_secret=cli-secret&scope=read&resource={resource}"
        ))
    }

    /// One provider that is asked, with these members besides.
    fn asked(&self, client: &str, rest: &str) -> String {
        let endpoint = self.ready["introspection_endpoint"]
            .as_str()
            .expect("a URL");
        format!(
            "providers:\n  - name: opaque\n    introspection: {{ endpoint: \"{endpoint}\", {client}, cache_ttl: 1s, \
             machine_if: [{{ claim: sub, present: false }}] }}\n    \
             audiences: [jira-api]\n    username: {{ claim: preferred_username }}\n{rest}\
             applications:\n  - {{ name: jira, product: jira, hosts: [jira.example.com, 127.0.0.1] }}\n"
        )
    }

    fn secret(&self, text: &str) -> String {
        let file = self.keys.path().join(format!("secret-{}", text.len()));
        fs::write(&file, text).expect("written");
        format!("client_secret: {{ file: {} }}", file.display())
    }

    fn usual(&self) -> String {
        let secret = self.secret("gateway-secret");
        self.asked(&format!("client_id: gateway, {secret}"), "")
    }
}

const OPAQUE: &str = "urn:jira-api:opaque";

#[test]
fn an_opaque_token_is_whose_its_provider_says_it_is() {
    let provider = Provider::start();
    let mut service = Service::with_config(&provider.usual());
    let upstream = Upstream::start();
    let envoy = Options::new(&service.grpc, upstream.port).start();

    let token = provider.alice(OPAQUE);
    assert!(!token.contains('.'), "an opaque token");
    let headers = [
        format!("Authorization: Bearer {token}"),
        "X-Remote-User: admin".to_owned(),
    ];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let answer = client::get(&envoy.address, "/rest/api/2/myself", &headers);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(upstream.last().identities(), [("x-remote-user", "alice")]);
    assert!(upstream.last().values("authorization").is_empty());

    let unknown = service.check_token("never-issued-by-anybody");
    assert_eq!((unknown.status, unknown.reason()), (401, "token_inactive"));
    let foreign = service.check_token(&provider.alice("urn:other-api:opaque"));
    assert_eq!((foreign.status, foreign.reason()), (401, "wrong_audience"));
    let machine = service.check_token(&provider.machine(OPAQUE));
    assert_eq!(
        (machine.status, machine.reason()),
        (403, "machine_client_not_mapped")
    );
    let jwt = service.check_token(&provider.alice("urn:jira-api"));
    assert_eq!(
        (jwt.status, jwt.reason()),
        (401, "unknown_issuer"),
        "a JWT is not sent"
    );

    let log = service.process.output();
    for secret in [token.as_str(), "gateway-secret"] {
        assert!(!log.contains(secret), "in the log: {secret}");
    }
}

#[test]
fn a_revoked_token_ends_while_it_is_remembered_and_an_expired_one_at_its_end() {
    let provider = Provider::start();
    let mut service = Service::with_config(&provider.usual());
    let token = provider.alice(OPAQUE);
    assert_eq!(service.check_token(&token).user(), Some("alice"));
    let form = format!("token={token}&client_id=cli&client_secret=cli-secret");
    assert_eq!(provider.post("/token/revocation", &form).status, 200);
    eventually("the end of the revoked token", || {
        let outcome = service.check_token(&token);
        (outcome.reason() == "token_inactive").then_some(())
    });

    let short = provider.token(&format!(
        "grant_type=password&client_id=short-lived&client_secret=short-lived-secret&username=alice\
         &password=alice-password&scope=read&resource={OPAQUE}"
    ));
    eventually("the end of the expired token", || {
        let outcome = service.check_token(&short);
        (outcome.status == 401).then_some(())
    });
}

#[test]
fn a_machine_is_its_own_user_when_it_is_mapped() {
    let provider = Provider::start();
    let secret = provider.secret("gateway-secret");
    let mapped = "    machine_clients: { cli: svc-ci }\n";
    let config = provider.asked(&format!("client_id: gateway, {secret}"), mapped);
    let mut service = Service::with_config(&config);
    assert_eq!(
        service.check_token(&provider.machine(OPAQUE)).user(),
        Some("svc-ci")
    );
    assert_eq!(
        service.check_token(&provider.alice(OPAQUE)).user(),
        Some("alice")
    );
}

#[test]
fn we_prove_who_we_are_in_each_of_the_three_ways() {
    let provider = Provider::start();
    let key = |name: &str| provider.keys.path().join(name).display().to_string();
    let post = provider.secret("gateway-post-secret");
    let (rsa, ec) = (key("gateway-rsa.pem"), key("gateway-ec.pem"));
    for client in [
        format!("client_id: gateway, {}", provider.secret("gateway-secret")),
        format!("client_id: gateway-post, client_auth: client_secret_post, {post}"),
        format!(
            "client_id: gateway-rsa, client_auth: private_key_jwt, key_algorithm: RS256, \
             private_key: {{ file: {rsa} }}"
        ),
        format!(
            "client_id: gateway-ec, client_auth: private_key_jwt, key_algorithm: ES256, key_id: ec, \
             private_key: {{ file: {ec} }}"
        ),
    ] {
        let mut service = Service::with_config(&provider.asked(&client, ""));
        let outcome = service.check_token(&provider.alice(OPAQUE));
        assert_eq!(
            outcome.user(),
            Some("alice"),
            "{client}: {}",
            outcome.reason()
        );
    }
}

#[test]
fn our_own_wrong_secret_is_a_503_and_is_not_remembered() {
    let provider = Provider::start();
    let wrong = provider.secret("wrong-secret");
    let config = provider.asked(&format!("client_id: gateway, {wrong}"), "");
    let mut service = Service::with_config(&config);
    let token = provider.alice(OPAQUE);
    for _ in 0..2 {
        let outcome = service.check_token(&token);
        assert_eq!(
            (outcome.status, outcome.reason()),
            (503, "provider_credentials_refused")
        );
        assert!(outcome.header("retry-after").is_some());
    }
    let asked = "atlassian_authz_provider_checks_total{provider=\"opaque\",outcome=\"credentials_refused\"}";
    assert!(service.metric(asked) >= 2.0, "asked again each time");
    service.process.wait_for("a line about it", |line| {
        line.contains("it refuses our own credentials (status 401)")
            .then_some(())
    });
}

#[test]
fn jwts_of_every_algorithm_are_verified_without_asking() {
    let provider = Provider::start();
    let issuer = provider.ready["issuer"].as_str().expect("an issuer");
    let mut service = Service::with_config(&format!(
        "providers:\n  - name: jwt\n    jwt: {{ issuer: \"{issuer}\", algorithms: [ES256, EdDSA, PS256, RS256] }}\n    \
         audiences: [jira-api]\n    username: {{ claim: preferred_username }}\n\
         applications:\n  - {{ name: jira, product: jira, hosts: [jira.example.com] }}\n"
    ));
    for algorithm in ["ES256", "EdDSA", "PS256", "RS256"] {
        let token = provider.alice(&format!("urn:jira-api:{algorithm}"));
        let outcome = service.check_token(&token);
        assert_eq!(
            outcome.user(),
            Some("alice"),
            "{algorithm}: {}",
            outcome.reason()
        );
    }
    let opaque = service.check_token(&provider.alice(OPAQUE));
    assert_eq!(
        (opaque.status, opaque.reason()),
        (401, "no_provider_for_opaque_token")
    );
}
