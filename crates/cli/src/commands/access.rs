//! `coracle ip` and `coracle service`: where the cluster's ports answer.

use clap::Args;
use k8s_openapi::api::core::v1::Service as Object;
use kube::Api;

use super::target::Target;
use super::{Global, block_on};
use crate::failure::{Failure, Outcome};

/// Prints the address at which the cluster's ports answer.
pub fn ip(global: &Global) -> Outcome {
    let target = Target::of(global)?;
    target.require_running()?;
    println!("{}", target.host());
    Ok(())
}

/// Print the URLs of a Service.
#[derive(Debug, Args)]
pub struct Service {
    /// Name of the Service.
    name: String,
    /// Namespace of the Service.
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// Accepted as minikube accepts it; the URLs are printed in any case.
    #[arg(long)]
    url: bool,
}

impl Service {
    /// Prints a line for each port of the Service that the host can reach.
    pub fn run(&self, global: &Global) -> Outcome {
        let target = Target::of(global)?;
        let record = target.require_running()?;
        let service = block_on(async {
            let client = target.client(&record).await?;
            Ok(Api::<Object>::namespaced(client, &self.namespace)
                .get(&self.name)
                .await?)
        })?;
        let urls = urls(&service, &target.host());
        if urls.is_empty() {
            return Err(Failure::from(anyhow::anyhow!(
                "service {}/{} has no port on the host",
                self.namespace,
                self.name
            ))
            .hint(format!(
                "give it type NodePort, or use: coracle forward svc/{} PORT --namespace {}",
                self.name, self.namespace
            )));
        }
        for url in urls {
            println!("{url}");
        }
        Ok(())
    }
}

/// Returns the URLs of a Service, given the host's address of node ports.
pub fn urls(service: &Object, host: &str) -> Vec<String> {
    serde_json::to_value(service)
        .map(|service| super::urls::of_service(&service, host))
        .unwrap_or_default()
}
