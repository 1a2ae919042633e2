use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object(value: Value) -> Object {
    let Value::Object(members) = value else {
        panic!("an object")
    };
    members.into()
}

/// Shorter than eight bytes, as long, longer; alike in all of the first eight but not in what follows.
const NAMES: [&str; 12] = [
    "",
    "\0",
    "a",
    "a\0",
    "é",
    "aud",
    "azp",
    "username",
    "username\0",
    "username_1",
    "username_2",
    "\u{10ffff}",
];

fn names() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(proptest::sample::select(&NAMES), 0..20)
}

fn read(names: &[&str]) -> Option<Object> {
    let mut builder = Builder::with_capacity(0);
    let members = names.iter().enumerate().map(|(at, name)| Member {
        name: builder.name(name),
        value: Node::Number(at.into()),
    });
    let members = members.collect();
    let members = builder.object(members).ok()?;
    Some(builder.finish(members))
}

proptest! {
    #[test]
    fn every_member_is_found_by_its_name_and_no_name_is_there_twice(names in names()) {
        let first = |name: &str| names.iter().position(|other| *other == name);
        let is_twice = names.iter().enumerate().any(|(at, name)| first(name) != Some(at));
        let object = read(&names);
        prop_assert_eq!(object.is_none(), is_twice);
        let Some(object) = object else { return Ok(()) };
        for name in NAMES {
            let found = object.get(name).map(Json::to_value);
            prop_assert_eq!(found, first(name).map(Value::from), "{}", name);
        }
        let mut in_order = names.clone();
        in_order.sort_unstable();
        prop_assert!(object.members().iter().map(|(name, _)| name).eq(in_order));
    }
}

#[test]
fn an_object_says_what_the_map_said_that_it_was_made_of() {
    let written = json!({
        "null": null, "true": true, "number": -7, "big": u64::MAX, "half": 0.5, "text": "é",
        "": "empty", "list": [1, "two", {"three": [3]}, []], "object": {"b": 1, "a": {"": 2}},
    });
    assert_eq!(
        Value::Object(object(written.clone()).members().to_map()),
        written
    );
}

#[test]
fn what_is_escaped_in_a_pointer_is_unescaped_once() {
    for (token, name) in [
        ("a~1b", "a/b"),
        ("a~0b", "a~b"),
        ("~01", "~1"),
        ("~10", "/0"),
        ("~", "~"),
    ] {
        assert_eq!(unescaped(token), name, "{token}");
        assert_eq!(unescaped(&escaped(token)), token);
    }
}

#[test]
fn a_step_is_the_name_of_a_member_or_the_number_of_an_element() {
    let object = object(json!({"list": ["a", "b"], "0": "zero", "text": "x"}));
    let step = |name: &str, token: &str| object.get(name)?.step(token)?.as_str();
    assert_eq!(step("list", "0"), Some("a"));
    assert_eq!(step("list", "1"), Some("b"));
    for nothing in [
        "2",
        "01",
        "00",
        "+1",
        "-1",
        "",
        "-",
        "1 ",
        "99999999999999999999",
    ] {
        assert_eq!(step("list", nothing), None, "{nothing}");
    }
    assert_eq!(step("text", "0"), None);
    let members = Json::Object(object.members());
    assert_eq!(members.step("0").and_then(Json::as_str), Some("zero"));
    assert!(members.step("1").is_none());
}
