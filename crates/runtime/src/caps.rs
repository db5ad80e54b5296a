//! Linux capabilities as a set of names. The main type is [`CapSet`].
//!
//! Not here: which capabilities a container gets, that is its spec's choice.

use std::fmt;
use std::str::FromStr;

use rustix::thread::CapabilitySet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names in the order of their numbers, see capabilities(7) and
/// `linux/capability.h`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What container engines give a container that asks for nothing
/// (moby `oci/caps/defaults.go`, containerd `oci/spec.go`).
const DEFAULTS: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A set of capabilities; serialised as a list of names such as `"CHOWN"`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct CapSet(u64);

/// A capability name that Linux does not have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown capability {0:?}")]
pub struct UnknownCapability(pub String);

impl CapSet {
    /// No capability.
    pub const EMPTY: Self = Self(0);
    /// Every capability this file knows.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// Returns the set that container engines give by default.
    pub fn container_default() -> Self {
        DEFAULTS
            .iter()
            .map(|name| Self::one(name))
            .fold(Self::EMPTY, Self::union)
    }

    /// Returns this set with `other` added.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns this set without `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns what is in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Tells whether the capability with this name is in the set.
    pub fn contains(self, name: &str) -> bool {
        name.parse::<Self>()
            .is_ok_and(|one| self.0 & one.0 == one.0)
    }

    /// Names of the members, without the `CAP_` prefix.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES
            .iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, n)| *n)
    }

    pub(crate) fn bits(self) -> CapabilitySet {
        CapabilitySet::from_bits_retain(self.0)
    }

    pub(crate) fn from_bits(bits: CapabilitySet) -> Self {
        Self(bits.bits())
    }

    fn one(name: &str) -> Self {
        NAMES
            .iter()
            .position(|known| *known == name)
            .map_or(Self::EMPTY, |bit| Self(1 << bit))
    }
}

impl FromStr for CapSet {
    type Err = UnknownCapability;

    /// Reads one name, with or without `CAP_`, in any case; `ALL` is all.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if bare == "ALL" {
            return Ok(Self::ALL);
        }
        match Self::one(bare) {
            Self::EMPTY => Err(UnknownCapability(name.to_owned())),
            one => Ok(one),
        }
    }
}

impl fmt::Debug for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Serialize for CapSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for CapSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().try_fold(Self::EMPTY, |set, name| {
            name.parse()
                .map(|one| set.union(one))
                .map_err(serde::de::Error::custom)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_spelling() {
        #[track_caller]
        fn check(name: &str, expected: Result<&str, &str>) {
            let read = name.parse::<CapSet>();
            match expected {
                Ok(one) => assert_eq!(read.unwrap().names().collect::<Vec<_>>(), [one]),
                Err(named) => assert_eq!(read, Err(UnknownCapability(named.into()))),
            }
        }
        check("CHOWN", Ok("CHOWN"));
        check("cap_net_admin", Ok("NET_ADMIN"));
        check("CAP_CHECKPOINT_RESTORE", Ok("CHECKPOINT_RESTORE"));
        check("CAP_NONSENSE", Err("CAP_NONSENSE"));
        check("", Err(""));
    }

    #[test]
    fn numbers_agree_with_the_kernel_header() {
        assert_eq!(CapSet::one("SYS_ADMIN").bits(), CapabilitySet::SYS_ADMIN);
        assert_eq!(
            CapSet::one("CHECKPOINT_RESTORE").bits(),
            CapabilitySet::CHECKPOINT_RESTORE
        );
        assert_eq!(CapSet::container_default().names().count(), 14);
    }

    #[test]
    fn a_set_survives_serialisation() {
        let set = CapSet::container_default();
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<CapSet>(&text).unwrap(), set);
    }
}
