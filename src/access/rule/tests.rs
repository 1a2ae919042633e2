mod cost;
mod hostile;
mod refused;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::request::{Headers, Request};

/// What [`Facts`] borrow.
struct World {
    groups: Vec<String>,
    added: Vec<String>,
    scopes: Vec<String>,
    claims: BTreeMap<String, Json>,
    headers: Headers,
}

fn headers(lines: &[(&str, &[u8])]) -> Headers {
    Request::raw("GET", "/", lines).headers
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl World {
    fn new() -> Self {
        let claims = json!({
            "team": "core", "level": 3, "big": u64::MAX, "share": 0.5, "admin": true, "none": null,
            "roles": ["a", "b"], "address": {"country": "CH"}, "https://x.example/id": "7",
        });
        let Json::Object(claims) = claims else {
            panic!("an object")
        };
        Self {
            groups: names(&["dev", "ops"]),
            added: names(&["staff"]),
            scopes: names(&["jira:read"]),
            claims: claims.into_iter().collect(),
            headers: headers(&[
                (":method", b"GET"),
                ("X-Team", b"core"),
                ("x-list", b"a"),
                ("x-list", b"b"),
                ("x-bytes", b"\xff"),
                ("x-control", b"a\tb"),
                ("authorization", b"Bearer x"),
            ]),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            username: "anna",
            provider: "keycloak",
            groups: Some([&self.groups, &self.added]),
            scopes: &self.scopes,
            client: Some("script"),
            credential: "jwt",
            claims: &self.claims,
            method: "GET",
            path: Some("/rest/api/2/issue"),
            resource: Some("/rest/api/issue"),
            host: "jira.example",
            query: Some("jql=x"),
            headers: &self.headers,
            operation: Some("read"),
            address: Some("10.1.2.3".parse().expect("an address")),
            application: "jira",
            product: "jira",
        }
    }

    /// Nothing that may be absent is there.
    fn bare(&self) -> Facts<'_> {
        Facts {
            groups: None,
            client: None,
            path: None,
            resource: None,
            query: Some(""),
            operation: None,
            address: None,
            ..self.facts()
        }
    }
}

fn rule(effect: Effect, expression: &str) -> Rule {
    Rule::compile("r", effect, expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

/// What both effects do with an expression: `None` when it fails, and then both refuse.
fn answer(expression: &str, facts: &Facts<'_>) -> Option<bool> {
    let denied = rule(Effect::Deny, expression).judge(facts);
    let required = rule(Effect::Require, expression).judge(facts);
    match (denied, required) {
        (Err(RuleRefusal::Refused), Ok(())) => Some(true),
        (Ok(()), Err(RuleRefusal::Refused)) => Some(false),
        (Err(RuleRefusal::Failed), Err(RuleRefusal::Failed)) => None,
        other => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn deny_refuses_what_is_true_and_require_what_is_not() {
    let world = World::new();
    let judge = |effect, expression| rule(effect, expression).judge(&world.facts());
    let (yes, no) = (
        "identity.username == 'anna'",
        "identity.username == 'berta'",
    );
    assert_eq!(judge(Effect::Deny, yes), Err(RuleRefusal::Refused));
    assert_eq!(judge(Effect::Deny, no), Ok(()));
    assert_eq!(judge(Effect::Require, yes), Ok(()));
    assert_eq!(judge(Effect::Require, no), Err(RuleRefusal::Refused));
}

#[test]
fn everything_that_is_named_can_be_read() {
    let world = World::new();
    for expression in [
        "identity.username == 'anna' && identity.provider == 'keycloak'",
        "identity.groups == ['dev', 'ops', 'staff'] && 'staff' in identity.groups",
        "size(identity.groups) == 3 && identity.groups[0] == 'dev'",
        "'jira:read' in identity.scopes && identity.scopes.size() == 1",
        "identity.client == 'script' && identity.credential == 'jwt'",
        "identity.claims.team == 'core' && identity.claims['team'] == 'core'",
        "identity.claims['https://x.example/id'] == '7'",
        "identity.claims.level == 3 && identity.claims.level + 1 == 4 && identity.claims.share < 1",
        "identity.claims.big == 18446744073709551615u && identity.claims.none == null",
        "identity.claims.admin",
        "'a' in identity.claims.roles && identity.claims.roles[1] == 'b'",
        "identity.claims.address.country == 'CH' && has(identity.claims.address.country)",
        "has(identity.claims.team) && 'team' in identity.claims",
        "request.method == 'GET' && request.host == 'jira.example' && request.query == 'jql=x'",
        "request.path.startsWith('/rest/') && request.operation == 'read'",
        "request.headers['x-team'] == 'core' && 'x-team' in request.headers",
        "request.headers['x-list'] == 'a, b' && has(request.headers.host) == false",
        "source.address == '10.1.2.3'",
        "application.name == 'jira' && application.product == 'jira'",
        "'ANNA'.lowerAscii() == identity.username && string(1 + 1) == '2'",
        "has(identity.username) && has(identity.groups) && has(source.address)",
        "identity.groups.exists(g, request.path.startsWith('/rest/' + g)) == false",
        "identity.groups.all(g, size(g) > 2) && identity.groups.exists_one(g, g.endsWith('ff'))",
        "identity.groups.filter(g, g.contains('o')).size() == 1",
        "'DEV' in ['dev'].map(g, 'DEV') && identity.claims.roles.exists(r, r == 'a')",
        "{'jira': true}[application.name] && (1 > 2 ? false : true) && !false",
    ] {
        assert_eq!(
            answer(expression, &world.facts()),
            Some(true),
            "{expression}"
        );
    }
}

#[test]
fn what_is_absent_refuses_whatever_the_effect() {
    let world = World::new();
    for expression in [
        "identity.client != 'x'",
        "'admins' in identity.groups",
        "identity.groups.all(g, g != 'x')",
        "identity.claims.missing != 'x'",
        "identity.claims.team.deeper != 'x'",
        "has(identity.claims.missing.deeper)",
        "request.path != '/x'",
        "request.query != 'x'",
        "request.operation != 'write'",
        "request.headers['x-missing'] != 'x'",
        "request.headers['x-bytes'] != 'x'",
        "request.headers['x-control'] != 'x'",
        "source.address != '10.0.0.1'",
    ] {
        assert_eq!(answer(expression, &world.bare()), None, "{expression}");
    }
}

#[test]
fn whether_something_is_there_can_be_asked() {
    let world = World::new();
    for (expression, there) in [
        ("has(identity.client)", false),
        ("has(identity.groups)", false),
        ("has(request.path)", false),
        ("has(request.query)", false),
        ("has(request.operation)", false),
        ("has(source.address)", false),
        ("has(identity.claims.missing)", false),
        ("'missing' in identity.claims", false),
        ("'x-missing' in request.headers", false),
        ("'x-bytes' in request.headers", true),
        ("has(identity.client) && identity.client == 'x'", false),
        ("!has(identity.groups) || 'dev' in identity.groups", true),
    ] {
        assert_eq!(
            answer(expression, &world.bare()),
            Some(there),
            "{expression}"
        );
    }
}

#[test]
fn a_rule_that_cannot_be_evaluated_refuses() {
    let mut world = World::new();
    world.claims.insert("i".to_owned(), json!(i64::MIN));
    for expression in [
        "1 / 0 == 1",
        "1 % 0 == 1",
        "identity.claims.i / -1 == 1",
        "identity.claims.i % -1 == 0",
        "-identity.claims.i > 0",
        "identity.claims.i - 1 < 0",
        "9223372036854775807 + 1 > 0",
        "identity.claims.i * 2 < 0",
        "0u - 1u > 0u",
        "[1][1] == 1",
        "[1][-1] == 1",
        "[1][0.5] == 1",
        "[1]['a'] == 1",
        "{'a': 1}['b'] == 1",
        "{'a': 1, 'a': 2}['a'] == 1",
        "{null: 1}.size() == 1",
        "identity.username['a'] == 'a'",
        "1 < 'a'",
        "identity.username + 1 == 'a'",
        "size(1) == 1",
        "size(null) == 0",
        "'a'.contains(1)",
        "1.contains('a')",
        "string(identity.groups) == 'a'",
        "'a' in 'abc'",
        "!identity.claims.team",
        "identity.claims.team",
        "identity.claims.team && true",
        "identity.claims.level ? true : false",
        "identity.claims.level.exists(x, true)",
        "identity.groups.exists(g, g)",
        "identity.groups.all(g, g.size() / 0 == 1)",
    ] {
        assert_eq!(answer(expression, &world.facts()), None, "{expression}");
    }
}

/// The specification of the language, and sound: the other operand decides alone.
#[test]
fn an_operand_that_fails_matters_only_if_the_other_one_does_not_decide() {
    let world = World::new();
    for (expression, expected) in [
        ("false && 1 / 0 == 1", Some(false)),
        ("1 / 0 == 1 && false", Some(false)),
        ("1 / 0 == 1 && true", None),
        ("true || 1 / 0 == 1", Some(true)),
        ("1 / 0 == 1 || true", Some(true)),
        ("1 / 0 == 1 || false", None),
        (
            "identity.groups.exists(g, g == 'ops' || 1 / 0 == 1)",
            Some(true),
        ),
        (
            "identity.groups.all(g, g == 'ops' && 1 / 0 == 1)",
            Some(false),
        ),
        ("identity.groups.exists(g, g == 'x' || 1 / 0 == 1)", None),
        ("true ? true : 1 / 0 == 1", Some(true)),
        ("(1 / 0 == 1) ? true : true", None),
    ] {
        assert_eq!(answer(expression, &world.facts()), expected, "{expression}");
    }
}

#[test]
fn a_rule_tells_its_name_and_what_it_reads() {
    let known = |expression| {
        let rule = rule(Effect::Deny, expression);
        assert_eq!(rule.name(), "r");
        rule.reads_path()
    };
    let neither = "request.method == 'GET' && request.query == 'x'";
    assert!(!known(neither));
    for path in [
        "request.path == '/'",
        "has(request.path)",
        "request.resource == '/'",
        "request.operation == 'read'",
        "identity.scopes.exists(s, request.path == s)",
    ] {
        assert!(known(path), "{path}");
    }
    for groups in ["'a' in identity.groups", "has(identity.groups)"] {
        assert!(!known(groups), "{groups}");
    }
}

#[test]
fn the_variable_of_a_macro_hides_nothing_and_nothing_hides_it() {
    let mut world = World::new();
    for name in ["g", "0", "team.deeper"] {
        world.claims.insert(name.to_owned(), json!("wrong"));
    }
    for (expression, expected) in [
        ("identity.groups.exists(g, g == 'wrong')", Some(false)),
        ("identity.claims.team.deeper == 'wrong'", None),
        ("identity.claims['0'] == 'wrong'", Some(true)),
    ] {
        assert_eq!(answer(expression, &world.facts()), expected, "{expression}");
    }
}
