//! The user namespace every cluster and every build lives in.
//!
//! Started by root, ids 0 to 65535 map to one fixed high range, the same for
//! all clusters, so that they share the image store and so that root inside is
//! nobody outside. Started by anyone else, `newuidmap` and the user's range in
//! `/etc/subuid` are used where both exist, else a single id is mapped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::sys::{self, Fork};

/// First host id of the range that root's clusters use. It lies above the
/// ranges that systemd reserves for containers (systemd, UIDS-GIDS.md).
pub const SHIFTED_BASE: u32 = 0x7000_0000;

/// How many ids a full map holds.
pub const RANGE: u32 = 65_536;

/// How ids inside a cluster map to ids of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum IdMap {
    /// Ids 0 to 65535 are `base` and the following ones; only root can set it.
    Shifted {
        /// Host id of id 0.
        base: u32,
    },
    /// Id 0 is the user, 1 to `count` are the user's subordinate ids.
    Subordinate {
        /// Host user id of id 0.
        uid: u32,
        /// Host group id of id 0.
        gid: u32,
        /// First subordinate user id.
        sub_uid: u32,
        /// First subordinate group id.
        sub_gid: u32,
        /// How many subordinate ids there are.
        count: u32,
    },
    /// Id 0 is the user; there is no other id.
    Single {
        /// Host user id of id 0.
        uid: u32,
        /// Host group id of id 0.
        gid: u32,
    },
}

impl IdMap {
    /// Returns the best map that the calling user may set.
    pub fn choose() -> IdMap {
        let (uid, gid) = ids();
        // Root of a container may have few ids, and cannot give away others.
        let has_range = |file: &str| {
            let map = fs::read_to_string(file).unwrap_or_default();
            holds(&map, SHIFTED_BASE, RANGE)
        };
        if uid == 0 && has_range("/proc/self/uid_map") && has_range("/proc/self/gid_map") {
            return IdMap::Shifted { base: SHIFTED_BASE };
        }
        subordinate(uid, gid).unwrap_or(IdMap::Single { uid, gid })
    }

    /// Returns the host ids of user 0 and group 0.
    pub fn root(&self) -> (u32, u32) {
        match *self {
            IdMap::Shifted { base } => (base, base),
            IdMap::Subordinate { uid, gid, .. } | IdMap::Single { uid, gid } => (uid, gid),
        }
    }

    /// Returns whether more than one id can be used inside.
    pub fn is_full(&self) -> bool {
        !matches!(self, IdMap::Single { .. })
    }

    /// Gives `path` to user 0 of the map; only root has to, others own it already.
    ///
    /// # Errors
    /// Returns what lchown(2) reports.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        match self {
            IdMap::Shifted { base } => std::os::unix::fs::lchown(path, Some(*base), Some(*base)),
            _ => Ok(()),
        }
    }

    /// Moves the calling process into a new user namespace with this map and
    /// makes it user 0 there.
    ///
    /// Only for a process with one thread. A forked child, which stays in the
    /// old namespace, writes the map.
    ///
    /// # Errors
    /// Fails where user namespaces are forbidden or the map is refused.
    pub fn enter(&self) -> Result<(), EnterError> {
        let failed = |step: &'static str| move |source| EnterError { step, source };
        let (go_read, go_write) = io::pipe().map_err(failed("make a pipe"))?;
        let process = std::process::id();
        let writer = match sys::fork().map_err(failed("fork"))? {
            Fork::Child => {
                drop(go_write);
                let mut byte = [0u8];
                let told = io::Read::read(&mut &go_read, &mut byte).is_ok_and(|read| read == 1);
                let done = told && self.write(process).is_ok();
                std::process::exit(i32::from(!done));
            }
            Fork::Parent(pid) => pid,
        };
        drop(go_read);
        let unshared = sys::unshare(libc::CLONE_NEWUSER);
        if unshared.is_ok() {
            io::Write::write_all(&mut &go_write, b"1").map_err(failed("start the id map"))?;
        }
        drop(go_write);
        let written = sys::wait_success(writer).map_err(failed("wait for the id map"))?;
        unshared
            .map_err(of_limit)
            .map_err(failed("make a user namespace"))?;
        if !written {
            return Err(EnterError {
                step: "write the id map",
                source: io::ErrorKind::PermissionDenied.into(),
            });
        }
        sys::become_root().map_err(failed("become root of the user namespace"))
    }

    /// Returns a user namespace with this map in which nobody lives, for mounts
    /// that show files with its ids.
    ///
    /// Only for a process with one thread.
    ///
    /// # Errors
    /// As [`enter`](IdMap::enter).
    pub fn namespace(&self) -> Result<fs::File, EnterError> {
        let failed = |step: &'static str| move |source| EnterError { step, source };
        let (entered, tell) = io::pipe().map_err(failed("make a pipe"))?;
        let (end, hold) = io::pipe().map_err(failed("make a pipe"))?;
        match sys::fork().map_err(failed("fork"))? {
            Fork::Child => {
                drop((entered, hold));
                let done = self.enter().is_ok();
                if done && io::Write::write_all(&mut &tell, b"1").is_ok() {
                    // Until the other side has what it wants, or is gone.
                    let _ = io::Read::read(&mut &end, &mut [0]);
                }
                std::process::exit(i32::from(!done));
            }
            Fork::Parent(child) => {
                drop((tell, end));
                let namespace = io::Read::read_exact(&mut &entered, &mut [0])
                    .and_then(|()| fs::File::open(format!("/proc/{child}/ns/user")));
                drop(hold);
                sys::wait_success(child).map_err(failed("wait for a process"))?;
                namespace.map_err(failed("make a user namespace for shared folders"))
            }
        }
    }

    /// Writes the map of process `pid` from outside its user namespace.
    fn write(&self, pid: u32) -> io::Result<()> {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        match *self {
            IdMap::Shifted { base } => {
                fs::write(proc.join("uid_map"), format!("0 {base} {RANGE}\n"))?;
                fs::write(proc.join("gid_map"), format!("0 {base} {RANGE}\n"))
            }
            IdMap::Single { uid, gid } => {
                fs::write(proc.join("setgroups"), "deny")?;
                fs::write(proc.join("uid_map"), format!("0 {uid} 1\n"))?;
                fs::write(proc.join("gid_map"), format!("0 {gid} 1\n"))
            }
            IdMap::Subordinate {
                uid,
                gid,
                sub_uid,
                sub_gid,
                count,
            } => {
                new_id_map("newuidmap", pid, uid, sub_uid, count)?;
                new_id_map("newgidmap", pid, gid, sub_gid, count)
            }
        }
    }
}

/// A user namespace could not be entered.
#[derive(Debug, thiserror::Error)]
#[error("could not {step}")]
pub struct EnterError {
    /// What was being done.
    pub step: &'static str,
    /// Why it failed.
    pub source: io::Error,
}

fn ids() -> (u32, u32) {
    (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

/// Returns whether a map of ids (user_namespaces(7)) holds a range of ids inside.
fn holds(map: &str, first: u32, count: u32) -> bool {
    let wanted = u64::from(first)..u64::from(first) + u64::from(count);
    map.lines().any(|line| {
        let mut fields = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(inside)), Some(Ok(_)), Some(Ok(length))) =
            (fields.next(), fields.next(), fields.next())
        else {
            return false;
        };
        inside <= wanted.start && wanted.end <= inside + length
    })
}

fn new_id_map(program: &str, pid: u32, own: u32, sub: u32, count: u32) -> io::Result<()> {
    let status = Command::new(program)
        .args([pid, 0, own, 1, 1, sub, count].map(|number| number.to_string()))
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{program}: {status}")))
    }
}

/// Returns the map by subordinate ids, where the helpers and ranges exist.
fn subordinate(uid: u32, gid: u32) -> Option<IdMap> {
    for program in ["newuidmap", "newgidmap"] {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| folder.join(program).is_file())?;
    }
    let name = user_name(&fs::read_to_string("/etc/passwd").ok()?, uid);
    let (sub_uid, uids) = range(
        &fs::read_to_string("/etc/subuid").ok()?,
        name.as_deref(),
        uid,
    )?;
    let (sub_gid, gids) = range(
        &fs::read_to_string("/etc/subgid").ok()?,
        name.as_deref(),
        uid,
    )?;
    let count = uids.min(gids).min(RANGE - 1);
    Some(IdMap::Subordinate {
        uid,
        gid,
        sub_uid,
        sub_gid,
        count,
    })
}

/// Finds the name of user `uid` in the text of passwd(5).
pub(crate) fn user_name(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Finds the first range of the user in the text of subuid(5): start and count.
fn range(text: &str, name: Option<&str>, uid: u32) -> Option<(u32, u32)> {
    let number = uid.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        if owner != number && Some(owner) != name {
            return None;
        }
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

/// ENOSPC and EUSERS speak of a limit here, not of a disk (unshare(2)).
fn of_limit(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EUSERS) => {
            io::Error::other("the limit user.max_user_namespaces is reached")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subordinate_ranges_are_found_by_name_or_number() {
        let check = |text: &str, expected: Option<(u32, u32)>| {
            assert_eq!(range(text, Some("ann"), 1000), expected, "{text}");
        };
        check("ann:100000:65536\n", Some((100_000, 65_536)));
        check("bob:1:2\n1000:200000:10\n", Some((200_000, 10)));
        check("bob:1:2\n", None);
        check("ann:x:2\n", None);
        check("", None);
    }

    #[test]
    fn root_of_a_container_has_not_every_id() {
        let check = |map: &str, expected: bool| {
            assert_eq!(holds(map, SHIFTED_BASE, RANGE), expected, "{map}");
        };
        check("         0          0 4294967295\n", true);
        check("0 1000 1\n1 100000 65536\n", false);
        check("0 1000 1\n1 100000 2000000000\n", true);
        check("", false);
    }

    #[test]
    fn user_names_come_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("ann"));
        assert_eq!(user_name(passwd, 7), None);
    }
}
