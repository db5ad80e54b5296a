//! The kubelet's HTTP service: logs, exec, attach, port-forward and counters
//! of this node's pods (upstream: pkg/kubelet/server).
//!
//! Who may ask is decided by the API server, which is its only client.

mod exec;
mod logs;
mod portforward;
mod proxy;
mod remote;
mod spdy;
mod stats;
mod websocket;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use k8s_openapi::api::core::v1::ContainerStatus;

use crate::manager::Workers;
use crate::metrics;
use crate::shared::Shared;
use crate::worker::Handle;

/// A body of an answer.
pub type Body = BoxBody<Bytes, std::io::Error>;

/// The kubelet's HTTP service.
#[derive(Clone)]
pub struct Kubelet {
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Workers,
}

/// A request that cannot be served: status and what is said of it.
struct Refusal(StatusCode, String);

impl Refusal {
    fn bad(message: impl Into<String>) -> Refusal {
        Refusal(StatusCode::BAD_REQUEST, message.into())
    }

    fn not_found(message: impl Into<String>) -> Refusal {
        Refusal(StatusCode::NOT_FOUND, message.into())
    }
}

/// Makes an answer of a text.
pub(crate) fn text(
    status: StatusCode,
    content_type: &str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let body = Full::new(body.into())
        .map_err(|never: Infallible| match never {})
        .boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Ok(value) = content_type.parse() {
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, value);
    }
    response
}

/// The values of a query by name.
pub(crate) struct Query(HashMap<String, Vec<String>>);

impl Query {
    fn of(text: &str) -> Query {
        let mut values: HashMap<String, Vec<String>> = HashMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            values.entry(decode(name)).or_default().push(decode(value));
        }
        Query(values)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .and_then(|values| values.first())
            .map(String::as_str)
    }

    fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    fn is_true(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }
}

/// Decodes a segment of a path, in which `+` stands for itself.
fn decode_path(text: &str) -> String {
    decode(&text.replace('+', "%2B"))
}

/// Decodes `%41` and `+` (URL Standard, application/x-www-form-urlencoded).
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                bytes.push(value);
                rest = &after[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Kubelet {
    pub(crate) fn new(shared: Arc<Shared>, workers: Workers) -> Kubelet {
        Kubelet { shared, workers }
    }

    /// Finds a pod's worker by namespace and name.
    fn pod(&self, namespace: &str, name: &str) -> Result<Handle, Refusal> {
        let workers = self.workers.read();
        let found = workers
            .values()
            .find(|(of, called, _)| of == namespace && called == name);
        found
            .map(|(.., handle)| handle.clone())
            .ok_or_else(|| Refusal::not_found(format!("pod \"{name}\" not found on this node")))
    }

    /// Returns what the pod's status says of a container.
    fn status(&self, namespace: &str, pod: &str, container: &str) -> Option<ContainerStatus> {
        let pod = self.shared.pods.get(namespace, pod)?;
        let status = pod.status.as_ref()?;
        let lists = [
            &status.init_container_statuses,
            &status.container_statuses,
            &status.ephemeral_container_statuses,
        ];
        let mut all = lists.into_iter().flatten().flatten();
        all.find(|status| status.name == container).cloned()
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.route(request).await {
            Ok(response) => response,
            Err(Refusal(status, message)) => text(status, "text/plain; charset=utf-8", message),
        }
    }

    async fn route<B>(&self, request: Request<B>) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = request.uri().path().to_owned();
        let segments: Vec<String> = path.trim_matches('/').split('/').map(decode_path).collect();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let query = Query::of(request.uri().query().unwrap_or(""));
        let get_or_post = matches!(*request.method(), Method::GET | Method::POST);
        match parts.as_slice() {
            ["containerLogs", namespace, pod, container] => {
                let handle = self.pod(namespace, pod)?;
                let status = self.status(namespace, pod, container);
                let of = logs::Of { pod, container };
                logs::serve(&handle, of, &query, status.as_ref()).await
            }
            ["exec", namespace, pod, container] if get_or_post => {
                let container = self.container(namespace, pod, container)?;
                exec::exec(request, container, query).await
            }
            ["attach", namespace, pod, container] if get_or_post => {
                let container = self.container(namespace, pod, container)?;
                exec::attach(request, container, query).await
            }
            ["portForward", namespace, pod] if get_or_post => {
                let handle = self.pod(namespace, pod)?;
                portforward::serve(request, &self.shared, &handle, query).await
            }
            [
                "proxy",
                plural @ ("pods" | "services"),
                namespace,
                target,
                ..,
            ] => {
                let to = proxy::To {
                    plural,
                    namespace,
                    target,
                };
                proxy::serve(self, to, request).await
            }
            ["apis", path @ ..] if request.method() == Method::GET => {
                Ok(metrics::serve(self, path, &query, request.headers()).await)
            }
            ["stats", "summary"] => Ok(stats::summary(self)),
            ["healthz"] => Ok(text(StatusCode::OK, "text/plain; charset=utf-8", "ok")),
            _ => Err(Refusal::not_found("404 page not found")),
        }
    }

    fn container(
        &self,
        namespace: &str,
        pod: &str,
        name: &str,
    ) -> Result<coracle_runtime::Container, Refusal> {
        let handle = self.pod(namespace, pod)?;
        handle
            .container(name)
            .and_then(|running| running.linux().cloned())
            .ok_or_else(|| Refusal::not_found(format!("container not found (\"{name}\")")))
    }
}

impl<B> tower::Service<Request<B>> for Kubelet
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let kubelet = self.clone();
        Box::pin(async move { Ok(kubelet.answer(request).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = Query::of("command=sh&command=-c&command=echo+a%2Bb%20%&tty=true&x");
        assert_eq!(query.all("command"), ["sh", "-c", "echo a+b %"]);
        assert!(query.is_true("tty"));
        assert_eq!(query.get("x"), Some(""));
        assert_eq!(query.get("y"), None);
    }
}
