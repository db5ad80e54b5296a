//! Collection: content that no name of any cluster, no pin and no build step
//! reaches is removed.
//!
//! Stopped clusters count as running ones do: their names are files here.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::{Hold, remove_tree, unique};
use super::layers::{chain_id, key, read_meta};
use super::{ImageStore, StoreError};
use crate::digest::Digest;

/// What a collection removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs removed.
    pub blobs: u64,
    /// Unpacked layers removed.
    pub layers: u64,
    /// Bytes freed, blobs and file content of layers.
    pub bytes: u64,
}

/// What becomes of remembered build steps, and of the layers only they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Steps {
    /// They stay.
    #[default]
    Keep,
    /// Those not used for this long go.
    DropUnusedFor(Duration),
    /// All go, and the cache directories of `RUN` with them.
    Drop,
}

/// What the store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of blobs.
    pub blob_bytes: u64,
    /// Bytes of file content in unpacked layers.
    pub layer_bytes: u64,
}

impl Usage {
    /// Returns the sum.
    pub fn total_bytes(&self) -> u64 {
        self.blob_bytes + self.layer_bytes
    }
}

#[derive(Default)]
struct Marked {
    blobs: BTreeSet<String>,
    layers: BTreeSet<String>,
}

impl ImageStore {
    /// Removes what nothing uses.
    ///
    /// # Errors
    ///
    /// Answers [`StoreError::Busy`] while an image is being added.
    pub fn collect(&self, steps: Steps) -> Result<Collected, StoreError> {
        let _alone = self.hold_in_use(Hold::ExclusiveNow)?;
        self.sweep_stages();
        match steps {
            Steps::Keep => {}
            Steps::DropUnusedFor(age) => self.drop_steps_older_than(age)?,
            Steps::Drop => {
                self.drop_steps_older_than(Duration::ZERO)?;
                self.drop_caches()?;
            }
        }
        let marked = self.mark()?;
        let trash = self.dir.join("stage").join(format!("trash-{}", unique()));
        super::files::make_directory(&trash)?;
        let mut collected = Collected::default();
        self.sweep_layers(&marked, &trash, &mut collected)?;
        self.sweep_blobs(&marked, &mut collected)?;
        remove_tree(&trash).map_err(StoreError::io("remove", &trash))?;
        Ok(collected)
    }

    /// Returns what the store holds.
    ///
    /// # Errors
    ///
    /// Fails when the store cannot be read.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        for path in list(&self.blobs_dir())? {
            usage.blob_bytes += size_of(&path);
        }
        for path in list(&self.layers_dir())? {
            let meta = read_meta(&path.join("meta.json"))?;
            usage.layer_bytes += meta.map_or(0, |meta| meta.size_bytes);
        }
        Ok(usage)
    }

    // The caller holds the lock alone: no build uses them.
    fn drop_caches(&self) -> Result<(), StoreError> {
        for path in list(&self.dir.join("caches"))? {
            remove_tree(&path).map_err(StoreError::io("remove", &path))?;
        }
        Ok(())
    }

    fn mark(&self) -> Result<Marked, StoreError> {
        let mut marked = Marked::default();
        for names in self.read_all_names()? {
            for entry in names.images.values() {
                self.mark_image(entry.digest, &mut marked)?;
            }
        }
        for digest in self.pinned()? {
            self.mark_image(digest, &mut marked)?;
        }
        for step in self.steps()? {
            marked.blobs.insert(step.blob.hex());
            marked.layers.insert(key(step.diff_id));
            marked.layers.insert(key(step.chain_id));
        }
        Ok(marked)
    }

    fn mark_image(&self, digest: Digest, marked: &mut Marked) -> Result<(), StoreError> {
        if !marked.blobs.insert(digest.hex()) {
            return Ok(());
        }
        let (manifest, config) = match self.documents(digest) {
            Ok(documents) => documents,
            // Without its documents an image is lost already.
            Err(StoreError::Missing { .. } | StoreError::Broken { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        marked.blobs.insert(manifest.config.digest.hex());
        for layer in &manifest.layers {
            marked.blobs.insert(layer.digest.hex());
        }
        let mut parent = None;
        for diff_id in config.rootfs.diff_ids {
            let chain = chain_id(parent, diff_id);
            marked.layers.insert(key(diff_id));
            marked.layers.insert(key(chain));
            parent = Some(chain);
        }
        Ok(())
    }

    // Moved aside first: a layer is there whole, or not at all.
    fn sweep_layers(
        &self,
        marked: &Marked,
        trash: &Path,
        collected: &mut Collected,
    ) -> Result<(), StoreError> {
        for path in list(&self.layers_dir())? {
            let name = file_name(&path);
            if marked.layers.contains(&name) {
                continue;
            }
            let meta = read_meta(&path.join("meta.json")).unwrap_or_default();
            collected.bytes += meta.map_or(0, |meta| meta.size_bytes);
            collected.layers += 1;
            let target = trash.join(&name);
            std::fs::rename(&path, &target).map_err(StoreError::io("remove", &path))?;
        }
        Ok(())
    }

    fn sweep_blobs(&self, marked: &Marked, collected: &mut Collected) -> Result<(), StoreError> {
        for path in list(&self.blobs_dir())? {
            if marked.blobs.contains(&file_name(&path)) {
                continue;
            }
            collected.bytes += size_of(&path);
            collected.blobs += 1;
            std::fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        }
        Ok(())
    }

    /// Removes the stages of processes that are gone, when no process has one.
    /// What cannot be removed now stays for the next time.
    pub(crate) fn sweep_stages_if_idle(&self) {
        if let Ok(_alone) = self.hold_in_use(Hold::ExclusiveNow) {
            self.sweep_stages();
        }
    }

    // The caller holds the lock alone.
    fn sweep_stages(&self) {
        for path in list(&self.dir.join("stage")).unwrap_or_default() {
            if let Err(error) = remove_tree(&path) {
                tracing::warn!(dir = %path.display(), %error, "cannot remove an old stage");
            }
        }
    }
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", directory)(error)),
    };
    let paths = entries.map(|entry| Ok(entry?.path()));
    paths
        .collect::<io::Result<_>>()
        .map_err(StoreError::io("list", directory))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
