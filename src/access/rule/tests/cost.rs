//! What the most expensive rules cost, by counting.

use super::*;
use crate::access::rule::facts::MAX_COST;

/// All groups of [`crowd`] once: their bytes, and 64 for each.
const GROUPS: u64 = 1024 * (64 + 10);

/// 1024 groups of 10 bytes.
fn crowd() -> World {
    World {
        groups: (0..1024)
            .map(|number| format!("group-{number:04}"))
            .collect(),
        added: Vec::new(),
        ..World::new()
    }
}

/// The answer, and what was read for it.
fn count(expression: &str, facts: &Facts<'_>) -> (Option<bool>, u64) {
    let rule = rule(Effect::Deny, expression);
    let reader = Reader::new(facts, &rule.readings);
    let holds = rule.holds(&reader);
    (holds, reader.cost())
}

#[test]
fn every_reading_counts_and_only_what_is_read() {
    let world = crowd();
    for (expression, expected) in [
        ("true", 0),
        ("identity.username == 'anna'", 64 + 4),
        ("identity.username == 'x' && 'x' in identity.groups", 64 + 4),
        ("'group-1023' in identity.groups", GROUPS),
        ("size(identity.groups) == size(identity.groups)", 2 * GROUPS),
        ("has(identity.groups)", 64),
        ("identity.claims.roles == ['a', 'b']", 3 * 64 + 2),
        ("identity.claims.address.country == 'CH'", 2 * 64 + 7 + 2),
        ("request.headers['x-list'] == 'a, b'", 64 + 4),
    ] {
        let (_, cost) = count(expression, &world.facts());
        assert_eq!(cost, expected, "{expression}");
    }
}

/// Four macros over the longest list that there is: 4096 steps. No expression makes more.
#[test]
fn the_most_steps_are_four_times_the_longest_list() {
    let world = crowd();
    let all = "identity.groups.all(g, has(identity.client))";
    let expression = [all; 4].join("&&");
    let expected = 4 * (GROUPS + 1024 * 64);
    let counted = count(&expression, &world.facts());
    assert_eq!(counted, (Some(true), expected));
}

/// Every group against every group would be a million comparisons.
#[test]
fn a_list_in_a_macro_counts_each_time_and_too_much_of_it_refuses() {
    let world = crowd();
    let each = "identity.groups.all(g, g in identity.groups)";
    assert_eq!(count(each, &world.facts()), (None, MAX_COST + 1));
    for some in [100, 300] {
        let few = Facts {
            groups: Some([&world.groups[..some], &[]]),
            ..world.facts()
        };
        let some = u64::try_from(some).expect("a small number");
        let expected = (some + 1) * some * (64 + 10);
        assert_eq!(count(each, &few), (Some(true), expected));
    }
}

#[test]
fn too_much_reading_is_not_forgiven() {
    let world = crowd();
    for expression in [
        "identity.groups.all(g, g in identity.groups) || true",
        "identity.groups.all(g, g in identity.groups) && false",
        "identity.groups.exists(g, g in identity.groups && false) || true",
    ] {
        assert_eq!(answer(expression, &world.facts()), None, "{expression}");
    }
}

/// A header of 64 KB is the longest text that reaches a rule. A rule makes it 17 times as long, at most.
#[test]
fn what_grows_grows_seventeenfold_at_most() {
    let world = World {
        headers: headers(&[("a", &vec![b'x'; 64_000])]),
        ..World::new()
    };
    let sum = ["x"; 17].join("+");
    let expression = format!("[request.headers.a].map(x, size({sum}))[0] == 17 * 64000");
    let counted = count(&expression, &world.facts());
    assert_eq!(counted, (Some(true), 64 + 64_000));
}

#[test]
fn a_list_that_is_too_long_is_not_made() {
    let mut world = crowd();
    let size = "size(identity.groups) > 0";
    assert_eq!(answer(size, &world.facts()), Some(true));
    world.added = names(&["one more"]);
    assert_eq!(answer(size, &world.facts()), None);
    world.added.clear();
    world.groups = vec!["x".repeat(256 * 1024)];
    assert_eq!(answer(size, &world.facts()), None);
}

#[test]
fn a_claim_that_is_too_large_or_too_deep_is_not_made() {
    let mut world = World::new();
    let nested = |depth: usize| (1..depth).fold(json!("x"), |inner, _| json!([inner]));
    let members = |count: usize| {
        let members = (0..count).map(|key| (key.to_string(), json!(1)));
        Json::Object(members.collect())
    };
    for (claim, expected) in [
        (json!(vec![1; 256]), Some(true)),
        (json!(vec![1; 257]), None),
        (members(256), Some(true)),
        (members(257), None),
        (nested(8), Some(true)),
        (nested(9), None),
        (json!(vec![vec![1; 256]; 15]), Some(true)),
        (json!(vec![vec![1; 256]; 16]), None),
        (json!(["x".repeat(262_000)]), Some(true)),
        (json!(["x".repeat(263_000)]), None),
    ] {
        world.claims.insert("c".to_owned(), claim);
        let size = "size(identity.claims.c) > 0";
        assert_eq!(answer(size, &world.facts()), expected);
    }
}

#[test]
fn what_may_be_read_may_be_read_to_the_last_byte() {
    let world = World::new();
    let facts = world.facts();
    let reader = Reader::new(&facts, &[]);
    let most = usize::try_from(MAX_COST).expect("a small number");
    assert!(reader.charge(most).is_some());
    assert!(!reader.is_exhausted());
    assert!(reader.charge(1).is_none());
    assert!(reader.is_exhausted());
}
