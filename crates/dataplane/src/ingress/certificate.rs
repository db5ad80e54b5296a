//! Which certificate a client is shown.
//!
//! [`Certificates`] chooses by the name a client asks for (RFC 6066, 3) among
//! those of the latest configuration.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;

use super::route::plain_host;
use crate::config::Certificate;

/// A certificate that cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is not PEM, or there is none in it.
    #[error("the certificate cannot be read: {0}")]
    Chain(String),
    /// The key is not PEM, or of an unknown kind.
    #[error("the private key cannot be read: {0}")]
    Key(String),
    /// They are not a pair.
    #[error("certificate and private key do not belong together: {0}")]
    Pair(String),
}

/// Tells whether a certificate and its key can be used, both as PEM.
///
/// # Errors
/// Says which of them is wrong.
pub fn check(chain: &str, key: &str) -> Result<(), CertificateError> {
    read(chain, key).map(drop)
}

fn read(chain: &str, key: &str) -> Result<CertifiedKey, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificateError::Chain(error.to_string()))?;
    if chain.is_empty() {
        return Err(CertificateError::Chain("there is none in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|error| CertificateError::Key(error.to_string()))?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key)
        .map_err(|error| CertificateError::Key(error.to_string()))?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        // A kind of key whose public half cannot be told is believed.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(pair)
        }
        Err(error) => Err(CertificateError::Pair(error.to_string())),
    }
}

/// The certificates of the latest configuration.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    current: RwLock<ByHost>,
}

#[derive(Debug, Default)]
struct ByHost {
    source: Vec<Certificate>,
    hosts: HashMap<String, Arc<CertifiedKey>>,
    any: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Replaces all; one that cannot be read is left out.
    pub(super) fn set(&self, certificates: &[Certificate]) {
        if self.current.read().source == certificates {
            return;
        }
        let mut by_host = ByHost {
            source: certificates.to_vec(),
            ..ByHost::default()
        };
        for certificate in certificates {
            let pair = match read(&certificate.chain, &certificate.key) {
                Ok(pair) => Arc::new(pair),
                Err(error) => {
                    tracing::warn!(hosts = ?certificate.hosts, %error, "certificate not used");
                    continue;
                }
            };
            if certificate.hosts.is_empty() {
                by_host.any.get_or_insert_with(|| pair.clone());
            }
            for host in &certificate.hosts {
                by_host
                    .hosts
                    .entry(host.clone())
                    .or_insert_with(|| pair.clone());
            }
        }
        *self.current.write() = by_host;
    }

    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read();
        let by_name = name.map(plain_host).and_then(|host| {
            let wildcard = || {
                let (_, parent) = host.split_once('.')?;
                current.hosts.get(&format!("*.{parent}"))
            };
            current.hosts.get(&host).or_else(wildcard)
        });
        by_name.or(current.any.as_ref()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

/// Returns the server's side of TLS with these certificates.
pub(super) fn server(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
