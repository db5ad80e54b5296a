//! What a `COPY`, `ADD` or `WORKDIR` will put where: [`Plan`].
//!
//! A plan lists every member of the layer to come, sorted, with the parent
//! directories as they are in the tree below. Its digest is the step's cache
//! key, its archive the layer: both depend on nothing else.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::digests::FileDigests;
use crate::digest::{Digest, Hasher, HashingReader};
use crate::rootfs::{Found, FoundKind, View, ViewError};
use crate::tar::{Kind, Member, TarWriter};

/// Changes whenever the same plan would give another archive.
const PLAN_VERSION: &[u8] = b"plan 1";

/// Members of a layer to come, by path without a leading slash.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    members: BTreeMap<OsString, Planned>,
    /// Planned directories and what they are in the tree below: `None` for new
    /// ones, in which nothing needs to be looked for.
    directories: HashMap<OsString, Option<Found>>,
}

/// One member to come.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) kind: PlannedKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What a member will be.
#[derive(Debug, Clone)]
pub(crate) enum PlannedKind {
    Directory,
    Symlink(PathBuf),
    /// A file of this machine, or a part of one.
    File {
        path: PathBuf,
        offset: u64,
        size: u64,
    },
    /// Content at hand.
    Data(Vec<u8>),
    /// Another name of an earlier member.
    HardLink(PathBuf),
}

/// A plan that cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("{0}")]
    Conflict(String),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Owner of what is newly made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Plans a directory and its parents; existing ones stay as they are.
    /// Returns whether it is new.
    pub(crate) fn directory(
        &mut self,
        below: &View,
        path: &Path,
        mode: u32,
        owner: Owner,
    ) -> Result<bool, PlanError> {
        if is_root(path) {
            return Ok(false);
        }
        self.parents(below, path, owner)?;
        if let Some(planned) = self.members.get(&key(path)) {
            return match planned.kind {
                PlannedKind::Directory => Ok(false),
                _ => Err(not_a_directory(path)),
            };
        }
        if let Some(found) = self.existing(below, path)? {
            self.keep(path, &found)?;
            self.directories.insert(key(path), Some(found));
            return Ok(false);
        }
        self.directories.insert(key(path), None);
        self.put(
            path,
            Planned {
                kind: PlannedKind::Directory,
                mode,
                uid: owner.uid,
                gid: owner.gid,
            },
        );
        Ok(true)
    }

    /// Plans anything but a directory, and its parents.
    pub(crate) fn file(
        &mut self,
        below: &View,
        path: &Path,
        planned: Planned,
        owner: Owner,
    ) -> Result<(), PlanError> {
        if is_root(path) {
            return Err(PlanError::Conflict(
                "a file cannot replace the root".to_owned(),
            ));
        }
        self.parents(below, path, owner)?;
        let planned_directory = self.members.get(&key(path));
        let planned_directory =
            planned_directory.is_some_and(|known| matches!(known.kind, PlannedKind::Directory));
        let found = self.existing(below, path)?;
        let found_directory = found.is_some_and(|found| found.kind == FoundKind::Directory);
        if planned_directory || found_directory {
            return Err(PlanError::Conflict(format!(
                "{} is a directory, a file cannot take its place",
                path.display()
            )));
        }
        self.put(path, planned);
        Ok(())
    }

    fn parents(&mut self, below: &View, path: &Path, owner: Owner) -> Result<(), PlanError> {
        match path.parent() {
            Some(parent) if !is_root(parent) && !self.directories.contains_key(&key(parent)) => {
                self.directory(below, parent, 0o755, owner).map(|_| ())
            }
            _ => Ok(()),
        }
    }

    fn existing(&self, below: &View, path: &Path) -> Result<Option<Found>, PlanError> {
        let parent = path
            .parent()
            .and_then(|parent| self.directories.get(&key(parent)));
        match (parent, path.file_name()) {
            (Some(None), _) => Ok(None),
            (Some(Some(parent)), Some(name)) => Ok(below.child(parent, name)?),
            _ => Ok(below.find_no_follow(path)?),
        }
    }

    fn keep(&mut self, path: &Path, found: &Found) -> Result<(), PlanError> {
        match &found.kind {
            FoundKind::Directory => {
                self.put(
                    path,
                    Planned {
                        kind: PlannedKind::Directory,
                        mode: found.mode,
                        uid: found.uid,
                        gid: found.gid,
                    },
                );
                Ok(())
            }
            FoundKind::Symlink(target) => Err(PlanError::Conflict(format!(
                "{} is a link to {} there, a directory cannot take its place; copy to the link's target",
                path.display(),
                target.display()
            ))),
            _ => Err(not_a_directory(path)),
        }
    }

    fn put(&mut self, path: &Path, planned: Planned) {
        self.members.insert(key(path), planned);
    }

    /// Returns the digest of everything the archive will hold.
    pub(crate) fn digest(
        &self,
        epoch_seconds: i64,
        digests: &mut FileDigests,
    ) -> Result<Digest, PlanError> {
        let mut hasher = Hasher::new();
        hasher.field(PLAN_VERSION);
        hasher.field(&epoch_seconds.to_le_bytes());
        for (path, planned) in &self.members {
            hasher.field(path.as_bytes());
            for number in [planned.mode, planned.uid, planned.gid] {
                hasher.update(&number.to_le_bytes());
            }
            planned.hash(&mut hasher, digests)?;
        }
        Ok(hasher.finish())
    }

    /// Writes the layer archive.
    pub(crate) fn write<W: Write>(&self, archive: W, epoch_seconds: i64) -> Result<W, PlanError> {
        let mut writer = TarWriter::new(archive);
        for (path, planned) in &self.members {
            let written = planned.write(path.as_bytes(), epoch_seconds, &mut writer);
            written.map_err(|source| PlanError::Read {
                path: planned.source().unwrap_or_else(|| PathBuf::from(path)),
                source,
            })?;
        }
        writer.finish().map_err(|source| PlanError::Read {
            path: PathBuf::from("the layer"),
            source,
        })
    }
}

impl Planned {
    fn source(&self) -> Option<PathBuf> {
        match &self.kind {
            PlannedKind::File { path, .. } => Some(path.clone()),
            _ => None,
        }
    }

    fn hash(&self, hasher: &mut Hasher, digests: &mut FileDigests) -> Result<(), PlanError> {
        match &self.kind {
            PlannedKind::Directory => hasher.field(b"directory"),
            PlannedKind::Symlink(target) => {
                hasher.field(b"symlink");
                hasher.field(target.as_os_str().as_bytes());
            }
            PlannedKind::HardLink(target) => {
                hasher.field(b"link");
                hasher.field(target.as_os_str().as_bytes());
            }
            // Data and a file of the same content are the same member.
            PlannedKind::Data(data) => {
                hasher.field(b"file");
                hasher.field(Digest::of(data).hex().as_bytes());
            }
            PlannedKind::File { path, offset, size } => {
                let digest = file_digest(path, *offset, *size, digests);
                let digest = digest.map_err(|source| PlanError::Read {
                    path: path.clone(),
                    source,
                })?;
                hasher.field(b"file");
                hasher.field(digest.hex().as_bytes());
            }
        }
        Ok(())
    }

    fn write<W: Write>(
        &self,
        path: &[u8],
        epoch_seconds: i64,
        writer: &mut TarWriter<W>,
    ) -> io::Result<()> {
        let mut member = Member::new(path, Kind::Directory, self.mode);
        (member.uid, member.gid) = (self.uid, self.gid);
        member.mtime = epoch_seconds;
        match &self.kind {
            PlannedKind::Directory => {
                member.path.push(b'/');
                writer.member(&member)
            }
            PlannedKind::Symlink(target) => {
                member.kind = Kind::Symlink;
                member.mode = 0o777;
                member.link = target.as_os_str().as_bytes().to_vec();
                writer.member(&member)
            }
            PlannedKind::HardLink(target) => {
                member.kind = Kind::HardLink;
                member.link = key(target).into_encoded_bytes();
                writer.member(&member)
            }
            PlannedKind::Data(data) => {
                member.kind = Kind::File;
                member.size = data.len() as u64;
                writer.file(&member, &mut Cursor::new(data))
            }
            PlannedKind::File { path, offset, size } => {
                member.kind = Kind::File;
                member.size = *size;
                writer.file(&member, &mut open_part(path, *offset, *size)?)
            }
        }
    }
}

fn file_digest(
    path: &Path,
    offset: u64,
    size: u64,
    digests: &mut FileDigests,
) -> io::Result<Digest> {
    let metadata = std::fs::metadata(path)?;
    let whole = offset == 0 && metadata.len() == size;
    if whole && let Some(digest) = digests.get(&metadata) {
        return Ok(digest);
    }
    let digest = HashingReader::new(open_part(path, offset, size)?).finish()?;
    if whole {
        digests.put(&metadata, digest);
    }
    Ok(digest)
}

fn open_part(path: &Path, offset: u64, size: u64) -> io::Result<impl Read + use<>> {
    let mut file = File::open(path)?;
    let whole = offset == 0 && file.metadata()?.len() <= size;
    if offset > 0 {
        file.seek(SeekFrom::Start(offset))?;
    }
    // One more byte of a whole file, so that growth is noticed.
    Ok(file.take(if whole { u64::MAX } else { size }))
}

fn key(path: &Path) -> OsString {
    path.strip_prefix("/")
        .unwrap_or(path)
        .as_os_str()
        .to_owned()
}

fn is_root(path: &Path) -> bool {
    key(path).is_empty()
}

fn not_a_directory(path: &Path) -> PlanError {
    PlanError::Conflict(format!("{} is not a directory", path.display()))
}
