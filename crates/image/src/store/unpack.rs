//! An image's layers as directories: those that are unpacked, and unpacking
//! the others.

use super::layers::{self, chain_id};
use super::{ImageStore, Layer, Stage, StoreError};
use crate::oci::{ImageConfig, Manifest};

/// Most layers of one image; the kernel's overlay takes 500.
const LAYERS_MAX: usize = 500;

impl ImageStore {
    pub(super) fn unpacked_layers(
        &self,
        manifest: &Manifest,
        config: &ImageConfig,
    ) -> Result<Option<Vec<Layer>>, StoreError> {
        let mut found = Vec::with_capacity(manifest.layers.len());
        let mut parent = None;
        for (blob, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            let chain = chain_id(parent, *diff_id);
            let Some(layer) = layers::find(&self.layers_dir(), *diff_id, chain)? else {
                return Ok(None);
            };
            found.push(Layer {
                diff_id: *diff_id,
                dir: layer.dir,
                blob: blob.clone(),
                size_bytes: layer.meta.size_bytes,
            });
            parent = Some(chain);
        }
        Ok(Some(found))
    }

    pub(super) fn unpack_missing(
        &self,
        manifest: &Manifest,
        config: &ImageConfig,
    ) -> Result<Vec<Layer>, StoreError> {
        let mut stage = self.stage()?;
        stage.unpack_image(manifest, config, &mut |_, _| {})?;
        stage.publish()?;
        let layers = self.unpacked_layers(manifest, config)?;
        layers.ok_or_else(|| StoreError::Broken {
            what: "the image".to_owned(),
            reason: "a layer vanished while it was unpacked".to_owned(),
        })
    }
}

impl Stage {
    /// Unpacks every layer of an image that is not unpacked yet, lowest first;
    /// `progress` hears of each layer's number and whether it was new.
    pub(crate) fn unpack_image(
        &mut self,
        manifest: &Manifest,
        config: &ImageConfig,
        progress: &mut dyn FnMut(usize, bool),
    ) -> Result<u64, StoreError> {
        self.unpack_lowest(manifest.layers.len(), manifest, config, progress)
    }

    /// Unpacks the lowest `count` layers of an image, whose blobs are here.
    pub(crate) fn unpack_lowest(
        &mut self,
        count: usize,
        manifest: &Manifest,
        config: &ImageConfig,
        progress: &mut dyn FnMut(usize, bool),
    ) -> Result<u64, StoreError> {
        check_layers(manifest, config)?;
        let (mut parent, mut lowers, mut size_bytes) = (None, Vec::new(), 0);
        let layers = manifest.layers.iter().zip(&config.rootfs.diff_ids);
        for (index, (blob, diff_id)) in layers.enumerate().take(count) {
            let chain = chain_id(parent, *diff_id);
            let (layer, new) = self.ensure_layer(blob.digest, *diff_id, chain, &lowers)?;
            progress(index, new);
            size_bytes += layer.meta.size_bytes;
            lowers.push(layer.dir);
            parent = Some(chain);
        }
        Ok(size_bytes)
    }
}

pub(super) fn check_layers(manifest: &Manifest, config: &ImageConfig) -> Result<(), StoreError> {
    let (blobs, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    let broken = |reason| StoreError::Broken {
        what: "the image".to_owned(),
        reason,
    };
    if blobs != diff_ids {
        let reason = format!("its manifest has {blobs} layers, its configuration {diff_ids}");
        return Err(broken(reason));
    }
    match blobs {
        ..=LAYERS_MAX => Ok(()),
        _ => Err(broken(format!(
            "it has {blobs} layers, at most {LAYERS_MAX} are possible"
        ))),
    }
}
