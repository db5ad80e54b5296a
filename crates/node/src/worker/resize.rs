//! Resizing a container that runs (Kubernetes: Resize CPU and Memory Resources
//! assigned to Containers): its limits are changed where it is, unless it asks
//! to be restarted for that.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Worker, spec};
use crate::machine::Running;

impl Worker {
    /// Gives a run the resources that the pod names now.
    pub(super) fn resize_if_changed(&mut self, container: &Container) {
        let state = self.state(container);
        let Some(run) = state.run.as_ref().filter(|run| !run.stopping) else {
            return;
        };
        let wanted = container.resources.clone().unwrap_or_default();
        let Some(given) = &state.given else {
            // An engine that did not note it gave what the pod said.
            state.given = Some(wanted);
            return;
        };
        if *given == wanted {
            return;
        }
        if asks_for_restart(container, given, &wanted) {
            let text = format!("Container {} resize requires restart", container.name);
            return self.restart(container, &text, None);
        }
        let limited = match Running::linux(&run.handle) {
            Some(running) => running.limit(&spec::resources(container)),
            None => Ok(()),
        };
        match limited {
            Ok(()) => state.given = Some(wanted),
            Err(error) => {
                let (pod, container) = (&self.key, &container.name);
                tracing::warn!(%pod, container, %error, "the container was not resized");
            }
        }
    }
}

/// Returns whether one of the resources that change wants a restart.
fn asks_for_restart(
    container: &Container,
    given: &ResourceRequirements,
    wanted: &ResourceRequirements,
) -> bool {
    let mut policies = container.resize_policy.iter().flatten();
    policies.any(|policy| {
        policy.restart_policy == "RestartContainer"
            && amounts(given, &policy.resource_name) != amounts(wanted, &policy.resource_name)
    })
}

/// Returns request and limit of a resource.
fn amounts<'a>(resources: &'a ResourceRequirements, name: &str) -> [Option<&'a Quantity>; 2] {
    let of = |list: &'a Option<BTreeMap<String, Quantity>>| list.as_ref()?.get(name);
    [of(&resources.requests), of(&resources.limits)]
}
