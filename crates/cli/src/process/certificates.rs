//! The API server's certificate: for whom it is, and its renewal while the
//! engine runs, so that a cluster that is never stopped does not lock its
//! users out.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use coracle_cluster::IdMap;
use coracle_cluster::pki::Pki;
use coracle_netdev::AddressPlan;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::paths;

/// How often the certificates are looked at; they are renewed weeks ahead.
const LOOK: Duration = Duration::from_secs(12 * 3600);

/// Returns the names and addresses by which the API may be called.
pub fn subjects(cluster: &str, plan: &AddressPlan) -> (Vec<String>, Vec<IpAddr>) {
    let names = [
        "localhost",
        cluster,
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let addresses = vec![
        Ipv4Addr::LOCALHOST.into(),
        plan.kubernetes_service().into(),
        plan.node().into(),
    ];
    (names.map(String::from).to_vec(), addresses)
}

/// The certificate that is shown now.
#[derive(Debug)]
pub struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(shown.clone())
    }
}

/// Returns the certificate to show; a task renews it when it is due.
pub fn keep(cluster: &str, pki: &Pki) -> anyhow::Result<Arc<Shown>> {
    let shown = Arc::new(Shown(RwLock::new(load(pki)?)));
    let (names, addresses) = subjects(cluster, &AddressPlan::default());
    let kept = shown.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            match renew(&names, &addresses) {
                Ok(fresh) => *kept.0.write().unwrap_or_else(PoisonError::into_inner) = fresh,
                Err(error) => tracing::warn!(%error, "the certificates were not renewed"),
            }
        }
    });
    Ok(shown)
}

/// Renews what is due and returns what is to be shown.
fn renew(names: &[String], addresses: &[IpAddr]) -> anyhow::Result<Arc<CertifiedKey>> {
    // Inside, the files belong to the engine's own user already.
    let own = IdMap::Single { uid: 0, gid: 0 };
    let pki = Pki::prepare(&paths::cluster().join("pki"), &own, names, addresses)?;
    load(&pki)
}

fn load(pki: &Pki) -> anyhow::Result<Arc<CertifiedKey>> {
    let pair = pki.pair("apiserver")?;
    let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key)
        .context("the key of the API's certificate")?;
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}
