//! What an engine finds when it starts: containers that run already, and what
//! the pod's status says of the time before.

use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated};
use tokio::time::{Duration, Instant};

use super::container::{Health, State, container_id};
use super::policy::is_sidecar;
use super::{Worker, sandbox};
use crate::machine::Running;

impl Worker {
    /// Finds the containers of an earlier engine again.
    pub(super) async fn adopt(&mut self, adopted: Vec<Running>) {
        let containers = self.all_containers();
        let found: Vec<String> = adopted.iter().map(|run| container_id(run.id())).collect();
        self.recall(&containers, &found);
        self.recall_doom();
        let address = std::fs::read(self.paths.dir.join("sandbox.json"))
            .ok()
            .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
            .and_then(|record| record["address"].as_str()?.parse().ok());
        let alive = self
            .shared
            .machine
            .sandboxes()
            .into_iter()
            .find(|sandbox| sandbox.id() == self.uid && sandbox.is_alive());
        if let (Some(address), Some(sandbox)) = (address, alive) {
            self.sandbox = Some(sandbox::Ready {
                sandbox: Some(sandbox),
                address: Some(address),
            });
            *self.handle.address.write() = Some(address);
        }
        let goes_on = !self.has_ended() && !self.is_stopping() && self.doom.is_none();
        if self.sandbox.is_none() && adopted.is_empty() && goes_on {
            self.begin_anew();
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
            let health = self.health_before(container, running.id());
            self.attach_run(container, running, attempt, since, health);
        }
    }

    /// Has the init containers run once more: what they prepared may have gone
    /// with the namespaces and memory of the time before (upstream:
    /// kuberuntime_manager.go, computePodActions, where a sandbox is made).
    fn begin_anew(&mut self) {
        for container in self.init_containers() {
            let Some(state) = self.containers.get_mut(&container.name) else {
                continue;
            };
            if state.has_succeeded() && !is_sidecar(&container) {
                *state = State {
                    restarts: state.restarts + 1,
                    ..State::default()
                };
            }
        }
    }

    /// Returns what an earlier engine's probes had found of this run, so that
    /// nobody loses an endpoint because its prober began anew.
    fn health_before(&self, container: &Container, id: &str) -> Health {
        let fresh = Health::at_start(container);
        let status = self.pod.status.as_ref();
        let known = status.and_then(|status| {
            let apps = status.container_statuses.iter().flatten();
            let inits = status.init_container_statuses.iter().flatten();
            let id = container_id(id);
            apps.chain(inits)
                .find(|one| one.name == container.name && one.container_id.as_ref() == Some(&id))
        });
        known.map_or(fresh, |known| Health {
            started: fresh.started || known.started == Some(true),
            ready: fresh.ready || known.ready,
        })
    }

    /// Takes over what the pod's status says of the time before; `found` are
    /// the containers that run on.
    fn recall(&mut self, containers: &[Container], found: &[String]) {
        let status = self.pod.status.clone().unwrap_or_default();
        let known: Vec<_> = status
            .container_statuses
            .into_iter()
            .chain(status.init_container_statuses)
            .chain(status.ephemeral_container_statuses)
            .flatten()
            .collect();
        for container in containers {
            let Some(before) = known.iter().find(|status| status.name == container.name) else {
                continue;
            };
            let state = self.containers.entry(container.name.clone()).or_default();
            state.restarts = before.restart_count;
            state.user = before.user.clone();
            state.given.clone_from(&before.resources);
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
                .and_then(|state| state.running.clone())
                .filter(|_| {
                    !before
                        .container_id
                        .as_ref()
                        .is_some_and(|id| found.contains(id))
                });
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
            let waiting = before.state.as_ref().and_then(|now| now.waiting.clone());
            if let Some(waiting) = waiting {
                let reason = waiting.reason.unwrap_or_default();
                state.waiting = Some((reason, waiting.message.unwrap_or_default()));
            } else if state.ended.is_some() {
                state.waiting = None;
            }
        }
    }
}

fn now_nanos() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
