//! Base images of a build: those of the store, else those of their registry.

use std::error::Error;

use coracle_image::build::BaseImages;
use coracle_image::oci::Platform;
use coracle_image::reference::Reference;
use coracle_image::store::{Image, ImageStore};
use tokio::runtime::Runtime;

use super::job::BuildJob;
use super::registry;

/// Where the base images of a build come from.
pub(super) struct Bases<'a> {
    pub store: &'a ImageStore,
    pub job: &'a BuildJob,
    pub platform: &'a Platform,
    pub threads: &'a Runtime,
}

impl BaseImages for Bases<'_> {
    fn base(&self, reference: &Reference) -> Result<Image, Box<dyn Error + Send + Sync>> {
        let cluster = &self.job.cluster;
        if !self.job.pull
            && let Some(image) = self.store.resolve(cluster, reference)?
        {
            return Ok(image);
        }
        let pulled = self.threads.block_on(registry::fetch(
            self.store,
            cluster,
            reference,
            self.platform,
            self.job.registries.clone(),
        ));
        pulled.map_err(|error| {
            format!(
                "it is not here, and {error:#}; without a network an archive brings it: coracle image load FILE"
            )
        })?;
        let image = self.store.resolve(cluster, reference)?;
        image.ok_or_else(|| format!("{} vanished", reference.familiar()).into())
    }
}
