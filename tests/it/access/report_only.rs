//! Switched on without consequences first: what would be denied passes as nobody, and is told.

use serde_json::{Value, json};

use super::fixture::{Lab, alice, config, token};
use crate::support::{client, envoy::Envoy, idp::Idp, service::Check};

const LIES: [&str; 4] = [
    "X-Remote-User: admin",
    "x_remote_user: admin",
    "REMOTE_USER: admin",
    "X-Forwarded-User: admin",
];

fn lab(enforcement: &str) -> Lab {
    Lab::with(|idp| format!("enforcement: {enforcement}\n{}", config(idp)))
}

/// A request that an enforcing service denies: method, host, path, lines, and the reason.
type Denied = (
    &'static str,
    &'static str,
    &'static str,
    Vec<String>,
    &'static str,
);

#[expect(clippy::too_many_lines, reason = "one table")]
fn denied(idp: &Idp) -> Vec<Denied> {
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let jira = "jira.example.com";
    let audrey = token(idp, "audrey", json!(["auditors"])).signed();
    vec![
        ("GET", jira, "/jira/x", vec![], "no_credential"),
        (
            "GET",
            jira,
            "/jira/x",
            vec![bearer("garbage")],
            "no_provider_for_opaque_token",
        ),
        (
            "GET",
            jira,
            "/jira/x",
            vec!["Authorization: Basic Ym9iOnNlY3JldA==".to_owned()],
            "password_not_accepted",
        ),
        (
            "POST",
            jira,
            "/jira/x",
            vec![bearer(&audrey)],
            "access_read_only",
        ),
        (
            "PUT",
            jira,
            "/jira/x",
            vec![bearer(&alice(idp))],
            "access_methods",
        ),
        (
            "GET",
            jira,
            "/jira/rest/pat/1.0/tokens",
            vec![bearer(&alice(idp))],
            "path_denied",
        ),
        (
            "GET",
            jira,
            "/jira/x/..;/y",
            vec![bearer(&alice(idp))],
            "path_not_canonical",
        ),
        (
            "GET",
            jira,
            "/jira/x?os_username=a",
            vec![bearer(&alice(idp))],
            "malformed_credential",
        ),
        (
            "GET",
            "unknown.example.com",
            "/",
            vec![bearer(&alice(idp))],
            "unknown_application",
        ),
    ]
}

fn both_encodings(lab: &Lab) -> [Envoy; 2] {
    [false, true].map(|raw| {
        lab.options()
            .filter(json!({"encode_raw_headers": raw}))
            .start()
    })
}

#[test]
fn what_would_be_denied_passes_as_nobody_and_is_reported() {
    let lab = lab("report_only");
    let mut number = 0;
    for envoy in both_encodings(&lab) {
        for (method, host, path, lines, reason) in denied(&lab.idp) {
            let mut sent: Vec<&str> = lines.iter().map(String::as_str).collect();
            sent.extend(LIES);
            sent.push("Cookie: JSESSIONID=1");
            let ask = || client::request(&envoy.address, method, path, host, &sent);
            let (answer, seen) = lab.arrives(ask);
            assert_eq!(answer.status, 200, "{reason}");
            let seen = seen.expect(reason);
            assert_eq!(seen.identities(), [], "{reason}");
            assert_eq!(seen.values("x-forwarded-user"), [""; 0], "{reason}");
            // As if nobody stood there: the product sees what it has always seen.
            assert_eq!(seen.values("cookie"), ["JSESSIONID=1"], "{reason}");
            for line in &lines {
                let (name, value) = line.split_once(": ").unwrap();
                assert_eq!(seen.values(name), [value], "{reason}");
            }
            number += 1;
            let told = lab.told(number);
            assert_eq!(told["verdict"], "allow", "{reason}");
            assert_eq!(told["status"], 200, "{reason}");
            assert_eq!(told["reason"], reason);
            assert_eq!(told["enforcement"], "report_only", "{reason}");
            assert!(
                [400, 401, 403].map(Value::from).contains(&told["would_be"]),
                "{told}"
            );
            let refused = [
                "access_read_only",
                "access_methods",
                "path_denied",
                "path_not_canonical",
            ];
            assert_eq!(
                told["refused_user"].is_string(),
                refused.contains(&reason),
                "{told}"
            );
            assert!(told["user"].is_null() && told["code"].is_string(), "{told}");
        }
    }
    let (_, page) = lab.service.admin_page("/metrics");
    let reminder = "atlassian_authz_application_not_enforced{application=\"jira\",enforcement=\"report_only\"} 1";
    assert!(page.contains(reminder), "{page}");
    let warning = "decisions about this application are not enforced";
    assert!(lab.service.process.output().contains(warning));
    let reported = "application=\"jira\",provider=\"idp\",status=\"200\",reason=\"access_methods\",enforcement=\"report_only\"} 2";
    assert!(page.contains(reported), "{page}");
}

#[test]
fn whoever_is_recognised_passes_as_themselves() {
    let lab = lab("report_only");
    let envoy = lab.envoy();
    let token = format!("Authorization: Bearer {}", alice(&lab.idp));
    let sent = [&[token.as_str(), "Cookie: JSESSIONID=bobs"], &LIES[..]].concat();
    let (answer, seen) = lab.arrives(|| client::get(&envoy.address, "/jira/x", &sent));
    let seen = seen.expect("arrives");
    assert_eq!(answer.status, 200);
    assert_eq!(seen.values("x-remote-user"), ["alice"]);
    assert_eq!(
        seen.values("authorization").len() + seen.values("cookie").len(),
        0
    );
}

#[test]
fn nothing_is_decided_where_it_is_off() {
    let lab = lab("off");
    let envoy = lab.envoy();
    let token = format!("Authorization: Bearer {}", alice(&lab.idp));
    let requests = [
        vec![token.as_str()],
        vec![],
        vec!["Authorization: Bearer garbage"],
    ];
    for (before, lines) in requests.into_iter().enumerate() {
        let sent = [&lines, &LIES[..]].concat();
        let (answer, seen) = lab.arrives(|| client::get(&envoy.address, "/jira/x/..;/y", &sent));
        assert_eq!(answer.status, 200);
        let seen = seen.expect("arrives");
        assert_eq!(seen.identities(), []);
        assert_eq!(seen.values("authorization").len(), lines.len());
        let told = lab.told(before + 1);
        assert_eq!(
            (&told["reason"], &told["credential"]),
            (&json!("not_enforced"), &json!("none"))
        );
    }
}

/// What is in a request that cannot be read could not be taken out of it.
#[test]
fn what_cannot_be_read_passes_in_no_mode() {
    for enforcement in ["report_only", "off"] {
        let mut lab = lab(enforcement);
        for check in [
            Check::new("GET", "a.example,b.example", "/"),
            Check::new("GET", "jira.example.com", "no-slash"),
            Check::get("/").header("x", "y".repeat(70_000)),
        ] {
            let outcome = lab.service.check(check.build());
            assert_eq!(
                (outcome.status, outcome.reason()),
                (400, "malformed_request"),
                "{enforcement}"
            );
        }
    }
}

#[test]
fn an_application_may_differ_from_the_rest() {
    let mut lab = Lab::with(|idp| {
        let config = config(idp).replace(
            "    product: jira\n",
            "    product: jira\n    enforcement: report_only\n",
        );
        config.replace(
            "    product: bitbucket\n",
            "    product: bitbucket\n    enforcement: off\n",
        )
    });
    let mut asked = |host: &str, path: &str| {
        let check = Check::new("PUT", host, path)
            .header("x-remote-user", "admin")
            .bearer("garbage");
        let outcome = lab.service.check(check.build());
        let enforcement = outcome.metadata.get("enforcement").cloned();
        (
            outcome.status,
            outcome.reason().to_owned(),
            enforcement.unwrap_or_default(),
        )
    };
    let said = |status: i32, reason: &str, enforcement: &str| {
        (status, reason.to_owned(), enforcement.to_owned())
    };
    let bad = "no_provider_for_opaque_token";
    assert_eq!(
        asked("jira.example.com", "/jira/x"),
        said(200, bad, "report_only")
    );
    assert_eq!(
        asked("code.example.com", "/x"),
        said(200, "not_enforced", "off")
    );
    assert_eq!(asked("wiki.example.com", "/x"), said(401, bad, ""));
    assert_eq!(
        asked("unknown.example.com", "/x"),
        said(403, "unknown_application", "")
    );
}
