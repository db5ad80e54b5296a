//! `coracle delete`: removes the cluster and everything that belongs to it.

use std::time::Duration;

use coracle_cluster::{kubeconfig, launch};
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use kube::api::ListParams;

use super::progress::Progress;
use super::target::{Target, kubeconfig_path};
use super::{Global, advice};
use crate::failure::{Failure, Outcome};
use crate::process::{Job, cgroups, run_job};

/// How long a cluster may take to name its volumes before it is removed.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Deletes the cluster.
pub fn run(global: &Global) -> Outcome {
    let target = Target::own(global)?;
    let step = Progress::new(global).step("Delete");
    kubeconfig::remove(&kubeconfig_path(global)?, target.dir.name())?;
    let lock = match target.dir.lock() {
        // There was none, or another `delete` was faster.
        Err(_) if !target.dir.exists() => {
            forget(&target)?;
            step.skipped(&format!("there is no cluster {}", target.dir.name()));
            return Ok(());
        }
        lock => lock.map_err(advice::of_launch)?,
    };
    if let Some(record) = target.running() {
        for volume in kept_volumes(&target).unwrap_or_default() {
            step.line(&format!(
                "· {volume} is destroyed: its policy Retain keeps it from claims only"
            ));
        }
        step.say("ending its processes");
        launch::destroy(&target.dir, &record).map_err(advice::of_launch)?;
    }
    let name = cgroups::name(&target.dir);
    if let Some(delegation) = coracle_runtime::Delegation::find(&name) {
        delegation.remove().map_err(|error| {
            Failure::machine(format!("the cgroups {name} cannot be removed: {error}"))
                .hint("processes are left in them: cat /sys/fs/cgroup/*/NAME/cgroup.procs, then try again")
        })?;
    }
    step.say("removing its files");
    let forgotten = forget(&target);
    let removed = launch::remove_files(&target.dir);
    drop(lock);
    if forgotten.is_err() {
        // A full disk refuses the image store; now there may be room.
        forget(&target)?;
    }
    removed?;
    step.done(&format!("{} is gone", target.dir.name()));
    Ok(())
}

/// Returns the volumes whose data would outlive their claims.
fn kept_volumes(target: &Target) -> Result<Vec<String>, Failure> {
    let volumes = super::block_on(async {
        let volumes = Api::<PersistentVolume>::all(target.connect().await?);
        let all = ListParams::default();
        let listed = tokio::time::timeout(ANSWER_WITHIN, volumes.list(&all));
        Ok(listed.await??)
    })?;
    let kept = volumes.items.into_iter().filter_map(|volume| {
        let spec = volume.spec.unwrap_or_default();
        let is_kept = spec.persistent_volume_reclaim_policy.as_deref() == Some("Retain");
        let claim = spec.claim_ref.map_or(String::new(), |claim| {
            format!(
                " of {}/{}",
                claim.namespace.unwrap_or_default(),
                claim.name.unwrap_or_default()
            )
        });
        let name = volume.metadata.name?;
        is_kept.then(|| format!("volume {name}{claim}"))
    });
    Ok(kept.collect())
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
