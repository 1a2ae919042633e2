use super::*;

const OF_PROVIDER: [Unstable; 2] = [
    Unstable {
        claim: "email",
        why: "can be changed by its user",
        better: "sub",
        domain_makes_it_stable: true,
    },
    Unstable {
        claim: "login",
        why: "can be changed by its user",
        better: "id",
        domain_makes_it_stable: false,
    },
];

fn words(claim: &str, unstable: &[Unstable]) -> &'static str {
    Stability::of(claim, unstable).in_words()
}

#[test]
fn a_claim_is_as_stable_as_is_known_of_it() {
    for (claim, said) in [
        ("sub", "stable and unique"),
        ("/oid", "stable and unique"),
        ("email", "readable, may change hands"),
        ("nickname", "NOT for user names"),
        ("/name", "NOT for user names"),
        ("mail", "NOT for user names"),
        ("employee_number", ""),
        ("/a/sub", ""),
    ] {
        assert_eq!(words(claim, &[]), said, "{claim}");
    }
}

#[test]
fn what_a_provider_says_of_its_own_claims_comes_first() {
    assert_eq!(words("email", &OF_PROVIDER), "only with strip_domain");
    assert_eq!(words("/login", &OF_PROVIDER), "NOT for user names");
    assert_eq!(words("sub", &OF_PROVIDER), "stable and unique");
}

#[test]
fn a_name_that_people_give_themselves_is_named_with_a_better_one() {
    let Stability::Unstable(unstable) = Stability::of("/display_name", &[]) else {
        panic!("it is no name to rely on")
    };
    assert_eq!(unstable.claim, "display_name");
    assert!(unstable.better.contains("sub with a map"));
    assert!(!unstable.domain_makes_it_stable);
}
