//! The resident: follows the API and keeps kernel and data plane up to date.
//!
//! [`run`] reads shared caches, marks what has changed, and hands it to the
//! [`Core`]. Nothing is polled; a failure is tried again after a pause.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, Caches, Groups, Key, Recorder, key_of};
use coracle_dataplane::{Config, Report};
use coracle_netdev::Netlink;
use coracle_netdev::conntrack::{self, Flow};
use coracle_netdev::nft::Kernel;
use coracle_netdev::nft::expr::UDP;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use kube::Client;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};

use crate::announce::Announcements;
use crate::balancer;
use crate::base;
use crate::bootstrap;
use crate::core::{Core, Settings};
use crate::endpoints::SERVICE_LABEL;
use crate::ingress::{self, secrets};
use crate::policy::world::labels_of;
use crate::push::Pusher;
use crate::status::{self, Teller};

/// How long to wait before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the resident lives on.
pub struct Options {
    /// A client with the resident's own identity, whose role is
    /// `system:coracle:network`.
    pub client: Client,
    /// The shared caches.
    pub caches: Caches,
    /// What is the same for the life of the cluster.
    pub settings: Settings,
    /// The data plane's socket file.
    pub dataplane: PathBuf,
    /// Addresses of pods that their status does not have yet.
    pub announcements: Announcements,
}

/// Why the resident could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel's table could not be opened.
    #[error("cannot open nf_tables in the cluster's network namespace")]
    Table(#[source] coracle_netdev::Error),
}

/// Keeps kernel and data plane equal to what the API asks for, for ever.
///
/// Must run in the cluster's network namespace.
///
/// # Errors
/// Only when it cannot begin.
pub async fn run(options: Options) -> Result<(), Error> {
    let Options {
        client,
        caches,
        mut settings,
        dataplane,
        announcements,
    } = options;
    let kernel = Kernel::open().map_err(Error::Table)?;
    let trial = Kernel::open().map_err(Error::Table)?;
    settings.datagrams = base::has_datagrams(&settings.plan, trial);
    let (config, wanted) = watch::channel(Arc::new(Config::default()));
    let (report, reports) = watch::channel(Arc::new(Report::default()));
    tokio::spawn(ensure(client.clone(), settings.plan.clone()));
    tokio::spawn(
        Pusher {
            path: dataplane,
            config: wanted,
            report,
        }
        .run(),
    );
    let watched = Watched::start(&caches).await;
    let recorder = Recorder::new(client.clone(), "coracle-network");
    let mut agent = Agent {
        teller: Teller {
            client: client.clone(),
            services: watched.services.clone(),
            pods: watched.pods.clone(),
            recorder: recorder.clone(),
            told: HashSet::new(),
            refused: HashSet::new(),
        },
        ingress_teller: ingress::tell::Teller {
            client: client.clone(),
            ingresses: watched.ingresses.clone(),
            recorder,
            told: HashSet::new(),
        },
        client,
        secrets: None,
        core: Core::new(settings, kernel),
        watched,
        announcements,
        config,
        reports,
        failed: true,
        untold: false,
    };
    agent.follow().await;
    Ok(())
}

/// Writes the built-in Services, again until the API takes them.
async fn ensure(client: Client, plan: crate::AddressPlan) {
    while let Err(error) = bootstrap::ensure(&client, &plan).await {
        tracing::debug!(%error, "built-in services not written, trying again");
        tokio::time::sleep(AGAIN).await;
    }
}

/// What has changed and was not looked at yet.
#[derive(Debug, Default)]
struct Dirty {
    services: HashSet<Key>,
    /// Services whose endpoints have changed.
    endpoints: HashSet<Key>,
    pods: HashSet<Key>,
    namespaces: HashSet<Key>,
    policies: HashSet<Key>,
    ingresses: HashSet<Key>,
    classes: HashSet<Key>,
}

impl Dirty {
    fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.endpoints.is_empty()
            && self.pods.is_empty()
            && self.namespaces.is_empty()
            && self.policies.is_empty()
            && self.ingresses.is_empty()
            && self.classes.is_empty()
    }
}

/// The caches, and the marks they leave.
struct Watched {
    services: Cache<Service>,
    slices: Cache<EndpointSlice>,
    /// The slices of each Service.
    by_service: Groups<EndpointSlice>,
    pods: Cache<Pod>,
    namespaces: Cache<Namespace>,
    policies: Cache<NetworkPolicy>,
    ingresses: Cache<Ingress>,
    classes: Cache<IngressClass>,
    dirty: Arc<(Mutex<Dirty>, Notify)>,
}

impl Watched {
    async fn start(caches: &Caches) -> Self {
        let slices = caches.of();
        let watched = Watched {
            services: caches.of(),
            by_service: Groups::new(&slices, service_of),
            slices,
            pods: caches.of(),
            namespaces: caches.of(),
            policies: caches.of(),
            ingresses: caches.of(),
            classes: caches.of(),
            dirty: Arc::default(),
        };
        tokio::join!(
            watched.services.ready(),
            watched.slices.ready(),
            watched.pods.ready(),
            watched.namespaces.ready(),
            watched.policies.ready(),
            watched.ingresses.ready(),
            watched.classes.ready(),
        );
        watched.mark();
        watched
    }

    fn mark(&self) {
        let marker = |change: fn(&mut Dirty, Key)| {
            let dirty = self.dirty.clone();
            move |key: Key| {
                change(&mut dirty.0.lock(), key);
                dirty.1.notify_one();
            }
        };
        let service = marker(|dirty, key| {
            dirty.services.insert(key);
        });
        let slice = marker(|dirty, key| {
            dirty.endpoints.insert(key);
        });
        let pod = marker(|dirty, key| {
            dirty.pods.insert(key);
        });
        let namespace = marker(|dirty, key| {
            dirty.namespaces.insert(key);
        });
        let policy = marker(|dirty, key| {
            dirty.policies.insert(key);
        });
        let ingress = marker(|dirty, key| {
            dirty.ingresses.insert(key);
        });
        let class = marker(|dirty, key| {
            dirty.classes.insert(key);
        });
        self.services
            .on_change(move |object| service(key_of(&**object)));
        self.slices.on_transition(move |object| {
            if let Some(key) = service_of(object) {
                slice(key);
            }
        });
        self.pods.on_change(move |object| pod(key_of(&**object)));
        self.namespaces
            .on_change(move |object| namespace(key_of(&**object)));
        self.policies
            .on_change(move |object| policy(key_of(&**object)));
        self.ingresses
            .on_change(move |object| ingress(key_of(&**object)));
        self.classes
            .on_change(move |object| class(key_of(&**object)));
    }

    fn take(&self) -> Dirty {
        std::mem::take(&mut self.dirty.0.lock())
    }

    async fn changed(&self) {
        self.dirty.1.notified().await;
    }
}

fn service_of(slice: &EndpointSlice) -> Option<Key> {
    let labels = slice.metadata.labels.as_ref()?;
    let namespace = slice.metadata.namespace.as_ref()?;
    Some(Key::new(namespace, labels.get(SERVICE_LABEL)?))
}

struct Agent {
    core: Core<Kernel>,
    watched: Watched,
    teller: Teller,
    ingress_teller: ingress::tell::Teller,
    announcements: Announcements,
    client: Client,
    /// Secrets with certificates, once an Ingress names one.
    secrets: Option<mpsc::UnboundedReceiver<secrets::Change>>,
    config: watch::Sender<Arc<Config>>,
    reports: watch::Receiver<Arc<Report>>,
    /// The kernel's table may not be what the core remembers.
    failed: bool,
    /// A status could not be written.
    untold: bool,
}

impl Agent {
    async fn follow(&mut self) {
        // Whether there may be something to tell: endpoints come and go without.
        let mut is_due = true;
        loop {
            is_due |= self.take_changes();
            is_due |= self.take_secrets().await;
            is_due |= self.reports.has_changed().unwrap_or(false);
            let report = self.reports.borrow_and_update().clone();
            if is_due {
                self.assign_balancers(&report);
            }
            self.write();
            if is_due {
                self.tell(&report).await;
            }
            is_due = tokio::select! {
                () = self.watched.changed() => false,
                () = self.announcements.changed() => false,
                Some((key, secret)) = next(&mut self.secrets) => {
                    self.core.set_secret(key, secret);
                    true
                }
                changed = self.reports.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return,
                },
                () = tokio::time::sleep(AGAIN), if self.failed || self.untold => true,
            }
        }
    }

    /// Hands what has changed to the core; returns whether that may have to be
    /// told in a status.
    fn take_changes(&mut self) -> bool {
        let mut dirty = self.watched.take();
        dirty.pods.extend(self.announcements.take());
        if dirty.is_empty() {
            return false;
        }
        let is_told =
            !dirty.services.is_empty() || !dirty.ingresses.is_empty() || !dirty.classes.is_empty();
        for key in dirty.namespaces {
            let labels = self.watched.namespaces.of(&key).map(|n| labels_of(&n));
            self.core.set_namespace(&key.name, labels);
        }
        for key in dirty.policies {
            let policy = self.watched.policies.of(&key);
            self.core.set_policy(key, policy.map(Arc::unwrap_or_clone));
        }
        for key in dirty.pods {
            let pod = self.watched.pods.of(&key);
            let facts = self.announcements.facts(&key, pod.as_deref());
            self.core.set_pod(key, facts);
        }
        for key in dirty.classes {
            let class = self.watched.classes.of(&key);
            self.core.set_ingress_class(key.name, class);
        }
        for key in dirty.ingresses {
            let ingress = self.watched.ingresses.of(&key);
            self.core.set_ingress(key, ingress);
        }
        for key in dirty.services.union(&dirty.endpoints) {
            let service = self.watched.services.of(key);
            let slices = self.watched.by_service.members(key);
            self.core.set_service(key, service, slices);
        }
        is_told
    }

    /// Takes Secrets that have changed; begins to follow them when they are
    /// asked for. Returns whether there were any.
    async fn take_secrets(&mut self) -> bool {
        if self.secrets.is_none() && self.core.ingresses().has_tls() {
            self.secrets = Some(secrets::follow(self.client.clone()).await);
        }
        let mut were_any = false;
        while let Some(Ok((key, secret))) = self.secrets.as_mut().map(|s| s.try_recv()) {
            self.core.set_secret(key, secret);
            were_any = true;
        }
        were_any
    }

    /// Writes table and configuration.
    fn write(&mut self) {
        let written = match self.failed {
            true => self.core.resume(),
            false => self.core.commit(),
        };
        self.failed = written.is_err();
        match written {
            Ok(_) => self.announcements.settle(self.core.has_policies()),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "rules not written, trying again"
            ),
        }
        self.forget_flows();
        if let Some(config) = self.core.config() {
            self.config.send_replace(Arc::new(config));
        }
    }

    /// Lets datagrams to endpoints that are gone find another.
    fn forget_flows(&mut self) {
        let stale = self.core.take_stale();
        if stale.is_empty() || self.failed {
            return;
        }
        let gone = |flow: &Flow| {
            flow.original.protocol == UDP
                && stale.contains(&flow.reply.source)
                && flow.original.destination != flow.reply.source
        };
        let forgotten =
            Netlink::netfilter().and_then(|mut netlink| conntrack::forget(&mut netlink, gone));
        if let Err(error) = forgotten {
            tracing::warn!(%error, "datagrams may go on to an endpoint that is gone");
        }
    }

    fn assign_balancers(&mut self, report: &Report) {
        let Some(own) = self.core.host_address() else {
            return;
        };
        let taken = status::taken(report);
        let reserved = match self.core.ingresses().served().is_empty() {
            true => BTreeSet::new(),
            false => balancer::of_ingress(own),
        };
        let assigned = self.core.balancers().clone();
        let wishes: Vec<_> = self
            .core
            .services()
            .filter_map(|(key, service)| balancer::wish(key, service))
            .map(|mut wish| {
                // What was decided here counts before what the status says.
                wish.current = assigned.get(&wish.key).copied().or(wish.current);
                wish
            })
            .collect();
        let balancers: BTreeMap<_, _> = match wishes.is_empty() {
            true => BTreeMap::new(),
            false => balancer::assign(&wishes, own, &taken, &reserved),
        };
        self.core.set_balancers(balancers);
    }

    async fn tell(&mut self, report: &Report) {
        self.teller.events(report);
        self.untold = false;
        if let Err(error) = self.teller.statuses(self.core.balancers(), report).await {
            tracing::warn!(%error, "status of a LoadBalancer not written, trying again");
            self.untold = true;
        }
        let Some(own) = self.core.host_address() else {
            return;
        };
        let (ingresses, generation) = (self.core.ingresses(), self.core.generation());
        self.ingress_teller.events(ingresses, report);
        let told = self
            .ingress_teller
            .statuses(ingresses, own, report, generation)
            .await;
        if let Err(error) = told {
            tracing::warn!(%error, "status of an Ingress not written, trying again");
            self.untold = true;
        }
    }
}

/// Waits for a change of a Secret; for ever while none is followed.
async fn next(
    secrets: &mut Option<mpsc::UnboundedReceiver<secrets::Change>>,
) -> Option<secrets::Change> {
    match secrets {
        Some(secrets) => secrets.recv().await,
        None => std::future::pending().await,
    }
}
