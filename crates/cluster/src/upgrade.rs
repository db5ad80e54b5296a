//! A running cluster goes over to this binary: engine, data plane and gateway
//! are replaced, containers run on, no port of the host is closed.
//!
//! Pid 1 itself and the shims stay the processes they are until the cluster is
//! stopped; what they say to the others is versioned.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::build;
use crate::gateway;
use crate::home::ClusterDir;
use crate::init;
use crate::launch::{LaunchError, file, signal};
use crate::record::Record;

/// How long pid 1 may take to start every process anew.
const PATIENCE: Duration = Duration::from_secs(20);

/// Hands this binary to the cluster. Returns when the new processes have been
/// started; [`finish`] must follow when they answer.
///
/// # Errors
/// Fails if a newer build wrote the cluster's folder, a file cannot be laid
/// down, a process not be started, or pid 1 does not take the new version.
pub fn begin(cluster: &ClusterDir, record: &mut Record) -> Result<(), LaunchError> {
    cluster.migrate(&record.ids)?;
    let path = cluster.run().join(init::NEXT);
    let partial = path.with_extension("partial");
    fs::copy("/proc/self/exe", &partial).map_err(file(&partial))?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&partial, mode).map_err(file(&partial))?;
    record.ids.own(&partial).map_err(file(&partial))?;
    fs::rename(&partial, &path).map_err(file(&path))?;
    gateway::succeed(cluster, record)?;
    let failed = |source| LaunchError::Spawn {
        process: "the new version",
        source,
    };
    signal(record.init, init::UPGRADE).map_err(failed)?;
    let until = Instant::now() + PATIENCE;
    while path.exists() {
        if Instant::now() >= until || !record.init.is_alive() {
            let _ = fs::remove_file(&path);
            return Err(failed(io::ErrorKind::TimedOut.into()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Ends what is left of the version before.
///
/// # Errors
/// Fails if the record cannot be written.
pub fn finish(cluster: &ClusterDir, record: &mut Record) -> Result<(), LaunchError> {
    gateway::retire(cluster, record)?;
    build::version().clone_into(&mut record.version);
    record.write(cluster).map_err(file(&cluster.run()))
}
