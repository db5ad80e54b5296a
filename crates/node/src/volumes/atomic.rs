//! Files that change all at once: `..data` names the folder of the present
//! version, every file is a link through it (upstream: pkg/volume/util/atomic_writer.go).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{give, make_dir};

/// One file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What is in it.
    pub content: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// The user whose it is; root's if `None`.
    pub owner: Option<u32>,
}

/// Makes `dir` hold exactly `files` (relative paths), replacing an earlier
/// version in one step; does nothing if they are the same.
pub fn write(dir: &Path, files: &BTreeMap<String, File>, group: Option<u32>) -> io::Result<()> {
    make_dir(dir)?;
    let data = dir.join("..data");
    if is_current(&data, files) {
        return Ok(());
    }
    let version = new_version(dir)?;
    for (path, file) in files {
        write_file(&version.join(path), file, group)?;
    }
    let old = fs::read_link(&data).ok();
    let next = dir.join("..data_tmp");
    let _ = fs::remove_file(&next);
    symlink(version.file_name().unwrap_or_default(), &next)?;
    fs::rename(&next, &data)?;
    link_top_level(dir, files)?;
    if let Some(old) = old {
        let _ = fs::remove_dir_all(dir.join(old));
    }
    Ok(())
}

fn is_current(data: &Path, files: &BTreeMap<String, File>) -> bool {
    data.exists()
        && files.iter().all(|(path, file)| {
            fs::read(data.join(path)).is_ok_and(|content| content == file.content)
        })
        && count(data) == files.len()
}

fn count(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                count(&entry.path())
            } else {
                1
            }
        })
        .sum()
}

fn new_version(dir: &Path) -> io::Result<std::path::PathBuf> {
    loop {
        let version = dir.join(format!("..{:016x}", rand::random::<u64>()));
        match fs::create_dir(&version) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => {
                fs::set_permissions(&version, fs::Permissions::from_mode(0o755))?;
                return Ok(version);
            }
        }
    }
}

fn write_file(path: &Path, file: &File, group: Option<u32>) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    fs::write(path, &file.content)?;
    if file.owner.is_some() || group.is_some() {
        give(path, file.owner, group)?;
    }
    // A group that owns the volume can read all of it (upstream: SetVolumeOwnership).
    let mode = if group.is_some() {
        file.mode | 0o440
    } else {
        file.mode
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Links the first component of every path; removes links to what is gone.
fn link_top_level(dir: &Path, files: &BTreeMap<String, File>) -> io::Result<()> {
    let wanted: BTreeSet<&str> = files
        .keys()
        .filter_map(|path| path.split('/').next())
        .collect();
    for name in &wanted {
        match symlink(Path::new("..data").join(name), dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for entry in fs::read_dir(dir)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !wanted.contains(&*name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, File> {
        let file = |content: &str| File {
            content: content.into(),
            mode: 0o644,
            owner: None,
        };
        list.iter()
            .map(|(path, content)| ((*path).to_owned(), file(content)))
            .collect()
    }

    #[test]
    fn a_new_version_replaces_the_old_one_whole() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        write(dir.path(), &files(&[("a", "1"), ("deep/b", "2")]), None).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("deep/b")).unwrap(), "2");
        let version = fs::read_link(dir.path().join("..data")).unwrap();
        write(dir.path(), &files(&[("a", "1"), ("deep/b", "2")]), None).unwrap();
        assert_eq!(fs::read_link(dir.path().join("..data")).unwrap(), version);
        write(dir.path(), &files(&[("a", "3")]), None).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "3");
        assert!(!dir.path().join("deep").exists());
        assert!(!dir.path().join(version).exists());
    }
}
