//! Whatever is written, and whoever sends the request: nothing panics, and nothing lets through what it cannot judge.

use std::thread;

use proptest::prelude::*;

use super::*;

/// Pieces of the language, of what is near it, and of ours; separated by spaces.
const PIECES: &str = r#"identity request source application .username .groups .claims .headers .path .address .x
    [ ] ( ) { } , : ? 'a' "b" ' " ''' r'\' b'a' '\u12' '\xff' .all(x, .exists(x, .exists_one(x, .map(x, .filter(x, has(
    size( .size() .contains( .startsWith( .lowerAscii() string( x && || ! - + * / % == != < >= 0 1u 9223372036854775807
    -9223372036854775808 1.5 1e308 null true é // ` @ ; $ 0x . .."#;
/// Values of every kind.
const VALUES: &str = "1 0 -1 1u 1.5 9223372036854775807 -9223372036854775808 'a' 'dev' true false null [1,'a'] {'a':1} \
    [] {} identity.username identity.groups identity.scopes identity.client identity.claims.roles \
    identity.claims.level identity.claims.address identity.claims.none identity.claims.big identity.claims.missing \
    request.path request.query request.headers['x-team'] request.headers['x-bytes'] source.address \
    has(identity.client) has(identity.claims.roles) identity.groups.exists(x,x=='dev') \
    identity.claims.roles.map(x,x+x) identity.scopes.filter(x,size(x)/0==1)";
const BINARY: &str = "&& || == != < <= > >= + - * / % in";
const UNARY: &str = "!( -( size( string( ( [1,2].exists_one(x,x== [1].map(x,";
const METHODS: &str = ".contains( .startsWith( .endsWith(";

fn one_of(words: &'static str) -> impl Strategy<Value = &'static str> {
    let words: Vec<_> = words.split_whitespace().collect();
    prop::sample::select(words)
}

/// What is often a rule.
fn expression() -> impl Strategy<Value = String> {
    let value = one_of(VALUES).prop_map(str::to_owned);
    value.prop_recursive(4, 24, 3, |inner| {
        let two = || (inner.clone(), inner.clone());
        prop_oneof![
            (one_of(BINARY), two()).prop_map(|(op, (a, b))| format!("({a} {op} {b})")),
            (one_of(UNARY), inner.clone()).prop_map(|(op, a)| format!("{op}{a})")),
            (one_of(METHODS), two()).prop_map(|(op, (a, b))| format!("({a}){op}{b})")),
            two().prop_map(|(a, b)| format!("({a})[{b}]")),
            inner.clone().prop_map(|a| format!("({a}).lowerAscii()")),
            (inner.clone(), two()).prop_map(|(a, (b, c))| format!("({a} ? {b} : {c})")),
        ]
    })
}

/// Both effects of one expression, on all that is there and on little.
fn at_most_one_lets_pass(expression: &str) -> Result<(), TestCaseError> {
    let compile = |effect| Rule::compile("r", effect, expression);
    let (Ok(deny), Ok(require)) = (compile(Effect::Deny), compile(Effect::Require)) else {
        return Ok(());
    };
    let world = World::new();
    for facts in [world.facts(), world.bare()] {
        let (denied, required) = (deny.judge(&facts), require.judge(&facts));
        let failed = Err(RuleRefusal::Failed);
        prop_assert!(denied.is_err() || required.is_err());
        prop_assert_eq!(denied == failed, required == failed);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_text_is_read_or_refused(text in "[ -~é🐱\n\t\0]{0,80}") {
        at_most_one_lets_pass(&text)?;
    }

    #[test]
    fn any_pieces_are_read_or_refused(pieces in prop::collection::vec(one_of(PIECES), 0..20)) {
        at_most_one_lets_pass(&pieces.concat())?;
        at_most_one_lets_pass(&pieces.join(" "))?;
    }

    #[test]
    fn of_deny_and_require_with_one_expression_at_most_one_lets_a_request_pass(
        expression in expression(),
    ) {
        at_most_one_lets_pass(&expression)?;
    }
}

/// On half of the stack that a worker has.
#[test]
fn what_is_nested_is_read_or_refused_before_the_stack_ends() {
    let read_all = || {
        for (open, close) in [
            ("(", ")"),
            ("[", "]"),
            ("!(", ")"),
            ("-(", ")"),
            ("!", ""),
            ("-", ""),
            ("size(", ")"),
            ("{1:", "}"),
            ("A{b:", "}"),
            ("[1].all(x,", ")"),
            ("true?", ":true"),
            ("true?true:", ""),
            ("1<", ""),
            ("1+", ""),
            ("true&&", ""),
            ("identity.claims[", "]"),
            ("", ".a"),
            ("", "[0]"),
        ] {
            for count in [8, 31, 32, 33, 508 / (open.len() + close.len())] {
                let text = format!("{}true{}", open.repeat(count), close.repeat(count));
                at_most_one_lets_pass(&text).expect("judged");
                let unclosed = format!("{}true", open.repeat(count));
                at_most_one_lets_pass(&unclosed).expect("judged");
            }
        }
    };
    let half = thread::Builder::new().stack_size(1024 * 1024);
    let reader = half.spawn(read_all).expect("a thread");
    reader.join().expect("no panic");
}
