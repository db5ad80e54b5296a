//! Loading: [`load`] reads an archive once, from front to back, so that a pipe
//! will do.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::ArchiveError;
use super::layout::{Content, FoundImage, Members, clean, find_images, known_blob, stage_content};
use crate::digest::Digest;
use crate::oci::Platform;
use crate::reference::Reference;
use crate::rootfs::member_path;
use crate::store::layers::{Compression, decompress};
use crate::store::{ImageStore, NameChange, Stage};
use crate::tar::{BLOCK, Counted, Kind, Member, TarReader};

/// Most members of an image archive: documents and layers, no more.
const MEMBERS_MAX: u64 = 100_000;

/// How an archive is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// A name for an archive's only image, instead of those it carries.
    pub name: Option<Reference>,
    /// Which platform's image is taken.
    pub platform: Platform,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            name: None,
            platform: Platform::host(),
        }
    }
}

/// What happens while an archive is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadEvent {
    /// So many bytes of the (uncompressed) archive are read.
    Read {
        /// Bytes so far.
        bytes: u64,
    },
    /// A layer is unpacked, or was there already.
    Layer {
        /// Its uncompressed digest.
        diff_id: Digest,
        /// Its number from 1, and the number of layers.
        number: usize,
        /// How many layers the image has.
        total: usize,
        /// Whether it had to be unpacked.
        new: bool,
    },
}

/// One image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Docker's image id.
    pub id: Digest,
    /// The names it has now, and what they stood for before.
    pub names: Vec<NameChange>,
    /// Bytes of file content.
    pub size_bytes: u64,
    /// Number of layers.
    pub layers: usize,
    /// Number of layers that were not known before.
    pub layers_new: usize,
}

/// Loads an archive file, or a directory in OCI layout.
///
/// # Errors
///
/// Fails as [`load`] does.
pub fn load_file(
    store: &ImageStore,
    cluster: &str,
    path: &Path,
    options: &LoadOptions,
    progress: &mut dyn FnMut(LoadEvent),
) -> Result<Vec<Loaded>, ArchiveError> {
    let read = |source| ArchiveError::Io {
        step: "read",
        source,
    };
    if path.is_dir() {
        let mut stage = store.stage()?;
        let mut members = Members::default();
        stage_directory(&mut stage, path, &mut members, progress)?;
        return finish(stage, cluster, &mut members, options, progress);
    }
    let mut file = File::open(path).map_err(read)?;
    if !is_plain(&mut file).map_err(read)? {
        return load(store, cluster, file, options, progress);
    }
    let stage = store.stage()?;
    let mut members = index(&file, progress)?;
    members.archive = Some(file);
    finish(stage, cluster, &mut members, options, progress)
}

// A regular file that is not compressed can be read at offsets.
fn is_plain(file: &mut File) -> io::Result<bool> {
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut first = Vec::new();
    file.take(4).read_to_end(&mut first)?;
    file.rewind()?;
    Ok(Compression::of(&first) == Compression::None)
}

/// Lists an archive's files without reading their content.
fn index(file: &File, progress: &mut dyn FnMut(LoadEvent)) -> Result<Members, ArchiveError> {
    let mut members = Members::default();
    let (mut file, mut position, mut count) = (file, 0, 0);
    loop {
        let sought = file.seek(SeekFrom::Start(position));
        sought.map_err(|source| ArchiveError::Io {
            step: "read",
            source,
        })?;
        let mut reader = TarReader::new(Counted::new(file));
        let Some(member) = reader.next_member()? else {
            return Ok(members);
        };
        count += 1;
        check_count(count, &member)?;
        let (offset, size) = (position + reader.position(), member.size);
        list_member(&member, &mut members, &mut |_| {
            Ok(Content::At { offset, size })
        })?;
        // A broken size leads past the end, where no member is found.
        let padded = size.saturating_add(BLOCK as u64 - 1) / BLOCK as u64 * BLOCK as u64;
        position = offset.saturating_add(padded);
        progress(LoadEvent::Read { bytes: position });
    }
}

fn check_count(count: u64, member: &Member) -> Result<(), ArchiveError> {
    match count > MEMBERS_MAX {
        true => Err(refused(
            member,
            "an image archive does not have this many files",
        )),
        false => Ok(()),
    }
}

/// Loads all images of an archive, compressed or not: docker-archive or OCI
/// layout.
///
/// # Errors
///
/// Fails on a broken or hostile archive, and then leaves nothing behind.
pub fn load(
    store: &ImageStore,
    cluster: &str,
    source: impl Read,
    options: &LoadOptions,
    progress: &mut dyn FnMut(LoadEvent),
) -> Result<Vec<Loaded>, ArchiveError> {
    let mut stage = store.stage()?;
    let mut members = Members::default();
    let stream = decompress(source).map_err(|source| ArchiveError::Io {
        step: "read",
        source,
    })?;
    let mut reader = TarReader::new(stream);
    let (mut count, mut bytes) = (0, 0);
    while let Some(member) = reader.next_member()? {
        count += 1;
        check_count(count, &member)?;
        bytes += member.size;
        list_member(&member, &mut members, &mut |path| {
            let digest = match known_blob(&stage, path) {
                // The reader skips what is not read.
                Some(digest) => digest,
                None => stage_content(&mut stage, &mut reader)?,
            };
            Ok(Content::Staged(digest))
        })?;
        progress(LoadEvent::Read { bytes });
    }
    finish(stage, cluster, &mut members, options, progress)
}

fn list_member(
    member: &Member,
    members: &mut Members,
    content: &mut dyn FnMut(&str) -> Result<Content, ArchiveError>,
) -> Result<(), ArchiveError> {
    let parts = member_path(&member.path).map_err(|reason| refused(member, reason))?;
    let joined = parts.join(&b'/');
    let path = String::from_utf8(joined).map_err(|_| refused(member, "its name is not UTF-8"))?;
    match member.kind {
        Kind::Directory => {}
        Kind::File => {
            let content = content(&path)?;
            members.links.remove(&path);
            members.files.insert(path, content);
        }
        Kind::Symlink | Kind::HardLink => {
            let target = String::from_utf8_lossy(&member.link).into_owned();
            let directory = match member.kind {
                Kind::Symlink => path.rsplit_once('/').map_or("", |(directory, _)| directory),
                _ => "",
            };
            let inside = match target.starts_with('/') {
                true => None,
                false => clean(&format!("{directory}/{target}")),
            };
            let inside =
                inside.ok_or_else(|| refused(member, "its link leads out of the archive"))?;
            members.files.remove(&path);
            members.links.insert(path, inside);
        }
        _ => {
            return Err(refused(
                member,
                "a device or pipe has no place in an image archive",
            ));
        }
    }
    Ok(())
}

fn stage_directory(
    stage: &mut Stage,
    directory: &Path,
    members: &mut Members,
    progress: &mut dyn FnMut(LoadEvent),
) -> Result<(), ArchiveError> {
    let read = |source| ArchiveError::Io {
        step: "read",
        source,
    };
    let mut bytes = 0;
    let mut paths = vec![
        directory.join("index.json"),
        directory.join("manifest.json"),
    ];
    if let Ok(blobs) = std::fs::read_dir(directory.join("blobs/sha256")) {
        for blob in blobs {
            paths.push(blob.map_err(read)?.path());
        }
    }
    for path in paths {
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(read(error)),
        };
        bytes += file.metadata().map_err(read)?.len();
        let relative = path.strip_prefix(directory).unwrap_or(&path);
        let name = relative.to_string_lossy().into_owned();
        let digest = match known_blob(stage, &name) {
            Some(digest) => digest,
            None => stage_content(stage, &mut file)?,
        };
        members.files.insert(name, Content::Staged(digest));
        progress(LoadEvent::Read { bytes });
    }
    Ok(())
}

fn finish(
    mut stage: Stage,
    cluster: &str,
    members: &mut Members,
    options: &LoadOptions,
    progress: &mut dyn FnMut(LoadEvent),
) -> Result<Vec<Loaded>, ArchiveError> {
    let mut images = find_images(members, &mut stage, &options.platform)?;
    if let Some(name) = &options.name {
        match images.as_mut_slice() {
            [only] => only.references = vec![name.clone()],
            several => {
                let count = several.len();
                return Err(ArchiveError::OneName { count });
            }
        }
    }
    let mut loaded = Vec::new();
    for image in &images {
        loaded.push(unpack(&mut stage, image, progress)?);
    }
    let needed = images.iter().flat_map(needed_blobs).collect();
    stage.keep_blobs(&needed);
    let mut names = Vec::new();
    for (index, image) in images.iter().enumerate() {
        names.extend(
            keys(image)
                .into_iter()
                .map(|key| (index, key, image.digest)),
        );
    }
    let pairs: Vec<_> = names
        .iter()
        .map(|(_, key, digest)| (key.clone(), *digest))
        .collect();
    let changes = stage.commit(cluster, &pairs)?;
    for ((index, ..), change) in names.into_iter().zip(changes) {
        loaded[index].names.push(change);
    }
    Ok(loaded)
}

fn unpack(
    stage: &mut Stage,
    image: &FoundImage,
    progress: &mut dyn FnMut(LoadEvent),
) -> Result<Loaded, ArchiveError> {
    let total = image.manifest.layers.len();
    let mut layers_new = 0;
    let diff_ids = &image.config.rootfs.diff_ids;
    let size_bytes = stage.unpack_image(&image.manifest, &image.config, &mut |index, new| {
        layers_new += usize::from(new);
        progress(LoadEvent::Layer {
            diff_id: diff_ids[index],
            number: index + 1,
            total,
            new,
        });
    })?;
    Ok(Loaded {
        digest: image.digest,
        id: image.manifest.config.digest,
        names: Vec::new(),
        size_bytes,
        layers: total,
        layers_new,
    })
}

fn needed_blobs(image: &FoundImage) -> BTreeSet<Digest> {
    let layers = image.manifest.layers.iter().map(|layer| layer.digest);
    layers
        .chain([image.digest, image.manifest.config.digest])
        .collect()
}

fn keys(image: &FoundImage) -> Vec<String> {
    match image.references.is_empty() {
        // Kept under its id, so that it can be found and is not collected.
        true => vec![image.manifest.config.digest.to_string()],
        false => image.references.iter().map(Reference::key).collect(),
    }
}

fn refused(member: &Member, reason: &str) -> ArchiveError {
    ArchiveError::Member {
        member: String::from_utf8_lossy(&member.path).into_owned(),
        reason: reason.to_owned(),
    }
}
