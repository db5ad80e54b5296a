//! Measurements behind the budget table.
//!
//! ```text
//! cargo build --release --workspace
//! cargo build --release -p coracle-apiserver --example serve
//! cargo run --release -p coracle-benches [-- THEME|CHART... [-o json]]
//! ```
//!
//! Prints one row per figure: what was measured now and, where there is one,
//! the budget, their ratio, what another program needs. CHART is the folder of
//! a chart, rendered beside helm.
//! Ten thousand pods take minutes and stand apart: `--bin scale`.

mod api;
mod charts;
mod cpu;
mod images;
mod life;
mod network;
mod plane;
mod pods;
mod table;
mod todo;

use std::path::Path;

use anyhow::Context;
use coracle_tests::cluster::Cluster;
use table::Table;

/// What measures a theme and adds its rows.
type Measure = fn(&mut Table) -> anyhow::Result<()>;

/// The themes by name; without names on the command line all are measured.
const THEMES: &[(&str, Measure)] = &[
    ("api", api::measure),
    ("cluster", cluster),
    ("pods", pods::measure),
    ("images", images::images),
    ("network", network::measure),
    ("charts", charts::measure),
    ("todo", todo::load),
];

fn main() -> anyhow::Result<()> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let as_json = names.ends_with(&["-o".to_owned(), "json".to_owned()]);
    if as_json {
        names.truncate(names.len() - 2);
    }
    if names.is_empty() {
        names = THEMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    }
    let mut table = Table::default();
    for name in names {
        if Path::new(&name).join("Chart.yaml").exists() {
            charts::beside_helm(&mut table, &name, Path::new(&name))?;
            continue;
        }
        let (_, measure) = THEMES
            .iter()
            .find(|(theme, _)| *theme == name)
            .with_context(|| {
                let known: Vec<&str> = THEMES.iter().map(|(theme, _)| *theme).collect();
                format!(
                    "no theme and no chart {name}; the themes are {}",
                    known.join(", ")
                )
            })?;
        measure(&mut table)?;
    }
    if as_json {
        println!("{:#}", table.json());
    } else {
        print!("{table}");
    }
    Ok(())
}

/// Everything that needs a whole cluster.
fn cluster(table: &mut Table) -> anyhow::Result<()> {
    let cluster = Cluster::new("bench");
    life::api_ready(&cluster, table)?;
    life::application_served(&cluster, table)?;
    cpu::idle(&cluster, table)
}
