//! The groups that each provider's tokens hold, as `provider inspect` shows them.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{frame::Case, subjects};
use crate::support::idp::Idp;

/// What the program says of one token of a preset.
fn inspected(preset: &str, case: &str) -> Value {
    let subjects = subjects();
    let mut subjects = subjects.into_iter();
    let subject = subjects.find(|subject| subject.preset == preset);
    let subject = subject.expect("a subject");
    let idp = Idp::start();
    let directory = TempDir::new().expect("a directory");
    let config = directory.path().join("config.yaml");
    std::fs::write(&config, subject.expanded(&idp)).expect("written");
    let mut cases = subject.cases.into_iter();
    let Case { token, answers, .. } = cases.find(|found| found.name == case).expect(case);
    for (path, answer) in answers {
        idp.answer_about(&token, path, answer);
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_atlassian-authz"))
        .args([
            "provider",
            "inspect",
            "tested",
            "--json",
            "--token-file",
            "-",
            "--config",
        ])
        .arg(&config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(token.as_bytes()).expect("read");
    drop(input);
    let output = child.wait_with_output().expect("ended");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn groups_are_where_each_provider_puts_them() {
    for (preset, groups) in [
        ("keycloak", json!(["jira-users"])),
        (
            "keycloak_introspection",
            json!(["jira-users", "offline_access"]),
        ),
        ("cognito", json!(["jira-admins"])),
        ("okta", json!(["jira-users"])),
        ("gitlab", json!(["eng", "eng/platform"])),
        ("zitadel", json!(["jira-user"])),
        ("entra", json!([])),
        // Not configured, because the provider tells none.
        ("github", Value::Null),
    ] {
        let inspected = inspected(preset, "valid_user");
        assert_eq!(inspected["groups"], groups, "{preset}: {inspected}");
    }
}

#[test]
fn groups_that_did_not_fit_into_an_entra_token_are_unknown() {
    let overage = inspected("entra", "groups_overage");
    assert_eq!(overage["user"], "abe", "{overage}");
    assert_eq!(overage["groups"], Value::Null, "{overage}");
}
