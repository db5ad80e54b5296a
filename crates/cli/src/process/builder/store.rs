//! Jobs that look at the store or change names in it.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use coracle_cluster::apart;
use coracle_image::inspect::{self, Inspection};
use coracle_image::policy::{self, Policy};
use coracle_image::reference::Reference;
use coracle_image::store::{ImageStore, Steps};

use super::job::JobEvent;
use super::{say, say_changes};

/// Build steps that nobody has used for so long are forgotten.
const STEPS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) fn list(store: &ImageStore, cluster: &str) -> anyhow::Result<()> {
    for image in store.list(cluster)? {
        say(&JobEvent::Image {
            name: image
                .reference
                .map(|reference| reference.familiar())
                .unwrap_or_default(),
            id: image.id.to_string(),
            digest: image.digest.to_string(),
            created: image.created,
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

pub(super) fn history(store: &ImageStore, cluster: &str, name: &str) -> anyhow::Result<()> {
    let entries = inspect::history(&store.find(cluster, name)?);
    say(&JobEvent::Described {
        facts: serde_json::to_value(entries)?,
    });
    Ok(())
}

pub(super) fn check(
    store: &ImageStore,
    cluster: &str,
    name: &str,
    policy: &Policy,
) -> anyhow::Result<()> {
    let findings = policy::check(&store.find(cluster, name)?, policy)?;
    say(&JobEvent::Described {
        facts: serde_json::to_value(findings)?,
    });
    Ok(())
}

pub(super) fn prune(store: &ImageStore, build_cache: bool) -> anyhow::Result<()> {
    let steps = match build_cache {
        true => Steps::Drop,
        false => Steps::DropUnusedFor(STEPS_KEPT),
    };
    let collected = store.collect(steps)?;
    say_usage(store, collected.bytes)
}

pub(super) fn limit(mut store: ImageStore, bytes_max: Option<u64>) -> anyhow::Result<()> {
    store.set_disk_limit(bytes_max)?;
    say_usage(&store, 0)
}

fn say_usage(store: &ImageStore, freed: u64) -> anyhow::Result<()> {
    say(&JobEvent::Store {
        freed,
        bytes: store.usage()?.total_bytes(),
        bytes_max: store.disk_bytes_max(),
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
