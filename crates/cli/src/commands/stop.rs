//! `coracle stop`: ends the cluster's processes; what it holds stays.

use coracle_cluster::launch;

use super::progress::Progress;
use super::target::Target;
use super::{Global, advice};
use crate::failure::Outcome;

/// Stops the cluster if it runs.
pub fn run(global: &Global) -> Outcome {
    let target = Target::own(global)?;
    let step = Progress::new(global).step("Stop");
    let Some(record) = target.running() else {
        step.skipped(&format!("{} does not run", target.dir.name()));
        return Ok(());
    };
    let _lock = target.dir.lock().map_err(advice::of_launch)?;
    launch::stop(&target.dir, &record).map_err(advice::of_launch)?;
    step.done(&format!("{} has stopped", target.dir.name()));
    Ok(())
}
