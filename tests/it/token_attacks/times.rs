//! `exp`, `nbf`, `iat`: numbers, or the token is refused (CVE-2026-25537).

use serde_json::{Value, json};

use super::{Gate, token_of};
use crate::support::{
    eventually,
    keys::shared_rs256,
    tokens::{sign_raw, unix_now},
};

fn seconds(date: i64) -> f64 {
    f64::from(u32::try_from(date).expect("before 2106"))
}

/// Values that are no date.
fn no_dates() -> Vec<Value> {
    let soon = unix_now() + 300;
    vec![
        Value::Null,
        json!(soon.to_string()),
        json!(""),
        json!("0"),
        json!("never"),
        json!("2099-01-01T00:00:00Z"),
        json!(true),
        json!(false),
        json!([soon]),
        json!([]),
        json!({"$date": soon}),
        json!(-1),
        json!(-soon),
        json!(-0.5),
        json!(i64::MIN),
        // One second after the last date, milliseconds, and what overflows a careless type.
        json!(253_402_300_800_i64),
        json!(soon * 1000),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e18),
        json!(1.797e308),
    ]
}

#[test]
fn a_date_of_another_type_or_beyond_the_calendar_is_refused_not_ignored() {
    let mut gate = Gate::open();
    for claim in ["exp", "nbf", "iat"] {
        for value in no_dates() {
            let attack = format!("{claim}: {value}");
            let token = gate.good().claim(claim, value).signed();
            gate.refuses(&attack, token, "claim_type");
        }
        // Text that serde_json would not write.
        for number in [
            "1e400",
            "-1e400",
            "NaN",
            "Infinity",
            "-Infinity",
            "0x7fffffff",
            "01",
            "+1",
            "1_000",
            "1.",
            ".1",
        ] {
            let good = gate.good().without(claim).payload.to_string();
            let payload = good.replacen('{', &format!("{{\"{claim}\":{number},"), 1);
            let header = gate.good().header.to_string();
            let token = sign_raw(&header, &payload, shared_rs256());
            gate.refuses(&format!("{claim}: {number}"), token, "malformed_token");
        }
    }
    gate.refuses(
        "no exp",
        gate.good().without("exp").signed(),
        "claim_missing",
    );
    gate.admits("no iat", &gate.good().without("iat").signed(), "alice");
    gate.still_admits_alice();
}

#[test]
fn an_expired_token_and_one_of_the_future_are_refused() {
    let mut gate = Gate::open();
    let now = unix_now();
    for exp in [
        json!(0),
        json!(1),
        json!(0.5),
        json!(1.5e9),
        json!(now - 1),
        json!(now),
        json!(seconds(now) - 0.5),
    ] {
        let token = gate
            .good()
            .claim("exp", exp.clone())
            .without("iat")
            .signed();
        gate.refuses(&format!("exp {exp}"), token, "expired");
    }
    for claim in ["nbf", "iat"] {
        for ahead in [300, 3600, 86_400 * 365] {
            let token = gate
                .good()
                .claim(claim, now + ahead)
                .claim("exp", now + ahead + 60)
                .signed();
            gate.refuses(&format!("{claim} in {ahead} s"), token, "not_yet_valid");
        }
        let token = gate.good().claim(claim, 253_402_300_799_i64).signed();
        gate.refuses("the last date", token, "not_yet_valid");
        gate.admits(claim, &gate.good().claim(claim, now - 60).signed(), "alice");
        gate.admits(
            "a float",
            &gate.good().claim(claim, seconds(now) - 60.5).signed(),
            "alice",
        );
    }
    gate.admits(
        "exp a float",
        &gate.good().claim("exp", seconds(now) + 600.25).signed(),
        "alice",
    );
    gate.still_admits_alice();
}

#[test]
fn a_token_that_lives_too_long_is_refused() {
    let mut gate = Gate::with(&[("hour", "max_lifetime: 1h", "")]);
    let now = unix_now();
    // The default is a day.
    let day = 86_400;
    let token = gate
        .good()
        .claim("iat", now - 5)
        .claim("exp", now - 5 + day)
        .signed();
    gate.admits("a day", &token, "alice");
    for exp in [now - 5 + day + 1, now + 10 * 365 * day, 253_402_300_799] {
        let token = gate.good().claim("iat", now - 5).claim("exp", exp).signed();
        gate.refuses(&format!("until {exp}"), token, "lifetime_too_long");
        let token = gate.good().without("iat").claim("exp", exp + 60).signed();
        let reason = if exp == 253_402_300_799 {
            "claim_type"
        } else {
            "lifetime_too_long"
        };
        gate.refuses(&format!("until {exp}, no iat"), token, reason);
    }
    let hour = token_of("hour")
        .claim("iat", now - 5)
        .claim("exp", now - 5 + 3600);
    gate.admits("an hour", &hour.signed(), "alice");
    let longer = token_of("hour")
        .claim("iat", now - 5)
        .claim("exp", now - 5 + 3601);
    gate.refuses("an hour and a second", longer.signed(), "lifetime_too_long");
    // An old `iat` cannot make the rest of the life count from now, nor a future one shorten it.
    let old = token_of("hour").claim("iat", 1).claim("exp", now + 60);
    gate.refuses("issued in 1970", old.signed(), "lifetime_too_long");
    let future = token_of("hour")
        .claim("iat", now + 7200)
        .claim("exp", now + 7260);
    gate.refuses("issued in two hours", future.signed(), "not_yet_valid");
    let no_iat = token_of("hour").without("iat").claim("exp", now + 3700);
    gate.refuses("no iat", no_iat.signed(), "lifetime_too_long");
    gate.still_admits_alice();
}

#[test]
fn a_remembered_token_ends_with_its_expiry_and_a_refusal_with_its_cause() {
    let mut gate = Gate::open();
    let now = unix_now();
    let short = gate.good().claim("exp", now + 3).signed();
    let first = gate.service.check_token(&short);
    assert_eq!(first.user(), Some("alice"));
    // Remembered by now; asked until time alone has ended it.
    eventually("the end of the token", || {
        let asked = unix_now();
        let answer = gate.service.check_token(&short);
        match answer.status {
            200 => assert!(asked < now + 3, "alice after the token's end"),
            _ => assert_eq!((answer.status, answer.reason()), (401, "expired")),
        }
        (answer.status == 401).then_some(())
    });
    let cached = gate.service.decisions();
    let cached = cached.iter().filter(|line| line["cached"] == true);
    assert!(cached.count() > 0, "the token was never remembered");
    gate.refuses("once more", &short, "expired");

    let soon = gate.good().claim("nbf", unix_now() + 3).signed();
    gate.refuses("not yet", &soon, "not_yet_valid");
    eventually("the beginning of the token", || {
        let answer = gate.service.check_token(&soon);
        (answer.user() == Some("alice")).then_some(())
    });
    gate.still_admits_alice();
}
