//! How long the service takes to be ready when its provider is not there.

use std::net::TcpListener;

use super::{config::Config, lab::Lab, process::unix_nanos, sample::Spread, server::Server};

/// Milliseconds from the start of the process to the first 200 of `/readyz`.
pub fn measure(lab: &mut Lab) {
    if !lab.wants("start") {
        return;
    }
    let starts = 0..lab.effort.starts;
    lab.report.ready_ms = starts.map(|_| once(lab)).collect();
    if let Some(spread) = Spread::of(lab.report.ready_ms.iter().copied()) {
        println!(
            "\nready, provider refusing connections: {} ms after start",
            spread.text(1)
        );
    }
}

fn once(lab: &Lab) -> f64 {
    // The port was free a moment ago: nobody answers there.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let config = Config::of(&[format!("http://127.0.0.1:{port}")]);
    let service = Server::service_unready(&lab.service, &config.yaml());
    service.until_ready();
    (unix_nanos() - service.started) as f64 / 1e6
}
