//! Finding images: by what a cluster calls them, by id, by digest.

use std::sync::Arc;

use super::names::key_reference;
use super::unpack::check_layers;
use super::{Image, ImageStore, ListedImage, StoreError};
use crate::digest::Digest;
use crate::reference::Reference;

impl ImageStore {
    /// Returns the image a cluster knows by this reference; `None` when it
    /// knows none. A layer that is not unpacked is unpacked first.
    ///
    /// # Errors
    ///
    /// Fails when the image's content is missing or broken.
    pub fn resolve(
        &self,
        cluster: &str,
        reference: &Reference,
    ) -> Result<Option<Image>, StoreError> {
        match self.resolve_digest(cluster, reference)? {
            Some(digest) => {
                let mut image = self.image(digest)?;
                image.reference = Some(reference.clone());
                Ok(Some(image))
            }
            None => Ok(None),
        }
    }

    /// Returns the digest a cluster knows by this reference.
    ///
    /// # Errors
    ///
    /// Fails when the names cannot be read.
    pub fn resolve_digest(
        &self,
        cluster: &str,
        reference: &Reference,
    ) -> Result<Option<Digest>, StoreError> {
        let names = self.read_names(cluster)?;
        if let Some(entry) = names.images.get(&reference.key()) {
            return Ok(Some(entry.digest));
        }
        let Some(digest) = reference.digest() else {
            return Ok(None);
        };
        // The same content under a tag of the same repository.
        let same = names.images.iter().find(|(key, entry)| {
            let named = key_reference(key).map(|known| known.name());
            entry.digest == digest && named.as_deref() == Some(&reference.name())
        });
        Ok(same.map(|(_, entry)| entry.digest))
    }

    /// Returns the image a user means: a reference, an image id or the start
    /// of one.
    ///
    /// # Errors
    ///
    /// Fails when nothing or more than one image fits.
    pub fn find(&self, cluster: &str, text: &str) -> Result<Image, StoreError> {
        let reference = Reference::parse(text).ok();
        if let Some(reference) = &reference
            && let Some(image) = self.resolve(cluster, reference)?
        {
            return Ok(image);
        }
        self.image(self.find_id(cluster, text)?)
    }

    pub(super) fn find_id(&self, cluster: &str, text: &str) -> Result<Digest, StoreError> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let missing = || StoreError::NoSuchImage {
            name: text.to_owned(),
        };
        if hex.len() < 4 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(missing());
        }
        let mut fitting: Vec<(Digest, Digest)> = Vec::new();
        for listed in self.list(cluster)? {
            let fits = listed.id.hex().starts_with(hex) || listed.digest.hex().starts_with(hex);
            let known = fitting.iter().any(|(digest, _)| *digest == listed.digest);
            if fits && !known {
                fitting.push((listed.digest, listed.id));
            }
        }
        match fitting.as_slice() {
            [] => Err(missing()),
            [(digest, _)] => Ok(*digest),
            several => Err(StoreError::Ambiguous {
                id: text.to_owned(),
                candidates: several
                    .iter()
                    .map(|(_, id)| id.short())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }

    /// Returns the image with this manifest.
    ///
    /// # Errors
    ///
    /// Fails when its content is missing or broken.
    pub fn image(&self, digest: Digest) -> Result<Image, StoreError> {
        let (manifest, config) = self.documents(digest)?;
        check_layers(&manifest, &config)?;
        let layers = match self.unpacked_layers(&manifest, &config)? {
            Some(layers) => layers,
            None => self.unpack_missing(&manifest, &config)?,
        };
        Ok(Image {
            digest,
            id: manifest.config.digest,
            reference: None,
            size_bytes: layers.iter().map(|layer| layer.size_bytes).sum(),
            config: Arc::new(config),
            manifest: Arc::new(manifest),
            layers,
        })
    }

    /// Lists a cluster's images, sorted by name.
    ///
    /// # Errors
    ///
    /// Fails when the names cannot be read; an image whose content is broken
    /// is left out.
    pub fn list(&self, cluster: &str) -> Result<Vec<ListedImage>, StoreError> {
        let names = self.read_names(cluster)?;
        let mut listed = Vec::new();
        for (key, entry) in names.images {
            match self.listed(&key, entry.digest) {
                Ok(image) => listed.push(image),
                Err(error) => tracing::warn!(%key, %error, "an image cannot be listed"),
            }
        }
        Ok(listed)
    }

    fn listed(&self, key: &str, digest: Digest) -> Result<ListedImage, StoreError> {
        let (manifest, config) = self.documents(digest)?;
        let layers = self
            .unpacked_layers(&manifest, &config)?
            .unwrap_or_default();
        Ok(ListedImage {
            reference: key_reference(key),
            digest,
            id: manifest.config.digest,
            created: config.created,
            size_bytes: layers.iter().map(|layer| layer.size_bytes).sum(),
        })
    }
}
