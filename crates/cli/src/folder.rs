//! Files of a folder, read into memory.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use coracle_helm::File;
use coracle_helm::ignore::Rules;

use crate::disk::path_error;

/// Folders nest at most this deep: a link may lead back up.
const DEPTH_MAX: usize = 40;
/// Largest file of a chart that Helm takes.
const FILE_BYTES_MAX: u64 = 5 * 1024 * 1024;

/// From this many bytes on, reading pays for a second thread.
const THREAD_BYTES: u64 = 256 << 10;

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
        Walk::of(root, None).run()
    }

    /// Reads the folder of a chart; what its `.helmignore` names is not even
    /// opened.
    pub fn of_chart(root: &Path) -> anyhow::Result<Folder> {
        let rules = std::fs::read(root.join(".helmignore")).unwrap_or_default();
        let rules = Rules::parse(&rules).map_err(|message| anyhow::anyhow!(message))?;
        Walk::of(root, Some(rules)).run()
    }
}

struct Walk<'w> {
    root: &'w Path,
    rules: Option<Rules>,
    found: Vec<Found>,
    folders: BTreeSet<String>,
}

/// A file that is to be read.
struct Found {
    path: PathBuf,
    /// The path from the folder on.
    name: String,
    length: u64,
    modified: Option<SystemTime>,
}

impl<'w> Walk<'w> {
    fn of(root: &'w Path, rules: Option<Rules>) -> Walk<'w> {
        Walk {
            root,
            rules,
            found: Vec::new(),
            folders: BTreeSet::new(),
        }
    }

    fn run(mut self) -> anyhow::Result<Folder> {
        self.folder(self.root, 0)?;
        Ok(Folder {
            files: read_all(&self.found)?,
            folders: self.folders,
        })
    }

    fn folder(&mut self, here: &Path, depth: usize) -> anyhow::Result<()> {
        anyhow::ensure!(
            depth < DEPTH_MAX,
            "{} is nested too deep; does a link lead in a circle?",
            here.display()
        );
        let entries = std::fs::read_dir(here).map_err(|error| path_error("open", here, &error))?;
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()?;
        paths.sort();
        for path in paths {
            self.entry(&path, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, depth: usize) -> anyhow::Result<()> {
        let name = path.strip_prefix(self.root).unwrap_or(path);
        let name = name.to_string_lossy().into_owned();
        let metadata = metadata(path)?;
        let rules = self.rules.as_ref();
        if metadata.is_dir() {
            if rules.is_some_and(|rules| rules.ignores_folder(&name)) {
                return Ok(());
            }
            self.folders.insert(name);
            return self.folder(path, depth + 1);
        }
        if rules.is_some_and(|rules| rules.ignores(&name)) {
            return Ok(());
        }
        anyhow::ensure!(
            metadata.is_file(),
            "cannot load irregular file {} as it has file mode type bits set",
            absolute(path)
        );
        anyhow::ensure!(
            metadata.len() <= FILE_BYTES_MAX,
            "chart file {:?} is larger than the maximum file size {FILE_BYTES_MAX}",
            path.file_name().unwrap_or_default().to_string_lossy()
        );
        self.found.push(Found {
            path: path.to_owned(),
            name,
            length: metadata.len(),
            modified: metadata.modified().ok(),
        });
        Ok(())
    }
}

/// Reads files, half of the bytes on a thread of its own.
fn read_all(found: &[Found]) -> anyhow::Result<Vec<File>> {
    let read = |found: &[Found]| found.iter().map(Found::read).collect();
    let total: u64 = found.iter().map(|file| file.length).sum();
    if total < THREAD_BYTES {
        return read(found);
    }
    let mut before = 0;
    let middle = found.iter().position(|file| {
        before += file.length;
        before * 2 > total
    });
    let (first, second) = found.split_at(middle.unwrap_or_default());
    std::thread::scope(|scope| {
        let rest = scope.spawn(|| read(second));
        let mut files: Vec<File> = read(first)?;
        files.extend(rest.join().expect("reading does not panic")?);
        Ok(files)
    })
}

impl Found {
    fn read(&self) -> anyhow::Result<File> {
        let data = read_whole(&self.path, self.length).map_err(|error| {
            let error = path_error("open", absolute(&self.path), &error);
            anyhow::anyhow!("error reading /{}: {error}", self.name)
        })?;
        Ok(File {
            modified: self.modified,
            ..File::new(&*self.name, data)
        })
    }
}

/// Reads a file of a known length into memory that can be shared.
fn read_whole(path: &Path, length: u64) -> std::io::Result<Arc<[u8]>> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut data = Arc::<[u8]>::new_uninit_slice(length);
    let buffer = Arc::get_mut(&mut data).expect("nobody else knows of it yet");
    let file = std::fs::File::open(path)?;
    let mut filled = 0;
    while filled < length {
        let (read, _) = rustix::io::retry_on_intr(|| {
            rustix::io::read(&file, &mut buffer[filled..]).map(|(read, _)| (read.len(), ()))
        })?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    if filled < length || length == 0 {
        // It shrank meanwhile, or has no length, as files of /proc.
        return Ok(std::fs::read(path)?.into());
    }
    // SAFETY: reading has filled all of it.
    Ok(unsafe { data.assume_init() })
}

fn absolute(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.display().to_string()
}

/// What a path leads to; a link that leads nowhere is named, and where it ends.
fn metadata(path: &Path) -> anyhow::Result<Metadata> {
    std::fs::metadata(path).map_err(|error| {
        if !path.is_symlink() {
            return path_error("lstat", absolute(path), &error);
        }
        anyhow::anyhow!(
            "error evaluating symlink {}: {}",
            absolute(path),
            path_error("lstat", first_missing(path), &error)
        )
    })
}

/// The first part of where a link leads that is not there.
fn first_missing(link: &Path) -> PathBuf {
    let Ok(target) = std::fs::read_link(link) else {
        return link.to_owned();
    };
    let absolute = std::path::absolute(link).unwrap_or_else(|_| link.to_owned());
    let mut here = match target.is_absolute() {
        true => PathBuf::from("/"),
        false => absolute.parent().map(Path::to_owned).unwrap_or_default(),
    };
    for part in target.components() {
        match part {
            std::path::Component::ParentDir => {
                here.pop();
            }
            std::path::Component::Normal(name) => here.push(name),
            _ => {}
        }
        if !here.exists() {
            return match here.is_symlink() && here != absolute {
                true => first_missing(&here),
                false => here,
            };
        }
    }
    here
}
