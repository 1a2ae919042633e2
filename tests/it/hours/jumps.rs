//! Clocks on the wall that jump, as those of machines do that wake up or are set right.

use std::time::Duration;

use super::{Hours, SECOND, assert_alice, assert_status};
use crate::support::{
    idp::{Idp, JWKS},
    keys::other_rs256,
    service::config_for,
    tokens::Token,
};

const HOUR: Duration = Duration::from_hours(1);

/// A token with so many seconds left.
fn lasting(hours: &Hours, idp: &Idp, seconds: i64) -> String {
    let unique: u64 = rand::random();
    let token = Token::of(&idp.issuer).claim("jti", unique);
    token.claim("exp", hours.wall() + seconds).signed()
}

/// Fault 40: every token is judged by the time on the wall at that moment, remembered or not.
#[tokio::test(start_paused = true)]
async fn whatever_the_clock_does_no_expired_token_is_allowed() {
    let idp = Idp::start();
    let hours = Hours::start(&config_for(&idp)).await;
    let (short, long) = (lasting(&hours, &idp, 600), lasting(&hours, &idp, 7200));
    assert_alice(&hours.ask(&short).await, "ten minutes left");
    assert_alice(&hours.ask(&long).await, "two hours left");

    hours.set_wall(HOUR, false);
    assert_status(&hours.ask(&short).await, 401, "an hour later, remembered");
    assert_alice(&hours.ask(&long).await, "an hour left");
    let expired = lasting(&hours, &idp, -1);
    assert_status(
        &hours.ask(&expired).await,
        401,
        "an hour later, not seen before",
    );

    // The hour never was: a refusal is believed for five seconds, and then judged anew.
    hours.set_wall(HOUR, true);
    hours.pass(SECOND * 5, SECOND, &idp).await;
    assert_alice(&hours.ask(&short).await, "ten minutes left again");
    // A leap second, one way and the other: never a second more than it has.
    let last = lasting(&hours, &idp, 1);
    assert_alice(&hours.ask(&last).await, "its last second");
    hours.set_wall(SECOND, false);
    assert_status(&hours.ask(&last).await, 401, "its end");
    hours.set_wall(SECOND, true);
    let again = hours.ask(&last).await;
    assert!([200, 401].contains(&again.status), "its last second again");
    hours.pass(SECOND, SECOND, &idp).await;
    assert_status(&hours.ask(&last).await, 401, "its end again");
}

/// Fault 40: what is remembered ends by the other clock, which never jumps.
#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_back_prolongs_no_memory_and_delays_no_fetch() {
    let idp = Idp::start();
    let hours = Hours::start(&config_for(&idp)).await;
    let known = lasting(&hours, &idp, 12 * 3600);
    assert_alice(&hours.ask(&known).await, "before");
    idp.publish(&[("k2", other_rs256())]);
    // All through the five minutes and a tenth after which keys are fetched.
    for _ in 0..11 {
        hours.set_wall(SECOND * 30, true);
        hours.pass(SECOND * 30, SECOND / 5, &idp).await;
    }
    hours.pass(SECOND, SECOND / 5, &idp).await;
    assert_eq!(idp.count(JWKS), 2);
    assert_status(&hours.ask(&known).await, 401, "its key is gone");
}
