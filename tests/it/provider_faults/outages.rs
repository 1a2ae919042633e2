//! A provider is down, or worse, half down.

use serde_json::json;

use super::{all_at_once, assert_alice, assert_undecided, check, config_of, fresh, unknown_kid};
use crate::support::{
    client,
    envoy::Options,
    eventually,
    idp::{Answer, Idp, JWKS},
    service::{Service, config_for},
    upstream::Upstream,
};

#[test]
fn a_stopped_provider_harms_only_tokens_of_keys_that_we_do_not_have() {
    let idp = Idp::start();
    let (issuer, port) = (idp.issuer.clone(), idp.port());
    let mut service = Service::start(&idp);
    let cached = fresh(&issuer).signed();
    assert_alice(&service.check_token(&cached), "before");
    drop(idp);
    eventually("the end of the provider", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).err()
    });
    for _ in 0..3 {
        assert_undecided(&service.check_token(&unknown_kid(&issuer)), "a new key");
        assert_alice(&service.check_token(&cached), "cached");
        assert_alice(&service.check_token(&fresh(&issuer).signed()), "not cached");
    }
    let fetches = format!(
        "atlassian_authz_provider_fetches_total{{provider=\"idp\",issuer=\"{issuer}\",outcome=\"connect\"}} "
    );
    eventually("the failure in the metrics", || {
        (service.metric(&fetches) >= 1.0).then_some(())
    });
}

#[test]
fn a_provider_that_was_down_at_the_start_works_when_it_is_up() {
    let idp = Idp::start();
    let good = Answer::Json(crate::support::idp::jwks(&[
        crate::support::keys::shared_rs256().jwk("k1"),
    ]));
    idp.answer(JWKS, Answer::status("503 Service Unavailable", &[], ""));
    let mut service = Service::start(&idp);
    assert_undecided(&service.check_token(&fresh(&idp.issuer).signed()), "down");
    idp.answer(JWKS, good);
    eventually("the return of the provider", || {
        let outcome = service.check_token(&fresh(&idp.issuer).signed());
        if outcome.user().is_none() {
            assert_undecided(&outcome, "not yet found");
        }
        outcome.user().map(str::to_owned)
    });
}

#[test]
fn a_hanging_provider_does_not_affect_another_one() {
    let (hanging, healthy) = (Idp::start(), Idp::start());
    let issuer = |idp: &Idp| format!("issuer: \"{}\"", idp.issuer);
    let mut service = Service::with_config(&config_of(&[
        ("hanging".to_owned(), issuer(&hanging)),
        ("healthy".to_owned(), issuer(&healthy)),
    ]));
    hanging.answer(JWKS, Answer::Hang);
    let checks = (0..900).map(|number| {
        check(&match number % 3 {
            0 => unknown_kid(&hanging.issuer),
            1 => fresh(&healthy.issuer).signed(),
            _ => fresh(&hanging.issuer).signed(),
        })
    });
    for (number, outcome) in all_at_once(&service, checks.collect()).iter().enumerate() {
        match number % 3 {
            0 => assert_undecided(outcome, "a new key of the hanging provider"),
            1 => assert_alice(outcome, "the healthy provider"),
            _ => assert_alice(outcome, "a known key of the hanging provider"),
        }
    }
    assert!(hanging.count(JWKS) <= 3, "connections do not pile up");
    assert_eq!(healthy.count(JWKS), 1);
    assert_alice(
        &service.check_token(&fresh(&healthy.issuer).signed()),
        "later",
    );
}

#[test]
fn envoys_deadline_never_opens_the_door() {
    let idp = Idp::start();
    idp.answer(JWKS, Answer::Hang);
    // Not ready yet: the first fetch of the keys hangs, and Envoy asks all the same.
    let service = Service::unready(&config_for(&idp));
    let upstream = Upstream::start();
    let envoy = Options::new(&service.grpc, upstream.port)
        .failing_open()
        .filter(json!({"failure_mode_allow": true, "grpc_service": {"timeout": "0.2s"}}))
        .start();
    eventually("the fetch", || (idp.count(JWKS) >= 1).then_some(()));
    for number in 0..15 {
        let token = match number % 3 {
            0 => unknown_kid(&idp.issuer),
            _ => fresh(&idp.issuer).signed(),
        };
        let bearer = format!("Authorization: Bearer {token}");
        let answer = client::get(&envoy.address, "/rest/api/2/myself", &[&bearer]);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(
            answer.body.contains("temporarily_unavailable"),
            "{answer:?}"
        );
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert!(upstream.seen().is_empty());
    // Our own answer each time, not one that Envoy gave because we were late.
    assert_eq!(envoy.stat("http.ingress.ext_authz.error"), 0);
    assert_eq!(envoy.stat("http.ingress.ext_authz.failure_mode_allowed"), 0);
    assert_eq!(envoy.stat("http.ingress.ext_authz.denied"), 15);
}
