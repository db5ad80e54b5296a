//! Security contexts: whom a container runs as and what it may do
//! (upstream: pkg/kubelet/kuberuntime/security_context.go, pkg/securitycontext).

use coracle_runtime::CapSet;
use coracle_runtime::spec::{Capabilities, ContainerSpec, Seccomp, User};
use k8s_openapi::api::core::v1::{
    Container, Pod, PodSecurityContext, SeccompProfile, SecurityContext,
};
use kube::ResourceExt;

use crate::env::ConfigError;

/// Applies the pod's and the container's security contexts to `spec`.
/// `profile` finds a profile of system calls by its name.
///
/// # Errors
/// Refuses, in upstream's words, an image that would run as root where that is
/// forbidden; and says which profile or capability is not known.
pub fn apply(
    spec: &mut ContainerSpec,
    pod: &Pod,
    container: &Container,
    image_user: &str,
    profile: impl FnOnce(&str) -> Result<String, String>,
) -> Result<(), ConfigError> {
    let of_pod = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.security_context.clone())
        .unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let uid = own.run_as_user.or(of_pod.run_as_user);
    let non_root = own.run_as_non_root.or(of_pod.run_as_non_root);
    if non_root == Some(true) {
        check_non_root(pod, container, uid, image_user)?;
    }
    spec.user = user(&of_pod, &own, uid, image_user);
    spec.privileged = own.privileged == Some(true);
    spec.no_new_privileges = own.allow_privilege_escalation == Some(false);
    spec.root.readonly = own.read_only_root_filesystem == Some(true);
    spec.capabilities = capabilities(&own)?;
    let chosen = own.seccomp_profile.or(of_pod.seccomp_profile);
    spec.seccomp = seccomp(chosen.as_ref(), profile)?;
    if own.proc_mount.as_deref() == Some("Unmasked") {
        spec.masked_paths.clear();
        spec.readonly_paths.clear();
    }
    Ok(())
}

fn check_non_root(
    pod: &Pod,
    container: &Container,
    uid: Option<i64>,
    image_user: &str,
) -> Result<(), ConfigError> {
    let subject = || {
        format!(
            "(pod: \"{}_{}({})\", container: {})",
            pod.name_any(),
            pod.namespace().unwrap_or_default(),
            pod.uid().unwrap_or_default(),
            container.name
        )
    };
    let image_name = image_user.split(':').next().unwrap_or("");
    match uid {
        Some(0) => Err(ConfigError(format!(
            "container's runAsUser breaks non-root policy {}",
            subject()
        ))),
        Some(_) => Ok(()),
        None if image_name.is_empty() || image_name == "0" => Err(ConfigError(format!(
            "container has runAsNonRoot and image will run as root {}",
            subject()
        ))),
        None if image_name.parse::<u32>().is_err() => Err(ConfigError(format!(
            "container has runAsNonRoot and image has non-numeric user ({image_name}), cannot verify user is non-root {}",
            subject()
        ))),
        None => Ok(()),
    }
}

fn user(
    of_pod: &PodSecurityContext,
    own: &SecurityContext,
    uid: Option<i64>,
    image_user: &str,
) -> User {
    let narrow = |id: i64| u32::try_from(id).ok();
    let gid = own.run_as_group.or(of_pod.run_as_group).and_then(narrow);
    let mut groups: Vec<u32> = of_pod
        .supplemental_groups
        .iter()
        .flatten()
        .copied()
        .filter_map(narrow)
        .collect();
    groups.extend(of_pod.fs_group.and_then(narrow));
    let name = match uid {
        Some(uid) => uid.to_string(),
        None => image_user.to_owned(),
    };
    User {
        name,
        gid,
        additional_gids: groups,
        image_groups: of_pod.supplemental_groups_policy.as_deref() != Some("Strict"),
    }
}

fn named(name: &str) -> Result<CapSet, ConfigError> {
    if name == "ALL" {
        return Ok(CapSet::EMPTY);
    }
    name.parse()
        .map_err(|_| ConfigError(format!("unknown capability {name}")))
}

fn capabilities(own: &SecurityContext) -> Result<Capabilities, ConfigError> {
    let mut bounding = CapSet::container_default();
    if let Some(change) = &own.capabilities {
        let all = |list: &Option<Vec<String>>| list.iter().flatten().any(|name| name == "ALL");
        if all(&change.drop) {
            bounding = CapSet::EMPTY;
        }
        if all(&change.add) {
            bounding = CapSet::ALL;
        }
        for name in change.add.iter().flatten() {
            bounding = bounding.union(named(name)?);
        }
        for name in change.drop.iter().flatten() {
            bounding = bounding.without(named(name)?);
        }
    }
    Ok(Capabilities {
        bounding,
        ..Capabilities::default()
    })
}

/// Without a profile a container gets the default one (DESIGN, identity).
fn seccomp(
    profile: Option<&SeccompProfile>,
    find: impl FnOnce(&str) -> Result<String, String>,
) -> Result<Seccomp, ConfigError> {
    let Some(profile) = profile else {
        return Ok(Seccomp::Default);
    };
    match profile.type_.as_str() {
        "RuntimeDefault" => Ok(Seccomp::Default),
        "Unconfined" => Ok(Seccomp::Unconfined),
        "Localhost" => {
            let name = profile.localhost_profile.as_deref().unwrap_or_default();
            find(name).map(Seccomp::Profile).map_err(ConfigError)
        }
        other => Err(ConfigError(format!("unknown seccomp profile type {other}"))),
    }
}

/// Returns the only user as whom the pod's containers run, where the pod says
/// so of each (upstream: pkg/volume/util, FsUserFrom).
pub fn only_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let of_pod = spec
        .security_context
        .as_ref()
        .and_then(|context| context.run_as_user);
    let containers = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let mut users = containers.map(|container| {
        let own = container.security_context.as_ref();
        own.and_then(|context| context.run_as_user).or(of_pod)
    });
    let first = users.next()??;
    let same = users.all(|user| user == Some(first));
    u32::try_from(first).ok().filter(|_| same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_one_users_where_all_containers_run_as_it() {
        #[track_caller]
        fn check(of_pod: Option<i64>, own: &[Option<i64>], expected: Option<u32>) {
            let container = |user: &Option<i64>| serde_json::json!({"name": "c", "securityContext": {"runAsUser": user}});
            let spec = serde_json::json!({
                "securityContext": {"runAsUser": of_pod},
                "initContainers": own.iter().skip(1).map(container).collect::<Vec<_>>(),
                "containers": own.iter().take(1).map(container).collect::<Vec<_>>(),
            });
            let pod: Pod = serde_json::from_value(serde_json::json!({"spec": spec})).unwrap();
            assert_eq!(only_user(&pod), expected, "{of_pod:?} {own:?}");
        }
        check(None, &[None], None);
        check(Some(7), &[None], Some(7));
        check(Some(7), &[None, Some(7)], Some(7));
        check(Some(7), &[None, Some(8)], None);
        check(None, &[Some(8), None], None);
        check(None, &[Some(8), Some(8)], Some(8));
    }
}
