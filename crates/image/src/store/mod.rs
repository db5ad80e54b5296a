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

mod blobs;
mod collect;
mod error;
mod files;
mod find;
mod image;
pub(crate) mod layers;
mod names;
mod pins;
mod stage;
pub(crate) mod steps;
mod unpack;

pub(crate) use blobs::DOCUMENT_BYTES_MAX;
pub use collect::{Collected, Steps, Usage};
pub use error::StoreError;
pub use image::{Image, Layer, ListedImage};
pub use names::NameChange;
pub use stage::{BlobWriter, Stage};

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::rootfs::Limits;
use files::{Hold, Lock, lock, make_directory, replace};

/// Newest layout known.
const FORMAT: u32 = 1;
/// The file with the limit.
const LIMIT: &str = "limit";

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
