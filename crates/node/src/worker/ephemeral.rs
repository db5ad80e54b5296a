//! Ephemeral containers: put into a pod that is there already, to look into it,
//! and never started again (Kubernetes: Ephemeral Containers).

use coracle_runtime::Sandbox;
use coracle_runtime::spec::{Namespace, Namespaces};
use k8s_openapi::api::core::v1::{Container, EphemeralContainer};

use super::Worker;
use crate::env::ConfigError;
use crate::machine::Running;

impl Worker {
    /// Returns the pod's ephemeral containers, each with the policy that it has
    /// in effect.
    pub(super) fn ephemeral_containers(&self) -> Vec<Container> {
        self.given().iter().map(container_of).collect()
    }

    fn given(&self) -> &[EphemeralContainer] {
        let spec = self.pod.spec.as_ref();
        spec.and_then(|spec| spec.ephemeral_containers.as_deref())
            .unwrap_or_default()
    }

    /// Returns the namespaces that a container shares: its pod's, and for an
    /// ephemeral container with a target that one's processes.
    pub(super) fn shared_namespaces(
        &self,
        container: &Container,
        sandbox: &Sandbox,
    ) -> Result<Namespaces, ConfigError> {
        let mut namespaces = sandbox.namespaces();
        let mut given = self.given().iter();
        let target = given
            .find(|one| one.name == container.name)
            .and_then(|one| one.target_container_name.as_deref())
            .filter(|target| !target.is_empty());
        // Where processes are shared anyway, it sees those of its target too.
        if let Some(target) = target.filter(|_| namespaces.pid == Namespace::Own) {
            namespaces.pid = self.pids_of(target)?;
        }
        Ok(namespaces)
    }

    /// Upstream: kuberuntime_container.go, getTargetID.
    fn pids_of(&self, target: &str) -> Result<Namespace, ConfigError> {
        let state = self.containers.get(target);
        let run = state.and_then(|state| state.run.as_ref());
        let running = run.and_then(|run| Running::linux(&run.handle));
        let running = running
            .ok_or_else(|| ConfigError(format!("unable to find target container {target}")))?;
        let path = format!("/proc/{}/ns/pid", running.pid());
        Ok(Namespace::Path(path.into()))
    }
}

fn container_of(given: &EphemeralContainer) -> Container {
    let given = given.clone();
    Container {
        name: given.name,
        image: given.image,
        image_pull_policy: given.image_pull_policy,
        command: given.command,
        args: given.args,
        working_dir: given.working_dir,
        env: given.env,
        env_from: given.env_from,
        volume_mounts: given.volume_mounts,
        security_context: given.security_context,
        stdin: given.stdin,
        stdin_once: given.stdin_once,
        tty: given.tty,
        termination_message_path: given.termination_message_path,
        termination_message_policy: given.termination_message_policy,
        restart_policy: Some("Never".into()),
        ..Container::default()
    }
}
