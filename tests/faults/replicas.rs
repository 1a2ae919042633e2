//! Replicas that come and go under load.

use std::time::Instant;

use crate::{
    scene::{Scene, Shape},
    support::eventually,
    tally::{ALL, Tally},
};

/// Ends that follow each other as soon as the successor is asked, where a cluster would take half an hour:
/// the number is the same.
const TURNS: usize = 30;

/// Those who got no right answer.
fn failures(tally: &Tally) -> u64 {
    tally.requests(&ALL) - tally.right(&ALL)
}

/// Waits until Envoy asks this replica.
fn is_asked(scene: &Scene, at: usize) {
    let allowed = "atlassian_authz_check_duration_seconds_count{verdict=\"allow\"} ";
    eventually("a check at the replica", || {
        (scene.replicas[at].metric(allowed) > 20.0).then_some(())
    });
}

/// Ends one replica after the other, as a rollout does.
fn roll(scene: &mut Scene, turns: usize) -> Tally {
    let load = scene.load();
    let ((), during) = load.during(|| {
        for turn in 0..turns {
            let at = turn % scene.replicas.len();
            scene.replicas[at].process.signal("TERM");
            assert!(scene.replicas[at].process.wait().success());
            scene.restart(at);
            is_asked(scene, at);
        }
    });
    during
}

/// Faults 32 and 34: every replica is replaced ten times.
#[test]
fn thirty_replicas_that_end_and_come_back_cost_no_request() {
    let mut scene = Scene::start();
    scene.quiet();
    let begun = Instant::now();
    let during = roll(&mut scene, TURNS);
    eprintln!(
        "fault 32: {TURNS} x SIGTERM in {:?}: {during}",
        begun.elapsed()
    );
    assert_eq!(failures(&during), 0, "{during}");
    scene.finish();
}

/// Fault 32 with an Envoy that does not ask twice: the health check and GOAWAY alone must be enough.
#[test]
fn without_retries_replicas_that_end_cost_one_request_in_a_hundred_thousand_at_most() {
    let mut scene = Scene::of(&Shape {
        retries: false,
        ..Shape::default()
    });
    scene.quiet();
    let during = roll(&mut scene, 9);
    eprintln!("fault 32, without retries: 9 x SIGTERM: {during}");
    assert!(
        failures(&during) * 100_000 <= during.requests(&ALL),
        "{during}"
    );
    scene.finish();
}

/// Fault 33. What was under way at the replica may be lost, and what Envoy sends there until it knows.
#[test]
fn a_killed_replica_costs_what_was_under_way_and_no_decision() {
    const KILLS: usize = 6;
    let mut scene = Scene::start();
    scene.quiet();
    let load = scene.load();
    let ((), during) = load.during(|| {
        for turn in 0..KILLS {
            let at = turn % scene.replicas.len();
            scene.replicas[at].process.signal("KILL");
            scene.replicas[at].process.wait();
            load.pass(3);
            scene.restart(at);
            is_asked(&scene, at);
        }
    });
    let after = load.seconds(5);
    drop(load);
    eprintln!(
        "fault 33: {KILLS} x SIGKILL: {during}; {} lost for each; after: {after}",
        failures(&during) as f64 / KILLS as f64
    );
    // At 500 requests a second far fewer than this are under way at a third of the replicas.
    assert!(failures(&during) <= 20 * KILLS as u64, "{during}");
    assert_eq!(during.false_denials(&ALL), 0);
    after.assert_right("after", &ALL, 999_000);
    scene.finish();
}
