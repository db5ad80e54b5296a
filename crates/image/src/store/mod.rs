//! The content-addressed image store of a machine: [`ImageStore`].
//!
//! Layout below the store's directory:
//!
//! | path | content |
//! | --- | --- |
//! | `format` | number of this layout |
//! | `blobs/sha256/<hex>` | manifests, configurations, layer archives |
//! | `layers/<key>/{fs,meta.json}` | unpacked layers (see `layers`) |
//! | `names/<cluster>.json` | what each cluster calls which image |
//! | `pins/<cluster>/<hex>` | images in use by containers |
//! | `steps/<hex>.json` | remembered build steps |
//! | `caches/<hex>` | directories of `RUN --mount=type=cache` |
//! | `caches/<hex>.digests` | digests of a build context's files |
//! | `stage/<process>-<random>` | images in the making |
//! | `limit` | most bytes of blobs and layers together; no file, no limit |
//! | `in-use.lock`, `names.lock` | locks (flock) |
//!
//! Content appears by rename after it is on disk, and is verified before. Any
//! number of processes may use a store at once. All of it is owned and read as
//! the caller's user namespace sees it.

mod collect;
mod error;
mod files;
mod image;
pub(crate) mod layers;
mod names;
mod pins;
mod stage;
pub(crate) mod steps;

pub use collect::{Collected, Steps, Usage};
pub use error::StoreError;
pub use image::{Image, Layer, ListedImage};
pub use names::NameChange;
pub use stage::{BlobWriter, Stage};

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::Digest;
use crate::oci::{ImageConfig, Manifest};
use crate::reference::Reference;
use crate::rootfs::Limits;
use files::{Hold, Lock, lock, make_directory, replace};
use layers::chain_id;
use names::key_reference;

/// Newest layout known.
const FORMAT: u32 = 1;
/// The file with the limit.
const LIMIT: &str = "limit";
/// Manifests and configurations larger than this are refused; the
/// distribution specification asks for 4 MiB.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Most layers of one image; the kernel's overlay takes 500.
const LAYERS_MAX: usize = 500;

/// How a store is used.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Most bytes of blobs and layers together; `None` is no limit.
    pub disk_bytes_max: Option<u64>,
    /// Bounds of a single layer.
    pub limits: Limits,
    /// Whether content must survive a power loss; off only for stores that
    /// are thrown away.
    pub durable: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            disk_bytes_max: None,
            limits: Limits::default(),
            durable: true,
        }
    }
}

/// The images of this machine.
#[derive(Debug, Clone)]
pub struct ImageStore {
    dir: PathBuf,
    options: StoreOptions,
}

impl ImageStore {
    /// Opens the store at `dir`, making it when it does not exist.
    ///
    /// # Errors
    ///
    /// Fails when the directory cannot be used or is of a newer format.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(dir, StoreOptions::default())
    }

    /// Opens the store at `dir` with options.
    ///
    /// # Errors
    ///
    /// Fails as [`ImageStore::open`] does.
    pub fn open_with(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        for part in [
            "blobs/sha256",
            "layers",
            "names",
            "pins",
            "steps",
            "caches",
            "stage",
        ] {
            make_directory(&dir.join(part))?;
        }
        let dir = dir.canonicalize().map_err(StoreError::io("resolve", dir))?;
        check_format(&dir, &options)?;
        let mut options = options;
        if options.disk_bytes_max.is_none() {
            options.disk_bytes_max = read_limit(&dir);
        }
        let store = Self { dir, options };
        store.sweep_stages_if_idle();
        Ok(store)
    }

    /// Returns the store's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the most bytes of blobs and layers together; `None` is no limit.
    pub fn disk_bytes_max(&self) -> Option<u64> {
        self.options.disk_bytes_max
    }

    /// Limits the store, for whoever opens it from now on.
    ///
    /// # Errors
    ///
    /// Fails when the limit cannot be written down.
    pub fn set_disk_limit(&mut self, bytes_max: Option<u64>) -> Result<(), StoreError> {
        let path = self.dir.join(LIMIT);
        match bytes_max {
            Some(bytes) => replace(&path, format!("{bytes}\n").as_bytes(), true)?,
            None => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", &path)(error));
                }
                _ => {}
            },
        }
        self.options.disk_bytes_max = bytes_max;
        Ok(())
    }

    /// Returns the bounds of a single layer.
    pub fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// Starts a stage, in which images are put together.
    ///
    /// # Errors
    ///
    /// Fails when no directory can be made.
    pub fn stage(&self) -> Result<Stage, StoreError> {
        Stage::new(self)
    }

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

    fn find_id(&self, cluster: &str, text: &str) -> Result<Digest, StoreError> {
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

    fn unpacked_layers(
        &self,
        manifest: &Manifest,
        config: &ImageConfig,
    ) -> Result<Option<Vec<Layer>>, StoreError> {
        let mut found = Vec::with_capacity(manifest.layers.len());
        let mut parent = None;
        for (blob, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            let chain = chain_id(parent, *diff_id);
            let Some(layer) = layers::find(&self.layers_dir(), *diff_id, chain)? else {
                return Ok(None);
            };
            found.push(Layer {
                diff_id: *diff_id,
                dir: layer.dir,
                blob: blob.clone(),
                size_bytes: layer.meta.size_bytes,
            });
            parent = Some(chain);
        }
        Ok(Some(found))
    }

    fn unpack_missing(
        &self,
        manifest: &Manifest,
        config: &ImageConfig,
    ) -> Result<Vec<Layer>, StoreError> {
        let mut stage = self.stage()?;
        stage.unpack_image(manifest, config, &mut |_, _| {})?;
        stage.publish()?;
        let layers = self.unpacked_layers(manifest, config)?;
        layers.ok_or_else(|| StoreError::Broken {
            what: "the image".to_owned(),
            reason: "a layer vanished while it was unpacked".to_owned(),
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

    /// Gives an image another name.
    ///
    /// # Errors
    ///
    /// Fails when no image is known by `source`.
    pub fn tag(
        &self,
        cluster: &str,
        source: &str,
        target: &Reference,
    ) -> Result<NameChange, StoreError> {
        let _in_use = self.hold_in_use(Hold::Shared)?;
        let digest = self.find(cluster, source)?.digest;
        self.set_name(cluster, target, digest)
    }

    /// Copies a name from one cluster to another; layers belong to both.
    ///
    /// # Errors
    ///
    /// Fails when `from` does not know the reference.
    pub fn share(
        &self,
        from: &str,
        to: &str,
        reference: &Reference,
    ) -> Result<NameChange, StoreError> {
        let _in_use = self.hold_in_use(Hold::Shared)?;
        let digest = self.resolve_digest(from, reference)?;
        let digest = digest.ok_or_else(|| StoreError::NoSuchImage {
            name: reference.familiar(),
        })?;
        self.set_name(to, reference, digest)
    }

    /// Removes a name, or, given an image id, all names of that image. The
    /// content goes with the next collection.
    ///
    /// # Errors
    ///
    /// Fails when nothing fits.
    pub fn remove(&self, cluster: &str, text: &str) -> Result<Vec<NameChange>, StoreError> {
        let key = Reference::parse(text).ok().map(|reference| reference.key());
        let known = self.read_names(cluster)?;
        let keys: Vec<String> = match key.filter(|key| known.images.contains_key(key)) {
            Some(key) => vec![key],
            None => {
                let digest = self.find_id(cluster, text)?;
                let same = known
                    .images
                    .iter()
                    .filter(|(_, entry)| entry.digest == digest);
                same.map(|(key, _)| key.clone()).collect()
            }
        };
        let removed = self.change_names(cluster, |names| {
            let removed = keys.iter().map(|key| names.images.remove(key));
            Ok(removed.collect::<Vec<_>>())
        })?;
        let pairs = keys.iter().zip(removed);
        let changes =
            pairs.map(|(key, entry)| self.changed(key, entry.map(|entry| entry.digest), None));
        Ok(changes.collect())
    }

    fn set_name(
        &self,
        cluster: &str,
        reference: &Reference,
        digest: Digest,
    ) -> Result<NameChange, StoreError> {
        let mut changes = self.set_names(cluster, &[(reference.key(), digest)])?;
        Ok(changes.remove(0))
    }

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

    /// Returns the directory of a `RUN --mount=type=cache`.
    pub(crate) fn cache_dir(&self, id: &str) -> Result<PathBuf, StoreError> {
        let directory = self
            .dir
            .join("caches")
            .join(layers::key(Digest::of(id.as_bytes())));
        make_directory(&directory)?;
        Ok(directory)
    }

    /// Returns where digests of a context's files are remembered.
    pub(crate) fn digests_path(&self, context: &Path) -> PathBuf {
        let digest = Digest::of(context.as_os_str().as_encoded_bytes());
        self.dir
            .join("caches")
            .join(format!("{}.digests", layers::key(digest)))
    }

    pub(crate) fn hold_in_use(&self, hold: Hold) -> Result<Lock, StoreError> {
        lock(&self.dir.join("in-use.lock"), hold)
    }

    pub(crate) fn lock_names(&self) -> Result<Lock, StoreError> {
        lock(&self.dir.join("names.lock"), Hold::Exclusive)
    }
}

/// Replaces a file that may be lost in a crash, but not torn.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    replace(path, content, false)
}

impl Stage {
    /// Unpacks every layer of an image that is not unpacked yet, lowest first;
    /// `progress` hears of each layer's number and whether it was new.
    pub(crate) fn unpack_image(
        &mut self,
        manifest: &Manifest,
        config: &ImageConfig,
        progress: &mut dyn FnMut(usize, bool),
    ) -> Result<u64, StoreError> {
        self.unpack_lowest(manifest.layers.len(), manifest, config, progress)
    }

    /// Unpacks the lowest `count` layers of an image, whose blobs are here.
    pub(crate) fn unpack_lowest(
        &mut self,
        count: usize,
        manifest: &Manifest,
        config: &ImageConfig,
        progress: &mut dyn FnMut(usize, bool),
    ) -> Result<u64, StoreError> {
        check_layers(manifest, config)?;
        let (mut parent, mut lowers, mut size_bytes) = (None, Vec::new(), 0);
        let layers = manifest.layers.iter().zip(&config.rootfs.diff_ids);
        for (index, (blob, diff_id)) in layers.enumerate().take(count) {
            let chain = chain_id(parent, *diff_id);
            let (layer, new) = self.ensure_layer(blob.digest, *diff_id, chain, &lowers)?;
            progress(index, new);
            size_bytes += layer.meta.size_bytes;
            lowers.push(layer.dir);
            parent = Some(chain);
        }
        Ok(size_bytes)
    }
}

pub(crate) fn check_layers(manifest: &Manifest, config: &ImageConfig) -> Result<(), StoreError> {
    let (blobs, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    let broken = |reason| StoreError::Broken {
        what: "the image".to_owned(),
        reason,
    };
    if blobs != diff_ids {
        let reason = format!("its manifest has {blobs} layers, its configuration {diff_ids}");
        return Err(broken(reason));
    }
    match blobs {
        ..=LAYERS_MAX => Ok(()),
        _ => Err(broken(format!(
            "it has {blobs} layers, at most {LAYERS_MAX} are possible"
        ))),
    }
}

pub(crate) fn parse_document<T: serde::de::DeserializeOwned>(
    text: &[u8],
    digest: Digest,
    what: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_slice(text).map_err(|error| StoreError::Broken {
        what: format!("{what} {digest}"),
        reason: error.to_string(),
    })
}

pub(crate) fn read_bounded(file: File, digest: Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
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

/// What is no number is no limit: a store that nobody can open helps nobody.
fn read_limit(dir: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(dir.join(LIMIT)).ok()?;
    text.trim().parse().ok()
}

fn check_format(dir: &Path, options: &StoreOptions) -> Result<(), StoreError> {
    let path = dir.join("format");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return replace(&path, format!("{FORMAT}\n").as_bytes(), options.durable);
        }
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    match text.trim().parse() {
        Ok(found) if found <= FORMAT => Ok(()),
        Ok(found) => Err(StoreError::Format {
            path: dir.to_owned(),
            found,
            known: FORMAT,
        }),
        Err(_) => Err(StoreError::Broken {
            what: path.display().to_string(),
            reason: "it holds no number".to_owned(),
        }),
    }
}
