//! What the machine lets a cluster do, found out by doing it in throw-away
//! namespaces. For a process of its own with one thread: it does not come back.

use std::fs;
use std::path::Path;

use rustix::mount::{MountFlags, mount};
use serde::{Deserialize, Serialize};

use crate::features;
use crate::idmap::IdMap;
use crate::sys::{self, Fork};

/// What was tried and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// What was tried: `user`, `namespaces`, `mount`, `overlay`, `network`, `nftables`.
    pub name: String,
    /// Why it failed; `None` if it did not.
    pub error: Option<String>,
}

/// Tries everything in order, until something fails that the rest needs.
pub fn run(ids: &IdMap) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut tried = |name: &str, result: Result<(), String>| -> bool {
        let passed = result.is_ok();
        trials.push(Trial {
            name: name.into(),
            error: result.err(),
        });
        passed
    };
    let text = |error: &dyn std::error::Error| {
        let source = error.source().map(|source| format!(": {source}"));
        format!("{error}{}", source.unwrap_or_default())
    };
    let flags = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWCGROUP;
    let entered = tried("user", ids.enter().map_err(|error| text(&error)))
        && tried(
            "namespaces",
            sys::unshare(flags).map_err(|error| text(&error)),
        );
    if entered {
        if tried("mount", tmpfs().map_err(|error| text(&error))) {
            tried("overlay", overlay().map_err(|error| text(&error)));
        }
        if tried("network", network().map_err(|error| text(&error))) {
            tried(
                "nftables",
                features::nftables().map_err(|error| text(&error)),
            );
        }
        tried("processes", processes().map_err(|error| text(&error)));
    }
    trials
}

const PLACE: &str = "/tmp";

fn tmpfs() -> std::io::Result<()> {
    rustix::mount::mount_change(
        "/",
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC,
    )?;
    mount(
        "tmpfs",
        PLACE,
        "tmpfs",
        MountFlags::NOSUID,
        Some(c"mode=755"),
    )?;
    Ok(())
}

/// Mounts an overlay of two layers as containers have it.
fn overlay() -> std::io::Result<()> {
    let place = Path::new(PLACE);
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(place.join(name))?;
    }
    let options = c"userxattr,lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work";
    mount(
        "overlay",
        place.join("merged"),
        "overlay",
        MountFlags::empty(),
        Some(options),
    )?;
    fs::write(place.join("merged/file"), b"written")
}

fn network() -> coracle_netdev::Result<()> {
    coracle_netdev::base::setup(&coracle_netdev::AddressPlan::default())
}

/// The first process of the new pid namespace mounts its own /proc.
fn processes() -> std::io::Result<()> {
    match sys::fork()? {
        Fork::Child => {
            let mounted = mount("proc", "/proc", "proc", MountFlags::NOSUID, None);
            std::process::exit(i32::from(mounted.is_err()));
        }
        Fork::Parent(pid) if sys::wait_success(pid)? => Ok(()),
        Fork::Parent(_) => Err(std::io::Error::other("a new /proc cannot be mounted")),
    }
}
