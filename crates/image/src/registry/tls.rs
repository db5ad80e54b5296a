//! Trust: the system's certificate authorities and those the user adds.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::RegistryError;

/// Returns a connector that trusts the system's authorities and `extra_pem`.
pub(super) fn connector(extra_pem: &[Vec<u8>]) -> Result<TlsConnector, RegistryError> {
    let setting = |reason: String| RegistryError::Setting {
        what: "a registry CA".to_owned(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    // A certificate of the system that this library cannot read is no reason
    // to trust none.
    for certificate in rustls_native_certs::load_native_certs().certs {
        let _ = roots.add(certificate);
    }
    for pem in extra_pem {
        let mut found = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| setting(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| setting(error.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(setting("it holds no certificate in PEM form".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| setting(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
