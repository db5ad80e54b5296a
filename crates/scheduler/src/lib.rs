//! Where a pod lands: pods without a node are bound to one that fits, or told
//! why none does (upstream: pkg/scheduler).
//!
//! [`run`] is the loop; `filter` and `preempt` hold the pure decisions.

mod affinity;
mod filter;
mod ledger;
mod preempt;
mod refusal;
mod resources;
mod score;
mod spread;
mod subscribe;
mod volumes;
mod write;

use std::sync::Arc;

use coracle_client::{Cache, Caches, Key, Outcome, Queue, Recorder};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use affinity::{Peer, Peers};
use filter::Placement;
use ledger::Ledger;
use preempt::{Candidate, Tenancy};
use refusal::{Preemption, Refusal};
use subscribe::is_waiting;
use volumes::{Needs, Storage};
use write::Nomination;

const NAME: &str = "default-scheduler";
/// Bindings that are written at once while the next pods are placed.
const BINDINGS_MAX: usize = 32;

struct Scheduler {
    client: Client,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    namespaces: Cache<Namespace>,
    budgets: Cache<PodDisruptionBudget>,
    storage: Storage,
    recorder: Recorder,
    ledger: Arc<Mutex<Ledger>>,
    queue: Queue<Key>,
    bindings: Arc<Semaphore>,
}

/// Runs the scheduler for ever, writing through `client` (`system:kube-scheduler`).
pub async fn run(caches: Caches, client: Client) {
    let scheduler = Arc::new(Scheduler {
        pods: caches.of(),
        nodes: caches.of(),
        namespaces: caches.of(),
        budgets: caches.of(),
        storage: Storage {
            claims: caches.of(),
            volumes: caches.of(),
            classes: caches.of(),
        },
        recorder: Recorder::new(client.clone(), NAME),
        client,
        ledger: Arc::default(),
        queue: Queue::default(),
        bindings: Arc::new(Semaphore::new(BINDINGS_MAX)),
    });
    scheduler.pods.ready().await;
    scheduler.nodes.ready().await;
    scheduler.namespaces.ready().await;
    scheduler.budgets.ready().await;
    scheduler.storage.claims.ready().await;
    scheduler.storage.volumes.ready().await;
    scheduler.storage.classes.ready().await;
    subscribe::subscribe(&scheduler);
    let queue = scheduler.queue.clone();
    // One at a time: each decision counts on the ones before it.
    coracle_client::run("scheduler", queue, 1, move |key| {
        let scheduler = scheduler.clone();
        async move { scheduler.schedule(&key).await }
    })
    .await;
}

impl Scheduler {
    async fn schedule(self: &Arc<Self>, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(pod) = self.pods.of(key).filter(|pod| is_waiting(pod)) else {
            return Ok(Outcome::Done);
        };
        if self.ledger.lock().is_assumed(key) {
            return Ok(Outcome::Done);
        }
        let nodes = self.nodes.all();
        let (needs, unusable) = match Needs::of(&pod, &self.storage) {
            Ok(needs) => (needs, None),
            Err(reason) => (Needs::default(), Some(reason)),
        };
        let placement = Placement {
            pod: &pod,
            nodes: &nodes,
            needs: &needs,
            peers: &self.peers(&pod, &nodes),
        };
        let chosen = match unusable {
            Some(reason) => Err(Refusal::everywhere(nodes.len(), reason)),
            None => placement.choose(|name| self.ledger.lock().load(name, key, &pod)),
        };
        let node = match chosen {
            Ok(node) => node,
            Err(refusal) => {
                self.make_room(key, &placement, &refusal).await?;
                return Ok(Outcome::Done);
            }
        };
        let steps = needs.steps(&node).unwrap_or_default();
        if steps.is_empty() {
            self.bind(key, &pod, &node.name_any()).await;
        }
        // The claims' changes bring the pod back.
        for step in steps {
            self.take(step, &node.name_any()).await?;
        }
        Ok(Outcome::Done)
    }

    /// Displaces others for a pod that fits nowhere, or says why nobody is.
    async fn make_room(
        &self,
        key: &Key,
        placement: &Placement<'_>,
        refusal: &Refusal,
    ) -> Result<(), kube::Error> {
        let pod = placement.pod;
        let candidate = match self.choose_victims(key, placement, refusal) {
            Ok(candidate) => candidate,
            Err(preemption) => {
                let nomination = match preemption {
                    Preemption::Futile(_) => Nomination::Cleared,
                    _ => Nomination::Kept,
                };
                let text = refusal.sentence(&preemption);
                return self.refuse(pod, &text, nomination).await;
            }
        };
        let node = candidate.node.name_any();
        self.ledger.lock().nominate(key, Some(&node));
        let text = refusal.sentence(&Preemption::Helps);
        self.refuse(pod, &text, Nomination::Of(&node)).await?;
        self.displace(pod, &candidate).await
    }

    fn choose_victims(
        &self,
        key: &Key,
        placement: &Placement<'_>,
        refusal: &Refusal,
    ) -> Result<Candidate, Preemption> {
        let tenancy = Tenancy {
            tenants: &|node| self.tenants(node),
            load: &|node| self.ledger.lock().load(node, key, placement.pod),
            budgets: &self.budgets.all(),
        };
        preempt::choose(placement, refusal, &tenancy)
    }

    /// Returns the pods on a node.
    fn tenants(&self, node: &str) -> Vec<Arc<Pod>> {
        let ledger = self.ledger.lock();
        let here = ledger.placed().filter(|(_, name)| *name == node);
        here.filter_map(|(key, _)| self.pods.of(key)).collect()
    }

    /// Returns the pods that count where the pod's place depends on others, and
    /// those that have a word in it.
    fn peers(&self, pod: &Pod, nodes: &[Arc<Node>]) -> Peers {
        let ledger = self.ledger.lock();
        let peer = |(key, name): (&Key, &str)| {
            let node = nodes.iter().find(|node| node.name_any() == name)?;
            Some(Peer {
                pod: self.pods.of(key)?,
                node: node.clone(),
            })
        };
        let counts = affinity::concerns_others(pod) || spread::counts_others(pod);
        let all = ledger.placed().filter(|_| counts);
        Peers {
            all: all.filter_map(peer).collect(),
            concerned: ledger.concerned().filter_map(peer).collect(),
            namespaces: self.namespaces.all(),
        }
    }
}
