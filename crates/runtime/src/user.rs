//! Turns `user:group` as images write it into numbers, with the container's
//! own /etc/passwd and /etc/group. The main types are [`Identity`], what is
//! asked for, and [`Credentials`], what the kernel gave.
//!
//! Not here: becoming that user, see `process.rs`.

use std::io::{self, Read};
use std::os::fd::BorrowedFd;

use serde::{Deserialize, Serialize};

use crate::error::StartError;
use crate::resolve;
use crate::spec::User;

/// Longer files are read up to here only; a real one has a few kilobytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Whom a program runs as, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Groups that the spec insists on.
    pub required_gids: Vec<u32>,
    /// Groups that the image's /etc/group gives.
    pub image_gids: Vec<u32>,
    /// The home directory, `/` for a user that /etc/passwd does not list.
    pub home: String,
}

/// Whom a program began as; see credentials(7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The supplementary groups, in ascending order.
    pub groups: Vec<u32>,
}

impl Credentials {
    /// Asks the kernel for those of the calling process.
    pub(crate) fn of_self() -> io::Result<Self> {
        let groups = rustix::process::getgroups()?;
        let mut groups: Vec<u32> = groups.iter().map(|gid| gid.as_raw()).collect();
        groups.sort_unstable();
        Ok(Self {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            groups,
        })
    }
}

impl Identity {
    /// Looks the user up below `root`.
    pub(crate) fn resolve(user: &User, root: BorrowedFd<'_>) -> Result<Self, StartError> {
        let passwd = read(root, "etc/passwd");
        let group = read(root, "etc/group");
        Self::from_files(user, &passwd, &group)
    }

    /// Looks the user up in the text of /etc/passwd and /etc/group.
    ///
    /// # Errors
    ///
    /// When a name is in neither.
    pub fn from_files(user: &User, passwd: &str, group: &str) -> Result<Self, StartError> {
        let (name, group_name) = match user.name.split_once(':') {
            Some((name, group)) => (name, Some(group).filter(|g| !g.is_empty())),
            None => (user.name.as_str(), None),
        };
        let name = if name.is_empty() { "0" } else { name };
        let entry = passwd_entry(passwd, name);
        let uid = match (&entry, name.parse::<u32>()) {
            (_, Ok(uid)) => uid,
            (Some(entry), _) => entry.uid,
            (None, _) => return Err(unknown("user", name, "/etc/passwd")),
        };
        let gid = match (user.gid, group_name) {
            (Some(gid), _) => gid,
            (None, Some(wanted)) => group_id(group, wanted)?,
            (None, None) => entry.as_ref().map_or(0, |entry| entry.gid),
        };
        let image_gids = match &entry {
            // An image that names the group asks for that one alone, as runc and
            // containerd understand it.
            Some(entry) if user.image_groups && group_name.is_none() => {
                groups_of(group, entry.name)
            }
            _ => Vec::new(),
        };
        Ok(Self {
            uid,
            gid,
            required_gids: user.additional_gids.clone(),
            image_gids,
            home: entry.map_or("/", |entry| entry.home).to_owned(),
        })
    }
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Finds the line of a user by name or number; see passwd(5).
fn passwd_entry<'a>(passwd: &'a str, wanted: &str) -> Option<PasswdEntry<'a>> {
    let number = wanted.parse::<u32>().ok();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/");
        let found = match number {
            Some(number) => uid == number,
            None => name == wanted,
        };
        found.then_some(PasswdEntry {
            name,
            uid,
            gid,
            home,
        })
    })
}

fn group_id(group: &str, wanted: &str) -> Result<u32, StartError> {
    if let Ok(gid) = wanted.parse() {
        return Ok(gid);
    }
    group_lines(group)
        .find_map(|(name, gid, _)| (name == wanted).then_some(gid))
        .ok_or_else(|| unknown("group", wanted, "/etc/group"))
}

fn groups_of(group: &str, user: &str) -> Vec<u32> {
    group_lines(group)
        .filter(|(_, _, members)| members.split(',').any(|member| member == user))
        .map(|(_, gid, _)| gid)
        .collect()
}

/// Name, number and members of each line; see group(5).
fn group_lines(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or("")))
    })
}

fn unknown(what: &str, name: &str, file: &str) -> StartError {
    StartError::UnknownName {
        what: what.into(),
        name: name.into(),
        file: file.into(),
    }
}

/// Reads a file of the container; one that cannot be read has no lines.
fn read(root: BorrowedFd<'_>, path: &str) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = resolve::open_file(root, path) {
        let _ = file.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nbroken\nno:x:home\n";
    const GROUP: &str = "root:x:0:\naudio:x:29:app,other\nwheel:x:10:root,app\n:::\n";

    #[track_caller]
    fn check(name: &str, gid: Option<u32>, expected: (u32, u32, &[u32], &str)) {
        let user = User {
            name: name.into(),
            gid,
            ..User::default()
        };
        let found = Identity::from_files(&user, PASSWD, GROUP).unwrap();
        let shown = (
            found.uid,
            found.gid,
            &found.image_gids[..],
            found.home.as_str(),
        );
        assert_eq!(shown, expected);
    }

    #[test]
    fn users_are_found_in_every_spelling() {
        check("", None, (0, 0, &[10], "/root"));
        check("app", None, (1000, 1001, &[29, 10], "/home/app"));
        check("1000", None, (1000, 1001, &[29, 10], "/home/app"));
        check("1000", Some(5), (1000, 5, &[29, 10], "/home/app"));
        check("4711", None, (4711, 0, &[], "/"));
        check("app:audio", None, (1000, 29, &[], "/home/app"));
        check("app:7", None, (1000, 7, &[], "/home/app"));
        check("4711:4712", None, (4711, 4712, &[], "/"));
        check("app:", None, (1000, 1001, &[29, 10], "/home/app"));
        check(":wheel", None, (0, 10, &[], "/root"));
    }

    #[test]
    fn unknown_names_are_refused() {
        let refuse = |name: &str| {
            let user = User {
                name: name.into(),
                ..User::default()
            };
            Identity::from_files(&user, PASSWD, GROUP)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refuse("nobody"),
            r#"unable to find user "nobody": no matching entries in /etc/passwd"#
        );
        assert_eq!(
            refuse("app:staff"),
            r#"unable to find group "staff": no matching entries in /etc/group"#
        );
    }

    #[test]
    fn strict_groups_leave_the_image_out() {
        let user = User {
            name: "app".into(),
            additional_gids: vec![2000],
            image_groups: false,
            ..User::default()
        };
        let found = Identity::from_files(&user, PASSWD, GROUP).unwrap();
        assert_eq!(
            (found.required_gids, found.image_gids),
            (vec![2000], vec![])
        );
    }
}
