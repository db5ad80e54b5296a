//! What the runtime is told of a container: root, command, environment,
//! mounts, limits.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use coracle_image::store::Image;
use coracle_runtime::spec::{
    Bind, ContainerSpec, Log, Mount, MountOptions, Propagation, Resources, Rootfs, Source, Upper,
};
use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::Worker;
use super::policy::is_sidecar;
use crate::env::{self, ConfigError};
use crate::profiles;
use crate::quantity;
use crate::security;

impl Worker {
    /// Puts together all the runtime needs to know.
    pub(super) fn spec(
        &self,
        container: &Container,
        image: &Image,
        attempt: i32,
    ) -> Result<ContainerSpec, ConfigError> {
        let sandbox = self
            .sandbox
            .as_ref()
            .and_then(|ready| ready.sandbox.as_ref())
            .ok_or_else(|| ConfigError("the pod has no sandbox".into()))?;
        let dir = self.paths.container(&container.name, attempt);
        let io = |error: std::io::Error| ConfigError(format!("{}: {error}", dir.display()));
        for part in ["upper", "work"] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(dir.join(part))
                .map_err(io)?;
        }
        let mut lowers = image.lower_dirs();
        lowers.reverse();
        let config = &image.config.config;
        let mut env: Vec<(String, String)> = config
            .env
            .iter()
            .filter_map(|entry| {
                entry
                    .split_once('=')
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
            })
            .collect();
        env.push(("HOSTNAME".into(), self.hostname()));
        let own = env::environment(
            &self.facts(),
            container,
            &self.shared.lookup(&self.key.namespace),
        )?;
        let known = own.iter().cloned().collect();
        let expand = |list: &Option<Vec<String>>| -> Vec<String> {
            list.iter()
                .flatten()
                .map(|text| env::expand(text, &known))
                .collect()
        };
        let (command, arguments) = (expand(&container.command), expand(&container.args));
        env.extend(own);
        let mut spec = ContainerSpec {
            id: new_id(),
            labels: [
                ("pod".to_owned(), self.uid.clone()),
                ("container".to_owned(), container.name.clone()),
                ("attempt".to_owned(), attempt.to_string()),
                ("image".to_owned(), image.digest.to_string()),
            ]
            .into(),
            root: Rootfs {
                lowers,
                upper: Some(Upper {
                    dir: dir.join("upper"),
                    work: dir.join("work"),
                }),
                readonly: false,
            },
            args: arguments_of(command, arguments, image),
            env: last_wins(env),
            cwd: container
                .working_dir
                .clone()
                .unwrap_or_else(|| config.working_dir.clone()),
            mounts: self.mounts(container, &known)?,
            namespaces: self.shared_namespaces(container, sandbox)?,
            terminal: container.tty == Some(true),
            stdin: container.stdin == Some(true),
            stdin_once: container.stdin_once == Some(true),
            log: Some(Log::at(self.paths.log(&container.name, attempt))),
            cgroup: Some(format!("kubepods/pod{}/{}", self.uid, container.name)),
            resources: resources(container),
            oom_score_adj: self.oom_score_adj(container),
            ..ContainerSpec::default()
        };
        if let Some(folder) = self.paths.log(&container.name, attempt).parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        if let Some(signal) = config.stop_signal.as_deref().and_then(signal_number) {
            spec.stop_signal = signal;
        }
        if let Some((path, target)) = self.make_message_file(container, attempt).map_err(io)? {
            spec.mounts
                .push(bind(path, &target, MountOptions::default()));
        }
        let profile = |name: &str| profiles::find(&self.shared, name);
        security::apply(&mut spec, &self.pod, container, &config.user, profile)?;
        Ok(spec)
    }

    fn mounts(
        &self,
        container: &Container,
        known: &std::collections::BTreeMap<String, String>,
    ) -> Result<Vec<Mount>, ConfigError> {
        let mut mounts = Vec::new();
        for file in ["hosts", "hostname", "resolv.conf"] {
            mounts.push(bind(
                self.paths.etc(file),
                &format!("/etc/{file}"),
                MountOptions::default(),
            ));
        }
        let prepared = self.volumes.as_ref();
        for wanted in container.volume_mounts.iter().flatten() {
            let source = prepared
                .and_then(|volumes| volumes.sources.get(&wanted.name))
                .ok_or_else(|| {
                    ConfigError(format!(
                        "volume {} of mount {} does not exist",
                        wanted.name, wanted.mount_path
                    ))
                })?;
            mounts.push(volume_mount(source.clone(), wanted, known)?);
        }
        Ok(mounts)
    }

    /// Returns who is ended first when memory runs out.
    fn oom_score_adj(&self, container: &Container) -> i32 {
        let memory = self.shared.allocatable.get("memory").copied().unwrap_or(0) / 1000;
        let spec = self.pod.spec.as_ref();
        let is_critical = spec.and_then(|spec| spec.priority) >= Some(NODE_CRITICAL);
        let least = match is_sidecar(container) {
            // Upstream: a sidecar stands at least as well as what it serves.
            true => self.app_containers().iter().map(asked).min(),
            false => None,
        };
        let status = self.pod.status.as_ref();
        let class = match is_critical {
            true => "Guaranteed",
            false => status
                .and_then(|status| status.qos_class.as_deref())
                .unwrap_or("BestEffort"),
        };
        standing(class, asked(container), least, memory)
    }
}

/// Priority of `system-node-critical` (Kubernetes: Pod Priority and Preemption).
const NODE_CRITICAL: i32 = 2_000_001_000;

/// Returns the memory that a container asked for, in bytes.
fn asked(container: &Container) -> i64 {
    let requests = container
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref());
    requests
        .and_then(|requests| requests.get("memory"))
        .and_then(quantity::units)
        .unwrap_or(0)
}

/// Returns the value for proc_pid_oom_score_adj(5) (upstream: pkg/kubelet/qos/policy.go,
/// GetContainerOOMScoreAdjust). `least` is what the app container that asked
/// for least asked for, for a sidecar beside it.
fn standing(class: &str, asked: i64, least: Option<i64>, memory: i64) -> i32 {
    match class {
        "Guaranteed" => return -997,
        "BestEffort" => return 1000,
        _ if memory <= 0 => return 999,
        _ => {}
    }
    let of = |bytes: i64| 1000 - 1000 * i128::from(bytes) / i128::from(memory);
    let own = least.map_or(of(asked), |least| of(asked).min(of(least)));
    own.clamp(3, 999) as i32
}

fn new_id() -> String {
    use std::fmt::Write;
    rand::random::<[u8; 32]>()
        .iter()
        .fold(String::new(), |mut id, byte| {
            let _ = write!(id, "{byte:02x}");
            id
        })
}

/// Returns what is executed (Kubernetes: Define a Command and Arguments for a Container).
fn arguments_of(command: Vec<String>, arguments: Vec<String>, image: &Image) -> Vec<String> {
    let config = &image.config.config;
    let own = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    match (command.is_empty(), arguments.is_empty()) {
        (true, true) => image.default_command(),
        (true, false) => own(&config.entrypoint)
            .into_iter()
            .chain(arguments)
            .collect(),
        (false, _) => command.into_iter().chain(arguments).collect(),
    }
}

fn last_wins(env: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut result: Vec<(String, String)> = Vec::with_capacity(env.len());
    for (name, value) in env {
        match result.iter_mut().find(|(have, _)| *have == name) {
            Some(entry) => entry.1 = value,
            None => result.push((name, value)),
        }
    }
    result
}

fn bind(path: PathBuf, target: &str, options: MountOptions) -> Mount {
    Mount {
        source: Source::Bind(Bind {
            path,
            ..Bind::default()
        }),
        target: target.into(),
        options,
    }
}

fn volume_mount(
    source: Bind,
    wanted: &VolumeMount,
    known: &std::collections::BTreeMap<String, String>,
) -> Result<Mount, ConfigError> {
    let sub_path = match (&wanted.sub_path, &wanted.sub_path_expr) {
        (Some(path), _) if !path.is_empty() => Some(path.clone()),
        (_, Some(expression)) if !expression.is_empty() => Some(env::expand(expression, known)),
        _ => None,
    };
    let propagation = match wanted.mount_propagation.as_deref() {
        Some("HostToContainer") => Propagation::Slave,
        Some("Bidirectional") => Propagation::Shared,
        _ => Propagation::Private,
    };
    Ok(Mount {
        source: Source::Bind(Bind {
            sub_path: sub_path.map(PathBuf::from),
            ..source
        }),
        target: wanted.mount_path.clone(),
        options: MountOptions {
            readonly: wanted.read_only == Some(true),
            readonly_recursive: is_recursively_read_only(wanted),
            propagation,
            ..MountOptions::default()
        },
    })
}

/// Returns whether a volume is read-only with all that is mounted in it, which
/// this kernel can always do (upstream: kubelet_pods.go, resolveRecursiveReadOnly).
pub(super) fn is_recursively_read_only(mount: &VolumeMount) -> bool {
    let mode = mount.recursive_read_only.as_deref();
    let propagates = mount.mount_propagation.as_deref().unwrap_or("None") != "None";
    mount.read_only == Some(true) && !propagates && matches!(mode, Some("Enabled" | "IfPossible"))
}

/// Returns a container's limits in the kernel's terms
/// (upstream: pkg/kubelet/cm/helpers_linux.go, MilliCPUToShares and MilliCPUToQuota).
pub(super) fn resources(container: &Container) -> Resources {
    let resources = container.resources.clone().unwrap_or_default();
    let (requests, limits) = (
        resources.requests.unwrap_or_default(),
        resources.limits.unwrap_or_default(),
    );
    let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    let cpu_limit = limits
        .get("cpu")
        .and_then(quantity::milli)
        .and_then(positive);
    let cpu_request = requests
        .get("cpu")
        .or(limits.get("cpu"))
        .and_then(quantity::milli)
        .and_then(positive);
    Resources {
        memory_bytes_max: limits
            .get("memory")
            .and_then(quantity::units)
            .and_then(positive),
        cpu_quota_us: cpu_limit.map(|milli| (milli * 100).max(1000)),
        cpu_period_us: cpu_limit.map(|_| 100_000),
        cpu_shares: Some(cpu_request.map_or(2, |milli| (milli * 1024 / 1000).clamp(2, 262_144))),
        pids_max: None,
    }
}

/// Returns the number of a signal as images name it: `SIGTERM`, `TERM` or `15`.
fn signal_number(name: &str) -> Option<i32> {
    let bare = name.strip_prefix("SIG").unwrap_or(name);
    Some(match bare {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "KILL" => 9,
        "USR1" => 10,
        "USR2" => 12,
        "TERM" => 15,
        "WINCH" => 28,
        other => {
            return other
                .parse()
                .ok()
                .filter(|number| (1..=64).contains(number));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_ended_first_is_upstreams() {
        #[track_caller]
        fn check(class: &str, asked_mib: i64, least_mib: Option<i64>, expected: i32) {
            let bytes = |mib: i64| mib << 20;
            let memory = bytes(8192);
            let value = standing(class, bytes(asked_mib), least_mib.map(bytes), memory);
            assert_eq!(value, expected, "{class} {asked_mib} {least_mib:?}");
        }
        check("Guaranteed", 64, None, -997);
        check("BestEffort", 0, None, 1000);
        check("Burstable", 0, None, 999);
        check("Burstable", 1, None, 999);
        check("Burstable", 2048, None, 750);
        check("Burstable", 100_000, None, 3);
        check("Burstable", 0, Some(4096), 500);
        check("Burstable", 4096, Some(0), 500);
    }
}
