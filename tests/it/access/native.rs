//! What is left to the product: its own logins, preflights of browsers, and nothing that claims to be a user.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::fixture::{Lab, alice, code, config};
use crate::support::{client, service::Check};

fn personal_access_token() -> String {
    STANDARD.encode([b"601462647388:".as_slice(), &[0xa7; 20]].concat())
}

const BITBUCKETS: &str = "BBDC-MDYwNzU2NDU3MzM4Orc0m4BQ0yL9v2v1sBz9cQpRkVx3";

/// A browser's session, a password and the product's own tokens arrive as they were sent; what says who the user is
/// does not.
#[test]
fn the_products_own_credentials_pass_untouched_where_they_may() {
    let lab = Lab::new();
    let envoy = lab.envoy();
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let lies = [
        "X-Remote-User: admin",
        "x_remote_user: admin",
        "Remote-User: admin",
    ];
    let requests = [
        (vec!["Cookie: JSESSIONID=1".to_owned()], "none"),
        (vec![], "none"),
        (
            vec![format!(
                "Authorization: Basic {}",
                STANDARD.encode("bob:secret")
            )],
            "password",
        ),
        (
            vec![bearer(&personal_access_token()), "Cookie: a=b".to_owned()],
            "product_token",
        ),
        (vec![bearer(BITBUCKETS)], "product_token"),
    ];
    for (before, (lines, credential)) in requests.into_iter().enumerate() {
        let mut sent: Vec<&str> = lines.iter().map(String::as_str).collect();
        sent.extend(lies);
        sent.push("X-HTTP-Method-Override: PUT");
        let ask = || client::request(&envoy.address, "POST", "/x", "wiki.example.com", &sent);
        let (answer, seen) = lab.arrives(ask);
        assert_eq!(answer.status, 200, "{credential}");
        let seen = seen.expect("arrives");
        assert_eq!(seen.identities(), [], "{credential}");
        for line in &lines {
            let (name, value) = line.split_once(": ").unwrap();
            assert_eq!(seen.values(name), [value], "{credential}");
        }
        assert_eq!(seen.values("x-http-method-override"), ["PUT"]);
        let decided = lab.told(before + 1);
        assert_eq!(decided["reason"], "native");
        assert_eq!(decided["credential"], credential);
        assert!(decided["user"].is_null());
    }
    let native = "atlassian_authz_decisions_total{application=\"wiki\",provider=\"\",status=\"200\",reason=\"native\",enforcement=\"enforce\"} ";
    assert!(
        lab.service.metric(native) >= 5.0,
        "{}",
        lab.service.admin_page("/metrics").1
    );
}

/// The same requests elsewhere, and nobody else is ever asked about them.
#[test]
fn the_products_own_credentials_are_refused_where_they_may_not_pass() {
    let lab = Lab::with(|idp| {
        format!(
            "providers:\n  - name: all\n    introspection: {{ endpoint: \"{0}/introspect\", client_id: gateway, client_secret: {{ env: PATH }} }}\n    \
             audiences: [jira-api]\n    username: {{ claim: username }}\n\
             applications:\n  - {{ name: jira, product: jira, hosts: [jira.example.com] }}\n",
            idp.issuer
        )
    });
    let mut asker = lab.service.asker();
    for (token, word) in [
        (
            personal_access_token().as_str(),
            "product_token_not_accepted",
        ),
        (BITBUCKETS, "product_token_not_accepted"),
    ] {
        let outcome = asker.check(Check::get("/x").bearer(token).build());
        assert_eq!((outcome.status, outcome.reason()), (401, word));
        assert!(outcome.body.contains(word), "{}", outcome.body);
        assert_eq!(outcome.metadata["credential"], "product_token");
    }
    assert_eq!(lab.idp.received().len(), 0, "a provider was asked");
    // What has no such shape is the provider's.
    let outcome = asker.check(Check::get("/x").bearer("opaque").build());
    assert_ne!(outcome.reason(), "product_token_not_accepted");
    assert!(
        lab.idp.count("/introspect") > 0,
        "the provider was not asked"
    );
}

#[test]
fn a_bad_token_is_not_left_to_the_product() {
    let mut lab = Lab::new();
    for token in [
        "garbage",
        "a.b.c",
        &format!("{}x", alice(&lab.idp)),
        "axt_unknown",
    ] {
        let outcome = lab.service.check(
            Check::new("GET", "wiki.example.com", "/x")
                .bearer(token)
                .build(),
        );
        assert_eq!(outcome.status, 401, "{token}");
    }
}

#[test]
fn a_preflight_passes_without_an_identity_and_nothing_else_does() {
    let mut lab = Lab::new();
    let preflight = || {
        Check::new("OPTIONS", "code.example.com", "/rest/api/1.0/projects")
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", "PUT")
            .header("x-remote-user", "admin")
    };
    let passed = lab.service.check(preflight().build());
    assert_eq!((passed.status, passed.reason()), (200, "preflight"));
    assert_eq!(passed.headers, []);
    assert_eq!(passed.removes, ["x-remote-user"]);
    for (other, reason) in [
        (
            preflight().header("cookie", "JSESSIONID=1"),
            "no_credential",
        ),
        (
            preflight().bearer("garbage"),
            "no_provider_for_opaque_token",
        ),
        (
            preflight().header("upgrade", "websocket"),
            "upgrade_not_allowed",
        ),
        (
            Check::new("OPTIONS", "code.example.com", "/x").header("origin", "https://x.example"),
            "no_credential",
        ),
        (
            Check::new("GET", "code.example.com", "/x")
                .header("origin", "https://x.example")
                .header("access-control-request-method", "GET"),
            "no_credential",
        ),
    ] {
        let outcome = lab.service.check(other.build());
        assert_eq!(outcome.reason(), reason);
    }
    let elsewhere = Check::new("OPTIONS", "jira.example.com", "/jira/x")
        .header("origin", "https://x.example")
        .header("access-control-request-method", "GET");
    assert_eq!(
        lab.service.check(elsewhere.build()).reason(),
        "no_credential"
    );
}

/// Through Envoy, which opens the tunnel only if we say yes.
#[test]
fn a_websocket_opens_where_it_may_and_a_tunnel_nowhere() {
    let lab = Lab::new();
    let upgrades = json!([{"upgrade_type": "websocket"}, {"upgrade_type": "example"}]);
    let envoy = lab
        .options()
        .manager(json!({"upgrade_configs": upgrades}))
        .start();
    let token = format!("Authorization: Bearer {}", alice(&lab.idp));
    let upgrade = |host: &str, to: &str| {
        let to = format!("Upgrade: {to}");
        let lines = ["Connection: upgrade, close", &to, &token];
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!(
            "GET /jira/x HTTP/1.1\r\nHost: {host}\r\n{}\r\n",
            lines.concat()
        );
        lab.arrives(|| client::send(&envoy.address, head.as_bytes()))
    };
    let (_, seen) = upgrade("wiki.example.com", "websocket");
    let seen = seen.expect("arrives");
    assert_eq!(seen.values("x-remote-user"), ["alice"]);
    assert_eq!(seen.values("authorization"), [""; 0]);
    for (host, to) in [
        ("jira.example.com", "websocket"),
        ("wiki.example.com", "example"),
    ] {
        let (answer, seen) = upgrade(host, to);
        assert!(seen.is_none(), "{host} {to}");
        assert_eq!(answer.status, 403, "{host} {to}");
        assert_eq!(code(&answer), "upgrade_not_allowed", "{host} {to}");
    }
    // What Envoy refuses itself, in case it does not.
    let mut asker = lab.service.asker();
    let websocket = || Check::new("GET", "wiki.example.com", "/x").header("upgrade", "websocket");
    for check in [
        websocket().header("upgrade", "h2c"),
        websocket().header("upgrade", "websocket"),
        Check::new("GET", "wiki.example.com", "/x").header("upgrade", "websocket, h2c"),
        Check::new("GET", "wiki.example.com", "/x").header("upgrade", ""),
        Check::new("CONNECT", "wiki.example.com", ""),
    ] {
        let outcome = asker.check(check.build_joined());
        assert_eq!(
            (outcome.status, outcome.reason()),
            (403, "upgrade_not_allowed")
        );
    }
    assert_eq!(asker.check(websocket().build_joined()).reason(), "native");
}

/// A tunnel opens only where the operator has said that no path counts, and only for somebody.
#[test]
fn a_tunnel_that_is_wanted_opens_for_whoever_has_a_token() {
    let mut lab = Lab::with(|idp| {
        let wanted = "    product: confluence\n    denied_paths: []\n";
        let config = config(idp).replace("    product: confluence\n", wanted);
        config
            .replace("upgrades: [websocket]", "upgrades: [connect]")
            .replace("    without_credentials: native\n", "")
    });
    let connect = || Check::new("CONNECT", "wiki.example.com", "");
    let token = alice(&lab.idp);
    assert_eq!(
        lab.service.check(connect().bearer(&token).build()).user(),
        Some("alice")
    );
    assert_eq!(
        lab.service.check(connect().build()).reason(),
        "no_credential"
    );
    let jira = Check::new("CONNECT", "jira.example.com", "").bearer(&token);
    assert_eq!(
        lab.service.check(jira.build()).reason(),
        "upgrade_not_allowed"
    );
}
