//! Which clients may connect: a certificate that one of the authorities has signed, with a name that is on the list.
//!
//! A signature alone says too little: the authority of a mesh signs every workload of it, and whoever may ask this
//! service can try tokens and learn users' names.

use std::{collections::BTreeSet, fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, DnsName, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use super::{TlsError, certificates, crypto};

/// Who may connect.
pub struct AllowedClients {
    signed: Arc<dyn ClientCertVerifier>,
    uris: BTreeSet<String>,
    /// In lower case.
    dns_names: BTreeSet<String>,
}

impl fmt::Debug for AllowedClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllowedClients")
            .field("uris", &self.uris)
            .field("dns_names", &self.dns_names)
            .finish_non_exhaustive()
    }
}

impl AllowedClients {
    /// `authorities` is a PEM file; the names are URIs and DNS names.
    pub fn new(authorities: &[u8], names: &[String]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(authorities).ok_or(TlsError::Authority)? {
            roots
                .add(authority)
                .map_err(|_unusable| TlsError::Authority)?;
        }
        let signed = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto())
            .build()
            .map_err(|_no_authority| TlsError::Authority)?;
        let mut allowed = Self {
            signed,
            uris: BTreeSet::new(),
            dns_names: BTreeSet::new(),
        };
        if names.is_empty() {
            return Err(TlsError::Names);
        }
        for (at, name) in names.iter().enumerate() {
            allowed.add(name).ok_or(TlsError::Name(at))?;
        }
        Ok(allowed)
    }

    fn add(&mut self, name: &str) -> Option<()> {
        if name.contains(['*', ' ']) {
            return None;
        }
        if let Some((scheme, rest)) = name.split_once("://") {
            let fits = !scheme.is_empty() && !rest.is_empty() && name.is_ascii();
            if fits {
                self.uris.insert(name.to_owned());
            }
            return fits.then_some(());
        }
        DnsName::try_from(name).ok()?;
        self.dns_names.insert(name.to_ascii_lowercase());
        Some(())
    }

    fn is_named(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
            return false;
        };
        let Ok(Some(names)) = certificate.subject_alternative_name() else {
            return false;
        };
        let (mut uris, mut dns_names) = (Vec::new(), Vec::new());
        for name in &names.value.general_names {
            if let GeneralName::URI(uri) = name {
                uris.push(*uri);
            } else if let GeneralName::DNSName(name) = name {
                dns_names.push(name.to_ascii_lowercase());
            }
        }
        // X.509-SVID, section 2: a workload has one SPIFFE id, and a certificate with several is none.
        let is_svid = uris.len() == 1 || !uris.iter().any(|uri| uri.starts_with("spiffe://"));
        let mut uris = uris.iter().filter(|_| is_svid);
        uris.any(|uri| self.uris.contains(*uri))
            || dns_names.iter().any(|name| self.dns_names.contains(name))
    }
}

impl ClientCertVerifier for AllowedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .signed
            .verify_client_cert(end_entity, intermediates, now)?;
        if self.is_named(end_entity) {
            Ok(verified)
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}
