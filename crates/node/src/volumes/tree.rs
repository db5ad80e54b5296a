//! The cluster's own tree, in which host paths and provisioned volumes are
//! folders. Containers fill it, so no link in it leads out of it: what is only
//! looked at is resolved within the tree, what is changed lies behind no link.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// The cluster's own tree.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
}

/// The parts of a path in the tree; `..` is refused.
fn parts(path: &str) -> io::Result<Vec<&OsStr>> {
    let mut parts = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::RootDir | Component::CurDir => {}
            _ => return Err(io::Error::other(format!("{path} must not contain '..'"))),
        }
    }
    if parts.is_empty() {
        return Err(io::Error::other("the whole tree is no volume"));
    }
    Ok(parts)
}

/// What the group gets of folders and of files.
const FOLDER_BITS: u32 = 0o2770;
const FILE_BITS: u32 = 0o660;
/// Containers fill the tree; deeper folders are left as they are.
const DEPTH_MAX: u32 = 200;

/// Gives an open folder and all below it to a group. Links are given, never
/// followed; their targets are not touched.
fn give_all(folder: &OwnedFd, group: u32, depth: u32) -> io::Result<()> {
    let gid = Some(Gid::from_raw(group));
    let entries = rustix::fs::Dir::read_from(folder)?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let own = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
            // Someone else is at work in there.
            Err(Errno::NOENT) => continue,
            own => own?,
        };
        match FileType::from_raw_mode(rustix::fs::fstat(&own)?.st_mode) {
            FileType::Symlink => {
                let empty = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(&own, c"", None, gid, empty)?;
            }
            FileType::Directory if depth > 0 => {
                let below = rustix::fs::openat(&own, c".", FOLDER, Mode::empty())?;
                give_all(&below, group, depth - 1)?;
            }
            FileType::Directory => {}
            _ => give_one(&own, group, FILE_BITS)?,
        }
    }
    give_one(folder, group, FOLDER_BITS)
}

/// Gives what is open, by whatever name it has now, to a group.
fn give_one(own: &OwnedFd, group: u32, bits: u32) -> io::Result<()> {
    let gid = Some(Gid::from_raw(group));
    rustix::fs::chownat(own, c"", None, gid, AtFlags::EMPTY_PATH)?;
    let mode = rustix::fs::fstat(own)?.st_mode & 0o7777;
    let place = format!("/proc/self/fd/{}", own.as_raw_fd());
    Ok(rustix::fs::chmod(place, Mode::from_raw_mode(mode | bits))?)
}

const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Tree {
    /// Returns the tree within the folder of volumes.
    pub fn new(folder: PathBuf) -> Tree {
        Tree {
            root: folder.join("host"),
        }
    }

    /// Returns the tree that begins at a folder.
    pub fn at(root: PathBuf) -> Tree {
        Tree { root }
    }

    /// Returns where the tree is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns where a path of the tree is.
    pub fn place(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn open_root(&self) -> io::Result<OwnedFd> {
        super::make_dir(&self.root)?;
        Ok(rustix::fs::openat(CWD, &self.root, FOLDER, Mode::empty())?)
    }

    fn resolve(&self, path: impl AsRef<Path>, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let root = rustix::fs::openat(CWD, &self.root, FOLDER, Mode::empty())?;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(
            root,
            path.as_ref(),
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            within,
        )
    }

    /// Returns what a container would find at a path.
    ///
    /// # Errors
    /// What the system says; that nothing is there is no error.
    pub fn kind(&self, path: impl AsRef<Path>) -> io::Result<Option<FileType>> {
        match self.resolve(path, OFlags::PATH) {
            Ok(found) => {
                let mode = rustix::fs::fstat(&found)?.st_mode;
                Ok(Some(FileType::from_raw_mode(mode)))
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the text of a file, which may not have more than `bytes_max`.
    ///
    /// # Errors
    /// What the system says, and for what is no such file.
    pub fn read(&self, path: &str, bytes_max: u64) -> io::Result<String> {
        // A pipe would block.
        let file = File::from(self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() > bytes_max {
            return Err(io::Error::other(format!(
                "no file of up to {bytes_max} bytes"
            )));
        }
        let mut text = String::new();
        file.take(bytes_max).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Makes a folder; returns whether it was not there.
    fn make(&self, path: &str) -> io::Result<(OwnedFd, bool)> {
        let mut folder = self.open_root()?;
        let mut made = false;
        for part in parts(path)? {
            made = match rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(0o755)) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(error.into()),
            };
            folder = rustix::fs::openat(&folder, part, FOLDER, Mode::empty())?;
        }
        Ok((folder, made))
    }

    /// Makes a folder that every user may write to, because it is not known yet
    /// which one will.
    ///
    /// # Errors
    /// What the system says.
    pub fn make_shared(&self, path: &str) -> io::Result<()> {
        let (folder, _) = self.make(path)?;
        Ok(rustix::fs::fchmod(&folder, Mode::from_raw_mode(0o777))?)
    }

    /// Makes a folder, if it is not there, and gives it to the group of a pod.
    ///
    /// # Errors
    /// What the system says; a link in the way is an error.
    pub fn make_for_group(&self, path: &str, group: u32) -> io::Result<()> {
        let (folder, made) = self.make(path)?;
        if made {
            self.give(&folder, group, 0o2775)?;
        }
        Ok(())
    }

    /// Gives a folder that is there, and all in it, to the group of a pod, who
    /// can read and write it then (upstream: pkg/volume/volume_linux.go,
    /// SetVolumeOwnership). `unless_done` looks at the folder itself first and
    /// leaves everything as it is if that is the group's already.
    ///
    /// # Errors
    /// What the system says.
    pub fn give_to_group(&self, path: &str, group: u32, unless_done: bool) -> io::Result<()> {
        let (folder, _) = self.make(path)?;
        let stat = rustix::fs::fstat(&folder)?;
        let done = stat.st_gid == group && stat.st_mode & FOLDER_BITS == FOLDER_BITS;
        if unless_done && done {
            return Ok(());
        }
        match give_all(&folder, group, DEPTH_MAX) {
            // A group that the id map lacks is left out.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }

    /// A group that the id map lacks is left out.
    fn give(&self, folder: &OwnedFd, group: u32, mode: u32) -> io::Result<()> {
        match rustix::fs::fchown(folder, None, Some(Gid::from_raw(group))) {
            Err(Errno::INVAL) => return Ok(()),
            result => result?,
        }
        Ok(rustix::fs::fchmod(folder, Mode::from_raw_mode(mode))?)
    }

    /// Removes a folder or file with all that is in it.
    ///
    /// # Errors
    /// What the system says; that it is gone already is no error.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let parts = parts(path)?;
        let (last, above) = parts.split_last().expect("a path has parts");
        let mut folder = self.open_root()?;
        for part in above {
            folder = match rustix::fs::openat(&folder, *part, FOLDER, Mode::empty()) {
                Ok(folder) => folder,
                Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
        }
        match rustix::fs::unlinkat(&folder, *last, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
        let place = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(last);
        match std::fs::remove_dir_all(place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn folders_are_made_and_removed_within_the_tree() {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = Tree::new(folder.path().to_owned());
        tree.make_shared("/var/volumes/one").expect("made");
        let place = tree.place("/var/volumes/one");
        let mode = place.metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o777);
        std::fs::write(place.join("file"), "x").expect("written");
        tree.remove("/var/volumes/one").expect("removed");
        assert!(!place.exists());
        tree.remove("/var/volumes/one").expect("nothing to remove");
        tree.remove("/never/was").expect("nothing to remove");
        assert!(tree.remove("/").is_err());
        assert!(tree.remove("/../outside").is_err());
    }

    #[test]
    fn a_group_gets_everything_in_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let outside = tempfile::tempdir().expect("a folder");
        let far = outside.path().join("far");
        std::fs::write(&far, "x").expect("written");
        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode();
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
        };
        set(&far, 0o600);
        let tree = Tree::new(folder.path().to_owned());
        tree.make("/data/deep").expect("made");
        let (data, deep) = (tree.place("/data"), tree.place("/data/deep"));
        std::fs::write(deep.join("file"), "x").expect("written");
        symlink(&far, deep.join("link")).expect("linked");
        for (path, bits) in [(&deep.join("file"), 0o600), (&deep, 0o700), (&data, 0o755)] {
            set(path, bits);
        }
        // The only group that every user may give to.
        let group = rustix::process::getegid().as_raw();
        tree.give_to_group("/data", group, false).expect("given");
        for (path, bits) in [
            (&deep.join("file"), 0o660),
            (&deep, 0o2770),
            (&data, 0o2775),
        ] {
            assert_eq!(mode(path) & 0o7777, bits, "{}", path.display());
        }
        assert_eq!(mode(&far) & 0o7777, 0o600, "a link was followed");
        set(&deep.join("file"), 0o600);
        tree.give_to_group("/data", group, true)
            .expect("nothing to do");
        assert_eq!(mode(&deep.join("file")) & 0o777, 0o600);
        tree.give_to_group("/data", group, false).expect("given");
        assert_eq!(mode(&deep.join("file")) & 0o777, 0o660);
    }

    #[test]
    fn what_is_looked_at_is_found_within_the_tree() {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = Tree::new(folder.path().to_owned());
        tree.make("/deep/er").expect("made");
        std::fs::write(tree.place("/deep/file"), "within").expect("written");
        symlink("/deep/file", tree.place("/link")).expect("linked");
        symlink("/etc/passwd", tree.place("/away")).expect("linked");
        let kind = |path: &str| tree.kind(path).expect("it can be looked at");
        assert_eq!(kind("/deep"), Some(FileType::Directory));
        assert_eq!(kind("/link"), Some(FileType::RegularFile));
        assert_eq!(kind("/away"), None, "the host's file was found");
        assert_eq!(kind("/deep/file/below"), None);
        assert_eq!(tree.read("/link", 10).expect("it is short"), "within");
        assert!(tree.read("/link", 5).is_err());
        assert!(tree.read("/deep", 10).is_err());
        assert!(tree.read("/away", 10_000).is_err());
    }

    #[test]
    fn no_link_leads_out_of_the_tree() {
        let folder = tempfile::tempdir().expect("a folder");
        let outside = tempfile::tempdir().expect("a folder");
        std::fs::write(outside.path().join("precious"), "x").expect("written");
        let tree = Tree::new(folder.path().to_owned());
        tree.make_shared("/data/one").expect("made");
        symlink(outside.path(), tree.place("/data/one/link")).expect("linked");
        symlink(outside.path(), tree.place("/data/away")).expect("linked");
        assert!(tree.remove("/data/away/precious").is_err());
        assert!(tree.make_shared("/data/away/new").is_err());
        tree.remove("/data/away").expect("the link itself");
        tree.remove("/data/one").expect("removed");
        assert!(outside.path().join("precious").exists());
    }
}
