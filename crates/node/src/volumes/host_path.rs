//! Host paths: places of the cluster's own tree, which is the node's, and of
//! folders that the user shares with it.

use std::path::{Path, PathBuf};

use coracle_runtime::spec::{Bind, Create};
use k8s_openapi::api::core::v1::{HostPathVolumeSource, Pod};
use rustix::fs::FileType;

use super::tree::Tree;
use super::{fs_group, make_dir, text};
use crate::shared::Shared;

/// Returns the place of a hostPath: in a shared folder, else in the cluster's own
/// tree, never elsewhere in the host's. What a container has put there must not
/// lead out of it.
pub(super) fn host_path(
    shared: &Shared,
    pod: &Pod,
    source: &HostPathVolumeSource,
) -> Result<Bind, String> {
    if let Some((place, path)) = in_share(&shared.config.shares, &source.path) {
        return bind(&Tree::at(place), source, path);
    }
    let tree = Tree::new(shared.config.volumes.clone());
    make_dir(tree.root()).map_err(text)?;
    if source.type_.as_deref() == Some("DirectoryOrCreate")
        && let Some(group) = fs_group(pod)
    {
        // Otherwise only root could write to it. A link in the way is left to
        // the container's start, which resolves it within the tree.
        let _ = tree.make_for_group(&source.path, group);
    }
    bind(&tree, source, source.path.clone().into())
}

/// Returns the shared folder in which a path lies, and the path within it.
pub(super) fn in_share(shares: &[(PathBuf, PathBuf)], path: &str) -> Option<(PathBuf, PathBuf)> {
    shares.iter().find_map(|(at, place)| {
        let rest = Path::new(path).strip_prefix(at).ok()?;
        Some((place.clone(), Path::new("/").join(rest)))
    })
}

fn bind(tree: &Tree, source: &HostPathVolumeSource, path: PathBuf) -> Result<Bind, String> {
    let found = tree.kind(&path).map_err(text)?;
    let create = check_type(source, found)?;
    Ok(Bind {
        path,
        inside: Some(tree.root().to_owned()),
        create,
        sub_path: None,
    })
}

/// Compares what is at a hostPath with the type it is to be of; returns what is
/// made where there is nothing (upstream: pkg/volume/hostpath, checkType).
fn check_type(source: &HostPathVolumeSource, found: Option<FileType>) -> Result<Create, String> {
    let (wanted, word, create) = match source.type_.as_deref().unwrap_or("") {
        "" => return Ok(Create::Directory),
        "DirectoryOrCreate" => (FileType::Directory, "directory", Create::Directory),
        "FileOrCreate" => (FileType::RegularFile, "file", Create::File),
        "Directory" => (FileType::Directory, "directory", Create::Nothing),
        "File" => (FileType::RegularFile, "file", Create::Nothing),
        "Socket" => (FileType::Socket, "socket file", Create::Nothing),
        "CharDevice" => (
            FileType::CharacterDevice,
            "character device",
            Create::Nothing,
        ),
        "BlockDevice" => (FileType::BlockDevice, "block device", Create::Nothing),
        other => return Err(format!("hostPath type {other} is not known")),
    };
    let fits = match found {
        Some(found) => found == wanted,
        None => create != Create::Nothing,
    };
    match fits {
        true => Ok(create),
        false => Err(format!(
            "hostPath type check failed: {} is not a {word}",
            source.path
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_in_the_share_whose_name_it_begins_with() {
        let shares =
            [("/srv", "/0"), ("/data/a", "/1")].map(|(at, place)| (at.into(), place.into()));
        let check = |path: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(place, rest)| (place.into(), rest.into()));
            assert_eq!(in_share(&shares, path), expected, "{path}");
        };
        check("/srv", Some(("/0", "/")));
        check("/srv/", Some(("/0", "/")));
        check("/data/a/b/c", Some(("/1", "/b/c")));
        check("/data", None);
        check("/srvx", None);
    }

    #[test]
    fn a_host_path_is_of_its_type() {
        #[track_caller]
        fn check(type_: &str, found: Option<FileType>, expected: Result<Create, &str>) {
            let source = HostPathVolumeSource {
                path: "/p".into(),
                type_: Some(type_.into()),
            };
            let expected =
                expected.map_err(|word| format!("hostPath type check failed: /p is not a {word}"));
            assert_eq!(check_type(&source, found), expected, "{type_} {found:?}");
        }
        let (folder, file) = (Some(FileType::Directory), Some(FileType::RegularFile));
        check("", None, Ok(Create::Directory));
        check("", file, Ok(Create::Directory));
        check("DirectoryOrCreate", None, Ok(Create::Directory));
        check("DirectoryOrCreate", file, Err("directory"));
        check("FileOrCreate", None, Ok(Create::File));
        check("FileOrCreate", folder, Err("file"));
        check("Directory", folder, Ok(Create::Nothing));
        check("Directory", None, Err("directory"));
        check("File", file, Ok(Create::Nothing));
        check("File", folder, Err("file"));
        check("Socket", Some(FileType::Socket), Ok(Create::Nothing));
        check("Socket", file, Err("socket file"));
        check("CharDevice", None, Err("character device"));
        check("BlockDevice", None, Err("block device"));
    }
}
