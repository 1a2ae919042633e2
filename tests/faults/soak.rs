//! One fault after the other, at random, for as long as somebody has time: nothing grows, nothing is wrong.

use std::{
    env, fs,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    database::guess,
    flood::Flood,
    keys::{provoke, unsigned},
    process::resident_kib,
    scene::{INTROSPECT, Scene},
    support::{
        eventually,
        idp::{Answer, JWKS},
        keys::shared_rs256,
        service::Service,
    },
    tally::{ALL, JWT, Tally},
    traffic::introspected,
};

/// Minutes, unless `SOAK_MINUTES` says otherwise; 1440 is a day.
const MINUTES: u64 = 3;
/// How long a fault lasts, and how long nothing is broken after it, in seconds' requests.
const FAULT: u64 = 5;
const PAUSE: u64 = 3;
/// The replica that is never ended: what it takes must not grow.
const MEASURED: usize = 0;
/// An answer that ends in the middle.
const BROKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"act";

/// What is broken for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    KeysRefused,
    KeysSilent,
    KeysNonsense,
    AskedLate,
    AskedFailing,
    AskedReset,
    DatabaseCut,
    DatabaseSilent,
    UnknownKeys,
    Guesses,
    ReplicaStopped,
    ReplicaKilled,
    Revocation,
    Reload,
}

const FAULTS: [Fault; 14] = [
    Fault::KeysRefused,
    Fault::KeysSilent,
    Fault::KeysNonsense,
    Fault::AskedLate,
    Fault::AskedFailing,
    Fault::AskedReset,
    Fault::DatabaseCut,
    Fault::DatabaseSilent,
    Fault::UnknownKeys,
    Fault::Guesses,
    Fault::ReplicaStopped,
    Fault::ReplicaKilled,
    Fault::Revocation,
    Fault::Reload,
];

/// What the kernel says about the measured replica while nothing is broken.
struct Sample {
    resident: u64,
    descriptors: usize,
}

impl Sample {
    fn of(scene: &Scene) -> Self {
        let pid = scene.replicas[MEASURED].process.id();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))
            .expect("alive")
            .count();
        Self {
            resident: resident_kib(pid).0,
            descriptors,
        }
    }
}

/// Lets a fault happen, waits, and heals it.
fn happen(scene: &mut Scene, fault: Fault, at: usize) {
    let load = scene.load();
    let pass = || load.pass(FAULT);
    match fault {
        Fault::KeysRefused => {
            scene.keys.refuse();
            scene.keys.cut();
            without_keys(scene);
        }
        Fault::KeysSilent => {
            scene.keys.black_hole();
            without_keys(scene);
        }
        Fault::KeysNonsense => {
            let page = "<!doctype html><title>Sign in</title>".to_owned();
            scene.desk.idp().answer(JWKS, Answer::Json(page));
            without_keys(scene);
        }
        Fault::AskedLate => asked(scene, Answer::Late(introspected, Duration::from_secs(5))),
        Fault::AskedFailing => asked(scene, Answer::status("500 X", &[], "")),
        Fault::AskedReset => asked(scene, Answer::Reset(BROKEN.to_vec())),
        Fault::DatabaseCut => {
            scene.database.refuse();
            scene.database.cut();
            pass();
            scene.database.heal();
        }
        Fault::DatabaseSilent => {
            scene.database.black_hole();
            pass();
            scene.database.heal();
        }
        Fault::UnknownKeys => {
            let issuer = scene.issuer().to_owned();
            let run: u64 = rand::random();
            flood(scene, move |number| {
                unsigned(&issuer, &format!("{run}-{number}"), number)
            });
        }
        Fault::Guesses => {
            let run: u64 = rand::random::<u64>() % 1_000_000;
            flood(scene, move |number| guess(run, number));
        }
        Fault::ReplicaStopped | Fault::ReplicaKilled => {
            let signal = if fault == Fault::ReplicaStopped {
                "TERM"
            } else {
                "KILL"
            };
            scene.replicas[at].process.signal(signal);
            scene.replicas[at].process.wait();
            scene.restart(at);
        }
        Fault::Revocation => revoke(scene),
        Fault::Reload => reload(scene, at),
    }
}

/// Every replica wants the keys while they cannot be had.
fn without_keys(scene: &Scene) {
    provoke(scene);
    scene.load().pass(FAULT);
    scene.keys.heal();
    scene.desk.idp().publish(&[("k1", shared_rs256())]);
}

fn asked(scene: &Scene, answer: Answer) {
    scene.asked.answer(INTROSPECT, answer);
    scene.load().pass(FAULT);
    scene.asked.answer(INTROSPECT, Answer::Made(introspected));
}

/// As much as leaves the machine of the test something for the load.
fn flood(scene: &Scene, token: impl Fn(u64) -> String + Send + Sync + 'static) {
    let flood = Flood::gentle(&scene.addresses(), token);
    scene.load().pass(FAULT);
    assert_eq!(flood.end().failed, 0);
}

fn revoke(scene: &Scene) {
    let made = scene.desk.make(&[]);
    let mut askers: Vec<_> = scene.replicas.iter().map(Service::asker).collect();
    for asker in &mut askers {
        eventually("a new token", || {
            (asker.check_token(&made.token).user() == Some("alice")).then_some(())
        });
    }
    scene.desk.revoke(&made.id);
    for asker in &mut askers {
        eventually("the revocation", || {
            (asker.check_token(&made.token).status == 401).then_some(())
        });
    }
}

fn reload(scene: &Scene, at: usize) {
    let replica = &scene.replicas[at];
    // Another one each time: it starts with 0, as generation 1.
    let hops = replica.generation() % 2.0;
    replica.reconfigure(&format!(
        "{}client_address: {{ trusted_hops: {hops} }}\nlisten: {{ grpc: {}, admin: {} }}\n",
        scene.config, replica.grpc, replica.admin
    ));
}

fn median(samples: &[Sample]) -> u64 {
    let mut resident: Vec<_> = samples.iter().map(|it| it.resident).collect();
    resident.sort_unstable();
    resident[resident.len() / 2]
}

/// What the measured replica takes after the warm-up: as much later as sooner.
fn assert_flat(samples: &[Sample]) -> f64 {
    let third = samples.len() / 3;
    let (sooner, later) = (&samples[third..2 * third], &samples[2 * third..]);
    let descriptors = |of: &[Sample]| of.iter().map(|it| it.descriptors).min().expect("some");
    let growth = median(later) as f64 / median(sooner) as f64;
    assert!(growth < 1.1, "resident memory has grown to {growth} times");
    let (before, after) = (descriptors(sooner), descriptors(later));
    assert!(after <= before + 8, "descriptors: {before}, later {after}");
    growth
}

/// Fault 47.
#[test]
fn whatever_breaks_in_whatever_order_nothing_is_wrong_and_nothing_grows() {
    let minutes = env::var("SOAK_MINUTES").ok();
    let minutes = minutes.map_or(MINUTES, |text| text.parse().expect("a number"));
    let seed = env::var("SOAK_SEED").ok();
    let seed = seed.map_or_else(rand::random, |text| text.parse().expect("a number"));
    eprintln!("fault 47: SOAK_SEED={seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut scene = Scene::start();
    scene.quiet();
    let end = Instant::now() + Duration::from_mins(minutes);
    let (mut samples, mut all, mut happened) = (Vec::new(), Tally::default(), 0);
    // Each once at least, then by chance.
    while happened < FAULTS.len() || Instant::now() < end {
        let fault = FAULTS.get(happened).copied();
        let fault = fault.unwrap_or_else(|| FAULTS[dice.random_range(0..FAULTS.len())]);
        let at = dice.random_range(1..scene.replicas.len());
        let load = scene.load();
        let ((), during) = load.during(|| happen(&mut scene, fault, at));
        let after = load.seconds(PAUSE);
        drop(load);
        for tally in [&during, &after] {
            assert_eq!(tally.false_denials(&ALL), 0, "{fault:?}: {tally}");
            all.add(tally);
        }
        samples.push(Sample::of(&scene));
        scene.sweep();
        scene.asked.forget();
        scene.desk.idp().forget();
        happened += 1;
    }
    let growth = assert_flat(&samples);
    eprintln!(
        "fault 47: {happened} faults: {all}; resident memory of a replica {} MiB, x {growth:.3}; {} descriptors",
        samples.last().expect("some").resident / 1024,
        samples.last().expect("some").descriptors
    );
    all.assert_right("JWT", &JWT, 999_500);
    scene.finish();
}
