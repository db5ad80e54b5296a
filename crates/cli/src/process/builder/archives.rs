//! Jobs that read and write archives of images.

use std::io;

use anyhow::Context;
use coracle_cluster::apart;
use coracle_image::archive::{self, Format, LoadEvent, LoadOptions, SaveOptions};
use coracle_image::reference::Reference;
use coracle_image::store::ImageStore;

use super::job::JobEvent;
use super::prepare::Prepared;
use super::{say, say_changes};

pub(super) fn load(
    store: &ImageStore,
    cluster: &str,
    name: Option<&str>,
    prepared: Prepared,
) -> anyhow::Result<()> {
    let options = LoadOptions {
        name: name.map(Reference::parse).transpose()?,
        ..LoadOptions::default()
    };
    let mut tell = |event| {
        if let LoadEvent::Layer { number, total, .. } = event {
            say(&JobEvent::Step {
                number,
                total,
                text: "unpack".into(),
            });
        }
    };
    let loaded = match prepared.archive {
        Some(file) => archive::load(store, cluster, file, &options, &mut tell)?,
        None => {
            let folder = prepared.folders.first();
            let folder = folder.context("the job has no archive")?;
            archive::load_file(store, cluster, &apart::given(folder), &options, &mut tell)?
        }
    };
    for image in loaded {
        say_changes(&image.names);
        let names = image
            .names
            .iter()
            .filter_map(|change| Some(change.reference.as_ref()?.familiar()))
            .collect();
        say(&JobEvent::Loaded {
            names,
            bytes: image.size_bytes,
        });
    }
    Ok(())
}

pub(super) fn save(
    store: &ImageStore,
    cluster: &str,
    names: &[String],
    oci: bool,
    prepared: Prepared,
) -> anyhow::Result<()> {
    let output = prepared.output.context("the job has no output")?;
    let images = names
        .iter()
        .map(|name| store.find(cluster, name))
        .collect::<Result<Vec<_>, _>>()?;
    let format = if oci { Format::Oci } else { Format::Docker };
    let options = SaveOptions {
        format,
        gzip: false,
    };
    archive::save(store, &images, &options, io::BufWriter::new(output))?;
    Ok(())
}
