//! Measurements behind the budget table.
//!
//! ```text
//! cargo build --release --workspace
//! cargo run --release -p coracle-benches
//! ```
//!
//! Prints one row per budget: what was measured now, the budget, their ratio.

mod cpu;
mod images;
mod life;
mod pods;
mod table;
mod todo;

use coracle_tests::cluster::Cluster;
use table::Table;

fn main() -> anyhow::Result<()> {
    let mut table = Table::default();
    let cluster = Cluster::new("bench");
    life::api_ready(&cluster, &mut table)?;
    life::application_served(&cluster, &mut table)?;
    cpu::idle(&cluster, &mut table)?;
    pods::start_times(&cluster, &mut table)?;
    images::images(&mut table)?;
    print!("{table}");
    todo::load()?;
    Ok(())
}
