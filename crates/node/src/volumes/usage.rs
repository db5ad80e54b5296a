//! How much of a claim is used. The size of a folder is not enforced, so a
//! claim that has outgrown its size is at least told of.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use coracle_client::Key;
use coracle_machinery::quantity::{Format, Quantity};

use super::tree::Tree;

/// A folder with more entries than this is not measured to the end.
const ENTRIES_MAX: usize = 200_000;

/// Remembers which claims were told of.
#[derive(Debug, Default)]
pub struct Watcher {
    exceeded: BTreeSet<Key>,
}

impl Watcher {
    /// Measures claims, given their path and size, and returns what is to be
    /// said about those that have become too large since the last time.
    pub fn measure(
        &mut self,
        tree: &Tree,
        claims: BTreeMap<Key, (String, i64)>,
    ) -> Vec<(Key, String)> {
        self.exceeded.retain(|key| claims.contains_key(key));
        let mut told = Vec::new();
        for (key, (path, size)) in claims {
            let used = used(&tree.place(&path));
            if used <= size {
                self.exceeded.remove(&key);
            } else if self.exceeded.insert(key.clone()) {
                told.push((key, text(used, size)));
            }
        }
        told
    }
}

fn text(used: i64, size: i64) -> String {
    let show = |bytes| Quantity::new(bytes, Format::BinarySi);
    format!(
        "the volume holds {} but the claim asks for {}; the size is not enforced, writing still succeeds",
        show(used),
        show(size)
    )
}

/// Returns how many bytes the files below a folder take on the disk.
pub fn used(folder: &Path) -> i64 {
    let (mut bytes, mut entries) = (0, 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            entries += 1;
            if entries > ENTRIES_MAX {
                return bytes;
            }
            // Of a link, this is the link itself.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            bytes += metadata.blocks() as i64 * 512;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outgrown_claim_is_told_of_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = Tree::new(folder.path().to_owned());
        tree.make_shared("/one").expect("made");
        std::fs::write(tree.place("/one/file"), vec![1; 10_000]).expect("written");
        let key = Key::new("ns", "data");
        let claims = |size| BTreeMap::from([(key.clone(), ("/one".to_owned(), size))]);
        let mut watcher = Watcher::default();
        assert!(watcher.measure(&tree, claims(1 << 20)).is_empty());
        let told = watcher.measure(&tree, claims(4096));
        assert!(told[0].1.contains("asks for 4Ki"), "{told:?}");
        assert!(watcher.measure(&tree, claims(4096)).is_empty());
        assert!(watcher.measure(&tree, claims(1 << 20)).is_empty());
        assert_eq!(watcher.measure(&tree, claims(4096)).len(), 1);
    }
}
