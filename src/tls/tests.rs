use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, string::Ia5String,
};
use rustls::{
    Error,
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
};

use super::*;

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![]).expect("no names");
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).expect("ASCII"))
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(Ia5String::try_from(text).expect("ASCII"))
}

fn client(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    names: Vec<SanType>,
) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec![]).expect("no names");
    params.subject_alt_names = names;
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "envoy.example.com");
    let key = KeyPair::generate().expect("a key");
    params
        .signed_by(&key, issuer)
        .expect("signed")
        .der()
        .clone()
}

fn admits(allowed: &AllowedClients, certificate: &CertificateDer<'_>) -> Result<(), Error> {
    allowed
        .verify_client_cert(certificate, &[], UnixTime::now())
        .map(drop)
}

#[test]
fn a_client_needs_a_signature_and_a_name() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let names = [
        "spiffe://mesh/gateway".to_owned(),
        "envoy.example.com".to_owned(),
    ];
    let allowed = AllowedClients::new(ours.pem().as_bytes(), &names).expect("usable");

    for good in [
        vec![uri("spiffe://mesh/gateway")],
        vec![dns("envoy.example.com")],
        vec![dns("ENVOY.example.com")],
        vec![dns("other.example.com"), dns("envoy.example.com")],
        vec![uri("spiffe://mesh/other"), dns("envoy.example.com")],
    ] {
        assert_eq!(
            admits(&allowed, &client(&ours, good.clone())),
            Ok(()),
            "{good:?}"
        );
        // The name alone is a claim of anybody.
        assert!(admits(&allowed, &client(&theirs, good)).is_err());
    }
    let wrong_name = Err(Error::InvalidCertificate(
        rustls::CertificateError::NotValidForName,
    ));
    for bad in [
        // The common name is on the list, and no name.
        vec![],
        vec![uri("spiffe://mesh/gateway/")],
        vec![uri("spiffe://mesh/GATEWAY")],
        vec![uri("spiffe://mesh/other")],
        vec![dns("spiffe.mesh.gateway")],
        vec![dns("a.envoy.example.com")],
        vec![dns("*.example.com")],
        vec![uri("envoy.example.com")],
        // Not an X.509-SVID.
        vec![uri("spiffe://mesh/gateway"), uri("spiffe://mesh/other")],
    ] {
        assert_eq!(
            admits(&allowed, &client(&ours, bad.clone())),
            wrong_name,
            "{bad:?}"
        );
    }
}

#[test]
fn a_session_is_never_resumed() {
    let issuer = authority("ours");
    let key = issuer.key().serialize_pem();
    let tls = ServerTls::new(issuer.pem().as_bytes(), key.as_bytes(), None).expect("usable");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let config = tls.speaking(protocol);
        assert_eq!(config.send_tls13_tickets, 0);
        assert!(!config.session_storage.can_cache());
        assert!(!config.ticketer.enabled());
        assert_eq!(config.alpn_protocols, [protocol.alpn()]);
    }
}

#[test]
fn nothing_secret_is_printed() {
    let issuer = authority("ours");
    let key = issuer.key().serialize_pem();
    let tls = ServerTls::new(issuer.pem().as_bytes(), key.as_bytes(), None).expect("usable");
    assert_eq!(format!("{tls:?}"), "ServerTls { .. }");
}
