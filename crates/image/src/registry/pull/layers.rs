//! The layers of a pull: several come at once, and one that breaks goes on
//! where it broke.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{StatusCode, header};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Pull, PullEvent, blocking};
use crate::digest::{Digest, Hasher};
use crate::oci::{Descriptor, ImageConfig, Manifest};
use crate::registry::client::Call;
use crate::registry::error::RegistryError;
use crate::registry::http::ANSWER_TIMEOUT;
use crate::store::{Stage, StoreError};

impl Pull {
    /// Downloads several layers at once and unpacks each as soon as it and
    /// those below are there.
    pub(super) async fn layers(
        &self,
        manifest: &Manifest,
        config: ImageConfig,
        mut stage: Stage,
    ) -> Result<(Stage, u64), RegistryError> {
        let permits = Arc::new(Semaphore::new(self.client.inner.options.parallel.max(1)));
        let mut downloads = Downloads::default();
        for layer in &manifest.layers {
            let known = stage.blob_size(layer.digest).is_some();
            let repeated = downloads
                .tasks
                .iter()
                .any(|(digest, _)| *digest == layer.digest);
            if known {
                (self.progress)(PullEvent::Present {
                    digest: layer.digest,
                });
            }
            if !known && !repeated {
                let (pull, permits) = (self.clone(), permits.clone());
                let (layer, path) = (layer.clone(), stage.scratch());
                let limit = stage.store().limits().layer_bytes_max;
                let digest = layer.digest;
                let task = tokio::spawn(async move {
                    let _permit = permits.acquire().await;
                    pull.download(&layer, path, limit).await
                });
                downloads.tasks.push((digest, task));
            }
        }
        let mut received = 0;
        let (manifest, config) = (Arc::new(manifest.clone()), Arc::new(config));
        for (index, layer) in manifest.layers.iter().enumerate() {
            let path = downloads
                .finished(layer.digest, &self.scope.registry)
                .await?;
            let (manifest, config) = (manifest.clone(), config.clone());
            let (progress, digest) = (self.progress.clone(), layer.digest);
            let size;
            (stage, size) = blocking(move || {
                let size = match path {
                    Some(path) => stage.adopt_blob(&path, digest)?,
                    None => 0,
                };
                stage.unpack_lowest(index + 1, &manifest, &config, &mut |index, new| {
                    if new {
                        progress(PullEvent::Unpacked { number: index + 1 });
                    }
                })?;
                Ok((stage, size))
            })
            .await?;
            received += size;
        }
        Ok((stage, received))
    }

    async fn download(
        &self,
        layer: &Descriptor,
        path: PathBuf,
        limit: u64,
    ) -> Result<PathBuf, RegistryError> {
        if layer.size > limit {
            return Err(self.unusable(format!(
                "layer {} has {} bytes, the limit is {limit}",
                layer.digest, layer.size
            )));
        }
        let mut download = Download::new(path).map_err(RegistryError::from)?;
        let mut attempt = 0;
        loop {
            let error = match self.receive(layer, &mut download).await {
                Ok(()) => {
                    let found = download.finish();
                    self.expect(Some(layer.digest), found.1)?;
                    return Ok(found.0);
                }
                Err(error) => error,
            };
            attempt += 1;
            if !error.is_passing() || attempt >= self.client.inner.options.tries {
                return Err(error);
            }
            (self.progress)(PullEvent::Retry {
                digest: layer.digest,
                bytes: download.bytes,
                reason: error.to_string(),
            });
            self.client.pause(attempt).await;
        }
    }

    // RFC 9110, section 14.2: a server may answer a range with the whole.
    async fn receive(
        &self,
        layer: &Descriptor,
        download: &mut Download,
    ) -> Result<(), RegistryError> {
        let uri = self
            .client
            .uri(&self.scope, &format!("blobs/{}", layer.digest))
            .await;
        let mut call = Call::get(uri);
        if download.bytes > 0 {
            call = call.with(header::RANGE, format!("bytes={}-", download.bytes));
        }
        let response = self.client.call(&self.scope, &call).await?;
        if download.bytes > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            download.restart()?;
        }
        let mut body = response.into_body();
        loop {
            let frame = match tokio::time::timeout(ANSWER_TIMEOUT, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(self.broken(error.to_string())),
                Ok(None) => break,
                Err(_) => return Err(self.broken("nothing for a minute".to_owned())),
            };
            if let Some(data) = frame.data_ref() {
                if download.bytes + data.len() as u64 > layer.size {
                    return Err(
                        self.unusable(format!("layer {} is longer than announced", layer.digest))
                    );
                }
                download.write(data)?;
                (self.progress)(PullEvent::Received {
                    digest: layer.digest,
                    bytes: download.bytes,
                });
            }
        }
        match download.bytes == layer.size {
            true => Ok(()),
            false => Err(self.broken("the layer ended too early".to_owned())),
        }
    }

    fn broken(&self, reason: String) -> RegistryError {
        RegistryError::Broken {
            host: self.scope.registry.clone(),
            reason,
        }
    }
}

/// Downloads that end when the pull does, however it ends.
#[derive(Default)]
struct Downloads {
    tasks: Vec<(Digest, JoinHandle<Result<PathBuf, RegistryError>>)>,
}

impl Downloads {
    /// Waits for the download of a blob; `None` when it needs none.
    async fn finished(
        &mut self,
        digest: Digest,
        host: &str,
    ) -> Result<Option<PathBuf>, RegistryError> {
        let Some(index) = self.tasks.iter().position(|(known, _)| *known == digest) else {
            return Ok(None);
        };
        let done = (&mut self.tasks[index].1).await;
        self.tasks.remove(index);
        let path = done.map_err(|error| RegistryError::Broken {
            host: host.to_owned(),
            reason: error.to_string(),
        })?;
        path.map(Some)
    }
}

impl Drop for Downloads {
    fn drop(&mut self) {
        for (_, task) in &self.tasks {
            task.abort();
        }
    }
}

/// A blob on its way, hashed as it comes.
struct Download {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    bytes: u64,
}

impl Download {
    fn new(path: PathBuf) -> Result<Self, StoreError> {
        let file = open_new(&path).map_err(StoreError::io("make", &path))?;
        Ok(Self {
            path,
            file,
            hasher: Hasher::new(),
            bytes: 0,
        })
    }

    fn write(&mut self, data: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all(data)
            .map_err(StoreError::io("write", &self.path))?;
        self.hasher.update(data);
        self.bytes += data.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), StoreError> {
        self.file = open_new(&self.path).map_err(StoreError::io("make", &self.path))?;
        self.hasher = Hasher::new();
        self.bytes = 0;
        Ok(())
    }

    fn finish(self) -> (PathBuf, Digest) {
        (self.path, self.hasher.finish())
    }
}

fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}
