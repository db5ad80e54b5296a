//! Pushing: layers that the registry does not have, configuration, manifest.
//!
//! Layers that are stored uncompressed are compressed on the way; the image id
//! stays, the manifest's digest is the pushed one's.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use http::{Method, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio_util::io::ReaderStream;

use super::client::{Call, RegistryClient, Scope, absolute};
use super::error::RegistryError;
use super::http::{Body, full};
use super::pull::blocking;
use crate::digest::Digest;
use crate::oci::{Descriptor, Manifest, media_type};
use crate::reference::Reference;
use crate::store::layers::Compression;
use crate::store::{DOCUMENT_BYTES_MAX, Image, ImageStore, StoreError};

/// What happens during a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushEvent {
    /// A layer is on the registry already.
    Present {
        /// Digest of the blob.
        digest: Digest,
    },
    /// A layer is being sent.
    Sending {
        /// Digest of the blob.
        digest: Digest,
        /// Its size.
        bytes: u64,
    },
    /// A layer has arrived.
    Sent {
        /// Digest of the blob.
        digest: Digest,
    },
}

/// An image that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the manifest on the registry.
    pub digest: Digest,
    /// Bytes that were sent.
    pub sent_bytes: u64,
}

struct Push<'a> {
    client: &'a RegistryClient,
    scope: Scope,
    progress: Arc<dyn Fn(PushEvent) + Send + Sync>,
    sent_bytes: u64,
}

impl RegistryClient {
    /// Pushes an image under a name.
    ///
    /// # Errors
    ///
    /// Fails when the registry refuses or cannot be reached.
    pub async fn push(
        &self,
        store: &ImageStore,
        image: &Image,
        reference: &Reference,
        progress: Arc<dyn Fn(PushEvent) + Send + Sync>,
    ) -> Result<Pushed, RegistryError> {
        let mut push = Push {
            client: self,
            scope: Scope::of(reference, "push"),
            progress,
            sent_bytes: 0,
        };
        let opened = store.clone();
        let mut stage = blocking(move || opened.stage()).await?;
        let mut layers = Vec::new();
        let mut changed = false;
        for layer in &image.manifest.layers {
            let path = stage.scratch();
            let (store, layer) = (store.clone(), layer.clone());
            let (file, descriptor) = blocking(move || prepare(&store, layer, path)).await?;
            changed |= !image.manifest.layers.contains(&descriptor);
            push.blob(&descriptor, file).await?;
            layers.push(descriptor);
        }
        let config = &image.manifest.config;
        push.blob(config, store.open_blob(config.digest)?).await?;
        let text = match changed {
            false => stage.read_blob(image.digest, DOCUMENT_BYTES_MAX)?,
            true => manifest_text(config, layers)?,
        };
        let kind = match (changed, &image.manifest.media_type) {
            (false, Some(kind)) => kind.as_str(),
            _ => media_type::MANIFEST,
        };
        let digest = push.manifest(reference, kind, text).await?;
        Ok(Pushed {
            digest,
            sent_bytes: push.sent_bytes,
        })
    }
}

fn manifest_text(config: &Descriptor, layers: Vec<Descriptor>) -> Result<Vec<u8>, RegistryError> {
    let mut config = config.clone();
    config.media_type = media_type::CONFIG.to_owned();
    serde_json::to_vec(&Manifest::new(config, layers)).map_err(|error| RegistryError::Setting {
        what: "the image manifest".to_owned(),
        reason: error.to_string(),
    })
}

// Compressed once more is no gain: only plain layers are compressed.
fn prepare(
    store: &ImageStore,
    layer: Descriptor,
    path: PathBuf,
) -> Result<(File, Descriptor), StoreError> {
    let read = || StoreError::io("read", &path);
    let mut blob = store.open_blob(layer.digest)?;
    let mut first = Vec::new();
    blob.by_ref()
        .take(4)
        .read_to_end(&mut first)
        .map_err(read())?;
    let mut blob = store.open_blob(layer.digest)?;
    if Compression::of(&first) != Compression::None {
        return Ok((blob, layer));
    }
    let file = File::create(&path).map_err(StoreError::io("make", &path))?;
    let writer = crate::digest::HashingWriter::new(std::io::BufWriter::new(file));
    let mut encoder = flate2::write::GzEncoder::new(writer, flate2::Compression::new(6));
    std::io::copy(&mut blob, &mut encoder).map_err(StoreError::io("write", &path))?;
    let writer = encoder.finish().map_err(StoreError::io("write", &path))?;
    let (mut writer, digest, size) = writer.finish();
    std::io::Write::flush(&mut writer).map_err(StoreError::io("write", &path))?;
    let file = File::open(&path).map_err(read())?;
    Ok((file, Descriptor::new(media_type::LAYER_GZIP, digest, size)))
}

impl Push<'_> {
    async fn blob(&mut self, descriptor: &Descriptor, file: File) -> Result<(), RegistryError> {
        let digest = descriptor.digest;
        if self.has(digest).await? {
            (self.progress)(PushEvent::Present { digest });
            return Ok(());
        }
        let bytes = descriptor.size;
        (self.progress)(PushEvent::Sending { digest, bytes });
        let mut attempt = 0;
        loop {
            let error = match self.upload(descriptor, &file).await {
                Ok(()) => break,
                Err(error) => error,
            };
            attempt += 1;
            if !error.is_passing() || attempt >= self.client.inner.options.tries {
                return Err(error);
            }
            self.client.pause(attempt).await;
        }
        self.sent_bytes += bytes;
        (self.progress)(PushEvent::Sent { digest });
        Ok(())
    }

    async fn has(&self, digest: Digest) -> Result<bool, RegistryError> {
        let uri = self
            .client
            .uri(&self.scope, &format!("blobs/{digest}"))
            .await;
        let mut call = Call::get(uri);
        call.method = Method::HEAD;
        match self.client.call(&self.scope, &call).await {
            Ok(_) => Ok(true),
            Err(RegistryError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    // Distribution specification, "Pushing a blob monolithically", POST then
    // PUT.
    async fn upload(&self, descriptor: &Descriptor, file: &File) -> Result<(), RegistryError> {
        let start = self.client.uri(&self.scope, "blobs/uploads/").await;
        let mut call = Call::get(start.clone()).with(header::CONTENT_LENGTH, "0");
        call.method = Method::POST;
        let response = self.client.call(&self.scope, &call).await?;
        let location = response.headers().get(header::LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        let location = location.ok_or_else(|| RegistryError::Answer {
            host: self.scope.registry.clone(),
            reason: "it accepts an upload and does not say where".to_owned(),
        })?;
        let target = absolute(location, &start);
        let separator = if target.contains('?') { '&' } else { '?' };
        let body = || stream(file);
        let call = Call {
            method: Method::PUT,
            uri: format!("{target}{separator}digest={}", descriptor.digest),
            headers: Vec::new(),
            body: &body,
        };
        let call = call
            .with(header::CONTENT_TYPE, "application/octet-stream")
            .with(header::CONTENT_LENGTH, descriptor.size.to_string());
        self.client.call(&self.scope, &call).await.map(|_| ())
    }

    async fn manifest(
        &self,
        reference: &Reference,
        kind: &str,
        text: Vec<u8>,
    ) -> Result<Digest, RegistryError> {
        let digest = Digest::of(&text);
        let version = reference
            .tag()
            .map_or_else(|| digest.to_string(), str::to_owned);
        let length = text.len();
        let body = move || Ok(full(text.clone()));
        let call = Call {
            method: Method::PUT,
            uri: self
                .client
                .uri(&self.scope, &format!("manifests/{version}"))
                .await,
            headers: Vec::new(),
            body: &body,
        };
        let call = call
            .with(header::CONTENT_TYPE, kind)
            .with(header::CONTENT_LENGTH, length.to_string());
        self.client.call(&self.scope, &call).await?;
        Ok(digest)
    }
}

// Each try reads the file from the start, through a descriptor of its own.
fn stream(file: &File) -> Result<Body, RegistryError> {
    let reopened = file.try_clone().and_then(|mut file| {
        file.rewind()?;
        Ok(file)
    });
    let file = reopened.map_err(StoreError::io("read", Path::new("a layer")))?;
    let reader = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 64 << 10);
    Ok(StreamBody::new(reader.map_ok(Frame::data)).boxed())
}
