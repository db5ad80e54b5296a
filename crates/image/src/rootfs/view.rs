//! Several layers read as the one tree overlay would show: [`View`].
//!
//! Read only, without a mount and without privileges, so that a build or a
//! look-up of a user needs neither. Links are resolved inside the view.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use super::xattr;

/// Links followed before a path is called a loop; the kernel's number.
const LINKS_MAX: usize = 40;

/// Layers as one tree.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Uppermost first, as overlay lists them.
    layers: Vec<PathBuf>,
}

/// Something found in a view.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its path in the view, starting with `/`, free of links but for the
    /// last component.
    pub path: PathBuf,
    /// Where its uppermost version lies on this machine.
    pub source: PathBuf,
    /// What it is.
    pub kind: FoundKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner, as the image means it.
    pub uid: u32,
    /// Group, as the image means it.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Layers that take part, uppermost first; one unless a directory.
    parts: Vec<usize>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link and its target.
    Symlink(PathBuf),
    /// Named pipe, socket or device.
    Other,
}

/// A view that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// Reading failed.
    #[error("cannot read {path} of the image")]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The path's links lead in a circle.
    #[error("{path} leads through too many symbolic links")]
    Loop {
        /// Which path.
        path: PathBuf,
    },
    /// A file is larger than the caller can use.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The caller's bound.
        limit: u64,
    },
}

/// How far a path leads.
struct Walked {
    /// What exists, from the root on.
    stack: Vec<Found>,
    /// The rest of the path, which does not exist.
    missing: Vec<OsString>,
}

impl Walked {
    fn up(&mut self) {
        if self.missing.pop().is_none() && self.stack.len() > 1 {
            self.stack.pop();
        }
    }
}

impl View {
    /// Returns a view of `layers`, lowest first.
    pub fn new(layers: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut layers: Vec<_> = layers.into_iter().collect();
        layers.reverse();
        Self { layers }
    }

    /// Returns the layer directories, uppermost first, as overlay's
    /// `lowerdir` lists them.
    pub fn layers_uppermost_first(&self) -> &[PathBuf] {
        &self.layers
    }

    /// Returns what `path` names, following links; `None` when it does not
    /// exist.
    ///
    /// # Errors
    ///
    /// Fails when a layer cannot be read or links lead in a circle.
    pub fn find(&self, path: impl AsRef<Path>) -> Result<Option<Found>, ViewError> {
        self.resolve(path.as_ref(), true)
    }

    /// Returns what `path` names, not following a link at its end.
    ///
    /// # Errors
    ///
    /// Fails as [`View::find`] does.
    pub fn find_no_follow(&self, path: impl AsRef<Path>) -> Result<Option<Found>, ViewError> {
        self.resolve(path.as_ref(), false)
    }

    /// Returns the path behind all links, as far as it exists, and the rest
    /// as written.
    ///
    /// # Errors
    ///
    /// Fails as [`View::find`] does.
    pub fn real_path(&self, path: impl AsRef<Path>) -> Result<PathBuf, ViewError> {
        let walked = self.walk(path.as_ref(), true)?;
        let mut real = match walked.stack.last() {
            Some(found) => found.path.clone(),
            None => PathBuf::from("/"),
        };
        real.extend(walked.missing);
        Ok(real)
    }

    /// Returns a file's content, `None` when there is no such file.
    ///
    /// # Errors
    ///
    /// Fails as [`View::find`] does, and when the file has more than `limit`
    /// bytes.
    pub fn read(&self, path: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>, ViewError> {
        let path = path.as_ref();
        let found = match self.find(path)? {
            Some(found) if found.kind == FoundKind::File => found,
            _ => return Ok(None),
        };
        let mut content = Vec::new();
        let read = File::open(&found.source)
            .and_then(|file| file.take(limit + 1).read_to_end(&mut content));
        read.map_err(|source| unreadable(path, source))?;
        match content.len() as u64 > limit {
            true => Err(ViewError::TooLarge {
                path: path.to_owned(),
                limit,
            }),
            false => Ok(Some(content)),
        }
    }

    /// Returns the entries of a directory, sorted by name.
    ///
    /// # Errors
    ///
    /// Fails when a layer cannot be read.
    pub fn children(&self, directory: &Found) -> Result<Vec<Found>, ViewError> {
        let relative = relative(&directory.path);
        let mut names: BTreeMap<OsString, ()> = BTreeMap::new();
        for part in &directory.parts {
            let path = self.layers[*part].join(relative);
            let listed = std::fs::read_dir(&path).and_then(|entries| {
                for entry in entries {
                    names.insert(entry?.file_name(), ());
                }
                Ok(())
            });
            listed.map_err(|source| unreadable(&directory.path, source))?;
        }
        let mut children = Vec::new();
        for name in names.into_keys() {
            children.extend(self.child(directory, &name)?);
        }
        Ok(children)
    }

    /// Returns the root directory; `None` for a view of no layers.
    fn root(&self) -> Result<Option<Found>, ViewError> {
        let Some(first) = self.layers.first() else {
            return Ok(None);
        };
        let metadata = std::fs::symlink_metadata(first);
        let metadata = metadata.map_err(|source| unreadable(Path::new("/"), source))?;
        let path = PathBuf::from("/");
        let mut root = describe(path, first.clone(), &metadata, FoundKind::Directory)?;
        root.parts = self.parts_of_root()?;
        Ok(Some(root))
    }

    fn parts_of_root(&self) -> Result<Vec<usize>, ViewError> {
        let mut parts = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            parts.push(index);
            if is_opaque(layer).map_err(|source| unreadable(Path::new("/"), source))? {
                break;
            }
        }
        Ok(parts)
    }

    fn resolve(&self, path: &Path, follow_last: bool) -> Result<Option<Found>, ViewError> {
        let mut walked = self.walk(path, follow_last)?;
        match walked.missing.is_empty() {
            true => Ok(walked.stack.pop()),
            false => Ok(None),
        }
    }

    fn walk(&self, path: &Path, follow_last: bool) -> Result<Walked, ViewError> {
        let mut todo = components(path);
        let mut walked = Walked {
            stack: self.root()?.into_iter().collect(),
            missing: Vec::new(),
        };
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == ".." {
                walked.up();
                continue;
            }
            let Some(child) = self.next(&walked, &name)? else {
                walked.missing.push(name);
                continue;
            };
            match &child.kind {
                FoundKind::Symlink(target) if follow_last || !todo.is_empty() => {
                    links += 1;
                    if links > LINKS_MAX {
                        let path = path.to_owned();
                        return Err(ViewError::Loop { path });
                    }
                    if target.is_absolute() {
                        walked.stack.truncate(1);
                    }
                    for name in components(target).into_iter().rev() {
                        todo.push_front(name);
                    }
                }
                _ => walked.stack.push(child),
            }
        }
        Ok(walked)
    }

    fn next(&self, walked: &Walked, name: &OsStr) -> Result<Option<Found>, ViewError> {
        match walked.stack.last() {
            Some(current) if walked.missing.is_empty() && current.kind == FoundKind::Directory => {
                self.child(current, name)
            }
            _ => Ok(None),
        }
    }

    // One component, looked up from the uppermost layer down: a whiteout or
    // anything but a directory ends the search, an opaque directory too.
    pub(crate) fn child(&self, parent: &Found, name: &OsStr) -> Result<Option<Found>, ViewError> {
        let path = parent.path.join(name);
        let mut found: Option<Found> = None;
        for part in &parent.parts {
            let source = self.layers[*part].join(relative(&path));
            let metadata = match std::fs::symlink_metadata(&source) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unreadable(&path, error)),
            };
            let seen = look(&source, &metadata).map_err(|error| unreadable(&path, error))?;
            let Some((kind, ends_here)) = seen else {
                break;
            };
            let is_directory = kind == FoundKind::Directory;
            match &mut found {
                Some(upper) if is_directory => upper.parts.push(*part),
                Some(_) => break,
                None => {
                    let mut first = describe(path.clone(), source, &metadata, kind)?;
                    first.parts.push(*part);
                    found = Some(first);
                }
            }
            if ends_here {
                break;
            }
        }
        Ok(found)
    }
}

// `None` is a whiteout; the flag says that lower layers are hidden.
fn look(source: &Path, metadata: &Metadata) -> io::Result<Option<(FoundKind, bool)>> {
    let kind = metadata.file_type();
    if kind.is_char_device() && metadata.rdev() == 0 {
        return Ok(None);
    }
    if kind.is_dir() {
        return Ok(Some((FoundKind::Directory, is_opaque(source)?)));
    }
    if kind.is_symlink() {
        let target = std::fs::read_link(source)?;
        return Ok(Some((FoundKind::Symlink(target), true)));
    }
    if !kind.is_file() {
        return Ok(Some((FoundKind::Other, true)));
    }
    // Whiteouts by attribute are empty and closed to all.
    if metadata.len() == 0
        && metadata.mode() & 0o777 == 0
        && xattr_of(source, xattr::WHITEOUT)?.is_some()
    {
        return Ok(None);
    }
    Ok(Some((FoundKind::File, true)))
}

fn is_opaque(directory: &Path) -> io::Result<bool> {
    let value = xattr_of(directory, xattr::OPAQUE)?;
    Ok(value.is_some_and(|value| value == b"y"))
}

// By path: neither a file nor a directory need be readable for this.
fn xattr_of(path: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    use rustix::io::Errno;
    let mut value = [0; 64];
    match rustix::fs::lgetxattr(path, name, value.as_mut_slice()) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE | Errno::PERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn describe(
    path: PathBuf,
    source: PathBuf,
    metadata: &Metadata,
    kind: FoundKind,
) -> Result<Found, ViewError> {
    let mut owner = (metadata.uid(), metadata.gid());
    if matches!(kind, FoundKind::File | FoundKind::Directory) {
        let recorded = xattr_of(&source, xattr::OWNER);
        let recorded = recorded.map_err(|error| unreadable(&path, error))?;
        if let Some(recorded) = recorded.as_deref().and_then(xattr::parse_owner) {
            owner = recorded;
        }
    }
    Ok(Found {
        path,
        source,
        kind,
        mode: metadata.mode() & 0o7777,
        uid: owner.0,
        gid: owner.1,
        size: metadata.len(),
        parts: Vec::new(),
    })
}

fn unreadable(path: &Path, source: io::Error) -> ViewError {
    ViewError::Read {
        path: path.to_owned(),
        source,
    }
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn components(path: &Path) -> VecDeque<OsString> {
    let parts = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    let parts = parts.filter(|part| !matches!(*part, b"" | b"."));
    parts
        .map(|part| OsStr::from_bytes(part).to_owned())
        .collect()
}

/// Returns an absolute path without `.` and `..`, resolved as text.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}
