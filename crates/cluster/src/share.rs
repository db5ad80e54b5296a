//! Folders of this machine that a cluster shares, for hostPath volumes of its
//! pods. Main types: [`Share`], one folder, and [`Shares`], those of a cluster,
//! kept as `shares.json` in its folder.
//!
//! Pid 1 shows each below [`PLACES`]. With shifted ids the files are shown with
//! the ids they have on the host (an idmapped mount, mount_setattr(2)): what
//! user 1000 owns belongs to user 1000 inside.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use rustix::fs::CWD;
use rustix::mount::{
    MountAttrFlags, MoveMountFlags, OpenTreeFlags, mount_bind_recursive, move_mount, open_tree,
};
use serde::{Deserialize, Serialize};

use crate::home::ClusterDir;
use crate::idmap::IdMap;
use crate::root::{self, RootError, step};
use crate::sys;

/// Below this stand the shared folders inside, by their number.
const PLACES: &str = "/coracle/shares";

const FILE: &str = "shares.json";

/// A folder of the host that pods see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// The folder on the host.
    pub host: PathBuf,
    /// The path by which hostPath volumes name it.
    pub at: PathBuf,
    /// Whether nothing in it can be changed.
    #[serde(default)]
    pub read_only: bool,
}

/// A folder cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The words are none of a share.
    #[error("share {text:?}: FOLDER[:PATH][:ro] is expected, PATH absolute and without `..`")]
    Syntax {
        /// What was given.
        text: String,
    },
    /// There is no such folder.
    #[error("share {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why it cannot be shared.
        source: io::Error,
    },
    /// Two folders at one place.
    #[error("two shares stand at {}, one within the other", at.display())]
    Overlap {
        /// The inner place.
        at: PathBuf,
    },
}

impl FromStr for Share {
    type Err = ShareError;

    /// Reads `FOLDER[:PATH][:ro]`; without a path the folder's own is taken once
    /// it is [found](Share::found).
    fn from_str(text: &str) -> Result<Share, ShareError> {
        let (rest, read_only) = match text.strip_suffix(":ro") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (host, at) = rest.split_once(':').unwrap_or((rest, ""));
        let fits = at.is_empty() || is_plain(Path::new(at));
        if host.is_empty() || !fits || at.contains(':') {
            return Err(ShareError::Syntax { text: text.into() });
        }
        Ok(Share {
            host: host.into(),
            at: at.into(),
            read_only,
        })
    }
}

/// Whether a path is absolute, not the root, and means what it says.
fn is_plain(path: &Path) -> bool {
    let mut components = path.components();
    components.next() == Some(Component::RootDir)
        && components.clone().next().is_some()
        && components.all(|component| matches!(component, Component::Normal(_)))
}

impl Share {
    /// Returns the share with its folder found, a relative one below `folder`.
    ///
    /// # Errors
    /// Fails if it is no folder or cannot be looked at.
    pub fn found(self, folder: &Path) -> Result<Share, ShareError> {
        let path = folder.join(&self.host);
        let failed = |source| ShareError::Folder {
            path: path.clone(),
            source,
        };
        let host = path.canonicalize().map_err(failed)?;
        if !host.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        let at = match self.at.as_os_str().is_empty() {
            false => self.at,
            true if is_plain(&host) => host.clone(),
            true => return Err(failed(io::Error::other("it needs a path for the pods"))),
        };
        Ok(Share { host, at, ..self })
    }
}

/// The folders that a cluster shares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares(Vec<Share>);

impl Shares {
    /// Returns the given shares, none of which stands within another.
    ///
    /// # Errors
    /// Fails where one does.
    pub fn new(shares: Vec<Share>) -> Result<Shares, ShareError> {
        for (number, one) in shares.iter().enumerate() {
            let others = shares.iter().enumerate();
            for (_, other) in others.filter(|(other, _)| *other != number) {
                if one.at.starts_with(&other.at) {
                    let at = one.at.clone();
                    return Err(ShareError::Overlap { at });
                }
            }
        }
        Ok(Shares(shares))
    }

    /// Reads a cluster's; none where they were never written.
    pub fn read(folder: &Path) -> Shares {
        let text = fs::read(folder.join(FILE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Writes them, whole or not at all; the file belongs to user 0 of `ids`.
    ///
    /// # Errors
    /// Returns what the file system reports.
    pub fn write(&self, cluster: &ClusterDir, ids: &IdMap) -> io::Result<()> {
        cluster.remember(FILE, self, ids)
    }

    /// Returns by which path pods name each, and where it stands inside.
    pub fn places(&self) -> Vec<(PathBuf, PathBuf)> {
        let places = self.0.iter().enumerate();
        places
            .map(|(number, share)| (share.at.clone(), place(number)))
            .collect()
    }

    /// Opens the folders while the calling process has the rights of whoever
    /// starts the cluster.
    pub(crate) fn open(&self, ids: &IdMap) -> Result<Vec<Opened>, ShareError> {
        let namespace = match ids {
            IdMap::Shifted { .. } if !self.0.is_empty() => Some(ids.namespace()),
            _ => None,
        };
        let open = |share: &Share| {
            let tree = match &namespace {
                Some(Ok(namespace)) => mapped(share, namespace).map(Some),
                Some(Err(error)) => Err(io::Error::other(error.to_string())),
                None => Ok(None),
            };
            tree.map(|tree| Opened {
                share: share.clone(),
                tree,
            })
            .map_err(|source| ShareError::Folder {
                path: share.host.clone(),
                source,
            })
        };
        self.0.iter().map(open).collect()
    }
}

impl From<Shares> for Vec<Share> {
    fn from(shares: Shares) -> Vec<Share> {
        shares.0
    }
}

fn place(number: usize) -> PathBuf {
    Path::new(PLACES).join(number.to_string())
}

fn attributes(share: &Share) -> MountAttrFlags {
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, share.read_only);
    attributes
}

/// Clones the mount of a folder and shows it with the ids of a namespace.
fn mapped(share: &Share, namespace: &File) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, &share.host, flags)?;
    sys::restrict(tree.as_fd(), attributes(share))?;
    let map = |recursive| sys::map_ids(tree.as_fd(), namespace.as_fd(), recursive);
    map(true).or_else(|_| map(false)).map_err(|error| {
        let why = "its file system cannot be shown with other ids (idmapped mounts)";
        io::Error::new(error.kind(), format!("{why}: {error}"))
    })?;
    Ok(tree)
}

/// A folder that is about to be shown.
#[derive(Debug)]
pub(crate) struct Opened {
    share: Share,
    /// Its mount; without one it is bound as it is.
    tree: Option<OwnedFd>,
}

/// Shows the folders below a new root.
pub(crate) fn show(shares: &[Opened], root: &Path) -> Result<(), RootError> {
    for (number, opened) in shares.iter().enumerate() {
        let target = root::inside(root, &place(number).to_string_lossy());
        step(
            format!("make {}", target.display()),
            fs::create_dir_all(&target),
        )?;
        step(
            format!("share {}", opened.share.host.display()),
            opened.attach(&target),
        )?;
    }
    Ok(())
}

impl Opened {
    fn attach(&self, target: &Path) -> io::Result<()> {
        let Some(tree) = &self.tree else {
            mount_bind_recursive(&self.share.host, target)?;
            return sys::restrict(File::open(target)?.as_fd(), attributes(&self.share));
        };
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        Ok(move_mount(tree, "", CWD, target, flags)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read() {
        let check = |text: &str, expected: Option<(&str, &str, bool)>| {
            let found = text.parse::<Share>().ok();
            let found = found.as_ref().map(|share| {
                let (host, at) = (share.host.to_str(), share.at.to_str());
                (host.unwrap_or(""), at.unwrap_or(""), share.read_only)
            });
            assert_eq!(found, expected, "{text}");
        };
        check("/srv", Some(("/srv", "", false)));
        check("data:/srv", Some(("data", "/srv", false)));
        check("data:/srv:ro", Some(("data", "/srv", true)));
        check("/srv:ro", Some(("/srv", "", true)));
        check("data:srv", None);
        check("data:/", None);
        check("data:/a/../b", None);
        check("a:/b:rw", None);
        check(":/b", None);
        check("", None);
    }

    #[test]
    fn only_a_folder_that_is_there_is_shared() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        fs::write(folder.path().join("file"), "").expect("written");
        let check = |text: &str, expected: Option<&str>| {
            let share: Share = text.parse().expect("it is read");
            let found = share.found(folder.path());
            match expected {
                None => assert_eq!(found.expect(text).at, Path::new("/srv")),
                Some(why) => {
                    let error = found.expect_err(text);
                    let source = std::error::Error::source(&error).expect("a cause");
                    assert!(source.to_string().contains(why), "{text}: {source}");
                }
            }
        };
        check(".:/srv", None);
        check("file:/srv", Some("not a directory"));
        check("missing:/srv", Some("No such file"));
        check("/", Some("needs a path"));
    }

    #[test]
    fn no_share_stands_within_another() {
        let check = |places: &[&str], expected: bool| {
            let shares = places.iter().map(|at| Share {
                host: "/srv".into(),
                at: at.into(),
                read_only: false,
            });
            assert_eq!(
                Shares::new(shares.collect()).is_ok(),
                expected,
                "{places:?}"
            );
        };
        check(&["/a", "/b", "/ab"], true);
        check(&["/a", "/a"], false);
        check(&["/a/b", "/a"], false);
    }
}
