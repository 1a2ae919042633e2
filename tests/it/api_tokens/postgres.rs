//! Several replicas of the service on one PostgreSQL, on good days and on bad ones.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use super::{
    Desk,
    fixture::{checked, lookups},
};
use crate::support::{
    client,
    envoy::Options,
    eventually,
    postgres::{Postgres, psql},
    proxy::Proxy,
    service::{Check, Service},
    tokens::Token,
    upstream::Upstream,
};

/// A database with the tables in it, and the commands that use it.
fn database() -> (Postgres, Desk) {
    let postgres = Postgres::start();
    let desk = Desk::at(&superuser(&postgres, postgres.port()));
    migrate(&desk);
    (postgres, desk)
}

fn superuser(postgres: &Postgres, port: u16) -> String {
    let url = postgres.url("postgres", postgres.password(), "postgres");
    url.replace(&format!(":{}/", postgres.port()), &format!(":{port}/"))
}

fn migrate(desk: &Desk) {
    let output = desk.migrate();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A replica that reaches the database through something that can break.
fn behind(proxy: &Proxy, postgres: &Postgres, desk: &Desk) -> Service {
    let (_, port) = proxy
        .address()
        .rsplit_once(':')
        .map(|(host, port)| (host.to_owned(), port.parse().expect("a port")))
        .expect("host:port");
    desk.service_at(&superuser(postgres, port))
}

fn refused(service: &mut Service, token: &str) {
    eventually("the revocation", || {
        (service.check_token(token).status == 401).then_some(())
    });
}

#[test]
fn a_revocation_reaches_two_replicas_behind_one_envoy() {
    let (_postgres, desk) = database();
    let (one, mut other) = (desk.service(), desk.service());
    let upstream = Upstream::start();
    let options = Options::new(&one.grpc, upstream.port).replicas(
        &[&other.grpc],
        serde_json::json!({"lb_policy": "ROUND_ROBIN"}),
    );
    let envoy = options.start();
    let made = desk.make(&[]);
    let authorization = format!("Authorization: Bearer {}", made.token);
    let ask = || client::get(&envoy.address, "/x", &[&authorization]).status;
    for _ in 0..10 {
        assert_eq!(ask(), 200);
    }
    assert_eq!(other.check_token(&made.token).user(), Some("alice"));
    desk.revoke(&made.id);
    // Ten in a row: both replicas know.
    eventually("the revocation", || {
        (0..10).all(|_| ask() == 401).then_some(())
    });
    drop(one);
}

/// Prints how long it takes; what must hold is that none is missed.
#[test]
fn of_a_thousand_revocations_none_is_missed() {
    const COUNT: usize = 1_000;
    let (_postgres, desk) = database();
    let mut replicas = [desk.service(), desk.service()];
    let made = desk.make_many(COUNT);
    for service in &mut replicas {
        for made in &made {
            assert_eq!(service.check_token(&made.token).user(), Some("alice"));
        }
    }
    let store = desk.open_store();
    let mut delays = Vec::new();
    for made in &made {
        store.revoke(made);
        let revoked = Instant::now();
        for service in &mut replicas {
            refused(service, &made.token);
        }
        delays.push(revoked.elapsed());
    }
    delays.sort();
    let at = |share: usize| delays[(COUNT * share / 1000).min(COUNT - 1)];
    eprintln!(
        "revocation to refusal on both replicas: p50 {:?}, p99 {:?}, max {:?}",
        at(500),
        at(990),
        at(1000)
    );
}

#[test]
fn without_the_database_known_tokens_and_other_peoples_tokens_still_work() {
    let (mut postgres, desk) = database();
    let mut service = desk.service();
    let (known, fresh) = (desk.make(&[]), desk.make(&[]));
    let jwt = Token::of(&desk.idp().issuer).signed();
    assert_eq!(service.check_token(&known.token).user(), Some("alice"));
    postgres.stop();
    for _ in 0..20 {
        assert_eq!(service.check_token(&known.token).user(), Some("alice"));
        let unknown = service.check_token(&fresh.token);
        assert_eq!(
            (unknown.status, unknown.reason()),
            (503, "token_store_away")
        );
        assert_eq!(service.check_token(&jwt).user(), Some("alice"));
    }
    postgres.restart();
    let restarted = Instant::now();
    eventually("the recovery", || {
        (service.check_token(&fresh.token).status == 200).then_some(())
    });
    eprintln!(
        "the database is back: {:?} until a new token works",
        restarted.elapsed()
    );
    // The feed is back, too.
    desk.revoke(&known.id);
    refused(&mut service, &known.token);
}

#[test]
fn a_service_that_starts_without_its_database_serves_everybody_else_and_recovers() {
    let (mut postgres, desk) = database();
    let made = desk.make(&[]);
    postgres.stop();
    let mut service = desk.service();
    let jwt = Token::of(&desk.idp().issuer).signed();
    assert_eq!(service.check_token(&jwt).user(), Some("alice"));
    assert_eq!(service.check_token(&made.token).status, 503);
    postgres.restart();
    eventually("the recovery", || {
        (service.check_token(&made.token).status == 200).then_some(())
    });
}

/// The revocation happens while nobody can listen.
#[test]
fn a_revocation_in_the_gap_between_two_listening_sessions_is_found() {
    let (postgres, desk) = database();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", postgres.port()));
    let mut service = behind(&proxy, &postgres, &desk);
    for _ in 0..5 {
        let made = desk.make(&[]);
        eventually("the database", || {
            (service.check_token(&made.token).status == 200).then_some(())
        });
        proxy.refuse();
        proxy.cut();
        desk.revoke(&made.id);
        assert_eq!(
            service.check_token(&made.token).status,
            200,
            "it cannot know yet"
        );
        proxy.heal();
        refused(&mut service, &made.token);
    }
}

/// As an administrator of the database or a failover does it.
#[test]
fn a_listening_session_that_the_database_ends_is_replaced() {
    let (postgres, desk) = database();
    let mut service = desk.service();
    for _ in 0..5 {
        let made = desk.make(&[]);
        assert_eq!(service.check_token(&made.token).user(), Some("alice"));
        let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                     WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
        assert_ne!(postgres.sql(ended), "0");
        desk.revoke(&made.id);
        refused(&mut service, &made.token);
    }
}

/// No reset, no goodbye: packets are just not forwarded any more.
#[test]
fn a_black_hole_is_noticed_and_a_revocation_takes_half_a_minute_at_most() {
    let (postgres, desk) = database();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", postgres.port()));
    let mut service = behind(&proxy, &postgres, &desk);
    let made = desk.make(&[]);
    assert_eq!(service.check_token(&made.token).user(), Some("alice"));
    // Only what is open now is dead: a new session finds its way.
    proxy.black_hole_open();
    let cut = Instant::now();
    desk.revoke(&made.id);
    refused(&mut service, &made.token);
    eprintln!(
        "open connections black-holed: refused after {:?}",
        cut.elapsed()
    );
    // Now everything is, for good: the record may be used until it is thirty seconds old.
    let made = desk.make(&[]);
    assert_eq!(service.check_token(&made.token).user(), Some("alice"));
    proxy.black_hole();
    let cut = Instant::now();
    desk.revoke(&made.id);
    let denied = eventually("the end of what is remembered", || {
        let outcome = service.check_token(&made.token);
        (outcome.status != 200).then_some(outcome)
    });
    eprintln!(
        "everything black-holed: {} after {:?}",
        denied.status,
        cut.elapsed()
    );
    assert_eq!(denied.status, 503, "{}", denied.reason());
    proxy.cut();
    proxy.heal();
    refused(&mut service, &made.token);
}

#[test]
fn a_promoted_standby_is_followed() {
    let (mut primary, desk) = database();
    let standby = primary.standby();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", primary.port()));
    let mut service = behind(&proxy, &primary, &desk);
    let made = desk.make(&[]);
    let revision = "SELECT revision FROM api_token_revision";
    assert_eq!(service.check_token(&made.token).user(), Some("alice"));
    let expected = primary.sql(revision);
    eventually("the replication", || {
        (standby.sql(revision) == expected).then_some(())
    });
    primary.stop();
    standby.promote();
    proxy.retarget(&format!("127.0.0.1:{}", standby.port()));
    let promoted = Instant::now();
    let after = Desk::at(&superuser(&primary, standby.port()));
    after.revoke(&made.id);
    refused(&mut service, &made.token);
    eprintln!(
        "failover: {:?} until a revocation at the new primary counts",
        promoted.elapsed()
    );
    let new = after.make(&[]);
    eventually("the new primary", || {
        (service.check_token(&new.token).status == 200).then_some(())
    });
}

/// Whoever can compute a checksum can make ids that nobody has.
#[test]
fn a_flood_of_guesses_harms_no_known_token_and_asks_once_for_each() {
    const GUESSES: u32 = 5_000;
    let (_postgres, desk) = database();
    let service = desk.service();
    let made = desk.make(&[]);
    let (good, begun) = (AtomicUsize::new(0), Instant::now());
    let statuses = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut client = service.asker();
            let guess = |number: u32| checked(&format!("axt_{number:012}_{}", "x".repeat(43)));
            (0..GUESSES)
                .map(|number| client.check_token(&guess(number)).status)
                .collect::<Vec<_>>()
        });
        let mut client = service.asker();
        while !flood.is_finished() {
            assert_eq!(client.check_token(&made.token).user(), Some("alice"));
            good.fetch_add(1, Ordering::Relaxed);
        }
        flood.join().expect("answers")
    });
    let count = |status: i32| statuses.iter().filter(|one| **one == status).count();
    assert_eq!(count(401) + count(503), statuses.len());
    let asked = lookups(&service);
    // The known token is read again before it is thirty seconds old.
    let most = u64::from(GUESSES) + 2 + begun.elapsed().as_secs() / 20;
    assert!(asked <= most, "{asked}");
    eprintln!(
        "{GUESSES} guesses: {} x 401, {} x 503, {asked} questions; {} good requests beside them, all allowed",
        count(401),
        count(503),
        good.load(Ordering::Relaxed)
    );
}

#[test]
fn a_database_that_is_slow_costs_its_own_users_a_503_and_nobody_else_anything() {
    let (postgres, desk) = database();
    let mut service = desk.service();
    let made = desk.make(&[]);
    let jwt = Token::of(&desk.idp().issuer).signed();
    thread::scope(|scope| {
        let lock = scope.spawn(|| {
            postgres.sql(
                "BEGIN; LOCK TABLE api_token IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT;",
            )
        });
        eventually("the lock", || {
            (postgres.sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'api_token'::regclass") == "1").then_some(())
        });
        while !lock.is_finished() {
            assert_eq!(service.check_token(&jwt).user(), Some("alice"));
            let waiting = service.check_token(&made.token);
            // The lock may have ended under way.
            assert!(
                waiting.status == 503 || lock.is_finished() || waiting.status == 200,
                "{waiting:?}"
            );
        }
    });
    eventually("the recovery", || {
        (service.check_token(&made.token).status == 200).then_some(())
    });
}

/// Uses are written down later, or not at all: a request never waits for it.
#[test]
fn a_writer_that_cannot_write_stops_no_request_and_its_queue_ends() {
    const DROPPED: &str = "atlassian_authz_api_token_notes_dropped_total";
    let (postgres, desk) = database();
    let mut service = desk.service();
    let made = desk.make(&[]);
    assert_eq!(service.check_token(&made.token).user(), Some("alice"));
    let superuser = superuser(&postgres, postgres.port());
    thread::scope(|scope| {
        // Whoever holds it is sent away below: an error there is no failure here.
        let lock = scope.spawn(|| {
            psql(
                &superuser,
                "BEGIN; LOCK TABLE api_token IN SHARE MODE; SELECT pg_sleep(58);",
            )
        });
        let holder = "SELECT pid FROM pg_locks WHERE mode = 'ShareLock' AND granted AND relation = 'api_token'::regclass";
        let holder = eventually("the lock", || postgres.sql(holder).parse::<u32>().ok());
        let mut asker = service.asker();
        let mut sent = 0_u32;
        while !lock.is_finished() && service.metric(DROPPED) == 0.0 {
            let checks = (0..1_000).map(|_| {
                sent += 1;
                let [_, a, b, c] = sent.to_be_bytes();
                Check::get("/x")
                    .bearer(&made.token)
                    .from(&format!("10.{a}.{b}.{c}"))
                    .build()
            });
            let outcomes = asker.check_all(checks.collect());
            assert!(outcomes.iter().all(|outcome| outcome.status == 200));
        }
        assert!(
            !lock.is_finished(),
            "the queue ends while the table is locked"
        );
        let dropped = service.metric(DROPPED);
        eprintln!(
            "{sent} requests from as many addresses while the table was locked, all allowed; {dropped} notes dropped"
        );
        postgres.sql(&format!("SELECT pg_terminate_backend({holder})"));
    });
    eventually("the last use", || {
        desk.token(&["show", &made.id])["last_used_at"]
            .is_string()
            .then_some(())
    });
}

#[test]
fn a_hundred_thousand_revocations_at_once_are_heard() {
    let (postgres, desk) = database();
    let mut service = desk.service();
    let (alices, bobs) = (
        desk.make(&[]),
        desk.make_for("bob", &["--application", "jira"], &[]),
    );
    postgres.sql(
        "INSERT INTO api_token_owner (owner) VALUES ('alice') ON CONFLICT DO NOTHING; \
         INSERT INTO api_token (id, owner, name, pepper, digest, scope, applications, created_at, created_by, expires_at, revision) \
         SELECT lpad(n::text, 12, '0'), 'alice', 'many', pepper, digest, scope, applications, created_at, created_by, expires_at, revision \
         FROM api_token, generate_series(1, 100000) AS n WHERE owner = 'alice'",
    );
    for made in [&alices, &bobs] {
        assert_eq!(service.check_token(&made.token).status, 200);
    }
    let begun = Instant::now();
    let ended = desk.token(&["revoke", "--user", "alice", "--reason", "gone"]);
    assert_eq!(ended["revoked"].as_array().map(Vec::len), Some(100_001));
    let revoked = begun.elapsed();
    refused(&mut service, &alices.token);
    eprintln!(
        "100,001 tokens revoked in {revoked:?}; heard {:?} after that",
        begun.elapsed().saturating_sub(revoked)
    );
    assert_eq!(service.check_token(&bobs.token).user(), Some("bob"));
}

#[test]
fn a_new_pepper_takes_over_without_a_false_denial() {
    let (postgres, desk) = database();
    let (used, unused) = (desk.make(&[]), desk.make(&[]));
    let peppers = || {
        postgres
            .sql("SELECT DISTINCT pepper FROM api_token ORDER BY 1")
            .lines()
            .count()
    };
    let old = desk.config(desk.store());
    let current = format!(
        "pepper: {{ file: \"{}/pepper\" }}",
        desk.directory().display()
    );
    std::fs::write(
        desk.directory().join("new-pepper"),
        "another pepper of the tests, also long",
    )
    .expect("written");
    let file = format!("file: \"{}/new-pepper\"", desk.directory().display());
    let both = old.replace(
        &current,
        &format!(
            "pepper: {{ {file} }}\n  former_peppers: [{{ file: \"{}/pepper\" }}]",
            desk.directory().display()
        ),
    );
    let new_only = old.replace(&current, &format!("pepper: {{ {file} }}"));

    let mut service = Service::with_config(&both);
    assert_eq!(service.check_token(&used.token).user(), Some("alice"));
    assert_eq!(
        service.check_token(&used.with_wrong_secret()).reason(),
        "api_token_wrong_secret"
    );
    eventually("the new digest", || (peppers() == 2).then_some(()));
    assert_eq!(service.check_token(&used.token).user(), Some("alice"));
    drop(service);

    let mut service = Service::with_config(&new_only);
    assert_eq!(service.check_token(&used.token).user(), Some("alice"));
    // Nobody can tell: the token is not called bad.
    let undecided = service.check_token(&unused.token);
    assert_eq!(
        (undecided.status, undecided.reason()),
        (503, "pepper_unknown")
    );
}
