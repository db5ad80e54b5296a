//! Finds the images in an archive's documents: which manifest, which
//! configuration, which layers, which names.
//!
//! docker-archive is `manifest.json`; OCI layout is `index.json` (image
//! specification 1.1, `image-layout.md`). Newer Docker writes both.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ArchiveError;
use crate::digest::Digest;
use crate::oci::{Descriptor, ImageConfig, Index, Manifest, Platform, media_type};
use crate::reference::Reference;
use crate::store::{DOCUMENT_BYTES_MAX, Stage};

/// Index entries nested deeper than this are refused.
const INDEX_DEPTH_MAX: usize = 4;
const CONTAINERD_NAME: &str = "io.containerd.image.name";
const OCI_NAME: &str = "org.opencontainers.image.ref.name";

/// The files of an archive: where each path's content lies.
#[derive(Default)]
pub(super) struct Members {
    /// Content of each regular file.
    pub(super) files: BTreeMap<String, Digest>,
    /// Links, old Docker's way to share layers.
    pub(super) links: BTreeMap<String, String>,
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
    fn digest(&self, path: &str) -> Option<Digest> {
        let mut path = clean(path)?;
        for _ in 0..8 {
            if let Some(digest) = self.files.get(&path) {
                return Some(*digest);
            }
            path = self.links.get(&path)?.clone();
        }
        None
    }

    fn needed(&self, document: &str, path: &str) -> Result<Digest, ArchiveError> {
        self.digest(path)
            .ok_or_else(|| ArchiveError::MissingMember {
                document: document.to_owned(),
                member: path.to_owned(),
            })
    }

    fn blob(&self, document: &str, digest: Digest) -> Result<Digest, ArchiveError> {
        let path = format!("blobs/sha256/{}", digest.hex());
        let found = self.needed(document, &path)?;
        match found == digest {
            true => Ok(digest),
            false => Err(crate::store::StoreError::Mismatch {
                what: path,
                expected: digest,
                found,
            }
            .into()),
        }
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

/// Returns the images of an archive whose files are staged.
pub(super) fn find_images(
    members: &Members,
    stage: &mut Stage<'_>,
    machine: &Platform,
) -> Result<Vec<FoundImage>, ArchiveError> {
    let finder = Finder { members, machine };
    if let Some(digest) = members.digest("manifest.json") {
        return finder.docker(digest, stage);
    }
    match members.digest("index.json") {
        Some(digest) => finder.oci(digest, stage),
        None => Err(ArchiveError::NoImage),
    }
}

struct Finder<'a> {
    members: &'a Members,
    machine: &'a Platform,
}

impl Finder<'_> {
    fn docker(
        &self,
        digest: Digest,
        stage: &mut Stage<'_>,
    ) -> Result<Vec<FoundImage>, ArchiveError> {
        let images: Vec<DockerImage> = read(stage, digest, "manifest.json")?;
        let originals = self.original_manifests(stage);
        let mut found = Vec::new();
        for image in images {
            found.push(self.docker_image(image, &originals, stage)?);
        }
        match found.is_empty() {
            true => Err(ArchiveError::NoImage),
            false => Ok(found),
        }
    }

    fn docker_image(
        &self,
        image: DockerImage,
        originals: &BTreeMap<Digest, Digest>,
        stage: &mut Stage<'_>,
    ) -> Result<FoundImage, ArchiveError> {
        let config_digest = self.members.needed("manifest.json", &image.config)?;
        let config: ImageConfig = read(stage, config_digest, &image.config)?;
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
            let manifest = read(stage, *digest, "image manifest")?;
            self.check_blobs(&manifest)?;
            return Ok(FoundImage {
                references,
                digest: *digest,
                manifest,
                config,
            });
        }
        let mut layers = Vec::new();
        for path in image.layers.iter().flatten() {
            let digest = self.members.needed("manifest.json", path)?;
            layers.push(stage.describe_layer(digest)?);
        }
        let size = stage.blob_size(config_digest).unwrap_or_default();
        let manifest = Manifest::new(
            Descriptor::new(media_type::CONFIG, config_digest, size),
            layers,
        );
        Ok(FoundImage {
            references,
            digest: put_document(stage, &manifest)?,
            manifest,
            config,
        })
    }

    // An image keeps its digest through save and load where the archive
    // carries its manifest; an unreadable index is not needed here.
    fn original_manifests(&self, stage: &Stage<'_>) -> BTreeMap<Digest, Digest> {
        let mut found = BTreeMap::new();
        let Some(digest) = self.members.digest("index.json") else {
            return found;
        };
        let Ok(index) = read::<Index>(stage, digest, "index.json") else {
            return found;
        };
        let mut manifests = Vec::new();
        if self.flatten(index, stage, 0, &mut manifests).is_err() {
            return found;
        }
        for descriptor in manifests {
            if let Ok(manifest) = read::<Manifest>(stage, descriptor.digest, "image manifest")
                && self.check_blobs(&manifest).is_ok()
            {
                found.insert(manifest.config.digest, descriptor.digest);
            }
        }
        found
    }

    fn oci(&self, digest: Digest, stage: &mut Stage<'_>) -> Result<Vec<FoundImage>, ArchiveError> {
        let index: Index = read(stage, digest, "index.json")?;
        let mut manifests = Vec::new();
        self.flatten(index, stage, 0, &mut manifests)?;
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for descriptor in manifests {
            let manifest: Manifest = read(stage, descriptor.digest, "image manifest")?;
            self.members
                .blob("image manifest", manifest.config.digest)?;
            let config: ImageConfig = read(stage, manifest.config.digest, "image configuration")?;
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
        &self,
        index: Index,
        stage: &Stage<'_>,
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
                    self.members.blob("index.json", descriptor.digest)?;
                    let mut inner: Index = read(stage, descriptor.digest, "image index")?;
                    for nested in &mut inner.manifests {
                        nested
                            .annotations
                            .append(&mut descriptor.annotations.clone());
                    }
                    self.flatten(inner, stage, depth + 1, manifests)?;
                }
                _ => {
                    // A layout of one platform may leave the others' blobs out.
                    let elsewhere = descriptor.platform.as_ref();
                    if elsewhere.is_some_and(|platform| !platform.runs_on(self.machine))
                        && self.members.blob("index.json", descriptor.digest).is_err()
                    {
                        continue;
                    }
                    self.members.blob("index.json", descriptor.digest)?;
                    descriptor
                        .annotations
                        .retain(|key, _| key == CONTAINERD_NAME || key == OCI_NAME);
                    manifests.push(descriptor);
                }
            }
        }
        Ok(())
    }

    fn check_blobs(&self, manifest: &Manifest) -> Result<(), ArchiveError> {
        self.members
            .blob("image manifest", manifest.config.digest)?;
        for layer in &manifest.layers {
            self.members.blob("image manifest", layer.digest)?;
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
    stage: &mut Stage<'_>,
    document: &T,
) -> Result<Digest, ArchiveError> {
    let text = serde_json::to_vec(document).map_err(|error| ArchiveError::Document {
        document: "image manifest".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(stage.put(&text)?)
}

fn read<T: serde::de::DeserializeOwned>(
    stage: &Stage<'_>,
    digest: Digest,
    document: &str,
) -> Result<T, ArchiveError> {
    let text = stage.read_blob(digest, DOCUMENT_BYTES_MAX)?;
    serde_json::from_slice(&text).map_err(|error| ArchiveError::Document {
        document: document.to_owned(),
        reason: error.to_string(),
    })
}
