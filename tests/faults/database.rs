//! The database of the API tokens, under the load of those who show them.

use std::time::Instant;

use crate::{
    desk::{Desk, checked},
    flood::Flood,
    scene::{Scene, slower, superuser},
    support::{eventually, service::Service, tokens::Token},
    tally::{ALL, Class, JWT},
};

const OWN: [Class; 1] = [Class::Own];
/// What a replica has open at most: its pool, and the session that listens.
const SESSIONS: usize = 11;

/// A well-formed token of a well-formed id that nobody has: anybody can compute the checksum.
pub fn guess(run: u64, number: u64) -> String {
    checked(&format!(
        "axt_{run:06}{:06}_{}",
        number % 1_000_000,
        "x".repeat(43)
    ))
}

/// Waits until each replica knows a token that it has not seen.
fn all_know(scene: &Scene, desk: &Desk) {
    let made = desk.make(&[]);
    for replica in &scene.replicas {
        let mut asker = replica.asker();
        eventually("a new token", || {
            (asker.check_token(&made.token).status == 200).then_some(())
        });
    }
}

/// Fault 23.
#[test]
fn without_the_database_known_tokens_work_for_half_a_minute_and_everything_else_goes_on() {
    let mut scene = Scene::start();
    let before = scene.quiet();
    scene.postgres.stop();
    // Half a minute from when each was last read, and that was up to twenty seconds ago.
    let known = scene.load().seconds(8);
    scene.load().pass(24);
    let forgotten = scene.load().seconds(28);
    let open = scene.database.open();
    scene.postgres.restart();
    let begun = Instant::now();
    let ((), recovery) = scene.load().during(|| all_know(&scene, &scene.desk));
    eprintln!(
        "fault 23: first 8 s: {known}; after 32 s: {forgotten}; back after {:?}: {recovery}; {open} connections at most",
        begun.elapsed()
    );
    known.assert_right("known tokens", &OWN, 990_000);
    assert_eq!(forgotten.allowed(&OWN), 0, "believed for too long");
    assert_eq!(forgotten.false_denials(&OWN), 0);
    for phase in [&known, &forgotten] {
        phase.assert_right("JWT", &JWT, 999_000);
    }
    assert!(slower(&forgotten, &before) < 3.0);
    let after = scene.load().seconds(10);
    after.assert_right("after", &ALL, 999_000);
    assert!(scene.database.open() <= SESSIONS * scene.replicas.len());
    scene.finish();
}

/// Fault 24.
#[test]
fn a_promoted_standby_is_followed_under_load() {
    let mut scene = Scene::start();
    scene.quiet();
    let standby = scene.postgres.standby();
    let (gone, stays) = (scene.desk.make(&[]), scene.desk.make(&[]));
    for replica in &scene.replicas {
        for made in [&gone, &stays] {
            assert_eq!(
                replica.asker().check_token(&made.token).user(),
                Some("alice")
            );
        }
    }
    let revision = "SELECT revision FROM api_token_revision";
    let expected = scene.postgres.sql(revision);
    eventually("the replication", || {
        (standby.sql(revision) == expected).then_some(())
    });
    scene.postgres.stop();
    standby.promote();
    scene
        .database
        .retarget(&format!("127.0.0.1:{}", standby.port()));
    let promoted = Instant::now();
    let after = Desk::at(&superuser(&scene.postgres, standby.port()));
    let ((), failover) = scene.load().during(|| {
        after.revoke(&gone.id);
        for replica in &scene.replicas {
            let mut asker = replica.asker();
            eventually("the revocation", || {
                (asker.check_token(&gone.token).status == 401).then_some(())
            });
            assert_eq!(asker.check_token(&stays.token).user(), Some("alice"));
        }
        all_know(&scene, &after);
    });
    eprintln!(
        "fault 24: a revocation at the new primary counts at {} replicas after {:?}; meanwhile {failover}",
        scene.replicas.len(),
        promoted.elapsed()
    );
    failover.assert_right("JWT", &JWT, 999_000);
    assert_eq!(failover.false_denials(&OWN), 0);
    let healed = scene.load().seconds(10);
    healed.assert_right("after", &ALL, 999_000);
    scene.finish();
}

/// Fault 25: prints how long it takes; what must hold is that none is missed, and that nobody else notices.
#[test]
fn of_a_thousand_revocations_under_load_no_replica_misses_one() {
    const COUNT: usize = 1_000;
    let scene = Scene::start();
    scene.quiet();
    let made = scene.desk.make_many(COUNT);
    let mut askers: Vec<_> = scene.replicas.iter().map(Service::asker).collect();
    for asker in &mut askers {
        for made in &made {
            assert_eq!(asker.check_token(&made.token).user(), Some("alice"));
        }
    }
    let store = scene.desk.open_store();
    let (mut delays, during) = scene.load().during(|| {
        let revoked = made.iter().map(|made| {
            store.revoke(made);
            let revoked = Instant::now();
            for asker in &mut askers {
                eventually("the revocation", || {
                    (asker.check_token(&made.token).status == 401).then_some(())
                });
            }
            revoked.elapsed()
        });
        revoked.collect::<Vec<_>>()
    });
    delays.sort_unstable();
    let at = |share: usize| delays[(COUNT * share / 1000).min(COUNT - 1)];
    eprintln!(
        "fault 25: {COUNT} revocations, refused by {} replicas after p50 {:?}, p99 {:?}, max {:?}; meanwhile {during}",
        scene.replicas.len(),
        at(500),
        at(990),
        at(1000)
    );
    during.assert_right("everybody else", &ALL, 999_000);
    scene.finish();
}

/// Fault 29.
#[test]
fn a_flood_of_guesses_harms_nobody_and_its_broken_ones_ask_nothing() {
    const LOOKUPS: &str = "atlassian_authz_api_token_lookups_total{result=\"";
    let scene = Scene::start();
    let before = scene.quiet();
    let lookups = || {
        let results = ["found", "unknown", "failed"].into_iter();
        let lines = results.map(|result| format!("{LOOKUPS}{result}\"}} "));
        lines.map(|line| scene.metric(&line)).sum::<f64>()
    };

    // A wrong checksum: nobody needs a database to refuse it.
    let looked_up = lookups();
    let broken = |number: u64| format!("axt_{:012}_{}000000", number % 1_000_000, "x".repeat(43));
    let flood = Flood::start(&scene.addresses(), broken);
    let during_broken = scene.load().seconds(15);
    let flooded_broken = flood.end();
    let background = lookups() - looked_up;

    let looked_up = lookups();
    let flood = Flood::start(&scene.addresses(), |number| guess(0, number));
    let during = scene.load().seconds(30);
    let sent = flood.sent();
    let flooded = flood.end();
    let looked_up = lookups() - looked_up;
    eprintln!(
        "fault 29: broken {flooded_broken}, {background} lookups, of the load; guesses {flooded}, {looked_up} lookups; \
         {during}; {} connections; median of JWT x {:.2}",
        scene.database.open(),
        slower(&during, &before)
    );
    assert_eq!(flooded_broken.undecided + flooded_broken.failed, 0);
    // The load reads each of its tokens again before it is thirty seconds old.
    assert!(
        background <= 20.0 * 2.0 * scene.replicas.len() as f64,
        "{background}"
    );
    assert_eq!(flooded.failed, 0);
    assert!(looked_up <= sent as f64 + 500.0, "{looked_up} lookups");
    assert!(scene.database.open() <= SESSIONS * scene.replicas.len());
    during_broken.assert_right("good traffic", &ALL, 999_000);
    during.assert_right("JWT", &JWT, 999_000);
    during.assert_right("API tokens", &OWN, 999_000);
    scene.finish();
}

/// Fault 30.
#[test]
fn a_database_that_is_slow_costs_unknown_tokens_a_503_and_nobody_else_anything() {
    let scene = Scene::start();
    let before = scene.quiet();
    let unknown = scene.desk.make_many(50);
    let jwt = Token::of(scene.issuer()).claim("canary", "cnry").signed();
    let lock = "BEGIN; LOCK TABLE api_token IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(12); COMMIT;";
    let granted = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'api_token'::regclass";
    let (statuses, during) = std::thread::scope(|scope| {
        let lock = scope.spawn(|| scene.postgres.sql(lock));
        eventually("the lock", || {
            (scene.postgres.sql(granted) == "1").then_some(())
        });
        let outcome = scene.load().during(|| {
            let mut asker = scene.replicas[0].asker();
            let mut statuses = Vec::new();
            for made in &unknown {
                if lock.is_finished() {
                    break;
                }
                statuses.push(asker.check_token(&made.token).status);
                assert_eq!(asker.check_token(&jwt).user(), Some("alice"));
            }
            // The last have waited for the end of the lock, or come after it.
            while statuses.last() == Some(&200) {
                statuses.pop();
            }
            statuses
        });
        lock.join().expect("the lock ends by itself");
        outcome
    });
    eprintln!(
        "fault 30: {} unknown tokens, all 503; {during}; median of JWT x {:.2}",
        statuses.len(),
        slower(&during, &before)
    );
    assert!(
        statuses.len() > 3 && statuses.iter().all(|status| *status == 503),
        "{statuses:?}"
    );
    during.assert_right("JWT", &JWT, 999_000);
    during.assert_right("known tokens", &OWN, 990_000);
    scene.finish();
}
