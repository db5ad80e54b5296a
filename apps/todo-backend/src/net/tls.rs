//! TLS as a client: with the public roots, with roots from a file, or, where
//! a database URL says only `sslmode=require`, encrypted but unverified.

use std::sync::{Arc, LazyLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// How much of a server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Chain and name.
    Full,
    /// The chain only.
    Chain,
    /// Nothing: only those who listen are kept out (libpq's `require`).
    Nothing,
}

static PUBLIC: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let builder = builder().with_root_certificates(public_roots());
    Arc::new(builder.with_no_client_auth())
});

/// Returns the configuration for the public web.
pub fn public() -> Arc<ClientConfig> {
    Arc::clone(&PUBLIC)
}

/// Returns a configuration for a server that is known otherwise.
///
/// # Errors
/// A sentence, when the file of roots cannot be used.
pub fn configured(check: Check, roots_file: Option<&str>) -> Result<Arc<ClientConfig>, String> {
    let roots = match roots_file {
        None | Some("system") => public_roots(),
        Some(path) => roots_from(path)?,
    };
    let inner = if check == Check::Nothing {
        None
    } else {
        let built =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        Some(built.map_err(|error| error.to_string())?)
    };
    let verifier = Arc::new(Lenient { check, inner });
    let builder = builder()
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(Arc::new(builder.with_no_client_auth()))
}

fn roots_from(path: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| format!("{path}: {error}"))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| format!("{path}: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(roots)
}

fn public_roots() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the ring provider supports the default versions")
}

/// Checks less than the whole, and always the signature of the handshake.
#[derive(Debug)]
struct Lenient {
    check: Check,
    inner: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        match inner.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == Check::Chain => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
