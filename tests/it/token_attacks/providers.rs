//! Several providers: each vouches for its own, where it is listed, and nowhere else.

use super::{Gate, provider, token_of, usual_provider};
use crate::support::{
    idp::{Answer, Idp, jwks},
    keys::{SigningKey, other_rs256, shared_es256, shared_rs256},
    service::{Check, Outcome},
};

/// Providers `a` and `b`, which both call their key `k1`. `all.test` accepts every provider,
/// `a.test` and `a2.test` accept `a`, `b.test` accepts `b`.
fn two_providers() -> Gate {
    let idp = Idp::start();
    let keys = |rsa: &SigningKey| jwks(&[rsa.jwk("k1"), shared_es256().jwk("ec")]);
    idp.answer("/a", Answer::Json(keys(shared_rs256())));
    idp.answer("/b", Answer::Json(keys(other_rs256())));
    let applications = "applications:\n  \
        - { name: all, product: jira, hosts: [all.test, jira.example.com] }\n  \
        - { name: only-a, product: jira, hosts: [a.test], providers: [a] }\n  \
        - { name: also-a, product: confluence, hosts: [a2.test], providers: [a] }\n  \
        - { name: only-b, product: bitbucket, hosts: [b.test], providers: [b] }\n";
    let config = [
        &usual_provider(&idp),
        &provider(&idp, "a", "", ""),
        // The stricter of the two: what `a` lets pass must not be remembered for it.
        &provider(&idp, "b", "", "required_scopes: [jira]"),
        applications,
    ]
    .map(|part: &str| part.to_owned())
    .concat();
    Gate::configured(idp, &config)
}

fn at(gate: &mut Gate, host: &str, token: &str) -> Outcome {
    let check = Check::new("GET", host, "/rest/api/2/myself").bearer(token);
    let raw = gate.service.check(check.clone().build());
    let joined = gate.service.check(check.build_joined());
    assert_eq!((raw.status, raw.reason()), (joined.status, joined.reason()));
    raw
}

#[test]
fn a_key_vouches_for_its_own_issuer_only() {
    let mut gate = two_providers();
    let a = token_of("a");
    let b = token_of("b")
        .claim("scope", "jira")
        .claim("preferred_username", "bob");
    gate.admits("a", &a.signed(), "alice");
    gate.admits("b", &b.signed_by(other_rs256()), "bob");
    gate.refuses("b's issuer, a's key", b.signed(), "bad_signature");
    gate.refuses(
        "a's issuer, b's key",
        a.signed_by(other_rs256()),
        "bad_signature",
    );
    for token in [a.clone(), b.clone()] {
        let bare = token.without_header("kid");
        let of_a = bare.payload["iss"] == "https://a.test";
        let wrong = if of_a { other_rs256() } else { shared_rs256() };
        gate.refuses(
            "no kid, the other's key",
            bare.signed_by(wrong),
            "bad_signature",
        );
    }
    // The same key may well be published by two providers; the issuer still decides whose rules.
    let es = |token: crate::support::tokens::Token| {
        token
            .header("alg", "ES256")
            .header("kid", "ec")
            .signed_by(shared_es256())
    };
    gate.admits("a with the common key", &es(a), "alice");
    let answer = gate.ask("b without its scope", es(b.without("scope")).as_bytes());
    assert_eq!(
        (answer.status, answer.reason()),
        (403, "insufficient_scope")
    );
    gate.still_admits_alice();
}

#[test]
fn a_provider_that_an_application_does_not_list_vouches_for_nobody_there() {
    let mut gate = two_providers();
    let a = token_of("a").signed();
    let b = token_of("b")
        .claim("scope", "jira")
        .claim("preferred_username", "bob");
    let b = b.signed_by(other_rs256());
    // Twice, in both orders: neither an identity nor a refusal that one application remembers may
    // answer at another.
    for _ in 0..2 {
        for (host, token, user) in [
            ("a.test", &b, None),
            ("all.test", &b, Some("bob")),
            ("a.test", &b, None),
            ("a2.test", &b, None),
            ("b.test", &b, Some("bob")),
            ("b.test", &a, None),
            ("all.test", &a, Some("alice")),
            ("a.test", &a, Some("alice")),
            ("a2.test", &a, Some("alice")),
            ("b.test", &a, None),
        ] {
            let answer = at(&mut gate, host, token);
            assert_eq!(answer.user(), user, "{host}");
            if user.is_none() {
                assert_eq!(
                    (answer.status, answer.reason()),
                    (401, "unknown_issuer"),
                    "{host}"
                );
                assert_eq!(answer.body, super::BAD_TOKEN_BODY);
                assert_eq!(answer.metadata.get("user"), None);
            }
        }
    }
    // Envoy's own word counts more than the host.
    let check = Check::new("GET", "all.test", "/")
        .bearer(&b)
        .extension("application", "only-a");
    assert_eq!(gate.service.check(check.build()).reason(), "unknown_issuer");
    assert_eq!(
        at(&mut gate, "c.test", &b).status,
        403,
        "a host of no application"
    );
    gate.still_admits_alice();
}

#[test]
fn a_refusal_is_remembered_for_its_own_token_only() {
    let mut gate = two_providers();
    let b = token_of("b")
        .claim("scope", "jira")
        .claim("preferred_username", "bob");
    for round in 0..20 {
        let forged = b.clone().claim("jti", round).signed();
        let honest = b.clone().claim("jti", round).signed_by(other_rs256());
        for _ in 0..2 {
            assert_eq!(at(&mut gate, "all.test", &forged).reason(), "bad_signature");
            assert_eq!(at(&mut gate, "all.test", &honest).user(), Some("bob"));
            assert_eq!(at(&mut gate, "b.test", &forged).reason(), "bad_signature");
        }
    }
    gate.still_admits_alice();
}
