//! Unpacked layers: `layers/<key>/fs` with `layers/<key>/meta.json` beside it.
//!
//! The key is the first half of the layer's diff id, so that many layers fit
//! into one mount option of older kernels (a page of text); the whole digest
//! stands in `meta.json` and is compared. A layer that leaves out parent
//! directories takes their owner and mode from the layers below and is
//! therefore kept under its chain id.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ImageStore, StoreError};
use crate::digest::{Digest, HashingReader};
use crate::rootfs::xattr;
use crate::rootfs::{FoundKind, Limits, Unpacked, View, unpack};

const KEY_LENGTH: usize = 32;

/// What `meta.json` says of an unpacked layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerMeta {
    pub(crate) diff_id: Digest,
    /// Set when the directory depends on the layers below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chain_id: Option<Digest>,
    /// Bytes of file content.
    pub(crate) size_bytes: u64,
    /// Number of members.
    pub(crate) members: u64,
    /// Device nodes left out.
    #[serde(default)]
    pub(crate) devices_skipped: u64,
}

impl LayerMeta {
    pub(crate) fn key(&self) -> String {
        key(self.chain_id.unwrap_or(self.diff_id))
    }
}

/// An unpacked layer and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnpackedLayer {
    pub(crate) meta: LayerMeta,
    pub(crate) dir: PathBuf,
}

pub(crate) fn key(digest: Digest) -> String {
    digest.hex()[..KEY_LENGTH].to_owned()
}

/// Returns the chain id of a layer above `parent` (OCI image specification
/// 1.1, `config.md`, "Layer ChainID").
pub(crate) fn chain_id(parent: Option<Digest>, diff_id: Digest) -> Digest {
    match parent {
        None => diff_id,
        Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
    }
}

/// Returns the layer kept below `layers` under its diff id or chain id.
pub(crate) fn find(
    layers: &Path,
    diff_id: Digest,
    chain_id: Digest,
) -> Result<Option<UnpackedLayer>, StoreError> {
    for candidate in [diff_id, chain_id] {
        let directory = layers.join(key(candidate));
        let Some(meta) = read_meta(&directory.join("meta.json"))? else {
            continue;
        };
        let fits = meta.diff_id == diff_id && meta.chain_id.is_none_or(|id| id == chain_id);
        if fits {
            let dir = directory.join("fs");
            return Ok(Some(UnpackedLayer { meta, dir }));
        }
    }
    Ok(None)
}

pub(crate) fn read_meta(path: &Path) -> Result<Option<LayerMeta>, StoreError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let meta = serde_json::from_slice(&text);
    meta.map(Some).map_err(|error| StoreError::Broken {
        what: path.display().to_string(),
        reason: error.to_string(),
    })
}

/// What is to be unpacked, and over what.
pub(crate) struct LayerSource<'a> {
    pub(crate) blob: &'a File,
    pub(crate) diff_id: Digest,
    pub(crate) chain_id: Digest,
    /// Directories of the layers below, lowest first.
    pub(crate) lowers: &'a [PathBuf],
}

/// Unpacks a layer blob into `directory` (`fs` and `meta.json`), which must
/// not exist yet, and checks its diff id.
pub(crate) fn unpack_layer(
    source: LayerSource<'_>,
    directory: &Path,
    limits: &Limits,
) -> Result<UnpackedLayer, StoreError> {
    let dir = directory.join("fs");
    make_root(directory, &dir)?;
    let unpacked = std::thread::scope(|scope| {
        let stream = read_ahead(scope, source.blob);
        unpack_verified(stream, &source, directory, &dir, limits)
    })?;
    let depends = !source.lowers.is_empty() && !unpacked.implicit_directories.is_empty();
    if depends {
        inherit_directories(&unpacked, &dir, source.lowers)?;
    }
    let meta = LayerMeta {
        diff_id: source.diff_id,
        chain_id: depends.then_some(source.chain_id),
        size_bytes: unpacked.bytes,
        members: unpacked.members,
        devices_skipped: unpacked.devices_skipped,
    };
    write_meta(directory, &meta)?;
    Ok(UnpackedLayer { meta, dir })
}

fn unpack_verified(
    stream: impl Read,
    source: &LayerSource<'_>,
    directory: &Path,
    dir: &Path,
    limits: &Limits,
) -> Result<Unpacked, StoreError> {
    let mut stream = HashingReader::new(stream);
    let unpacked = unpack(&mut stream, dir, limits)
        .map_err(|error| StoreError::unpack(source.diff_id, directory, error))?;
    let read = StoreError::io("read layer", directory);
    let found = stream.finish().map_err(read)?;
    match found == source.diff_id {
        true => Ok(unpacked),
        false => Err(StoreError::Mismatch {
            what: "an uncompressed layer".to_owned(),
            expected: source.diff_id,
            found,
        }),
    }
}

pub(crate) fn make_root(directory: &Path, dir: &Path) -> Result<(), StoreError> {
    super::files::make_directory(directory)?;
    let made = std::fs::create_dir(dir)
        .and_then(|()| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)));
    made.map_err(StoreError::io("make the directory", dir))
}

pub(crate) fn write_meta(directory: &Path, meta: &LayerMeta) -> Result<(), StoreError> {
    let path = directory.join("meta.json");
    let text = serde_json::to_vec(meta).map_err(|error| StoreError::Broken {
        what: path.display().to_string(),
        reason: error.to_string(),
    })?;
    std::fs::write(&path, text).map_err(StoreError::io("write", &path))
}

// Overlay shows a directory with the attributes of its uppermost version, so
// one that the archive never mentions must look as it does below.
fn inherit_directories(
    unpacked: &Unpacked,
    dir: &Path,
    lowers: &[PathBuf],
) -> Result<(), StoreError> {
    use std::os::unix::fs::lchown;
    let view = View::new(lowers.iter().cloned());
    for path in &unpacked.implicit_directories {
        let below = view
            .find_no_follow(path)
            .map_err(|error| StoreError::Broken {
                what: format!("directory {} below the layer", path.display()),
                reason: error.to_string(),
            })?;
        let Some(below) = below.filter(|found| found.kind == FoundKind::Directory) else {
            continue;
        };
        let here = dir.join(path);
        let owned = match lchown(&here, Some(below.uid), Some(below.gid)) {
            Err(error) if is_no_such_id(&error) => File::open(&here)
                .and_then(|directory| xattr::record_owner(directory, below.uid, below.gid)),
            done => done,
        };
        let applied = owned.and_then(|()| {
            std::fs::set_permissions(&here, std::fs::Permissions::from_mode(below.mode))
        });
        applied.map_err(StoreError::io("set the owner of", &here))?;
    }
    Ok(())
}

fn is_no_such_id(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let number = error.raw_os_error();
    number == Some(Errno::INVAL.raw_os_error()) || number == Some(Errno::PERM.raw_os_error())
}

/// How a layer blob is compressed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    pub(crate) fn of(first_bytes: &[u8]) -> Self {
        if first_bytes.starts_with(&[0x1f, 0x8b]) {
            return Self::Gzip;
        }
        match first_bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            true => Self::Zstd,
            false => Self::None,
        }
    }
}

/// Returns the uncompressed stream of a blob of whatever compression.
pub(crate) fn decompress<'a>(stream: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    use io::BufRead;
    let mut stream = BufReader::with_capacity(256 << 10, stream);
    let compression = loop {
        match stream.fill_buf() {
            Ok(bytes) => break Compression::of(bytes),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    match compression {
        Compression::None => Ok(Box::new(stream)),
        Compression::Gzip => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(stream))),
        Compression::Zstd => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(stream);
            Ok(Box::new(decoder.map_err(io::Error::other)?))
        }
    }
}

/// Reads and decompresses a blob on a thread of its own, a little ahead of the
/// one that writes the files.
fn read_ahead<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    blob: &'scope File,
) -> AheadReader {
    let (sender, receiver) = std::sync::mpsc::sync_channel(8);
    scope.spawn(move || {
        let mut stream = match decompress(blob) {
            Ok(stream) => stream,
            Err(error) => {
                let _ = sender.send(Err(error));
                return;
            }
        };
        loop {
            let mut piece = vec![0; 256 << 10];
            let read = stream.read(&mut piece);
            let last = !matches!(read, Ok(1..));
            let sent = sender.send(read.map(|count| {
                piece.truncate(count);
                piece
            }));
            // The other side is gone when unpacking has failed.
            if last || sent.is_err() {
                return;
            }
        }
    });
    AheadReader {
        receiver,
        piece: Vec::new(),
        used: 0,
    }
}

/// The end where a blob read ahead comes out.
struct AheadReader {
    receiver: std::sync::mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    used: usize,
}

impl Read for AheadReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.piece.len() {
            self.piece = match self.receiver.recv() {
                Ok(piece) => piece?,
                // The thread ended after the last piece.
                Err(_) => Vec::new(),
            };
            self.used = 0;
        }
        let count = buffer.len().min(self.piece.len() - self.used);
        buffer[..count].copy_from_slice(&self.piece[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

impl ImageStore {
    pub(crate) fn layers_dir(&self) -> PathBuf {
        self.dir.join("layers")
    }
}
