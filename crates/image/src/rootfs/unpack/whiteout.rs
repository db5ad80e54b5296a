//! Whiteouts: what a layer takes away from those below it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, Mode, OFlags, makedev, mknodat, openat};
use rustix::io::Errno;

use super::super::xattr;
use super::Unpacker;
use super::entry::{file_type, reopen};
use super::error::{UnpackError, refused, write_failed};
use crate::tar::Member;

impl Unpacker<'_> {
    pub(super) fn place_whiteout(
        &mut self,
        member: &Member,
        parent: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<(), UnpackError> {
        if matches!(name, b"" | b"." | b"..") {
            return Err(refused(member, "this whiteout hides nothing"));
        }
        let existing = file_type(parent, name).map_err(|e| write_failed(member, e))?;
        match existing {
            // Whiteouts speak of lower layers only; what this layer brings stays.
            Some(FileType::Directory) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let directory = openat(parent, name, flags, Mode::empty());
                let directory = directory.map_err(|e| write_failed(member, e.into()))?;
                self.make_opaque(member, directory.as_fd())
            }
            Some(_) => Ok(()),
            None => self.make_whiteout(member, parent, name),
        }
    }

    fn make_whiteout(
        &mut self,
        member: &Member,
        parent: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<(), UnpackError> {
        // Linux lets everyone make the 0:0 device since 5.8.
        let device = FileType::CharacterDevice;
        match mknodat(parent, name, device, Mode::empty(), makedev(0, 0)) {
            Ok(()) => Ok(()),
            Err(Errno::PERM) => {
                attribute_whiteout(parent, name).map_err(|e| write_failed(member, e))
            }
            Err(error) => Err(write_failed(member, error.into())),
        }
    }

    pub(super) fn make_opaque(
        &mut self,
        member: &Member,
        directory: BorrowedFd<'_>,
    ) -> Result<(), UnpackError> {
        let reopened = reopen(directory);
        let marked = reopened.and_then(|directory| xattr::set(directory, xattr::OPAQUE, b"y"));
        marked.map_err(|error| write_failed(member, error))
    }
}

// The kernel's overlayfs.rst, "whiteouts and opaque directories": an empty
// file with the attribute, inside a directory marked "x".
fn attribute_whiteout(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(parent, name, flags, Mode::empty())?;
    xattr::set(file, xattr::WHITEOUT, b"y")?;
    let parent = reopen(parent)?;
    match xattr::get(&parent, xattr::OPAQUE.as_bytes())? {
        Some(_) => Ok(()),
        None => xattr::set(parent, xattr::OPAQUE, b"x"),
    }
}
