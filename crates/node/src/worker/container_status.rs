//! What a pod's status says of one container (upstream: kubelet_pods.go,
//! convertToAPIContainerStatuses; prober_manager.go, UpdatePodStatus).

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateWaiting, ContainerStatus,
    VolumeMount, VolumeMountStatus,
};

use super::container::{Run, State, container_id, time};
use super::policy::is_sidecar;
use super::{Worker, spec};

/// The most bytes that the last words of all containers of a pod have together
/// (upstream: MaxPodTerminationMessageLogLength).
const WORDS_MAX: usize = 12 * 1024;

impl Worker {
    /// Returns the status of each init container, in the order in which they run.
    pub(super) fn init_statuses(&self) -> Option<Vec<ContainerStatus>> {
        let init = self.init_containers();
        let list: Vec<_> = init.iter().map(|one| self.init_status(one)).collect();
        (!list.is_empty()).then_some(list)
    }

    /// Returns the status of each other container, ordered by name (upstream:
    /// SortedContainerStatuses).
    pub(super) fn app_statuses(&self, ended: bool) -> Option<Vec<ContainerStatus>> {
        let apps = self.app_containers();
        let mut list: Vec<_> = apps.iter().map(|one| self.app_status(one, ended)).collect();
        list.sort_by(|one, other| one.name.cmp(&other.name));
        (!list.is_empty()).then_some(list)
    }

    /// Returns the status of each ephemeral container, which is never ready: there
    /// is nothing to ask it.
    pub(super) fn ephemeral_statuses(&self) -> Option<Vec<ContainerStatus>> {
        let given = self.ephemeral_containers();
        let status = |one| ContainerStatus {
            started: None,
            ..self.container_status(one, false, false)
        };
        let list: Vec<_> = given.iter().map(status).collect();
        (!list.is_empty()).then_some(list)
    }

    fn init_status(&self, container: &Container) -> ContainerStatus {
        let state = self.containers.get(&container.name);
        let holds = |what: fn(&State) -> bool| state.is_some_and(what);
        let (ready, started) = if is_sidecar(container) {
            (holds(State::is_ready), holds(State::has_started))
        } else {
            (holds(State::has_succeeded), holds(State::is_running))
        };
        self.container_status(container, ready, started)
    }

    fn app_status(&self, container: &Container, ended: bool) -> ContainerStatus {
        let state = self.containers.get(&container.name);
        let holds = |what: fn(&State) -> bool| state.is_some_and(what);
        let ready = holds(State::is_ready) && !ended;
        self.container_status(container, ready, holds(State::has_started))
    }

    fn container_status(
        &self,
        container: &Container,
        ready: bool,
        started: bool,
    ) -> ContainerStatus {
        let fresh = State::default();
        let state = self.containers.get(&container.name).unwrap_or(&fresh);
        let (image, image_id) = state
            .image
            .clone()
            .unwrap_or_else(|| (container.image.clone().unwrap_or_default(), String::new()));
        let (mut present, mut last) = self.states(state);
        let share = WORDS_MAX / self.all_containers().len().max(1);
        for state in [Some(&mut present), last.as_mut()].into_iter().flatten() {
            shorten(state, share);
        }
        // What was never made was given nothing.
        let made = state.is_running() || state.has_run();
        let resources = container.resources.clone().unwrap_or_default();
        let given = state.given.clone().unwrap_or_else(|| resources.clone());
        ContainerStatus {
            name: container.name.clone(),
            image,
            image_id,
            container_id: id_of(state),
            restart_count: state.restarts,
            ready,
            started: Some(started),
            state: Some(present),
            last_state: Some(last.unwrap_or_default()),
            allocated_resources: resources.requests.filter(|_| made),
            resources: made.then_some(given),
            volume_mounts: mounts(container),
            user: state.user.clone(),
            ..Default::default()
        }
    }

    /// Returns the present state and the last one.
    fn states(&self, state: &State) -> (ContainerState, Option<ContainerState>) {
        let ended = state.ended.clone().map(|ended| ContainerState {
            terminated: Some(ended),
            ..Default::default()
        });
        if let Some(run) = &state.run {
            let present = ContainerState {
                running: Some(running_since(run)),
                ..Default::default()
            };
            return (present, ended);
        }
        if let Some((reason, message)) = &state.waiting {
            // Upstream's default state wherever there are init containers.
            let begins = reason == "ContainerCreating" && !self.init_containers().is_empty();
            let reason = if begins { "PodInitializing" } else { reason };
            let waiting = ContainerStateWaiting {
                reason: Some(reason.into()),
                message: (!message.is_empty()).then(|| message.clone()),
            };
            return (
                ContainerState {
                    waiting: Some(waiting),
                    ..Default::default()
                },
                ended,
            );
        }
        (ended.unwrap_or_default(), None)
    }
}

/// Leaves the first bytes of what an ended container said (upstream:
/// status_manager.go, normalizeStatus).
fn shorten(state: &mut ContainerState, bytes_max: usize) {
    let terminated = state.terminated.as_mut();
    if let Some(message) = terminated.and_then(|ended| ended.message.as_mut()) {
        message.truncate(message.floor_char_boundary(bytes_max));
    }
}

/// Returns how the container's volumes are mounted.
fn mounts(container: &Container) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.volume_mounts.as_ref()?;
    Some(mounts.iter().map(mount).collect())
}

fn mount(mount: &VolumeMount) -> VolumeMountStatus {
    let read_only = mount.read_only.filter(|read_only| *read_only);
    let recursive = match spec::is_recursively_read_only(mount) {
        true => "Enabled",
        false => "Disabled",
    };
    VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only,
        recursive_read_only: read_only.map(|_| recursive.into()),
        volume_status: None,
    }
}

/// Returns since when a run goes on, as the API says it.
fn running_since(run: &Run) -> ContainerStateRunning {
    ContainerStateRunning {
        started_at: Some(time(run.handle.started_at_nanos())),
    }
}

/// Returns the id of the present run, or of the last one.
fn id_of(state: &State) -> Option<String> {
    match (&state.run, &state.ended) {
        (Some(run), _) => Some(container_id(run.handle.id())),
        (None, Some(ended)) => ended.container_id.clone(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ContainerStateTerminated;
    use serde_json::{Value, json};

    use super::*;

    /// Upstream: kubelet_pods.go, convertToAPIContainerStatuses, volStatus.
    #[test]
    fn mounts_say_whether_they_are_read_only_all_the_way_down() {
        let check = |given: Value, expected: Value| {
            let container = json!({"name": "c", "volumeMounts": [given]});
            let container: Container = serde_json::from_value(container).expect("a container");
            assert_eq!(json!(mounts(&container)), json!([expected]));
        };
        check(
            json!({"name": "v", "mountPath": "/v"}),
            json!({"mountPath": "/v", "name": "v"}),
        );
        check(
            json!({"name": "v", "mountPath": "/v", "readOnly": true}),
            json!({"mountPath": "/v", "name": "v", "readOnly": true, "recursiveReadOnly": "Disabled"}),
        );
        check(
            json!({"name": "v", "mountPath": "/v", "readOnly": true, "recursiveReadOnly": "IfPossible"}),
            json!({"mountPath": "/v", "name": "v", "readOnly": true, "recursiveReadOnly": "Enabled"}),
        );
    }

    #[test]
    fn last_words_are_cut_between_letters() {
        let check = |words: &str, max: usize, expected: &str| {
            let mut state = ContainerState {
                terminated: Some(ContainerStateTerminated {
                    message: Some(words.into()),
                    ..Default::default()
                }),
                ..Default::default()
            };
            shorten(&mut state, max);
            let ended = state.terminated.expect("it has ended");
            assert_eq!(ended.message.as_deref(), Some(expected));
        };
        check("short", 10, "short");
        check("longer", 4, "long");
        check("aé", 2, "a");
    }
}
