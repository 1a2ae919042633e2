//! How much memory the service keeps when many tokens come by.

use std::{sync::mpsc, thread};

use super::{
    Effort,
    calls::{self, Answerer, Signature},
    client::{Client, Shape},
    idp::Idp,
    report::Report,
    server::Server,
};

/// Tokens made at a time; the next lot is signed while this one is asked about.
const LOT: usize = 5_000;
/// Far from the numbers of the scenarios, so that no token is the same.
const FIRST: usize = 1_000_000_000;

/// Resident memory after the scenarios, and after distinct tokens that nobody has seen before.
pub fn measure(service: &Server, idp: &Idp, effort: Effort, report: &mut Report) {
    report.remember("after the scenarios", service.resident());
    let client = Client::connect(
        &service.grpc,
        Shape {
            connections: 4,
            streams: 4,
        },
        Answerer::Service,
    );
    let lots = (0..effort.tokens)
        .step_by(LOT)
        .map(|begin| FIRST + begin..FIRST + (begin + LOT).min(effort.tokens));
    // ES256: made a hundred times as fast, remembered in the same way.
    let signed = lots.map(|lot| calls::tokens(&idp.issuer, Signature::Es256, lot));
    let (sender, ready) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        // Ends early when nobody receives any more.
        scope.spawn(move || signed.map(|lot| sender.send(lot)).all(|sent| sent.is_ok()));
        for lot in ready {
            client.run(&calls::with_tokens(&lot), lot.len());
        }
    });
    report.remember(
        &format!("after {} distinct tokens", effort.tokens),
        service.resident(),
    );
}
