//! Digests of context files, remembered from build to build: [`FileDigests`].
//!
//! A file is known by device, inode, size and the times of its last change; one
//! that changed in the last seconds is not remembered, since a further change
//! might not show in its times. One text file for each context.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::digest::Digest;

/// Age from which a file's times can be trusted.
const SETTLED_SECONDS: i64 = 2;
/// Most files remembered for a context.
const FILES_MAX: usize = 500_000;

/// Device, inode, size, and both times in nanoseconds.
type Identity = [i64; 7];

/// Remembered digests.
#[derive(Debug, Default)]
pub(crate) struct FileDigests {
    path: Option<PathBuf>,
    known: HashMap<Identity, Digest>,
    used: HashMap<Identity, Digest>,
    now: i64,
}

impl FileDigests {
    /// Reads what is remembered at `path`; nothing there, or something broken,
    /// is nothing remembered.
    pub(crate) fn open(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            path: Some(path),
            known: text.lines().filter_map(entry).collect(),
            used: HashMap::new(),
            now: now.map_or(0, |now| now.as_secs() as i64),
        }
    }

    /// Returns the digest of a file that has not changed since.
    pub(crate) fn get(&mut self, metadata: &Metadata) -> Option<Digest> {
        let identity = identity(metadata);
        let digest = *self.known.get(&identity)?;
        self.used.insert(identity, digest);
        Some(digest)
    }

    /// Remembers a digest of a file that was read with this metadata.
    pub(crate) fn put(&mut self, metadata: &Metadata, digest: Digest) {
        let changed = metadata.ctime().max(metadata.mtime());
        if changed + SETTLED_SECONDS < self.now && self.used.len() < FILES_MAX {
            self.used.insert(identity(metadata), digest);
        }
    }

    /// Writes down what this build used; failing is no harm.
    pub(crate) fn save(&self) {
        let Some(path) = &self.path else {
            return;
        };
        if self.used.is_empty() || self.used == self.known {
            return;
        }
        let mut text = String::with_capacity(self.used.len() * 140);
        for (identity, digest) in &self.used {
            for number in identity {
                text.push_str(&number.to_string());
                text.push(' ');
            }
            text.push_str(&digest.hex());
            text.push('\n');
        }
        if let Err(error) = write(path, &text) {
            tracing::debug!(%error, "file digests are not remembered");
        }
    }
}

fn write(path: &Path, text: &str) -> Result<(), crate::store::StoreError> {
    crate::store::replace_file(path, text.as_bytes())
}

fn identity(metadata: &Metadata) -> Identity {
    [
        metadata.dev() as i64,
        metadata.ino() as i64,
        metadata.size() as i64,
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ]
}

fn entry(line: &str) -> Option<(Identity, Digest)> {
    let mut fields = line.split(' ');
    let mut identity = [0; 7];
    for number in &mut identity {
        *number = fields.next()?.parse().ok()?;
    }
    Some((identity, Digest::from_hex(fields.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settled_files_are_remembered_and_changes_are_seen() {
        let dir = tempfile::tempdir().expect("directory");
        let (file, memory) = (dir.path().join("f"), dir.path().join("memory"));
        std::fs::write(&file, "a").expect("writes");
        let metadata = std::fs::metadata(&file).expect("there");
        let digest = Digest::of(b"a");
        let mut fresh = FileDigests::open(memory.clone());
        fresh.put(&metadata, digest);
        fresh.save();
        assert_eq!(
            FileDigests::open(memory.clone()).get(&metadata),
            None,
            "too young"
        );
        let mut later = FileDigests::open(memory.clone());
        later.now += 60;
        later.put(&metadata, digest);
        later.save();
        assert_eq!(
            FileDigests::open(memory.clone()).get(&metadata),
            Some(digest)
        );
        std::fs::write(&file, "bb").expect("writes");
        let changed = std::fs::metadata(&file).expect("there");
        assert_eq!(FileDigests::open(memory.clone()).get(&changed), None);
        std::fs::write(&memory, "broken\n1 2 3\n").expect("writes");
        assert_eq!(FileDigests::open(memory).get(&metadata), None);
    }
}
