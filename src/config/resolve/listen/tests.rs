use std::fs;

use insta::assert_snapshot;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::config::{
    Config,
    tests::{APPLICATIONS, PROVIDERS, problems_in},
};

/// A directory with a certificate, its key, and the key of another one.
fn directory() -> TempDir {
    let directory = TempDir::new().expect("a directory");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["authz.example.com".to_owned()]).expect("names");
    let certificate = params.self_signed(&key).expect("signed");
    let other = KeyPair::generate().expect("a key");
    for (name, text) in [
        ("tls.crt", certificate.pem()),
        ("tls.key", key.serialize_pem()),
        ("other.key", other.serialize_pem()),
        ("empty", String::new()),
        ("text", "not PEM".to_owned()),
    ] {
        fs::write(directory.path().join(name), text).expect("written");
    }
    directory
}

fn listen(directory: &TempDir, members: &str) -> String {
    let text = format!("listen:\n{members}{PROVIDERS}{APPLICATIONS}");
    problems_in(directory.path(), &text)
}

#[test]
fn every_port_may_speak_tls_and_say_who_may_connect() {
    let directory = directory();
    let tls = "{ certificate: tls.crt, key: tls.key, clients: { ca: tls.crt, names: ['spiffe://a/b', Envoy.example.com] } }";
    let members = format!(
        "  grpc_tls: {tls}\n  admin_tls: {{ certificate: tls.crt, key: tls.key }}\n  health: 0.0.0.0:9003\n"
    );
    assert_eq!(listen(&directory, &members), "ok");
}

#[test]
fn files_of_no_use_are_named() {
    let directory = directory();
    let tls = |members: &str| listen(&directory, &format!("  grpc_tls: {{ {members} }}\n"));
    assert_snapshot!(tls("certificate: none.crt, key: tls.key"), @"c.yaml:2:15: 'listen.grpc_tls.certificate': the file none.crt cannot be read: No such file or directory (os error 2)");
    assert_snapshot!(tls("certificate: tls.crt, key: none.key"), @"c.yaml:2:37: 'listen.grpc_tls.key': the file none.key cannot be read: No such file or directory (os error 2)");
    assert_snapshot!(tls("certificate: empty, key: tls.key"), @"c.yaml:2:15: 'listen.grpc_tls.certificate': it holds no certificate in PEM form");
    assert_snapshot!(tls("certificate: text, key: tls.key"), @"c.yaml:2:15: 'listen.grpc_tls.certificate': it holds no certificate in PEM form");
    assert_snapshot!(tls("certificate: tls.key, key: tls.key"), @"c.yaml:2:15: 'listen.grpc_tls.certificate': it holds no certificate in PEM form");
    assert_snapshot!(tls("certificate: tls.crt, key: tls.crt"), @"c.yaml:2:37: 'listen.grpc_tls.key': it holds no private key in PEM form that can be used");
    assert_snapshot!(tls("certificate: tls.crt, key: other.key"), @"c.yaml:2:37: 'listen.grpc_tls.key': it is not the key of the certificate");
    let clients = |members: &str| {
        tls(&format!(
            "certificate: tls.crt, key: tls.key, clients: {{ {members} }}"
        ))
    };
    assert_snapshot!(clients("ca: none.crt, names: [a.example.com]"), @"c.yaml:2:62: 'listen.grpc_tls.clients.ca': the file none.crt cannot be read: No such file or directory (os error 2)");
    assert_snapshot!(clients("ca: tls.key, names: [a.example.com]"), @"c.yaml:2:62: 'listen.grpc_tls.clients.ca': it holds no certificate authority in PEM form");
    assert_snapshot!(clients("ca: tls.crt, names: []"), @"c.yaml:2:75: 'listen.grpc_tls.clients.names': it is empty: nobody could connect. Write the URI or DNS name of Envoy's certificate");
}

#[test]
fn a_client_is_named_whole() {
    let directory = directory();
    for bad in [
        "",
        "*",
        "*.example.com",
        "spiffe://",
        "://x",
        "a b",
        "spiffe://a/*",
        "-a.example",
    ] {
        let members = format!(
            "  grpc_tls:\n    certificate: tls.crt\n    key: tls.key\n    clients: {{ ca: tls.crt, names: [good.example.com, '{bad}'] }}\n"
        );
        assert_eq!(
            listen(&directory, &members),
            "c.yaml:5:55: 'listen.grpc_tls.clients.names.1': it must be a DNS name or a URI such as \
             spiffe://cluster.local/ns/istio-ingress/sa/gateway, written out",
            "{bad}"
        );
    }
}

#[test]
fn a_socket_speaks_no_tls_and_ports_are_different() {
    let directory = directory();
    assert_snapshot!(listen(&directory, "  grpc: unix:/run/a.sock\n  grpc_tls: { certificate: tls.crt, key: tls.key }\n"), @"c.yaml:3:3: 'listen.grpc_tls' is for TCP: who may use the socket of 'listen.grpc' is decided by its directory");
    assert_snapshot!(listen(&directory, "  grpc: 0.0.0.0:9001\n  health: 0.0.0.0:9001\n"), @"c.yaml:3:3: 'listen.health' must be another address than 'listen.grpc'");
    assert_snapshot!(listen(&directory, "  health: health\n"), @"c.yaml:2:3: 'listen.health' must be IP:PORT such as 0.0.0.0:9003, not 'health'");
}

#[test]
fn an_edition_tells_whether_anything_has_changed() {
    let directory = directory();
    let read = || {
        let text = format!(
            "listen: {{ grpc_tls: {{ certificate: tls.crt, key: tls.key }} }}\n{PROVIDERS}{APPLICATIONS}"
        );
        let config = Config::parse("c.yaml", &text, directory.path());
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        (
            config.edition,
            config.providers.first().expect("one").edition,
        )
    };
    let (all, provider) = read();
    assert_eq!(read(), (all, provider));

    let certificate = directory.path().join("tls.crt");
    let text = fs::read_to_string(&certificate).expect("text");
    fs::write(&certificate, format!("{text}\n")).expect("written");
    let (changed, same) = read();
    assert_ne!(changed, all);
    assert_eq!(same, provider);
}
