//! How much of a disk is left, and how much of it a folder takes.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// So much must stay free: this many bytes, and this share of the whole.
const FREE_MIN: u64 = 1 << 30;
const SHARE_MIN: u64 = 50;

/// The room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What may still be written.
    pub available: u64,
}

impl Space {
    /// Returns below what the node gets rid of pods.
    pub fn threshold(self) -> u64 {
        FREE_MIN.max(self.total / SHARE_MIN)
    }

    /// Whether too little is left.
    pub fn is_short(self) -> bool {
        self.available < self.threshold()
    }
}

/// Returns the room on the file system of a path.
pub fn space(path: &Path) -> Option<Space> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(Space {
        total: stat.f_blocks * stat.f_frsize,
        available: stat.f_bavail * stat.f_frsize,
    })
}

/// Returns what a folder takes on its own file system; files with several
/// names count once, what is mounted below does not count.
pub fn usage(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return 0;
    };
    let mut seen = HashSet::new();
    let mut bytes = 0;
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(own) = entry.metadata() else { continue };
            if own.dev() != meta.dev() {
                continue;
            }
            if own.nlink() < 2 || own.is_dir() || seen.insert(own.ino()) {
                bytes += own.blocks() * 512;
            }
            if own.is_dir() {
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
    fn the_larger_threshold_counts() {
        let check = |total_gib: u64, available_mib: u64, short: bool| {
            let space = Space {
                total: total_gib << 30,
                available: available_mib << 20,
            };
            assert_eq!(space.is_short(), short, "{space:?}");
        };
        check(10, 1025, false);
        check(10, 1023, true);
        check(100, 2047, true);
        check(100, 2049, false);
    }

    #[test]
    fn folders_are_added_up_once() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let before = usage(dir.path());
        fs::create_dir(dir.path().join("deep")).expect("a folder for the test");
        fs::write(dir.path().join("deep/a"), vec![1; 1 << 20]).expect("a file for the test");
        fs::hard_link(dir.path().join("deep/a"), dir.path().join("b")).expect("a link");
        let grown = usage(dir.path()) - before;
        assert!((1 << 20..3 << 19).contains(&grown), "{grown}");
    }
}
