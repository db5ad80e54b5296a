//! The cluster's part of the host's cgroup tree: a scope that the service
//! manager of the user's session gives, else what the caller may make itself.
//! The main type is [`Groups`].

use std::io;

use coracle_runtime::Delegation;
use rustix::process::geteuid;

use crate::idmap::IdMap;
use crate::scope::{self, ScopeError};

/// What a cluster got.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// Its part of the tree; containers have no limits without.
    pub(crate) delegation: Option<Delegation>,
    /// Why the service manager gave none, if it was asked.
    pub(crate) refused: Option<ScopeError>,
}

impl Groups {
    /// Puts a process, which is to become the cluster's pid 1, into groups
    /// called `name`.
    ///
    /// What happens to be writable may be another program's scope, which ends
    /// with that: an ordinary user's session is asked first.
    pub(crate) fn of(name: &str, pid: u32, ids: &IdMap) -> io::Result<Groups> {
        let mut refused = None;
        if !geteuid().is_root() {
            match scope::enter(name, pid, ids) {
                Ok(delegation) => {
                    return Ok(Groups {
                        delegation: Some(delegation),
                        refused,
                    });
                }
                Err(ScopeError::NoTree | ScopeError::NoManager(_)) => {}
                Err(error) => refused = Some(error),
            }
        }
        let (uid, gid) = ids.root();
        let delegation = Delegation::create(name, uid, gid).ok();
        if let Some(delegation) = &delegation {
            delegation.join(pid).inspect_err(|_| {
                let _ = delegation.remove();
            })?;
            refused = None;
        }
        Ok(Groups {
            delegation,
            refused,
        })
    }

    /// Removes what was made; its processes have ended.
    pub(crate) fn remove(&self) {
        if let Some(delegation) = &self.delegation {
            // The error that is told is the first one.
            let _ = delegation.remove();
        }
    }
}
