//! Messages about the admin API.

use std::path::Path;

use insta::assert_snapshot;

use crate::config::{
    Config,
    tests::{problems, with_sections},
};

const TWO: &str = "\
providers:
  - { name: people, jwt: { issuer: https://idp.example }, audiences: [api], username: { claim: sub }, groups: { claim: groups } }
  - { name: robots, jwt: { issuer: https://idp.example }, audiences: [ci], username: { claim: azp } }
applications:
  - { name: jira, product: jira, providers: [people] }
";

#[test]
fn administrators_are_compared_in_lower_case() {
    let text = format!(
        "admin: {{ providers: [people], access: {{ users: [Alice], groups: [Ops] }} }}\n{TWO}"
    );
    let config = Config::parse("c.yaml", &text, Path::new("/nowhere"));
    let admin = config.expect("valid").admin.expect("there");
    assert_eq!(admin.providers, [0]);
    assert!(admin.users.contains("alice") && admin.groups.contains("Ops"));
    assert!(!admin.self_service);
}

#[test]
fn a_section_that_serves_nobody_is_refused() {
    assert_snapshot!(problems(&with_sections("admin: {}")), @"c.yaml:1:1: admin: nobody may use it: name administrators in 'access', or write self_service: true");
    assert_snapshot!(problems(&with_sections("admin: { self_service: true }")), @"c.yaml:1:10: admin: 'self_service' is about API tokens, and there is no section 'api_tokens'");
    assert_snapshot!(problems(&with_sections("admin: { access: { groups: [ops] } }")), @"c.yaml:1:20: admin: 'access.groups' matches nobody: none of the providers has 'groups'");
    assert_snapshot!(problems(&with_sections("admin: { access: { users: [''] } }")), @"c.yaml:1:28: admin: a name in 'access.users' is empty");
}

#[test]
fn providers_are_chosen_as_for_an_application() {
    assert_snapshot!(problems(&with_sections("admin: { providers: [okta], access: { users: [a] } }")), @"c.yaml:1:22: admin: there is no provider 'okta', only 'sso'");
    assert_snapshot!(problems(&format!("admin: {{ access: {{ users: [a] }} }}\n{TWO}")), @"c.yaml:1:1: admin: the providers 'people' and 'robots' have the same issuer https://idp.example, so it cannot be told whose token one is: name only one of them in 'providers'");
    assert_snapshot!(problems(&with_sections("admin: { access: { user: [a] } }")), @"c.yaml:1:20: unknown key 'user' in 'admin.access': did you mean 'users'?");
}
