//! Trust: the system's certificate authorities, those the user adds, and those
//! that one registry has for itself. The main type is [`Trust`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::{RegistryError, RegistryOptions};

/// Files that hold all of a system's authorities, as distributions name them.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
];

/// Whom to believe.
pub(super) struct Trust {
    system: Option<String>,
    added: Vec<CertificateDer<'static>>,
    of_hosts: HashMap<String, Vec<CertificateDer<'static>>>,
    /// Reading the system's authorities takes longer than a handshake.
    made: Mutex<HashMap<String, TlsConnector>>,
}

impl Trust {
    pub(super) fn new(options: &RegistryOptions) -> Result<Self, RegistryError> {
        let mut of_hosts = HashMap::new();
        for (host, texts) in &options.host_authorities {
            of_hosts.insert(host.to_ascii_lowercase(), certificates(texts)?);
        }
        Ok(Self {
            system: options.system.clone(),
            added: certificates(&options.authorities)?,
            of_hosts,
            made: Mutex::default(),
        })
    }

    /// Returns what connects to a host.
    pub(super) fn connector(&self, host: &str, port: u16) -> Result<TlsConnector, RegistryError> {
        let names = [format!("{host}:{port}"), host.to_owned()];
        let own = names
            .iter()
            .find_map(|name| self.of_hosts.get_key_value(name));
        let (key, own) = match own {
            Some((name, own)) => (name.clone(), own.as_slice()),
            None => (String::new(), &[][..]),
        };
        let Ok(mut made) = self.made.lock() else {
            return self.make(own);
        };
        if let Some(connector) = made.get(&key) {
            return Ok(connector.clone());
        }
        let connector = self.make(own)?;
        made.insert(key, connector.clone());
        Ok(connector)
    }

    fn make(&self, own: &[CertificateDer<'static>]) -> Result<TlsConnector, RegistryError> {
        let mut roots = RootCertStore::empty();
        let system = match &self.system {
            Some(text) => CertificateDer::pem_slice_iter(text.as_bytes())
                .filter_map(Result::ok)
                .collect(),
            None => rustls_native_certs::load_native_certs().certs,
        };
        // A certificate of the system that this library cannot read is no
        // reason to trust none.
        roots.add_parsable_certificates(system);
        for certificate in self.added.iter().chain(own) {
            let added = roots.add(certificate.clone());
            added.map_err(|error| unusable(error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// Returns the text of the system's authorities, for a client that will not
/// see the system's files: `SSL_CERT_FILE` and `SSL_CERT_DIR`, where set, else
/// the distribution's bundle.
pub fn system_authorities(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut files = Vec::new();
    files.extend(variable("SSL_CERT_FILE").map(Into::into));
    for folder in variable("SSL_CERT_DIR")
        .iter()
        .flat_map(|all| all.split(':'))
    {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.extend(entries.map(|entry| entry.path()));
    }
    let read = |path: &std::path::PathBuf| std::fs::read_to_string(path).ok();
    if files.is_empty() {
        return BUNDLES.iter().find_map(|path| read(&path.into()));
    }
    let texts: Vec<String> = files.iter().filter_map(read).collect();
    Some(texts.join("\n"))
}

fn unusable(reason: String) -> RegistryError {
    RegistryError::Setting {
        what: "a registry CA".to_owned(),
        reason,
    }
}

fn certificates(texts: &[String]) -> Result<Vec<CertificateDer<'static>>, RegistryError> {
    let mut found = Vec::new();
    for text in texts {
        let before = found.len();
        for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
            found.push(certificate.map_err(|error| unusable(error.to_string()))?);
        }
        if found.len() == before {
            return Err(unusable("it holds no certificate in PEM form".to_owned()));
        }
    }
    Ok(found)
}
