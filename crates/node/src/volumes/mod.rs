//! A pod's volumes: folders that are made before its containers start and
//! kept up to date while they run (upstream: pkg/volume).

mod atomic;
mod host_path;
mod payload;
mod provision;
mod tree;
mod usage;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use coracle_client::storage::{self, PROVISIONED_BY};
use coracle_runtime::spec::Bind;
use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, HostPathVolumeSource, PersistentVolume, Pod, Volume,
};
use kube::ResourceExt;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::env::PodFacts;
use crate::paths::PodPaths;
use crate::quantity;
use crate::shared::Shared;
use host_path::{host_path, in_share};
pub use payload::Payload;
pub use provision::Provisioner;
pub(crate) use tree::Tree;

/// A volume could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume \"{volume}\" : {message}")]
pub struct VolumeError {
    /// The volume's name in the pod.
    pub volume: String,
    /// Why, in upstream's words where it has some.
    pub message: String,
}

/// The prepared volumes of a pod: where each is, and when a token in one of
/// them must be renewed.
#[derive(Debug, Default, Clone)]
pub struct Prepared {
    /// What each volume shows, by name.
    pub sources: BTreeMap<String, Bind>,
    /// When to prepare again because a token gets old.
    pub renew_at: Option<SystemTime>,
}

/// Makes or refreshes every volume of the pod; `before` is what was prepared
/// the last time.
///
/// # Errors
/// Names the first volume that cannot be made and why.
pub async fn prepare(
    shared: &Shared,
    facts: &PodFacts<'_>,
    paths: &PodPaths,
    before: Option<&Prepared>,
) -> Result<Prepared, VolumeError> {
    let mut prepared = Prepared::default();
    let volumes = facts
        .pod
        .spec
        .as_ref()
        .and_then(|spec| spec.volumes.clone())
        .unwrap_or_default();
    for volume in volumes {
        let failed = |message: String| VolumeError {
            volume: volume.name.clone(),
            message,
        };
        let known = before.and_then(|before| before.sources.get(&volume.name));
        let made = if shared.machine.pretends() {
            look_up(shared, facts, paths, &volume, &mut prepared.renew_at).await
        } else if let Some(known) = known.filter(|_| volume.persistent_volume_claim.is_some()) {
            // A claim stays bound, and is given to the pod's group once.
            Ok(known.clone())
        } else {
            set_up(shared, facts, paths, &volume, &mut prepared.renew_at).await
        };
        let source = made.map_err(failed)?;
        prepared.sources.insert(volume.name.clone(), source);
    }
    Ok(prepared)
}

async fn set_up(
    shared: &Shared,
    facts: &PodFacts<'_>,
    paths: &PodPaths,
    volume: &Volume,
    renew_at: &mut Option<SystemTime>,
) -> Result<Bind, String> {
    let path = paths.volume(&volume.name);
    if let Some(source) = &volume.empty_dir {
        empty_dir(facts.pod, source, &path).map_err(text)?;
        return Ok(whole(path));
    }
    if let Some(source) = &volume.host_path {
        return host_path(shared, facts.pod, source);
    }
    if let Some(source) = &volume.persistent_volume_claim {
        return claim(shared, facts.pod, &source.claim_name);
    }
    let Some(payload) = Payload::of(shared, facts, volume).await? else {
        return Err("this kind of volume is not supported".into());
    };
    if payload.secret {
        memory(&path).map_err(text)?;
    }
    atomic::write(&path, &payload.files, fs_group(facts.pod)).map_err(text)?;
    *renew_at = sooner(*renew_at, payload.renew_at);
    Ok(whole(path))
}

/// Looks for all that a volume refers to, and makes nothing.
async fn look_up(
    shared: &Shared,
    facts: &PodFacts<'_>,
    paths: &PodPaths,
    volume: &Volume,
    renew_at: &mut Option<SystemTime>,
) -> Result<Bind, String> {
    if let Some(source) = &volume.persistent_volume_claim {
        let namespace = facts.pod.namespace().unwrap_or_default();
        bound_volume(shared, &namespace, &source.claim_name)?;
    }
    if let Some(payload) = Payload::of(shared, facts, volume).await? {
        *renew_at = sooner(*renew_at, payload.renew_at);
    }
    Ok(whole(paths.volume(&volume.name)))
}

fn sooner(one: Option<SystemTime>, other: Option<SystemTime>) -> Option<SystemTime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Returns a source that shows all of a path which is ours alone.
fn whole(path: PathBuf) -> Bind {
    Bind {
        path,
        ..Bind::default()
    }
}

fn text(error: io::Error) -> String {
    error.to_string()
}

/// Returns the group that owns the pod's volumes.
fn fs_group(pod: &Pod) -> Option<u32> {
    let context = pod.spec.as_ref()?.security_context.as_ref()?;
    u32::try_from(context.fs_group?).ok()
}

fn make_dir(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
}

fn is_mounted(path: &Path) -> bool {
    let device = |path: &Path| rustix::fs::stat(path).map(|stat| stat.st_dev);
    match (device(path), path.parent().map(device)) {
        (Ok(own), Some(Ok(parent))) => own != parent,
        _ => false,
    }
}

/// Makes a small file system in memory, so that what is in it never reaches a disk.
fn memory(path: &Path) -> io::Result<()> {
    make_dir(path)?;
    if !is_mounted(path) {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("tmpfs", path, "tmpfs", flags, Some(c"mode=755,size=16m"))?;
    }
    Ok(())
}

fn empty_dir(pod: &Pod, source: &EmptyDirVolumeSource, path: &Path) -> io::Result<()> {
    if path.exists() && (source.medium.as_deref() != Some("Memory") || is_mounted(path)) {
        return Ok(());
    }
    make_dir(path)?;
    if source.medium.as_deref() == Some("Memory") {
        let size = source
            .size_limit
            .as_ref()
            .and_then(quantity::units)
            .unwrap_or(0);
        let options = if size > 0 {
            format!("mode=777,size={size}")
        } else {
            "mode=777".into()
        };
        let options = std::ffi::CString::new(options).map_err(io::Error::other)?;
        mount(
            "tmpfs",
            path,
            "tmpfs",
            MountFlags::NOSUID | MountFlags::NODEV,
            Some(options.as_c_str()),
        )?;
    }
    // Upstream makes it writable for everyone, whatever the container's user.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    if let Some(group) = fs_group(pod) {
        give(path, None, Some(group))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o2777))?;
    }
    Ok(())
}

/// Whether what is the group's at first sight is left as it is.
fn on_root_mismatch(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let context = spec.and_then(|spec| spec.security_context.as_ref());
    context.and_then(|context| context.fs_group_change_policy.as_deref()) == Some("OnRootMismatch")
}

/// Gives a path to a user and a group. What the id map lacks is left out: the
/// permissions for others serve a group then, and the only id there is is the
/// user's.
fn give(path: &Path, owner: Option<u32>, group: Option<u32>) -> io::Result<()> {
    match std::os::unix::fs::lchown(path, owner, group) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// Returns the volume that a claim is bound to.
fn bound_volume(
    shared: &Shared,
    namespace: &str,
    name: &str,
) -> Result<Arc<PersistentVolume>, String> {
    let claim = shared
        .claims
        .get(namespace, name)
        .ok_or_else(|| format!("persistentvolumeclaim \"{name}\" not found"))?;
    let volume = storage::volume_name(&claim)
        .filter(|_| storage::is_bound(&claim))
        .ok_or_else(|| format!("claim {namespace}/{name} is not bound to a volume yet"))?;
    let volume = shared
        .persistent_volumes
        .get("", volume)
        .ok_or_else(|| format!("persistentvolume \"{volume}\" not found"))?;
    if !storage::is_bound_to(&volume, &claim) {
        return Err(format!(
            "volume {} is bound to another claim than {namespace}/{name}",
            volume.name_any()
        ));
    }
    Ok(volume)
}

/// Returns the place of a claim's volume.
fn claim(shared: &Shared, pod: &Pod, name: &str) -> Result<Bind, String> {
    let volume = bound_volume(shared, &pod.namespace().unwrap_or_default(), name)?;
    let spec = volume.spec.clone().unwrap_or_default();
    let (source, managed) = match (&spec.host_path, &spec.local) {
        (Some(source), _) => (
            source.clone(),
            volume.annotations().contains_key(PROVISIONED_BY),
        ),
        (None, Some(local)) => {
            let (path, type_) = (local.path.clone(), None);
            (HostPathVolumeSource { path, type_ }, true)
        }
        (None, None) => {
            return Err(format!(
                "persistent volume {} is of a kind that is not supported",
                volume.name_any()
            ));
        }
    };
    // A hostPath of the user's own keeps its owner, as upstream's does.
    // What the host shares keeps its owners too.
    let is_ours = managed && in_share(&shared.config.shares, &source.path).is_none();
    if let Some(group) = fs_group(pod).filter(|_| is_ours) {
        let tree = Tree::new(shared.config.volumes.clone());
        tree.give_to_group(&source.path, group, on_root_mismatch(pod))
            .map_err(text)?;
    }
    host_path(shared, pod, &source)
}

/// Removes a pod's volumes; what is mounted is unmounted first.
pub fn remove(paths: &PodPaths) {
    let volumes = paths.dir.join("volumes");
    for entry in std::fs::read_dir(&volumes).into_iter().flatten().flatten() {
        if is_mounted(&entry.path()) {
            let _ = unmount(entry.path(), UnmountFlags::DETACH);
        }
    }
}
