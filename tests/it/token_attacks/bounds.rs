//! The exact second at which a token begins and ends, on a clock of the test's.

use serde_json::json;

use super::{APPLICATION, mutations::Inside, provider, token_of, usual_provider};
use crate::support::{
    idp::{Answer, Idp, jwks},
    keys::{shared_es256, shared_rs256},
    tokens::{Token, unix_now},
};

const LEEWAY: i64 = 30;

fn inside() -> (Idp, Inside) {
    let idp = Idp::start();
    idp.answer(
        "/lee",
        Answer::Json(jwks(&[shared_es256().jwk("ec"), shared_rs256().jwk("k1")])),
    );
    let lenient =
        provider(&idp, "lee", "max_lifetime: 1h", "").replace("leeway: 0s", "leeway: 30s");
    let config = [usual_provider(&idp), lenient, APPLICATION.to_owned()].concat();
    let inside = Inside::start(&config);
    (idp, inside)
}

/// Not seen before, so that no cached answer stands in for the rule.
fn fresh(token: &Token) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let token = token.clone().claim("jti", serial).header("alg", "ES256");
    token.header("kid", "ec").signed_by(shared_es256())
}

#[test]
fn a_token_is_good_from_its_first_to_its_last_second_and_no_longer() {
    let (_idp, inside) = inside();
    let start = unix_now();
    let end = start + 600;
    let token = token_of("lee")
        .claim("nbf", start)
        .claim("iat", start)
        .claim("exp", end);
    let fraction = token.clone().claim(
        "exp",
        f64::from(u32::try_from(end).expect("before 2106")) + 0.999,
    );
    for (second, reason) in [
        (start - LEEWAY - 1000, "not_yet_valid"),
        (start - LEEWAY - 1, "not_yet_valid"),
        (start - LEEWAY, "token_valid"),
        (start, "token_valid"),
        (end, "token_valid"),
        (end + LEEWAY - 1, "token_valid"),
        (end + LEEWAY, "expired"),
        (end + LEEWAY + 1, "expired"),
        (end + 10_000, "expired"),
        (i64::MAX, "expired"),
    ] {
        for token in [&token, &fraction] {
            let answer = inside.at(second, fresh(token).as_bytes());
            assert_eq!(
                answer.reason(),
                reason,
                "{} s after the start",
                second - start
            );
            assert_eq!(answer.user().is_some(), reason == "token_valid");
        }
    }
    for (claim, other) in [("nbf", "iat"), ("iat", "nbf")] {
        let token = token.clone().without(other);
        let early = inside.at(start - LEEWAY - 1, fresh(&token).as_bytes());
        assert_eq!(early.reason(), "not_yet_valid", "{claim} alone");
    }
}

#[test]
fn what_is_remembered_is_judged_by_the_time_of_each_request() {
    let (_idp, inside) = inside();
    let start = unix_now();
    let end = start + 600;
    let token = fresh(&token_of("lee").claim("iat", start).claim("exp", end));
    assert_eq!(inside.at(start, token.as_bytes()).user(), Some("alice"));
    for second in [end + LEEWAY, end + 10_000] {
        let answer = inside.at(second, token.as_bytes());
        assert_eq!((answer.status, answer.reason()), (401, "expired"));
    }
}

#[test]
fn the_longest_life_is_exact() {
    let (_idp, inside) = inside();
    let now = unix_now();
    let token =
        |iat: serde_json::Value, exp: i64| token_of("lee").claim("iat", iat).claim("exp", exp);
    for (token, reason) in [
        (token(json!(now), now + 3600), "token_valid"),
        (token(json!(now), now + 3601), "lifetime_too_long"),
        (token(json!(now - 3000), now + 600), "token_valid"),
        (token(json!(now - 3000), now + 601), "lifetime_too_long"),
        // Within the leeway a token of the future is taken, but not for longer.
        (
            token(json!(now + LEEWAY), now + LEEWAY + 3600),
            "token_valid",
        ),
        (
            token(json!(now + LEEWAY), now + LEEWAY + 3601),
            "lifetime_too_long",
        ),
        (token(json!(now), now + 3600).without("iat"), "token_valid"),
        (
            token(json!(now), now + 3601).without("iat"),
            "lifetime_too_long",
        ),
    ] {
        let answer = inside.at(now, fresh(&token).as_bytes());
        assert_eq!(answer.reason(), reason, "{}", token.payload);
    }
}
