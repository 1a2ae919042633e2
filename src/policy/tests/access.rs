//! What the section `access` adds, and what no setting may do.

use std::sync::Arc;

use super::*;
use crate::{
    access::{Access, AllowDeny, GroupAccess, GroupMembers, ScopeAccess, rule::Effect},
    route::DeniedPaths,
};

/// One word for the outcome: `ok`, or the reason.
fn word(result: Result<(), Refusal>) -> &'static str {
    result.map_or_else(|refusal| refusal.reason(), |()| "ok")
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn groups(allow: &[&str], read_only: &[&str]) -> GroupAccess {
    GroupAccess {
        allow: Some(set(allow)),
        read_only: set(read_only),
    }
}

fn members() -> Arc<GroupMembers> {
    let named = BTreeMap::from([("svc-ci".to_owned(), vec!["users".to_owned()])]);
    Arc::new(GroupMembers(named))
}

fn member(name: &str, of: &[&str]) -> Identity {
    Identity {
        groups: Groups::Known(set(of).into_iter().collect()),
        ..identity(name)
    }
}

/// Of whose groups the token tells only some.
fn half_known(name: &str) -> Identity {
    Identity {
        groups: Groups::Unknown,
        ..identity(name)
    }
}

fn rule(effect: Effect, expression: &str) -> Rule {
    Rule::compile("rule", effect, expression).expect("a rule")
}

/// The outcome for an API token without limits of its own: `access` alone decides.
fn asked(access: Access, identity: &Identity, method: &str, path: &str) -> &'static str {
    let application = Application {
        access: Access {
            members: members(),
            ..access
        },
        ..application(Product::Jira, "/jira")
    };
    word(decide(&Question {
        identity,
        bounds: Bounds::ApiToken(&scope(AccessLevel::Write)),
        request: &request(method, path, "10.1.2.3"),
        application: &application,
    }))
}

#[test]
fn groups_decide_who_reads_and_who_writes() {
    let access = || Access {
        groups: Some(groups(&["users"], &["auditors"])),
        ..Access::default()
    };
    let path = "/jira/rest/api/2/issue";
    for (user, method, expected) in [
        (member("alice", &["users"]), "POST", "ok"),
        (member("alice", &["auditors"]), "GET", "ok"),
        (member("alice", &["auditors"]), "HEAD", "ok"),
        (member("alice", &["auditors"]), "POST", "access_read_only"),
        (
            member("alice", &["auditors", "users"]),
            "DELETE",
            "access_read_only",
        ),
        (member("alice", &["x"]), "GET", "access_groups"),
        (identity("alice"), "GET", "access_groups_unknown"),
        (identity("svc-ci"), "POST", "ok"),
        (member("svc-ci", &["auditors"]), "POST", "access_read_only"),
        (half_known("svc-ci"), "GET", "access_groups_unknown"),
    ] {
        assert_eq!(
            asked(access(), &user, method, path),
            expected,
            "{user:?} {method}"
        );
    }
    // Whether this reads depends on who reads it.
    let reader = member("alice", &["auditors"]);
    assert_eq!(
        asked(access(), &reader, "GET", "/jira/rest/..;/x"),
        "path_not_canonical"
    );
}

/// What the operator adds is not all that there is to know of somebody whose token tells only some groups.
#[test]
fn a_group_that_is_added_lifts_no_restriction() {
    let access = || Access {
        groups: Some(GroupAccess {
            allow: None,
            read_only: set(&["contractors"]),
        }),
        ..Access::default()
    };
    for (user, expected) in [
        (half_known("alice"), "access_read_only"),
        (half_known("svc-ci"), "access_read_only"),
        (identity("alice"), "access_read_only"),
        (identity("svc-ci"), "ok"),
    ] {
        assert_eq!(
            asked(access(), &user, "POST", "/jira/x"),
            expected,
            "{user:?}"
        );
    }
}

#[test]
fn a_method_that_is_not_named_does_not_pass() {
    let access = || Access {
        methods: Some(set(&["GET", "PUT"])),
        ..Access::default()
    };
    for (method, expected) in [
        ("GET", "ok"),
        ("HEAD", "ok"),
        ("PUT", "ok"),
        ("POST", "access_methods"),
        ("get", "access_methods"),
        ("OPTIONS", "access_methods"),
        ("", "access_methods"),
    ] {
        assert_eq!(
            asked(access(), &identity("alice"), method, "/"),
            expected,
            "{method}"
        );
    }
}

#[test]
fn a_rule_about_a_path_is_not_evaded_by_its_spelling() {
    let access = || Access {
        rules: vec![rule(
            Effect::Deny,
            "request.resource.lowerAscii().startsWith('/rest/api/user')",
        )],
        ..Access::default()
    };
    for (path, expected) in [
        ("/jira/rest/api/2/user", "access_rule"),
        ("/jira/rest/api/latest/user", "access_rule"),
        ("/jira/rest/api/3/user/x", "access_rule"),
        ("/jira/REST/api/2/user", "access_rule"),
        ("/jira/rest/api/2/issue", "ok"),
        ("/jira/rest//api/2/user", "path_not_canonical"),
        ("/jira/rest/api/2/%75ser", "path_not_canonical"),
        ("/jira/rest/x/..;/api/2/user", "path_not_canonical"),
        // Not below the context path: the rule cannot be evaluated.
        ("/rest/api/2/user", "access_rule_failed"),
    ] {
        assert_eq!(
            asked(access(), &identity("alice"), "GET", path),
            expected,
            "{path}"
        );
    }
}

#[test]
fn a_rule_that_cannot_be_evaluated_refuses() {
    for expression in [
        "identity.client == 'ci'",
        "1 / (size(request.method) - 3) == 0",
        "identity.claims.department == 'x'",
        "'x' in identity.groups",
    ] {
        for effect in [Effect::Deny, Effect::Require] {
            let access = Access {
                rules: vec![rule(effect, expression)],
                ..Access::default()
            };
            let outcome = asked(access, &identity("alice"), "GET", "/jira/x");
            assert_eq!(outcome, "access_rule_failed", "{expression}");
        }
    }
}

#[test]
fn rules_see_the_groups_that_the_operator_adds() {
    let access = || Access {
        groups: Some(groups(&["users"], &[])),
        rules: vec![rule(Effect::Require, "'users' in identity.groups")],
        ..Access::default()
    };
    assert_eq!(asked(access(), &identity("svc-ci"), "GET", "/x"), "ok");
}

#[test]
fn networks_decide_from_where_users_may_come() {
    let network = |text: &str| text.parse().expect("a network");
    let with = |allow: &str, deny: &str| Access {
        networks: Some(AllowDeny {
            allow: Some(vec![network(allow)]),
            deny: vec![network(deny)],
        }),
        ..Access::default()
    };
    // The request comes from 10.1.2.3.
    for (allow, deny, expected) in [
        ("10.0.0.0/8", "10.9.0.0/16", "ok"),
        ("10.0.0.0/8", "10.1.0.0/16", "access_networks"),
        ("192.168.0.0/16", "10.9.0.0/16", "access_networks"),
    ] {
        let said = asked(with(allow, deny), &identity("alice"), "GET", "/jira/x");
        assert_eq!(said, expected, "{allow} {deny}");
    }
}

#[test]
fn a_provider_asks_its_scopes_of_every_token_of_its_own() {
    let provider = Provider {
        required_scopes: vec!["jira".to_owned(), "rest".to_owned()],
        ..Provider::plain("corp")
    };
    let ours = scope(AccessLevel::Write);
    for (scopes, of_provider) in [
        (&["rest", "x", "jira"][..], "ok"),
        (&["jira"], "insufficient_scope"),
        (&[], "insufficient_scope"),
    ] {
        let identity = Identity {
            scopes: set(scopes).into_iter().collect(),
            ..identity("alice")
        };
        let outcome = |bounds| {
            word(decide(&Question {
                identity: &identity,
                bounds,
                request: &request("GET", "/x", "10.1.2.3"),
                application: &application(Product::Jira, ""),
            }))
        };
        assert_eq!(outcome(Bounds::Provider(&provider)), of_provider);
        assert_eq!(outcome(Bounds::ApiToken(&ours)), "ok");
    }
}

#[test]
fn a_rule_can_tell_the_kinds_of_credentials_apart() {
    let provider = Provider::plain("corp");
    let ours = scope(AccessLevel::Write);
    for (kind, by_jwt, by_own) in [
        ("jwt", "ok", "access_rule"),
        ("api_token", "access_rule", "ok"),
        ("opaque", "access_rule", "access_rule"),
    ] {
        let expression = format!("identity.credential == '{kind}'");
        let application = Application {
            access: Access {
                rules: vec![rule(Effect::Require, &expression)],
                ..Access::default()
            },
            ..application(Product::Jira, "")
        };
        let outcome = |bounds| {
            word(decide(&Question {
                identity: &identity("alice"),
                bounds,
                request: &request("GET", "/x", "10.1.2.3"),
                application: &application,
            }))
        };
        assert_eq!(outcome(Bounds::Provider(&provider)), by_jwt, "{kind}");
        assert_eq!(outcome(Bounds::ApiToken(&ours)), by_own, "{kind}");
    }
}

#[test]
fn scopes_are_asked_of_access_tokens_and_not_of_api_tokens() {
    let application = Application {
        access: Access {
            scopes: Some(ScopeAccess {
                read: vec!["jira:read".to_owned()],
                write: vec!["jira:write".to_owned()],
            }),
            ..Access::default()
        },
        ..application(Product::Jira, "")
    };
    let outcome = |scopes: &[&str], method: &str, bounds: Bounds<'_>| {
        let identity = Identity {
            scopes: set(scopes).into_iter().collect(),
            ..identity("alice")
        };
        word(decide(&Question {
            identity: &identity,
            bounds,
            request: &request(method, "/x", "10.1.2.3"),
            application: &application,
        }))
    };
    let provider = Provider::plain("corp");
    let bounds = Bounds::Provider(&provider);
    assert_eq!(outcome(&["jira:read"], "GET", bounds), "ok");
    assert_eq!(
        outcome(&["jira:read"], "POST", bounds),
        "insufficient_scope"
    );
    assert_eq!(outcome(&["jira:write"], "POST", bounds), "ok");
    assert_eq!(
        outcome(&["jira:write"], "GET", bounds),
        "insufficient_scope"
    );
    let ours = scope(AccessLevel::Write);
    assert_eq!(outcome(&[], "POST", Bounds::ApiToken(&ours)), "ok");
}

#[test]
fn an_explanation_names_every_policy_that_says_something() {
    let application = Application {
        access: Access {
            users: Some(AllowDeny {
                allow: None,
                deny: set(&["bob"]),
            }),
            rules: vec![
                Rule::compile("first", Effect::Deny, "true").expect("a rule"),
                Rule::compile("second", Effect::Require, "true").expect("a rule"),
            ],
            ..Access::default()
        },
        ..application(Product::Jira, "")
    };
    let explained = explain(&Question {
        identity: &identity("alice"),
        bounds: Bounds::ApiToken(&scope(AccessLevel::Read)),
        request: &request("POST", "/x", "10.1.2.3"),
        application: &application,
    });
    let lines: Vec<_> = explained
        .iter()
        .map(|one| (one.policy.as_str(), one.why.as_deref().unwrap_or("passes")))
        .collect();
    assert_eq!(
        lines,
        [
            ("api_token", "the API token may only read"),
            ("access.users", "passes"),
            (
                "access.rules first",
                "the rule \"first\" refuses (access.rules)"
            ),
            ("access.rules second", "passes"),
        ]
    );
    assert!(explained.iter().all(|one| one.passes == one.why.is_none()));
}

fn users_of(application: &mut Application) -> &mut AllowDeny<BTreeSet<String>> {
    application.access.users.get_or_insert(AllowDeny {
        allow: None,
        deny: BTreeSet::new(),
    })
}

/// Restrictions, each of a kind of its own or narrower than one before.
fn restrictions() -> Vec<fn(&mut Application)> {
    vec![
        |app| app.denied_paths = DeniedPaths::new(Some(Product::Jira), &[]),
        |app| {
            users_of(app).allow = Some(set(&["alice", "bob"]));
        },
        |app| {
            users_of(app).deny.insert("bob".to_owned());
        },
        |app| app.access.groups = Some(groups(&["users", "staff"], &[])),
        |app| {
            // A group that might write may only read from now on.
            if let Some(groups) = &mut app.access.groups {
                groups.read_only.insert("staff".to_owned());
            }
        },
        |app| {
            app.access.networks = Some(AllowDeny {
                allow: Some(vec!["10.0.0.0/8".parse().expect("a network")]),
                deny: vec!["10.9.0.0/16".parse().expect("a network")],
            });
        },
        |app| app.access.methods = Some(set(&["GET", "POST"])),
        |app| {
            app.access.scopes = Some(ScopeAccess {
                read: vec!["read".to_owned()],
                write: vec!["write".to_owned()],
            });
        },
        |app| {
            app.access.rules.push(rule(
                Effect::Deny,
                "request.operation == 'write' && identity.client == 'ci'",
            ));
        },
        |app| {
            let below = "request.path.startsWith('/rest/')";
            app.access.rules.push(rule(Effect::Require, below));
        },
        |app| {
            let staff = "'staff' in identity.groups";
            app.access.rules.push(rule(Effect::Deny, staff));
        },
    ]
}

proptest! {
    /// The order of the restrictions does not matter either: every one is as good as any other.
    #[test]
    fn adding_a_restriction_never_turns_a_denial_into_a_grant(
        order in Just((0..restrictions().len()).collect::<Vec<_>>()).prop_shuffle(),
        user in prop_oneof![Just("alice"), Just("bob"), Just("carol"), Just("svc-ci")],
        of in proptest::option::of(proptest::sample::subsequence(vec!["users", "staff", "x"], 0..3)),
        scopes in proptest::sample::subsequence(vec!["read", "write"], 0..=2),
        client in proptest::option::of(Just("ci".to_owned())),
        method in "GET|POST|HEAD|DELETE|get",
        path in "/(rest|scm|a)(/[a-z.;%]{1,6}){0,3}|/rest/pat/1.0",
        source in prop_oneof![Just("10.1.2.3"), Just("10.9.2.3"), Just("192.168.0.1"), Just("")],
        ours in any::<bool>(),
        half in any::<bool>(),
    ) {
        let identity = Identity {
            client,
            scopes: set(&scopes).into_iter().collect(),
            groups: of.map_or(if half { Groups::Unknown } else { Groups::Untold }, |of| Groups::Known(set(&of).into_iter().collect())),
            ..identity(user)
        };
        let (request, scope, provider) = (request(&method, &path, source), scope(AccessLevel::Write), Provider::plain("corp"));
        let bounds = if ours { Bounds::ApiToken(&scope) } else { Bounds::Provider(&provider) };
        let mut application = application(Product::Jira, "");
        application.access.members = members();
        let all = restrictions();
        let mut was_granted = true;
        for position in order {
            all[position](&mut application);
            let question = Question { identity: &identity, bounds, request: &request, application: &application };
            let is_granted = decide(&question).is_ok();
            prop_assert!(was_granted || !is_granted, "{}", position);
            let explained = explain(&question);
            prop_assert_eq!(is_granted, explained.iter().all(|one| one.passes));
            was_granted = is_granted;
        }
    }
}
