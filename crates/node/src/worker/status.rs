//! What a pod's status says, as observed
//! (upstream: kubelet_pods.go, getPhase, generateAPIPodStatus; status/generate.go).

use coracle_client::now;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodCondition,
    PodIP, PodStatus,
};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::container::{Run, State, container_id, time};
use super::{Worker, doom};

impl Worker {
    /// Writes the status if it changed; returns whether that went well.
    pub(super) async fn write_status(&mut self) -> bool {
        let status = self.status();
        if self.written.as_ref() == Some(&status) {
            return true;
        }
        let api: Api<Pod> = Api::namespaced(self.shared.client.clone(), &self.key.namespace);
        let mut patch = json!({"metadata": {"uid": self.uid}, "status": status});
        // Conditions are merged one by one: what one no longer says is taken away by name.
        for condition in patch["status"]["conditions"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            for field in ["reason", "message"] {
                if condition.get(field).is_none() {
                    condition[field] = serde_json::Value::Null;
                }
            }
        }
        match api
            .patch_status(
                &self.key.name,
                &PatchParams::default(),
                &Patch::Strategic(&patch),
            )
            .await
        {
            Ok(_) => {
                self.written = Some(status);
                true
            }
            Err(error)
                if coracle_client::is_not_found(&error) || coracle_client::is_conflict(&error) =>
            {
                true
            }
            Err(error) => {
                tracing::warn!(pod = %self.key, %error, "the pod's status was not written, trying again");
                false
            }
        }
    }

    fn status(&self) -> PodStatus {
        let old = self
            .written
            .clone()
            .or_else(|| self.pod.status.clone())
            .unwrap_or_default();
        let phase = self.phase();
        let ended = matches!(phase, "Succeeded" | "Failed");
        let address = self
            .sandbox
            .as_ref()
            .and_then(|sandbox| sandbox.address)
            .map(|address| address.to_string());
        let address = address.or_else(|| old.pod_ip.clone());
        let host = self.shared.config.address().to_string();
        let init = self.init_containers();
        let statuses = |containers: &[Container]| -> Option<Vec<ContainerStatus>> {
            let list: Vec<_> = containers
                .iter()
                .map(|container| self.container_status(container, ended))
                .collect();
            (!list.is_empty()).then_some(list)
        };
        PodStatus {
            phase: Some(phase.into()),
            reason: self.doom.as_ref().map(|doom| doom.reason.clone()),
            message: self.doom.as_ref().map(|doom| doom.message.clone()),
            observed_generation: self.pod.metadata.generation,
            conditions: Some(self.conditions(&old, phase)),
            host_ip: Some(host.clone()),
            host_ips: Some(vec![HostIP { ip: host }]),
            pod_ips: address.clone().map(|ip| vec![PodIP { ip }]),
            pod_ip: address,
            start_time: old.start_time.clone().or_else(|| Some(now())),
            init_container_statuses: statuses(&init),
            container_statuses: statuses(&self.app_containers()),
            qos_class: self
                .pod
                .status
                .as_ref()
                .and_then(|status| status.qos_class.clone()),
            ..Default::default()
        }
    }

    fn container_status(&self, container: &Container, ended: bool) -> ContainerStatus {
        let fresh = State::default();
        let state = self.containers.get(&container.name).unwrap_or(&fresh);
        let (image, image_id) = state
            .image
            .clone()
            .unwrap_or_else(|| (container.image.clone().unwrap_or_default(), String::new()));
        let init = self
            .init_containers()
            .iter()
            .any(|init| init.name == container.name);
        let plain_init = init && container.restart_policy.is_none();
        let (present, last) = self.states(state);
        ContainerStatus {
            name: container.name.clone(),
            image,
            image_id,
            container_id: id_of(state),
            restart_count: state.restarts,
            ready: if plain_init {
                state.has_succeeded()
            } else {
                state.is_ready() && !ended
            },
            started: Some(state.has_started() && !plain_init || plain_init && state.is_running()),
            state: Some(present),
            last_state: Some(last.unwrap_or_default()),
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

    fn init_is_pending(&self) -> bool {
        self.init_containers().iter().any(|container| {
            let state = self.containers.get(&container.name);
            match container.restart_policy.as_deref() {
                Some("Always") => !state.is_some_and(State::has_started),
                _ => !state.is_some_and(State::has_succeeded),
            }
        })
    }

    /// Returns the phase (upstream: getPhase).
    fn phase(&self) -> &'static str {
        if self.doom.is_some() {
            return "Failed";
        }
        let policy = self.restart_policy();
        let init = self.init_containers();
        let plain = || {
            init.iter()
                .filter(|container| container.restart_policy.is_none())
        };
        if plain().any(|one| {
            self.containers
                .get(&one.name)
                .is_some_and(State::has_failed)
        }) && policy == "Never"
        {
            return "Failed";
        }
        let apps = self.app_containers();
        let states: Vec<Option<&State>> = apps
            .iter()
            .map(|one| self.containers.get(&one.name))
            .collect();
        let ran = |state: &Option<&State>| {
            state.is_some_and(|state| state.is_running() || state.has_run())
        };
        if self.init_is_pending() && !states.iter().any(ran) {
            return "Pending";
        }
        if !states.iter().all(ran) {
            return "Pending";
        }
        if states.iter().flatten().any(|state| state.is_running()) {
            return "Running";
        }
        let succeeded = states.iter().flatten().all(|state| state.has_succeeded());
        match policy {
            "Always" if !self.is_stopping() => "Running",
            _ if succeeded => "Succeeded",
            "OnFailure" if !self.is_stopping() => "Running",
            _ => "Failed",
        }
    }

    fn conditions(&self, old: &PodStatus, phase: &str) -> Vec<PodCondition> {
        let before = old.conditions.clone().unwrap_or_default();
        let generation = self.pod.metadata.generation;
        let make = |type_: &str, verdict: Result<(), (&str, String)>| {
            let (status, reason, message) = match verdict {
                Ok(()) => ("True", None, None),
                Err((reason, message)) => (
                    "False",
                    Some(reason.to_owned()),
                    (!message.is_empty()).then_some(message),
                ),
            };
            let earlier = before
                .iter()
                .find(|one| one.type_ == type_ && one.status == status);
            PodCondition {
                type_: type_.into(),
                status: status.into(),
                reason,
                message,
                observed_generation: generation,
                last_transition_time: earlier
                    .and_then(|one| one.last_transition_time.clone())
                    .or_else(|| Some(now())),
                last_probe_time: None,
            }
        };
        let ready = self.readiness(phase);
        let sandbox = if self.sandbox.is_some() {
            Ok(())
        } else {
            Err(("", String::new()))
        };
        let mut conditions = vec![
            make("PodReadyToStartContainers", sandbox),
            make("Initialized", self.initialized(phase)),
            make("Ready", ready.clone().and_then(|()| self.gates(&before))),
            make("ContainersReady", ready),
            make("PodScheduled", Ok(())),
        ];
        if let Some(condition) = self.doom.as_ref().and_then(doom::Doom::condition) {
            let earlier = before.iter().find(|one| one.type_ == condition.type_);
            conditions.push(earlier.cloned().unwrap_or(condition));
        }
        for condition in &mut conditions {
            condition.reason = condition.reason.take().filter(|reason| !reason.is_empty());
        }
        conditions
    }

    /// Whether what others say of the pod is true where its readiness gates ask
    /// for it (Kubernetes: Pod Lifecycle, Pod readiness).
    fn gates(&self, before: &[PodCondition]) -> Result<(), (&'static str, String)> {
        let told = self.pod.status.as_ref();
        let told = told.and_then(|status| status.conditions.as_deref());
        let spec = self.pod.spec.as_ref();
        for gate in spec
            .into_iter()
            .flat_map(|spec| spec.readiness_gates.iter().flatten())
        {
            let name = &gate.condition_type;
            let condition = told.unwrap_or(before).iter().find(|one| one.type_ == *name);
            let text = match condition {
                Some(one) if one.status == "True" => continue,
                Some(one) => format!(
                    "the status of pod readiness gate \"{name}\" is not \"True\", but {}",
                    one.status
                ),
                None => format!(
                    "corresponding condition of pod readiness gate \"{name}\" does not exist."
                ),
            };
            return Err(("ReadinessGatesNotReady", text));
        }
        Ok(())
    }

    fn initialized(&self, phase: &str) -> Result<(), (&'static str, String)> {
        if phase == "Succeeded" {
            return Ok(());
        }
        if !self.init_is_pending() {
            return Ok(());
        }
        let incomplete: Vec<String> = self
            .init_containers()
            .iter()
            .filter(|one| {
                !self.containers.get(&one.name).is_some_and(|state| {
                    state.has_succeeded() || state.has_started() && one.restart_policy.is_some()
                })
            })
            .map(|one| one.name.clone())
            .collect();
        Err((
            "ContainersNotInitialized",
            format!(
                "containers with incomplete status: [{}]",
                incomplete.join(" ")
            ),
        ))
    }

    fn readiness(&self, phase: &str) -> Result<(), (&'static str, String)> {
        match phase {
            "Succeeded" => return Err(("PodCompleted", String::new())),
            "Failed" => return Err(("PodFailed", String::new())),
            _ => {}
        }
        let unready: Vec<String> = self
            .init_containers()
            .iter()
            .filter(|one| one.restart_policy.is_some())
            .chain(&self.app_containers())
            .filter(|one| !self.containers.get(&one.name).is_some_and(State::is_ready))
            .map(|one| one.name.clone())
            .collect();
        if unready.is_empty() {
            return Ok(());
        }
        Err((
            "ContainersNotReady",
            format!("containers with unready status: [{}]", unready.join(" ")),
        ))
    }
}

/// Returns since when a run goes on, as the API says it.
fn running_since(run: &Run) -> k8s_openapi::api::core::v1::ContainerStateRunning {
    k8s_openapi::api::core::v1::ContainerStateRunning {
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
