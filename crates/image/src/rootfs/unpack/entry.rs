//! One entry of a directory, by the directory's descriptor: what it is, its
//! owner, attributes and times, links and pipes, and its removal.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchown,
    mknodat, openat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::super::xattr;
use crate::tar::Member;

pub(super) fn file_type(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<FileType>> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn place_symlink(
    member: &Member,
    parent: BorrowedFd<'_>,
    name: &[u8],
) -> io::Result<()> {
    symlinkat(member.link.as_slice(), parent, name)?;
    own_and_time_at(member, parent, name)
}

pub(super) fn place_fifo(member: &Member, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let mode = Mode::from_raw_mode(member.mode & 0o777);
    mknodat(parent, name, FileType::Fifo, mode, 0)?;
    own_and_time_at(member, parent, name)
}

// An id without a mapping is EINVAL in a user namespace, EPERM outside one;
// the owner is then kept as an attribute, from which a later archive takes it.
pub(super) fn own_and_label(member: &Member, file: BorrowedFd<'_>) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    let own = (rustix::process::geteuid(), rustix::process::getegid());
    // What this process makes is its own already; a set-group-id parent would
    // show in the file's group, and archives set it only at the end.
    let owned = match (uid, gid) == own {
        true => Ok(()),
        false => fchown(file, Some(uid), Some(gid)),
    };
    match owned {
        Ok(()) => {}
        Err(Errno::INVAL | Errno::PERM) => {
            xattr::record_owner(file, member.uid, member.gid)?;
        }
        Err(error) => return Err(error.into()),
    }
    for (name, value) in &member.xattrs {
        if xattr::is_taken_over(name) {
            xattr::set_if_possible(file, name, value)?;
        }
    }
    Ok(())
}

fn own_and_time_at(member: &Member, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    match chownat(
        parent,
        name,
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    ) {
        Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let times = timestamps(member);
    Ok(utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

pub(super) fn timestamps(member: &Member) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: member.mtime,
            tv_nsec: 0,
        },
    }
}

pub(super) fn epoch() -> Timestamps {
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: zero,
        last_modification: zero,
    }
}

// Attributes need a descriptor that is more than a path.
pub(super) fn reopen(directory: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(directory, ".", flags, Mode::empty())?)
}

pub(super) fn remove_tree(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(parent, name, flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    for name in names {
        match unlinkat(&directory, name.as_slice(), AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::ISDIR) => remove_tree(directory.as_fd(), &name)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}
