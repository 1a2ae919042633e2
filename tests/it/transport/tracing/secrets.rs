//! Secrets that travel in the requests to providers: in a query, in a body, in a header.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use tempfile::TempDir;

use super::super::end_of;
use crate::support::{
    collector::Collector,
    idp::{Answer, Idp},
    service::{Check, Service},
    tokens::unix_now,
};

const TOKEN: &str = "cnry-a-token-that-is-shown-to-its-provider";
const SECRET: &str = "cnry-the-secret-of-the-gateway";
const EMAIL: &str = "cnry-a-claim@example.com";
const SESSION: &str = "cnry-a-session-in-a-path";

#[test]
fn no_span_holds_what_a_request_to_a_provider_holds() {
    let (idp, collector) = (Idp::start(), Collector::start());
    let directory = TempDir::new().expect("a directory");
    let secret = directory.path().join("secret");
    std::fs::write(&secret, SECRET).expect("written");
    let answer = json!({
        "user": "alice", "aud": "jira-api", "email": EMAIL, "exp": unix_now() + 600,
        "active": true, "username": "alice", "client_id": "c",
    });
    idp.answer("/tokeninfo", Answer::Json(answer.to_string()));
    idp.answer("/introspect", Answer::Json(answer.to_string()));
    let in_query = format!(
        "http_check: {{ calls: [{{ url: '{}/tokeninfo', token: query, token_name: input_token, \
         client: {{ id: gateway, secret: {{ file: {} }}, sent: app_access_token }} }}], \
         claims: {{ user: {{ at: /user }}, aud: {{ at: /aud }}, exp: {{ at: /exp }}, email: {{ at: /email }} }} }}",
        idp.issuer,
        secret.display()
    );
    let in_body = format!(
        "introspection: {{ endpoint: '{}/introspect', client_id: gateway, client_secret: {{ file: {} }} }}",
        idp.issuer,
        secret.display()
    );
    for (method, claim) in [(&in_query, "user"), (&in_body, "username")] {
        let config = format!(
            "providers:\n  - name: asked\n    {method}\n    audiences: [jira-api]\n    username: {{ claim: {claim} }}\n\
             applications:\n  - {{ name: jira, product: jira, hosts: [jira.example.com] }}\n{}",
            collector.section("1")
        );
        let mut service = Service::with_config(&config);
        let path = format!("/browse;jsessionid={SESSION}/x?os_cookie={SESSION}");
        let ask = |path: &str| {
            Check::get(path)
                .bearer(TOKEN)
                .header("cookie", SESSION)
                .build()
        };
        assert_eq!(
            service.check(ask("/x?jql=1")).user(),
            Some("alice"),
            "{claim}"
        );
        assert_ne!(service.check(ask(&path)).user(), Some("alice"));
        for status in ["500 Internal Server Error", "400 Bad Request", "302 Found"] {
            let refusal = Answer::status(status, &[], &format!("{TOKEN} {EMAIL}"));
            idp.answer_about(
                &format!("{TOKEN}{}", &status[..3]),
                "/tokeninfo",
                refusal.clone(),
            );
            idp.answer_about(&format!("{TOKEN}{}", &status[..3]), "/introspect", refusal);
            let bad = Check::get("/x").bearer(&format!("{TOKEN}{}", &status[..3]));
            assert_ne!(service.check(bad.build()).status, 200, "{status}");
        }
        service.process.signal("TERM");
        let stopped = end_of(&mut service.process, "\"message\":\"stopped\"");
        assert_eq!(stopped.0, Some(0));
    }
    assert_eq!(collector.named("check").len(), 10);
    let questions = collector.named("GET").len() + collector.named("POST").len();
    assert_eq!(questions, 8);
    let sent = String::from_utf8_lossy(&collector.bytes()).into_owned();
    assert!(
        sent.contains("alice") && sent.contains("127.0.0.1"),
        "it is read"
    );
    let basic = STANDARD.encode(format!("gateway:{SECRET}"));
    for secret in [
        TOKEN,
        SECRET,
        EMAIL,
        SESSION,
        &basic,
        "jql=1",
        "/tokeninfo",
        "cnry",
    ] {
        assert!(!sent.contains(secret), "{secret}");
    }
}
