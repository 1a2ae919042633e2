//! When keys are fetched, and what each answer does to them.

use super::*;

#[tokio::test(start_paused = true)]
async fn without_a_word_of_the_provider_keys_are_fetched_every_five_minutes() {
    let idp = publishing(&["k1"]);
    let mut lab = Lab::of(&idp).await;
    lab.fetches_after(INTERVAL).await;
    lab.fetches_after(INTERVAL).await;
    assert_eq!(idp.count(JWKS), 3);
    assert_eq!(lab.metric("fetched"), "3");
}

#[tokio::test(start_paused = true)]
async fn max_age_is_honoured_within_bounds() {
    let idp = publishing(&["k1"]);
    let mut lab = Lab::of(&idp).await;
    let mut wait = INTERVAL;
    for (control, next) in [
        ("max-age=120", 120),
        ("public, max-age=600, must-revalidate", 600),
        ("max-age=0", 60),
        ("max-age=18446744073709551615", 3600),
        ("max-age=-1", 300),
        ("max-age=soon", 300),
        ("no-store", 300),
    ] {
        let header = format!("cache-control: {control}");
        idp.answer(JWKS, Answer::status("200 OK", &[&header], &set(&["k1"])));
        lab.fetches_after(wait).await;
        wait = Duration::from_secs(next);
    }
    lab.fetches_after(wait).await;
}

#[tokio::test(start_paused = true)]
async fn the_etag_is_sent_back_and_not_modified_confirms_the_keys() {
    let idp = publishing(&[]);
    let tagged = |tag: &str| Answer::status("200 OK", &[&format!("etag: {tag}")], &set(&["k1"]));
    idp.answer(JWKS, tagged("\"v1\""));
    let mut lab = Lab::of(&idp).await;
    assert_eq!(last_etag(&idp), None);

    let headers = ["cache-control: max-age=120"];
    idp.answer(JWKS, Answer::status("304 Not Modified", &headers, ""));
    lab.fetches_after(INTERVAL).await;
    assert_eq!(last_etag(&idp).as_deref(), Some("\"v1\""));
    assert_eq!(lab.status().age_seconds, Some(0), "confirmed just now");
    assert_eq!(lab.metric("not_modified"), "1");
    assert!(lab.has("k1").await);

    idp.answer(JWKS, tagged("W/\"v2\""));
    lab.fetches_after(Duration::from_mins(2)).await;
    idp.answer(JWKS, failing());
    lab.fetches_after(INTERVAL).await;
    assert_eq!(last_etag(&idp).as_deref(), Some("W/\"v2\""));
    publish(&idp, &["k1"]);
    lab.fetches_after(SECOND * 3 / 4).await;
    assert_eq!(
        last_etag(&idp).as_deref(),
        Some("W/\"v2\""),
        "a failure forgets nothing"
    );
    lab.fetches_after(INTERVAL).await;
    assert_eq!(last_etag(&idp), None, "the last document had none");
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_and_the_keys_stay() {
    let idp = publishing(&["k1"]);
    let mut lab = Lab::of(&idp).await;
    idp.answer(JWKS, failing());
    lab.fetches_after(INTERVAL).await;
    for step in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        assert!(lab.has("k1").await);
        lab.fetches_after((SECOND * step).mul_f64(0.75)).await;
    }
    assert_eq!(lab.error(), "the server answered with status 500");
    assert_eq!(lab.metric("status"), "10");
    assert_eq!(lab.status().keys, 1);

    let unavailable = ["retry-after: 90"];
    idp.answer(
        JWKS,
        Answer::status("503 Service Unavailable", &unavailable, ""),
    );
    lab.fetches_after(SECOND * 45).await;
    publish(&idp, &["k1"]);
    lab.fetches_after(SECOND * 90).await;
    assert_eq!(lab.status().last_error, None);
    lab.fetches_after(INTERVAL).await;
}

#[tokio::test(start_paused = true)]
async fn before_the_first_keys_every_token_is_undecided_and_the_provider_is_asked_often() {
    let idp = publishing(&["k1"]);
    idp.answer(JWKS, failing());
    let mut lab = Lab::of(&idp).await;
    for step in [1, 2, 2, 2, 2, 2, 2, 2] {
        assert_eq!(lab.status().age_seconds, None);
        lab.fetches_after((SECOND * step).mul_f64(0.75)).await;
    }
    assert!(lab.refuses("k1", Unavailable::NoKeys).await);
    assert!(lab.refuses("k2", Unavailable::NoKeys).await);
    let asked = idp.count(JWKS);
    assert!(lab.refuses("k1", Unavailable::NoKeys).await);
    assert_eq!(
        idp.count(JWKS),
        asked,
        "requests do not hammer a dead provider"
    );

    publish(&idp, &["k1"]);
    lab.fetches_after(SECOND * 3 / 2).await;
    assert!(lab.has("k1").await);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_is_given_up_after_five_seconds() {
    let idp = publishing(&["k1"]);
    let mut lab = Lab::of(&idp).await;
    idp.answer(JWKS, Answer::Hang);
    lab.pass(INTERVAL + SECOND).await;
    until_received(&idp, 2).await;
    lab.pass(SECOND * 4).await;
    assert!(lab.is_fetching());
    lab.pass(SECOND * 2).await;
    lab.fetched().await;
    assert_eq!(lab.error(), "no complete answer within the time limit");
    assert!(lab.has("k1").await);
}

/// 64 KiB of a discovery document and 512 KiB of keys are read to their end.
#[tokio::test(start_paused = true)]
async fn documents_are_read_up_to_their_limits() {
    let padded = |document: String, bytes: usize| {
        let spaces = " ".repeat(bytes - document.len());
        Answer::Json(document + &spaces)
    };
    for (discovery, keys, error) in [
        (64 * 1024, 512 * 1024, ""),
        (
            64 * 1024 + 1,
            512 * 1024,
            "the answer is larger than 65536 bytes",
        ),
        (
            64 * 1024,
            512 * 1024 + 1,
            "the answer is larger than 524288 bytes",
        ),
    ] {
        let idp = Idp::start();
        idp.answer(DISCOVERY, padded(idp.discovery().to_string(), discovery));
        idp.answer(JWKS, padded(set(&["k1"]), keys));
        let mut lab = Lab::start(discovered(&idp));
        lab.fetched().await;
        assert_eq!(lab.error(), error);
    }
}

#[tokio::test(start_paused = true)]
async fn while_there_are_no_keys_an_empty_set_is_looked_at_again_soon() {
    let idp = publishing(&[]);
    let mut lab = Lab::of(&idp).await;
    assert_eq!(lab.error(), "the key set has no usable key");
    lab.fetches_after(SECOND * 3 / 4).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_fetch_can_be_waited_for() {
    let idp = Idp::start();
    idp.answer(JWKS, Answer::Held(set(&["k1"])));
    let mut lab = Lab::start(fixed(&idp));
    assert!(lab.keyring.tried_once().now_or_never().is_none());
    idp.release();
    lab.fetched().await;
    assert!(lab.keyring.tried_once().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn nobody_fetches_for_a_keyring_that_is_gone() {
    let idp = publishing(&["k1"]);
    let mut lab = Lab::of(&idp).await;
    assert!(lab.task.try_join_next().is_none());
    drop(std::mem::replace(
        &mut lab.keyring,
        Arc::new(Keyring::new("another".to_owned(), MAX_STALE)),
    ));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(lab.task.try_join_next().is_some(), "the task has ended");
}

#[tokio::test(start_paused = true)]
async fn discovery_is_read_every_hour() {
    let idp = publishing(&["k1"]);
    let mut lab = Lab::start(discovered(&idp));
    lab.fetched().await;
    for _ in 0..11 {
        lab.fetches_after(INTERVAL).await;
    }
    assert_eq!((idp.count(DISCOVERY), idp.count(JWKS)), (1, 12));
    lab.fetches_after(INTERVAL).await;
    assert_eq!((idp.count(DISCOVERY), idp.count(JWKS)), (2, 13));
}

#[tokio::test(start_paused = true)]
async fn after_five_failures_the_address_of_the_keys_is_asked_again() {
    let idp = publishing(&[]);
    let tagged = Answer::status("200 OK", &["etag: \"v1\""], &set(&["k1"]));
    idp.answer(JWKS, tagged);
    let mut lab = Lab::start(discovered(&idp));
    lab.fetched().await;
    idp.answer(JWKS, Answer::status("404 Not Found", &[], ""));
    let moved = json!({"issuer": idp.issuer, "jwks_uri": format!("{}/moved", idp.issuer)});
    idp.answer(DISCOVERY, Answer::Json(moved.to_string()));
    idp.answer("/moved", Answer::Json(set(&["k2"])));
    lab.fetches_after(INTERVAL).await;
    for step in [1, 2, 4, 8] {
        lab.fetches_after((SECOND * step).mul_f64(0.75)).await;
    }
    assert_eq!((idp.count(DISCOVERY), idp.count(JWKS)), (1, 6));
    lab.fetches_after(SECOND * 12).await;
    assert_eq!((idp.count(DISCOVERY), idp.count("/moved")), (2, 1));
    assert_eq!(
        last_etag(&idp),
        None,
        "a tag of the old address means nothing to the new one"
    );
    assert!(lab.has("k2").await);
}

#[tokio::test(start_paused = true)]
async fn a_discovery_document_that_is_refused_changes_nothing_and_is_not_quoted() {
    let idp = publishing(&["k1"]);
    let mut lab = Lab::start(discovered(&idp));
    lab.fetched().await;
    let evil = "http://evil.example";
    idp.answer("/evil", Answer::Json(set(&["k2"])));
    for (document, error) in [
        (
            json!({"issuer": evil, "jwks_uri": format!("{}/evil", idp.issuer)}),
            "the discovery document names another issuer than the configured one",
        ),
        (
            json!({"issuer": [idp.issuer], "jwks_uri": format!("{}/evil", idp.issuer)}),
            "the discovery document names another issuer than the configured one",
        ),
        (
            json!({"issuer": idp.issuer}),
            "the discovery document has no usable jwks_uri",
        ),
        (
            json!({"issuer": idp.issuer, "jwks_uri": format!("{evil}/jwks")}),
            "the discovery document has no usable jwks_uri",
        ),
        (
            json!({"issuer": idp.issuer, "jwks_uri": "https://evil.example/jwks"}),
            "jwks_uri is on a host that is not allowed: set jwt.jwks_uri, or add it to jwt.jwks_hosts",
        ),
        (
            json!([]),
            "the discovery document is refused: it is not an object",
        ),
    ] {
        idp.answer(DISCOVERY, Answer::Json(document.to_string()));
        // The next fetch after an hour reads discovery again.
        lab.finished.mark_unchanged();
        lab.pass(Duration::from_hours(1)).await;
        lab.fetched().await;
        assert_eq!(lab.error(), error);
        assert!(lab.has("k1").await);
        assert!(lab.refuses("k2", Unavailable::NoRefresh).await);
        assert_eq!(idp.count("/evil"), 0);
    }
    assert!(!format!("{:?}", lab.status()).contains("evil"));
}
