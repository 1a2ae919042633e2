//! From claim to name: every step is all or nothing, and the policy judges what comes out.

use std::fs;

use tempfile::TempDir;

use super::{Gate, token_of};
use crate::support::keys::shared_es256;

/// Claim value → user, or why nobody.
type Cases<'c> = &'c [(&'c str, Result<&'c str, &'static str>)];

const NOT_MAPPED: Result<&str, &str> = Err("username_not_mapped");
const REFUSED: Result<&str, &str> = Err("username_refused");

fn named(provider: &str, name: &str) -> String {
    let token = token_of(provider)
        .header("alg", "ES256")
        .header("kid", "ec");
    token
        .claim("preferred_username", name)
        .signed_by(shared_es256())
}

fn holds(gate: &mut Gate, provider: &str, cases: Cases<'_>) {
    for (name, expected) in cases {
        let case = format!("{provider}: {name:?}");
        match expected {
            Ok(user) => gate.admits(&case, &named(provider, name), user),
            Err(reason) => gate.knows_nobody(&case, &named(provider, name), reason),
        }
    }
}

#[test]
fn a_domain_prefix_and_case_are_changed_as_configured_and_no_further() {
    let strip = "username: { claim: preferred_username, strip_domain: corp.example }";
    let prefix = "username: { claim: preferred_username, prefix: partner- }";
    let both = "username: { claim: preferred_username, strip_domain: corp.example, prefix: corp- }";
    let email = "username: { claim: preferred_username, allow_email_characters: true }";
    let mut gate = Gate::with(&[
        ("strip", "", strip),
        ("prefix", "", prefix),
        ("both", "", both),
        ("email", "", email),
        ("usual", "", ""),
    ]);
    holds(
        &mut gate,
        "strip",
        &[
            ("alice@corp.example", Ok("alice")),
            ("Alice@CORP.example", Ok("alice")),
            ("alice", NOT_MAPPED),
            ("alice@", NOT_MAPPED),
            ("alice@evil.test", NOT_MAPPED),
            ("alice@corp.example.evil.test", NOT_MAPPED),
            ("alice@evil.test@corp.example", NOT_MAPPED),
            ("alice@corp.example@evil.test", NOT_MAPPED),
            ("alice@sub.corp.example", NOT_MAPPED),
            ("alice@xcorp.example", NOT_MAPPED),
            ("alice@corp.example.", NOT_MAPPED),
            ("alice@corp.example ", NOT_MAPPED),
            ("alice@corpXexample", NOT_MAPPED),
            ("alice@corp.example\0", NOT_MAPPED),
            ("alice\u{ff20}corp.example", NOT_MAPPED),
            ("\"alice@evil.test\"@corp.example", NOT_MAPPED),
            ("@corp.example", REFUSED),
            ("admin@corp.example", REFUSED),
            ("ADMIN@corp.example", REFUSED),
            ("a;admin@corp.example", REFUSED),
            ("alice@corp.example,admin", NOT_MAPPED),
            ("\u{212a}elvin@corp.example", REFUSED),
        ],
    );
    holds(
        &mut gate,
        "prefix",
        &[
            ("alice", Ok("partner-alice")),
            ("admin", Ok("partner-admin")),
            ("", REFUSED),
            ("a@b", REFUSED),
            ("a\r\nb", REFUSED),
            (" alice", REFUSED),
            (&"a".repeat(248), REFUSED),
        ],
    );
    holds(
        &mut gate,
        "both",
        &[
            ("Bob@corp.example", Ok("corp-bob")),
            ("@corp.example", REFUSED),
            ("bob@evil.test", NOT_MAPPED),
        ],
    );
    holds(
        &mut gate,
        "email",
        &[
            ("alice@corp.example", Ok("alice@corp.example")),
            ("alice+ci@corp.example", Ok("alice+ci@corp.example")),
            ("alice@corp,x", REFUSED),
            ("@corp", REFUSED),
            ("alice@", REFUSED),
            ("alice @corp", REFUSED),
        ],
    );
    holds(
        &mut gate,
        "usual",
        &[
            ("ALICE", Ok("alice")),
            ("\u{212a}elvin", REFUSED),
            ("\u{130}", REFUSED),
        ],
    );
    gate.still_admits_alice();
}

#[test]
fn a_map_a_pattern_and_a_list_let_nothing_else_pass() {
    let directory = TempDir::new().expect("a directory");
    let map = directory.path().join("users.yaml");
    fs::write(&map, "u-1: alice\nu-2: Bob\n\"u 3\": carol\n\"\": dave\n").expect("written");
    let map = format!(
        "username: {{ claim: preferred_username, map: \"{}\" }}",
        map.display()
    );
    let regex = "username: { claim: preferred_username, regex: 'corp:([a-z]+)(?::x)?' }";
    let either = "username: { claim: preferred_username, regex: '(a+)|b(.+)' }";
    let allow = "username: { claim: preferred_username, allow: 'svc-[a-z]+|ci' }";
    let reserved = "username: { claim: preferred_username, allow_reserved: [admin] }";
    let mut gate = Gate::with(&[
        ("map", "", &map),
        ("regex", "", regex),
        ("either", "", either),
        ("allow", "", allow),
        ("reserved", "", reserved),
    ]);
    holds(
        &mut gate,
        "map",
        &[
            ("u-1", Ok("alice")),
            ("u-2", Ok("bob")),
            ("u 3", Ok("carol")),
            ("", Ok("dave")),
            ("U-1", NOT_MAPPED),
            ("u-1 ", NOT_MAPPED),
            ("u-4", NOT_MAPPED),
            ("alice", NOT_MAPPED),
            ("u-1\0", NOT_MAPPED),
        ],
    );
    holds(
        &mut gate,
        "regex",
        &[
            ("corp:alice", Ok("alice")),
            ("corp:alice:x", Ok("alice")),
            ("xcorp:alice", NOT_MAPPED),
            ("corp:alice:y", NOT_MAPPED),
            ("corp:alice\n", NOT_MAPPED),
            ("\ncorp:alice", NOT_MAPPED),
            ("evil\ncorp:alice\nevil", NOT_MAPPED),
            ("corp:Alice", NOT_MAPPED),
            ("corp:", NOT_MAPPED),
            ("alice", NOT_MAPPED),
            ("corp:admin", REFUSED),
        ],
    );
    holds(
        &mut gate,
        "either",
        &[("aa", Ok("aa")), ("bob", NOT_MAPPED), ("abob", NOT_MAPPED)],
    );
    holds(
        &mut gate,
        "allow",
        &[
            ("svc-build", Ok("svc-build")),
            ("CI", Ok("ci")),
            ("alice", REFUSED),
            ("xsvc-build", REFUSED),
            ("svc-build2", REFUSED),
            ("cix", REFUSED),
            ("svc-build\n", REFUSED),
        ],
    );
    holds(
        &mut gate,
        "reserved",
        &[
            ("admin", Ok("admin")),
            ("ADMIN", Ok("admin")),
            ("root", REFUSED),
            ("administrator", REFUSED),
            ("null", REFUSED),
            ("anonymous", REFUSED),
        ],
    );
    gate.still_admits_alice();
}

#[test]
fn an_email_names_nobody_until_the_provider_has_verified_it() {
    use serde_json::json;
    let rest = "username: { claim: email, strip_domain: corp.example }";
    let pointer = "username: { claim: /email, strip_domain: corp.example }";
    let nested = "username: { claim: /resource/user }";
    let mut gate = Gate::with(&[
        ("mail", "", rest),
        ("pointer", "", pointer),
        ("nested", "", nested),
    ]);
    for provider in ["mail", "pointer"] {
        let token = token_of(provider).claim("email", "alice@corp.example");
        let verified = token.clone().claim("email_verified", true);
        gate.admits(provider, &verified.signed(), "alice");
        gate.knows_nobody("absent", &token.signed(), "email_not_verified");
        for value in [
            json!(false),
            json!("true"),
            json!(1),
            json!(null),
            json!([true]),
        ] {
            let token = token
                .clone()
                .claim("email_verified", value.clone())
                .signed();
            gate.knows_nobody(
                &format!("email_verified {value}"),
                &token,
                "email_not_verified",
            );
        }
    }
    let token = token_of("nested").claim("resource", json!({"user": "bob"}));
    gate.admits("nested", &token.signed(), "bob");
    for value in [
        json!("bob"),
        json!({"User": "bob"}),
        json!({}),
        json!(["bob"]),
        json!({"user": ["bob"]}),
    ] {
        // A member whose name looks like the path is another claim.
        let token = token_of("nested")
            .claim("/resource/user", "mallory")
            .claim("resource", value);
        gate.knows_nobody("not there", &token.signed(), "username_claim");
    }
    gate.still_admits_alice();
}
