//! A provider that is asked about tokens, on its bad days.

use std::time::Duration;

use crate::{
    scene::{INTROSPECT, Scene, slower},
    support::{eventually, idp::Answer},
    tally::{Class, JWT, Tally},
    traffic::introspected,
};

/// Until the provider's tokens are decided again.
fn recovered(scene: &Scene) -> Tally {
    let ((), recovery) = scene.load().during(|| {
        for replica in &scene.replicas {
            let mut asker = replica.asker();
            eventually("the provider's return", || {
                let token = format!("cnry-back-{}", rand::random::<u64>());
                (asker.check_token(&token).status == 200).then_some(())
            });
        }
    });
    recovery
}

/// Fault 17.
#[test]
fn a_provider_that_takes_five_seconds_costs_its_own_tokens_a_503_and_nobody_else_anything() {
    const PAUSE: Duration = Duration::from_secs(5);
    let scene = Scene::start();
    let before = scene.quiet();
    scene
        .asked
        .answer(INTROSPECT, Answer::Late(introspected, PAUSE));
    // Longer than any answer is believed: every question is on its way, or refused.
    let during = scene.load().seconds(60);
    let under_way = scene.asking.open();
    eprintln!(
        "fault 17: {during}; {under_way} questions under way at {} replicas; median of JWT x {:.2}",
        scene.replicas.len(),
        slower(&during, &before)
    );
    during.assert_right("JWT", &JWT, 999_000);
    assert!(during.undecided(&[Class::Asked]) > 0);
    assert_eq!(during.false_denials(&[Class::Asked]), 0);
    // Ours comes ten milliseconds before Envoy gives up, and they share two cores with everything else. Late is
    // closed, too.
    let late = during.unanswered(&[Class::Asked]);
    assert!(
        late * 10 <= during.requests(&[Class::Asked]),
        "{late} without our answer"
    );
    assert!(under_way <= 64 * scene.replicas.len(), "{under_way}");
    assert!(slower(&during, &before) < 3.0);
    scene.asked.answer(INTROSPECT, Answer::Made(introspected));
    recovered(&scene);
    let after = scene.load().seconds(10);
    after.assert_right("after", &[Class::Asked], 990_000);
    scene.finish();
}

/// Fault 18.
#[test]
fn a_provider_that_fails_is_asked_once_in_a_second_and_used_again_when_it_is_well() {
    const SECONDS: u64 = 20;
    let reset = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"act".to_vec();
    for (what, failure) in [
        ("500", Answer::status("500 X", &[], "")),
        ("429", Answer::status("429 X", &["retry-after: 30"], "")),
        ("reset", Answer::Reset(reset)),
    ] {
        let scene = Scene::start();
        let before = scene.quiet();
        let asked = scene.asked.count(INTROSPECT);
        scene.asked.answer(INTROSPECT, failure);
        let during = scene.load().seconds(SECONDS);
        let asked = scene.asked.count(INTROSPECT) - asked;
        scene.asked.answer(INTROSPECT, Answer::Made(introspected));
        let recovery = recovered(&scene);
        eprintln!(
            "fault 18, {what}: {asked} questions by {} replicas in {SECONDS} s; {during}; until it is used again: {recovery}; \
             median of JWT x {:.2}",
            scene.replicas.len(),
            slower(&during, &before)
        );
        during.assert_right("JWT", &JWT, 999_000);
        assert_eq!(during.false_denials(&[Class::Asked]), 0);
        // Ten open it; then one in a second, and those that were under way.
        let most = (10 + 2 + SECONDS) * scene.replicas.len() as u64;
        assert!(asked as u64 <= most, "{what}: {asked} questions");
        scene.finish();
    }
}
