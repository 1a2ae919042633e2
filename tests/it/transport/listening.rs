//! Ports and sockets: both kinds serve, and what cannot be had is said clearly.

use std::{fs, net::TcpListener, os::unix::net::UnixListener, path::Path, process::Command};

use atlassian_authz::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use tempfile::TempDir;

use super::{connect, end_of, health, runtime};
use crate::support::{
    children::Running,
    client,
    envoy::Options,
    idp::Idp,
    service::{Check, Outcome, Service, config_for},
    tokens::Token,
    upstream::Upstream,
};

fn listening_on(idp: &Idp, grpc: &str, admin: &str) -> String {
    format!(
        "{}listen: {{ grpc: \"{grpc}\", admin: \"{admin}\" }}\n",
        config_for(idp)
    )
}

/// Runs a service that is expected to end by itself.
fn run_to_the_end(config: &str) -> (Option<i32>, String) {
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("config.yaml");
    let text =
        format!("{config}log: {{ format: json }}\noutbound: {{ allow_loopback_http: true }}\n");
    fs::write(&file, text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_atlassian-authz"));
    command.arg("serve").arg("--config").arg(&file);
    let mut process = Running::start(command);
    end_of(&mut process, "atlassian-authz: ")
}

fn ask_over(address: &str, token: &str) -> Outcome {
    let check = Check::get("/rest/api/2/myself").bearer(token).build();
    let answer = runtime().block_on(async {
        AuthorizationClient::new(connect(address).await)
            .check(check)
            .await
    });
    Outcome::of(answer.expect("an answer").into_inner())
}

fn assert_refused(config: &str, address: &str, setting: &str) {
    let (code, said) = run_to_the_end(config);
    assert_eq!(code, Some(2), "{said}");
    let complaint = said
        .lines()
        .find(|line| line.starts_with("atlassian-authz: "))
        .unwrap_or_else(|| panic!("no complaint:\n{said}"));
    assert_eq!(
        complaint,
        format!(
            "atlassian-authz: cannot listen on {address} ({setting}): Address already in use (os error 98)"
        )
    );
    assert!(!said.contains("\"message\":\"listening\""), "{said}");
}

#[test]
fn a_unix_socket_serves_envoy_and_probes_and_is_gone_at_the_end() {
    let idp = Idp::start();
    let token = Token::of(&idp.issuer).signed();
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("check.sock");
    let address = format!("unix:{}", path.display());
    // What a process leaves behind that was killed.
    drop(UnixListener::bind(&path).expect("bound"));
    assert!(path.exists());

    let mut service = Service::with_config(&listening_on(&idp, &address, "127.0.0.1:0"));

    assert_eq!(service.grpc, address);
    assert_eq!(ask_over(&address, &token).user(), Some("alice"));
    assert_eq!(health::command(&[&address]).0, Some(0));
    let upstream = Upstream::start();
    let envoy = Options::new(&address, upstream.port).start();
    let bearer = format!("Authorization: Bearer {token}");
    let answer = client::get(&envoy.address, "/rest/api/2/myself", &[&bearer]);
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.last().identities(), [("x-remote-user", "alice")]);
    assert_eq!(client::get(&envoy.address, "/x", &[]).status, 401);

    // A second process must not take the socket away from the first.
    assert_socket_in_use(&idp, &address);
    assert_eq!(ask_over(&address, &token).user(), Some("alice"));

    service.process.signal("TERM");
    assert_eq!(service.process.wait().code(), Some(0));
    assert!(!path.exists(), "the socket file is removed");
    assert_eq!(health::command(&[&address]).0, Some(1));
}

fn assert_socket_in_use(idp: &Idp, address: &str) {
    let (code, said) = run_to_the_end(&listening_on(idp, address, "127.0.0.1:0"));
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains(&format!(
            "cannot listen on {address} (listen.grpc): address in use"
        )),
        "{said}"
    );
}

#[test]
fn a_file_that_is_no_socket_is_not_replaced() {
    let idp = Idp::start();
    let directory = TempDir::new().expect("a directory");
    let precious = directory.path().join("precious");
    fs::write(&precious, "data").expect("written");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&precious, &link).expect("linked");
    let missing = directory.path().join("no/such/directory/check.sock");

    for path in [&*precious, &link, &missing] {
        let address = format!("unix:{}", path.display());
        let (code, said) = run_to_the_end(&listening_on(&idp, &address, "127.0.0.1:0"));
        assert_eq!(code, Some(2), "{said}");
        let complaint = format!("cannot listen on {address} (listen.grpc): ");
        assert!(said.contains(&complaint), "{said}");
    }

    assert_eq!(fs::read_to_string(&precious).expect("still there"), "data");
    assert!(Path::is_symlink(&link));
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_setting() {
    let idp = Idp::start();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken
        .local_addr()
        .map(|address| (taken, address.to_string()));
    let (_taken, address) = taken.expect("bound");

    let grpc = listening_on(&idp, &address, "127.0.0.1:0");
    assert_refused(&grpc, &address, "listen.grpc");
    let admin = listening_on(&idp, "127.0.0.1:0", &address);
    assert_refused(&admin, &address, "listen.admin");
}
