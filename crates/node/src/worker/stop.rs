//! Stopping: hooks, signals, grace, and taking everything of a pod away
//! (upstream: pkg/kubelet/kuberuntime, killContainer; Pod Lifecycle, Termination of Pods).

use std::net::Ipv4Addr;

use coracle_client::{Recorder, Severity};
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler, ObjectReference, Pod, Probe};
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use super::hooks::run_hook;
use super::{Next, Worker};
use crate::machine::Running;
use crate::probe::{Kind, Verdict};
use crate::volumes;

/// What every container gets between the signal to stop and its end, whatever
/// hooks or others have used up (upstream: minimumGracePeriodInSeconds).
const GRACE_MIN: Duration = Duration::from_secs(2);

impl Worker {
    fn grace(&self) -> Duration {
        if let Some(grace) = self.doom.as_ref().and_then(|doom| doom.grace) {
            return grace;
        }
        let seconds = self
            .pod
            .metadata
            .deletion_grace_period_seconds
            .or_else(|| {
                self.pod
                    .spec
                    .as_ref()
                    .and_then(|spec| spec.termination_grace_period_seconds)
            })
            .unwrap_or(30);
        let grace = Duration::from_secs(seconds.max(0).unsigned_abs());
        if self.gone {
            grace.min(GRACE_MIN)
        } else {
            grace
        }
    }

    /// Stops all containers and, when the last has ended, removes the pod.
    pub(super) async fn stop(&mut self) -> Next {
        self.stop_containers().await;
        if !self.gone {
            self.write_status().await;
        }
        self.release_sandbox().await;
        self.remove_files();
        self.shared.tokens.forget(&self.uid);
        self.shared.pins.release(&self.uid);
        if !self.gone && !self.delete_object().await {
            return Next::At(Instant::now() + Duration::from_secs(1));
        }
        Next::Finished
    }

    /// Stops the containers, sidecars after the others and in reverse order.
    pub(super) async fn stop_containers(&mut self) {
        let until = watch::Sender::new(Instant::now() + self.grace());
        let mut first = self.app_containers();
        first.extend(self.ephemeral_containers());
        self.stop_all(&first, &until).await;
        for container in self.init_containers().iter().rev() {
            let one = std::slice::from_ref(container);
            self.stop_all(one, &until).await;
        }
    }

    async fn stop_all(&mut self, containers: &[Container], until: &watch::Sender<Instant>) {
        let address = self.sandbox.as_ref().and_then(|sandbox| sandbox.address);
        let mut stops = Vec::new();
        for container in containers {
            let Some(run) = self
                .containers
                .get_mut(&container.name)
                .and_then(|state| state.run.as_mut())
            else {
                continue;
            };
            run.tasks.abort_all();
            run.stopping = true;
            let handle = run.handle.clone();
            self.event(
                container,
                Severity::Normal,
                "Killing",
                &format!("Stopping container {}", container.name),
            );
            let end = End {
                container: container.clone(),
                until: until.subscribe(),
                address,
                regarding: self.regarding(container),
                recorder: self.shared.recorder.clone(),
            };
            stops.push(end.of(handle));
        }
        if stops.is_empty() {
            return;
        }
        let all = join_all(stops);
        tokio::pin!(all);
        loop {
            tokio::select! {
                _ = &mut all => break,
                Some(message) = self.inbox.recv() => {
                    self.hear(message);
                    self.hurry(until);
                }
            }
        }
        // The ends arrive as messages; take them before the status is written.
        while self.containers.values().any(|state| state.is_running()) {
            match tokio::time::timeout(Duration::from_secs(5), self.inbox.recv()).await {
                Ok(Some(message)) => self.hear(message),
                _ => break,
            }
            if !containers.iter().any(|container| {
                self.containers
                    .get(&container.name)
                    .is_some_and(|state| state.is_running())
            }) {
                break;
            }
        }
    }

    /// Leaves the containers less time, if the pod has less by now.
    fn hurry(&self, until: &watch::Sender<Instant>) {
        let at = Instant::now() + self.grace();
        until.send_if_modified(|until| {
            let is_sooner = at < *until;
            *until = at.min(*until);
            is_sooner
        });
    }

    fn remove_files(&self) {
        if self.shared.machine.pretends() {
            return;
        }
        volumes::remove(&self.paths);
        for path in [&self.paths.dir, &self.paths.logs] {
            if let Err(error) = std::fs::remove_dir_all(path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(pod = %self.key, path = %path.display(), %error, "files of the pod were not removed");
            }
        }
    }

    /// Removes the pod's object; returns whether it is gone.
    async fn delete_object(&self) -> bool {
        let api: Api<Pod> = Api::namespaced(self.shared.client.clone(), &self.key.namespace);
        let preconditions = Preconditions {
            uid: Some(self.uid.clone()),
            resource_version: None,
        };
        let params = DeleteParams::default()
            .grace_period(0)
            .preconditions(preconditions);
        match api.delete(&self.key.name, &params).await {
            Ok(_) => true,
            Err(error)
                if coracle_client::is_not_found(&error) || coracle_client::is_conflict(&error) =>
            {
                true
            }
            Err(error) => {
                tracing::warn!(pod = %self.key, %error, "the pod's object was not removed, trying again");
                false
            }
        }
    }

    /// Takes a probe's verdict.
    pub(super) fn on_verdict(&mut self, name: &str, attempt: i32, verdict: &Verdict) {
        let Some(container) = self.find_container(name) else {
            return;
        };
        let Some(run) = self
            .containers
            .get_mut(name)
            .and_then(|state| state.run.as_mut())
        else {
            return;
        };
        if run.attempt != attempt || run.stopping {
            return;
        }
        match (verdict.kind, verdict.healthy) {
            (Kind::Readiness, Some(healthy)) => run.ready = healthy,
            (Kind::Startup, Some(true)) => {
                run.started = true;
                self.start_probe(&container, Kind::Readiness);
                self.start_probe(&container, Kind::Liveness);
            }
            _ => {}
        }
        if verdict.healthy == Some(true) {
            return;
        }
        let word = verdict.kind.word();
        self.event(
            &container,
            Severity::Warning,
            "Unhealthy",
            &format!("{word} probe failed: {}", verdict.message),
        );
        if verdict.kind != Kind::Readiness && verdict.healthy == Some(false) {
            let why = format!("failed {} probe", word.to_lowercase());
            let text = self.why_killed(&container, &why, self.is_restarted(&container));
            let grace = probe_of(&container, verdict.kind)
                .and_then(|probe| probe.termination_grace_period_seconds);
            self.restart(&container, &text, grace);
        }
    }

    /// Whether a container that is ended for its health is started again.
    fn is_restarted(&self, container: &Container) -> bool {
        let own = container.restart_policy.as_deref();
        own.unwrap_or(self.restart_policy()) != "Never"
    }

    /// Returns what is told when a run is ended on purpose (upstream:
    /// kuberuntime, computePodActions and computeInitContainerActions).
    pub(super) fn why_killed(&self, container: &Container, why: &str, again: bool) -> String {
        let mut init = self.init_containers().into_iter();
        let is_init = init.any(|one| one.name == container.name);
        killing(&container.name, is_init, why, again)
    }

    /// Takes the end of a hook after the start.
    pub(super) fn on_hook(&mut self, name: &str, attempt: i32, result: Result<(), String>) {
        let Err(message) = result else { return };
        let container = self.find_container(name);
        let current = self
            .containers
            .get(name)
            .and_then(|state| state.run.as_ref())
            .is_some_and(|run| run.attempt == attempt);
        if let Some(container) = container.filter(|_| current) {
            self.event(
                &container,
                Severity::Warning,
                "FailedPostStartHook",
                &format!("PostStartHook failed: {message}"),
            );
            self.restart(&container, "FailedPostStartHook", None);
        }
    }

    /// Stops a run in the background; its end makes the container start again.
    /// A probe may allow another grace than the pod does.
    pub(super) fn restart(&mut self, container: &Container, message: &str, grace: Option<i64>) {
        let address = self.sandbox.as_ref().and_then(|sandbox| sandbox.address);
        let of_pod = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.termination_grace_period_seconds);
        let grace = grace.or(of_pod).unwrap_or(30);
        self.event(container, Severity::Normal, "Killing", message);
        let Some(run) = self
            .containers
            .get_mut(&container.name)
            .and_then(|state| state.run.as_mut())
        else {
            return;
        };
        run.stopping = true;
        run.ready = false;
        run.tasks.abort_all();
        let handle = run.handle.clone();
        let until = Instant::now() + Duration::from_secs(grace.max(0).unsigned_abs());
        let end = End {
            container: container.clone(),
            until: watch::channel(until).1,
            address,
            regarding: self.regarding(container),
            recorder: self.shared.recorder.clone(),
        };
        tokio::spawn(end.of(handle));
    }
}

fn killing(name: &str, is_init: bool, why: &str, again: bool) -> String {
    match (is_init, again) {
        (true, _) => format!("Init container {name} {why}"),
        (false, true) => format!("Container {name} {why}, will be restarted"),
        (false, false) => format!("Container {name} {why}"),
    }
}

fn probe_of(container: &Container, kind: Kind) -> Option<&Probe> {
    match kind {
        Kind::Startup => container.startup_probe.as_ref(),
        Kind::Readiness => container.readiness_probe.as_ref(),
        Kind::Liveness => container.liveness_probe.as_ref(),
    }
}

/// How a run of a container is ended.
struct End {
    container: Container,
    /// When its time is over, which may become sooner.
    until: watch::Receiver<Instant>,
    /// The pod's address.
    address: Option<Ipv4Addr>,
    /// The container as events name it.
    regarding: ObjectReference,
    recorder: Recorder,
}

impl End {
    /// Runs the hook, asks the container to stop, ends it when the time is over.
    async fn of(mut self, handle: Running) {
        let lifecycle = self.container.lifecycle.as_ref();
        if let Some(hook) = lifecycle.and_then(|lifecycle| lifecycle.pre_stop.as_ref()) {
            self.run_pre_stop(hook, &handle).await;
        }
        loop {
            let until = *self.until.borrow_and_update();
            let grace = until.saturating_duration_since(Instant::now());
            tokio::select! {
                stopped = handle.stop(grace.max(GRACE_MIN)) => {
                    if let Err(error) = stopped {
                        let container = &self.container.name;
                        tracing::warn!(container, %error, "the container was not stopped");
                    }
                    return;
                }
                Ok(()) = self.until.changed() => {}
            }
        }
    }

    async fn run_pre_stop(&self, hook: &LifecycleHandler, handle: &Running) {
        let result = tokio::select! {
            result = run_hook(hook, handle, &self.container, self.address) => result,
            () = is_over(self.until.clone()) => {
                let container = &self.container.name;
                tracing::warn!(container, "the hook before the stop took all of the grace period");
                return;
            }
        };
        if let Err(error) = result {
            let text = format!("PreStopHook failed: {error}");
            let regarding = self.regarding.clone();
            self.recorder
                .event_at(regarding, Severity::Warning, "FailedPreStopHook", text);
        }
    }
}

/// Waits for a time that may become sooner.
async fn is_over(mut until: watch::Receiver<Instant>) {
    loop {
        let at = *until.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep_until(at) => return,
            Ok(()) = until.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream: pkg/kubelet/kuberuntime/kuberuntime_manager.go, computePodActions;
    /// kuberuntime_container.go, computeInitContainerActions.
    #[test]
    fn a_killing_says_of_what_and_whether_it_is_started_again() {
        let check = |is_init, why: &str, again, expected: &str| {
            assert_eq!(killing("web", is_init, why, again), expected);
        };
        let probe = "failed liveness probe";
        let expected = "Container web failed liveness probe, will be restarted";
        check(false, probe, true, expected);
        check(false, probe, false, "Container web failed liveness probe");
        check(
            true,
            probe,
            true,
            "Init container web failed liveness probe",
        );
        let changed = "definition changed";
        check(true, changed, true, "Init container web definition changed");
    }
}
