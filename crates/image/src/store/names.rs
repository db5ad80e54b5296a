//! Names of images, for each cluster its own: one JSON file, replaced whole.
//!
//! Layout: `{"format":1,"images":{"<reference key>":{"digest":"sha256:…"}}}`.
//! An image loaded without a name stands under its image id.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{Hold, replace};
use super::{ImageStore, StoreError};
use crate::digest::Digest;
use crate::reference::Reference;

/// One cluster's names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NameFile {
    pub(crate) format: u32,
    #[serde(default)]
    pub(crate) images: BTreeMap<String, NameEntry>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NameEntry {
    /// Digest of the manifest.
    pub(crate) digest: Digest,
}

/// A name that now stands for another image, or for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameChange {
    /// The name; `None` for an image without one.
    pub reference: Option<Reference>,
    /// What it stood for before.
    pub old: Option<Digest>,
    /// What it stands for now.
    pub new: Option<Digest>,
    /// Image id (configuration) of what it stood for; `None` also when that is
    /// no longer readable.
    pub old_id: Option<Digest>,
    /// Image id of what it stands for now.
    pub new_id: Option<Digest>,
}

impl NameChange {
    /// Returns whether workloads that name it should be rolled: the name was
    /// known and now means something else. The same configuration over the
    /// same layers is the same image, however its layers are compressed.
    pub fn is_new_digest_under_old_name(&self) -> bool {
        let known = self.old.is_some() && self.new.is_some();
        known && self.old != self.new && (self.old_id.is_none() || self.old_id != self.new_id)
    }
}

/// Returns the reference a key stands for; `None` for an image without name.
pub(crate) fn key_reference(key: &str) -> Option<Reference> {
    match key.starts_with("sha256:") {
        true => None,
        false => Reference::parse(key).ok(),
    }
}

impl ImageStore {
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

    pub(crate) fn names_path(&self, cluster: &str) -> Result<PathBuf, StoreError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let valid = !cluster.is_empty() && cluster.len() < 200 && cluster.bytes().all(word);
        match valid && !cluster.starts_with('.') {
            true => Ok(self.dir.join("names").join(format!("{cluster}.json"))),
            false => Err(StoreError::ClusterName(cluster.to_owned())),
        }
    }

    pub(crate) fn read_names(&self, cluster: &str) -> Result<NameFile, StoreError> {
        read_file(&self.names_path(cluster)?)
    }

    /// Reads the names of every cluster that has any.
    pub(crate) fn read_all_names(&self) -> Result<Vec<NameFile>, StoreError> {
        let directory = self.dir.join("names");
        let mut all = Vec::new();
        let entries = std::fs::read_dir(&directory);
        for entry in entries.map_err(StoreError::io("list", &directory))? {
            let path = entry.map_err(StoreError::io("list", &directory))?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if !hidden
                && path
                    .extension()
                    .is_some_and(|extension| extension == "json")
            {
                all.push(read_file(&path)?);
            }
        }
        Ok(all)
    }

    /// Points names at images and says what changed.
    pub(crate) fn set_names(
        &self,
        cluster: &str,
        names: &[(String, Digest)],
    ) -> Result<Vec<NameChange>, StoreError> {
        let old = self.change_names(cluster, |file| {
            let set = names.iter().map(|(key, digest)| {
                let entry = NameEntry { digest: *digest };
                file.images.insert(key.clone(), entry).map(|old| old.digest)
            });
            Ok(set.collect::<Vec<_>>())
        })?;
        let pairs = names.iter().zip(old);
        Ok(pairs
            .map(|((key, new), old)| self.changed(key, old, Some(*new)))
            .collect())
    }

    pub(crate) fn changed(
        &self,
        key: &str,
        old: Option<Digest>,
        new: Option<Digest>,
    ) -> NameChange {
        let id = |digest: Digest| Some(self.documents(digest).ok()?.0.config.digest);
        NameChange {
            reference: key_reference(key),
            old,
            new,
            old_id: old.and_then(id),
            new_id: new.and_then(id),
        }
    }

    /// Changes a cluster's names under the writers' lock.
    pub(crate) fn change_names<T>(
        &self,
        cluster: &str,
        change: impl FnOnce(&mut NameFile) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let path = self.names_path(cluster)?;
        let _writer = self.lock_names()?;
        let before = read_file(&path)?;
        let mut names = before.clone();
        let result = change(&mut names)?;
        if names != before {
            names.format = super::FORMAT;
            let text = serde_json::to_vec_pretty(&names).map_err(|error| StoreError::Broken {
                what: path.display().to_string(),
                reason: error.to_string(),
            })?;
            replace(&path, &text, self.options.durable)?;
        }
        Ok(result)
    }
}

fn read_file(path: &Path) -> Result<NameFile, StoreError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(NameFile::default());
        }
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    serde_json::from_slice(&text).map_err(|error| StoreError::Broken {
        what: path.display().to_string(),
        reason: error.to_string(),
    })
}
