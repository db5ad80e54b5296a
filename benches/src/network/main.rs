//! Measurements of the network: what a change costs, what a request and a
//! question cost on their way.
//!
//! ```text
//! cargo build --release --workspace
//! cargo run --release -p coracle-benches --bin network
//! ```
//!
//! Prints one row per figure; where there is no budget, the same without us
//! (direct loopback, pod to pod) stands in its place.

mod kernel;
mod names;
mod requests;
#[path = "../table.rs"]
mod table;

use coracle_tests::cluster::Cluster;
use table::Table;

fn main() -> anyhow::Result<()> {
    let mut table = Table::default();
    if rustix::process::geteuid().is_root() {
        kernel::endpoint_change(&mut table)?;
        kernel::throughput(&mut table)?;
        names::questions(&mut table)?;
    } else {
        println!("only root may make networks: kernel and names are not measured");
    }
    let cluster = Cluster::new("bench-network");
    requests::ways(&cluster, &mut table)?;
    requests::rollout(&cluster, &mut table)?;
    print!("{table}");
    Ok(())
}
