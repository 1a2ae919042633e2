//! What is no rule, and what the operator is told.

use super::*;

fn problem(expression: &str) -> Problem {
    match Rule::compile("r", Effect::Deny, expression) {
        Ok(_) => panic!("{expression} compiles"),
        Err(error) => error.problem,
    }
}

fn message(expression: &str) -> String {
    let refused = Rule::compile("no-robots", Effect::Deny, expression);
    refused.expect_err(expression).to_string()
}

#[test]
fn a_message_says_where_the_mistake_is_and_what_there_is_instead() {
    for (expression, place, expected) in [
        (
            "identity.user == 'anna'",
            "line 1, column 9",
            "there is no identity.user; identity has username, provider, groups, scopes, client, credential, claims",
        ),
        (
            "'é🐱' == 'x' &&\n  token.username == 'x'",
            "line 2, column 3",
            "there is no token; a rule reads identity, request, source and application",
        ),
        (
            "'é🐱' == request",
            "line 1, column 9",
            "request is no value; read one of method, path, resource, host, query, headers, operation",
        ),
        (
            "request.path.matches('^/rest')",
            "line 1, column 21",
            "there are no regular expressions; use startsWith, endsWith, contains or ==",
        ),
        (
            "request.headers['cookie'] == 'x'",
            "line 1, column 16",
            "the header \"cookie\" may carry a credential, which no rule may read; remove it from the rule",
        ),
        (
            "identity.username",
            "line 1, column 1",
            "its result is not true or false; compare it with something",
        ),
        (
            " ",
            "line 1, column 1",
            "it is empty; write an expression or remove the rule",
        ),
        (
            "identity.username ==\n 'anna' ;",
            "line 2, column 9",
            "it cannot be read: token recognition error at: \\';\\'",
        ),
    ] {
        let expected = format!("the rule \"no-robots\", {place}: {expected}");
        assert_eq!(message(expression), expected, "{expression}");
    }
}

#[test]
fn what_is_not_the_language_is_refused() {
    for expression in [
        "identity.username =",
        "identity.username = 'a'",
        "(true",
        "true)",
        "'a",
        "a ? b",
        "99999999999999999999 == 1",
        "identity.?username == 'a'",
        "identity.groups[?0] == 'a'",
        "[?identity.client] == ['a']",
        "identity.`username` == 'a'",
        "identity.groups.all(1, true)",
        "has(identity)",
        "has('a')",
        "true; false",
        "true \0",
    ] {
        let found = problem(expression);
        assert!(matches!(found, Problem::Syntax(_)), "{expression}");
    }
}

#[test]
fn only_what_is_named_can_be_read() {
    let unknown = |name: &str| Problem::UnknownName(name.to_owned());
    assert_eq!(problem("user == 'a'"), unknown("user"));
    let absolute = ".identity.username == 'a'";
    assert_eq!(problem(absolute), unknown(".identity"));
    assert_eq!(problem("string == 'a'"), unknown("string"));
    let other = "identity.groups.exists(g, h == 'a')";
    assert_eq!(problem(other), unknown("h"));
    let after = "identity.groups.exists(g, true) && g == 'a'";
    assert_eq!(problem(after), unknown("g"));
    for member in [
        "identity.user",
        "has(identity.user)",
        "request.url",
        "source.port",
        "application.version",
        "application.username",
    ] {
        let found = problem(&format!("{member} == 'a'"));
        assert!(matches!(found, Problem::UnknownMember(..)), "{member}");
    }
}

#[test]
fn a_namespace_is_no_value() {
    for expression in [
        "identity == 'a'",
        "size(request) > 0",
        "source in ['a']",
        "[application] == []",
        "identity['username'] == 'a'",
        "'username' in identity",
        "size(identity.claims) > 0",
        "request.headers == {}",
        "has(request.headers)",
        "request.headers.exists(h, h == 'a')",
        "identity.claims.size() == 0",
    ] {
        let found = problem(expression);
        assert!(matches!(found, Problem::Namespace(..)), "{expression}");
    }
}

#[test]
fn headers_are_named_in_lower_case_and_written_out_and_carry_no_credentials() {
    for secret in [
        "authorization",
        "Authorization",
        "proxy-authorization",
        "cookie",
        "dpop",
        ":authority",
        ":x",
    ] {
        let expected = Problem::SecretHeader(secret.to_ascii_lowercase());
        let read = format!("request.headers['{secret}'] == 'a'");
        assert_eq!(problem(&read), expected);
        let asked = format!("'{secret}' in request.headers");
        assert_eq!(problem(&asked), expected);
    }
    let secret = Problem::SecretHeader("cookie".to_owned());
    assert_eq!(problem("request.headers.cookie == 'a'"), secret);
    assert_eq!(problem("has(request.headers.cookie)"), secret);
    let case = Problem::HeaderCase("x-team".to_owned());
    assert_eq!(problem("request.headers['X-Team'] == 'a'"), case);
    for expression in [
        "request.headers['x-' + 'team'] == 'a'",
        "request.headers[identity.username] == 'a'",
        "identity.username in request.headers",
        "identity.groups.exists(g, g in identity.claims)",
        "request.headers[0] == 'a'",
    ] {
        assert_eq!(problem(expression), Problem::ComputedName, "{expression}");
    }
}

#[test]
fn only_a_few_functions_are_there() {
    for call in [
        "duration('1s')",
        "timestamp('2020-01-01T00:00:00Z')",
        "int('1')",
        "type(1)",
        "bytes('a')",
        "dyn(1)",
        ".size('a')",
        "size('a', 'b')",
        "'a'.contains('a', 'b')",
        "contains('a', 'b')",
        "'a'.string()",
        "'a'.upperAscii()",
        "'a'.split('b')",
        "'a'.replace('a', 'b')",
        "['a'].join()",
        "strings.quote('a')",
        "identity.groups.all(g)",
        "identity.groups.first()",
        "all(identity.groups, g, true)",
        "optional.of(1)",
    ] {
        let found = problem(&format!("{call} == 1"));
        assert!(matches!(found, Problem::UnknownFunction(..)), "{call}");
    }
    assert_eq!(problem("matches('a', 'b')"), Problem::NoRegex);
    let bytes = Problem::Unsupported("bytes");
    assert_eq!(problem("b'a' == b'a'"), bytes);
    let messages = Problem::Unsupported("messages");
    assert_eq!(problem("A{b: 1} == 1"), messages);
}

#[test]
fn a_result_that_is_never_a_truth_value_is_refused() {
    for expression in [
        "1",
        "'true'",
        "null",
        "[true]",
        "{'a': true}",
        "1 + 1",
        "-identity.claims.level",
        "size(identity.groups)",
        "'A'.lowerAscii()",
        "string(true)",
        "identity.groups",
        "identity.groups.filter(g, true)",
        "identity.groups.map(g, true)",
    ] {
        assert_eq!(problem(expression), Problem::NotBool, "{expression}");
    }
}

#[test]
fn what_is_never_equal_is_refused() {
    for expression in [
        "identity.groups == 'contractors'",
        "'contractors' != identity.groups",
        "identity.username == 1",
        "identity.client == null",
        "has(identity.client) == 'true'",
        "size(identity.groups) == '3'",
        "identity.username.lowerAscii() == ['anna']",
        "identity.groups.filter(g, true) == 'a'",
        "1 in identity.groups",
        "identity.groups in identity.scopes",
        "['a'].exists(x, identity.groups == 'a')",
    ] {
        let found = problem(expression);
        assert!(matches!(found, Problem::NeverEqual(..)), "{expression}");
    }
    let message = message("identity.groups == 'contractors'");
    assert!(message.ends_with(
        "it compares a list with text, which are never equal; compare two of one type, or use in or has()"
    ));
    // The type of a claim is its provider's.
    for expression in [
        "identity.claims.a == 1 || identity.claims.a == '1'",
        "identity.groups.exists(g, g == 1)",
        "1 in identity.claims.a",
        "1 == 1.0",
    ] {
        assert!(
            Rule::compile("r", Effect::Deny, expression).is_ok(),
            "{expression}"
        );
    }
}

#[test]
fn what_could_cost_too_much_is_refused() {
    let sum = |count: usize| format!("size('a'{}) == 1", " + 'a'".repeat(count));
    let list = |count: usize| format!("1 in [{}]", vec!["1"; count].join(","));
    let map = |count: usize| {
        let entries: Vec<_> = (0..count).map(|key| format!("{key}:1")).collect();
        format!("1 in {{{}}}", entries.join(","))
    };
    let loops = |count: usize| vec!["[1].all(x, true)"; count].join(" && ");
    let not = |count: usize| format!("{}true{}", "!(".repeat(count), ")".repeat(count));
    let long = |count: usize| format!("{:count$}", "true");
    for (at_most, more, expected) in [
        (sum(16), sum(17), Problem::TooManyAdditions),
        (list(64), list(65), Problem::TooManyEntries),
        (map(64), map(65), Problem::TooManyEntries),
        (loops(4), loops(5), Problem::TooManyLoops),
        (not(31), not(32), Problem::TooDeep),
        (not(31), not(100), Problem::TooDeep),
        (long(512), long(513), Problem::TooLong),
    ] {
        assert!(Rule::compile("r", Effect::Deny, &at_most).is_ok());
        assert_eq!(problem(&more), expected, "{more}");
    }
}

#[test]
fn a_macro_goes_over_what_is_read_or_written_out_and_stands_in_no_other() {
    let nested = "identity.groups.all(g, identity.scopes.all(s, s == g))";
    assert_eq!(problem(nested), Problem::NestedLoop);
    for range in [
        "identity.groups.map(g, g).all(g, g == 'a')",
        "(identity.groups + identity.groups).all(g, g == 'a')",
        "[identity.groups].all(g, g == [])",
        "[identity.claims.roles].all(g, g == [])",
        "[[1]].all(g, g == [])",
        "{'a': 1}.all(g, g == 'a')",
        "(true ? [1] : [2]).all(g, g == 1)",
        "identity.username.all(c, c == 'a')",
        "identity.client.name.all(c, c == 'a')",
        "has(identity.claims.a).all(c, c)",
        "'ab'.all(c, c == 'a')",
    ] {
        assert_eq!(problem(range), Problem::LoopRange, "{range}");
    }
    for name in ["identity", "request", "source", "application", ".g"] {
        let found = problem(&format!("identity.groups.all({name}, true)"));
        assert_eq!(found, Problem::VariableName(name.to_owned()));
    }
}

#[test]
fn a_macro_goes_over_any_part_of_a_claim() {
    for range in [
        "identity.claims.address.lines",
        "identity.claims.roles[0]",
        "identity.claims['roles'].names['x']",
    ] {
        let expression = format!("{range}.all(x, x == 'a')");
        let compiled = Rule::compile("r", Effect::Deny, &expression);
        assert!(compiled.is_ok(), "{expression}");
    }
    let expression = "size(identity.claims.roles).all(x, x == 'a')";
    assert!(Rule::compile("r", Effect::Deny, expression).is_err());
}

#[test]
fn what_stands_in_a_map_is_looked_at_like_everything_else() {
    for expression in [
        "'a' in {'a': identity.nothing}",
        "'a' in {identity.nothing: 1}",
    ] {
        let found = problem(expression);
        assert!(matches!(found, Problem::UnknownMember(..)), "{expression}");
    }
}

#[test]
fn only_in_asks_for_one_of_the_headers_by_name() {
    let compiled = |operator: &str| {
        let expression = format!("'x-list' {operator} request.headers");
        Rule::compile("r", Effect::Deny, &expression).is_ok()
    };
    assert!(compiled("in"));
    assert!(!compiled("==") && !compiled("!="));
}
