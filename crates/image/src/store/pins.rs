//! Pins: images in use by a cluster's containers, kept whatever their names
//! do. One empty file for each, `pins/<cluster>/<manifest digest>`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::files::{Hold, make_directory};
use super::{ImageStore, StoreError};
use crate::digest::Digest;

impl ImageStore {
    /// Keeps an image from collection until it is unpinned. Pinning again is
    /// harmless.
    ///
    /// # Errors
    ///
    /// Fails when the image is not (or no longer) in the store.
    pub fn pin(&self, cluster: &str, digest: Digest) -> Result<(), StoreError> {
        let _in_use = self.hold_in_use(Hold::Shared)?;
        if !self.has_blob(digest) {
            let what = "image";
            return Err(StoreError::Missing { what, digest });
        }
        let directory = self.pins_dir(cluster)?;
        make_directory(&directory)?;
        let path = directory.join(digest.hex());
        std::fs::write(&path, []).map_err(StoreError::io("write", &path))
    }

    /// Lets go of all of a cluster's pins but `keep`.
    ///
    /// # Errors
    ///
    /// Fails when a pin cannot be removed.
    pub fn keep_pins(&self, cluster: &str, keep: &BTreeSet<Digest>) -> Result<(), StoreError> {
        for digest in self.pins_of(&self.pins_dir(cluster)?)? {
            if !keep.contains(&digest) {
                self.unpin(cluster, digest)?;
            }
        }
        Ok(())
    }

    /// Lets go of one pin; one that does not exist is no error.
    ///
    /// # Errors
    ///
    /// Fails when the pin cannot be removed.
    pub fn unpin(&self, cluster: &str, digest: Digest) -> Result<(), StoreError> {
        let path = self.pins_dir(cluster)?.join(digest.hex());
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Forgets a cluster: its names and its pins.
    ///
    /// # Errors
    ///
    /// Fails when a file cannot be removed.
    pub fn forget_cluster(&self, cluster: &str) -> Result<(), StoreError> {
        let _writer = self.lock_names()?;
        let names = self.names_path(cluster)?;
        match std::fs::remove_file(&names) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &names)(error));
            }
            _ => {}
        }
        let pins = self.pins_dir(cluster)?;
        super::files::remove_tree(&pins).map_err(StoreError::io("remove", &pins))
    }

    pub(crate) fn pinned(&self) -> Result<Vec<Digest>, StoreError> {
        let directory = self.dir.join("pins");
        let mut pinned = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(StoreError::io("list", &directory))? {
            let entry = entry.map_err(StoreError::io("list", &directory))?;
            pinned.extend(self.pins_of(&entry.path())?);
        }
        Ok(pinned)
    }

    fn pins_dir(&self, cluster: &str) -> Result<PathBuf, StoreError> {
        // The same rule for the name as for the names' file.
        self.names_path(cluster)?;
        Ok(self.dir.join("pins").join(cluster))
    }

    fn pins_of(&self, directory: &std::path::Path) -> Result<Vec<Digest>, StoreError> {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("list", directory)(error)),
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        Ok(names
            .filter_map(|name| Digest::from_hex(&name.to_string_lossy()))
            .collect())
    }
}
