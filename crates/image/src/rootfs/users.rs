//! Users and groups of an image: the `USER` of a configuration as numbers.
//!
//! Reads /etc/passwd and /etc/group of the image only; this machine's users
//! have nothing to do with it.

use super::{View, ViewError};

const FILE_BYTES_MAX: u64 = 16 << 20;

/// A user as numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups, from /etc/group; empty when a group was named.
    pub groups: Vec<u32>,
    /// Home directory; `/` when the user is not listed.
    pub home: String,
    /// Name, when the user is listed.
    pub name: Option<String>,
}

/// A user or group that cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The name is not in the image.
    #[error("the image has no {what} \"{name}\" in {file}")]
    Unknown {
        /// "user" or "group".
        what: &'static str,
        /// The name.
        name: String,
        /// The file looked at.
        file: &'static str,
    },
    /// The image could not be read.
    #[error(transparent)]
    View(#[from] ViewError),
}

impl View {
    /// Returns the user `spec` names: `name`, `uid`, `name:group`, `uid:gid`
    /// or nothing, which is root.
    ///
    /// # Errors
    ///
    /// Fails when a name is not listed in the image.
    pub fn resolve_user(&self, spec: &str) -> Result<ResolvedUser, UserError> {
        let (user, group) = match spec.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (spec, None),
        };
        let user = match user {
            "" => "0",
            user => user,
        };
        let passwd = self.lines("/etc/passwd")?;
        let groups = self.lines("/etc/group")?;
        let mut resolved = find_user(&passwd, user)?;
        match group {
            Some(group) => resolved.gid = find_group(&groups, group)?,
            None => resolved.groups = memberships(&groups, &resolved),
        }
        Ok(resolved)
    }

    fn lines(&self, path: &'static str) -> Result<Vec<Vec<String>>, ViewError> {
        let content = self.read(path, FILE_BYTES_MAX)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&content);
        let fields = |line: &str| line.trim().split(':').map(str::to_owned).collect();
        Ok(text.lines().map(fields).collect())
    }
}

// name:password:uid:gid:comment:home:shell (passwd(5)); a name wins over a
// number, as in Docker.
fn find_user(passwd: &[Vec<String>], user: &str) -> Result<ResolvedUser, UserError> {
    let number = user.parse::<u32>().ok();
    let entry = |matches: &dyn Fn(&[String]) -> bool| {
        passwd.iter().find_map(|fields| {
            let ids = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
            if matches(fields) {
                Some((fields, ids))
            } else {
                None
            }
        })
    };
    let by_name = entry(&|fields| fields[0] == user);
    let by_number = |fields: &[String]| number.is_some() && fields[2].parse().ok() == number;
    let found = by_name.or_else(|| entry(&by_number));
    match (found, number) {
        (Some((fields, (uid, gid))), _) => Ok(ResolvedUser {
            uid,
            gid,
            groups: Vec::new(),
            home: fields
                .get(5)
                .filter(|home| !home.is_empty())
                .cloned()
                .unwrap_or_else(|| "/".to_owned()),
            name: Some(fields[0].clone()),
        }),
        (None, Some(uid)) => Ok(ResolvedUser {
            uid,
            home: "/".to_owned(),
            ..ResolvedUser::default()
        }),
        (None, None) => Err(UserError::Unknown {
            what: "user",
            name: user.to_owned(),
            file: "/etc/passwd",
        }),
    }
}

// name:password:gid:members (group(5)).
fn find_group(groups: &[Vec<String>], group: &str) -> Result<u32, UserError> {
    let named = groups.iter().find(|fields| fields[0] == group);
    let listed = named.and_then(|fields| fields.get(2)?.parse().ok());
    listed
        .or_else(|| group.parse().ok())
        .ok_or_else(|| UserError::Unknown {
            what: "group",
            name: group.to_owned(),
            file: "/etc/group",
        })
}

fn memberships(groups: &[Vec<String>], user: &ResolvedUser) -> Vec<u32> {
    let Some(name) = &user.name else {
        return Vec::new();
    };
    let member = |fields: &&Vec<String>| {
        let members = fields.get(3).map(String::as_str).unwrap_or_default();
        members.split(',').any(|member| member == name)
    };
    let ids = groups.iter().filter(member);
    ids.filter_map(|fields| fields.get(2)?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(passwd: &str, group: &str) -> (tempfile::TempDir, View) {
        let directory = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir(directory.path().join("etc")).expect("etc");
        std::fs::write(directory.path().join("etc/passwd"), passwd).expect("passwd");
        std::fs::write(directory.path().join("etc/group"), group).expect("group");
        let view = View::new([directory.path().to_owned()]);
        (directory, view)
    }

    #[test]
    fn users_are_resolved_as_docker_does() {
        let (_directory, view) = view(
            "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\nbroken\n7:x:70:71::/:\n",
            "root:x:0:\nnodes:x:1001:\nextra:x:44:other,node\ndocker:x:45:nodes\n",
        );
        let check = |spec: &str, uid, gid, groups: &[u32], home: &str| {
            let user = view.resolve_user(spec).expect(spec);
            assert_eq!((user.uid, user.gid), (uid, gid), "{spec}");
            assert_eq!(user.groups, groups, "{spec}");
            assert_eq!(user.home, home, "{spec}");
        };
        check("", 0, 0, &[], "/root");
        check("node", 1000, 1001, &[44], "/home/node");
        check("1000", 1000, 1001, &[44], "/home/node");
        check("1234", 1234, 0, &[], "/");
        check("1234:5", 1234, 5, &[], "/");
        check("node:extra", 1000, 44, &[], "/home/node");
        check("7", 70, 71, &[], "/");
        let error = view
            .resolve_user("nobody")
            .expect_err("unknown")
            .to_string();
        assert_eq!(error, "the image has no user \"nobody\" in /etc/passwd");
        assert!(view.resolve_user("node:none").is_err());
    }
}
