//! Extended attributes: overlay's marks, recorded owners, and which names of
//! an archive are taken over.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

/// Marks a directory that hides what lies below it ("y"), or one that holds
/// whiteouts made of attributes ("x"); the kernel's overlayfs.rst, `userxattr`.
pub(crate) const OPAQUE: &str = "user.overlay.opaque";
/// Marks an empty file as a whiteout where no device node can be made.
pub(crate) const WHITEOUT: &str = "user.overlay.whiteout";
/// Owner of a file that could not be given to it, as `uid:gid`.
pub(crate) const OWNER: &str = "user.coracle.owner";

const VALUE_LENGTH_MAX: usize = 64 << 10;

/// Returns whether an archive may set this attribute: never overlay's own
/// marks, which would let a layer redirect into others.
pub(crate) fn is_taken_over(name: &[u8]) -> bool {
    let ours = name.starts_with(b"user.coracle.") || name.starts_with(b"user.overlay.");
    (name.starts_with(b"user.") && !ours) || name == b"security.capability"
}

/// Sets an attribute; a file system or privilege that cannot is tolerated.
pub(crate) fn set_if_possible(file: impl AsFd, name: &[u8], value: &[u8]) -> io::Result<()> {
    match fsetxattr(file, name, value, XattrFlags::empty()) {
        Ok(()) | Err(Errno::PERM | Errno::NOTSUP | Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sets one of overlay's marks, without which a layer would be wrong.
pub(crate) fn set(file: impl AsFd, name: &str, value: &[u8]) -> io::Result<()> {
    Ok(fsetxattr(file, name, value, XattrFlags::empty())?)
}

/// Returns an attribute's value, `None` when it is not set.
pub(crate) fn get(file: impl AsFd, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; 256];
    loop {
        match fgetxattr(&file, name, value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                return Ok(Some(value));
            }
            Err(Errno::NODATA | Errno::NOTSUP) => return Ok(None),
            Err(Errno::RANGE) if value.len() < VALUE_LENGTH_MAX => {
                value = vec![0; VALUE_LENGTH_MAX];
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns the attributes that belong into an archive.
pub(crate) fn taken_over(file: impl AsFd) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for name in list(&file)? {
        if is_taken_over(&name)
            && let Some(value) = get(&file, &name)?
        {
            found.insert(name, value);
        }
    }
    Ok(found)
}

/// Removes what overlay left on a directory or file of an upper layer, except
/// the opaque mark: `origin`, `impure` and the like speak of another mount.
pub(crate) fn remove_overlay_traces(file: impl AsFd) -> io::Result<()> {
    for name in list(&file)? {
        let mark = name == OPAQUE.as_bytes() || name == WHITEOUT.as_bytes();
        if name.starts_with(b"user.overlay.") && !mark {
            match fremovexattr(&file, name.as_slice()) {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Returns the owner recorded where the real one could not be set.
pub(crate) fn recorded_owner(file: impl AsFd) -> io::Result<Option<(u32, u32)>> {
    let value = get(file, OWNER.as_bytes())?;
    Ok(value.as_deref().and_then(parse_owner))
}

/// Records the owner a file cannot be given.
pub(crate) fn record_owner(file: impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    set_if_possible(file, OWNER.as_bytes(), format!("{uid}:{gid}").as_bytes())
}

/// Reads a recorded owner.
pub(crate) fn parse_owner(value: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (uid, gid) = text.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

fn list(file: impl AsFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = vec![0; 1024];
    let length = loop {
        match flistxattr(&file, names.as_mut_slice()) {
            Ok(length) => break length,
            Err(Errno::RANGE) if names.len() < VALUE_LENGTH_MAX => {
                names = vec![0; VALUE_LENGTH_MAX];
            }
            Err(Errno::NOTSUP) => break 0,
            Err(error) => return Err(error.into()),
        }
    };
    let names = names[..length].split(|byte| *byte == 0);
    Ok(names
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}
