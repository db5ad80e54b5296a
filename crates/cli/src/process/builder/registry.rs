//! Jobs that speak to registries, from the host's network namespace.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use coracle_image::digest::Digest;
use coracle_image::oci::Platform;
use coracle_image::reference::Reference;
use coracle_image::registry::{
    Direct, PullEvent, Pulled, PushEvent, RegistryClient, RegistryOptions,
};
use coracle_image::store::ImageStore;

use super::job::JobEvent;
use super::prepare::platform;
use super::{say, say_changes};

pub(super) fn pull(
    store: &ImageStore,
    cluster: &str,
    name: &str,
    wanted: Option<&str>,
    options: RegistryOptions,
) -> anyhow::Result<()> {
    let reference = Reference::parse(name)?;
    let wanted = platform(wanted)?;
    let fetching = fetch(store, cluster, &reference, &wanted, options);
    let pulled = threads()?.block_on(fetching)?;
    say_changes(std::slice::from_ref(&pulled.name));
    say(&JobEvent::Exchanged {
        name: reference.familiar(),
        digest: pulled.digest.to_string(),
        bytes: pulled.received_bytes,
    });
    Ok(())
}

pub(super) fn push(
    store: &ImageStore,
    cluster: &str,
    name: &str,
    to: Option<&str>,
    options: RegistryOptions,
) -> anyhow::Result<()> {
    let image = store.find(cluster, name)?;
    let reference = Reference::parse(to.unwrap_or(name))?;
    let progress = PushProgress::new(&reference);
    let pushed = threads()?.block_on(async {
        let client = RegistryClient::new(Arc::new(Direct::new()), options)?;
        let tell = Arc::new(move |event| progress.tell(&event));
        client.push(store, &image, &reference, tell).await
    })?;
    say(&JobEvent::Exchanged {
        name: reference.familiar(),
        digest: pushed.digest.to_string(),
        bytes: pushed.sent_bytes,
    });
    Ok(())
}

/// Fetches an image and tells how far it has come.
pub(super) async fn fetch(
    store: &ImageStore,
    cluster: &str,
    reference: &Reference,
    wanted: &Platform,
    options: RegistryOptions,
) -> anyhow::Result<Pulled> {
    let client = RegistryClient::new(Arc::new(Direct::new()), options)?;
    let progress = PullProgress::new(reference);
    let tell = Arc::new(move |event| progress.tell(event));
    let pulled = client.pull(store, cluster, reference, wanted, tell).await;
    pulled.with_context(|| format!("could not pull {}", reference.familiar()))
}

fn threads() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

/// How far each layer of a pull has come.
struct PullProgress {
    name: String,
    layers: Mutex<Layers>,
}

#[derive(Default)]
struct Layers {
    sizes: BTreeMap<Digest, u64>,
    done: BTreeMap<Digest, u64>,
    told: u64,
}

impl PullProgress {
    fn new(reference: &Reference) -> Self {
        PullProgress {
            name: reference.familiar(),
            layers: Mutex::default(),
        }
    }

    fn tell(&self, event: PullEvent) {
        let Ok(mut layers) = self.layers.lock() else {
            return;
        };
        match event {
            PullEvent::Layers { layers: all } => layers.sizes = all.into_iter().collect(),
            PullEvent::Present { digest } => {
                let size = layers.sizes.get(&digest).copied().unwrap_or(0);
                layers.done.insert(digest, size);
            }
            PullEvent::Received { digest, bytes } => {
                layers.done.insert(digest, bytes);
            }
            PullEvent::Retry { reason, .. } => say(&JobEvent::Warning {
                text: format!("{}: {reason}; going on where it broke", self.name),
            }),
            PullEvent::Unpacked { .. } => {}
        }
        let total: u64 = layers.sizes.values().sum();
        let bytes: u64 = layers.done.values().sum();
        // A hundred lines tell enough.
        if bytes < total && bytes < layers.told + total / 100 {
            return;
        }
        if bytes != layers.told {
            layers.told = bytes;
            let name = self.name.clone();
            say(&JobEvent::Moved { name, bytes, total });
        }
    }
}

/// What a push has sent.
struct PushProgress {
    name: String,
    sent: Mutex<u64>,
}

impl PushProgress {
    fn new(reference: &Reference) -> Self {
        PushProgress {
            name: reference.familiar(),
            sent: Mutex::default(),
        }
    }

    fn tell(&self, event: &PushEvent) {
        let Ok(mut sent) = self.sent.lock() else {
            return;
        };
        if let PushEvent::Sending { bytes, .. } = event {
            let name = self.name.clone();
            let before = *sent;
            *sent += bytes;
            say(&JobEvent::Moved {
                name,
                bytes: before,
                total: *sent,
            });
        }
    }
}
