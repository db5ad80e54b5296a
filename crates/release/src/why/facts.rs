//! What has to be asked of the cluster to explain something. Nothing is asked
//! twice, and nothing that is not needed.

use kube::Client;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::resource;
use super::words::{items, text};
use crate::ReleaseError;
use crate::error::api;

/// A namespace of a cluster, asked as needed.
pub struct Facts {
    client: Client,
    namespace: String,
    events: OnceCell<Vec<Value>>,
    pods: OnceCell<Vec<Value>>,
    nodes: OnceCell<Vec<Value>>,
}

impl Facts {
    /// Returns the facts of a namespace.
    pub fn new(client: Client, namespace: &str) -> Facts {
        Facts {
            client,
            namespace: namespace.to_owned(),
            events: OnceCell::new(),
            pods: OnceCell::new(),
            nodes: OnceCell::new(),
        }
    }

    /// Returns the facts of another namespace.
    pub(super) fn within(&self, namespace: &str) -> Facts {
        Facts::new(self.client.clone(), namespace)
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns an object of an explained kind.
    pub(super) async fn get(&self, kind: &str, name: &str) -> Result<Option<Value>, ReleaseError> {
        let Some(path) = resource::path(kind, &self.namespace) else {
            return Ok(None);
        };
        let mut found = self.ask(&format!("{path}/{name}")).await?;
        if let Some(found) = &mut found {
            found["kind"] = kind.into();
        }
        Ok(found)
    }

    /// Returns an object of the core group.
    pub(super) async fn core(
        &self,
        plural: &str,
        name: &str,
    ) -> Result<Option<Value>, ReleaseError> {
        self.ask(&format!(
            "/api/v1/namespaces/{}/{plural}/{name}",
            self.namespace
        ))
        .await
    }

    /// Returns the names of the objects of an explained kind.
    pub(super) async fn names(&self, kind: &str) -> Result<Vec<String>, ReleaseError> {
        match resource::path(kind, &self.namespace) {
            Some(path) => self.names_at(&path).await,
            None => Ok(Vec::new()),
        }
    }

    /// Returns the names of the objects of a kind of the core group.
    pub(super) async fn core_names(&self, plural: &str) -> Result<Vec<String>, ReleaseError> {
        self.names_at(&format!("/api/v1/namespaces/{}/{plural}", self.namespace))
            .await
    }

    /// Returns the names of the objects at a path.
    pub(super) async fn names_at(&self, path: &str) -> Result<Vec<String>, ReleaseError> {
        let list = self.list(path).await?;
        Ok(list
            .iter()
            .map(|object| text(&object["metadata"]["name"]).to_owned())
            .collect())
    }

    /// Returns the objects at a path; none where the path is not served.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Value>, ReleaseError> {
        let list = self.ask(path).await?.unwrap_or_default();
        Ok(items(&list["items"]).cloned().collect())
    }

    /// Returns the namespace's pods.
    pub(super) async fn pods(&self) -> Result<&[Value], ReleaseError> {
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace);
        let pods = self.pods.get_or_try_init(|| self.list(&path)).await?;
        Ok(pods)
    }

    /// Returns the cluster's nodes.
    pub(super) async fn nodes(&self) -> Result<&[Value], ReleaseError> {
        let nodes = self
            .nodes
            .get_or_try_init(|| self.list("/api/v1/nodes"))
            .await?;
        Ok(nodes)
    }

    /// Returns the newest warning about an object with one of the reasons, any
    /// where none is given.
    pub(super) async fn warning(
        &self,
        kind: &str,
        name: &str,
        reasons: &[&str],
    ) -> Result<Option<String>, ReleaseError> {
        let path = format!("/api/v1/namespaces/{}/events", self.namespace);
        let events = self.events.get_or_try_init(|| self.list(&path)).await?;
        let revision = |event: &Value| {
            text(&event["metadata"]["resourceVersion"])
                .parse::<u64>()
                .ok()
        };
        let newest = events
            .iter()
            .filter(|event| {
                let about = &event["involvedObject"];
                event["type"] == "Warning"
                    && about["kind"] == kind
                    && about["name"] == name
                    && (reasons.is_empty() || reasons.contains(&text(&event["reason"])))
            })
            .max_by_key(|event| revision(event));
        Ok(newest.map(|event| text(&event["message"]).trim().to_owned()))
    }

    /// Returns the last lines that a container wrote, those of its last run
    /// where there was one.
    pub(super) async fn log(&self, pod: &str, container: &str, lines: u32) -> Vec<String> {
        for previous in ["true", "false"] {
            let path = format!(
                "/api/v1/namespaces/{}/pods/{pod}/log?container={container}&tailLines={lines}&previous={previous}",
                self.namespace
            );
            let Ok(request) = http::Request::get(path).body(Vec::new()) else {
                continue;
            };
            match self.client.request_text(request).await {
                Ok(text) if !text.trim().is_empty() => {
                    return text.lines().map(str::to_owned).collect();
                }
                _ => {}
            }
        }
        Vec::new()
    }

    /// Returns what stands at a path, `None` if nothing does.
    async fn ask(&self, path: &str) -> Result<Option<Value>, ReleaseError> {
        let failed = || api(format!("look at {path}"));
        let request = http::Request::get(path)
            .body(Vec::new())
            .map_err(|error| failed()(kube::Error::HttpError(error)))?;
        match self.client.request::<Value>(request).await {
            Ok(found) => Ok(Some(found)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(failed()(error)),
        }
    }
}
