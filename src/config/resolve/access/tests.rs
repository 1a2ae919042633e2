//! Messages about access.

use std::path::Path;

use insta::assert_snapshot;

use crate::config::{
    Config,
    tests::{PROVIDERS, problems, with_application, with_provider, with_sections},
};

fn access(members: &str) -> String {
    let lines: Vec<_> = members.lines().map(|line| format!("  {line}\n")).collect();
    problems(&with_application(&format!("access:\n{}", lines.concat())))
}

#[test]
fn every_kind_of_access_can_be_written() {
    assert_eq!(
        access(
            "users: { allow: [alice], deny: [Bob] }\n\
             groups: { allow: ['*'], read_only: [auditors] }\n\
             networks: { allow: [10.0.0.0/8, '2001:db8::1'], deny: [10.6.0.0/16] }\n\
             methods: [GET, POST]\n\
             scopes: { read: [jira:read], write: [jira:write] }\n\
             rules:\n  \
             - { name: no-admin, deny: 'request.resource.startsWith(\"/rest/api/user\")' }\n  \
             - { name: reads, require: 'request.operation == \"read\"' }"
        ),
        "ok"
    );
}

#[test]
fn what_would_never_match_is_refused() {
    assert_snapshot!(access("users: { allow: [''] }"), @"c.yaml:5:24: jira: access.users: a name is empty");
    assert_snapshot!(access("groups: { allow: [] }"), @"
    c.yaml:5:7: jira: access.groups lets nobody pass: none of the providers has 'groups', and there are no 'group_members'
    c.yaml:5:17: jira: access.groups: nobody is in no group: name one, or write ['*'] for everybody
    ");
    assert_snapshot!(access("groups: { read_only: [auditors] }"), @"c.yaml:5:7: 'allow' is missing in 'applications[0].access.groups'");
    assert_snapshot!(problems(&with_sections("group_members: { ci: [a], CI: [b], x: [''] }")), @"
    c.yaml:1:18: group_members: 'ci' is there twice: upper and lower case are the same
    c.yaml:1:36: group_members: a group of 'x' has no name
    ");
    assert_snapshot!(access("networks: { deny: [10.0.0.0/33, localhost] }"), @"
    c.yaml:5:26: jira: access.networks: '10.0.0.0/33': must be networks such as 10.0.0.0/8, or addresses
    c.yaml:5:39: jira: access.networks: 'localhost': must be networks such as 10.0.0.0/8, or addresses
    ");
    assert_snapshot!(access("networks: { allow: [10.1.2.3/8] }"), @"c.yaml:5:27: jira: access.networks: '10.1.2.3/8': 10.1.2.3/8 has bits beyond its length: write 10.0.0.0/8");
    assert_snapshot!(access("groups: { allow: ['*'], read_only: ['*'] }"), @"c.yaml:5:31: jira: access.groups: '*' is no group: let everybody only read with methods: [GET], or with a rule");
    assert_snapshot!(access("methods: [get, HEAD, '']"), @"
    c.yaml:5:17: jira: access.methods: 'get' is no method: they are written in capital letters, as GET
    c.yaml:5:22: jira: access.methods: HEAD passes where GET does: write GET
    c.yaml:5:28: jira: access.methods: '' is no method: they are written in capital letters, as GET
    ");
}

#[test]
fn a_rule_says_where_it_is_wrong_and_what_there_is() {
    assert_snapshot!(access("rules: [{ name: a, deny: 'true', require: 'true' }, { name: b }]"), @"
    c.yaml:5:15: jira: access.rules: 'a' needs exactly one of 'deny' and 'require'
    c.yaml:5:59: jira: access.rules: 'b' needs exactly one of 'deny' and 'require'
    ");
    assert_snapshot!(access("rules: [{ name: a, deny: 'true' }, { name: a, deny: 'false' }]"), @"c.yaml:5:44: rule 'a' is there twice");
    assert_snapshot!(access("rules: [{ name: a, deny: 'identity.user == \"x\"' }]"), @r#"c.yaml:5:26: jira: access.rules: the rule "a", line 1, column 9: there is no identity.user; identity has username, provider, groups, scopes, client, credential, claims"#);
    assert_snapshot!(access("rules: [{ name: a, deny: 'request.path.matches(\"x\")' }]"), @r#"c.yaml:5:26: jira: access.rules: the rule "a", line 1, column 21: there are no regular expressions; use startsWith, endsWith, contains or =="#);
    assert_snapshot!(access("rules: [{ name: a, deny: 'request.path ==' }]"), @r#"c.yaml:5:26: jira: access.rules: the rule "a", line 1, column 16: it cannot be read: mismatched input \'<EOF>\' expecting {\'[\', \'{\', \'(\', \'.\', \'-\', \'!\', \'true\', \'false\', \'null\', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"#);
}

#[test]
fn a_tunnel_is_opened_only_where_no_path_is_closed() {
    let application = |members| problems(&with_application(members));
    assert_eq!(application("upgrades: [websocket]"), "ok");
    assert_eq!(application("upgrades: [connect]\ndenied_paths: []"), "ok");
    assert_snapshot!(application("upgrades: [connect]"), @"c.yaml:4:5: jira: 'connect' in 'upgrades' opens a tunnel in which no path is seen, so 'denied_paths' cannot hold: write denied_paths: [] too, or leave 'connect' out");
    assert_snapshot!(application("upgrades: [h2c]"), @"c.yaml:4:16: 'applications[0].upgrades[0]' must be one of websocket, connect");
}

#[test]
fn messages_are_for_words_that_there_are() {
    let application = |members| problems(&with_application(members));
    assert_eq!(
        application("messages: { no_credential: Ask IT for a token. }"),
        "ok"
    );
    assert_snapshot!(application("messages: { no_token: x }"), @"c.yaml:4:17: jira: 'messages': there is no code 'no_token', only upgrade_not_allowed, no_credential, unsupported_scheme, malformed_credential, password_not_accepted, product_token_not_accepted, token_expired_or_invalid, user_not_mapped, insufficient_scope, api_token_scope, path_denied, path_not_canonical, user_not_allowed, read_only, network_not_allowed, method_not_allowed, access_rule, temporarily_unavailable");
    assert_snapshot!(application("messages: { no_credential: '' }"), @"c.yaml:4:17: jira: 'messages': the message for 'no_credential' must have 1 to 500 characters");
}

#[test]
fn a_group_that_nobody_can_be_in_is_a_mistake() {
    assert_snapshot!(access("groups: { allow: [a] }"), @"c.yaml:5:7: jira: access.groups lets nobody pass: none of the providers has 'groups', and there are no 'group_members'");
    let members = "group_members: { svc-ci: [a] }\napplications: [{ name: jira, product: jira, access: { groups: { allow: [a] } } }]\n";
    assert_eq!(problems(&format!("{PROVIDERS}{members}")), "ok");
}

/// Whoever names another claim of a known provider still hears of tokens that could not hold all groups.
#[test]
fn own_groups_of_a_preset_keep_its_signs_of_too_many_groups() {
    let text = with_provider(
        "preset: { entra: { tenant_id: 8eaef023-2b34-4da1-9baa-8bc8c9d6a490 } }\naudiences: ['api://x']\n\
         username: { claim: preferred_username, strip_domain: corp.example.com, accept_unstable_claim: true }\n\
         groups: { claim: groups, prefix: corp- }",
    );
    let config = Config::parse("c.yaml", &text, Path::new("/")).expect("a configuration");
    let rule = config.providers[0].keep.groups.as_ref().expect("groups");
    assert_eq!(rule.prefix, "corp-");
    assert!(!rule.unknown_if_present.is_empty());
}
