//! A server on a folder of its own, driven in memory.
#![allow(dead_code, missing_docs)]

use bytes::Bytes;
use coracle_apiserver::{ApiServer, Config, Identity};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::Service;

pub struct Fixture {
    pub server: ApiServer,
    pub folder: tempfile::TempDir,
}

pub fn config(folder: &tempfile::TempDir) -> Config {
    Config::new(folder.path().to_owned(), [7; 32])
}

pub fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let server = ApiServer::open(config(&folder)).unwrap();
    Fixture { server, folder }
}

impl Fixture {
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        call_as(&self.server, Identity::admin(), method, path, body).await
    }

    /// Calls and expects success.
    pub async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, value) = self.call(method, path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {value}");
        value
    }

    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.server.service(Identity::admin()), "default")
    }
}

pub async fn call_as(
    server: &ApiServer,
    identity: Identity,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let content_type = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
        .header("content-type", content_type)
        .header("user-agent", "test/1.0")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let response = server.service(identity).call(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    (status, value)
}
