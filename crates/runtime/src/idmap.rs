//! Which user and group ids the caller's user namespace has. The main type is
//! [`IdMap`].
//!
//! Not here: making the maps of a cluster, that is its starter's work.

use std::fs;
use std::io;

/// The ids that a user namespace maps; see user_namespaces(7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    uids: Vec<Range>,
    gids: Vec<Range>,
    groups_settable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u32,
    count: u32,
}

impl IdMap {
    /// Reads the map of the calling process.
    ///
    /// # Errors
    ///
    /// When /proc cannot be read.
    pub fn current() -> io::Result<Self> {
        let setgroups = fs::read_to_string("/proc/self/setgroups").unwrap_or_default();
        Ok(Self {
            uids: parse(&fs::read_to_string("/proc/self/uid_map")?),
            gids: parse(&fs::read_to_string("/proc/self/gid_map")?),
            groups_settable: setgroups.trim() != "deny",
        })
    }

    /// Tells whether files and processes can have this user id.
    pub fn has_uid(&self, uid: u32) -> bool {
        self.uids.iter().any(|range| range.contains(uid))
    }

    /// Tells whether files and processes can have this group id.
    pub fn has_gid(&self, gid: u32) -> bool {
        self.gids.iter().any(|range| range.contains(gid))
    }

    /// Tells whether a process may change its supplementary groups.
    pub fn groups_settable(&self) -> bool {
        self.groups_settable
    }
}

impl Range {
    fn contains(self, id: u32) -> bool {
        id >= self.first && id - self.first < self.count
    }
}

fn parse(text: &str) -> Vec<Range> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let first = fields.next()?.parse().ok()?;
            let count = fields.nth(1)?.parse().ok()?;
            Some(Range { first, count })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_inside_the_ranges_are_mapped() {
        #[track_caller]
        fn check(map: &str, id: u32, expected: bool) {
            let map = IdMap {
                uids: parse(map),
                gids: Vec::new(),
                groups_settable: true,
            };
            assert_eq!(map.has_uid(id), expected);
        }
        check("         0       1000          1\n", 0, true);
        check("         0       1000          1\n", 1, false);
        check("0 1000 1\n1 100000 65535\n", 65535, true);
        check("0 1000 1\n1 100000 65535\n", 65536, false);
        check("0 0 4294967295\n", 4_294_967_294, true);
        check("", 0, false);
        check("nonsense", 0, false);
    }
}
