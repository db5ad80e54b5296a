//! ResourceQuotas: how much of each is used (upstream: pkg/controller/resourcequota).
//! The API server charges new objects; what goes, ends or was there before is
//! counted here. Nothing is watched but what some quota limits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, Key, Outcome, Queue, key_of};
use coracle_machinery::kind::Kind;
use coracle_machinery::kinds;
use coracle_machinery::quantity::{Format, Quantity as Amount};
use coracle_machinery::quota::{Amounts, counted, covers, totals, usage};
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::core::discovery::ApiResource;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Discovery, ResourceExt};
use parking_lot::Mutex;
use serde_json::Value;

use crate::context::Context;
use crate::pods;

/// Resources whose objects may come to use more or less.
const CHANGING: [&str; 2] = ["services", "persistentvolumeclaims"];
/// How long to wait with a recount that is not urgent, so that it does not meet
/// requests that admission has charged and that are not stored yet.
const LATER: Duration = Duration::from_secs(2);

type Meta = PartialObjectMeta<DynamicObject>;

struct Controller {
    client: Client,
    quotas: Cache<ResourceQuota>,
    pods: Cache<Pod>,
    queue: Queue<Key>,
    /// What is watched, by group and plural; only grows.
    watched: Mutex<HashMap<(String, String), ApiResource>>,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let controller = Arc::new(Controller {
        client: context.client("resourcequota-controller"),
        quotas: context.caches.of(),
        pods: context.caches.of(),
        queue: Queue::default(),
        watched: Mutex::default(),
    });
    controller.quotas.ready().await;
    controller.pods.ready().await;
    // Admission charges what is new: recounting then would race with it.
    let own = controller.clone();
    controller.quotas.on_change(move |quota| {
        if !is_settled(quota) {
            own.queue.add(key_of(&**quota));
        }
    });
    let own = controller.clone();
    controller.pods.on_change(move |pod| {
        let key = key_of(&**pod);
        if own.pods.of(&key).is_none() || !is_counted(pod, Timestamp::now()) {
            own.touched(&key.namespace);
        }
    });
    let queue = controller.queue.clone();
    coracle_client::run("resourcequota", queue, 2, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

/// Returns whether a quota's status is of its present limits.
fn is_settled(quota: &ResourceQuota) -> bool {
    let status = quota.status.as_ref();
    let known = status.and_then(|status| status.hard.as_ref());
    let hard = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    known.is_some() && known == hard && status.is_some_and(|status| status.used.is_some())
}

/// Returns the limits of a quota as numbers.
fn hard(quota: &ResourceQuota) -> Amounts {
    let spec = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    totals::read(&serde_json::to_value(spec).unwrap_or_default())
}

/// Returns whether upstream's evaluator counts a pod: one that has ended, or
/// whose time to end is over, uses nothing any more.
fn is_counted(pod: &Pod, now: Timestamp) -> bool {
    if matches!(pods::phase(pod), "Succeeded" | "Failed") {
        return false;
    }
    let meta = &pod.metadata;
    match (&meta.deletion_timestamp, meta.deletion_grace_period_seconds) {
        (Some(at), Some(grace)) => {
            now <= at
                .0
                .saturating_add(SignedDuration::from_secs(grace))
                .unwrap_or(Timestamp::MAX)
        }
        _ => true,
    }
}

/// Returns the sum of what the objects use of what is limited.
fn sum(hard: &Amounts, spec: &Value, objects: &[(&Kind, Value)]) -> Amounts {
    let zero = Amount::new(0, Format::DecimalSi);
    let mut used: Amounts = hard
        .keys()
        .filter(|name| counted(name).is_some())
        .map(|name| (name.clone(), zero))
        .collect();
    for (kind, object) in objects {
        if !covers(spec, kind, object) {
            continue;
        }
        let mut own = usage(kind, object);
        own.retain(|name, _| hard.contains_key(name));
        totals::add(&mut used, &own);
    }
    used
}

fn text(amounts: &Amounts) -> Value {
    amounts
        .iter()
        .map(|(name, amount)| (name.clone(), amount.to_string().into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

impl Controller {
    /// Looks at the quotas of a namespace again.
    fn touched(&self, namespace: &str) {
        for quota in self.quotas.within(namespace) {
            self.queue.add(key_of(&*quota));
        }
    }

    async fn reconcile(self: &Arc<Self>, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(quota) = self.quotas.of(key) else {
            return Ok(Outcome::Done);
        };
        let hard = hard(&quota);
        let spec = serde_json::to_value(&quota.spec).unwrap_or_default();
        let mut used = Amounts::new();
        let resources: HashSet<_> = hard.keys().filter_map(|name| counted(name)).collect();
        for (group, plural) in resources {
            let of_it: Amounts = hard
                .iter()
                .filter(|(name, _)| counted(name) == Some((group, plural)))
                .map(|(name, amount)| (name.clone(), *amount))
                .collect();
            used.extend(
                self.used(&key.namespace, group, plural, &of_it, &spec)
                    .await?,
            );
        }
        match self.write(&quota, &hard, &used).await? {
            // Heals a count that a request under way has made wrong.
            true => Ok(Outcome::Again(LATER)),
            false => Ok(Outcome::Done),
        }
    }

    /// Sums up what the objects of one resource use in a namespace.
    async fn used(
        self: &Arc<Self>,
        namespace: &str,
        group: &str,
        plural: &str,
        hard: &Amounts,
        spec: &Value,
    ) -> Result<Amounts, kube::Error> {
        let known = kinds::all()
            .iter()
            .find(|kind| kind.group == group && kind.plural == plural && kind.is_stored());
        if let Some(kind) = known.filter(|_| (group, plural) == ("", "pods")) {
            return Ok(sum(hard, spec, &self.pods_of(kind, namespace).await?));
        }
        let Some(resource) = self.observe(group, plural).await? else {
            // Not served: nothing can be made of it either.
            return Ok(sum(hard, spec, &[]));
        };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let Some(kind) = known else {
            let count = api.list_metadata(&ListParams::default()).await?.items.len();
            let count = Amount::new(i64::try_from(count).unwrap_or(i64::MAX), Format::DecimalSi);
            return Ok(hard.keys().map(|name| (name.clone(), count)).collect());
        };
        let list = api.list(&ListParams::default()).await?;
        let objects: Vec<_> = list
            .items
            .iter()
            .map(|object| (kind, serde_json::to_value(object).unwrap_or_default()))
            .collect();
        Ok(sum(hard, spec, &objects))
    }

    /// Returns the pods as the API has them now: the cache may be a moment behind
    /// what admission has charged.
    async fn pods_of(
        &self,
        kind: &'static Kind,
        namespace: &str,
    ) -> Result<Vec<(&'static Kind, Value)>, kube::Error> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let now = Timestamp::now();
        let pods = api.list(&ListParams::default()).await?.items;
        let counted = pods.into_iter().filter(|pod| is_counted(pod, now));
        Ok(counted
            .map(|pod| (kind, serde_json::to_value(pod).unwrap_or_default()))
            .collect())
    }

    /// Watches a resource from now on, if it is served.
    async fn observe(
        self: &Arc<Self>,
        group: &str,
        plural: &str,
    ) -> Result<Option<ApiResource>, kube::Error> {
        let name = (group.to_owned(), plural.to_owned());
        if let Some(resource) = self.watched.lock().get(&name) {
            return Ok(Some(resource.clone()));
        }
        let discovery = Discovery::new(self.client.clone())
            .filter(&[group])
            .run_aggregated()
            .await?;
        let found = discovery
            .groups()
            .flat_map(|group| group.recommended_resources())
            .map(|(resource, _)| resource)
            .find(|resource| resource.group == group && resource.plural == plural);
        if let Some(resource) = &found
            && self.watched.lock().insert(name, resource.clone()).is_none()
        {
            tokio::spawn(self.clone().follow(resource.clone()));
        }
        Ok(found)
    }

    async fn follow(self: Arc<Self>, resource: ApiResource) {
        let api: Api<Meta> = Api::all_with(self.client.clone(), &resource);
        let events = watcher(api, watcher::Config::default().streaming_lists()).default_backoff();
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Delete(object)) => {
                    self.touched(&object.namespace().unwrap_or_default());
                }
                // A Service may change its type, a claim its size.
                Ok(watcher::Event::Apply(object)) if CHANGING.contains(&&*resource.plural) => {
                    for quota in self.quotas.within(&object.namespace().unwrap_or_default()) {
                        self.queue.add_after(key_of(&*quota), LATER);
                    }
                }
                // What went before it was watched is seen by counting again.
                Ok(watcher::Event::InitDone) => {
                    let quotas = self.quotas.all();
                    quotas
                        .iter()
                        .for_each(|quota| self.queue.add(key_of(&**quota)));
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "resourcequota: watch interrupted"),
            }
        }
    }

    /// Writes the status; returns whether there was anything to write.
    async fn write(
        &self,
        quota: &ResourceQuota,
        hard: &Amounts,
        used: &Amounts,
    ) -> Result<bool, kube::Error> {
        let status = serde_json::to_value(&quota.status).unwrap_or_default();
        let same = |part: &str, wanted: &Amounts| {
            status.get(part).is_some_and(Value::is_object) && totals::read(&status[part]) == *wanted
        };
        if same("hard", hard) && same("used", used) {
            return Ok(false);
        }
        let mut changed = serde_json::to_value(quota).unwrap_or_default();
        changed["status"] = serde_json::json!({"hard": text(hard), "used": text(used)});
        let changed: ResourceQuota = match serde_json::from_value(changed) {
            Ok(changed) => changed,
            Err(error) => return Err(kube::Error::SerdeError(error)),
        };
        let api: Api<ResourceQuota> =
            Api::namespaced(self.client.clone(), &quota.namespace().unwrap_or_default());
        match api
            .replace_status(&quota.name_any(), &PostParams::default(), &changed)
            .await
        {
            Err(error) if !coracle_client::is_not_found(&error) => Err(error),
            _ => Ok(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(hard: Value, spec: Value, pods: &[Value], expected: Value) {
        let kind = kinds::by_plural("", "v1", "pods").expect("a kind");
        let objects: Vec<_> = pods.iter().map(|pod| (kind, pod.clone())).collect();
        let used = sum(&totals::read(&hard), &spec, &objects);
        assert_eq!(text(&used), expected);
    }

    #[test]
    fn what_is_limited_is_summed() {
        let pod = |cpu: &str| json!({"spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]}});
        let hard = json!({"pods": "3", "requests.cpu": "1", "requests.memory": "1Gi"});
        check(
            hard.clone(),
            json!({}),
            &[pod("100m"), pod("250m")],
            json!({"pods": "2", "requests.cpu": "350m", "requests.memory": "0"}),
        );
        check(
            hard,
            json!({"scopes": ["BestEffort"]}),
            &[pod("100m")],
            json!({"pods": "0", "requests.cpu": "0", "requests.memory": "0"}),
        );
    }

    #[test]
    fn a_pod_that_has_ended_uses_nothing() {
        let now: Timestamp = "2024-01-01T00:01:00Z".parse().expect("a time");
        let check = |pod: Value, expected: bool| {
            let pod: Pod = serde_json::from_value(pod).expect("a pod");
            assert_eq!(is_counted(&pod, now), expected);
        };
        check(json!({"status": {"phase": "Running"}}), true);
        check(json!({"status": {"phase": "Succeeded"}}), false);
        let deleted = |at: &str| json!({"metadata": {"deletionTimestamp": at, "deletionGracePeriodSeconds": 30}});
        check(deleted("2024-01-01T00:00:45Z"), true);
        check(deleted("2024-01-01T00:00:15Z"), false);
    }
}
