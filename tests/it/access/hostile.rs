//! Attacks on access rules, through the real Envoy, whatever it does to paths and whichever HTTP the client speaks.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fixture::{Lab, alice, code, config, token};
use crate::{
    envoy_facts::h2,
    support::{client, client::Answer, envoy::Envoy, service::Check},
};

/// How Envoy may be told to treat paths.
fn normalisations() -> [(&'static str, Value); 3] {
    let how = |normalise: bool, slashes: &str| {
        json!({"normalize_path": normalise, "merge_slashes": normalise,
            "path_with_escaped_slashes_action": slashes, "delayed_close_timeout": "0.02s"})
    };
    [
        ("none", how(false, "KEEP_UNCHANGED")),
        ("normalised", how(true, "KEEP_UNCHANGED")),
        ("slashes decoded", how(true, "UNESCAPE_AND_FORWARD")),
    ]
}

/// Ways to `/jira/rest/api/2/user`, which is closed to `svc-ci`, and to `/jira/rest/pat`, which is closed to all.
const EVASIONS: [&str; 34] = [
    "/jira/rest/api/2/user",
    "/jira/rest/api/latest/user",
    "/jira/rest/api/2.0.alpha1/user/x",
    "/jira/rest/api//2/user",
    "/jira//rest/api/2/user",
    "//jira/rest/api/2/user",
    "/jira/rest/api/2/%75ser",
    "/jira/rest/api/2/us%65r",
    "/jira/rest%2fapi/2/user",
    "/jira/rest/api/2%2Fuser",
    "/jira/rest/api;x=1/2/user",
    "/jira/rest/api/2/user;x",
    "/jira/rest/api/2;jsessionid=1/user",
    "/jira/rest/x/../api/2/user",
    "/jira/rest/x/..;/api/2/user",
    "/jira/rest/x/%2e%2e/api/2/user",
    "/jira/rest/x/%2e%2e;/api/2/user",
    "/jira/rest/./api/2/user",
    "/jira/rest/.;/api/2/user",
    "/jira/rest/;/api/2/user",
    "/jira/status/..;/rest/api/2/user",
    "/jira/status;/../rest/api/2/user",
    "/jira/status%2f..%2frest/api/2/user",
    "/jira\\rest\\api\\2\\user",
    "/jira/rest/api/2%5cuser",
    "/jira/%72est/api/2/user",
    "/%6aira/rest/api/2/user",
    "/x/..;/jira/rest/api/2/user",
    "/rest/api/2/user",
    "/jira/rest/pat/latest/tokens",
    "/jira/rest/PAT/1.0/tokens",
    "/jira/rest/pat;x/latest/tokens",
    "/jira/rest/%70at/latest/tokens",
    "/jira/rest/api/2/user%3fx",
];

type Ask = fn(&Envoy, &str, &str) -> Answer;

fn over_h1(envoy: &Envoy, path: &str, token: &str) -> Answer {
    client::get(
        &envoy.address,
        path,
        &[&format!("Authorization: Bearer {token}")],
    )
}

fn over_h2(envoy: &Envoy, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    h2::exchange(
        &envoy.address,
        h2::get(path, &[("authorization", bearer.as_bytes())]),
        None,
    )
}

/// Whether this is a path that `http` cannot even write into a request for HTTP/2.
fn is_writable(path: &str) -> bool {
    !path.contains('\\') && path.parse::<http::Uri>().is_ok() && !path.starts_with("//")
}

#[test]
fn no_spelling_of_a_path_gets_past_a_rule() {
    let lab = Lab::new();
    let robot = token(&lab.idp, "svc-ci", json!([])).signed();
    let mut words = BTreeSet::new();
    for (name, manager) in normalisations() {
        let envoy = lab.options().manager(manager).start();
        let open = "/jira/rest/api/2/issue";
        assert_eq!(over_h1(&envoy, open, &robot).status, 200, "{name}");
        assert_eq!(over_h2(&envoy, open, &robot).status, 200, "{name}");
        for path in EVASIONS {
            let over_h2 = is_writable(path).then_some(over_h2 as Ask);
            for ask in [Some(over_h1 as Ask), over_h2].into_iter().flatten() {
                let (answer, seen) = lab.arrives(|| ask(&envoy, path, &robot));
                assert!(seen.is_none(), "{name}: {path}: {seen:?}");
                assert!(
                    [400, 403].contains(&answer.status),
                    "{name}: {path}: {}",
                    answer.status
                );
                words.insert(code(&answer));
            }
        }
        assert_eq!(envoy.stat("http.ingress.ext_authz.error"), 0, "{name}");
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    assert_eq!(
        words,
        [
            "access_rule",
            "malformed_credential",
            "path_denied",
            "path_not_canonical"
        ]
    );
}

/// The same spellings without a credential: none of them is the public path.
#[test]
fn no_spelling_of_a_path_is_public_by_mistake() {
    let lab = Lab::new();
    let near = [
        "/jira/status/..;/rest/api/2/issue",
        "/jira/status;x",
        "/jira/STATUS",
        "/jira/status%2f..%2frest",
        "/jira//status",
        "/jira/status/%2e%2e;/rest",
        "/jira/status/",
        "/status",
        "/jira/status%3f",
        "/jira/%73tatus/x",
    ];
    for (name, manager) in normalisations() {
        let envoy = lab.options().manager(manager).start();
        let ask = |method: &str, path: &str| {
            lab.arrives(|| {
                client::request(
                    &envoy.address,
                    method,
                    path,
                    "jira.example.com",
                    &["X-Remote-User: admin"],
                )
            })
        };
        for method in ["GET", "HEAD"] {
            let (answer, seen) = ask(method, "/jira/status");
            assert_eq!(answer.status, 200, "{name}");
            assert_eq!(seen.expect("public").identities(), [], "{name}");
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            assert_eq!(ask(method, "/jira/status").0.status, 401, "{name} {method}");
        }
        for path in near {
            let (answer, seen) = ask("GET", path);
            // Envoy may have made the plain path of it, which then is what arrives.
            if let Some(seen) = seen {
                assert_eq!(seen.line, "GET /jira/status HTTP/1.1", "{name}: {path}");
                assert_eq!(seen.identities(), [], "{name}: {path}");
            } else {
                assert!(
                    [400, 401].contains(&answer.status),
                    "{name}: {path}: {}",
                    answer.status
                );
            }
        }
    }
}

/// A host is read in one way, or in none.
#[test]
fn a_host_chooses_one_application_or_none() {
    let lab = Lab::new();
    let envoy = lab.envoy();
    let token = format!("Authorization: Bearer {}", alice(&lab.idp));
    let asked = |hosts: &str| {
        let head = format!("GET /jira/x HTTP/1.1\r\n{hosts}Connection: close\r\n{token}\r\n\r\n");
        let (answer, seen) = lab.arrives(|| client::send(&envoy.address, head.as_bytes()));
        (answer.status, code(&answer), seen.is_some())
    };
    for host in [
        "jira.example.com",
        "jira.example.com:8443",
        "JIRA.Example.COM",
        "jira.example.com.",
    ] {
        assert_eq!(
            asked(&format!("Host: {host}\r\n")),
            (200, String::new(), true),
            "{host}"
        );
    }
    for hosts in [
        "Host: jira.example.com\r\nHost: wiki.example.com\r\n",
        "Host: wiki.example.com\r\nHost: jira.example.com\r\n",
        "Host: jira.example.com,wiki.example.com\r\n",
        "Host: admin@jira.example.com\r\n",
        "Host: jira.example.com@wiki.example.com\r\n",
        "Host: jira.example.com%00.wiki.example.com\r\n",
        "Host: evil.example.com\r\nX-Forwarded-Host: jira.example.com\r\n",
        "Host: evil.example.com\r\nForwarded: host=jira.example.com\r\n",
        "Host:\r\n",
    ] {
        let (status, _, arrived) = asked(hosts);
        assert!(
            !arrived && [400, 403].contains(&status),
            "{hosts}: {status}"
        );
    }
}

/// Where Envoy's route names the application, the client has no say.
#[test]
fn the_routes_application_is_believed_before_any_host() {
    let lab = Lab::new();
    let mut options = lab.options();
    options.application = Some("jira");
    let envoy = options.start();
    for host in ["wiki.example.com", "code.example.com", "anything"] {
        let answer = client::request(&envoy.address, "GET", "/jira/x", host, &[]);
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (401, "no_credential"),
            "{host}"
        );
    }
    options.application = Some("nothing");
    let envoy = options.start();
    let answer = client::request(&envoy.address, "GET", "/jira/x", "wiki.example.com", &[]);
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (403, "unknown_application")
    );
}

/// Behind one proxy that adds an address, and behind none.
#[test]
fn lies_about_where_a_request_comes_from_change_nothing() {
    let networks = |networks: &str, hops: u8| {
        Lab::with(|idp| {
            let access = format!("    access:\n      networks: {{ {networks} }}\n");
            let config = config(idp).replace("    access:\n", &access);
            format!("client_address: {{ trusted_hops: {hops} }}\n{config}")
        })
    };
    let lies = [
        "X-Forwarded-For: 203.0.113.7",
        "X-Real-IP: 203.0.113.7",
        "Forwarded: for=203.0.113.7",
        "X-Envoy-External-Address: 203.0.113.7",
        "True-Client-IP: 203.0.113.7",
    ];
    // An Envoy at the edge adds the address that it was called from, so that one is the last.
    let edge = json!({"use_remote_address": true, "delayed_close_timeout": "0.02s"});
    let (allow, deny) = ("allow: [203.0.113.0/24]", "deny: [203.0.113.0/24]");
    for (written, hops, expected) in [
        (allow, 0, 403),
        (deny, 0, 200),
        (allow, 1, 403),
        (deny, 1, 200),
        // The client itself stands where the proxy would, so the last thing that it says is believed.
        (allow, 2, 200),
        (deny, 2, 403),
        // Fewer addresses than proxies: it comes from nowhere.
        (allow, 3, 403),
        (deny, 3, 403),
    ] {
        let lab = networks(written, hops);
        let envoy = lab.options().manager(edge.clone()).start();
        let token = format!("Authorization: Bearer {}", alice(&lab.idp));
        let sent = [&[token.as_str()], &lies[..]].concat();
        let answer = client::get(&envoy.address, "/jira/x", &sent);
        assert_eq!(answer.status, expected, "{written} {hops}");
        if expected == 403 {
            assert_eq!(code(&answer), "network_not_allowed", "{written} {hops}");
        }
    }
}

#[test]
fn what_other_servers_take_for_the_path_or_the_method_changes_nothing() {
    let lab = Lab::new();
    let envoy = lab.envoy();
    let robot = format!(
        "Authorization: Bearer {}",
        token(&lab.idp, "svc-ci", json!([])).signed()
    );
    let lies = [
        "X-Original-URL: /jira/status",
        "X-Rewrite-URL: /jira/status",
        "X-Forwarded-Uri: /jira/status",
        "X-Forwarded-Path: /jira/status",
        "X-HTTP-Method-Override: GET",
        "X-HTTP-Method: GET",
        "X-Method-Override: GET",
    ];
    let sent = [&[robot.as_str()], &lies[..]].concat();
    let answer = client::get(&envoy.address, "/jira/rest/api/2/user", &sent);
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (403, "access_rule")
    );
    let anonymous = client::get(&envoy.address, "/jira/rest/api/2/user", &lies);
    assert_eq!(anonymous.status, 401);
    let audrey = token(&lab.idp, "audrey", json!(["auditors"])).signed();
    let audrey = format!("Authorization: Bearer {audrey}");
    let sent = [&[audrey.as_str()], &lies[..]].concat();
    let answer = client::request(&envoy.address, "POST", "/jira/x", "jira.example.com", &sent);
    assert_eq!((answer.status, code(&answer).as_str()), (403, "read_only"));
    let (_, seen) = lab.arrives(|| client::get(&envoy.address, "/jira/x", &sent));
    let seen = seen.expect("reading is allowed");
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        assert_eq!(seen.values(name), [""; 0], "{name}");
    }
}

#[test]
fn a_cookie_of_somebody_else_beside_a_token_does_not_arrive() {
    let lab = Lab::new();
    let envoy = lab.envoy();
    let token = format!("Authorization: Bearer {}", alice(&lab.idp));
    let cookies = [
        "Cookie: JSESSIONID=bobs",
        "Cookie: seraph.rememberme.cookie=bobs; a=b",
        "cookie: x",
    ];
    let sent = [&[token.as_str()], &cookies[..]].concat();
    // In Confluence the cookie alone would pass, and be the product's business.
    let asked = |sent: &[&str]| {
        lab.arrives(|| client::request(&envoy.address, "GET", "/x", "wiki.example.com", sent))
    };
    let (_, seen) = asked(&sent);
    let seen = seen.expect("arrives");
    assert_eq!(seen.values("x-remote-user"), ["alice"]);
    assert_eq!(seen.values("cookie"), [""; 0]);
    let (answer, seen) = asked(&[
        &token,
        "Cookie: a=b",
        "Authorization: Basic Ym9iOnNlY3JldA==",
    ]);
    assert!(seen.is_none());
    assert_eq!(answer.status, 400);
    for query in [
        "os_username=bob&os_password=x",
        "os%5FauthType=basic",
        "access_token=x",
        "OS_COOKIE=true",
    ] {
        let path = format!("/x?a=b&{query}");
        let ask = || client::request(&envoy.address, "GET", &path, "wiki.example.com", &[&token]);
        let (answer, seen) = lab.arrives(ask);
        assert!(seen.is_none(), "{query}");
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (400, "malformed_credential")
        );
    }
}

/// Whatever an operator writes: a rule that breaks refuses, and costs nobody else anything.
#[test]
fn a_rule_that_breaks_refuses() {
    let groups: Vec<String> = (0..450)
        .map(|number| format!("g{number:03}-xxxxxx"))
        .collect();
    for (rule, reason) in [
        ("1 / (size(request.method) - 3) > 0", "access_rule_failed"),
        ("identity.claims.department == 'x'", "access_rule_failed"),
        ("request.headers['x-missing'] == 'x'", "access_rule_failed"),
        (
            "identity.groups.all(a, size(identity.groups.filter(b, b == 'x')) < 0)",
            "",
        ),
        (
            "identity.groups.exists(a, (a + a + a + a).contains('y') || a in identity.groups && a == 'z')",
            "access_rule_failed",
        ),
        ("identity.scopes[99] == 'x'", "access_rule_failed"),
        ("int(request.method) == 1", ""),
        ("true", "access_rule"),
        ("false", "ok"),
    ] {
        // What cannot be bounded when it is read is refused there.
        if reason.is_empty() {
            let compiled = atlassian_authz::access::Rule::compile(
                "r",
                atlassian_authz::access::rule::Effect::Deny,
                rule,
            );
            assert!(compiled.is_err(), "{rule}");
            continue;
        }
        let mut lab = Lab::with(|idp| {
            let rules = format!("      rules:\n        - {{ name: hostile, deny: \"{rule}\" }}\n");
            config(idp).replace("      rules:\n", &rules)
        });
        let token = token(
            &lab.idp,
            "alice",
            json!([groups.as_slice(), &["jira-users".to_owned()]].concat()),
        )
        .signed();
        let outcome = lab
            .service
            .check(Check::get("/jira/x").bearer(&token).build());
        if reason == "ok" {
            assert_eq!(outcome.user(), Some("alice"), "{rule}");
        } else {
            assert_eq!((outcome.status, outcome.reason()), (403, reason), "{rule}");
            assert_eq!(outcome.metadata["rule"], "hostile");
        }
    }
}

#[test]
fn the_words_of_a_denial_are_the_operators() {
    let mut lab = Lab::with(|idp| {
        config(idp).replace(
            "    product: jira\n",
            "    product: jira\n    messages: { user_not_allowed: 'Ask \"IT\" for <jira-users>.', no_credential: Tokens at https://t.example }\n",
        )
    });
    let xavier = token(&lab.idp, "xavier", json!([])).signed();
    let body = |outcome: &crate::support::service::Outcome| -> Value {
        serde_json::from_str(&outcome.body).expect("JSON")
    };
    let outcome = lab
        .service
        .check(Check::get("/jira/x").bearer(&xavier).build());
    assert_eq!(
        body(&outcome),
        json!({"error": {"status": "ERROR", "code": "user_not_allowed", "message": "Ask \"IT\" for <jira-users>."}})
    );
    let outcome = lab.service.check(Check::get("/jira/x").build());
    assert_eq!(
        body(&outcome)["error"]["message"],
        "Tokens at https://t.example"
    );
}
