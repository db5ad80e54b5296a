//! Covers paths so that they read as empty, and makes paths read-only.
//! A path that the container does not have is passed over, as the OCI runtime
//! specification wants it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::mount::MountAttrFlags;

use crate::error::{During, StartError};
use crate::mount::{self, Tree};
use crate::resolve;

/// Covers each path: a directory by an empty one, anything else by /dev/null.
pub(super) fn mask(root: &OwnedFd, paths: &[String]) -> Result<(), StartError> {
    // The caller's own node, not what the image may have put at /dev/null.
    let null = mount::place(Path::new("/dev/null")).during("open", "/dev/null")?;
    for path in paths {
        let Some(target) = existing(root, path)? else {
            continue;
        };
        let cover = match mount::is_directory(target.as_fd()).during("inspect", path)? {
            // A fresh file system each time: Linux 6.1 cannot clone one that
            // was never attached.
            true => mount::tmpfs(4096, 0o755, MountAttrFlags::MOUNT_ATTR_RDONLY),
            false => Tree::clone_of(&null, false),
        };
        cover
            .during("make a cover for", path)?
            .attach(target)
            .during("cover", path)?;
    }
    Ok(())
}

/// Makes each path, with what is mounted below it, read-only.
pub(super) fn readonly(root: &OwnedFd, paths: &[String]) -> Result<(), StartError> {
    for path in paths {
        let Some(target) = existing(root, path)? else {
            continue;
        };
        let tree = Tree::clone_of(&target, true).during("clone", path)?;
        tree.set(MountAttrFlags::MOUNT_ATTR_RDONLY, true)
            .during("make read-only", path)?;
        tree.attach(target).during("mount on", path)?;
    }
    Ok(())
}

fn existing(root: &OwnedFd, path: &str) -> Result<Option<OwnedFd>, StartError> {
    let relative = Path::new(path.trim_start_matches('/'));
    match resolve::open(root.as_fd(), relative) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StartError::step("open", path, &error)),
    }
}
