//! Who a provider is, says its certificate.

use std::{fmt::Write, fs, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::Runtime,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::{assert_alice, assert_undecided, config_of, expect_error, fresh};
use crate::support::{idp::jwks, keys::shared_rs256, service::Service};

const REFUSED: &str = "cannot connect (name resolution, network, or TLS certificate)";

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signs")
}

/// A certificate for these names, from one year to another.
fn params(names: &[&str], years: (i32, i32)) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("parameters");
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params
}

/// Serves one key set over TLS, whatever is asked for; returns the port.
fn serve(runtime: &Runtime, certificate: CertificateDer<'static>, key: &KeyPair) -> u16 {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let body = jwks(&[shared_rs256().jwk("k1")]);
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut tls) = acceptor.accept(stream).await {
                let _ = tls.read(&mut [0; 4096]).await;
                let _ = tls.write_all(answer.as_bytes()).await;
                let _ = tls.shutdown().await;
            }
        }
    });
    port
}

#[test]
fn only_a_certificate_of_a_trusted_authority_for_this_host_and_time_is_accepted() {
    const CURRENT: (i32, i32) = (2020, 2099);
    let (ours, other) = (authority("ours"), authority("other"));
    let directory = TempDir::new().expect("a directory");
    let ca_file = directory.path().join("ca.pem");
    fs::write(&ca_file, ours.pem()).expect("written");
    let runtime = Runtime::new().expect("a runtime");
    let cases = [
        ("good", &["localhost"][..], CURRENT, Some(&ours), true),
        ("untrusted", &["localhost"], CURRENT, Some(&other), false),
        ("self-signed", &["localhost"], CURRENT, None, false),
        ("wrong-host", &["idp.example"], CURRENT, Some(&ours), false),
        ("nameless", &[], CURRENT, Some(&ours), false),
        ("expired", &["localhost"], (2020, 2021), Some(&ours), false),
        ("future", &["localhost"], (2098, 2099), Some(&ours), false),
    ];
    let mut providers = Vec::new();
    for (name, hosts, years, issuer, _) in &cases {
        let key = KeyPair::generate().expect("a key");
        let params = params(hosts, *years);
        let certificate = match issuer {
            Some(issuer) => params.signed_by(&key, issuer),
            None => params.self_signed(&key),
        };
        let certificate = certificate.expect("signs").der().clone();
        let port = serve(&runtime, certificate, &key);
        let address = format!("https://localhost:{port}");
        let jwt = format!("issuer: \"{address}\", jwks_uri: \"{address}/jwks\"");
        providers.push(((*name).to_owned(), jwt, address));
    }
    // The good certificate once more, for a provider without the authority.
    let (_, _, good) = providers[0].clone();
    let jwt = format!("issuer: \"https://no-ca.example\", jwks_uri: \"{good}/jwks\"");
    providers.push(("no-ca".to_owned(), jwt, "https://no-ca.example".to_owned()));

    let members: Vec<_> = providers
        .iter()
        .map(|(name, jwt, _)| (name.clone(), jwt.clone()))
        .collect();
    let mut config = config_of(&members);
    let with_ca = format!("    ca_file: {}\n    audiences:", ca_file.display());
    config = config.replace("    audiences:", &with_ca);
    let (before, last) = config.rsplit_once(&with_ca).expect("no-ca");
    let mut service = Service::with_config(&format!("{before}    audiences:{last}"));

    for (name, _, issuer) in &providers {
        let outcome = service.check_token(&fresh(issuer).signed());
        if cases.iter().any(|(case, .., good)| case == name && *good) {
            assert_alice(&outcome, name);
        } else {
            expect_error(&service, name, REFUSED);
            assert_undecided(&outcome, name);
        }
    }
    let addresses = providers.iter().zip(&cases);
    let addresses = addresses.map(|((name, _, address), case)| (name.as_str(), &**address, case.4));
    no_token_is_shown_to_another_certificate(&addresses.collect::<Vec<_>>(), &ca_file);
}

/// The same for providers that are asked: the connection ends before the token is sent.
fn no_token_is_shown_to_another_certificate(addresses: &[(&str, &str, bool)], ca_file: &Path) {
    let secret = ca_file.with_file_name("secret");
    fs::write(&secret, "a-secret").expect("written");
    let mut config = "providers:\n".to_owned();
    for (name, address, _) in addresses {
        let _ = writeln!(
            config,
            "  - {{ name: {name}, introspection: {{ endpoint: \"{address}/i\", client_id: g, \
             client_secret: {{ file: {} }}, tokens: {{ prefixes: [{name}_] }} }}, audiences: [a], \
             username: {{ claim: sub }}, ca_file: {} }}",
            secret.display(),
            ca_file.display(),
        );
    }
    config += "applications:\n  - { name: jira, product: jira, hosts: [jira.example.com] }\n";
    let mut service = Service::with_config(&config);
    for (name, _, is_good) in addresses {
        assert_undecided(&service.check_token(&format!("{name}_token")), name);
        // The good one answers with something that is not about a token.
        let outcome = if *is_good { "answer" } else { "connect" };
        let metric = format!(
            "atlassian_authz_provider_checks_total{{provider=\"{name}\",outcome=\"{outcome}\"}}"
        );
        assert!(service.metric(&metric) > 0.0, "{name} is not {outcome}");
    }
}
