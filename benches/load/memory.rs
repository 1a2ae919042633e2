//! How much memory the service keeps when many tokens come by that nobody has seen before.

use std::{sync::mpsc, thread};

use serde::Serialize;

use super::{
    calls::{Answerer, Recipe, Wire},
    client::{Client, Target},
    lab::Lab,
    load::Load,
    mint::{Mint, Signature},
};

/// Tokens made at a time; the next lot is signed while this one is asked about.
const LOT: usize = 5_000;
/// Far from the numbers of other tokens, so that no token is the same.
const FIRST: usize = 1_000_000_000;
/// Points of the curve.
const POINTS: usize = 40;

/// A point of the curve.
#[derive(Serialize)]
pub struct Point {
    pub tokens: usize,
    pub resident_kib: u64,
    /// The most so far.
    pub peak_kib: u64,
}

/// Resident memory after the start, and over the number of distinct tokens.
pub fn measure(lab: &mut Lab) {
    if !lab.wants("memory") {
        return;
    }
    let service = lab.serve(&lab.config());
    let point = |tokens| {
        let (resident_kib, peak_kib) = service.resident();
        Point {
            tokens,
            resident_kib,
            peak_kib,
        }
    };
    let mut curve = vec![point(0)];
    let target = Target {
        address: &service.address,
        wire: Wire::Grpc,
        answerer: Answerer::Judge,
    };
    let mut client = Client::connect(target, Load::closed(4, 16));
    let total = lab.effort.tokens;
    let lots = (0..total)
        .step_by(LOT)
        .map(|begin| FIRST + begin..FIRST + (begin + LOT).min(total));
    // The fastest to sign; what is remembered of a token does not depend on its signature.
    let mint = Mint::of(&lab.issuer, Signature::EdDsa);
    let (sender, ready) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        // Ends early when nobody receives any more.
        scope.spawn(move || {
            let mut signed = lots.map(|lot| sender.send(mint.tokens(lot)));
            signed.all(|sent| sent.is_ok())
        });
        let mut done = 0;
        for lot in ready {
            client.run(&Recipe::CHECK.with(&lot), lot.len());
            done += lot.len();
            if done >= total || (done / LOT).is_multiple_of((total / LOT / POINTS).max(1)) {
                curve.push(point(done));
            }
        }
    });
    println!("\nresident memory of the service, MiB (highest so far), over distinct tokens");
    let step = (curve.len() / 8).max(1);
    // The last one is always among them.
    for point in curve.iter().rev().step_by(step).rev() {
        let mib = |kib: u64| kib as f64 / 1024.0;
        let (now, peak) = (mib(point.resident_kib), mib(point.peak_kib));
        println!("  {:>9} {now:8.1} ({peak:.1})", point.tokens);
    }
    lab.report.memory = curve;
}
