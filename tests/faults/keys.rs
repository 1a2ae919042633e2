//! The address of a provider's keys, and those who want it to be asked.

use std::time::Duration;

use crate::{
    flood::Flood,
    scene::{Scene, established_to, slower},
    support::{
        eventually,
        idp::{Answer, JWKS, jwks},
        keys::{base64url, other_rs256, shared_rs256},
        tokens::Token,
    },
    tally::{JWT, Tally},
};

/// A JWT of a key that nobody has, or with a signature of nobody: neither needs a key to be made.
pub fn unsigned(issuer: &str, kid: &str, number: u64) -> String {
    let token = Token::of(issuer).header("kid", kid).claim("jti", number);
    format!(
        "{}.{}.{}",
        base64url(token.header.to_string()),
        base64url(token.payload.to_string()),
        base64url([7; 256])
    )
}

/// Makes every replica want the keys anew.
pub fn provoke(scene: &Scene) {
    for replica in &scene.replicas {
        let kid = format!("provoked-{}", rand::random::<u64>());
        let status = replica
            .asker()
            .check_token(&unsigned(scene.issuer(), &kid, 0))
            .status;
        assert!([401, 503].contains(&status), "{status}");
    }
}

/// Fault 1, under load; `hours` shows the half hour.
#[test]
fn without_the_keys_address_every_jwt_goes_on() {
    let scene = Scene::start();
    let before = scene.quiet();
    scene.keys.refuse();
    scene.keys.cut();
    let accepted = scene.keys.accepted();
    provoke(&scene);
    let during = scene.load().seconds(30);
    let attempts = scene.keys.accepted() - accepted;
    eprintln!(
        "fault 1: {during}; {attempts} attempts by {} replicas; median x {:.2}",
        scene.replicas.len(),
        slower(&during, &before)
    );
    during.assert_right("JWT", &JWT, 999_000);
    assert!(attempts >= scene.replicas.len(), "nobody has asked");
    assert!(attempts <= 15 * scene.replicas.len(), "{attempts} attempts");
    assert!(slower(&during, &before) < 3.0);
    scene.finish();
}

/// Fault 9.
#[test]
fn a_flood_of_unknown_keys_fetches_twice_a_minute_and_harms_nobody() {
    let scene = Scene::start();
    let before = scene.quiet();
    let fetched = scene.desk.idp().count(JWKS);
    let issuer = scene.issuer().to_owned();
    let flood = Flood::start(&scene.addresses(), move |number| {
        unsigned(&issuer, &format!("unknown-{number}"), number)
    });
    let during = scene.load().seconds(60);
    let flooded = flood.end();
    let fetches = scene.desk.idp().count(JWKS) - fetched;
    eprintln!(
        "fault 9: {flooded}; {fetches} fetches by {} replicas; {during}; median x {:.2}",
        scene.replicas.len(),
        slower(&during, &before)
    );
    assert!(fetches <= 3 * scene.replicas.len(), "{fetches} fetches");
    assert_eq!(flooded.failed, 0);
    during.assert_right("good traffic", &JWT, 999_000);
    scene.finish();
}

/// Faults 3 and 4.
#[test]
fn keys_that_never_come_or_come_a_byte_at_a_time_cost_a_connection_and_nothing_else() {
    const PAUSE: Duration = Duration::from_millis(100);
    const MOST_KIB: u64 = 20 * 1024;
    let scene = Scene::start();
    let before = scene.quiet();
    let good = jwks(&[shared_rs256().jwk("k1")]);
    for (what, answer) in [
        ("silence", Answer::Hang),
        ("a byte", Answer::Drip(good, PAUSE)),
    ] {
        let resident = scene.resident();
        scene.desk.idp().answer(JWKS, answer);
        // Also the connections that are kept.
        scene.keys.cut();
        provoke(&scene);
        let mut open = 0;
        let mut during = Tally::default();
        for _ in 0..20 {
            during.add(&scene.load().seconds(1));
            open = open.max(established_to(scene.keys.port()));
        }
        let grown = scene.resident().saturating_sub(resident);
        eprintln!(
            "fault 3 and 4, {what}: {during}; {open} connections of {} replicas at most; grown by {grown} KiB; median x {:.2}",
            scene.replicas.len(),
            slower(&during, &before)
        );
        during.assert_right("JWT", &JWT, 999_000);
        assert!(
            open <= 2 * scene.replicas.len(),
            "{what}: {open} connections"
        );
        assert!(grown < MOST_KIB, "{what}: {grown} KiB");
        assert!(slower(&during, &before) < 3.0, "{what}");
        scene.desk.idp().publish(&[("k1", shared_rs256())]);
    }
    scene.finish();
}

/// Fault 7.
#[test]
fn a_new_key_that_signs_at_once_is_fetched_once_by_each_replica_and_works_from_then_on() {
    let scene = Scene::start();
    scene.quiet();
    let idp = scene.desk.idp();
    let fetched = idp.count(JWKS);
    idp.publish(&[("k1", shared_rs256()), ("k2", other_rs256())]);
    let token = || {
        let token = Token::of(scene.issuer()).header("kid", "k2");
        let unique: u64 = rand::random();
        token
            .claim("jti", format!("cnry{unique}"))
            .signed_by(other_rs256())
    };
    let (early, during) = scene.load().during(|| {
        let mut early = Vec::new();
        for replica in &scene.replicas {
            let mut asker = replica.asker();
            let mut refused = 0;
            eventually("the new key", || {
                let outcome = asker.check_token(&token());
                refused += u32::from(outcome.status != 200);
                (outcome.user() == Some("alice")).then_some(())
            });
            for _ in 0..200 {
                assert_eq!(asker.check_token(&token()).user(), Some("alice"));
            }
            early.push(refused);
        }
        early
    });
    let fetches = idp.count(JWKS) - fetched;
    eprintln!(
        "fault 7: {fetches} fetches by {} replicas; too early {early:?}; {during}",
        early.len()
    );
    assert_eq!(fetches, scene.replicas.len());
    during.assert_right("JWT of the old key", &JWT, 999_000);
    scene.finish();
}

/// Fault 10.
#[test]
fn a_flood_of_forged_signatures_fetches_nothing_and_harms_nobody() {
    let scene = Scene::start();
    let before = scene.quiet();
    let fetched = scene.desk.idp().count(JWKS);
    let issuer = scene.issuer().to_owned();
    let flood = Flood::start(&scene.addresses(), move |number| {
        unsigned(&issuer, "k1", number)
    });
    let during = scene.load().seconds(30);
    let flooded = flood.end();
    let fetches = scene.desk.idp().count(JWKS) - fetched;
    eprintln!(
        "fault 10: {flooded}; {fetches} fetches; {during}; median x {:.2}",
        slower(&during, &before)
    );
    assert_eq!(fetches, 0);
    assert_eq!(flooded.failed, 0);
    during.assert_right("good traffic", &JWT, 999_000);
    scene.finish();
}
