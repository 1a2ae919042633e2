//! What time does to keys.

use std::{net::TcpListener, time::Duration};

use super::{Hours, SECOND, assert_alice, assert_status};
use crate::support::{
    idp::{Answer, Idp, JWKS, jwks},
    keys::{other_rs256, shared_rs256},
    service::config_for,
    tokens::Token,
};

/// A good token that was never seen before, for half a day.
fn fresh(hours: &Hours, idp: &Idp) -> Token {
    let unique: u64 = rand::random();
    let token = Token::of(&idp.issuer).claim("jti", unique);
    token.claim("exp", hours.wall() + 12 * 3600)
}

/// Fault 1: the first failures come fast, then one in half a minute to a minute.
#[tokio::test(start_paused = true)]
async fn half_an_hour_without_keys_costs_seventy_fetches_at_most_and_no_token() {
    let idp = Idp::start();
    let hours = Hours::start(&config_for(&idp)).await;
    let known = fresh(&hours, &idp).signed();
    assert_alice(&hours.ask(&known).await, "before");
    let before = idp.count(JWKS);
    idp.answer(JWKS, Answer::Reset(Vec::new()));
    // A new key is wanted: the fetch fails, and the half hour begins.
    let new = fresh(&hours, &idp).header("kid", "k2");
    assert_status(
        &hours.ask(&new.signed_by(other_rs256())).await,
        503,
        "a new key",
    );
    for minute in 0..30 {
        hours.pass(SECOND * 60, SECOND, &idp).await;
        assert_alice(&hours.ask(&known).await, "a known token");
        let first = fresh(&hours, &idp).signed();
        assert_alice(&hours.ask(&first).await, &format!("minute {minute}"));
    }
    let fetches = idp.count(JWKS) - before;
    eprintln!("fault 1: {fetches} fetches in half an hour without keys, 60 of 60 tokens allowed");
    assert!((30..=70).contains(&fetches), "{fetches}");
}

/// Fault 2.
#[tokio::test(start_paused = true)]
async fn a_provider_that_is_back_after_a_minute_is_used_within_three_seconds() {
    // A port that nobody listens at.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let healthy = Idp::start();
    let config = config_for(&healthy).replace(
        "applications:",
        &format!(
            "  - name: late\n    jwt: {{ issuer: \"http://{address}\" }}\n    audiences: [jira-api]\n    \
             username: {{ claim: preferred_username }}\napplications:"
        ),
    );
    let hours = Hours::start(&config).await;
    let late = || Token::of(&format!("http://{address}")).claim("jti", rand::random::<u64>());
    let mut right = 0;
    for _ in 0..60 {
        hours.pass(SECOND, SECOND / 4, &healthy).await;
        assert_status(
            &hours.ask(&late().signed()).await,
            503,
            "not 401: nobody can tell",
        );
        let other = fresh(&hours, &healthy).signed();
        assert_alice(&hours.ask(&other).await, "the other provider");
        right += 2;
    }
    let back = Idp::on(TcpListener::bind(address).expect("the port is free"));
    let mut waited = Duration::ZERO;
    while hours.ask(&late().signed()).await.user().is_none() {
        assert!(waited < SECOND * 3, "three seconds after its return");
        hours.pass(SECOND / 4, SECOND / 20, &back).await;
        waited += SECOND / 4;
    }
    eprintln!(
        "fault 2: {right} of {right} right while it is away; used {waited:?} after its return"
    );
}

/// Fault 3: nobody waits for a provider that says nothing.
#[tokio::test(start_paused = true)]
async fn a_request_waits_a_tenth_of_a_second_for_keys_that_do_not_come() {
    let idp = Idp::start();
    let hours = Hours::start(&config_for(&idp)).await;
    idp.answer(JWKS, Answer::Hang);
    let mut longest = Duration::ZERO;
    for number in 0..20 {
        let new = fresh(&hours, &idp).header("kid", format!("new-{number}"));
        let (outcome, took) = hours.timed(&new.signed_by(other_rs256())).await;
        assert_status(&outcome, 503, "a new key");
        longest = longest.max(took);
        let (outcome, took) = hours.timed(&fresh(&hours, &idp).signed()).await;
        assert_alice(&outcome, "a known key");
        assert_eq!(took, Duration::ZERO, "nothing to wait for");
    }
    eprintln!(
        "fault 3: the longest of 20 waits for a new key took {longest:?} of the service's own time"
    );
    assert!(longest <= SECOND * 150 / 1000, "{longest:?}");
}

/// Fault 8: five minutes, a tenth of them, and a second.
#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_opens_nothing_after_331_seconds_not_even_from_memory() {
    let idp = Idp::start();
    let hours = Hours::start(&config_for(&idp)).await;
    let known = fresh(&hours, &idp).signed();
    assert_alice(&hours.ask(&known).await, "before");
    idp.publish(&[("k2", other_rs256())]);
    let mut last = 0;
    for second in 1..=331 {
        hours.pass(SECOND, SECOND / 5, &idp).await;
        // In memory all the time.
        let outcome = hours.ask(&known).await;
        match outcome.user() {
            Some(_) => last = second,
            None => assert_status(&outcome, 401, "from memory"),
        }
    }
    eprintln!("fault 8: the withdrawn key opened something for {last} seconds");
    assert_status(&hours.ask(&known).await, 401, "from memory");
    assert_status(
        &hours.ask(&fresh(&hours, &idp).signed()).await,
        401,
        "not seen before",
    );
    let new = fresh(&hours, &idp).header("kid", "k2");
    assert_alice(
        &hours.ask(&new.signed_by(other_rs256())).await,
        "the new key",
    );
}

/// Fault 11: an answer that was held up comes before those that were asked for after it, or not at all.
#[tokio::test(start_paused = true)]
async fn an_answer_that_was_held_up_never_replaces_a_newer_one() {
    let idp = Idp::start();
    let hours = Hours::start(&config_for(&idp)).await;
    // Older keys are on their way, and stay there.
    idp.answer(JWKS, Answer::Held(jwks(&[shared_rs256().jwk("k1")])));
    let new = || {
        fresh(&hours, &idp)
            .header("kid", "k2")
            .signed_by(other_rs256())
    };
    assert_status(&hours.ask(&new()).await, 503, "while the answer is held up");
    assert_eq!(idp.count(JWKS), 2);
    idp.publish(&[("k1", shared_rs256()), ("k2", other_rs256())]);
    for _ in 0..4 {
        assert_status(&hours.ask(&new()).await, 503, "while the answer is held up");
        hours.pass(SECOND, SECOND / 10, &idp).await;
        assert_eq!(idp.count(JWKS), 2, "nobody asks beside it");
    }
    // It is given up, another is asked for, and only then the old one arrives.
    for _ in 0..40 {
        hours.pass(SECOND, SECOND / 10, &idp).await;
    }
    assert_alice(&hours.ask(&new()).await, "the newer keys");
    idp.release();
    hours.pass(SECOND * 5, SECOND / 10, &idp).await;
    assert_alice(&hours.ask(&new()).await, "the older keys have arrived");
}

/// Fault 12.
#[tokio::test(start_paused = true)]
async fn keys_that_nobody_has_confirmed_for_a_day_decide_nothing_until_somebody_does() {
    const NEARLY_A_DAY: Duration = Duration::from_secs(24 * 3600 - 1);
    let idp = Idp::start();
    let hours = Hours::start(&config_for(&idp)).await;
    let token = || fresh(&hours, &idp).claim("iat", hours.wall()).signed();
    assert_alice(&hours.ask(&token()).await, "before");
    idp.answer(JWKS, Answer::status("500 X", &[], ""));
    hours.pass(NEARLY_A_DAY, SECOND * 600, &idp).await;
    assert_alice(
        &hours.ask(&token()).await,
        "a second before the end of the day",
    );
    hours.pass(SECOND * 2, SECOND, &idp).await;
    assert_status(&hours.ask(&token()).await, 503, "not 401: nobody can tell");
    idp.publish(&[("k1", shared_rs256())]);
    hours.pass(SECOND * 61, SECOND, &idp).await;
    assert_alice(&hours.ask(&token()).await, "confirmed");
}
