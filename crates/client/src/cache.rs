//! One shared cache per kind: every resident that reads a kind reads the same
//! copy, filled by one list and watch.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap, HashSet};
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

struct Inner<K> {
    objects: RwLock<BTreeMap<Key, Arc<K>>>,
    handlers: Mutex<Vec<Handler<K>>>,
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
    /// Returns the object called `name` in `namespace`.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.inner
            .objects
            .read()
            .get(&Key::new(namespace, name))
            .cloned()
    }

    /// Returns the object of a key.
    pub fn of(&self, key: &Key) -> Option<Arc<K>> {
        self.inner.objects.read().get(key).cloned()
    }

    /// Returns all objects, ordered by namespace and name.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.inner.objects.read().values().cloned().collect()
    }

    /// Returns the objects in `namespace`, ordered by name.
    pub fn within(&self, namespace: &str) -> Vec<Arc<K>> {
        let objects = self.inner.objects.read();
        objects
            .range(Key::new(namespace, "")..)
            .take_while(|(key, _)| key.namespace == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// Calls `handler` for every object there is and, from then on, for every
    /// object that is added, changed or removed.
    ///
    /// The handler runs while the cache is filled: it must be quick and not block.
    pub fn on_change(&self, handler: impl Fn(&Arc<K>) + Send + Sync + 'static) {
        let mut handlers = self.inner.handlers.lock();
        for object in self.inner.objects.read().values() {
            handler(object);
        }
        handlers.push(Box::new(handler));
    }

    /// Waits until the first list is complete.
    pub async fn ready(&self) {
        let mut ready = self.inner.ready.subscribe();
        // The sender lives as long as the cache, so this ends only by the value.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    fn put(&self, key: Key, object: Option<Arc<K>>) {
        // The lock on the handlers orders changes and subscriptions.
        let handlers = self.inner.handlers.lock();
        let told = match object {
            Some(object) => {
                self.inner.objects.write().insert(key, object.clone());
                Some(object)
            }
            None => self.inner.objects.write().remove(&key),
        };
        if let Some(object) = told {
            for handler in handlers.iter() {
                handler(&object);
            }
        }
    }

    /// Removes what the latest list no longer holds and reports readiness.
    fn settle(&self, listed: &HashSet<Key>) {
        let gone: Vec<Key> = self
            .inner
            .objects
            .read()
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
            let cache: Cache<K> = Cache {
                inner: Arc::new(Inner {
                    objects: RwLock::default(),
                    handlers: Mutex::default(),
                    ready: watch::channel(false).0,
                }),
            };
            tokio::spawn(fill(Api::all(self.client.clone()), cache.clone()));
            Box::new(cache)
        });
        cache
            .downcast_ref::<Cache<K>>()
            .expect("the map is keyed by this type")
            .clone()
    }
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
                let key = key_of(&object);
                listed.insert(key.clone());
                cache.put(key, Some(Arc::new(object)));
            }
            Ok(watcher::Event::InitDone) => {
                cache.settle(&listed);
                listed = HashSet::new();
            }
            Ok(watcher::Event::Apply(object)) => cache.put(key_of(&object), Some(Arc::new(object))),
            Ok(watcher::Event::Delete(object)) => cache.put(key_of(&object), None),
            Err(error) => {
                tracing::debug!(kind = %K::kind(&()), %error, "watch interrupted, trying again");
            }
        }
    }
}
