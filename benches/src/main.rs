//! Measurements behind the budget table.
//!
//! ```text
//! cargo build --release --workspace
//! cargo build --release -p coracle-apiserver --example serve
//! cargo run --release -p coracle-benches [-- api|cluster]
//! ```
//!
//! Prints one row per budget: what was measured now, the budget, their ratio.

mod api;
mod cpu;
mod life;
mod pods;
mod table;
mod todo;

use coracle_tests::cluster::Cluster;
use table::Table;

fn main() -> anyhow::Result<()> {
    let mut table = Table::default();
    let theme = std::env::args().nth(1);
    if theme.as_deref() != Some("cluster") {
        api::measure(&mut table)?;
    }
    if theme.as_deref() != Some("api") {
        cluster(&mut table)?;
    }
    print!("{table}");
    todo::load()?;
    Ok(())
}

/// Everything that needs a whole cluster.
fn cluster(table: &mut Table) -> anyhow::Result<()> {
    let cluster = Cluster::new("bench");
    life::api_ready(&cluster, table)?;
    life::application_served(&cluster, table)?;
    cpu::idle(&cluster, table)?;
    pods::start_times(&cluster, table)?;
    Ok(())
}
