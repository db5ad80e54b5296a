//! One shared cache per kind: every resident that reads a kind reads the same
//! copy, filled by one list and watch.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;

use futures::{StreamExt, pin_mut};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

/// Names an object within its kind; the namespace is empty for cluster-wide kinds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl Key {
    /// Returns the key of `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Key {
        Key {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// Returns the key of an object.
pub fn key_of<K: Resource>(object: &K) -> Key {
    let meta = object.meta();
    Key::new(
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

/// Called with the object as it is now, or as it last was when it is gone.
type Handler<K> = Box<dyn Fn(&Arc<K>) + Send + Sync>;

struct Subscriber<K> {
    handler: Handler<K>,
    /// Whether it is also shown what an object was before it changed hands.
    sees_former: bool,
}

/// The objects, and who controls them: a controller finds its own without
/// looking at all the others.
struct Objects<K> {
    by_key: BTreeMap<Key, Arc<K>>,
    by_controller: HashMap<String, BTreeSet<Key>>,
    uncontrolled: BTreeSet<Key>,
}

impl<K> Default for Objects<K> {
    fn default() -> Self {
        Objects {
            by_key: BTreeMap::new(),
            by_controller: HashMap::new(),
            uncontrolled: BTreeSet::new(),
        }
    }
}

fn controller_uid<K: Resource>(object: &K) -> Option<&str> {
    let owners = object.meta().owner_references.as_ref()?;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    Some(&owner.uid)
}

impl<K: Resource> Objects<K> {
    /// Puts an object in; returns what was there.
    fn insert(&mut self, key: Key, object: Arc<K>) -> Option<Arc<K>> {
        let old = self.by_key.get(&key);
        let changed = old.is_none_or(|old| controller_uid(&**old) != controller_uid(&*object));
        let mut before = None;
        if changed {
            before = self.remove(&key);
            match controller_uid(&*object) {
                Some(uid) => {
                    let owned = self.by_controller.entry(uid.to_owned()).or_default();
                    owned.insert(key.clone());
                }
                None => {
                    self.uncontrolled.insert(key.clone());
                }
            }
        }
        self.by_key.insert(key, object).or(before)
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<K>> {
        let object = self.by_key.remove(key)?;
        self.uncontrolled.remove(key);
        if let Some(uid) = controller_uid(&*object)
            && let Some(owned) = self.by_controller.get_mut(uid)
        {
            owned.remove(key);
            if owned.is_empty() {
                self.by_controller.remove(uid);
            }
        }
        Some(object)
    }
}

/// Returns whether others select or own the object now than before.
fn changed_hands<K: Resource>(before: &K, now: &K) -> bool {
    before.meta().labels != now.meta().labels
        || before.meta().owner_references != now.meta().owner_references
}

struct Inner<K> {
    objects: RwLock<Objects<K>>,
    subscribers: Mutex<Vec<Subscriber<K>>>,
    ready: watch::Sender<bool>,
}

/// The objects of one kind as the API last told them.
pub struct Cache<K> {
    inner: Arc<Inner<K>>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Cache {
            inner: self.inner.clone(),
        }
    }
}

impl<K> Cache<K> {
    fn new() -> Cache<K> {
        Cache {
            inner: Arc::new(Inner {
                objects: RwLock::default(),
                subscribers: Mutex::default(),
                ready: watch::channel(false).0,
            }),
        }
    }

    /// Returns the object called `name` in `namespace`.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.inner
            .objects
            .read()
            .by_key
            .get(&Key::new(namespace, name))
            .cloned()
    }

    /// Returns the object of a key.
    pub fn of(&self, key: &Key) -> Option<Arc<K>> {
        self.inner.objects.read().by_key.get(key).cloned()
    }

    /// Returns all objects, ordered by namespace and name.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.inner.objects.read().by_key.values().cloned().collect()
    }

    /// Returns the objects in `namespace`, ordered by name.
    pub fn within(&self, namespace: &str) -> Vec<Arc<K>> {
        self.matching(namespace, |_| true)
    }

    /// Returns the objects in `namespace` that fit, ordered by name.
    pub fn matching(&self, namespace: &str, fits: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let objects = self.inner.objects.read();
        objects
            .by_key
            .range(Key::new(namespace, "")..)
            .take_while(|(key, _)| key.namespace == namespace)
            .filter(|(_, object)| fits(object))
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// Returns the objects that the one with this uid controls, ordered by name.
    pub fn controlled_by(&self, uid: &str) -> Vec<Arc<K>> {
        let objects = self.inner.objects.read();
        let owned = objects.by_controller.get(uid).into_iter().flatten();
        owned
            .filter_map(|key| objects.by_key.get(key).cloned())
            .collect()
    }

    /// Returns the objects in `namespace` that nobody controls, ordered by name.
    pub fn uncontrolled(&self, namespace: &str) -> Vec<Arc<K>> {
        let objects = self.inner.objects.read();
        objects
            .uncontrolled
            .range(Key::new(namespace, "")..)
            .take_while(|key| key.namespace == namespace)
            .filter_map(|key| objects.by_key.get(key).cloned())
            .collect()
    }

    /// Calls `handler` for every object there is and, from then on, for every
    /// object that is added, changed or removed.
    ///
    /// The handler runs while the cache is filled: it must be quick and not block.
    pub fn on_change(&self, handler: impl Fn(&Arc<K>) + Send + Sync + 'static) {
        self.subscribe(Box::new(handler), false);
    }

    /// As [`Cache::on_change`]; where labels or owners change, `handler` is also
    /// called with the object as it was, for those who had it have lost it.
    pub fn on_transition(&self, handler: impl Fn(&Arc<K>) + Send + Sync + 'static) {
        self.subscribe(Box::new(handler), true);
    }

    fn subscribe(&self, handler: Handler<K>, sees_former: bool) {
        let mut subscribers = self.inner.subscribers.lock();
        for object in self.inner.objects.read().by_key.values() {
            handler(object);
        }
        subscribers.push(Subscriber {
            handler,
            sees_former,
        });
    }

    /// Waits until the first list is complete.
    pub async fn ready(&self) {
        let mut ready = self.inner.ready.subscribe();
        // The sender lives as long as the cache, so this ends only by the value.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    fn put(&self, key: Key, object: Option<Arc<K>>)
    where
        K: Resource,
    {
        // The lock on the subscribers orders changes and subscriptions.
        let subscribers = self.inner.subscribers.lock();
        let mut former = None;
        let told = match object {
            Some(object) => {
                let before = self.inner.objects.write().insert(key, object.clone());
                former = before.filter(|before| changed_hands(&**before, &*object));
                Some(object)
            }
            None => self.inner.objects.write().remove(&key),
        };
        for subscriber in subscribers.iter() {
            let former = former.iter().filter(|_| subscriber.sees_former);
            for object in former.chain(&told) {
                (subscriber.handler)(object);
            }
        }
    }

    /// Removes what the latest list no longer holds and reports readiness.
    fn settle(&self, listed: &HashSet<Key>)
    where
        K: Resource,
    {
        let gone: Vec<Key> = self
            .inner
            .objects
            .read()
            .by_key
            .keys()
            .filter(|key| !listed.contains(key))
            .cloned()
            .collect();
        for key in gone {
            self.put(key, None);
        }
        self.inner.ready.send_replace(true);
    }
}

/// All caches of a process; each is started when it is first asked for.
#[derive(Clone)]
pub struct Caches {
    client: Client,
    started: Arc<Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>>,
}

impl Caches {
    /// Returns caches that are filled through `client`.
    pub fn new(client: Client) -> Caches {
        Caches {
            client,
            started: Arc::default(),
        }
    }

    /// Returns the cache of kind `K` over all namespaces.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn of<K>(&self) -> Cache<K>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let mut started = self.started.lock();
        let cache = started.entry(TypeId::of::<K>()).or_insert_with(|| {
            let cache = Cache::<K>::new();
            tokio::spawn(fill(Api::all(self.client.clone()), cache.clone()));
            Box::new(cache)
        });
        cache
            .downcast_ref::<Cache<K>>()
            .expect("the map is keyed by this type")
            .clone()
    }
}

/// Leaves away who wrote which field: no resident asks, it is larger than the
/// object, and an update that does not name it keeps it (Kubernetes: Server-Side
/// Apply, clearing managedFields).
fn without_owners_of_fields<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

/// Keeps `cache` equal to what the API tells, for ever.
async fn fill<K>(api: Api<K>, cache: Cache<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let events = watcher(api, watcher::Config::default().streaming_lists()).default_backoff();
    pin_mut!(events);
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                let object = without_owners_of_fields(object);
                let key = key_of(&object);
                listed.insert(key.clone());
                cache.put(key, Some(Arc::new(object)));
            }
            Ok(watcher::Event::InitDone) => {
                cache.settle(&listed);
                listed = HashSet::new();
            }
            Ok(watcher::Event::Apply(object)) => {
                let object = without_owners_of_fields(object);
                cache.put(key_of(&object), Some(Arc::new(object)));
            }
            Ok(watcher::Event::Delete(object)) => cache.put(key_of(&object), None),
            Err(error) => {
                tracing::debug!(kind = %K::kind(&()), %error, "watch interrupted, trying again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::ResourceExt;

    use super::*;

    fn pod(name: &str, controller: Option<&str>) -> Arc<Pod> {
        labelled(name, controller, "web")
    }

    fn labelled(name: &str, controller: Option<&str>, app: &str) -> Arc<Pod> {
        let owners: Vec<_> = controller
            .map(|uid| serde_json::json!({"apiVersion": "v1", "kind": "X", "name": "x", "uid": uid, "controller": true}))
            .into_iter()
            .collect();
        let value = serde_json::json!({"metadata": {
            "name": name, "namespace": "ns", "ownerReferences": owners, "labels": {"app": app},
        }});
        Arc::new(serde_json::from_value(value).expect("a pod"))
    }

    #[test]
    fn who_had_an_object_is_told_that_it_is_lost() {
        let cache = Cache::<Pod>::new();
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let list = told.clone();
        cache.on_transition(move |pod| {
            let app = pod.labels().get("app").cloned();
            let owner = controller_uid(&**pod).unwrap_or_default().to_owned();
            list.lock().push(app.unwrap_or_default() + &owner);
        });
        let check = |object: Arc<Pod>, expected: &[&str]| {
            cache.put(key_of(&*object), Some(object));
            assert_eq!(std::mem::take(&mut *told.lock()), expected);
        };
        check(labelled("a", None, "web"), &["web"]);
        check(labelled("a", None, "web"), &["web"]);
        check(labelled("a", None, "old"), &["web", "old"]);
        check(labelled("a", Some("1"), "old"), &["old", "old1"]);
        check(labelled("a", None, "old"), &["old1", "old"]);
    }

    #[test]
    fn objects_are_found_by_their_controller() {
        let mut objects = Objects::default();
        let key = Key::new("ns", "a");
        let owned = |objects: &Objects<Pod>, uid: &str| {
            objects.by_controller.get(uid).map_or(0, BTreeSet::len)
        };
        objects.insert(key.clone(), pod("a", None));
        assert_eq!((owned(&objects, "1"), objects.uncontrolled.len()), (0, 1));
        objects.insert(key.clone(), pod("a", Some("1")));
        assert_eq!((owned(&objects, "1"), objects.uncontrolled.len()), (1, 0));
        objects.insert(key.clone(), pod("a", Some("2")));
        assert_eq!((owned(&objects, "1"), owned(&objects, "2")), (0, 1));
        objects.remove(&key);
        assert!(objects.by_controller.is_empty() && objects.by_key.is_empty());
    }
}
