use serde_json::json;

use super::*;

const NOW: i64 = 1_790_000_100;

#[expect(
    clippy::disallowed_methods,
    reason = "the monotonic part of now does not matter here"
)]
fn now() -> Now {
    Now {
        unix_seconds: NOW,
        instant: tokio::time::Instant::now(),
    }
}

fn rules() -> ClaimRules {
    ClaimRules {
        audiences: Audiences::OneOf(vec!["jira-api".to_owned()]),
        clients: None,
        typ: TypPolicy::Legacy,
        leeway: Duration::from_secs(30),
        expiry: Expiry::Required {
            max_lifetime: Duration::from_hours(24),
        },
        required: BTreeMap::new(),
        machine_markers: Vec::new(),
    }
}

/// A good token, changed: members set to null are removed.
fn check_with(rules: &ClaimRules, change: Value) -> Result<Facts, Rejection> {
    let mut claims = json!({
        "iss": "https://idp.example", "aud": "jira-api", "sub": "u1", "client_id": "portal",
        "iat": NOW - 10, "exp": NOW + 300, "scope": "read write",
    });
    let Value::Object(change) = change else {
        panic!("an object")
    };
    for (name, value) in change {
        if value == "REMOVED" {
            claims.as_object_mut().expect("an object").remove(&name);
        } else {
            claims[name] = value;
        }
    }
    let Value::Object(members) = claims else {
        panic!("an object")
    };
    rules.check(&Claims::new(members.into()), now())
}

fn check(change: Value) -> Result<Facts, Rejection> {
    check_with(&rules(), change)
}

#[test]
fn a_good_token_yields_its_facts() {
    assert_eq!(
        check(json!({})),
        Ok(Facts {
            valid_until: NOW + 330,
            client: Some("portal".to_owned()),
            is_machine: false,
            scopes: vec!["read".to_owned(), "write".to_owned()],
        })
    );
}

#[test]
fn time_is_checked_against_the_given_now() {
    assert_eq!(check(json!({"exp": NOW - 30})), Err(Rejection::Expired));
    assert!(check(json!({"exp": NOW - 29})).is_ok(), "within the leeway");
    assert!(
        check(json!({"exp": 1_790_000_100.9})).is_ok(),
        "fractions are dropped"
    );
    assert_eq!(
        check(json!({"nbf": NOW + 31})),
        Err(Rejection::NotYetValid("nbf"))
    );
    assert!(check(json!({"nbf": NOW + 30})).is_ok());
    assert_eq!(
        check(json!({"iat": NOW + 31})),
        Err(Rejection::NotYetValid("iat"))
    );
    assert_eq!(
        check(json!({"iat": NOW, "exp": NOW + 86_401})),
        Err(Rejection::LifetimeTooLong)
    );
    assert_eq!(
        check(json!({"iat": "REMOVED", "exp": NOW + 86_401})),
        Err(Rejection::LifetimeTooLong)
    );
    assert!(
        check(json!({"iat": NOW, "exp": NOW + 86_400})).is_ok(),
        "exactly the longest life"
    );
}

#[test]
fn a_date_of_another_type_is_refused_and_never_absent() {
    for bad in [
        json!("1790000400"),
        json!(null),
        json!(true),
        json!([NOW]),
        json!({}),
        json!(-1),
        json!(253_402_300_800_i64),
        json!(1e300),
    ] {
        for name in ["exp", "nbf", "iat"] {
            assert_eq!(
                check(json!({name: bad})),
                Err(Rejection::ClaimType(name)),
                "{name} {bad}"
            );
        }
    }
    assert_eq!(
        check(json!({"exp": "REMOVED"})),
        Err(Rejection::ClaimMissing("exp"))
    );
    assert_eq!(
        check(json!({"exp": 0})),
        Err(Rejection::Expired),
        "zero is a date, not 'never'"
    );
}

#[test]
fn the_audience_must_be_ours() {
    assert!(check(json!({"aud": ["other", "jira-api"]})).is_ok());
    assert_eq!(
        check(json!({"aud": "REMOVED"})),
        Err(Rejection::ClaimMissing("aud"))
    );
    for foreign in [
        json!("other"),
        json!("jira-api/"),
        json!("Jira-API"),
        json!(""),
        json!([]),
        json!(["other"]),
    ] {
        assert_eq!(
            check(json!({"aud": foreign})),
            Err(Rejection::Audience),
            "{foreign}"
        );
    }
    for bad in [
        json!(7),
        json!(null),
        json!({"jira-api": 1}),
        json!(["jira-api", 7]),
        json!([["jira-api"]]),
    ] {
        assert_eq!(
            check(json!({"aud": bad})),
            Err(Rejection::ClaimType("aud")),
            "{bad}"
        );
    }
    let mut many = vec!["x"; 15];
    many.push("jira-api");
    assert!(check(json!({ "aud": many })).is_ok(), "sixteen");
    many.insert(0, "x");
    assert_eq!(
        check(json!({"aud": many})),
        Err(Rejection::TooManyAudiences)
    );
}

#[test]
fn an_unbound_provider_takes_any_audience_but_no_wrong_type() {
    let unbound = ClaimRules {
        audiences: Audiences::Any,
        ..rules()
    };
    assert!(check_with(&unbound, json!({"aud": "REMOVED"})).is_ok());
    assert!(check_with(&unbound, json!({"aud": "anybody"})).is_ok());
    assert_eq!(
        check_with(&unbound, json!({"aud": 7})),
        Err(Rejection::ClaimType("aud"))
    );
}

#[test]
fn other_kinds_of_token_are_not_access_tokens() {
    for (claim, value) in [
        ("at_hash", json!("x")),
        ("c_hash", json!("x")),
        ("s_hash", json!("x")),
        ("events", json!({})),
        ("nonce", json!("x")),
        ("token_use", json!("id")),
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
        ("typ", json!("Offline")),
        ("typ", json!("Logout")),
        ("typ", json!("DPoP")),
    ] {
        assert_eq!(
            check(json!({claim: value})),
            Err(Rejection::NotAnAccessToken(claim)),
            "{claim} {value}"
        );
    }
    assert_eq!(check(json!({"typ": 1})), Err(Rejection::ClaimType("typ")));
    assert!(check(json!({"typ": "Bearer", "token_use": "access"})).is_ok());
}

#[test]
fn the_header_typ_must_be_that_of_an_access_token() {
    let strict = ClaimRules {
        typ: TypPolicy::AccessToken,
        ..rules()
    };
    let typ = |rules: &ClaimRules, typ: Option<&str>| rules.accept_typ(typ);
    assert_eq!(typ(&strict, Some("at+jwt")), Ok(()));
    assert_eq!(typ(&strict, Some("jwt")), Err(Rejection::Typ));
    assert_eq!(typ(&strict, None), Err(Rejection::Typ));
    assert_eq!(typ(&rules(), None), Ok(()));
    for other in [
        "dpop+jwt",
        "secevent+jwt",
        "logout+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "entity-statement+jwt",
        "id_token+jwt",
        "at+jwt ",
    ] {
        assert_eq!(typ(&rules(), Some(other)), Err(Rejection::Typ), "{other}");
    }
}

#[test]
fn a_sender_constrained_token_is_not_a_bearer_token() {
    for cnf in [
        json!({"jkt": "x"}),
        json!({"x5t#S256": "x"}),
        json!({}),
        json!(null),
    ] {
        assert_eq!(
            check(json!({"cnf": cnf})),
            Err(Rejection::SenderConstrained),
            "{cnf}"
        );
    }
}

#[test]
fn the_client_must_be_allowed_and_unambiguous() {
    let only_ci = ClaimRules {
        clients: Some(vec!["ci".to_owned()]),
        ..rules()
    };
    assert_eq!(check_with(&only_ci, json!({})), Err(Rejection::Client));
    assert!(check_with(&only_ci, json!({"client_id": "ci"})).is_ok());
    assert_eq!(
        check_with(&only_ci, json!({"client_id": "REMOVED"})),
        Err(Rejection::Client)
    );
    assert_eq!(
        check_with(&only_ci, json!({"client_id": "ci", "azp": "other"})),
        Err(Rejection::Client)
    );
    assert!(
        check_with(&only_ci, json!({"client_id": "ci", "azp": "ci"})).is_ok(),
        "two names of one client"
    );
    assert_eq!(
        check(json!({"azp": ["ci"]})),
        Err(Rejection::ClaimType("azp"))
    );
}

#[test]
fn a_token_without_a_user_is_recognised() {
    assert_eq!(
        check(json!({"sub": "portal"})).map(|facts| facts.is_machine),
        Ok(true)
    );
    let marked = ClaimRules {
        machine_markers: vec![
            MachineMarker::Equals("idtyp".to_owned(), "app".to_owned()),
            MachineMarker::StartsWith(
                "preferred_username".to_owned(),
                "service-account-".to_owned(),
            ),
            MachineMarker::Present("clientHost".to_owned()),
        ],
        ..rules()
    };
    for change in [
        json!({"idtyp": "app"}),
        json!({"preferred_username": "service-account-ci"}),
        json!({"clientHost": "10.0.0.1"}),
    ] {
        assert_eq!(
            check_with(&marked, change.clone()).map(|facts| facts.is_machine),
            Ok(true),
            "{change}"
        );
    }
    assert_eq!(
        check_with(&marked, json!({"idtyp": "user"})).map(|facts| facts.is_machine),
        Ok(false)
    );
    let absent = ClaimRules {
        machine_markers: vec![MachineMarker::Absent("scope".to_owned())],
        ..rules()
    };
    assert_eq!(
        check_with(&absent, json!({"scope": "REMOVED"})).map(|facts| facts.is_machine),
        Ok(true)
    );
    assert_eq!(check(json!({"sub": 7})), Err(Rejection::ClaimType("sub")));
}

#[test]
fn demanded_claims_must_be_exactly_these_strings() {
    let rules = ClaimRules {
        required: BTreeMap::from([("tid".to_owned(), "t1".to_owned())]),
        ..rules()
    };
    assert!(check_with(&rules, json!({"tid": "t1"})).is_ok());
    for bad in [json!("t2"), json!(["t1"]), json!(null), json!("REMOVED")] {
        assert_eq!(
            check_with(&rules, json!({"tid": bad})),
            Err(Rejection::RequiredClaim),
            "{bad}"
        );
    }
}

#[test]
fn scopes_are_a_list_of_words_in_either_spelling() {
    assert_eq!(
        check(json!({"scope": "REMOVED", "scp": ["a", "b"]})).map(|facts| facts.scopes),
        Ok(vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!(
        check(json!({"scope": "REMOVED"})).map(|facts| facts.scopes),
        Ok(Vec::new())
    );
    assert_eq!(
        check(json!({"scope": 1})),
        Err(Rejection::ClaimType("scope"))
    );
    assert_eq!(
        check(json!({"scope": ["a", 1]})),
        Err(Rejection::ClaimType("scope"))
    );
}

#[test]
fn a_claim_path_is_a_member_name_or_a_pointer() {
    let Value::Object(members) = json!({
        "a/b": "slash", "https://x/user": "namespaced", "/r/u": "slashes",
        "r": {"u": "nested", "l": ["first"]},
    }) else {
        panic!("an object")
    };
    let claims = Claims::new(members.into());
    let at = |path: &str| {
        claims
            .at(&ClaimPath::parse(path).expect("a path"))
            .map(Json::to_value)
    };
    assert_eq!(at("https://x/user"), Some(json!("namespaced")));
    assert_eq!(at("/a~1b"), Some(json!("slash")));
    assert_eq!(at("/r/u"), Some(json!("nested")));
    assert_eq!(at("/r/l/0"), Some(json!("first")));
    assert_eq!(at("/~1r~1u"), Some(json!("slashes")));
    assert_eq!(at("/r/x"), None);
    assert_eq!(at("r/u"), None);
    assert_eq!(ClaimPath::parse(""), None);
    let written = |path: &str| ClaimPath::parse(path).expect("a path").as_str().to_owned();
    assert_eq!(written("/email"), "email", "what is asked of email holds");
    assert_eq!(written("/a~1b"), "a/b");
    assert_eq!(written("/r/u"), "/r/u");
    let names: Vec<_> = claims.members().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["/r/u", "a/b", "https://x/user", "r"]);
}
