//! A cluster without Linux: the API server, the controllers and a node that
//! only says that pods run.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use coracle_apiserver::{ApiServer, Config, Identity};
use coracle_client::Caches;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::client::Body;
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Answers of the metrics APIs by path, without its query.
pub type Metrics = Arc<Mutex<BTreeMap<String, Value>>>;

/// Whether those who watch pods are told of them; a world begins with true.
pub type PodsTold = Arc<watch::Sender<bool>>;

pub struct World {
    pub client: Client,
    pub server: ApiServer,
    pub metrics: Metrics,
    pub pods_told: PodsTold,
    _folder: tempfile::TempDir,
}

/// Starts a world in which nobody runs pods.
pub fn empty() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config::new(folder.path().to_owned(), [7; 32]);
    let server = ApiServer::open(config).expect("a server");
    let metrics = Metrics::default();
    let pods_told = PodsTold::new(watch::Sender::new(true));
    let client = {
        let (server, metrics, pods_told) = (server.clone(), metrics.clone(), pods_told.clone());
        move |identity: Identity| {
            let service = Measured {
                server: server.clone(),
                identity,
                metrics: metrics.clone(),
                pods_told: pods_told.clone(),
            };
            Client::new(service, "default")
        }
    };
    let caches = Caches::new(client(Identity::new("system:kube-controller-manager", &[])));
    let as_user = {
        let client = client.clone();
        move |user: &str| client(Identity::new(user, &["system:serviceaccounts"]))
    };
    let context = coracle_controllers::Context::new(caches, "", as_user);
    tokio::spawn(coracle_controllers::start(context));
    World {
        client: client(Identity::admin()),
        server,
        metrics,
        pods_told,
        _folder: folder,
    }
}

/// Starts a world in which pods run and are ready as soon as they are made.
pub fn running() -> World {
    let world = empty();
    let caches = Caches::new(world.client.clone());
    let client = world.client.clone();
    let pods = caches.of::<Pod>();
    pods.on_change(move |pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
        if phase.as_deref() != Some("Pending") || pod.metadata.deletion_timestamp.is_some() {
            return;
        }
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
        let name = pod.name_any();
        tokio::spawn(async move {
            let now = coracle_client::now();
            let status = json!({"status": {
                "phase": "Running", "startTime": now,
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
            }});
            let _ = api
                .patch_status(&name, &PatchParams::default(), &Patch::Strategic(status))
                .await;
        });
    });
    world
}

impl World {
    /// Calls the API and expects success.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        self.try_call(method, path, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub async fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, kube::Error> {
        let content_type = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let body = body.map(|body| body.to_string().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(body.unwrap_or_default())
            .expect("a request");
        self.client.request(request).await
    }

    /// Creates an object of the namespace `default`.
    pub async fn create(&self, collection: &str, object: Value) -> Value {
        let path = format!("{}/{collection}", self.prefix(collection));
        self.call("POST", &path, Some(object)).await
    }

    /// Changes an object of the namespace `default`.
    pub async fn patch(&self, path: &str, patch: Value) -> Value {
        let path = format!("{}/{path}", self.prefix(path));
        self.call("PATCH", &path, Some(patch)).await
    }

    pub async fn delete(&self, path: &str) -> Value {
        let path = format!("{}/{path}", self.prefix(path));
        self.call("DELETE", &path, None).await
    }

    fn prefix(&self, path: &str) -> &'static str {
        match path.split('/').next().expect("a resource") {
            "deployments"
            | "replicasets"
            | "statefulsets"
            | "daemonsets"
            | "controllerrevisions" => "/apis/apps/v1/namespaces/default",
            "jobs" | "cronjobs" => "/apis/batch/v1/namespaces/default",
            "horizontalpodautoscalers" => "/apis/autoscaling/v2/namespaces/default",
            "poddisruptionbudgets" => "/apis/policy/v1/namespaces/default",
            _ => "/api/v1/namespaces/default",
        }
    }

    /// Waits until what a path shows passes the test; null if it is not there.
    pub async fn until(&self, path: &str, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        let full = format!("{}/{path}", self.prefix(path));
        self.until_at(&full, what, test).await
    }

    /// As [`World::until`], of a whole path.
    pub async fn until_at(&self, full: &str, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..15_000 {
            last = match self.try_call("GET", full, None).await {
                Ok(value) => value,
                Err(error) if coracle_client::is_not_found(&error) => Value::Null,
                Err(error) => panic!("GET {full}: {error}"),
            };
            if test(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{full} never was {what}: {last:#}");
    }

    /// Waits until the pods' names, without those on their way out, are as expected.
    pub async fn until_pods(&self, expected: &[&str]) -> Vec<Value> {
        let list = self
            .until("pods", &format!("{expected:?}"), |list| {
                let mut names: Vec<&str> = alive(list)
                    .iter()
                    .filter_map(|pod| pod["metadata"]["name"].as_str())
                    .collect();
                names.sort_unstable();
                names == expected
            })
            .await;
        alive(&list).into_iter().cloned().collect()
    }

    /// Waits until there are so many pods, and returns them.
    pub async fn until_count(&self, count: usize) -> Vec<Value> {
        let list = self
            .until("pods", &format!("{count} pods"), |list| {
                alive(list).len() == count
            })
            .await;
        alive(&list).into_iter().cloned().collect()
    }

    /// Ends a pod in a phase.
    pub async fn end(&self, pod: &Value, phase: &str) {
        let name = pod["metadata"]["name"].as_str().expect("a name");
        let patch = json!({"status": {"phase": phase}});
        self.patch(&format!("pods/{name}/status"), patch).await;
    }

    /// Deletes a pod at once.
    pub async fn kill(&self, name: &str) {
        let api: Api<Pod> = Api::default_namespaced(self.client.clone());
        let params = DeleteParams::default().grace_period(0);
        api.delete(name, &params).await.expect("deleted");
    }

    /// Waits until an event with this reason and message was written.
    pub async fn until_event(&self, reason: &str, message: &str) {
        self.until("events", &format!("{reason}: {message}"), |list| {
            let items = list["items"].as_array().expect("a list");
            items
                .iter()
                .any(|event| event["reason"] == reason && event["message"] == message)
        })
        .await;
    }
}

fn alive(list: &Value) -> Vec<&Value> {
    let items = list["items"].as_array().expect("a list");
    items
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .collect()
}

/// The API server, with the metrics APIs answered from a table and watches of
/// pods that can be held up.
#[derive(Clone)]
struct Measured {
    server: ApiServer,
    identity: Identity,
    metrics: Metrics,
    pods_told: PodsTold,
}

impl tower::Service<Request<Body>> for Measured {
    type Response = Response<Answer>;
    type Error = tower::BoxError;
    type Future = BoxFuture<'static, Result<Response<Answer>, tower::BoxError>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), tower::BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        if path.contains("metrics.k8s.io") {
            let answer = self.metrics.lock().get(&path).cloned();
            let response = match answer {
                Some(answer) => Response::new(text(&answer)),
                None => not_found(),
            };
            return futures::future::ready(Ok(response)).boxed();
        }
        let query = request.uri().query().unwrap_or_default();
        let watches_pods = path == "/api/v1/pods" && query.contains("watch=true");
        let told = watches_pods.then(|| self.pods_told.subscribe());
        let mut service = self.server.service(self.identity.clone());
        async move {
            let response = tower::Service::call(&mut service, request).await?;
            let response = response.map(|body| body.map_err(Into::into).boxed_unsync());
            Ok(match told {
                Some(told) => response.map(|body| held_up(body, told)),
                None => response,
            })
        }
        .boxed()
    }
}

/// Passes a body on while it may be told.
fn held_up(body: Answer, told: watch::Receiver<bool>) -> Answer {
    let frames = futures::stream::unfold((body, told), |(mut body, mut told)| async move {
        let frame = body.frame().await?;
        told.wait_for(|told| *told).await.ok()?;
        Some((frame, (body, told)))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// The body of an answer.
type Answer = UnsyncBoxBody<Bytes, tower::BoxError>;

fn text(value: &Value) -> Answer {
    let body = Full::new(Bytes::from(value.to_string()));
    body.map_err(|never| match never {}).boxed_unsync()
}

fn not_found() -> Response<Answer> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound",
        "message": "the server could not find the requested resource",
    });
    Response::builder()
        .status(404)
        .body(text(&status))
        .expect("a response")
}
