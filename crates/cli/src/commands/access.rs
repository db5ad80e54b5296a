//! `coracle ip` and `coracle service`: where the cluster's ports answer.

use clap::Args;
use coracle_release::why::similar;
use k8s_openapi::api::core::v1::Service as Object;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::output::{self, Format};
use super::release::table;
use super::target::Target;
use super::{Global, block_on};
use crate::failure::{Failure, Outcome};

/// Prints the address at which the cluster's ports answer.
pub fn ip(global: &Global) -> Outcome {
    let target = Target::own(global)?;
    target.require_running()?;
    println!("{}", target.host());
    Ok(())
}

/// Print the URLs of a Service, or of all.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  coracle service                       every Service, and where it answers
  coracle service web --url             the URLs of one, a line for each port
  curl $(coracle service web --url)
  coracle service -o json               for programs")]
pub struct Service {
    /// Name of the Service; all of them without one.
    name: Option<String>,
    /// Namespace of the Service; `default` for one, every one for all.
    #[arg(long, short)]
    namespace: Option<String>,
    /// Accepted as minikube accepts it; the URLs are printed in any case.
    #[arg(long)]
    url: bool,
    /// Print data instead of a table.
    #[arg(long, short)]
    output: Option<Format>,
}

impl Service {
    /// Prints a line for each port of the Service that the host can reach.
    pub fn run(&self, global: &Global) -> Outcome {
        let target = Target::of(global)?;
        let Some(name) = &self.name else {
            return self.list(&target);
        };
        let namespace = self.namespace.as_deref().unwrap_or("default");
        let found = block_on(async {
            let services = Api::<Object>::namespaced(target.connect().await?, namespace);
            Ok((
                services.get_opt(name).await?,
                services.list(&ListParams::default()).await?,
            ))
        })?;
        let Some(service) = found.0 else {
            let names: Vec<String> = found
                .1
                .into_iter()
                .filter_map(|one| one.metadata.name)
                .collect();
            return Err(missing(name, namespace, &names));
        };
        let urls = urls(&service, &target.host());
        if urls.is_empty() {
            return Err(Failure::from(anyhow::anyhow!(
                "service {namespace}/{name} has no port on the host"
            ))
            .hint(format!(
                "give it type NodePort, or use: coracle forward svc/{name} PORT --namespace {namespace}"
            )));
        }
        match self.output {
            Some(format) => output::print(
                format,
                &json!({"name": name, "namespace": namespace, "urls": urls}),
            ),
            None => {
                for url in urls {
                    println!("{url}");
                }
                Ok(())
            }
        }
    }

    fn list(&self, target: &Target) -> Outcome {
        let services = block_on(async {
            let client = target.connect().await?;
            let api: Api<Object> = match &self.namespace {
                Some(namespace) => Api::namespaced(client, namespace),
                None => Api::all(client),
            };
            Ok(api.list(&ListParams::default()).await?)
        })?;
        let host = target.host();
        let rows: Vec<Value> = services
            .items
            .iter()
            .map(|service| row(service, &host))
            .collect();
        if let Some(format) = self.output {
            return output::print(format, &rows.into());
        }
        let rows = rows.iter().map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let urls: Vec<&str> = row["urls"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let urls = if urls.is_empty() {
                "inside only".to_owned()
            } else {
                urls.join(" ")
            };
            vec![text("namespace"), text("name"), text("type"), urls]
        });
        let titles = ["NAMESPACE", "NAME", "TYPE", "URLS"];
        print!("{}", table::titled(titles, rows));
        Ok(())
    }
}

fn row(service: &Object, host: &str) -> Value {
    let spec = service.spec.as_ref();
    json!({
        "namespace": service.metadata.namespace,
        "name": service.metadata.name,
        "type": spec.and_then(|spec| spec.type_.as_deref()).unwrap_or("ClusterIP"),
        "urls": urls(service, host),
    })
}

fn missing(name: &str, namespace: &str, names: &[String]) -> Failure {
    let failure = Failure::from(anyhow::anyhow!("there is no service {namespace}/{name}"));
    match similar(name, names.iter().map(String::as_str)) {
        Some(meant) => failure.hint(format!("did you mean {meant}?")),
        None => failure.hint("all there are: coracle service"),
    }
}

/// Returns the URLs of a Service, given the host's address of node ports.
pub fn urls(service: &Object, host: &str) -> Vec<String> {
    serde_json::to_value(service)
        .map(|service| super::urls::of_service(&service, host))
        .unwrap_or_default()
}
