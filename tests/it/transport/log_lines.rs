//! The log: one line for each check, whatever the check says.

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;

use super::{end_of, quiet::Quiet};
use crate::support::{
    idp::Idp,
    service::{Check, Service, config_for},
    tokens::Token,
};

/// What an attacker would like to add to a log.
const INJECTIONS: [&str; 8] = [
    "\r\n{\"message\":\"check\",\"verdict\":\"allow\",\"user\":\"FORGED\"}",
    "\n2026-01-01T00:00:00Z  INFO FORGED",
    "\u{1b}[2J\u{1b}[31mFORGED",
    "\u{2028}FORGED\u{2029}\u{85}",
    "\"}\",\"user\":\"FORGED",
    "\\\",\\n\\u000aFORGED",
    "\0\u{7}\u{8}FORGED\u{7f}",
    "\u{202e}FORGED\u{9b}31m",
];

/// Every injection in every field, with and without a good token: how many checks.
fn inject(service: &Quiet, token: &str) -> usize {
    let mut checks = 0;
    for text in INJECTIONS {
        for check in [
            Check::get(&format!("/{text}")),
            Check::get(&format!("/x?{text}")),
            Check::get("/x").header("x-request-id", text),
            Check::get("/x")
                .header("user-agent", text)
                .header(text, text),
            Check::get("/x").header("authorization", text),
            Check::new(text, "jira.example.com", "/x"),
            Check::new("GET", text, "/x"),
            Check::get("/x").extension("application", text),
            Check::get("/x").extension(text, text),
        ] {
            let mut plain = check.clone();
            text.clone_into(&mut plain.http.id);
            text.clone_into(&mut plain.http.scheme);
            text.clone_into(&mut plain.http.protocol);
            service.check(check.bearer(token).build());
            service.check(plain.build());
            checks += 2;
        }
    }
    checks
}

fn log_after_injections(format: &str) -> (usize, String) {
    let idp = Idp::start();
    let directory = TempDir::new().expect("a directory");
    let service = Quiet::start(&config_for(&idp), "trace", format, &directory);
    let token = Token::of(&idp.issuer).signed();
    let checks = inject(&service, &token);
    (checks, service.stop())
}

fn control_characters(output: &str) -> BTreeSet<char> {
    let visible = |character: &char| *character == '\n' || !character.is_control();
    let mut found: BTreeSet<_> = output.chars().filter(|it| !visible(it)).collect();
    found.extend(
        output
            .chars()
            .filter(|it| "\u{2028}\u{2029}\u{202e}".contains(*it)),
    );
    found
}

#[test]
fn text_of_an_attacker_stays_inside_one_json_line() {
    let (checks, output) = log_after_injections("json");

    let mut decisions = 0;
    for line in output.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        let line = line.as_object().expect("an object");
        decisions += usize::from(line["message"] == "check");
        assert_ne!(line.get("user"), Some(&"FORGED".into()));
    }
    assert_eq!(decisions, checks);
    assert_eq!(control_characters(&output), BTreeSet::new());
    assert!(output.contains("FORGED"), "it is there, and harmless");
}

#[test]
fn text_of_an_attacker_stays_inside_one_line_for_people() {
    let (checks, output) = log_after_injections("human");

    let decisions = output
        .lines()
        .filter(|line| line.contains(" atlassian_authz::decision: "));
    assert_eq!(decisions.count(), checks);
    for line in output.lines() {
        let begins_with_a_date = line.starts_with("20") && line.as_bytes()[10] == b'T';
        assert!(begins_with_a_date, "{line}");
    }
    assert_eq!(control_characters(&output), BTreeSet::new());
    assert!(output.contains("FORGED"), "it is there, and harmless");
}

#[test]
fn every_check_is_one_line_with_the_documented_fields() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let token = Token::of(&idp.issuer).signed();
    let bad = Token::of(&idp.issuer).claim("aud", "other").signed();
    let get = |path: &str| Check::get(path).header("x-request-id", "id-1");

    service.check(get("/rest/api/2/myself?x=1").bearer(&token).build());
    service.check(get("/rest/api/2/myself").bearer(&token).build());
    service.check(get("/x").bearer(&bad).build());
    service.check(get("/status").build());
    service.check(Check::get("x").build());
    // Not safe to log, so not logged.
    service.check(Check::get("/y").header("x-request-id", "a b").build());
    service.check(
        Check::get("/y")
            .header("x-request-id", "a".repeat(65))
            .build(),
    );
    service.process.signal("TERM");
    let (code, _) = end_of(&mut service.process, "\"message\":\"stopped\"");
    assert_eq!(code, Some(0));

    let lines = service.decisions();
    let fields = |line: &Value| -> BTreeSet<String> {
        line.as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect()
    };
    let set = |names: &str| -> BTreeSet<String> { names.split(' ').map(str::to_owned).collect() };
    let always = "timestamp level message target verdict status reason credential cached took_us";
    let request = "method host path";
    let allow = "user provider application token_id request_id";
    let deny = "code detail";
    assert_eq!(
        fields(&lines[0]),
        set(&format!("{always} {request} {allow}"))
    );
    assert_eq!(
        fields(&lines[2]),
        set(&format!(
            "{always} {request} {deny} provider application token_id request_id"
        ))
    );
    assert_eq!(
        fields(&lines[3]),
        set(&format!("{always} {request} application request_id"))
    );
    assert_eq!(fields(&lines[4]), set(&format!("{always} {deny}")));
    assert_eq!(
        fields(&lines[5]),
        set(&format!("{always} {request} {deny} application"))
    );
    assert_eq!(fields(&lines[6]), fields(&lines[5]));
    assert_eq!(lines.len(), 7);

    let first = &lines[0];
    assert_eq!(first["verdict"], "allow");
    assert_eq!(first["status"], 200);
    assert_eq!(first["user"], "alice");
    assert_eq!(first["provider"], "idp");
    assert_eq!(first["application"], "jira");
    assert_eq!(first["credential"], "jwt");
    assert_eq!(first["cached"], false);
    assert_eq!(first["method"], "GET");
    assert_eq!(first["host"], "jira.example.com");
    assert_eq!(first["path"], "/rest/api/2/myself", "without its query");
    assert_eq!(first["request_id"], "id-1");
    assert_eq!(first["token_id"].as_str().expect("text").len(), 16);
    assert_eq!(lines[1]["cached"], true);
    assert_eq!(lines[1]["token_id"], first["token_id"]);
    assert_ne!(lines[2]["token_id"], first["token_id"]);
    assert_eq!(lines[2]["reason"], "wrong_audience");
    assert_eq!(lines[2]["code"], "token_expired_or_invalid");
    assert_eq!(lines[3]["reason"], "public_path");
}

/// Each check three times over: allowed, public, denied, without a credential.
fn log_of(sections: &str) -> (Vec<Value>, f64) {
    let idp = Idp::start();
    let config = format!(
        "{}log: {{ level: info, format: json, {sections} }}\n",
        config_for(&idp)
    );
    let mut service = Service::with_config(&config);
    let good = Token::of(&idp.issuer).signed();
    let bad = Token::of(&idp.issuer).claim("aud", "other").signed();
    for _ in 0..100 {
        service.check(Check::get("/x").bearer(&good).build());
        service.check(Check::get("/status").build());
        service.check(Check::get("/x").bearer(&bad).build());
        service.check(Check::get("/x").build());
    }
    let (_, page) = service.admin_page("/metrics");
    let counted = page
        .lines()
        .filter(|line| line.starts_with("atlassian_authz_decisions_total"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum();
    service.process.signal("TERM");
    let (code, _) = end_of(&mut service.process, "\"message\":\"stopped\"");
    assert_eq!(code, Some(0));
    (service.decisions(), counted)
}

#[test]
fn a_share_of_the_allowed_checks_is_logged_every_denial_is_and_all_are_counted() {
    let of = |lines: &[Value], verdict: &str| {
        let these = lines.iter().filter(|line| line["verdict"] == verdict);
        these.cloned().collect::<Vec<_>>()
    };
    for (share, least, most) in [("0.5", 1, 199), ("0", 0, 0), ("1", 200, 200)] {
        let (lines, counted) = log_of(&format!("sample_allowed: {share}"));
        assert_eq!(counted, 400.0, "{share}");
        let denied = of(&lines, "deny");
        assert_eq!(denied.len(), 200, "{share}");
        assert!(denied.iter().all(|line| line.get("sampled").is_none()));
        let allowed = of(&lines, "allow");
        assert!((least..=most).contains(&allowed.len()), "{share}");
        let told = (share == "0.5").then(|| Value::from(0.5));
        assert!(allowed.iter().all(|it| it.get("sampled") == told.as_ref()));
    }
}
