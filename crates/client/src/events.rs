//! Events: what residents tell users of what they did or could not do.
//!
//! Equal events of one object within the same process are counted on one
//! object instead of being written again (upstream: client-go tools/events).

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde_json::json;

/// How many different events are remembered for counting.
const REMEMBERED: usize = 4096;

/// Returns the time now, in the whole seconds of the API.
pub fn now() -> Time {
    let now = k8s_openapi::jiff::Timestamp::now();
    Time(k8s_openapi::jiff::Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// Whether an event tells of ordinary work or of something a user should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Ordinary work.
    Normal,
    /// Something to look at.
    Warning,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        }
    }
}

type Seen = HashMap<(String, String, String), (String, i32)>;

/// Writes events of one component.
#[derive(Clone)]
pub struct Recorder {
    client: Client,
    component: &'static str,
    seen: Arc<Mutex<Seen>>,
}

impl Recorder {
    /// Returns a recorder that writes as `component` (such as `kubelet`) through `client`.
    pub fn new(client: Client, component: &'static str) -> Recorder {
        Recorder {
            client,
            component,
            seen: Arc::default(),
        }
    }

    /// Writes an event about `object` in the background; an event that cannot
    /// be written is logged and dropped.
    pub fn event<K>(&self, object: &K, severity: Severity, reason: &str, message: impl Into<String>)
    where
        K: Resource<DynamicType = ()>,
    {
        self.event_at(reference(object), severity, reason, message.into());
    }

    /// Writes an event about what `regarding` names, which may be a field of an object.
    pub fn event_at(
        &self,
        regarding: ObjectReference,
        severity: Severity,
        reason: &str,
        message: String,
    ) {
        let recorder = self.clone();
        let reason = reason.to_owned();
        tokio::spawn(async move {
            if let Err(error) = recorder.write(regarding, severity, &reason, message).await {
                tracing::debug!(%reason, %error, "event not written");
            }
        });
    }

    async fn write(
        &self,
        regarding: ObjectReference,
        severity: Severity,
        reason: &str,
        message: String,
    ) -> Result<(), kube::Error> {
        let namespace = regarding
            .namespace
            .clone()
            .unwrap_or_else(|| "default".into());
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let object = format!(
            "{}/{}",
            regarding.uid.as_deref().unwrap_or_default(),
            regarding.field_path.as_deref().unwrap_or_default()
        );
        let key = (object, reason.to_owned(), message.clone());
        let again = {
            let mut seen = self.seen.lock();
            if seen.len() >= REMEMBERED {
                seen.clear();
            }
            seen.get_mut(&key).map(|(name, count)| {
                *count += 1;
                (name.clone(), *count)
            })
        };
        if let Some((name, count)) = again {
            let patch = json!({"count": count, "lastTimestamp": now()});
            match api
                .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
                .await
            {
                Err(error) if crate::is_not_found(&error) => {}
                result => return result.map(drop),
            }
        }
        let event = self.new_event(regarding, severity, reason, message, &namespace);
        let name = event.name_any();
        api.create(&PostParams::default(), &event).await?;
        self.seen.lock().insert(key, (name, 1));
        Ok(())
    }

    fn new_event(
        &self,
        regarding: ObjectReference,
        severity: Severity,
        reason: &str,
        message: String,
        namespace: &str,
    ) -> Event {
        let nanos = k8s_openapi::jiff::Timestamp::now().as_nanosecond();
        let name = format!(
            "{}.{nanos:x}",
            regarding.name.as_deref().unwrap_or("object")
        );
        Event {
            metadata: kube::api::ObjectMeta {
                name: Some(name),
                namespace: Some(namespace.into()),
                ..Default::default()
            },
            involved_object: regarding,
            reason: Some(reason.into()),
            message: Some(message),
            type_: Some(severity.word().into()),
            source: Some(EventSource {
                component: Some(self.component.into()),
                host: None,
            }),
            reporting_component: Some(self.component.into()),
            first_timestamp: Some(now()),
            last_timestamp: Some(now()),
            count: Some(1),
            ..Default::default()
        }
    }
}

/// Returns a reference to `object` as events carry it.
pub fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    let meta = object.meta();
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    }
}
