//! The network: what a change costs, what a request and a question cost on
//! their way. Where there is no budget, the same without us (direct loopback,
//! pod to pod) stands in its place.

mod kernel;
mod names;
mod readiness;
mod requests;

use coracle_tests::cluster::Cluster;

use crate::table::Table;

/// How many there are while one of them changes.
const SERVICES: u32 = 2000;

/// Measures kernel, names and requests.
pub fn measure(table: &mut Table) -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() {
        kernel::endpoint_change(table)?;
        readiness::readiness(table)?;
        kernel::throughput(table)?;
        names::questions(table)?;
    } else {
        eprintln!("only root may make networks: kernel and names are not measured");
    }
    let cluster = Cluster::new("bench-network");
    requests::ways(&cluster, table)?;
    requests::rollout(&cluster, table)
}
