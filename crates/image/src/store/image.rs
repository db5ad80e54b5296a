//! An image of the store, ready to be mounted: [`Image`].

use std::path::PathBuf;
use std::sync::Arc;

use crate::digest::Digest;
use crate::oci::{Descriptor, ImageConfig, Manifest};
use crate::reference::Reference;
use crate::rootfs::View;

/// An image: configuration and unpacked layers.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the manifest: what a name stands for.
    pub digest: Digest,
    /// Digest of the configuration: Docker's image id.
    pub id: Digest,
    /// The name it was resolved by.
    pub reference: Option<Reference>,
    /// The configuration.
    pub config: Arc<ImageConfig>,
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// Bytes of file content in all layers, what Docker shows as size.
    pub size_bytes: u64,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
    /// The unpacked directory, an overlay lower directory (whiteouts are 0:0
    /// devices or `user.overlay` attributes: mount with `userxattr`).
    pub dir: PathBuf,
    /// The blob it came from.
    pub blob: Descriptor,
    /// Bytes of file content.
    pub size_bytes: u64,
}

impl Image {
    /// Returns the layer directories uppermost first, as overlay's `lowerdir`
    /// lists them. An image `FROM scratch` may have none.
    pub fn lower_dirs(&self) -> Vec<PathBuf> {
        let dirs = self.layers.iter().rev().map(|layer| layer.dir.clone());
        dirs.collect()
    }

    /// Returns the merged tree.
    pub fn view(&self) -> View {
        View::new(self.layers.iter().map(|layer| layer.dir.clone()))
    }

    /// Returns the command a container runs when nothing else is said:
    /// entrypoint and arguments.
    pub fn default_command(&self) -> Vec<String> {
        let config = &self.config.config;
        let entrypoint = config.entrypoint.iter().flatten();
        entrypoint
            .chain(config.cmd.iter().flatten())
            .cloned()
            .collect()
    }
}

/// An image in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// Its name; `None` when it was loaded without one.
    pub reference: Option<Reference>,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Docker's image id.
    pub id: Digest,
    /// When it was made, RFC 3339, as its maker says.
    pub created: Option<String>,
    /// Bytes of file content in all layers.
    pub size_bytes: u64,
}
