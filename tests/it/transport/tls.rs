//! TLS of our own ports: who is let in, and certificates that change while everybody asks.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType,
    string::Ia5String,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

use super::{health, runtime};
use crate::support::{
    client,
    envoy::{Envoy, Options},
    eventually,
    idp::Idp,
    service::{Service, config_for, whole},
    tokens::Token,
    upstream::Upstream,
};

const GATEWAY: &str = "spiffe://mesh/ns/gateway/sa/envoy";
const SERVICE: &str = "spiffe://mesh/ns/authz/sa/authz";
const FAILED_HANDSHAKES: &str = "atlassian_authz_tls_failed_handshakes_total{port=\"grpc\"}";

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM form.
#[derive(Clone)]
struct Certified {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Otherwise it is called as those whom it signs are, who then seem to have signed themselves.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a workload, on loopback.
    fn issue(&self, uri: &str) -> Certified {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let uri = Ia5String::try_from(uri).expect("ASCII");
        params.subject_alt_names.push(SanType::URI(uri));
        let key = KeyPair::generate().expect("a key");
        Certified {
            certificate: params.signed_by(&key, &self.0).expect("signed").pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Certified {
    fn write(&self, directory: &Path, name: &str) {
        fs::write(directory.join(format!("{name}.crt")), &self.certificate).expect("written");
        fs::write(directory.join(format!("{name}.key")), &self.key).expect("written");
    }
}

/// A service whose ports speak TLS, in front of which only the gateway may stand.
struct Lab {
    idp: Idp,
    service: Service,
    authority: Authority,
    /// What clients use.
    files: TempDir,
}

impl Lab {
    fn start() -> Self {
        let idp = Idp::start();
        let authority = Authority::new();
        let directory = TempDir::new().expect("a directory");
        authority.issue(SERVICE).write(directory.path(), "tls");
        fs::write(directory.path().join("ca.crt"), authority.pem()).expect("written");
        let tls = format!(
            "{{ certificate: tls.crt, key: tls.key, clients: {{ ca: ca.crt, names: [other.example.com, '{GATEWAY}'] }} }}"
        );
        let config = whole(&format!(
            "{}listen: {{ grpc: 127.0.0.1:0, admin: 127.0.0.1:0, health: 127.0.0.1:0, grpc_tls: {tls} }}\n\
             shutdown: {{ drain_delay: 0s, drain_timeout: 5s, max_connection_age: 1s }}\n",
            config_for(&idp)
        ));
        let file = directory.path().join("config.yaml");
        fs::write(&file, config).expect("written");
        let mut service = Service::at(file, directory);
        service.wait_until_ready();
        let files = TempDir::new().expect("a directory");
        authority.issue(GATEWAY).write(files.path(), "gateway");
        fs::write(files.path().join("ca.crt"), authority.pem()).expect("written");
        Self {
            idp,
            service,
            authority,
            files,
        }
    }

    /// Envoy with the certificate of this name.
    fn envoy(&self, upstream: &Upstream, name: &str) -> Envoy {
        let file = |name: &str| json!({"filename": self.files.path().join(name)});
        let socket = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2"],
                    "tls_certificates": [{
                        "certificate_chain": file(&format!("{name}.crt")),
                        "private_key": file(&format!("{name}.key")),
                    }],
                    "validation_context": {
                        "trusted_ca": file("ca.crt"),
                        "match_typed_subject_alt_names": [
                            {"san_type": "URI", "matcher": {"exact": SERVICE}}],
                    },
                },
            },
        });
        let filter = json!({"status_on_error": {"code": "ServiceUnavailable"}});
        let options = Options::new(&self.service.grpc, upstream.port).filter(filter);
        options
            .replicas(&[], json!({"transport_socket": socket}))
            .start()
    }

    fn token(&self) -> String {
        Token::of(&self.idp.issuer).signed()
    }

    fn connect(&self, client: Option<&Certified>) -> io::Result<Vec<u8>> {
        let roots = self.authority.pem();
        connect(
            &self.service.grpc,
            &roots,
            client,
            b"h2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        )
    }
}

/// Connects, sends something and waits for the first answer. Fails when the server refuses us, or we it. The
/// certificate of the server comes first in what is returned.
fn connect(
    address: &str,
    roots: &str,
    client: Option<&Certified>,
    alpn: &[u8],
    request: &[u8],
) -> io::Result<Vec<u8>> {
    let mut trusted = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(roots.as_bytes()).expect("PEM");
    trusted.add(root).expect("an authority");
    let builder = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .expect("versions")
    .with_root_certificates(trusted);
    let mut config = match client {
        Some(client) => {
            let chain = CertificateDer::from_pem_slice(client.certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(client.key.as_bytes()).expect("a key");
            builder
                .with_client_auth_cert(vec![chain.expect("PEM")], key)
                .expect("usable")
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    runtime().block_on(async {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let mut stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await?;
        let server = stream.get_ref().1.peer_certificates().expect("one")[0].to_vec();
        stream.write_all(request).await?;
        let mut first = [0; 1024];
        let count = stream.read(&mut first).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok([server, first[..count].to_vec()].concat())
    })
}

#[test]
fn only_the_gateway_may_ask() {
    let lab = Lab::start();
    let gateway = lab.authority.issue(GATEWAY);
    lab.connect(Some(&gateway)).expect("the gateway is served");
    let failed = lab.service.metric(FAILED_HANDSHAKES);

    let strangers = Authority::new();
    for (what, client) in [
        ("no certificate", None),
        ("another authority", Some(strangers.issue(GATEWAY))),
        (
            "another workload",
            Some(lab.authority.issue("spiffe://mesh/ns/gateway/sa/other")),
        ),
        ("ourselves", Some(lab.authority.issue(SERVICE))),
    ] {
        lab.connect(client.as_ref()).expect_err(what);
    }
    eventually("four failures in the metrics", || {
        (lab.service.metric(FAILED_HANDSHAKES) >= failed + 4.0).then_some(())
    });
    // Without TLS there is no answer at all.
    let plain = client::send(&lab.service.grpc, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(plain.status, 0);
}

#[test]
fn envoy_asks_over_mutual_tls_and_fails_closed_without_its_certificate() {
    let lab = Lab::start();
    lab.authority
        .issue("spiffe://mesh/ns/other/sa/other")
        .write(lab.files.path(), "other");
    let upstream = Upstream::start();
    let bearer = format!("Authorization: Bearer {}", lab.token());
    let lines = [bearer.as_str(), "X-Remote-User: mallory"];

    let envoy = lab.envoy(&upstream, "gateway");
    assert_eq!(client::get(&envoy.address, "/rest", &lines).status, 200);
    assert_eq!(upstream.last().identities(), [("x-remote-user", "alice")]);
    drop(envoy);

    let envoy = lab.envoy(&upstream, "other");
    assert_eq!(client::get(&envoy.address, "/rest", &lines).status, 503);
    assert_eq!(upstream.seen().len(), 1);
}

/// Every part changes in turn: our certificate, our key, and in the end the authority of clients.
#[test]
fn certificates_change_under_load_and_no_request_fails() {
    let lab = Lab::start();
    let upstream = Upstream::start();
    let envoy = lab.envoy(&upstream, "gateway");
    let gateway = lab.authority.issue(GATEWAY);
    let (done, bearer) = (
        Arc::new(AtomicBool::new(false)),
        format!("Authorization: Bearer {}", lab.token()),
    );
    let askers: Vec<_> = (0..2)
        .map(|_| {
            let (done, bearer) = (Arc::clone(&done), bearer.clone());
            let address = envoy.address.clone();
            thread::spawn(move || {
                let mut statuses = Vec::new();
                while !done.load(Ordering::Acquire) {
                    statuses.push(client::get(&address, "/rest", &[&bearer]).status);
                }
                statuses
            })
        })
        .collect();
    let mut seen = Vec::new();
    for turn in 2..6 {
        let new = lab.authority.issue(SERVICE);
        new.write(lab.service.directory(), "tls");
        lab.service.process.signal("HUP");
        lab.service.wait_for_generation(f64::from(turn));
        let der = CertificateDer::from_pem_slice(new.certificate.as_bytes()).expect("PEM");
        let answer = lab.connect(Some(&gateway)).expect("served");
        assert!(answer.starts_with(&der), "the new certificate is shown");
        seen.push(der);
        // Connections are renewed at the age of about a second, under the load.
        let connections = envoy.stat("cluster.authz.upstream_cx_total");
        eventually("new connections", || {
            (envoy.stat("cluster.authz.upstream_cx_total") > connections).then_some(())
        });
    }
    done.store(true, Ordering::Release);
    let statuses: Vec<_> = askers
        .into_iter()
        .flat_map(|asker| asker.join().expect("statuses"))
        .collect();
    let failed = statuses.iter().filter(|status| **status != 200).count();
    eprintln!(
        "{} certificates under {} requests, {failed} failed",
        seen.len(),
        statuses.len()
    );
    assert_eq!(failed, 0);

    // Whom the authority before has signed is nobody any more, from the next connection on.
    let successor = Authority::new();
    fs::write(lab.service.directory().join("ca.crt"), successor.pem()).expect("written");
    lab.service.process.signal("HUP");
    lab.service.wait_for_generation(6.0);
    lab.connect(Some(&gateway)).expect_err("the old authority");
    lab.connect(Some(&successor.issue(GATEWAY)))
        .expect("the new one");
}

/// Two files are not written at once.
#[test]
fn a_certificate_without_its_key_yet_is_not_taken_up() {
    let lab = Lab::start();
    let gateway = lab.authority.issue(GATEWAY);
    let before = lab.connect(Some(&gateway)).expect("served");
    let new = lab.authority.issue(SERVICE);
    let file = |name: &str| lab.service.directory().join(name);
    fs::write(file("tls.crt"), &new.certificate).expect("written");
    eventually("the refusal", || {
        let failed = lab.service.metric("atlassian_authz_config_reload_failed");
        (failed > 0.0).then_some(())
    });
    let problems = lab.service.status()["config"]["reload"]["problems"].to_string();
    assert!(
        problems.contains("'listen.grpc_tls.key': it is not the key of the certificate"),
        "{problems}"
    );
    let certificate = |answer: &[u8]| answer[..200].to_vec();
    let still = lab.connect(Some(&gateway)).expect("served");
    assert_eq!(certificate(&still), certificate(&before));

    fs::write(file("tls.key"), &new.key).expect("written");
    lab.service.wait_for_generation(2.0);
    let after = lab.connect(Some(&gateway)).expect("served");
    assert_ne!(certificate(&after), certificate(&before));
}

#[test]
fn health_has_a_port_without_tls() {
    let mut lab = Lab::start();
    for service in ["readiness", "liveness"] {
        let asked = health::command(&[&lab.service.health, "--service", service]);
        assert_eq!(asked.0, Some(0), "{asked:?}");
    }
    assert_eq!(health::command(&[&lab.service.grpc]).0, Some(1));
    // Nothing else is served there.
    let runtime = runtime();
    let channel = runtime.block_on(super::connect(&lab.service.health));
    let answer = runtime.block_on(super::post(&channel, super::CHECK, &[], super::framed(b"")));
    assert_eq!(answer.grpc_status.as_deref(), Some("12"), "{answer:?}");

    lab.service.process.signal("TERM");
    assert_eq!(lab.service.process.wait().code(), Some(0));
}

#[test]
fn the_operators_port_speaks_tls_too() {
    let idp = Idp::start();
    let authority = Authority::new();
    let directory = TempDir::new().expect("a directory");
    authority.issue(SERVICE).write(directory.path(), "tls");
    fs::write(directory.path().join("ca.crt"), authority.pem()).expect("written");
    let tls = "{ certificate: tls.crt, key: tls.key, clients: { ca: ca.crt, names: ['spiffe://mesh/prometheus'] } }";
    let config = whole(&format!(
        "{}listen: {{ grpc: 127.0.0.1:0, admin: 127.0.0.1:0, admin_tls: {tls} }}\n\
         admin: {{ access: {{ users: [alice] }} }}\n",
        config_for(&idp)
    ));
    let file = directory.path().join("config.yaml");
    fs::write(&file, config).expect("written");
    let mut service = Service::at(file, directory);
    service.wait_until_ready();
    let get = |client: Option<&Certified>, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = connect(
            &service.admin,
            &authority.pem(),
            client,
            b"http/1.1",
            request.as_bytes(),
        );
        answer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let prometheus = authority.issue("spiffe://mesh/prometheus");
    assert!(
        get(Some(&prometheus), "/livez")
            .expect("served")
            .contains("HTTP/1.1 200 OK")
    );
    get(None, "/livez").expect_err("no certificate");
    get(Some(&authority.issue(GATEWAY)), "/livez").expect_err("another name");
    // Who is refused is noted with the address, as without TLS.
    assert!(
        get(Some(&prometheus), "/api/v1/tokens")
            .expect("served")
            .contains("HTTP/1.1 401")
    );
    let refused = eventually("the line", || {
        let output = service.process.output();
        let mut lines = output
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == "a caller of the admin API is refused")
    });
    assert_eq!(refused["source"], "127.0.0.1");
}

#[test]
fn the_end_of_a_certificate_is_a_metric() {
    let lab = Lab::start();
    // What rcgen writes when nobody says otherwise.
    let end = rcgen::date_time_ymd(4096, 1, 1).unix_timestamp();
    let line = "atlassian_authz_tls_certificate_expiry_timestamp_seconds{port=\"grpc\"}";
    let (_, page) = lab.service.admin_page("/metrics");
    assert!(page.contains(&format!("{line} {end}\n")), "{page}");
}
