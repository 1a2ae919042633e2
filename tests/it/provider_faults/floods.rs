//! Tokens that make us fetch keys, and how often they can.

use std::time::Instant;

use atlassian_authz::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use tokio::runtime::Runtime;

use super::{
    all_at_once, assert_alice, assert_undecided, check, fresh, unknown_kid, unsigned, valid_between,
};
use crate::support::{
    eventually,
    idp::{Answer, Idp, JWKS, jwks},
    keys::{other_rs256, shared_rs256},
    service::{Outcome, Service},
};

/// What a flood consists of, one token of it, and how each must be refused. Each would be a reason to
/// fetch if the `kid` were looked at too early, or a bad signature too late.
fn refused_without_a_fetch(issuer: &str) -> [(&'static str, String, &'static str); 7] {
    let random = rand::random::<u64>().to_string();
    let unknown = || fresh(issuer).header("kid", &*random);
    let refused = "algorithm_not_allowed";
    [
        ("signature", unsigned(&fresh(issuer)), "bad_signature"),
        (
            "confusion",
            unsigned(&fresh(issuer).header("alg", "ES256")),
            "key_mismatch",
        ),
        ("alg", unsigned(&unknown().header("alg", "HS256")), refused),
        (
            "alg none",
            unsigned(&unknown().header("alg", "none")),
            refused,
        ),
        (
            "typ",
            unsigned(&unknown().header("typ", "JWT")),
            "typ_not_accepted",
        ),
        (
            "iss",
            unknown_kid(&format!("{issuer}/{random}")),
            "unknown_issuer",
        ),
        (
            "header",
            unsigned(&unknown().header("jku", "x")),
            "header_refused",
        ),
    ]
}

#[test]
fn only_an_unknown_kid_makes_us_fetch_and_only_once_in_thirty_seconds() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    let tokens: Vec<_> = (0..400)
        .flat_map(|_| refused_without_a_fetch(&idp.issuer))
        .collect();
    let checks = tokens.iter().map(|(_, token, _)| check(token)).collect();
    for (outcome, (what, _, reason)) in all_at_once(&service, checks).iter().zip(&tokens) {
        assert_eq!((outcome.status, outcome.reason()), (401, *reason), "{what}");
    }
    assert_eq!(idp.count(JWKS), 1);

    let begin = Instant::now();
    let good: Vec<_> = (0..300).map(|_| fresh(&idp.issuer).signed()).collect();
    let checks = (0..3000).map(|number| match number % 10 {
        0 => check(&good[number / 10]),
        _ => check(&unknown_kid(&idp.issuer)),
    });
    for (number, outcome) in all_at_once(&service, checks.collect()).iter().enumerate() {
        match number % 10 {
            0 => assert_alice(outcome, "good traffic"),
            _ => assert_unknown_or_undecided(outcome),
        }
    }
    let most = 2 + begin.elapsed().as_secs() / 30;
    assert!((2..=most).contains(&(idp.count(JWKS) as u64)));
}

fn assert_unknown_or_undecided(outcome: &Outcome) {
    match outcome.status {
        401 => assert_eq!(outcome.reason(), "unknown_key"),
        _ => assert_undecided(outcome, "while the keys are fetched"),
    }
}

#[test]
fn a_new_key_works_at_once_and_a_withdrawn_one_is_refused_even_from_the_cache() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let old = fresh(&idp.issuer).signed();
    assert_alice(&service.check_token(&old), "before");
    assert_alice(&service.check_token(&old), "from the cache");

    idp.publish(&[("k2", other_rs256())]);
    let new = fresh(&idp.issuer)
        .header("kid", "k2")
        .signed_by(other_rs256());
    let first = service.check_token(&new);
    if first.user().is_none() {
        assert_undecided(&first, "the fetch took longer than a request waits");
        eventually("the end of the fetch", || {
            (service.check_token(&new).status == 200).then_some(())
        });
    }
    assert_alice(&service.check_token(&new), "the new key");
    for token in [old, fresh(&idp.issuer).signed()] {
        let outcome = service.check_token(&token);
        assert_eq!((outcome.status, outcome.reason()), (401, "unknown_key"));
    }
    assert_eq!(idp.count(JWKS), 2, "one fetch for the new key");
}

#[test]
fn a_thousand_first_uses_of_a_new_key_cause_one_fetch() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    idp.publish(&[("k1", shared_rs256()), ("k2", other_rs256())]);
    let token = |_| {
        fresh(&idp.issuer)
            .header("kid", "k2")
            .signed_by(other_rs256())
    };
    let tokens: Vec<_> = (0..1000).map(token).collect();
    let checks = || tokens.iter().map(|token| check(token)).collect();
    for outcome in all_at_once(&service, checks()) {
        // A busy machine may take longer to fetch than a request waits: never 401.
        if outcome.user().is_none() {
            assert_undecided(&outcome, "first");
        }
    }
    eventually("the end of the fetch", || {
        (idp.count(JWKS) == 2).then_some(())
    });
    for outcome in all_at_once(&service, checks()) {
        assert_alice(&outcome, "second");
    }
    assert_eq!(idp.count(JWKS), 2);
}

#[test]
fn clients_that_go_away_do_not_cancel_the_fetch_they_caused() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let keys = [shared_rs256().jwk("k1"), other_rs256().jwk("k2")];
    idp.answer(JWKS, Answer::Held(jwks(&keys)));
    let new = || {
        fresh(&idp.issuer)
            .header("kid", "k2")
            .signed_by(other_rs256())
    };
    let runtime = Runtime::new().expect("a runtime");
    let leaders: Vec<_> = (0..20)
        .map(|_| {
            let (address, request) = (format!("http://{}", service.grpc), check(&new()));
            runtime.spawn(async move {
                let mut client = AuthorizationClient::connect(address)
                    .await
                    .expect("connects");
                client.check(request).await
            })
        })
        .collect();
    eventually("the fetch", || (idp.count(JWKS) == 2).then_some(()));
    for leader in &leaders {
        leader.abort();
    }
    drop(runtime);
    assert_undecided(
        &service.check_token(&new()),
        "a follower, while the fetch is held",
    );
    assert_alice(
        &service.check_token(&fresh(&idp.issuer).signed()),
        "a known key",
    );
    idp.release();
    eventually("the new key", || {
        (service.check_token(&new()).user() == Some("alice")).then_some(())
    });
    assert_eq!(idp.count(JWKS), 2, "the one fetch served everybody");
}

#[test]
fn time_is_the_wall_clocks_and_what_it_may_change_is_not_remembered() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let early = valid_between(&idp.issuer, 3, 600);
    let late = valid_between(&idp.issuer, -60, 4);
    assert_alice(&service.check_token(&late), "still valid");
    let outcome = service.check_token(&early);
    assert_eq!((outcome.status, outcome.reason()), (401, "not_yet_valid"));
    eventually("the beginning of a token", || {
        (service.check_token(&early).status == 200).then_some(())
    });
    eventually("the end of a cached token", || {
        (service.check_token(&late).reason() == "expired").then_some(())
    });

    let hits = "atlassian_authz_cache_requests_total{result=\"hit\"} ";
    let forged = unsigned(&fresh(&idp.issuer));
    let first = service.check_token(&forged);
    let before = service.metric(hits);
    let again = service.check_token(&forged);
    assert_eq!((first.status, again.status), (401, 401));
    assert_eq!(again.reason(), "bad_signature");
    assert!(
        service.metric(hits) > before,
        "remembered, not verified again"
    );
}
