//! A cluster and a namespace in it, and what the cluster serves.
//!
//! Main type: [`Session`]. It asks for discovery once and again after new kinds
//! were defined.

use std::sync::{Arc, Mutex};

use kube::Client;

use crate::ReleaseError;
use crate::objects::Served;

/// A cluster as releases see it.
pub struct Session {
    client: Client,
    namespace: String,
    holder: String,
    is_dead: fn(&str) -> bool,
    served: Mutex<Option<Arc<Served>>>,
}

impl Session {
    /// Returns a session for the releases of a namespace.
    pub fn new(client: Client, namespace: impl Into<String>) -> Session {
        Session {
            client,
            namespace: namespace.into(),
            holder: format!("process {}", std::process::id()),
            is_dead: |_| false,
            served: Mutex::new(None),
        }
    }

    /// Names who works here, for others who want to work on the same release;
    /// `is_dead` says of such a name whether its owner is known to be gone.
    pub fn held_by(mut self, holder: impl Into<String>, is_dead: fn(&str) -> bool) -> Session {
        self.holder = holder.into();
        self.is_dead = is_dead;
        self
    }

    /// Returns who works here.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    pub(crate) fn is_dead(&self, holder: &str) -> bool {
        (self.is_dead)(holder)
    }

    /// Returns the client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns what the cluster serves; asks when nobody did before.
    ///
    /// # Errors
    /// Fails if the cluster does not answer.
    pub async fn served(&self) -> Result<Arc<Served>, ReleaseError> {
        if let Some(served) = self.known() {
            return Ok(served);
        }
        let served = Arc::new(Served::ask(self.client.clone()).await?);
        *self.served.lock().expect("no holder of the lock panics") = Some(served.clone());
        Ok(served)
    }

    fn known(&self) -> Option<Arc<Served>> {
        let served = self.served.lock().expect("no holder of the lock panics");
        served.clone()
    }

    /// Forgets what the cluster serves: new kinds were defined.
    pub fn forget_served(&self) {
        *self.served.lock().expect("no holder of the lock panics") = None;
    }
}
