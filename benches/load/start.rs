//! How long the service takes to be ready when its provider is not there.

use std::{net::TcpListener, path::Path};

use super::{
    process::unix_nanos,
    server::{self, Server},
};

/// Milliseconds from the start of the process to the first 200 of `/readyz`.
pub fn measure(binary: &Path, starts: usize) -> Vec<f64> {
    (0..starts).map(|_| once(binary)).collect()
}

fn once(binary: &Path) -> f64 {
    // The port was free a moment ago: nobody answers there.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let service =
        Server::service_unready(binary, &server::config(&format!("http://127.0.0.1:{port}")));
    service.until_ready();
    (unix_nanos() - service.started) as f64 / 1e6
}
