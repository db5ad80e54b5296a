//! Images that containers of this node use: pinned in the store, so that no
//! collection takes them away from under a running container, whatever becomes
//! of their names.

use std::collections::{BTreeMap, BTreeSet};

use coracle_image::Digest;
use coracle_image::store::{ImageStore, StoreError};
use parking_lot::Mutex;

/// The pins of a cluster's containers.
#[derive(Debug)]
pub struct Pins {
    store: ImageStore,
    cluster: String,
    /// The image of each container, by the pod's uid and its name.
    held: Mutex<BTreeMap<(String, String), Digest>>,
}

impl Pins {
    /// Returns those of an engine that has just started: none.
    pub fn new(store: ImageStore, cluster: &str) -> Pins {
        Pins {
            store,
            cluster: cluster.to_owned(),
            held: Mutex::default(),
        }
    }

    /// Holds the image of a container that is about to start, instead of the
    /// one that it had.
    ///
    /// # Errors
    /// Fails when the image is no longer there.
    pub fn hold(&self, uid: &str, container: &str, digest: Digest) -> Result<(), StoreError> {
        let mut held = self.held.lock();
        if !held.values().any(|other| *other == digest) {
            self.store.pin(&self.cluster, digest)?;
        }
        let before = held.insert((uid.to_owned(), container.to_owned()), digest);
        if before.is_some_and(|before| before != digest) {
            self.let_go(&held);
        }
        Ok(())
    }

    /// Takes note of what runs already, and lets go of everything else.
    pub fn adopt(&self, running: impl Iterator<Item = (String, String, Digest)>) {
        let mut held = self.held.lock();
        for (uid, container, digest) in running {
            held.insert((uid, container), digest);
        }
        self.let_go(&held);
    }

    /// Lets go of the images of a pod that is gone.
    pub fn release(&self, uid: &str) {
        let mut held = self.held.lock();
        let before = held.len();
        held.retain(|(pod, _), _| pod != uid);
        if held.len() != before {
            self.let_go(&held);
        }
    }

    fn let_go(&self, held: &BTreeMap<(String, String), Digest>) {
        let keep: BTreeSet<Digest> = held.values().copied().collect();
        if let Err(error) = self.store.keep_pins(&self.cluster, &keep) {
            // It costs room, nothing else; the next time may do better.
            tracing::warn!(%error, "images that nothing uses any more stay pinned");
        }
    }
}
