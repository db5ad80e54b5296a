//! Starting a container: image, environment, mounts, limits, probes.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use coracle_client::{Severity, reference};
use coracle_image::store::Image;
use coracle_runtime::spec::{
    Bind, ContainerSpec, Log, Mount, MountOptions, Propagation, Resources, Rootfs, Source, Upper,
};
use coracle_runtime::{Container as Running, ExecSpec, RuntimeError};
use k8s_openapi::api::core::v1::{
    Container, ContainerStateTerminated, LifecycleHandler, ObjectReference, VolumeMount,
};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use super::container::{Run, State, container_id, time};
use super::{Message, Worker, sandbox};
use crate::env::{self, ConfigError};
use crate::images;
use crate::probe::{self, Kind, Target};
use crate::quantity;
use crate::security;

/// Bytes of a probe's output that are kept.
const OUTPUT_MAX: u64 = 10 * 1024;

impl Worker {
    /// Starts a container; if that fails its state says why.
    pub(super) async fn launch(&mut self, container: &Container) {
        let image = match self.find_image(container) {
            Ok(image) => image,
            Err((reason, message)) => return self.miss(container, reason, message),
        };
        let attempt = self.next_attempt(container);
        let spec = match self.spec(container, &image, attempt) {
            Ok(spec) => spec,
            Err(ConfigError(message)) => {
                self.event(
                    container,
                    Severity::Warning,
                    "Failed",
                    &format!("Error: {message}"),
                );
                return self.miss(container, "CreateContainerConfigError", message);
            }
        };
        let name = container.image.clone().unwrap_or_default();
        self.state(container).image = Some((name, image.id.to_string()));
        self.event(
            container,
            Severity::Normal,
            "Created",
            &format!("Container created: {}", container.name),
        );
        match self.shared.runtime.start(spec).await {
            Ok(running) => self.began(container, running, attempt),
            Err(error) => self.start_failed(container, attempt, &error),
        }
    }

    fn state(&mut self, container: &Container) -> &mut State {
        self.containers.entry(container.name.clone()).or_default()
    }

    /// Counts the runs of a container: the first is 0.
    fn next_attempt(&mut self, container: &Container) -> i32 {
        let state = self.state(container);
        if state.has_run() {
            state.restarts += 1;
        }
        state.restarts
    }

    fn find_image(&mut self, container: &Container) -> Result<Image, (&'static str, String)> {
        let name = container.image.clone().unwrap_or_default();
        let policy = container.image_pull_policy.as_deref();
        match images::find(
            &self.shared.images,
            &self.shared.config.cluster,
            &name,
            policy,
        ) {
            Ok(image) => {
                let text = format!("Container image \"{name}\" already present on machine");
                self.event(container, Severity::Normal, "Pulled", &text);
                Ok(image)
            }
            Err(error) => {
                self.event(container, Severity::Warning, "Failed", &error.to_string());
                self.event(
                    container,
                    Severity::Warning,
                    "Failed",
                    &format!("Error: {}", error.reason()),
                );
                Err((error.reason(), error.to_string()))
            }
        }
    }

    /// Notes why a container waits and when to look again.
    fn miss(&mut self, container: &Container, reason: &'static str, message: String) {
        let state = self.state(container);
        state.waiting = Some((reason.into(), message));
        state.misses.failed();
    }

    /// Tells, while a container waits to be started again, that it does.
    pub(super) fn tell_back_off(&mut self, container: &Container) {
        let pod = format!("{}_{}({})", self.key.name, self.key.namespace, self.uid);
        let state = self.state(container);
        if state.crashes.until().is_some() {
            let seconds = state.crashes.delay().as_secs();
            let delay = if seconds < 60 {
                format!("{seconds}s")
            } else {
                format!("{}m{}s", seconds / 60, seconds % 60)
            };
            let text = format!(
                "back-off {delay} restarting failed container={} pod={pod}",
                container.name
            );
            let waiting = Some(("CrashLoopBackOff".to_owned(), text));
            if state.waiting != waiting {
                state.waiting = waiting;
                let text = format!(
                    "Back-off restarting failed container {} in pod {pod}",
                    container.name
                );
                self.event(container, Severity::Warning, "BackOff", &text);
            }
        } else if let Some((reason, message)) = &state.waiting
            && reason == "ErrImagePull"
        {
            let image = container.image.as_deref().unwrap_or_default();
            let text = format!("Back-off pulling image \"{image}\": ErrImagePull: {message}");
            state.waiting = Some(("ImagePullBackOff".into(), text));
            self.event(
                container,
                Severity::Normal,
                "BackOff",
                &format!("Back-off pulling image \"{image}\""),
            );
        }
    }

    fn start_failed(&mut self, container: &Container, attempt: i32, error: &RuntimeError) {
        let message = chain(error);
        self.event(
            container,
            Severity::Warning,
            "Failed",
            &format!("Error: {message}"),
        );
        let now = coracle_client::now();
        let state = self.state(container);
        state.restarts = attempt;
        state.ended = Some(ContainerStateTerminated {
            exit_code: 128,
            reason: Some("StartError".into()),
            message: Some(message.clone()),
            started_at: Some(now.clone()),
            finished_at: Some(now),
            ..Default::default()
        });
        state.waiting = Some(("RunContainerError".into(), message));
        state.crashes.failed();
    }

    /// Takes note of a run and starts what belongs to it.
    fn began(&mut self, container: &Container, running: Running, attempt: i32) {
        self.event(
            container,
            Severity::Normal,
            "Started",
            &format!("Container started: {}", container.name),
        );
        self.attach_run(container, running, attempt, Instant::now());
        self.run_post_start(container, attempt);
    }

    /// Watches a run that has just begun or was found running.
    pub(super) fn attach_run(
        &mut self,
        container: &Container,
        running: Running,
        attempt: i32,
        since: Instant,
    ) {
        self.handle
            .live
            .write()
            .insert(container.name.clone(), running.clone());
        let tell = self.handle.tell.clone();
        let (name, watched) = (container.name.clone(), running.clone());
        tokio::spawn(async move {
            let exit = watched.wait().await;
            // A worker that is gone has nothing to do with it any more.
            let _ = tell.send(Message::Exited(name, attempt, exit));
        });
        let run = Run {
            handle: running,
            attempt,
            since,
            started: container.startup_probe.is_none(),
            ready: container.readiness_probe.is_none(),
            stopping: false,
            tasks: JoinSet::new(),
        };
        let state = self.state(container);
        state.waiting = None;
        state.misses.reset();
        state.run = Some(run);
        let kind = if container.startup_probe.is_some() {
            &[Kind::Startup][..]
        } else {
            &[Kind::Readiness, Kind::Liveness]
        };
        for kind in kind {
            self.start_probe(container, *kind);
        }
    }

    /// Starts a probe of the present run, if the container has it.
    pub(super) fn start_probe(&mut self, container: &Container, kind: Kind) {
        let probe = match kind {
            Kind::Startup => container.startup_probe.clone(),
            Kind::Readiness => container.readiness_probe.clone(),
            Kind::Liveness => container.liveness_probe.clone(),
        };
        let address = self.sandbox.as_ref().and_then(|sandbox| sandbox.address);
        let (Some(probe), Some(address)) = (probe, address) else {
            return;
        };
        let tell = self.handle.tell.clone();
        let state = self.state(container);
        let Some(run) = &mut state.run else { return };
        let target = RunningTarget {
            handle: run.handle.clone(),
            address,
        };
        let (name, attempt, since) = (container.name.clone(), run.attempt, run.since);
        let container = container.clone();
        run.tasks.spawn(async move {
            let tell = |verdict| {
                tell.send(Message::Probed(name.clone(), attempt, verdict))
                    .is_ok()
            };
            probe::run(kind, probe, container, target, since, tell).await;
        });
    }

    fn run_post_start(&mut self, container: &Container, attempt: i32) {
        let hook = container
            .lifecycle
            .as_ref()
            .and_then(|lifecycle| lifecycle.post_start.clone());
        let Some(hook) = hook else { return };
        let address = self.sandbox.as_ref().and_then(|sandbox| sandbox.address);
        let tell = self.handle.tell.clone();
        let container = container.clone();
        let Some(run) = &mut self.state(&container).run else {
            return;
        };
        let handle = run.handle.clone();
        run.tasks.spawn(async move {
            let result = run_hook(&hook, &handle, &container, address).await;
            let _ = tell.send(Message::Hooked(container.name.clone(), attempt, result));
        });
    }

    /// Writes an event about a container.
    pub(super) fn event(
        &self,
        container: &Container,
        severity: Severity,
        reason: &str,
        message: &str,
    ) {
        let init = self
            .init_containers()
            .iter()
            .any(|init| init.name == container.name);
        let list = if init { "initContainers" } else { "containers" };
        let regarding = ObjectReference {
            field_path: Some(format!("spec.{list}{{{}}}", container.name)),
            ..reference(&*self.pod)
        };
        self.shared
            .recorder
            .event_at(regarding, severity, reason, message.to_owned());
    }

    /// Puts together all the runtime needs to know.
    fn spec(
        &self,
        container: &Container,
        image: &Image,
        attempt: i32,
    ) -> Result<ContainerSpec, ConfigError> {
        let ready = self
            .sandbox
            .as_ref()
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
        env.push(("HOSTNAME".into(), sandbox::hostname(&self.pod)));
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
            namespaces: ready.sandbox.namespaces(),
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
        security::apply(&mut spec, &self.pod, container, &config.user)?;
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

    /// Returns who is ended first when memory runs out (upstream: pkg/kubelet/qos/policy.go).
    fn oom_score_adj(&self, container: &Container) -> i32 {
        let requests = container
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.clone())
            .unwrap_or_default();
        let limits = container
            .resources
            .as_ref()
            .and_then(|resources| resources.limits.clone())
            .unwrap_or_default();
        if requests.is_empty() && limits.is_empty() {
            return 1000;
        }
        let total = self.shared.allocatable.get("memory").copied().unwrap_or(0) / 1000;
        let asked = requests
            .get("memory")
            .and_then(quantity::units)
            .unwrap_or(0);
        if total <= 0 {
            return 999;
        }
        (1000 - 1000 * asked / total).clamp(3, 999) as i32
    }
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
            readonly_recursive: wanted.recursive_read_only.as_deref() == Some("Enabled"),
            propagation,
            ..MountOptions::default()
        },
    })
}

/// Returns a container's limits in the kernel's terms
/// (upstream: pkg/kubelet/cm/helpers_linux.go, MilliCPUToShares and MilliCPUToQuota).
fn resources(container: &Container) -> Resources {
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

/// Returns an error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// A running container as probes see it.
struct RunningTarget {
    handle: Running,
    address: std::net::Ipv4Addr,
}

impl Target for RunningTarget {
    async fn exec(&self, command: Vec<String>) -> Result<(i32, String), String> {
        exec(&self.handle, command).await
    }

    fn address(&self) -> std::net::Ipv4Addr {
        self.address
    }
}

/// Runs a command in a container: its exit code and the start of its output.
pub(super) async fn exec(handle: &Running, command: Vec<String>) -> Result<(i32, String), String> {
    let spec = ExecSpec {
        args: command,
        ..ExecSpec::default()
    };
    let mut session = handle.exec(spec).await.map_err(|error| chain(&error))?;
    let (stdout, stderr) = (session.stdout.take(), session.stderr.take());
    let read = |stream: Option<tokio::net::unix::pipe::Receiver>| async move {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            let mut limited = stream.take(OUTPUT_MAX);
            let _ = limited.read_to_end(&mut bytes).await;
            let _ = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (out, err, exit) = tokio::join!(read(stdout), read(stderr), session.wait());
    let exit = exit.map_err(|error| error.to_string())?;
    Ok((exit.code, out + &err))
}

/// Runs a life-cycle hook to its end.
pub(super) async fn run_hook(
    hook: &LifecycleHandler,
    handle: &Running,
    container: &Container,
    address: Option<std::net::Ipv4Addr>,
) -> Result<(), String> {
    if let Some(action) = &hook.exec {
        return match exec(handle, action.command.clone().unwrap_or_default()).await? {
            (0, _) => Ok(()),
            (code, output) => Err(format!("command exited with {code}: {}", output.trim())),
        };
    }
    if let Some(action) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(action.seconds.unsigned_abs())).await;
        return Ok(());
    }
    if let (Some(action), Some(address)) = (&hook.http_get, address) {
        return probe::get_once(action, container, address).await;
    }
    Err("this kind of hook is not supported".into())
}

impl Worker {
    /// Finds the containers of an earlier engine again.
    pub(super) async fn adopt(&mut self, adopted: Vec<Running>) {
        let containers: Vec<Container> = self
            .init_containers()
            .into_iter()
            .chain(self.app_containers())
            .collect();
        self.recall(&containers);
        let address = std::fs::read(self.paths.dir.join("sandbox.json"))
            .ok()
            .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
            .and_then(|record| record["address"].as_str()?.parse().ok());
        let alive = self
            .shared
            .runtime
            .sandboxes()
            .unwrap_or_default()
            .into_iter()
            .find(|sandbox| sandbox.id() == self.uid && sandbox.is_alive());
        if let (Some(address), Some(sandbox)) = (address, alive) {
            self.sandbox = Some(sandbox::Ready {
                sandbox,
                address: Some(address),
            });
            *self.handle.address.write() = Some(address);
        }
        for running in adopted {
            let Some(container) = containers
                .iter()
                .find(|one| running.label("container") == Some(&one.name))
            else {
                let _ = running.remove().await;
                continue;
            };
            let attempt = running
                .label("attempt")
                .and_then(|attempt| attempt.parse().ok())
                .unwrap_or(0);
            let age = Duration::from_nanos(now_nanos().saturating_sub(running.started_at_nanos()));
            let since = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
            let state = self.state(container);
            state.restarts = state.restarts.max(attempt);
            self.attach_run(container, running, attempt, since);
        }
    }

    /// Takes over what the pod's status says of the time before.
    fn recall(&mut self, containers: &[Container]) {
        let status = self.pod.status.clone().unwrap_or_default();
        let known: Vec<_> = status
            .container_statuses
            .into_iter()
            .chain(status.init_container_statuses)
            .flatten()
            .collect();
        for container in containers {
            let Some(before) = known.iter().find(|status| status.name == container.name) else {
                continue;
            };
            let state = self.containers.entry(container.name.clone()).or_default();
            state.restarts = before.restart_count;
            if !before.image_id.is_empty() {
                state.image = Some((before.image.clone(), before.image_id.clone()));
            }
            let terminated = before
                .state
                .as_ref()
                .and_then(|state| state.terminated.clone());
            let earlier = before
                .last_state
                .as_ref()
                .and_then(|state| state.terminated.clone());
            let running = before
                .state
                .as_ref()
                .and_then(|state| state.running.clone());
            state.ended = terminated.or(earlier).or_else(|| {
                // It ran and is not among the adopted: it ended unseen.
                running.map(|running| ContainerStateTerminated {
                    container_id: before.container_id.clone(),
                    exit_code: 137,
                    reason: Some("ContainerStatusUnknown".into()),
                    message: Some(
                        "The container could not be located when the pod was terminated".into(),
                    ),
                    started_at: running.started_at,
                    ..Default::default()
                })
            });
        }
    }
}

fn now_nanos() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

impl Worker {
    /// Takes the end of a run.
    pub(super) fn on_exit(&mut self, name: &str, attempt: i32, exit: &coracle_runtime::Exit) {
        let Some(state) = self.containers.get_mut(name) else {
            return;
        };
        let Some(run) = &state.run else { return };
        let handle = run.handle.clone();
        if !state.end(attempt, exit) {
            return;
        }
        self.handle.live.write().remove(name);
        if self.will_restart(name)
            && let Some(state) = self.containers.get_mut(name)
        {
            // The first restart is immediate, later ones wait longer and longer.
            let first = state.restarts == 0 && state.crashes.delay().is_zero();
            if !first {
                state.crashes.failed();
            } else {
                state.crashes.arm();
            }
        }
        tokio::spawn(async move {
            if let Err(error) = handle.remove().await {
                tracing::warn!(%error, "a container that ended was not removed");
            }
        });
    }

    fn will_restart(&self, name: &str) -> bool {
        let policy = self.restart_policy();
        self.containers
            .get(name)
            .is_some_and(|state| state.wants_restart(policy))
            && !self.is_stopping()
    }
}

/// Only for the words of a status.
pub(super) fn running_since(run: &Run) -> k8s_openapi::api::core::v1::ContainerStateRunning {
    k8s_openapi::api::core::v1::ContainerStateRunning {
        started_at: Some(time(run.handle.started_at_nanos())),
    }
}

/// Only for the words of a status.
pub(super) fn id_of(state: &State) -> Option<String> {
    match (&state.run, &state.ended) {
        (Some(run), _) => Some(container_id(run.handle.id())),
        (None, Some(ended)) => ended.container_id.clone(),
        _ => None,
    }
}

impl super::Handle {
    /// Returns a running container of the pod, the only one if `name` is empty.
    pub fn container(&self, name: &str) -> Option<Running> {
        let live = self.live.read();
        if name.is_empty() && live.len() == 1 {
            return live.values().next().cloned();
        }
        live.get(name).cloned()
    }
}
