//! `serve`, and `health` as a probe runs it.

use std::{net::TcpListener, path::Path};

use tempfile::TempDir;

use super::{ERROR, NO, OK, SMALLEST, directory_with, run};
use crate::support::{
    children::Running,
    client, eventually,
    idp::Idp,
    service::{Service, config_for},
};

#[test]
fn serve_ends_with_the_exit_code_that_fits() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    service.process.signal("TERM");
    assert_eq!(
        service.process.wait().code(),
        Some(OK),
        "stopped in good order"
    );

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    for listen in [
        format!("grpc: '{address}', admin: 127.0.0.1:0"),
        format!("admin: '{address}', grpc: 127.0.0.1:0"),
    ] {
        let directory = directory_with(&format!("listen: {{ {listen} }}\n{SMALLEST}"));
        let said = run(directory.path(), &["serve", "--config", "config.yaml"]);
        assert_eq!(said.code, ERROR, "{listen}: {}", said.err);
        assert!(
            said.err.contains(&address.to_string()),
            "{listen}: {}",
            said.err
        );
    }
}

#[test]
fn health_tells_a_probe_by_its_exit_code() {
    let here = Path::new(".");
    let idp = Idp::start();
    let service = Service::start(&idp);
    for name in [
        "",
        "liveness",
        "readiness",
        "envoy.service.auth.v3.Authorization",
    ] {
        let said = run(here, &["health", &service.grpc, "--service", name]);
        assert_eq!(
            (said.code, said.out.as_str(), said.err.as_str()),
            (OK, "SERVING\n", ""),
            "{name}"
        );
    }
    assert_eq!(run(here, &["health", &service.grpc]).code, OK);
    let unknown = run(here, &["health", &service.grpc, "--service", "bamboo"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (NO, ""));
    assert!(
        unknown.err.starts_with(&format!("{}: ", service.grpc)),
        "{}",
        unknown.err
    );

    // Not gRPC, nobody there, and no address at all.
    let other = run(here, &["health", &service.admin]);
    assert_eq!((other.code, other.out.as_str()), (NO, ""), "{}", other.err);
    let closed = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("bound");
    let nobody = run(here, &["health", &closed.to_string()]);
    assert_eq!((nobody.code, nobody.out.as_str()), (NO, ""));
    assert_eq!(nobody.err.lines().count(), 1, "{}", nobody.err);
    assert!(
        nobody.err.starts_with(&format!("{closed}: cannot connect")),
        "{}",
        nobody.err
    );
    assert_eq!(run(here, &["health", "no address"]).code, NO);
}

#[test]
fn health_works_over_a_unix_socket_and_tells_a_service_that_is_leaving() {
    let idp = Idp::start();
    let directory = TempDir::new().expect("a directory");
    let socket = directory.path().join("grpc.sock");
    let address = format!("unix:{}", socket.display());
    assert_eq!(
        run(directory.path(), &["health", &address]).code,
        NO,
        "nobody is there yet"
    );
    let mut service = Service::with_config(&format!(
        "{}listen: {{ grpc: '{address}', admin: 127.0.0.1:0 }}\nshutdown: {{ drain_delay: 1h, drain_timeout: 1s }}\n",
        config_for(&idp)
    ));
    let health = |name: &str| run(directory.path(), &["health", &address, "--service", name]);
    assert_eq!(
        (health("").code, health("").out.as_str()),
        (OK, "SERVING\n")
    );

    service.process.signal("TERM");
    eventually("NOT_SERVING", || {
        (health("readiness").code == NO).then_some(())
    });
    assert_eq!(health("readiness").out, "NOT_SERVING\n");
    assert_eq!(
        (health("liveness").code, health("liveness").out.as_str()),
        (OK, "SERVING\n")
    );
    assert_eq!(client::get(&service.admin, "/livez", &[]).status, 200);
    end(&mut service.process);
}

/// A second signal does not wait for `drain_delay`.
fn end(process: &mut Running) {
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(OK));
}
