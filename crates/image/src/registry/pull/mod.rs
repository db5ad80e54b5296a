//! Pulling: manifest, configuration, layers; a broken download goes on where
//! it broke.

mod layers;

use std::sync::Arc;

use http::header;

use super::client::{Call, RegistryClient, Scope};
use super::error::RegistryError;
use super::http as wire;
use crate::digest::Digest;
use crate::oci::{Descriptor, ImageConfig, Index, Manifest, Platform, media_type};
use crate::reference::Reference;
use crate::store::{DOCUMENT_BYTES_MAX, ImageStore, NameChange, Stage, StoreError};

/// What happens during a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullEvent {
    /// The image is known: these layers belong to it.
    Layers {
        /// Digest and size of each layer blob.
        layers: Vec<(Digest, u64)>,
    },
    /// A layer was here already.
    Present {
        /// Digest of the blob.
        digest: Digest,
    },
    /// So much of a layer has arrived.
    Received {
        /// Digest of the blob.
        digest: Digest,
        /// Bytes so far.
        bytes: u64,
    },
    /// A layer is unpacked.
    Unpacked {
        /// Number of the layer, from 1.
        number: usize,
    },
    /// A download broke and is tried again from where it was.
    Retry {
        /// Digest of the blob.
        digest: Digest,
        /// Bytes so far.
        bytes: u64,
        /// Why it broke.
        reason: String,
    },
}

/// An image that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Docker's image id.
    pub id: Digest,
    /// Its name, and what that stood for before.
    pub name: NameChange,
    /// Bytes that were downloaded.
    pub received_bytes: u64,
}

/// Hears of a pull's progress.
pub type Progress = Arc<dyn Fn(PullEvent) + Send + Sync>;

impl RegistryClient {
    /// Pulls an image into the store and names it for a cluster.
    ///
    /// # Errors
    ///
    /// Fails when it cannot be had whole; then no name has changed.
    pub async fn pull(
        &self,
        store: &ImageStore,
        cluster: &str,
        reference: &Reference,
        platform: &Platform,
        progress: Progress,
    ) -> Result<Pulled, RegistryError> {
        let pull = Pull {
            client: self.clone(),
            scope: Scope::of(reference, "pull"),
            progress,
        };
        let (digest, text) = pull.manifest(reference, platform).await?;
        let manifest: Manifest = pull.parse(&text, "the image manifest")?;
        let store = store.clone();
        let mut stage = blocking(move || store.stage()).await?;
        stage.put(&text)?;
        let config = pull.config(&manifest.config, &mut stage).await?;
        let layers = manifest
            .layers
            .iter()
            .map(|layer| (layer.digest, layer.size));
        (pull.progress)(PullEvent::Layers {
            layers: layers.collect(),
        });
        let (mut stage, received_bytes) = pull.layers(&manifest, config, stage).await?;
        let mut names = vec![(reference.key(), digest)];
        // A digest of an index stands for the manifest it led to.
        if let Some(asked) = reference.digest() {
            names[0] = (reference.with_digest(asked).key(), digest);
        }
        let cluster = cluster.to_owned();
        let mut changes = blocking(move || stage.commit(&cluster, &names)).await?;
        Ok(Pulled {
            digest,
            id: manifest.config.digest,
            name: changes.remove(0),
            received_bytes,
        })
    }

    /// Returns the digest a registry has for a name now, without pulling.
    ///
    /// # Errors
    ///
    /// Fails when the registry does not say.
    pub async fn remote_digest(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Digest, RegistryError> {
        let pull = Pull {
            client: self.clone(),
            scope: Scope::of(reference, "pull"),
            progress: Arc::new(|_| {}),
        };
        Ok(pull.manifest(reference, platform).await?.0)
    }
}

/// Runs file work where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, RegistryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(RegistryError::Broken {
            host: "the store".to_owned(),
            reason: error.to_string(),
        }),
    }
}

#[derive(Clone)]
struct Pull {
    client: RegistryClient,
    scope: Scope,
    progress: Progress,
}

impl Pull {
    /// Returns the manifest for a platform, through an index where there is
    /// one.
    async fn manifest(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<(Digest, Vec<u8>), RegistryError> {
        let version = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let (mut kind, mut text) = self.document(&version, reference).await?;
        let mut digest = Digest::of(&text);
        self.expect(reference.digest(), digest)?;
        for _ in 0..3 {
            if !matches!(kind.as_str(), media_type::INDEX | media_type::DOCKER_LIST) {
                break;
            }
            let index: Index = self.parse(&text, "the image index")?;
            let chosen = choose(&index, platform, reference)?;
            (kind, text) = self.document(&chosen.digest.to_string(), reference).await?;
            digest = Digest::of(&text);
            self.expect(Some(chosen.digest), digest)?;
        }
        match kind.as_str() {
            media_type::MANIFEST | media_type::DOCKER_MANIFEST => Ok((digest, text)),
            other => Err(self.unusable(format!("manifest type {other} is not supported"))),
        }
    }

    async fn document(
        &self,
        version: &str,
        reference: &Reference,
    ) -> Result<(String, Vec<u8>), RegistryError> {
        let accept = [
            media_type::MANIFEST,
            media_type::INDEX,
            media_type::DOCKER_MANIFEST,
            media_type::DOCKER_LIST,
        ];
        let uri = self
            .client
            .uri(&self.scope, &format!("manifests/{version}"))
            .await;
        let call = Call::get(uri).with(header::ACCEPT, accept.join(", "));
        let response = self
            .client
            .call(&self.scope, &call)
            .await
            .map_err(|error| match error {
                RegistryError::NotFound { host, reason, .. } => RegistryError::NotFound {
                    reference: reference.familiar(),
                    host,
                    reason,
                },
                error => error,
            })?;
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
        let limit = DOCUMENT_BYTES_MAX as usize;
        let text = wire::read(response.into_body(), limit, &self.scope.host)
            .await?
            .to_vec();
        // What the document says of itself wins over a careless header.
        let own = serde_json::from_slice::<serde_json::Value>(&text).unwrap_or_default();
        match own["mediaType"].as_str() {
            Some(own) => Ok((own.to_owned(), text)),
            None => Ok((kind, text)),
        }
    }

    async fn config(
        &self,
        descriptor: &Descriptor,
        stage: &mut Stage,
    ) -> Result<ImageConfig, RegistryError> {
        if descriptor.size > DOCUMENT_BYTES_MAX {
            return Err(self.unusable("the image configuration is too large".to_owned()));
        }
        if stage.blob_size(descriptor.digest).is_none() {
            let uri = self
                .client
                .uri(&self.scope, &format!("blobs/{}", descriptor.digest))
                .await;
            let response = self.client.call(&self.scope, &Call::get(uri)).await?;
            let limit = DOCUMENT_BYTES_MAX as usize;
            let text = wire::read(response.into_body(), limit, &self.scope.host).await?;
            self.expect(Some(descriptor.digest), Digest::of(&text))?;
            stage.put(&text)?;
        }
        let text = stage.read_blob(descriptor.digest, DOCUMENT_BYTES_MAX)?;
        self.parse(&text, "the image configuration")
    }

    fn parse<T: serde::de::DeserializeOwned>(
        &self,
        text: &[u8],
        what: &str,
    ) -> Result<T, RegistryError> {
        serde_json::from_slice(text).map_err(|error| self.unusable(format!("{what}: {error}")))
    }

    fn expect(&self, expected: Option<Digest>, found: Digest) -> Result<(), RegistryError> {
        match expected {
            Some(expected) if expected != found => Err(RegistryError::Mismatch {
                host: self.scope.registry.clone(),
                expected,
                found,
            }),
            _ => Ok(()),
        }
    }

    fn unusable(&self, reason: String) -> RegistryError {
        RegistryError::Answer {
            host: self.scope.registry.clone(),
            reason,
        }
    }
}

fn choose<'i>(
    index: &'i Index,
    platform: &Platform,
    reference: &Reference,
) -> Result<&'i Descriptor, RegistryError> {
    let of_platform = |wanted: &Platform, exact: bool| {
        index.manifests.iter().find(|descriptor| {
            let found = descriptor.platform.as_ref();
            found.is_some_and(|found| {
                if exact {
                    found == wanted
                } else {
                    found.runs_on(wanted)
                }
            })
        })
    };
    let chosen = of_platform(platform, true).or_else(|| of_platform(platform, false));
    // An index of one entry may leave the platform out.
    let only = match index.manifests.as_slice() {
        [only] if only.platform.is_none() => Some(only),
        _ => None,
    };
    chosen.or(only).ok_or_else(|| {
        let found = index
            .manifests
            .iter()
            .filter_map(|descriptor| descriptor.platform.as_ref());
        let found: Vec<_> = found
            .filter(|found| found.os != "unknown")
            .map(Platform::to_string)
            .collect();
        RegistryError::Platform {
            reference: reference.familiar(),
            wanted: platform.clone(),
            found: found.join(", "),
        }
    })
}
