//! Collectors that are gone, silent, slow, or somebody else's: no check notices.

use std::{fs, net::TcpListener, process::Command};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

use super::super::end_of;
use crate::support::{
    children::Running,
    collector::Collector,
    eventually,
    idp::Idp,
    service::{Check, Service, config_for},
    tokens::Token,
};

const DROPPED: &str = "atlassian_authz_spans_dropped_total ";
const STOPPED: &str = "\"message\":\"stopped\"";
const FAILS: &str = "spans do not reach the collector and are dropped";

fn section(port: u16) -> String {
    format!("tracing: {{ otlp: 'http://127.0.0.1:{port}', sample: 1 }}\n")
}

fn lines_with(service: &Service, text: &str) -> usize {
    let output = service.process.output();
    output.lines().filter(|line| line.contains(text)).count()
}

/// Many checks, each answered as if there were no collector to speak to; then a good end.
fn assert_unharmed(mut service: Service, token: &str) -> String {
    let check = || Check::get("/x").bearer(token).build();
    let mut asker = service.asker();
    for _ in 0..5 {
        let outcomes = asker.check_all((0..200).map(|_| check()).collect());
        assert!(
            outcomes
                .iter()
                .all(|outcome| outcome.user() == Some("alice"))
        );
    }
    eventually("spans that are dropped and counted", || {
        (service.metric(DROPPED) >= 512.0).then_some(())
    });
    assert_eq!(service.check(check()).user(), Some("alice"));
    eventually("a line about it", || {
        (lines_with(&service, FAILS) > 0).then_some(())
    });
    assert_eq!(lines_with(&service, FAILS), 1, "said once, not each time");
    service.process.signal("TERM");
    let (code, output) = end_of(&mut service.process, STOPPED);
    assert_eq!(code, Some(0));
    output
}

#[test]
fn a_collector_that_is_gone_changes_no_answer_and_delays_no_end() {
    let idp = Idp::start();
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = gone.local_addr().expect("bound").port();
    drop(gone);
    let service = Service::with_config(&(config_for(&idp) + &section(port)));
    assert_unharmed(service, &Token::of(&idp.issuer).signed());
}

#[test]
fn a_collector_that_accepts_and_says_nothing_changes_no_answer_and_delays_no_end() {
    let idp = Idp::start();
    // The kernel accepts for it, and takes what fits into its buffers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let service = Service::with_config(&(config_for(&idp) + &section(port)));
    let output = assert_unharmed(service, &Token::of(&idp.issuer).signed());
    assert!(output.contains("the last spans were not sent"), "{output}");
    drop(silent);
}

#[test]
fn a_collector_that_comes_back_gets_spans_again() {
    let idp = Idp::start();
    let first = Collector::start();
    let port = first.address.rsplit_once(':').expect("host:port").1;
    let port = port.parse().expect("a port");
    let mut service = Service::with_config(&(config_for(&idp) + &section(port)));
    let token = Token::of(&idp.issuer).signed();
    assert_eq!(service.check_token(&token).user(), Some("alice"));
    first.wait_for("check", 1);
    drop(first);
    eventually("a failure", || {
        assert_eq!(service.check_token(&token).user(), Some("alice"));
        (lines_with(&service, FAILS) == 1).then_some(())
    });
    let second = eventually("the port", || {
        TcpListener::bind(("127.0.0.1", port))
            .ok()
            .map(Collector::on)
    });
    eventually("spans", || {
        assert_eq!(service.check_token(&token).user(), Some("alice"));
        (!second.named("check").is_empty()).then_some(())
    });
    eventually("a line about it", || {
        (lines_with(&service, "spans reach the collector again") == 1).then_some(())
    });
}

/// A service that trusts these authorities and no other.
fn trusting(authorities: &str, otlp: &str, idp: &Idp, directory: &TempDir) -> (Running, String) {
    let (file, trusted) = (
        directory.path().join("config.yaml"),
        directory.path().join("trusted.pem"),
    );
    fs::write(&trusted, authorities).expect("written");
    let config = format!(
        "{}listen: {{ grpc: 127.0.0.1:0, admin: 127.0.0.1:0 }}\nlog: {{ format: json }}\n\
         outbound: {{ allow_loopback_http: true }}\ntracing: {{ otlp: '{otlp}', sample: 1 }}\n\
         shutdown: {{ drain_delay: 0s, drain_timeout: 5s }}\n",
        config_for(idp)
    );
    fs::write(&file, config).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_atlassian-authz"));
    command.args(["serve", "--config"]).arg(&file);
    command.env("SSL_CERT_FILE", &trusted);
    command.env(
        "OTEL_RESOURCE_ATTRIBUTES",
        "k8s.pod.name=authz-1,service.name=gateway-authz",
    );
    let mut process = Running::start(command);
    let admin = process.wait_for("the ports", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(line.get("admin")?.as_str()?.to_owned())
    });
    (process, admin)
}

#[test]
fn with_https_the_collector_must_be_who_it_says_it_is() {
    let authority = |name: &str| {
        let mut params = CertificateParams::new([]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signs")
    };
    let (ours, other) = (authority("ours"), authority("other"));
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &ours).expect("signs");
    let collector = Collector::with_certificate(&certificate.pem(), &key.serialize_pem());
    let port = collector.address.rsplit_once(':').expect("host:port").1;
    let otlp = format!("https://localhost:{port}");
    let (idp, directory) = (Idp::start(), TempDir::new().expect("a directory"));

    let (mut process, _) = trusting(&other.pem(), &otlp, &idp, &directory);
    process.wait_for("a refusal", |line| line.contains(FAILS).then_some(()));
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0));
    assert!(collector.spans().is_empty());

    let (mut process, _) = trusting(&ours.pem(), &otlp, &idp, &directory);
    let fetch = collector.wait_for("fetch keys", 1).remove(0);
    // What the operator's environment says of the service is told with every span.
    assert_eq!(fetch.service, "gateway-authz");
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0));
}
