//! What every controller is given: the shared caches and a client of its own.

use std::sync::Arc;

use coracle_client::Caches;
use kube::Client;

/// Returns the client of a user such as `system:serviceaccount:kube-system:job-controller`.
type Clients = dyn Fn(&str) -> Client + Send + Sync;

/// What every controller is given.
#[derive(Clone)]
pub struct Context {
    /// The caches that all residents share.
    pub caches: Caches,
    /// The authority's certificate (PEM) that every namespace gets a copy of.
    pub root_ca: Arc<str>,
    clients: Arc<Clients>,
}

impl Context {
    /// Returns a context; `clients` makes the client of a user.
    pub fn new(
        caches: Caches,
        root_ca: &str,
        clients: impl Fn(&str) -> Client + Send + Sync + 'static,
    ) -> Context {
        Context {
            caches,
            root_ca: root_ca.into(),
            clients: Arc::new(clients),
        }
    }

    /// Returns the client of the controllers' process, for what upstream has no
    /// account of its own.
    pub(crate) fn own_client(&self) -> Client {
        (self.clients)("system:kube-controller-manager")
    }

    /// Returns the client of the controller called `name`, upstream's service
    /// account in `kube-system` without its namespace (`deployment-controller`).
    pub(crate) fn client(&self, name: &str) -> Client {
        (self.clients)(&format!("system:serviceaccount:kube-system:{name}"))
    }
}
