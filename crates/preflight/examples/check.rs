//! Checks a chart folder without a cluster, for development:
//! `cargo run -p coracle-preflight --example check -- CHART [VALUES…]`.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use coracle_helm::{Capabilities, Chart, File, Level, NoCluster, Options, Release, Values};
use coracle_preflight::{Input, Show, check};
use std::path::Path;

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
            files.push(File::new(name, std::fs::read(&path)?));
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: check CHART [VALUES…]")?;
    let mut values = Values::new();
    for argument in arguments {
        match argument.strip_prefix("--set=") {
            Some(set) => values.set(set)?,
            None => values.add_file(&argument, &std::fs::read(&argument)?)?,
        }
    }
    let mut files = Vec::new();
    collect(folder.as_ref(), folder.as_ref(), &mut files)?;
    let chart = Chart::load(files)?;
    let report = check(&Input {
        chart: &chart,
        values: &values,
        release: &Release::named("demo"),
        capabilities: &Capabilities::of(Level::default()),
        lookup: &NoCluster,
        options: Options::default(),
        target: None,
        create_namespace: false,
    });
    println!("{}", Show::default().report(&report));
    Ok(())
}
