//! `COPY` and `ADD`: from sources and a destination to a plan.
//!
//! Rules of the Dockerfile reference, "COPY" and "ADD": of a directory the
//! content is copied; a destination that ends in a slash, or exists as a
//! directory, takes files under their own names; links given as a source are
//! followed, links inside a copied directory stay links.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::glob::{Pattern, is_pattern};
use super::plan::{Owner, Plan, PlanError, Planned, PlannedKind};
use super::source::Source;
use crate::rootfs::{Found, FoundKind, View, clean, member_path};
use crate::store::layers::decompress;
use crate::tar::{Counted, Kind, TarReader};

/// A `COPY` with its words expanded.
#[derive(Debug, Clone, Default)]
pub(crate) struct CopyRequest {
    pub(crate) sources: Vec<CopySource>,
    /// As written; relative to `working_dir`.
    pub(crate) destination: String,
    pub(crate) working_dir: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) mode: Option<u32>,
    pub(crate) excludes: Vec<String>,
    pub(crate) unpack: bool,
}

/// One source of a `COPY`.
#[derive(Debug, Clone)]
pub(crate) enum CopySource {
    /// A path or pattern in the source tree.
    Path(String),
    /// A heredoc: file name and content.
    Inline(String, String),
}

/// Carries the state of one `COPY`.
pub(crate) struct Copier<'a> {
    request: &'a CopyRequest,
    source: &'a Source,
    /// The tree the layer is put over.
    below: &'a View,
    excludes: Vec<Pattern>,
    plan: Plan,
    /// Makes a file for an unpacked archive.
    scratch: &'a mut dyn FnMut() -> PathBuf,
}

/// Returns the plan of a `COPY`.
pub(crate) fn plan_copy(
    request: &CopyRequest,
    source: &Source,
    below: &View,
    scratch: &mut dyn FnMut() -> PathBuf,
) -> Result<Plan, PlanError> {
    let excludes = request
        .excludes
        .iter()
        .map(|text| Pattern::path(text.trim_matches('/')));
    let mut copier = Copier {
        request,
        source,
        below,
        excludes: excludes
            .collect::<Result<_, _>>()
            .map_err(PlanError::Conflict)?,
        plan: Plan::default(),
        scratch,
    };
    copier.all()?;
    Ok(copier.plan)
}

/// The destination, resolved once.
struct Destination {
    path: PathBuf,
    /// Files go into it under their own names.
    is_directory: bool,
}

impl Copier<'_> {
    fn all(&mut self) -> Result<(), PlanError> {
        let mut matched = Vec::new();
        for source in &self.request.sources {
            match source {
                CopySource::Path(path) => self.matches(path, &mut matched)?,
                CopySource::Inline(name, content) => {
                    matched.push(Matched::Inline(name.clone(), content.clone()));
                }
            }
        }
        let destination = self.destination(matched.len())?;
        for matched in matched {
            match matched {
                Matched::Inline(name, content) => self.inline(&destination, &name, content)?,
                Matched::Found(written, found) => self.found(&destination, &written, &found)?,
            }
        }
        Ok(())
    }

    fn destination(&self, count: usize) -> Result<Destination, PlanError> {
        let written = &self.request.destination;
        let path = clean(&Path::new(&self.request.working_dir).join(written));
        let slash = written.ends_with('/')
            || written.ends_with("/.")
            || written == "."
            || written.is_empty();
        let path = self.below.real_path(path)?;
        let found = self.below.find(&path)?;
        let exists = found.is_some_and(|found| found.kind == FoundKind::Directory);
        if count > 1 && !slash && !exists {
            return Err(PlanError::Conflict(format!(
                "{count} files are copied: the destination is a directory and ends in \"/\": {written}/"
            )));
        }
        Ok(Destination {
            path,
            is_directory: slash || exists,
        })
    }

    fn matches(&self, text: &str, matched: &mut Vec<Matched>) -> Result<(), PlanError> {
        let mut depth = 0_i32;
        for part in text.split('/') {
            depth += match part {
                "" | "." => 0,
                ".." => -1,
                _ => 1,
            };
            if depth < 0 {
                return Err(PlanError::Conflict(format!(
                    "{text} leads out of the build context; only files inside it can be copied"
                )));
            }
        }
        let path = clean(Path::new(text));
        if is_pattern(text) && self.source.find(&path)?.is_none() {
            return self.wildcard(text, &path, matched);
        }
        match self.source.find(&path)? {
            Some(found) => matched.push(Matched::Found(path, found)),
            None => return Err(self.not_found(text, &path)),
        }
        Ok(())
    }

    fn wildcard(
        &self,
        text: &str,
        path: &Path,
        matched: &mut Vec<Matched>,
    ) -> Result<(), PlanError> {
        let pattern = path.to_string_lossy();
        let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
        let Some(root) = self.source.find(Path::new("/"))? else {
            return Err(self.not_found(text, path));
        };
        let before = matched.len();
        self.descend(&root, &parts, matched)?;
        match matched.len() > before {
            true => Ok(()),
            false => Err(PlanError::Conflict(format!("no file matches {text}"))),
        }
    }

    fn descend(
        &self,
        directory: &Found,
        parts: &[&str],
        matched: &mut Vec<Matched>,
    ) -> Result<(), PlanError> {
        let Some((first, rest)) = parts.split_first() else {
            return Ok(());
        };
        let pattern = Pattern::path(first).map_err(PlanError::Conflict)?;
        for child in self.source.children(directory)? {
            let name = child.path.file_name().unwrap_or_default().to_string_lossy();
            if !pattern.matches(&name) || (rest.is_empty() && self.source.only_walked(&child)) {
                continue;
            }
            // What a pattern matches is followed like a source that is named.
            let Some(real) = self.source.find(&child.path)? else {
                continue;
            };
            match rest.is_empty() {
                true => matched.push(Matched::Found(child.path, real)),
                false if real.kind == FoundKind::Directory => self.descend(&real, rest, matched)?,
                false => {}
            }
        }
        Ok(())
    }

    fn not_found(&self, text: &str, path: &Path) -> PlanError {
        let hidden = self.source.hides(path) && matches!(self.source.view.find(path), Ok(Some(_)));
        PlanError::Conflict(match hidden {
            true => format!("{text} is excluded by .dockerignore"),
            false => format!("{text} does not exist in the build context or stage"),
        })
    }

    fn inline(
        &mut self,
        destination: &Destination,
        name: &str,
        content: String,
    ) -> Result<(), PlanError> {
        let path = match destination.is_directory {
            true => destination.path.join(name),
            false => destination.path.clone(),
        };
        let owner = self.request.owner.unwrap_or_default();
        let planned = Planned {
            kind: PlannedKind::Data(content.into_bytes()),
            mode: self.request.mode.unwrap_or(0o644),
            uid: owner.uid,
            gid: owner.gid,
        };
        self.plan.file(self.below, &path, planned, owner)
    }

    fn found(
        &mut self,
        destination: &Destination,
        written: &Path,
        found: &Found,
    ) -> Result<(), PlanError> {
        if found.kind == FoundKind::Directory {
            return self.top_directory(destination, found);
        }
        if self.request.unpack && self.archive(destination, found)? {
            return Ok(());
        }
        let name = written.file_name().unwrap_or_default();
        let path = match destination.is_directory {
            true => destination.path.join(name),
            false => destination.path.clone(),
        };
        self.file(&path, found)
    }

    // Of a directory the content is copied; a destination that is new and
    // written without a slash takes its mode and owner too.
    fn top_directory(&mut self, destination: &Destination, found: &Found) -> Result<(), PlanError> {
        let is_context_root = !self.source.keeps_owners && found.path == Path::new("/");
        let plain = destination.is_directory || is_context_root;
        let mode = match plain {
            true => 0o755,
            false => found.mode,
        };
        let owner = match plain {
            true => self.made_by(),
            false => self.owner_of(found),
        };
        let mode = self
            .request
            .mode
            .filter(|_| !destination.is_directory)
            .unwrap_or(mode);
        self.plan
            .directory(self.below, &destination.path, mode, owner)?;
        self.content(&destination.path, found, found)
    }

    fn content(&mut self, target: &Path, directory: &Found, top: &Found) -> Result<(), PlanError> {
        for child in self.source.children(directory)? {
            let name = child.path.file_name().unwrap_or_default();
            if self.excluded(&child, top) {
                continue;
            }
            let path = target.join(name);
            if child.kind != FoundKind::Directory {
                self.file(&path, &child)?;
                continue;
            }
            if !self.source.only_walked(&child) {
                let mode = self.request.mode.unwrap_or(child.mode);
                let owner = self.owner_of(&child);
                self.plan.directory(self.below, &path, mode, owner)?;
            }
            self.content(&path, &child, top)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, found: &Found) -> Result<(), PlanError> {
        let kind = match &found.kind {
            FoundKind::Symlink(target) => PlannedKind::Symlink(target.clone()),
            FoundKind::File => PlannedKind::File {
                path: found.source.clone(),
                offset: 0,
                size: found.size,
            },
            // Pipes and sockets are not content.
            FoundKind::Other | FoundKind::Directory => return Ok(()),
        };
        let owner = self.owner_of(found);
        let planned = Planned {
            kind,
            mode: self.request.mode.unwrap_or(found.mode),
            uid: owner.uid,
            gid: owner.gid,
        };
        self.plan.file(self.below, path, planned, self.made_by())
    }

    fn excluded(&self, child: &Found, top: &Found) -> bool {
        let relative = child.path.strip_prefix(&top.path).unwrap_or(&child.path);
        let text = relative.to_string_lossy();
        self.excludes.iter().any(|pattern| pattern.matches(&text))
    }

    fn owner_of(&self, found: &Found) -> Owner {
        match (self.request.owner, self.source.keeps_owners) {
            (Some(owner), _) => owner,
            (None, true) => Owner {
                uid: found.uid,
                gid: found.gid,
            },
            (None, false) => Owner::default(),
        }
    }

    fn made_by(&self) -> Owner {
        self.request.owner.unwrap_or_default()
    }

    /// Plans an archive's members below the destination; false when the file
    /// is no archive.
    fn archive(&mut self, destination: &Destination, found: &Found) -> Result<bool, PlanError> {
        let read = |source| PlanError::Read {
            path: found.source.clone(),
            source,
        };
        let Some(plain) = self.plain_archive(found).map_err(read)? else {
            return Ok(false);
        };
        self.plan
            .directory(self.below, &destination.path, 0o755, self.made_by())?;
        let file = File::open(&plain).map_err(read)?;
        let mut reader = TarReader::new(Counted::new(io::BufReader::new(file)));
        let broken = |error: crate::tar::TarError| {
            PlanError::Conflict(format!(
                "{} is a broken archive: {error}",
                found.path.display()
            ))
        };
        while let Some(member) = reader.next_member().map_err(broken)? {
            let offset = reader.position();
            self.archive_member(destination, &member, &plain, offset)?;
        }
        Ok(true)
    }

    fn archive_member(
        &mut self,
        destination: &Destination,
        member: &crate::tar::Member,
        plain: &Path,
        offset: u64,
    ) -> Result<(), PlanError> {
        let refused = |reason: &str| {
            let name = String::from_utf8_lossy(&member.path).into_owned();
            PlanError::Conflict(format!("refused archive member {name}: {reason}"))
        };
        let inside = |path: &[u8]| -> Result<PathBuf, PlanError> {
            let parts = member_path(path).map_err(refused)?;
            let names = parts
                .into_iter()
                .map(std::os::unix::ffi::OsStrExt::from_bytes);
            let relative: PathBuf = names
                .collect::<Vec<&std::ffi::OsStr>>()
                .into_iter()
                .collect();
            Ok(destination.path.join(relative))
        };
        let path = inside(&member.path)?;
        let owner = self.request.owner.unwrap_or(Owner {
            uid: member.uid,
            gid: member.gid,
        });
        let mode = self.request.mode.unwrap_or(member.mode);
        let kind = match member.kind {
            Kind::Directory => {
                self.plan.directory(self.below, &path, mode, owner)?;
                return Ok(());
            }
            Kind::File => PlannedKind::File {
                path: plain.to_owned(),
                offset,
                size: member.size,
            },
            Kind::Symlink => {
                use std::os::unix::ffi::OsStrExt;
                PlannedKind::Symlink(PathBuf::from(std::ffi::OsStr::from_bytes(&member.link)))
            }
            Kind::HardLink => PlannedKind::HardLink(inside(&member.link)?),
            _ => return Err(refused("devices and pipes are not unpacked")),
        };
        let planned = Planned {
            kind,
            mode,
            uid: owner.uid,
            gid: owner.gid,
        };
        self.plan.file(self.below, &path, planned, self.made_by())
    }

    // An archive is told by its content, not by its name. A compressed one is
    // written out, so that members can be read at their offsets.
    fn plain_archive(&mut self, found: &Found) -> io::Result<Option<PathBuf>> {
        if found.kind != FoundKind::File {
            return Ok(None);
        }
        let mut first = [0; 6];
        let count = File::open(&found.source)?.read(&mut first)?;
        let unsupported = match &first[..count] {
            [b'B', b'Z', b'h', ..] => Some("bzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Some("xz"),
            _ => None,
        };
        if let Some(compression) = unsupported {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{compression} archives are not unpacked: use tar or tar.gz, or COPY it"),
            ));
        }
        let gzip = first[..count].starts_with(&[0x1f, 0x8b]);
        if !gzip {
            let is_tar = is_tar(File::open(&found.source)?)?;
            return Ok(is_tar.then(|| found.source.clone()));
        }
        if !is_tar(decompress(File::open(&found.source)?)?).unwrap_or(false) {
            return Ok(None);
        }
        let path = (self.scratch)();
        let mut plain = File::create(&path)?;
        io::copy(&mut decompress(File::open(&found.source)?)?, &mut plain)?;
        plain.flush()?;
        Ok(Some(path))
    }
}

enum Matched {
    Found(PathBuf, Found),
    Inline(String, String),
}

fn is_tar(mut stream: impl Read) -> io::Result<bool> {
    let mut block = Vec::new();
    stream.by_ref().take(512).read_to_end(&mut block)?;
    let zero = block.iter().all(|byte| *byte == 0);
    if block.len() < 512 || zero {
        return Ok(false);
    }
    Ok(matches!(
        TarReader::new(block.as_slice().chain(io::repeat(0))).next_member(),
        Ok(Some(_))
    ))
}
