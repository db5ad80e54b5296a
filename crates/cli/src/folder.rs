//! Files of a folder, read into memory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use coracle_helm::File;

/// Folders nest at most this deep: a link may lead back up.
const DEPTH_MAX: usize = 40;

/// Everything below a folder; links are followed, as Helm does.
#[derive(Debug, Default)]
pub struct Folder {
    /// The files, with paths from the folder on.
    pub files: Vec<File>,
    /// Paths of the folders.
    pub folders: BTreeSet<String>,
}

impl Folder {
    /// Reads a folder.
    pub fn read(root: &Path) -> anyhow::Result<Folder> {
        let mut folder = Folder::default();
        folder.collect(root, root, 0)?;
        Ok(folder)
    }

    fn collect(&mut self, root: &Path, here: &Path, depth: usize) -> anyhow::Result<()> {
        anyhow::ensure!(
            depth < DEPTH_MAX,
            "{} is nested too deep; does a link lead in a circle?",
            here.display()
        );
        let entries = std::fs::read_dir(here)
            .with_context(|| format!("could not read {}", here.display()))?;
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()?;
        paths.sort();
        for path in paths {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                self.folders.insert(name);
                self.collect(root, &path, depth + 1)?;
                continue;
            }
            let data = std::fs::read(&path)
                .with_context(|| format!("could not read {}", path.display()))?;
            self.files.push(File::new(name, data));
        }
        Ok(())
    }
}
