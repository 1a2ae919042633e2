//! Messages about user names.

use std::fs;

use insta::assert_snapshot;
use tempfile::TempDir;

use super::super::tests::sso;
use crate::config::tests::{problems, problems_in, with_provider};

#[test]
fn a_user_name_comes_from_a_claim_that_somebody_has_chosen() {
    let entra =
        "preset: { entra: { tenant_id: 8eaef023-2b34-4da1-9baa-8bc8c9d6a490 } }\naudiences: [api]";
    assert_snapshot!(problems(&with_provider(entra)), @"c.yaml:2:5: sso: 'username' is missing: Entra has no claim that is at once stable, unique and an Atlassian user name. Write for example { claim: oid, map: users.yaml }, or { claim: preferred_username, strip_domain: corp.example.com } if every user of the tenant is one of yours and no one else can choose that name");
    assert_snapshot!(problems(&with_provider("jwt: { issuer: https://idp.example }\naudiences: [api]")), @"c.yaml:2:5: sso: 'username' is missing: which claim names the user? Write for example { claim: preferred_username }");
    assert_snapshot!(problems(&sso("username: { claim: '' }")), @"c.yaml:3:17: sso: 'username.claim' is empty: which claim names the user?");
    assert_eq!(
        problems(&with_provider(
            "preset: { keycloak: { url: https://sso.example, realm: acme } }\naudiences: [api]"
        )),
        "ok"
    );
}

#[test]
fn patterns_are_regular_expressions_that_can_give_a_name() {
    assert_eq!(
        problems(&sso(
            "username: { claim: sub, regex: 'e-([0-9]+)', allow: '[0-9]+' }"
        )),
        "ok"
    );
    assert_snapshot!(problems(&sso("username: { claim: sub, regex: '([a-z]+', allow: '[a' }")), @"
    c.yaml:3:29: sso: 'username.regex' is not a regular expression: unclosed group
    c.yaml:3:47: sso: 'username.allow' is not a regular expression: unclosed character class
    ");
    assert_snapshot!(problems(&sso("username: { claim: sub, regex: 'e-[0-9]+' }")), @"c.yaml:3:29: sso: 'username.regex' has no group: put the name in (parentheses)");
    assert_snapshot!(problems(&sso("username: { claim: sub, regex: '(a{1000}){1000}' }")), @"c.yaml:3:29: sso: 'username.regex' is not a regular expression: Compiled regex exceeds size limit of 10485760 bytes.");
    // Would stand outside of the anchors that are put around it.
    assert_snapshot!(problems(&sso("username: { claim: sub, allow: 'a)|(b' }")), @"c.yaml:3:29: sso: 'username.allow' is not a regular expression: unopened group");
}

#[test]
fn steps_that_would_refuse_every_user_are_refused() {
    assert_eq!(
        problems(&sso(
            "username: { claim: sub, strip_domain: corp.example, prefix: ad- }"
        )),
        "ok"
    );
    assert_snapshot!(problems(&sso("username: { claim: sub, strip_domain: '@corp.example' }")), @"c.yaml:3:29: sso: 'username.strip_domain' must be the domain alone, such as corp.example.com, without '@'");
    assert_snapshot!(problems(&sso("username: { claim: sub, strip_domain: '' }")), @"c.yaml:3:29: sso: 'username.strip_domain' must be the domain alone, such as corp.example.com, without '@'");
    assert_snapshot!(problems(&sso("username: { claim: sub, prefix: 'partner/' }")), @"c.yaml:3:29: sso: 'username.prefix': no user name can begin with 'partner/': the user name has a character that is not allowed, or not in that place");
    assert_snapshot!(problems(&sso("username: { claim: sub, prefix: 'a@b-' }")), @"c.yaml:3:29: sso: 'username.prefix': no user name can begin with 'a@b-': the user name has a character that is not allowed, or not in that place");
    assert_eq!(
        problems(&sso(
            "username: { claim: sub, prefix: 'a@b-', allow_email_characters: true }"
        )),
        "ok"
    );
}

/// The problems of a provider with `username: { claim: sub, map: users.yaml, … }`.
fn with_map(users: &str, steps: &str) -> String {
    let directory = TempDir::new().expect("a directory");
    fs::write(directory.path().join("users.yaml"), users).expect("written");
    let text = sso(&format!(
        "username: {{ claim: sub, map: users.yaml{steps} }}"
    ));
    problems_in(directory.path(), &text)
}

#[test]
fn a_map_of_users_is_pairs_of_text() {
    assert_eq!(with_map("E1: alice\n007: bob\n", ""), "ok");
    assert_eq!(with_map(r#"{"E1": "alice"}"#, ""), "ok");
    assert_snapshot!(problems(&sso("username: { claim: sub, map: users.yaml }")), @"c.yaml:3:29: sso: 'username.map': users.yaml: cannot be read: No such file or directory (os error 2)");
    assert_snapshot!(with_map("", ""), @"c.yaml:3:29: sso: 'username.map': users.yaml:1:1: must be a map of pairs, value: user");
    assert_snapshot!(with_map("{}", ""), @"c.yaml:3:29: sso: 'username.map': users.yaml:1:1: holds no pairs: every user would be refused");
    assert_snapshot!(with_map("- alice\n", ""), @"c.yaml:3:29: sso: 'username.map': users.yaml:1:1: must be a map of pairs, value: user");
    assert_snapshot!(with_map("E1: alice\nE2: [bob]\nE3: 7\nE4:\n", ""), @"
    c.yaml:3:29: sso: 'username.map': users.yaml:2:1: the user must be text: put it into quotes
    c.yaml:3:29: sso: 'username.map': users.yaml:3:1: the user must be text: put it into quotes
    c.yaml:3:29: sso: 'username.map': users.yaml:4:1: the user must be text: put it into quotes
    ");
    assert_snapshot!(with_map("E1: alice\nE1: bob\n", ""), @"c.yaml:3:29: sso: 'username.map': users.yaml:2:1: the key 'E1' is there twice");
    assert_snapshot!(with_map("E1: alice\n  E2: bob\n", ""), @"c.yaml:3:29: sso: 'username.map': users.yaml:2:5: not YAML: mapping values are not allowed in this context");
}

#[test]
fn every_user_of_a_map_is_one_that_the_other_steps_let_through() {
    assert_snapshot!(with_map("E1: alice\nE2: b b\nE3: admin\nE4: anonymous\nE5: ''\n", ""), @"
    c.yaml:3:29: sso: 'username.map': users.yaml:2:1: 'b b': the user name has a character that is not allowed, or not in that place
    c.yaml:3:29: sso: 'username.map': users.yaml:3:1: 'admin': the user name is reserved (username.allow_reserved)
    c.yaml:3:29: sso: 'username.map': users.yaml:4:1: 'anonymous': the user name is a word for nobody
    c.yaml:3:29: sso: 'username.map': users.yaml:5:1: '': the user name is empty
    ");
    assert_eq!(with_map("E1: admin\n", ", allow_reserved: [Admin]"), "ok");
    assert_eq!(with_map("E1: admin\n", ", prefix: ad-"), "ok");
    assert_snapshot!(with_map("E1: alice\n", ", strip_domain: corp.example"), @"c.yaml:3:29: sso: 'username.map': users.yaml:1:1: 'alice': the user name claim's value is not of the domain username.strip_domain");
    assert_snapshot!(with_map("E1: alice\nE2: bob\n", ", allow: 'a.*'"), @"c.yaml:3:29: sso: 'username.map': users.yaml:2:1: 'bob': the user name does not match username.allow");
    assert_snapshot!(with_map("E1: alice\n", ", regex: '([0-9]+)'"), @"c.yaml:3:29: sso: 'username.map': users.yaml:1:1: 'alice': the user name claim's value does not match username.regex");
}
