//! Finds the images in an archive's documents: which manifest, which
//! configuration, which layers, which names.
//!
//! docker-archive is `manifest.json`; OCI layout is `index.json` (image
//! specification 1.1, `image-layout.md`). Newer Docker writes both.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use serde::Deserialize;

use super::ArchiveError;
use crate::digest::Digest;
use crate::oci::{Descriptor, ImageConfig, Index, Manifest, Platform, media_type};
use crate::reference::Reference;
use crate::store::{DOCUMENT_BYTES_MAX, Stage, StoreError};
use crate::tar::TarError;

/// Index entries nested deeper than this are refused.
const INDEX_DEPTH_MAX: usize = 4;
const CONTAINERD_NAME: &str = "io.containerd.image.name";
const OCI_NAME: &str = "org.opencontainers.image.ref.name";

/// The files of an archive: where each path's content lies.
#[derive(Default)]
pub(super) struct Members {
    /// Content of each regular file.
    pub(super) files: BTreeMap<String, Content>,
    /// Links, old Docker's way to share layers.
    pub(super) links: BTreeMap<String, String>,
    /// The archive itself, when its files can be read at their offsets.
    pub(super) archive: Option<File>,
}

/// Where a file's content lies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// In the stage or the store.
    Staged(Digest),
    /// In the archive, not read yet.
    At {
        /// Where it starts.
        offset: u64,
        /// How long it is.
        size: u64,
    },
}

/// An image found in an archive.
pub(super) struct FoundImage {
    pub(super) references: Vec<Reference>,
    /// Digest of the manifest, which is staged.
    pub(super) digest: Digest,
    pub(super) manifest: Manifest,
    pub(super) config: ImageConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Members {
    /// Returns the name under which a path's content is listed, links
    /// followed.
    fn name(&self, path: &str) -> Option<String> {
        let mut path = clean(path)?;
        for _ in 0..8 {
            if self.files.contains_key(&path) {
                return Some(path);
            }
            path = self.links.get(&path)?.clone();
        }
        None
    }
}

/// Returns a path of the archive without `.` and `..`; `None` when it climbs
/// out.
pub(super) fn clean(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Returns the images of an archive; what they need is staged, the rest is not
/// even read where the archive can be read at offsets.
pub(super) fn find_images(
    members: &mut Members,
    stage: &mut Stage,
    machine: &Platform,
) -> Result<Vec<FoundImage>, ArchiveError> {
    let mut finder = Finder {
        members,
        stage,
        machine,
    };
    if let Some(digest) = finder.digest("manifest.json")? {
        return finder.docker(digest);
    }
    match finder.digest("index.json")? {
        Some(digest) => finder.oci(digest),
        None => Err(ArchiveError::NoImage),
    }
}

struct Finder<'a> {
    members: &'a mut Members,
    stage: &'a mut Stage,
    machine: &'a Platform,
}

impl Finder<'_> {
    /// Returns the digest of a file, staging it if that was not done yet;
    /// `None` when the archive does not hold it.
    fn digest(&mut self, path: &str) -> Result<Option<Digest>, ArchiveError> {
        let Some(name) = self.members.name(path) else {
            return Ok(None);
        };
        let digest = match self.members.files[&name] {
            Content::Staged(digest) => digest,
            Content::At { offset, size } => match known_blob(self.stage, &name) {
                Some(digest) => digest,
                None => self.stage_at(offset, size, &name)?,
            },
        };
        self.members.files.insert(name, Content::Staged(digest));
        Ok(Some(digest))
    }

    fn stage_at(&mut self, offset: u64, size: u64, name: &str) -> Result<Digest, ArchiveError> {
        let read = |source| ArchiveError::Io {
            step: "read",
            source,
        };
        let Some(archive) = &mut self.members.archive else {
            return Err(ArchiveError::NoImage);
        };
        archive.seek(SeekFrom::Start(offset)).map_err(read)?;
        let mut content = archive.take(size);
        let digest = stage_content(self.stage, &mut content)?;
        match self.stage.blob_size(digest) == Some(size) {
            true => Ok(digest),
            false => Err(TarError::Truncated {
                member: name.to_owned(),
            }
            .into()),
        }
    }

    fn needed(&mut self, document: &str, path: &str) -> Result<Digest, ArchiveError> {
        self.digest(path)?
            .ok_or_else(|| ArchiveError::MissingMember {
                document: document.to_owned(),
                member: path.to_owned(),
            })
    }

    fn blob(&mut self, document: &str, digest: Digest) -> Result<Digest, ArchiveError> {
        let path = format!("blobs/sha256/{}", digest.hex());
        let found = self.needed(document, &path)?;
        match found == digest {
            true => Ok(digest),
            false => Err(StoreError::Mismatch {
                what: path,
                expected: digest,
                found,
            }
            .into()),
        }
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        digest: Digest,
        document: &str,
    ) -> Result<T, ArchiveError> {
        let text = self.stage.read_blob(digest, DOCUMENT_BYTES_MAX)?;
        serde_json::from_slice(&text).map_err(|error| ArchiveError::Document {
            document: document.to_owned(),
            reason: error.to_string(),
        })
    }

    fn docker(&mut self, digest: Digest) -> Result<Vec<FoundImage>, ArchiveError> {
        let images: Vec<DockerImage> = self.read(digest, "manifest.json")?;
        let originals = self.original_manifests();
        let mut found = Vec::new();
        for image in images {
            found.push(self.docker_image(image, &originals)?);
        }
        match found.is_empty() {
            true => Err(ArchiveError::NoImage),
            false => Ok(found),
        }
    }

    fn docker_image(
        &mut self,
        image: DockerImage,
        originals: &BTreeMap<Digest, Digest>,
    ) -> Result<FoundImage, ArchiveError> {
        let config_digest = self.needed("manifest.json", &image.config)?;
        let config: ImageConfig = self.read(config_digest, &image.config)?;
        let mut references = Vec::new();
        for tag in image.repo_tags.iter().flatten() {
            references.push(
                Reference::parse(tag).map_err(|error| ArchiveError::Document {
                    document: "manifest.json".to_owned(),
                    reason: error.to_string(),
                })?,
            );
        }
        if let Some(digest) = originals.get(&config_digest) {
            let manifest: Manifest = self.read(*digest, "image manifest")?;
            if self.check_blobs(&manifest).is_ok() {
                return Ok(FoundImage {
                    references,
                    digest: *digest,
                    manifest,
                    config,
                });
            }
        }
        let mut layers = Vec::new();
        for (index, path) in image.layers.iter().flatten().enumerate() {
            let digest = match self.known_layer(&config, index) {
                Some(digest) => digest,
                None => self.needed("manifest.json", path)?,
            };
            layers.push(self.stage.describe_layer(digest)?);
        }
        let size = self.stage.blob_size(config_digest).unwrap_or_default();
        let manifest = Manifest::new(
            Descriptor::new(media_type::CONFIG, config_digest, size),
            layers,
        );
        Ok(FoundImage {
            references,
            digest: put_document(self.stage, &manifest)?,
            manifest,
            config,
        })
    }

    // The configuration says which content a layer has; content that is here
    // under that digest was verified when it came and need not be read again.
    fn known_layer(&self, config: &ImageConfig, index: usize) -> Option<Digest> {
        let diff_id = *config.rootfs.diff_ids.get(index)?;
        self.stage.store().has_blob(diff_id).then_some(diff_id)
    }

    // An image keeps its digest through save and load where the archive
    // carries its manifest; an unreadable index is not needed here.
    fn original_manifests(&mut self) -> BTreeMap<Digest, Digest> {
        let mut found = BTreeMap::new();
        let Ok(Some(digest)) = self.digest("index.json") else {
            return found;
        };
        let Ok(index) = self.read::<Index>(digest, "index.json") else {
            return found;
        };
        let mut manifests = Vec::new();
        if self.flatten(index, 0, &mut manifests).is_err() {
            return found;
        }
        for descriptor in manifests {
            if let Ok(manifest) = self.read::<Manifest>(descriptor.digest, "image manifest") {
                found.insert(manifest.config.digest, descriptor.digest);
            }
        }
        found
    }

    fn oci(&mut self, digest: Digest) -> Result<Vec<FoundImage>, ArchiveError> {
        let index: Index = self.read(digest, "index.json")?;
        let mut manifests = Vec::new();
        self.flatten(index, 0, &mut manifests)?;
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for descriptor in manifests {
            let manifest: Manifest = self.read(descriptor.digest, "image manifest")?;
            self.blob("image manifest", manifest.config.digest)?;
            let config: ImageConfig = self.read(manifest.config.digest, "image configuration")?;
            let platform = config.platform();
            if !platform.runs_on(self.machine) {
                others.push(platform.to_string());
                continue;
            }
            self.check_blobs(&manifest)?;
            found.push(FoundImage {
                references: reference_of(&descriptor.annotations).into_iter().collect(),
                digest: descriptor.digest,
                manifest,
                config,
            });
        }
        match (found.is_empty(), others.is_empty()) {
            (true, true) => Err(ArchiveError::NoImage),
            (true, false) => Err(ArchiveError::Platform {
                wanted: self.machine.clone(),
                found: others.join(", "),
            }),
            (false, _) => Ok(found),
        }
    }

    // Nested indexes hand their names down to the manifests in them.
    fn flatten(
        &mut self,
        index: Index,
        depth: usize,
        manifests: &mut Vec<Descriptor>,
    ) -> Result<(), ArchiveError> {
        if depth > INDEX_DEPTH_MAX {
            return Err(ArchiveError::Document {
                document: "index.json".to_owned(),
                reason: "indexes are nested too deep".to_owned(),
            });
        }
        for mut descriptor in index.manifests {
            if is_attestation(&descriptor) {
                continue;
            }
            match descriptor.media_type.as_str() {
                media_type::INDEX | media_type::DOCKER_LIST => {
                    self.blob("index.json", descriptor.digest)?;
                    let mut inner: Index = self.read(descriptor.digest, "image index")?;
                    for nested in &mut inner.manifests {
                        nested
                            .annotations
                            .append(&mut descriptor.annotations.clone());
                    }
                    self.flatten(inner, depth + 1, manifests)?;
                }
                _ => {
                    // A layout of one platform may leave the others' blobs out.
                    let elsewhere = descriptor.platform.as_ref();
                    let elsewhere =
                        elsewhere.is_some_and(|platform| !platform.runs_on(self.machine));
                    if elsewhere && self.blob("index.json", descriptor.digest).is_err() {
                        continue;
                    }
                    self.blob("index.json", descriptor.digest)?;
                    descriptor
                        .annotations
                        .retain(|key, _| key == CONTAINERD_NAME || key == OCI_NAME);
                    manifests.push(descriptor);
                }
            }
        }
        Ok(())
    }

    fn check_blobs(&mut self, manifest: &Manifest) -> Result<(), ArchiveError> {
        self.blob("image manifest", manifest.config.digest)?;
        for layer in &manifest.layers {
            self.blob("image manifest", layer.digest)?;
        }
        Ok(())
    }
}

// BuildKit's provenance records stand in the index as images of no platform.
fn is_attestation(descriptor: &Descriptor) -> bool {
    let marked = descriptor
        .annotations
        .contains_key("vnd.docker.reference.type");
    let nowhere = descriptor
        .platform
        .as_ref()
        .is_some_and(|platform| platform.os == "unknown");
    marked || nowhere
}

// A bare word is a tag without a name (image-layout.md lets it be anything).
fn reference_of(annotations: &BTreeMap<String, String>) -> Option<Reference> {
    if let Some(name) = annotations.get(CONTAINERD_NAME) {
        return Reference::parse(name).ok();
    }
    let name = annotations.get(OCI_NAME)?;
    match name.contains([':', '/']) {
        true => Reference::parse(name).ok(),
        false => None,
    }
}

pub(super) fn put_document<T: serde::Serialize>(
    stage: &mut Stage,
    document: &T,
) -> Result<Digest, ArchiveError> {
    let text = serde_json::to_vec(document).map_err(|error| ArchiveError::Document {
        document: "image manifest".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(stage.put(&text)?)
}

// A file named by its digest need not be read again when the store has it.
pub(super) fn known_blob(stage: &Stage, path: &str) -> Option<Digest> {
    let digest = Digest::from_hex(path.strip_prefix("blobs/sha256/")?)?;
    stage.store().has_blob(digest).then_some(digest)
}

/// Writes a file's content into the stage.
pub(super) fn stage_content(
    stage: &mut Stage,
    content: &mut impl Read,
) -> Result<Digest, ArchiveError> {
    let mut blob = stage.blob()?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(source) => {
                return Err(ArchiveError::Io {
                    step: "read",
                    source,
                });
            }
        };
        let written = blob.write_all(&buffer[..count]);
        written.map_err(|error| stage.write_error(blob.path(), error))?;
    }
    Ok(stage.finish_blob(blob, None)?.0)
}
