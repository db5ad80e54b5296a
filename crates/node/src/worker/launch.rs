//! Starting a container: its image, its run, its probes, and what a failed
//! start leaves.

use coracle_client::{Severity, reference};
use coracle_runtime::RuntimeError;
use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ObjectReference};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::container::{self, Health, Run, State};
use super::hooks::{RunningTarget, run_hook};
use super::{Message, Worker};
use crate::env::{self, ConfigError};
use crate::machine::{Pretended, Running, Script};
use crate::probe::{self, Kind};

impl Worker {
    /// Starts a container; if that fails its state says why.
    pub(super) async fn launch(&mut self, container: &Container) {
        if self.shared.machine.pretends() {
            return self.pretend(container);
        }
        let image = match self.find_image(container) {
            Ok(Some(image)) => image,
            Ok(None) => return,
            Err((reason, message)) => return self.miss(container, reason, message),
        };
        if let Err(error) = self
            .shared
            .pins
            .hold(&self.uid, &container.name, image.digest)
        {
            // It was taken away a moment ago; the next look finds out.
            return self.miss(container, "ImageInspectError", chain(&error));
        }
        let attempt = self.next_attempt(container);
        self.forget_runs(container, attempt);
        let spec = match self.spec(container, &image, attempt) {
            Ok(spec) => spec,
            Err(error) => return self.misconfigured(container, error),
        };
        let name = container.image.clone().unwrap_or_default();
        self.state(container).image = Some((name, image.id.to_string()));
        self.event(container, Severity::Normal, "Created", "Container created");
        let Some(runtime) = self.shared.machine.linux() else {
            return;
        };
        match runtime.start(spec).await {
            Ok(running) => self.began(container, Running::Linux(running), attempt),
            Err(error) => self.start_failed(container, attempt, &error),
        }
    }

    /// Notes that a container runs where none can. What it refers to is looked
    /// for all the same.
    fn pretend(&mut self, container: &Container) {
        let attempt = self.next_attempt(container);
        let lookup = self.shared.lookup(&self.key.namespace);
        let environment = env::environment(&self.facts(), container, &lookup);
        drop(lookup);
        if let Err(error) = environment {
            return self.misconfigured(container, error);
        }
        let name = container.image.clone().unwrap_or_default();
        self.state(container).image = Some((name, "simulated".into()));
        self.event(container, Severity::Normal, "Created", "Container created");
        let id = format!("{}-{}-{attempt}", self.uid, container.name);
        let running = Pretended::start(id, Script::of(&self.pod));
        self.began(container, Running::Pretended(running), attempt);
    }

    fn misconfigured(&mut self, container: &Container, error: ConfigError) {
        let ConfigError(message) = error;
        let text = format!("Error: {message}");
        self.event(container, Severity::Warning, "Failed", &text);
        self.miss(container, "CreateContainerConfigError", message);
    }

    /// Returns what is known of a container.
    pub(super) fn state(&mut self, container: &Container) -> &mut State {
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
            let text = "Error: ImagePullBackOff";
            self.event(container, Severity::Warning, "Failed", text);
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
        self.event(container, Severity::Normal, "Started", "Container started");
        let health = Health::at_start(container);
        self.state(container).given = Some(container.resources.clone().unwrap_or_default());
        self.attach_run(container, running, attempt, Instant::now(), health);
        self.run_post_start(container, attempt);
    }

    /// Watches a run that has just begun or was found running.
    pub(super) fn attach_run(
        &mut self,
        container: &Container,
        running: Running,
        attempt: i32,
        since: Instant,
        health: Health,
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
        let user = running.user().map(container::user);
        let run = Run {
            handle: running,
            attempt,
            since,
            started: health.started,
            ready: health.ready,
            stopping: false,
            tasks: JoinSet::new(),
        };
        let state = self.state(container);
        state.waiting = None;
        state.misses.reset();
        state.user = user;
        state.run = Some(run);
        let kind = match health.started {
            true => &[Kind::Readiness, Kind::Liveness][..],
            false => &[Kind::Startup],
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
        let regarding = self.regarding(container);
        self.shared
            .recorder
            .event_at(regarding, severity, reason, message.to_owned());
    }

    /// Names a container as events do.
    pub(super) fn regarding(&self, container: &Container) -> ObjectReference {
        let is_in = |list: Vec<Container>| list.iter().any(|one| one.name == container.name);
        let list = if is_in(self.init_containers()) {
            "initContainers"
        } else if is_in(self.ephemeral_containers()) {
            "ephemeralContainers"
        } else {
            "containers"
        };
        ObjectReference {
            field_path: Some(format!("spec.{list}{{{}}}", container.name)),
            ..reference(&*self.pod)
        }
    }
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
