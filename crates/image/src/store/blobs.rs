//! Blobs: content under its digest, and the documents among it.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::{ImageStore, StoreError};
use crate::digest::Digest;
use crate::oci::{ImageConfig, Manifest};

/// Manifests and configurations larger than this are refused; the
/// distribution specification asks for 4 MiB.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

impl ImageStore {
    /// Returns an image's manifest and configuration.
    pub(crate) fn documents(&self, digest: Digest) -> Result<(Manifest, ImageConfig), StoreError> {
        let manifest: Manifest = self.document(digest, "image manifest")?;
        let config = self.document(manifest.config.digest, "image configuration")?;
        Ok((manifest, config))
    }

    fn document<T: serde::de::DeserializeOwned>(
        &self,
        digest: Digest,
        what: &'static str,
    ) -> Result<T, StoreError> {
        let text = read_bounded(self.open_blob(digest)?, digest, DOCUMENT_BYTES_MAX)?;
        parse_document(&text, digest, what)
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    ///
    /// Fails when the store does not have it.
    pub fn open_blob(&self, digest: Digest) -> Result<File, StoreError> {
        let path = self.blobs_dir().join(digest.hex());
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let what = "blob";
                StoreError::Missing { what, digest }
            }
            _ => StoreError::io("open", &path)(error),
        })
    }

    /// Returns whether the store has a blob.
    pub fn has_blob(&self, digest: Digest) -> bool {
        self.blob_size(digest).is_some()
    }

    /// Returns a blob's size.
    pub fn blob_size(&self, digest: Digest) -> Option<u64> {
        let metadata = std::fs::metadata(self.blobs_dir().join(digest.hex()));
        metadata.ok().map(|metadata| metadata.len())
    }

    pub(crate) fn blobs_dir(&self) -> PathBuf {
        self.dir.join("blobs/sha256")
    }
}

fn parse_document<T: serde::de::DeserializeOwned>(
    text: &[u8],
    digest: Digest,
    what: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_slice(text).map_err(|error| StoreError::Broken {
        what: format!("{what} {digest}"),
        reason: error.to_string(),
    })
}

pub(super) fn read_bounded(file: File, digest: Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
    let mut content = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut content);
    let broken = |reason: String| StoreError::Broken {
        what: format!("blob {digest}"),
        reason,
    };
    read.map_err(|error| broken(error.to_string()))?;
    match content.len() as u64 > limit {
        true => Err(broken(format!("it is larger than {limit} bytes"))),
        false => Ok(content),
    }
}
