//! What a pod's status says, as observed
//! (upstream: kubelet_pods.go, getPhase, generateAPIPodStatus; status/generate.go).

use coracle_client::now;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodCondition, PodIP, PodReadinessGate, PodStatus};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::container::State;
use super::policy::is_sidecar;
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
            init_container_statuses: self.init_statuses(),
            container_statuses: self.app_statuses(ended),
            ephemeral_container_statuses: self.ephemeral_statuses(),
            qos_class: self
                .pod
                .status
                .as_ref()
                .and_then(|status| status.qos_class.clone()),
            ..Default::default()
        }
    }

    fn init_is_pending(&self) -> bool {
        self.init_containers().iter().any(|container| {
            let state = self.containers.get(&container.name);
            match is_sidecar(container) {
                true => !state.is_some_and(State::has_started),
                false => !state.is_some_and(State::has_succeeded),
            }
        })
    }

    /// Returns the phase. A pod that is deleted comes to an end of its own, even
    /// if not all of it has begun (upstream: status_manager.go, TerminatePod).
    fn phase(&self) -> &'static str {
        let runs = self.containers.values().any(State::is_running);
        match self.phase_of_containers() {
            "Pending" | "Running" if self.is_stopping() && !runs => "Failed",
            phase => phase,
        }
    }

    /// Returns what the containers amount to (upstream: getPhase).
    fn phase_of_containers(&self) -> &'static str {
        if self.doom.is_some() {
            return "Failed";
        }
        if self.init_has_failed() {
            return "Failed";
        }
        let init = self.init_containers();
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
        let sidecars = init.iter().filter(|one| is_sidecar(one));
        let mut beside = sidecars.filter_map(|one| self.containers.get(&one.name));
        if states.iter().flatten().any(|state| state.is_running()) || beside.any(State::is_running)
        {
            return "Running";
        }
        let policy = self.restart_policy();
        let mut pairs = apps.iter().zip(&states);
        let again =
            pairs.any(|(one, state)| state.is_some_and(|state| state.wants_restart(one, policy)));
        let succeeded = states.iter().flatten().all(|state| state.has_succeeded());
        match (again && !self.is_stopping(), succeeded) {
            (true, _) => "Running",
            (false, true) => "Succeeded",
            (false, false) => "Failed",
        }
    }

    fn conditions(&self, old: &PodStatus, phase: &str) -> Vec<PodCondition> {
        let before = old.conditions.clone().unwrap_or_default();
        let generation = self.pod.metadata.generation;
        let make = |type_: &str, verdict: Result<(), (&str, String)>| {
            let (status, reason, message) = match verdict {
                Ok(()) => {
                    // Of those that hold after the end only this says why.
                    let completed = type_ == "Initialized" && phase == "Succeeded";
                    ("True", completed.then(|| "PodCompleted".to_owned()), None)
                }
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
            conditions.push(earlier.cloned().unwrap_or(PodCondition {
                observed_generation: generation,
                ..condition
            }));
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
        let gates = spec.and_then(|spec| spec.readiness_gates.as_deref());
        let texts = closed_gates(gates.unwrap_or_default(), told.unwrap_or(before));
        match texts.is_empty() {
            true => Ok(()),
            false => Err(("ReadinessGatesNotReady", texts.join(", "))),
        }
    }

    fn initialized(&self, phase: &str) -> Result<(), (&'static str, String)> {
        // A sidecar that is started again does not take back that the pod began.
        let begun = self.app_containers().iter().any(|one| {
            let state = self.containers.get(&one.name);
            state.is_some_and(|state| state.is_running() || state.has_run())
        });
        if phase == "Succeeded" || begun || !self.init_is_pending() {
            return Ok(());
        }
        let incomplete: Vec<String> = self
            .init_containers()
            .iter()
            .filter(|one| {
                !self
                    .containers
                    .get(&one.name)
                    .is_some_and(|state| match is_sidecar(one) {
                        true => state.has_started(),
                        false => state.has_succeeded(),
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
            .filter(|one| is_sidecar(one))
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

/// Returns what is to be said of each readiness gate that keeps a pod from being
/// ready (upstream: pkg/kubelet/status/generate.go, GeneratePodReadyCondition).
fn closed_gates(gates: &[PodReadinessGate], conditions: &[PodCondition]) -> Vec<String> {
    let text = |gate: &PodReadinessGate| {
        let name = &gate.condition_type;
        match conditions.iter().find(|one| one.type_ == *name) {
            Some(one) if one.status == "True" => None,
            Some(one) => Some(format!(
                "the status of pod readiness gate \"{name}\" is not \"True\", but {}",
                one.status
            )),
            None => Some(format!(
                "corresponding condition of pod readiness gate \"{name}\" does not exist."
            )),
        }
    };
    gates.iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream: pkg/kubelet/status/generate_test.go, TestGeneratePodReadyCondition.
    #[test]
    fn every_closed_gate_is_told() {
        let gates: Vec<PodReadinessGate> = serde_json::from_value(json!([
            {"conditionType": "gate1"}, {"conditionType": "gate2"}, {"conditionType": "gate3"},
        ]))
        .expect("gates");
        let conditions: Vec<PodCondition> = serde_json::from_value(json!([
            {"type": "gate1", "status": "False"}, {"type": "gate3", "status": "True"},
        ]))
        .expect("conditions");
        assert_eq!(
            closed_gates(&gates, &conditions).join(", "),
            "the status of pod readiness gate \"gate1\" is not \"True\", but False, \
             corresponding condition of pod readiness gate \"gate2\" does not exist."
        );
    }
}
