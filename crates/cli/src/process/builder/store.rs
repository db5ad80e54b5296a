//! Jobs that look at the store or change names in it.

use std::io;
use std::path::Path;

use anyhow::Context;
use coracle_cluster::apart;
use coracle_image::inspect::Inspection;
use coracle_image::reference::Reference;
use coracle_image::store::{ImageStore, Steps};

use super::job::JobEvent;
use super::{say, say_changes};

pub(super) fn list(store: &ImageStore, cluster: &str) -> anyhow::Result<()> {
    for image in store.list(cluster)? {
        say(&JobEvent::Image {
            name: image
                .reference
                .map(|reference| reference.familiar())
                .unwrap_or_default(),
            id: image.id.to_string(),
            bytes: image.size_bytes,
        });
    }
    Ok(())
}

pub(super) fn tag(store: &ImageStore, cluster: &str, from: &str, to: &str) -> anyhow::Result<()> {
    say_changes(&[store.tag(cluster, from, &Reference::parse(to)?)?]);
    Ok(())
}

pub(super) fn inspect(store: &ImageStore, cluster: &str, name: &str) -> anyhow::Result<()> {
    let image = store.find(cluster, name)?;
    say(&JobEvent::Described {
        facts: serde_json::to_value(Inspection::of(&image))?,
    });
    Ok(())
}

pub(super) fn remove(store: &ImageStore, cluster: &str, names: &[String]) -> anyhow::Result<()> {
    for name in names {
        store.remove(cluster, name)?;
    }
    store.collect(Steps::Keep)?;
    Ok(())
}

pub(super) fn forget(store: &ImageStore, cluster: &str) -> anyhow::Result<()> {
    let data = Path::new(apart::CLUSTERS).join(cluster).join("data");
    match std::fs::remove_dir_all(&data) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("could not remove the data of {cluster}"));
        }
        _ => {}
    }
    store.forget_cluster(cluster)?;
    store.collect(Steps::Keep)?;
    Ok(())
}
