//! What requests get while keys come, go and grow old.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_unknown_kid_causes_one_fetch_in_thirty_seconds() {
    let idp = publishing(&["k1"]);
    let lab = Lab::of(&idp).await;
    for round in 2..5 {
        for attempt in 0..50 {
            assert!(
                lab.does_not_know(&format!("random-{round}-{attempt}"))
                    .await
            );
            lab.pass(SECOND / 2).await;
        }
        assert_eq!(idp.count(JWKS), round);
        lab.pass(SECOND * 5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_kid_never_causes_a_fetch_whatever_the_algorithm() {
    let idp = publishing(&["k1"]);
    let lab = Lab::of(&idp).await;
    for _ in 0..100 {
        let answer = lab
            .keyring
            .find(Some("k1"), Algorithm::RS256, now(), now().instant)
            .await;
        assert!(matches!(answer, Ok(Candidates::WrongAlgorithm)));
        assert!(lab.has("k1").await);
    }
    lab.pass(SECOND).await;
    assert!(!lab.is_fetching());
    assert_eq!(idp.count(JWKS), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_by_the_first_token_that_names_it() {
    let idp = publishing(&["k1"]);
    let lab = Lab::of(&idp).await;
    publish(&idp, &["k1", "k2"]);
    assert!(lab.has("k2").await);
    assert!(lab.has("k1").await);
    assert_eq!(idp.count(JWKS), 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_share_one_fetch_and_the_next_ones_are_turned_away() {
    let idp = publishing(&["k1"]);
    let lab = Lab::of(&idp).await;
    idp.answer(JWKS, Answer::Held(set(&["k1", "k2"])));
    let mut requests = JoinSet::new();
    for _ in 0..MAX_WAITING {
        let keyring = Arc::clone(&lab.keyring);
        let patience = now().instant + SECOND;
        requests.spawn(async move {
            let kid = Some("k2");
            keyring.find(kid, Algorithm::ES256, now(), patience).await
        });
    }
    until_received(&idp, 2).await;
    assert!(lab.refuses("k2", Unavailable::Overloaded).await);
    assert!(lab.has("k1").await, "known keys wait for nobody");
    idp.release();
    while let Some(found) = requests.join_next().await {
        assert!(matches!(found, Ok(Ok(Candidates::Keys(_)))), "{found:?}");
    }
    assert_eq!(idp.count(JWKS), 2);
    assert!(lab.has("k2").await, "the places are free again");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_cancels_nobodys_fetch() {
    let idp = publishing(&["k1"]);
    let mut lab = Lab::of(&idp).await;
    idp.answer(JWKS, Answer::Held(set(&["k1", "k2"])));
    let mut leader = Box::pin(lab.find("k2"));
    assert!((&mut leader).now_or_never().is_none());
    until_received(&idp, 2).await;
    drop(leader);
    let mut follower = Box::pin(lab.find("k2"));
    assert!((&mut follower).now_or_never().is_none());
    idp.release();
    assert!(matches!(follower.await, Ok(Candidates::Keys(_))));
    lab.fetched().await;
    assert_eq!(idp.count(JWKS), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_runs_out_of_patience_and_the_fetch_goes_on() {
    let idp = publishing(&["k1"]);
    let mut lab = Lab::of(&idp).await;
    idp.answer(JWKS, Answer::Held(set(&["k1", "k2"])));
    let mut request = Box::pin(lab.find("k2"));
    assert!((&mut request).now_or_never().is_none());
    until_received(&idp, 2).await;
    tokio::time::advance(SECOND / 5).await;
    assert_eq!(request.await.err(), Some(Unavailable::NoRefresh));
    idp.release();
    lab.fetched().await;
    assert!(lab.has("k2").await);
    assert_eq!(idp.count(JWKS), 2);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_gone_harms_only_new_keys_and_is_found_again() {
    let idp = publishing(&["k1"]);
    let (port, source) = (idp.port(), fixed(&idp));
    let mut lab = Lab::start(source);
    lab.fetched().await;
    drop(idp);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {}

    assert!(lab.refuses("k2", Unavailable::NoRefresh).await);
    assert!(lab.has("k1").await);
    assert!(
        lab.refuses("k2", Unavailable::NoRefresh).await,
        "503 and not 401 while nobody can ask the provider"
    );

    let back = Idp::on(TcpListener::bind(("127.0.0.1", port)).expect("the port is free"));
    publish(&back, &["k2"]);
    lab.finished.mark_unchanged();
    lab.fetches_after(SECOND * 3 / 4).await;
    assert!(lab.has("k2").await);
    assert!(lab.does_not_know("k1").await);
}

#[tokio::test(start_paused = true)]
async fn keys_older_than_max_stale_are_not_used_until_they_are_confirmed() {
    let idp = publishing(&["k1"]);
    let mut lab = Lab::of(&idp).await;
    idp.answer(JWKS, failing());
    lab.pass(MAX_STALE).await;
    lab.fetched().await;
    assert!(lab.has("k1").await, "not older than max_stale");
    lab.pass(SECOND).await;
    if lab.is_fetching() {
        lab.fetched().await;
    }
    for kid in ["k1", "k2"] {
        assert!(lab.refuses(kid, Unavailable::StaleKeys).await);
    }
    lab.finished.mark_unchanged();
    publish(&idp, &["k1"]);
    lab.fetches_after(SECOND * 3).await;
    assert!(lab.has("k1").await);
    assert_eq!(lab.status().age_seconds, Some(0));
}

#[tokio::test(start_paused = true)]
async fn stale_keys_are_refreshed_by_the_first_token_that_needs_them() {
    let idp = publishing(&["k1"]);
    let mut lab = Lab::of(&idp).await;
    let unavailable = ["retry-after: 300"];
    idp.answer(
        JWKS,
        Answer::status("503 Service Unavailable", &unavailable, ""),
    );
    lab.pass(MAX_STALE + SECOND).await;
    lab.fetched().await;
    publish(&idp, &["k1"]);
    assert!(lab.has("k1").await);
    assert_eq!(idp.count(JWKS), 3);
}

#[tokio::test(start_paused = true)]
async fn an_empty_set_is_believed_at_the_second_look_a_minute_later() {
    let idp = publishing(&["k1"]);
    let mut lab = Lab::of(&idp).await;
    let Ok(Candidates::Keys(before)) = lab.find("k1").await else {
        panic!("no key")
    };
    publish(&idp, &[]);
    lab.fetches_after(INTERVAL).await;
    assert_eq!(lab.error(), "the key set has no usable key");
    assert_eq!(lab.metric("key_set_empty"), "1");

    // A look in between is too early, however many tokens force one.
    lab.pass(SECOND * 31).await;
    assert!(lab.refuses("k2", Unavailable::NoRefresh).await);
    assert_eq!(idp.count(JWKS), 3);
    assert!(lab.has("k1").await);
    assert!(!before[0].is_withdrawn());

    lab.finished.mark_unchanged();
    lab.fetches_after(SECOND * 60).await;
    assert!(lab.refuses("k1", Unavailable::NoKeys).await);
    assert!(before[0].is_withdrawn(), "cached identities end too");

    lab.pass(SECOND * 31).await;
    publish(&idp, &["k1"]);
    assert!(lab.has("k1").await);
}

#[tokio::test(start_paused = true)]
async fn two_empty_sets_with_keys_in_between_are_two_mistakes() {
    let with_keys = || Answer::status("200 OK", &["etag: \"v1\""], &set(&["k1"]));
    let not_modified = || Answer::status("304 Not Modified", &[], "");
    for in_between in [with_keys(), not_modified()] {
        let idp = publishing(&["k1"]);
        idp.answer(JWKS, with_keys());
        let mut lab = Lab::of(&idp).await;
        for _ in 0..2 {
            publish(&idp, &[]);
            lab.fetches_after(INTERVAL).await;
            assert_eq!(lab.error(), "the key set has no usable key");
            assert!(lab.has("k1").await);
            idp.answer(JWKS, in_between.clone());
            lab.fetches_after(SECOND * 60).await;
            assert_eq!(lab.status().last_error, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_is_gone_with_the_next_set_and_works_when_it_is_published_again() {
    let idp = publishing(&["k1"]);
    let other = SigningKey::es256();
    let mut lab = Lab::of(&idp).await;
    let Ok(Candidates::Keys(before)) = lab.find("k1").await else {
        panic!("no key")
    };
    idp.answer(JWKS, Answer::Json(jwks(&[other.jwk("k2")])));
    assert!(lab.has("k2").await);
    assert!(before[0].is_withdrawn());
    assert!(lab.does_not_know("k1").await);
    lab.finished.mark_unchanged();

    publish(&idp, &["k1"]);
    lab.fetches_after(INTERVAL).await;
    let Ok(Candidates::Keys(after)) = lab.find("k1").await else {
        panic!("no key")
    };
    assert!(!after[0].is_withdrawn());
    assert!(before[0].is_withdrawn());
}
