//! Saving: [`save`] writes images as one archive; the same images give the
//! same bytes.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use serde_json::json;

use super::ArchiveError;
use crate::digest::Digest;
use crate::oci::{Descriptor, Index, media_type};
use crate::store::{Image, ImageStore};
use crate::tar::{Kind, Member, TarWriter};

/// Which kind of archive is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// What `docker load` reads; an OCI layout too, as Docker 25 writes it.
    #[default]
    Docker,
    /// OCI layout only.
    Oci,
}

/// How images are saved.
#[derive(Debug, Clone, Default)]
pub struct SaveOptions {
    /// Which kind of archive.
    pub format: Format,
    /// Whether the whole archive is compressed.
    pub gzip: bool,
}

/// Writes `images`, each under the name it was resolved by, as one archive.
///
/// # Errors
///
/// Fails when writing fails or content is missing.
pub fn save(
    store: &ImageStore,
    images: &[Image],
    options: &SaveOptions,
    output: impl Write,
) -> Result<(), ArchiveError> {
    let failed = |source| ArchiveError::Io {
        step: "write",
        source,
    };
    if !options.gzip {
        write(store, images, options.format, output)?
            .flush()
            .map_err(failed)?;
        return Ok(());
    }
    // No time and no name in the header: same input, same bytes.
    let encoder = flate2::write::GzEncoder::new(output, flate2::Compression::new(4));
    let encoder = write(store, images, options.format, encoder)?;
    encoder
        .finish()
        .and_then(|mut output| output.flush())
        .map_err(failed)
}

fn write<W: Write>(
    store: &ImageStore,
    images: &[Image],
    format: Format,
    output: W,
) -> Result<W, ArchiveError> {
    let mut writer = Writer {
        store,
        tar: TarWriter::new(output),
    };
    if format == Format::Docker {
        writer.document("manifest.json", &docker_manifest(images))?;
    }
    writer.document("index.json", &to_json(&index(store, images))?)?;
    writer.document("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
    for directory in ["blobs/", "blobs/sha256/"] {
        let member = Member::new(directory, Kind::Directory, 0o755);
        writer.tar.member(&member).map_err(write_failed)?;
    }
    for digest in blobs(images) {
        writer.blob(digest)?;
    }
    writer.tar.finish().map_err(write_failed)
}

struct Writer<'s, W: Write> {
    store: &'s ImageStore,
    tar: TarWriter<W>,
}

impl<W: Write> Writer<'_, W> {
    fn document(&mut self, name: &str, document: &serde_json::Value) -> Result<(), ArchiveError> {
        let text = document.to_string();
        let mut member = Member::new(name, Kind::File, 0o644);
        member.size = text.len() as u64;
        self.tar
            .file(&member, &mut text.as_bytes())
            .map_err(write_failed)
    }

    fn blob(&mut self, digest: Digest) -> Result<(), ArchiveError> {
        let mut file = self.store.open_blob(digest)?;
        let path = format!("blobs/sha256/{}", digest.hex());
        let mut member = Member::new(path, Kind::File, 0o644);
        member.size = self.store.blob_size(digest).unwrap_or_default();
        let content: &mut dyn Read = &mut file;
        self.tar.file(&member, content).map_err(write_failed)
    }
}

fn write_failed(source: io::Error) -> ArchiveError {
    ArchiveError::Io {
        step: "write",
        source,
    }
}

fn to_json(document: &impl serde::Serialize) -> Result<serde_json::Value, ArchiveError> {
    serde_json::to_value(document).map_err(|error| ArchiveError::Document {
        document: "index.json".to_owned(),
        reason: error.to_string(),
    })
}

fn blobs(images: &[Image]) -> BTreeSet<Digest> {
    let mut blobs = BTreeSet::new();
    for image in images {
        blobs.extend([image.digest, image.id]);
        blobs.extend(image.manifest.layers.iter().map(|layer| layer.digest));
    }
    blobs
}

fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn docker_manifest(images: &[Image]) -> serde_json::Value {
    let mut entries: Vec<(Digest, serde_json::Value, Vec<String>, Vec<String>)> = Vec::new();
    for image in images {
        let tag = image
            .reference
            .as_ref()
            .filter(|reference| reference.tag().is_some());
        let tag = tag.map(|reference| {
            format!(
                "{}:{}",
                reference.familiar_name(),
                reference.tag().unwrap_or_default()
            )
        });
        if let Some(entry) = entries.iter_mut().find(|entry| entry.0 == image.digest) {
            entry.2.extend(tag);
            continue;
        }
        let layers = image
            .manifest
            .layers
            .iter()
            .map(|layer| blob_path(layer.digest));
        let config = json!(blob_path(image.id));
        entries.push((
            image.digest,
            config,
            tag.into_iter().collect(),
            layers.collect(),
        ));
    }
    let entries = entries.into_iter().map(
        |(_, config, tags, layers)| json!({"Config": config, "RepoTags": tags, "Layers": layers}),
    );
    entries.collect()
}

fn index(store: &ImageStore, images: &[Image]) -> Index {
    let manifests = images.iter().map(|image| {
        let kind = image
            .manifest
            .media_type
            .as_deref()
            .unwrap_or(media_type::MANIFEST);
        let size = store.blob_size(image.digest).unwrap_or_default();
        let mut descriptor = Descriptor::new(kind, image.digest, size);
        descriptor.platform = Some(image.config.platform());
        if let Some(reference) = &image.reference {
            let annotations = &mut descriptor.annotations;
            annotations.insert("io.containerd.image.name".to_owned(), reference.to_string());
            if let Some(tag) = reference.tag() {
                annotations.insert(
                    "org.opencontainers.image.ref.name".to_owned(),
                    tag.to_owned(),
                );
            }
        }
        descriptor
    });
    Index::new(manifests.collect())
}
