//! Garbage collection: what is owned goes with its owners
//! (upstream: pkg/controller/garbagecollector).
//!
//! Every deletable resource is watched by its metadata alone. A dependent is
//! deleted when none of its owners is left; an owner that waits for its
//! dependents (`foregroundDeletion`) or leaves them behind (`orphan`) is
//! released when that is done.

mod graph;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, Key, Outcome, Queue, Recorder, Severity, is_not_found};
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::core::discovery::{ApiResource, Scope, verbs};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Discovery};
use parking_lot::{Mutex, RwLock};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::context::Context;
use graph::{Graph, Node};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Resources whose objects own nothing and are owned by nothing worth a watch
/// (upstream ignores events as well).
const IGNORED: [&str; 1] = ["events"];

struct Resource {
    api: ApiResource,
    namespaced: bool,
}

struct Controller {
    client: Client,
    recorder: Recorder,
    /// Grows only: the graph knows resources by their place.
    resources: RwLock<Vec<Arc<Resource>>>,
    graph: Mutex<Graph>,
    queue: Queue<Key>,
}

type Meta = PartialObjectMeta<DynamicObject>;

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let client = context.client("generic-garbage-collector");
    let resources = loop {
        match discover(client.clone()).await {
            Ok(resources) => break resources,
            Err(error) => {
                tracing::warn!(%error, "garbage collection: discovery failed, trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    };
    let controller = Arc::new(Controller {
        recorder: Recorder::new(client.clone(), "garbage-collector-controller"),
        client,
        resources: RwLock::default(),
        graph: Mutex::default(),
        queue: Queue::default(),
    });
    let mut observers = HashMap::new();
    controller.observe_all(resources, &mut observers).await;
    tokio::spawn(
        controller
            .clone()
            .follow_definitions(context.caches.of(), observers),
    );
    let queue = controller.queue.clone();
    coracle_client::run("garbage", queue, 5, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key.name).await }
    })
    .await;
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let status = definition.status.as_ref();
    let conditions = status
        .into_iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|one| one.type_ == "Established" && one.status == "True")
}

/// Finds every resource that can be watched and deleted.
async fn discover(client: Client) -> Result<Vec<Resource>, kube::Error> {
    let discovery = Discovery::new(client).run_aggregated().await?;
    let mut resources = Vec::new();
    for group in discovery.groups() {
        for (api, capabilities) in group.recommended_resources() {
            let collectable = [verbs::LIST, verbs::WATCH, verbs::DELETE]
                .iter()
                .all(|verb| capabilities.supports_operation(verb));
            if collectable && !IGNORED.contains(&api.plural.as_str()) {
                resources.push(Resource {
                    api,
                    namespaced: capabilities.scope == Scope::Namespaced,
                });
            }
        }
    }
    Ok(resources)
}

/// The tasks that observe resources, by group and plural, with their places.
type Observers = HashMap<(String, String), (usize, AbortHandle)>;

impl Controller {
    /// Observes what is not observed yet and stops observing what is no longer
    /// served; returns when the first lists are complete.
    async fn observe_all(self: &Arc<Self>, resources: Vec<Resource>, observers: &mut Observers) {
        let name = |api: &ApiResource| (api.group.clone(), api.plural.clone());
        let served: HashSet<_> = resources.iter().map(|one| name(&one.api)).collect();
        let gone: Vec<_> = observers
            .keys()
            .filter(|name| !served.contains(*name))
            .cloned()
            .collect();
        for (index, task) in gone.iter().filter_map(|name| observers.remove(name)) {
            task.abort();
            let objects = self.graph.lock().missing(index, &[]);
            objects.iter().for_each(|uid| self.remove(uid));
        }
        let mut lists = Vec::new();
        for resource in resources {
            let name = name(&resource.api);
            if observers.contains_key(&name) {
                continue;
            }
            let index = {
                let mut known = self.resources.write();
                known.push(Arc::new(resource));
                known.len() - 1
            };
            let (done, list) = watch::channel(false);
            let task = tokio::spawn(self.clone().observe(index, done));
            observers.insert(name, (index, task.abort_handle()));
            lists.push(list);
        }
        if lists.is_empty() {
            return;
        }
        for mut list in lists {
            // A watcher never ends, so its sender is there.
            let _ = list.wait_for(|done| *done).await;
        }
        // An owner of a kind that was not served yet may have gone unseen.
        for uid in self.graph.lock().that_miss_an_owner() {
            self.queue.add(Key::new("", uid));
        }
    }

    /// Discovers anew whenever a definition of custom resources is established
    /// or goes, for ever.
    async fn follow_definitions(
        self: Arc<Self>,
        definitions: Cache<CustomResourceDefinition>,
        mut observers: Observers,
    ) {
        definitions.ready().await;
        let changed = Arc::new(Notify::new());
        let known: Mutex<HashMap<Key, bool>> = Mutex::default();
        let (tell, cache) = (changed.clone(), definitions.clone());
        definitions.on_change(move |definition| {
            let key = coracle_client::key_of(&**definition);
            let served = cache.of(&key).is_some() && is_established(definition);
            if known.lock().insert(key, served) != Some(served) {
                tell.notify_one();
            }
        });
        loop {
            changed.notified().await;
            match discover(self.client.clone()).await {
                Ok(resources) => self.observe_all(resources, &mut observers).await,
                Err(error) => {
                    tracing::warn!(%error, "garbage collection: discovery failed, trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    changed.notify_one();
                }
            }
        }
    }

    fn resource(&self, index: usize) -> Arc<Resource> {
        self.resources.read()[index].clone()
    }

    /// Keeps the graph equal to the objects of one resource, for ever.
    async fn observe(self: Arc<Self>, index: usize, done: watch::Sender<bool>) {
        let api: Api<Meta> = Api::all_with(self.client.clone(), &self.resource(index).api);
        let events = watcher(api, watcher::Config::default().streaming_lists()).default_backoff();
        pin_mut!(events);
        let mut listed = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(object)) => {
                    listed.extend(object.metadata.uid.clone());
                    self.put(index, &object);
                }
                Ok(watcher::Event::InitDone) => {
                    let gone = self
                        .graph
                        .lock()
                        .missing(index, &std::mem::take(&mut listed));
                    gone.iter().for_each(|uid| self.remove(uid));
                    done.send_replace(true);
                }
                Ok(watcher::Event::Apply(object)) => self.put(index, &object),
                Ok(watcher::Event::Delete(object)) => {
                    if let Some(uid) = &object.metadata.uid {
                        self.remove(uid);
                    }
                }
                Err(error) => tracing::debug!(%error, "garbage collection: watch interrupted"),
            }
        }
    }

    fn put(&self, resource: usize, object: &Meta) {
        let Some((uid, node)) = Node::of(resource, &object.metadata) else {
            return;
        };
        let concerned = !node.owners.is_empty() || node.deleting;
        let owners: Vec<String> = node.owners.iter().map(|owner| owner.uid.clone()).collect();
        self.graph.lock().put(uid.clone(), node);
        if concerned {
            self.queue.add(Key::new("", uid));
        }
        // An owner that waits looks at its dependents again.
        for owner in owners {
            if self
                .graph
                .lock()
                .get(&owner)
                .is_some_and(|owner| owner.deleting)
            {
                self.queue.add(Key::new("", owner));
            }
        }
    }

    fn remove(&self, uid: &str) {
        let mut graph = self.graph.lock();
        for dependent in graph.dependents(uid) {
            self.queue.add(Key::new("", dependent));
        }
        if let Some(node) = graph.remove(uid) {
            for owner in node.owners {
                self.queue.add(Key::new("", owner.uid));
            }
        }
    }

    async fn reconcile(&self, uid: &str) -> Result<Outcome, kube::Error> {
        let Some(node) = self.graph.lock().get(uid).cloned() else {
            return Ok(Outcome::Done);
        };
        if node.deleting {
            if node.has_finalizer(FOREGROUND) {
                return self.delete_dependents(uid, &node).await;
            }
            if node.has_finalizer(ORPHAN) {
                return self.orphan_dependents(uid, &node).await;
            }
            return Ok(Outcome::Done);
        }
        self.check_owners(uid, &node).await
    }

    /// Deletes an object whose owners are all gone; forgets those that are.
    async fn check_owners(&self, uid: &str, node: &Node) -> Result<Outcome, kube::Error> {
        let (mut solid, mut dangling) = (0, Vec::new());
        for owner in &node.owners {
            if self.exists(uid, node, owner).await? {
                solid += 1;
            } else {
                dangling.push(owner.uid.clone());
            }
        }
        if dangling.is_empty() {
            return Ok(Outcome::Done);
        }
        if solid > 0 {
            let left: Vec<&OwnerReference> = node
                .owners
                .iter()
                .filter(|owner| !dangling.contains(&owner.uid))
                .collect();
            self.set_owners(uid, node, &left).await?;
        } else {
            self.delete(uid, node, DeleteParams::background()).await?;
        }
        Ok(Outcome::Done)
    }

    /// Returns whether an owner exists: as the graph shows, or else as the API
    /// says. One in another namespace is none.
    async fn exists(
        &self,
        uid: &str,
        node: &Node,
        owner: &OwnerReference,
    ) -> Result<bool, kube::Error> {
        let known = self.graph.lock().get(&owner.uid).cloned();
        if let Some(known) = known {
            if known.namespace.is_none() || known.namespace == node.namespace {
                return Ok(true);
            }
            self.tell_of_namespace(uid, node, owner);
        }
        let Some(resource) = self.resource_of(owner) else {
            // A kind that is not served: upstream waits until it is known.
            return Ok(true);
        };
        if resource.namespaced && node.namespace.is_none() {
            // Where such an owner would be nobody knows; upstream leaves it, too.
            return Ok(true);
        }
        let api = self.api(&resource, node.namespace.as_deref());
        match api.get_metadata_opt(&owner.name).await? {
            Some(found) => Ok(found.metadata.uid.as_ref() == Some(&owner.uid)),
            None => Ok(false),
        }
    }

    /// Writes upstream's event of an owner that is in another namespace.
    fn tell_of_namespace(&self, uid: &str, node: &Node, owner: &OwnerReference) {
        let resource = self.resource(node.resource);
        let namespace = node.namespace.clone().unwrap_or_default();
        let OwnerReference {
            api_version,
            kind,
            name,
            uid: owner_uid,
            ..
        } = owner;
        let message = format!(
            "ownerRef [{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {owner_uid}] does not exist in namespace {namespace:?}"
        );
        let regarding = ObjectReference {
            api_version: Some(resource.api.api_version.clone()),
            kind: Some(resource.api.kind.clone()),
            namespace: node.namespace.clone(),
            name: Some(node.name.clone()),
            uid: Some(uid.to_owned()),
            ..Default::default()
        };
        let reason = "OwnerRefInvalidNamespace";
        self.recorder
            .event_at(regarding, Severity::Warning, reason, message);
    }

    fn resource_of(&self, owner: &OwnerReference) -> Option<Arc<Resource>> {
        let group = owner.api_version.split_once('/');
        let group = group.map_or("", |(group, _)| group);
        let resources = self.resources.read();
        let mut served = resources.iter();
        served
            .find(|resource| resource.api.group == group && resource.api.kind == owner.kind)
            .cloned()
    }

    fn api(&self, resource: &Resource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) if resource.namespaced => {
                Api::namespaced_with(self.client.clone(), namespace, &resource.api)
            }
            _ => Api::all_with(self.client.clone(), &resource.api),
        }
    }

    fn api_of_node(&self, node: &Node) -> Api<DynamicObject> {
        self.api(&self.resource(node.resource), node.namespace.as_deref())
    }

    async fn delete(
        &self,
        uid: &str,
        node: &Node,
        params: DeleteParams,
    ) -> Result<(), kube::Error> {
        let preconditions = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        };
        match self
            .api_of_node(node)
            .delete(&node.name, &params.preconditions(preconditions))
            .await
        {
            Err(error) if !is_not_found(&error) => Err(error),
            _ => Ok(()),
        }
    }

    async fn set_owners(
        &self,
        uid: &str,
        node: &Node,
        owners: &[&OwnerReference],
    ) -> Result<(), kube::Error> {
        let patch = json!({"metadata": {"uid": uid, "ownerReferences": owners}});
        self.patch(node, &patch).await
    }

    async fn patch(&self, node: &Node, patch: &serde_json::Value) -> Result<(), kube::Error> {
        let api = self.api_of_node(node);
        match api
            .patch_metadata(&node.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
        {
            Err(error) if !is_not_found(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Foreground: dependents first; those that block hold the owner back.
    async fn delete_dependents(&self, uid: &str, node: &Node) -> Result<Outcome, kube::Error> {
        let dependents = self.dependents(uid);
        for (dependent_uid, dependent) in dependents
            .iter()
            .filter(|(_, dependent)| !dependent.deleting)
        {
            self.delete(dependent_uid, dependent, DeleteParams::foreground())
                .await?;
        }
        let blocked = dependents.iter().any(|(_, dependent)| {
            dependent
                .owners
                .iter()
                .any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
        });
        if !blocked {
            self.release(uid, node, FOREGROUND).await?;
        }
        Ok(Outcome::Done)
    }

    async fn orphan_dependents(&self, uid: &str, node: &Node) -> Result<Outcome, kube::Error> {
        for (dependent_uid, dependent) in self.dependents(uid) {
            let left: Vec<&OwnerReference> = dependent
                .owners
                .iter()
                .filter(|owner| owner.uid != uid)
                .collect();
            self.set_owners(&dependent_uid, &dependent, &left).await?;
        }
        self.release(uid, node, ORPHAN).await?;
        Ok(Outcome::Done)
    }

    fn dependents(&self, uid: &str) -> Vec<(String, Node)> {
        let graph = self.graph.lock();
        let dependents = graph.dependents(uid);
        dependents
            .into_iter()
            .filter_map(|uid| Some((uid.clone(), graph.get(&uid)?.clone())))
            .collect()
    }

    /// Takes a finalizer off an owner.
    async fn release(&self, uid: &str, node: &Node, finalizer: &str) -> Result<(), kube::Error> {
        let left: Vec<&String> = node
            .finalizers
            .iter()
            .filter(|have| *have != finalizer)
            .collect();
        let patch = json!({"metadata": {
            "uid": uid, "resourceVersion": node.resource_version, "finalizers": left,
        }});
        self.patch(node, &patch).await
    }
}
