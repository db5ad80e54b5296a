//! A stage: a private directory in which images are put together before they
//! become part of the store, all at once.
//!
//! Until [`Stage::commit`] nothing of it is visible; dropped or killed, it
//! leaves nothing (the directory of a dead process is swept by the next). While
//! a stage lives, nothing is collected.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::files::{Hold, Lock, make_directory, remove_tree, sync_directory, unique};
use super::layers::{self, LayerMeta, LayerSource, UnpackedLayer};
use super::names::NameChange;
use super::{ImageStore, StoreError};
use crate::digest::{Digest, HashingWriter};
use crate::oci::{Descriptor, media_type};
use crate::rootfs::UnpackError;

/// Most bytes of the disk left free; at most a fiftieth.
const RESERVE_BYTES_MAX: u64 = 1 << 30;

/// Images in the making.
pub struct Stage {
    store: ImageStore,
    dir: PathBuf,
    /// Blobs not yet in the store, with their sizes.
    blobs: BTreeMap<Digest, u64>,
    /// Keys of layers not yet in the store.
    layers: Vec<String>,
    budget: Budget,
    counter: u64,
    // Held as long as the stage lives: who takes this lock alone knows that
    // every stage is of a dead process.
    _in_use: Lock,
}

impl Stage {
    pub(crate) fn new(store: &ImageStore) -> Result<Self, StoreError> {
        let in_use = store.hold_in_use(Hold::Shared)?;
        let dir = store.dir.join("stage").join(unique());
        make_directory(&dir)?;
        for part in ["blobs", "layers", "scratch"] {
            make_directory(&dir.join(part))?;
        }
        let budget = Budget::new(store)?;
        Ok(Self {
            store: store.clone(),
            dir,
            blobs: BTreeMap::new(),
            layers: Vec::new(),
            budget,
            counter: 0,
            _in_use: in_use,
        })
    }

    /// Returns the store this stage belongs to.
    pub fn store(&self) -> &ImageStore {
        &self.store
    }

    /// Returns a fresh path inside the stage, on the store's file system.
    pub fn scratch(&mut self) -> PathBuf {
        self.counter += 1;
        self.dir.join("scratch").join(self.counter.to_string())
    }

    /// Starts a blob.
    ///
    /// # Errors
    ///
    /// Fails when no file can be made.
    pub fn blob(&mut self) -> Result<BlobWriter, StoreError> {
        let path = self.scratch();
        let opened = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path);
        let file = opened.map_err(StoreError::io("make", &path))?;
        let limited = LimitedFile {
            file,
            left: self.budget.left,
        };
        let writer = HashingWriter::new(limited);
        let writer = io::BufWriter::with_capacity(256 << 10, writer);
        Ok(BlobWriter { path, writer })
    }

    /// Returns what an error of writing a blob means if that is a want of room.
    pub(crate) fn want_of_room(&self, error: &io::Error, path: &Path) -> Option<StoreError> {
        let kind = error.kind();
        match error.get_ref() {
            Some(inner) if inner.is::<OverLimit>() => Some(self.budget.exhausted(path)),
            _ if matches!(
                kind,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ) =>
            {
                Some(StoreError::DiskFull {
                    path: path.to_owned(),
                })
            }
            _ => None,
        }
    }

    /// Ends a blob and returns its digest and size.
    ///
    /// # Errors
    ///
    /// Fails when the last bytes cannot be written, or when the content is not
    /// what `expected` says.
    pub fn finish_blob(
        &mut self,
        blob: BlobWriter,
        expected: Option<Digest>,
    ) -> Result<(Digest, u64), StoreError> {
        let path = blob.path;
        let flushed = blob
            .writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error);
        let written = flushed.map_err(|error| self.write_error(&path, error))?;
        let (_, digest, size) = written.finish();
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(StoreError::Mismatch {
                what: "a blob".to_owned(),
                expected,
                found: digest,
            });
        }
        self.spend(size)?;
        self.take_blob(&path, digest, size)?;
        Ok((digest, size))
    }

    /// Adds a small blob.
    ///
    /// # Errors
    ///
    /// Fails when it cannot be written.
    pub fn put(&mut self, content: &[u8]) -> Result<Digest, StoreError> {
        let mut blob = self.blob()?;
        let path = blob.path.clone();
        blob.write_all(content)
            .map_err(|error| self.write_error(&path, error))?;
        Ok(self.finish_blob(blob, None)?.0)
    }

    /// Forgets staged blobs that no image needs, such as the documents of an
    /// archive.
    pub(crate) fn keep_blobs(&mut self, needed: &BTreeSet<Digest>) {
        self.blobs.retain(|digest, _| needed.contains(digest));
    }

    /// Returns the error for a failed write of a blob.
    pub(crate) fn write_error(&self, path: &Path, error: io::Error) -> StoreError {
        match error.get_ref().is_some_and(|inner| inner.is::<OverLimit>()) {
            true => self.budget.exhausted(path),
            false => StoreError::io("write", path)(error),
        }
    }

    /// Takes a file of the stage, whose digest the caller has checked, over as
    /// a blob, and returns its size.
    pub(crate) fn adopt_blob(&mut self, path: &Path, digest: Digest) -> Result<u64, StoreError> {
        let size = std::fs::metadata(path)
            .map_err(StoreError::io("read", path))?
            .len();
        self.spend(size)?;
        self.take_blob(path, digest, size)?;
        Ok(size)
    }

    /// Takes a finished file of the stage over as a blob.
    fn take_blob(&mut self, path: &Path, digest: Digest, size: u64) -> Result<(), StoreError> {
        if self.store.has_blob(digest) {
            return std::fs::remove_file(path).map_err(StoreError::io("remove", path));
        }
        let target = self.dir.join("blobs").join(digest.hex());
        std::fs::rename(path, &target).map_err(StoreError::io("move", path))?;
        self.blobs.insert(digest, size);
        Ok(())
    }

    /// Opens a blob of the stage or the store.
    ///
    /// # Errors
    ///
    /// Fails when it is in neither.
    pub fn open_blob(&self, digest: Digest) -> Result<File, StoreError> {
        match self.blobs.contains_key(&digest) {
            true => {
                let path = self.dir.join("blobs").join(digest.hex());
                File::open(&path).map_err(StoreError::io("open", &path))
            }
            false => self.store.open_blob(digest),
        }
    }

    /// Returns the size of a blob of the stage or the store.
    pub fn blob_size(&self, digest: Digest) -> Option<u64> {
        let staged = self.blobs.get(&digest).copied();
        staged.or_else(|| self.store.blob_size(digest))
    }

    /// Reads a small blob of the stage or the store.
    ///
    /// # Errors
    ///
    /// Fails when it is missing or has more than `limit` bytes.
    pub fn read_blob(&self, digest: Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        super::blobs::read_bounded(self.open_blob(digest)?, digest, limit)
    }

    /// Returns a descriptor for a layer blob, its type told by its first bytes.
    pub(crate) fn describe_layer(&self, digest: Digest) -> Result<Descriptor, StoreError> {
        let mut first = [0; 4];
        let mut blob = self.open_blob(digest)?;
        let count = blob
            .read(&mut first)
            .map_err(StoreError::io("read", &self.dir))?;
        let kind = match layers::Compression::of(&first[..count]) {
            layers::Compression::None => media_type::LAYER,
            layers::Compression::Gzip => media_type::LAYER_GZIP,
            layers::Compression::Zstd => media_type::LAYER_ZSTD,
        };
        let size = self.blob_size(digest).unwrap_or_default();
        Ok(Descriptor::new(kind, digest, size))
    }

    /// Returns an unpacked layer of the stage or the store.
    pub(crate) fn layer(
        &self,
        diff_id: Digest,
        chain_id: Digest,
    ) -> Result<Option<UnpackedLayer>, StoreError> {
        match layers::find(&self.dir.join("layers"), diff_id, chain_id)? {
            Some(layer) => Ok(Some(layer)),
            None => layers::find(&self.store.layers_dir(), diff_id, chain_id),
        }
    }

    /// Returns an unpacked layer, unpacking its blob when it is nowhere yet;
    /// the flag says whether that was needed.
    pub(crate) fn ensure_layer(
        &mut self,
        blob: Digest,
        diff_id: Digest,
        chain_id: Digest,
        lowers: &[PathBuf],
    ) -> Result<(UnpackedLayer, bool), StoreError> {
        if let Some(layer) = self.layer(diff_id, chain_id)? {
            return Ok((layer, false));
        }
        let mut limits = self.store.options.limits.clone();
        let budget_is_tighter = self.budget.left < limits.layer_bytes_max;
        limits.layer_bytes_max = limits.layer_bytes_max.min(self.budget.left);
        let blob = self.open_blob(blob)?;
        let source = LayerSource {
            blob: &blob,
            diff_id,
            chain_id,
            lowers,
        };
        let directory = self.scratch();
        let unpacked = layers::unpack_layer(source, &directory, &limits);
        let layer = unpacked.map_err(|error| match error {
            StoreError::Unpack {
                source: UnpackError::TooLarge { unit: "bytes", .. },
                ..
            } if budget_is_tighter => self.budget.exhausted(&directory),
            error => error,
        })?;
        self.spend(layer.meta.size_bytes)?;
        Ok((self.take_layer(&directory, layer.meta)?, true))
    }

    /// Takes a finished directory (`fs` and `meta.json`) over as a layer.
    pub(crate) fn take_layer(
        &mut self,
        directory: &Path,
        meta: LayerMeta,
    ) -> Result<UnpackedLayer, StoreError> {
        let key = meta.key();
        let target = self.dir.join("layers").join(&key);
        std::fs::rename(directory, &target).map_err(StoreError::io("move", directory))?;
        self.layers.push(key);
        let dir = target.join("fs");
        Ok(UnpackedLayer { meta, dir })
    }

    pub(crate) fn spend(&mut self, bytes: u64) -> Result<(), StoreError> {
        match self.budget.left.checked_sub(bytes) {
            Some(left) => {
                self.budget.left = left;
                Ok(())
            }
            None => Err(self.budget.exhausted(&self.dir)),
        }
    }

    /// Makes everything staged part of the store, then gives the names.
    ///
    /// The order makes a crash harmless: content is on disk before it is
    /// moved, and moved before a name speaks of it.
    ///
    /// # Errors
    ///
    /// Fails when writing fails; then no name has changed.
    pub fn commit(
        &mut self,
        cluster: &str,
        names: &[(String, Digest)],
    ) -> Result<Vec<NameChange>, StoreError> {
        self.publish()?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.store.set_names(cluster, names)
    }

    /// Makes everything staged part of the store, without a name.
    ///
    /// # Errors
    ///
    /// Fails when writing fails.
    pub(crate) fn publish(&mut self) -> Result<(), StoreError> {
        if self.blobs.is_empty() && self.layers.is_empty() {
            return Ok(());
        }
        self.sync()?;
        let layers = self.store.layers_dir();
        for key in std::mem::take(&mut self.layers) {
            move_in(&self.dir.join("layers").join(&key), &layers.join(&key))?;
        }
        let blobs = self.store.blobs_dir();
        for digest in std::mem::take(&mut self.blobs).into_keys() {
            let name = digest.hex();
            move_in(&self.dir.join("blobs").join(&name), &blobs.join(&name))?;
        }
        if self.store.options.durable {
            for directory in [layers, blobs] {
                sync_directory(&directory).map_err(StoreError::io("sync", &directory))?;
            }
        }
        Ok(())
    }

    // One sync for thousands of files.
    fn sync(&self) -> Result<(), StoreError> {
        if !self.store.options.durable {
            return Ok(());
        }
        let synced = File::open(&self.dir).and_then(|dir| Ok(rustix::fs::syncfs(dir)?));
        synced.map_err(StoreError::io("sync", &self.dir))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.dir) {
            tracing::warn!(dir = %self.dir.display(), %error, "cannot remove a stage");
        }
    }
}

// Two processes may bring the same content; whoever comes second has nothing
// to add.
fn move_in(from: &Path, to: &Path) -> Result<(), StoreError> {
    match std::fs::rename(from, to) {
        Ok(()) => Ok(()),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(StoreError::io("move", from)(error)),
    }
}

/// A blob being written; its digest is known at the end.
pub struct BlobWriter {
    path: PathBuf,
    writer: io::BufWriter<HashingWriter<LimitedFile>>,
}

impl BlobWriter {
    /// Returns where it is written, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// How much a stage may write: up to the store's limit, and never the last of
/// the disk, which others need too.
struct Budget {
    left: u64,
    /// The store's limit, when that is the tighter one.
    limit_bytes: Option<u64>,
}

impl Budget {
    fn new(store: &ImageStore) -> Result<Self, StoreError> {
        let disk = rustix::fs::statvfs(&store.dir)
            .map_err(|error| StoreError::io("measure the disk of", &store.dir)(error.into()))?;
        let reserve = (disk.f_blocks.saturating_mul(disk.f_frsize) / 50).min(RESERVE_BYTES_MAX);
        let free = match disk.f_blocks {
            // A file system that does not say.
            0 => u64::MAX,
            _ => disk
                .f_bavail
                .saturating_mul(disk.f_frsize)
                .saturating_sub(reserve),
        };
        let Some(limit) = store.options.disk_bytes_max else {
            return Ok(Self {
                left: free,
                limit_bytes: None,
            });
        };
        let allowed = limit.saturating_sub(store.usage()?.total_bytes());
        Ok(Self {
            left: allowed.min(free),
            limit_bytes: (allowed <= free).then_some(limit),
        })
    }

    fn exhausted(&self, path: &Path) -> StoreError {
        match self.limit_bytes {
            Some(limit_bytes) => StoreError::Limit { limit_bytes },
            None => StoreError::DiskFull {
                path: path.to_owned(),
            },
        }
    }
}

struct LimitedFile {
    file: File,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("the image store's limit is reached")]
struct OverLimit;

impl Write for LimitedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other(OverLimit))?;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
