//! Who may do what at which path, as one table.

use std::fmt::Write;

use insta::assert_snapshot;
use serde_json::json;

use super::fixture::{Lab, token};
use crate::support::{idp::Idp, service::Check, tokens::Token};

fn identities(idp: &Idp) -> Vec<(&'static str, Option<Token>)> {
    let some = |user: &str, groups| Some(token(idp, user, groups));
    vec![
        ("nobody", None),
        ("alice: jira-users", some("alice", json!(["jira-users"]))),
        ("audrey: auditors", some("audrey", json!(["auditors"]))),
        (
            "both: both",
            some("both", json!(["auditors", "jira-users"])),
        ),
        (
            "xavier: others",
            some("xavier", json!(["Jira-Users", "others"])),
        ),
        ("nemo: no groups", some("nemo", json!([]))),
        ("odd: no list", some("odd", json!("jira-users"))),
        (
            "mallory: jira-users",
            some("mallory", json!(["jira-users"])),
        ),
        ("svc-ci: by name", some("svc-ci", json!([]))),
        (
            "robot's alice",
            Some(token(idp, "alice", json!(["jira-users"])).claim("client_id", "robot")),
        ),
    ]
}

const REQUESTS: [(&str, &str, &str); 12] = [
    ("GET", "jira.example.com", "/jira/rest/api/2/issue/A-1"),
    ("HEAD", "jira.example.com", "/jira/rest/api/2/issue/A-1"),
    ("POST", "jira.example.com", "/jira/rest/api/2/issue"),
    ("PUT", "jira.example.com", "/jira/rest/api/2/issue/A-1"),
    ("GET", "jira.example.com", "/jira/rest/api/latest/user"),
    ("GET", "jira.example.com", "/jira/rest/pat/latest/tokens"),
    ("GET", "jira.example.com", "/jira/x/..;/rest"),
    ("GET", "jira.example.com", "/jira/status"),
    ("POST", "jira.example.com", "/jira/status"),
    ("GET", "wiki.example.com", "/rest/api/content"),
    ("POST", "code.example.com", "/scm/p/r.git/git-receive-pack"),
    ("GET", "other.example.com", "/"),
];

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn who_may_do_what_is_this_table() {
    let lab = Lab::new();
    let mut asker = lab.service.asker();
    let mut table = String::new();
    for (method, host, path) in REQUESTS {
        writeln!(table, "{method} {host}{path}").unwrap();
        for (who, token) in identities(&lab.idp) {
            let check = Check::new(method, host, path);
            let check = match &token {
                Some(token) => check.bearer(&token.signed()),
                None => check,
            };
            let outcome = asker.check(check.build());
            let user = outcome.user().map(|user| format!(" as {user}"));
            let (status, reason) = (outcome.status, outcome.reason());
            let rule = outcome.metadata.get("rule").map(|rule| format!(" {rule}"));
            writeln!(
                table,
                "  {who:<20} {status} {reason}{}{}",
                rule.unwrap_or_default(),
                user.unwrap_or_default()
            )
            .unwrap();
        }
    }
    assert_snapshot!(table, @"
    GET jira.example.com/jira/rest/api/2/issue/A-1
      nobody               401 no_credential
      alice: jira-users    200 token_valid as alice
      audrey: auditors     200 token_valid as audrey
      both: both           200 token_valid as both
      xavier: others       403 access_groups
      nemo: no groups      403 access_groups
      odd: no list         403 access_groups_unknown
      mallory: jira-users  403 access_users
      svc-ci: by name      200 token_valid as svc-ci
      robot's alice        200 token_valid as alice
    HEAD jira.example.com/jira/rest/api/2/issue/A-1
      nobody               401 no_credential
      alice: jira-users    200 token_valid as alice
      audrey: auditors     200 token_valid as audrey
      both: both           200 token_valid as both
      xavier: others       403 access_groups
      nemo: no groups      403 access_groups
      odd: no list         403 access_groups_unknown
      mallory: jira-users  403 access_users
      svc-ci: by name      200 token_valid as svc-ci
      robot's alice        200 token_valid as alice
    POST jira.example.com/jira/rest/api/2/issue
      nobody               401 no_credential
      alice: jira-users    200 token_valid as alice
      audrey: auditors     403 access_read_only
      both: both           403 access_read_only
      xavier: others       403 access_groups
      nemo: no groups      403 access_groups
      odd: no list         403 access_groups_unknown
      mallory: jira-users  403 access_users
      svc-ci: by name      200 token_valid as svc-ci
      robot's alice        403 access_rule robots-only-read
    PUT jira.example.com/jira/rest/api/2/issue/A-1
      nobody               401 no_credential
      alice: jira-users    403 access_methods
      audrey: auditors     403 access_read_only
      both: both           403 access_read_only
      xavier: others       403 access_groups
      nemo: no groups      403 access_groups
      odd: no list         403 access_groups_unknown
      mallory: jira-users  403 access_users
      svc-ci: by name      403 access_methods
      robot's alice        403 access_methods
    GET jira.example.com/jira/rest/api/latest/user
      nobody               401 no_credential
      alice: jira-users    200 token_valid as alice
      audrey: auditors     200 token_valid as audrey
      both: both           200 token_valid as both
      xavier: others       403 access_groups
      nemo: no groups      403 access_groups
      odd: no list         403 access_groups_unknown
      mallory: jira-users  403 access_users
      svc-ci: by name      403 access_rule no-users-by-ci
      robot's alice        200 token_valid as alice
    GET jira.example.com/jira/rest/pat/latest/tokens
      nobody               401 no_credential
      alice: jira-users    403 path_denied
      audrey: auditors     403 path_denied
      both: both           403 path_denied
      xavier: others       403 path_denied
      nemo: no groups      403 path_denied
      odd: no list         403 path_denied
      mallory: jira-users  403 path_denied
      svc-ci: by name      403 path_denied
      robot's alice        403 path_denied
    GET jira.example.com/jira/x/..;/rest
      nobody               401 no_credential
      alice: jira-users    400 path_not_canonical
      audrey: auditors     400 path_not_canonical
      both: both           400 path_not_canonical
      xavier: others       400 path_not_canonical
      nemo: no groups      400 path_not_canonical
      odd: no list         400 path_not_canonical
      mallory: jira-users  400 path_not_canonical
      svc-ci: by name      400 path_not_canonical
      robot's alice        400 path_not_canonical
    GET jira.example.com/jira/status
      nobody               200 public_path
      alice: jira-users    200 public_path
      audrey: auditors     200 public_path
      both: both           200 public_path
      xavier: others       200 public_path
      nemo: no groups      200 public_path
      odd: no list         200 public_path
      mallory: jira-users  200 public_path
      svc-ci: by name      200 public_path
      robot's alice        200 public_path
    POST jira.example.com/jira/status
      nobody               401 no_credential
      alice: jira-users    200 token_valid as alice
      audrey: auditors     403 access_read_only
      both: both           403 access_read_only
      xavier: others       403 access_groups
      nemo: no groups      403 access_groups
      odd: no list         403 access_groups_unknown
      mallory: jira-users  403 access_users
      svc-ci: by name      200 token_valid as svc-ci
      robot's alice        403 access_rule robots-only-read
    GET wiki.example.com/rest/api/content
      nobody               200 native
      alice: jira-users    200 token_valid as alice
      audrey: auditors     200 token_valid as audrey
      both: both           200 token_valid as both
      xavier: others       200 token_valid as xavier
      nemo: no groups      200 token_valid as nemo
      odd: no list         200 token_valid as odd
      mallory: jira-users  200 token_valid as mallory
      svc-ci: by name      200 token_valid as svc-ci
      robot's alice        200 token_valid as alice
    POST code.example.com/scm/p/r.git/git-receive-pack
      nobody               401 no_credential
      alice: jira-users    200 token_valid as alice
      audrey: auditors     200 token_valid as audrey
      both: both           200 token_valid as both
      xavier: others       200 token_valid as xavier
      nemo: no groups      200 token_valid as nemo
      odd: no list         200 token_valid as odd
      mallory: jira-users  200 token_valid as mallory
      svc-ci: by name      200 token_valid as svc-ci
      robot's alice        200 token_valid as alice
    GET other.example.com/
      nobody               403 unknown_application
      alice: jira-users    403 unknown_application
      audrey: auditors     403 unknown_application
      both: both           403 unknown_application
      xavier: others       403 unknown_application
      nemo: no groups      403 unknown_application
      odd: no list         403 unknown_application
      mallory: jira-users  403 unknown_application
      svc-ci: by name      403 unknown_application
      robot's alice        403 unknown_application
    ");
}

#[test]
fn an_api_token_has_the_groups_that_the_operator_names() {
    use crate::api_tokens::fixture::Desk;
    let desk = Desk::sqlite();
    let with_groups = desk.config(desk.store()).replace(
        "public_paths: [/status] }",
        "access: { groups: { allow: [jira-users] } } }",
    );
    let config = format!("group_members: {{ SVC-CI: [jira-users] }}\n{with_groups}");
    let mut service = crate::support::service::Service::with_config(&config);
    let mut reason = |user: &str| {
        let made = desk.make_for(user, &["--application", "jira"], &[]);
        let outcome = service.check_token(&made.token);
        (outcome.status, outcome.reason().to_owned())
    };
    assert_eq!(reason("svc-ci"), (200, "token_valid".to_owned()));
    assert_eq!(reason("alice"), (403, "access_groups_unknown".to_owned()));
}
