use serde_json::{Value, json};

use super::*;
use crate::{
    provider::Provider,
    verify::claims::{Claims, Facts},
};

fn path(text: &str) -> ClaimPath {
    ClaimPath::parse(text).expect("a path")
}

fn verified(claims: Value, is_machine: bool) -> Verified {
    let Value::Object(members) = claims else {
        panic!("an object")
    };
    Verified {
        claims: Claims::for_test(members),
        facts: Facts {
            valid_until: 60,
            client: Some("app".to_owned()),
            is_machine,
            scopes: vec!["read".to_owned(), "write".to_owned()],
        },
        voucher: Voucher::Record,
    }
}

fn keep() -> Keep {
    Keep {
        groups: Some(GroupRule {
            claims: vec![path("groups")],
            format: GroupFormat::List,
            prefix: String::new(),
            unknown_if_present: Vec::new(),
        }),
        claims: vec![
            ("dept".to_owned(), path("/org/dept")),
            ("absent".to_owned(), path("absent")),
        ],
    }
}

fn establish(verified: Verified, keep: &Keep) -> Result<Identity, MappingError> {
    let provider = Provider::plain("idp");
    Identity::establish(verified, "idp".into(), &provider.mapping, keep)
}

fn claims() -> Value {
    json!({"sub": "alice", "groups": ["dev"], "org": {"dept": {"unit": ["abc", 1]}}})
}

#[test]
fn an_identity_is_what_its_token_says() {
    let identity = establish(verified(claims(), false), &keep()).expect("a user");
    assert_eq!(identity.username.as_str(), "alice");
    assert_eq!(&*identity.provider, "idp");
    assert_eq!(identity.client.as_deref(), Some("app"));
    assert_eq!(identity.scopes, ["read", "write"]);
    assert_eq!(identity.valid_until, 60);
    assert_eq!(identity.groups, Groups::Known(vec!["dev".to_owned()]));
    let kept: Vec<_> = identity.claims.0.into_iter().collect();
    assert_eq!(kept, [("dept".to_owned(), json!({"unit": ["abc", 1]}))]);
}

#[test]
fn without_a_rule_for_groups_a_token_tells_of_none() {
    let identity = establish(verified(claims(), false), &Keep::default()).expect("a user");
    assert_eq!(identity.groups, Groups::Untold);
    assert!(identity.claims.0.is_empty());
}

#[test]
fn a_token_without_a_user_stands_for_nobody_unless_its_client_is_mapped() {
    let refused = |verified| establish(verified, &keep()).err();
    let machine = || verified(claims(), true);
    assert_eq!(refused(machine()), Some(MappingError::UnknownMachine));
    let mut without_client = machine();
    without_client.facts.client = None;
    assert_eq!(refused(without_client), Some(MappingError::UnknownMachine));
    let mut mapping = Provider::plain("idp").mapping;
    let robot = Username::parse("robot", &UsernamePolicy::default()).expect("a name");
    mapping.machine_clients.insert("app".to_owned(), robot);
    let identity = Identity::establish(machine(), "idp".into(), &mapping, &keep());
    assert_eq!(identity.expect("a user").username.as_str(), "robot");
    assert_eq!(
        refused(verified(json!({}), false)),
        Some(MappingError::ClaimMissing)
    );
}

/// The memory of tokens is bounded by what this says.
#[test]
fn an_identity_weighs_every_byte_that_it_holds() {
    let identity = establish(verified(claims(), false), &keep()).expect("a user");
    let (text, value) = (size_of::<String>(), size_of::<Value>());
    let own = size_of::<Identity>() + "alice".len() + "app".len();
    let scopes = "read".len() + text + "write".len() + text;
    let groups = "dev".len() + text;
    // A claim's value takes its own place, and one for each value in it.
    let list = value + (value + "abc".len()) + value;
    let dept = "dept".len() + text + value + "unit".len() + list;
    assert_eq!(identity.weight(), own + scopes + groups + dept);
}
