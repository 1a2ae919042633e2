//! `check` tells what every policy says.

use std::{fs, process::Command};

use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fixture::{config, token};
use crate::support::{idp::Idp, tokens::Token};

fn check(idp: &Idp, config: &str, token: &Token, arguments: &[&str]) -> (Option<i32>, String) {
    let directory = TempDir::new().unwrap();
    let file = |name: &str| directory.path().join(name);
    fs::write(
        file("c.yaml"),
        format!("{config}outbound: {{ allow_loopback_http: true }}\n"),
    )
    .unwrap();
    fs::write(file("token"), token.signed()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_atlassian-authz"))
        .current_dir(directory.path())
        .args([
            "check",
            "--config",
            "c.yaml",
            "--host",
            "jira.example.com",
            "--bearer-file",
            "token",
        ])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text.replace(&idp.issuer, "ISSUER"))
}

const DELETE: [&str; 4] = ["--method", "DELETE", "--path", "/jira/rest/api/latest/user"];

#[test]
fn every_policy_says_what_it_thinks() {
    let idp = Idp::start();
    let robot = token(&idp, "svc-ci", json!(["auditors"])).claim("client_id", "robot");
    let (code, said) = check(&idp, &config(&idp), &robot, &DELETE);
    assert_eq!(code, Some(1));
    assert_snapshot!(said, @r#"
    request      DELETE jira.example.com/jira/rest/api/latest/user
    application  jira
    credential   jwt
    provider     idp
    groups       auditors
    user         svc-ci
    policy       denied_paths: passes
    policy       access.users: passes
    policy       access.groups: the user is in a group that may only read (access.groups.read_only)
    policy       access.methods: passes
    policy       access.rules no-users-by-ci: the rule "no-users-by-ci" refuses (access.rules)
    policy       access.rules robots-only-read: the rule "robots-only-read" refuses (access.rules)
    verdict      DENY 403 read_only
    why          the user is in a group that may only read (access.groups.read_only) (access_read_only)
    "#);
    let (_, said) = check(
        &idp,
        &config(&idp),
        &robot,
        &[&DELETE[..], &["--json"]].concat(),
    );
    let explained: Value = serde_json::from_str(&said).expect("JSON");
    let refusing = explained["policies"].as_array().unwrap().iter();
    let refusing: Vec<_> = refusing
        .filter(|one| one["passes"] == false)
        .map(|one| &one["policy"])
        .collect();
    assert_eq!(
        refusing,
        [
            "access.groups",
            "access.rules no-users-by-ci",
            "access.rules robots-only-read"
        ]
    );
}

#[test]
fn a_denial_that_is_only_reported_is_explained_too() {
    let idp = Idp::start();
    let config = format!("enforcement: report_only\n{}", config(&idp));
    let audrey = token(&idp, "audrey", json!(["auditors"]));
    let (code, said) = check(&idp, &config, &audrey, &DELETE);
    assert_eq!(code, Some(0));
    assert_snapshot!(said, @"
    request      DELETE jira.example.com/jira/rest/api/latest/user
    application  jira
    credential   jwt
    provider     idp
    groups       auditors
    user         audrey
    policy       denied_paths: passes
    policy       access.users: passes
    policy       access.groups: the user is in a group that may only read (access.groups.read_only)
    policy       access.methods: passes
    policy       access.rules no-users-by-ci: passes
    policy       access.rules robots-only-read: passes
    verdict      ALLOW, without an identity: the product decides
    why          only reported (enforcement: report_only), it would be DENY 403 read_only: the user is in a group that may only read (access.groups.read_only) (access_read_only)
    removes      x-remote-user
    ");
}
