//! Waiting until what was deployed is ready, and stopping early when it cannot
//! become so.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::runtime::wait::{Condition, await_condition};
use kube::{Api, Client};
use tokio::time::Instant;

use crate::ReleaseError;
use crate::explain::explain;
use crate::objects::Object;

/// How often a workload that is not ready is asked for the reason.
const LOOK: Duration = Duration::from_millis(500);
/// How long a reason must stand until it is believed.
const BELIEVED: Duration = Duration::from_secs(12);

/// What is waited for.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The object, `Kind/name`.
    pub title: String,
    /// What holds it back, if something does.
    pub because: Option<String>,
}

/// Waits until every workload among `objects` is ready; `tell` hears what is
/// waited for.
///
/// # Errors
/// Fails with the cause when the time is over or waiting is of no use.
pub async fn wait(
    client: &Client,
    namespace: &str,
    objects: &[Object],
    timeout: Duration,
    mut tell: impl FnMut(Waiting),
) -> Result<(), ReleaseError> {
    let until = Instant::now() + timeout;
    for object in objects {
        let namespace = object.own_namespace().unwrap_or(namespace);
        tell(Waiting {
            title: object.title(),
            because: None,
        });
        match object.kind() {
            "Deployment" => {
                let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
                follow(
                    client,
                    namespace,
                    object,
                    await_condition(api, object.name(), deployment_is_ready()),
                    until,
                    &mut tell,
                )
                .await?;
            }
            "StatefulSet" => {
                let api: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
                follow(
                    client,
                    namespace,
                    object,
                    await_condition(api, object.name(), stateful_set_is_ready()),
                    until,
                    &mut tell,
                )
                .await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Waits for one workload and asks now and then what holds it back.
async fn follow<K>(
    client: &Client,
    namespace: &str,
    object: &Object,
    ready: impl Future<Output = Result<Option<K>, kube::runtime::wait::Error>>,
    until: Instant,
    tell: &mut impl FnMut(Waiting),
) -> Result<(), ReleaseError> {
    tokio::pin!(ready);
    let labels = selector(object);
    let mut final_since = None;
    loop {
        if let Ok(result) = tokio::time::timeout(LOOK, &mut ready).await {
            return match result {
                Ok(_) => Ok(()),
                Err(error) => Err(ReleaseError::NotReady(format!(
                    "{} could not be watched: {error}",
                    object.title()
                ))),
            };
        }
        let causes = explain(client, namespace, &labels).await;
        let text: Vec<String> = causes.iter().map(|cause| cause.text.clone()).collect();
        if let Some(first) = text.first() {
            tell(Waiting {
                title: object.title(),
                because: Some(first.lines().next().unwrap_or_default().to_owned()),
            });
        }
        let stuck = causes.iter().any(|cause| cause.is_final);
        let since = *final_since.get_or_insert_with(Instant::now);
        if !stuck {
            final_since = None;
        } else if since.elapsed() >= BELIEVED {
            return Err(ReleaseError::NotReady(format!(
                "{} cannot become ready\n{}",
                object.title(),
                text.join("\n")
            )));
        }
        if Instant::now() >= until {
            let because = if text.is_empty() {
                "no container says why".to_owned()
            } else {
                text.join("\n")
            };
            return Err(ReleaseError::NotReady(format!(
                "{} is not ready in time\n{because}",
                object.title()
            )));
        }
    }
}

/// Returns the labels of a workload's pods as a selector.
fn selector(object: &Object) -> String {
    let labels = object.value["spec"]["selector"]["matchLabels"].as_object();
    let pairs = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    pairs.collect::<Vec<_>>().join(",")
}

/// As `kubectl rollout status` judges it.
fn deployment_is_ready() -> impl Condition<Deployment> {
    |deployment: Option<&Deployment>| {
        deployment.is_some_and(|deployment| {
            let wanted = deployment
                .spec
                .as_ref()
                .and_then(|spec| spec.replicas)
                .unwrap_or(1);
            let status = deployment.status.clone().unwrap_or_default();
            status.observed_generation >= deployment.metadata.generation
                && status.updated_replicas.unwrap_or(0) >= wanted
                && status.available_replicas.unwrap_or(0) >= wanted
                && status.replicas.unwrap_or(0) <= status.updated_replicas.unwrap_or(0)
        })
    }
}

fn stateful_set_is_ready() -> impl Condition<StatefulSet> {
    |set: Option<&StatefulSet>| {
        set.is_some_and(|set| {
            let wanted = set
                .spec
                .as_ref()
                .and_then(|spec| spec.replicas)
                .unwrap_or(1);
            let status = set.status.clone().unwrap_or_default();
            status.observed_generation >= set.metadata.generation
                && status.ready_replicas.unwrap_or(0) >= wanted
                && status.updated_replicas.unwrap_or(0) >= wanted
        })
    }
}
