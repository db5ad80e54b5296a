//! `coracle delete`: removes the cluster and everything that belongs to it.

use coracle_cluster::{kubeconfig, launch};

use super::progress::Progress;
use super::target::{Target, kubeconfig_path};
use super::{Global, advice};
use crate::failure::{Failure, Outcome};
use crate::process::{Job, cgroups, run_job};

/// Deletes the cluster.
pub fn run(global: &Global) -> Outcome {
    let target = Target::of(global)?;
    let step = Progress::new(global).step("Delete");
    kubeconfig::remove(&kubeconfig_path(global)?, target.dir.name())?;
    if !target.dir.exists() {
        forget(&target)?;
        step.skipped(&format!("there is no cluster {}", target.dir.name()));
        return Ok(());
    }
    let lock = target.dir.lock().map_err(advice::of_launch)?;
    if let Some(record) = target.running() {
        step.say("ending its processes");
        launch::stop(&target.dir, &record).map_err(advice::of_launch)?;
    }
    let name = cgroups::name(&target.dir);
    if let Some(delegation) = coracle_runtime::Delegation::find(&name) {
        delegation.remove().map_err(|error| {
            Failure::machine(format!("the cgroups {name} cannot be removed: {error}"))
                .hint("processes are left in them: cat /sys/fs/cgroup/*/NAME/cgroup.procs, then try again")
        })?;
    }
    step.say("removing its files");
    forget(&target)?;
    drop(lock);
    launch::remove_files(&target.dir)?;
    step.done(&format!("{} is gone", target.dir.name()));
    Ok(())
}

/// Removes image names and data of the cluster, from inside a user namespace:
/// files of other ids than the user's can only be removed there.
fn forget(target: &Target) -> Outcome {
    if target.home.images().exists() {
        let cluster = target.dir.name().into();
        run_job(&target.home, &Job::Forget { cluster }, |_| {})?;
    }
    Ok(())
}
