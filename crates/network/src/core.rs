//! Joins the decisions: what is known of the world, and what it asks for.
//!
//! Main type: [`Core`]. It is told of changes, writes the difference to the
//! kernel's table on [`Core::commit`], and returns the data plane's
//! configuration. It knows no API and no socket.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use coracle_client::Key;
use coracle_dataplane::Config;
use coracle_dataplane::config::{self, Check, Dns, Egress, Forward};
use coracle_netdev::nft::{Data, Fragment, Kernel, Key as NftKey, Sink, Table};
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};

use crate::ingress::Ingresses;
use crate::ingress::authority::Issue;
use crate::ingress::resolve::Services;
use crate::names::Records;
use crate::plan::AddressPlan;
use crate::policy::world::Labels;
use crate::policy::{self, PodFacts, Policy, World};
use crate::{base, endpoints, forward, health, hostport, names, service};

/// How long askers may keep an answer, in seconds: the default of CoreDNS'
/// kubernetes plugin.
const TTL_SECONDS: u32 = 5;
const DNS_PORT: u16 = 53;

/// What is the same for the life of a cluster.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The addresses.
    pub plan: AddressPlan,
    /// The domain of the cluster's names, `cluster.local`.
    pub domain: String,
    /// Whether the kernel can take datagrams in that leave the cluster; the
    /// resident finds out by itself ([`base::has_datagrams`]).
    pub datagrams: bool,
    /// Host addresses on which node ports are opened; the first is also the
    /// first address of LoadBalancers.
    pub host_addresses: Vec<IpAddr>,
    /// Further host addresses on which ports are opened.
    pub listen: Vec<IpAddr>,
    /// What issues certificates for hosts that bring none.
    pub authority: Option<Issue>,
}

impl Settings {
    /// Returns the usual settings: `cluster.local`, host ports on `localhost`.
    pub fn new(plan: AddressPlan) -> Self {
        Settings {
            plan,
            domain: "cluster.local".to_owned(),
            datagrams: true,
            host_addresses: forward::with_twin(Ipv4Addr::LOCALHOST.into()).collect(),
            listen: Vec::new(),
            authority: None,
        }
    }
}

impl Settings {
    /// Returns all host addresses on which ports are opened. One that stands
    /// for all of its family leaves no place for single ones beside it.
    pub fn open_addresses(&self) -> Vec<IpAddr> {
        let is_covered = |address: &IpAddr| {
            let mut all = self.listen.iter().filter(|open| open.is_unspecified());
            !address.is_unspecified() && all.any(|open| open.is_ipv4() == address.is_ipv4())
        };
        let mut open = Vec::new();
        for address in self.host_addresses.iter().chain(&self.listen) {
            if !is_covered(address) && !open.contains(address) {
                open.push(*address);
            }
        }
        open
    }
}

/// All that is known and wanted.
pub struct Core<S> {
    settings: Settings,
    table: Table<S>,
    services: BTreeMap<Key, Entry>,
    balancers: BTreeMap<Key, IpAddr>,
    ingresses: Ingresses,
    /// Rises when policies change.
    era: u64,
    world: World,
    /// Owners of the policies' fragments in the table.
    restricted: BTreeSet<String>,
    policies_changed: bool,
    pending: BTreeMap<String, Option<Fragment>>,
    /// Endpoints of datagrams that are gone.
    stale: Vec<SocketAddrV4>,
    config_changed: bool,
    generation: u64,
}

struct Entry {
    service: Arc<Service>,
    slices: Vec<Arc<EndpointSlice>>,
    forwards: Vec<Forward>,
    check: Option<Check>,
    records: Records,
}

impl Entry {
    /// Returns whether the data plane has the same to do for another.
    fn is_carried_as(&self, other: &Entry) -> bool {
        self.forwards == other.forwards
            && self.check == other.check
            && self.records == other.records
    }
}

impl<S: Sink> Core<S> {
    /// Returns a core that knows nothing but the settings.
    pub fn new(settings: Settings, sink: S) -> Self {
        let world = World::new(&settings.plan);
        let pending = constant(&settings)
            .into_iter()
            .map(|(owner, fragment)| (owner, Some(fragment)))
            .collect();
        Core {
            table: Table::new(base::TABLE, sink),
            services: BTreeMap::new(),
            balancers: BTreeMap::new(),
            ingresses: Ingresses::new(settings.authority.clone()),
            era: 0,
            world,
            restricted: BTreeSet::new(),
            policies_changed: false,
            pending,
            stale: Vec::new(),
            config_changed: true,
            generation: 0,
            settings,
        }
    }

    /// Tells of a Service as it is now, with its own EndpointSlices.
    pub fn set_service(
        &mut self,
        key: &Key,
        service: Option<Arc<Service>>,
        slices: Vec<Arc<EndpointSlice>>,
    ) {
        let owner = service::owner(&key.namespace, &key.name);
        self.config_changed |= self.ingresses.names(key);
        let Some(service) = service else {
            if let Some(entry) = self.services.remove(key) {
                self.stale.extend(datagram_endpoints(&entry));
                self.config_changed |= !entry.forwards.is_empty() || !entry.records.is_empty();
                self.pending.insert(owner, None);
            }
            return;
        };
        let fragment = service::fragment(&service, &slices);
        self.pending.insert(owner, Some(fragment));
        let entry = self.entry(key, service, slices);
        let before = self.services.get(key);
        self.config_changed |= before.is_none_or(|before| !before.is_carried_as(&entry));
        let now = datagram_endpoints(&entry);
        if let Some(before) = self.services.insert(key.clone(), entry) {
            let gone = datagram_endpoints(&before);
            self.stale.extend(gone.difference(&now));
        }
    }

    /// Returns endpoints of datagrams that are gone since it was last asked.
    ///
    /// Flows to them are still tracked and must be forgotten, once the table no
    /// longer leads there.
    pub fn take_stale(&mut self) -> Vec<SocketAddrV4> {
        std::mem::take(&mut self.stale)
    }

    /// Tells which LoadBalancer has which host address.
    pub fn set_balancers(&mut self, balancers: BTreeMap<Key, IpAddr>) {
        if self.balancers == balancers {
            return;
        }
        let before = std::mem::replace(&mut self.balancers, balancers);
        let changed: Vec<Key> = self
            .services
            .keys()
            .filter(|key| before.get(key) != self.balancers.get(key))
            .cloned()
            .collect();
        for key in changed {
            if let Some(entry) = self.services.remove(&key) {
                let entry = self.entry(&key, entry.service, entry.slices);
                self.services.insert(key, entry);
            }
        }
        self.config_changed = true;
    }

    /// Returns the cluster's own address on the host.
    pub fn host_address(&self) -> Option<IpAddr> {
        self.settings.host_addresses.first().copied()
    }

    /// Returns which LoadBalancer has which host address.
    pub fn balancers(&self) -> &BTreeMap<Key, IpAddr> {
        &self.balancers
    }

    /// Returns the Services.
    pub fn services(&self) -> impl Iterator<Item = (&Key, &Arc<Service>)> {
        self.services
            .iter()
            .map(|(key, entry)| (key, &entry.service))
    }

    /// Tells of a pod as it is now; `None` when it has no address (any more).
    pub fn set_pod(&mut self, key: Key, facts: Option<PodFacts>) {
        let before = self.world.pods.get(&key).map(|pod| pod.address);
        let now = facts.as_ref().map(|pod| pod.address);
        let opened = self.world.pods.get(&key).is_some_and(has_host_ports);
        if !self.world.set_pod(key.clone(), facts) {
            return;
        }
        self.policies_changed |= !self.world.policies.is_empty();
        if opened || self.world.pods.get(&key).is_some_and(has_host_ports) {
            let fragment = hostport::fragment(&self.world.pods);
            self.pending
                .insert(hostport::OWNER.to_owned(), Some(fragment));
            self.config_changed = true;
        }
        if before != now {
            for address in before.into_iter().chain(now) {
                self.set_hairpin(address);
            }
        }
    }

    /// Tells of a namespace's labels; `None` when it is gone.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        if self.world.set_namespace(name, labels) {
            self.policies_changed |= !self.world.policies.is_empty();
            self.config_changed = true;
        }
    }

    /// Tells of a policy; `None` when it is gone.
    pub fn set_policy(&mut self, key: Key, policy: Option<NetworkPolicy>) {
        if self.world.set_policy(key, policy) {
            self.policies_changed = true;
            // What is open stays open; the Ingress makes connections anew.
            self.era += 1;
            self.config_changed |= !self.ingresses.served().is_empty();
        }
    }

    /// Tells of an Ingress; `None` when it is gone.
    pub fn set_ingress(&mut self, key: Key, ingress: Option<Arc<Ingress>>) {
        self.config_changed |= self.ingresses.set(key, ingress);
    }

    /// Tells of an IngressClass; `None` when it is gone.
    pub fn set_ingress_class(&mut self, name: String, class: Option<Arc<IngressClass>>) {
        self.ingresses.set_class(name, class);
        self.config_changed = true;
    }

    /// Tells of a Secret with a certificate; `None` when it is gone.
    pub fn set_secret(&mut self, key: Key, secret: Option<Arc<Secret>>) {
        self.ingresses.set_secret(key, secret);
        self.config_changed = true;
    }

    /// Returns the Ingresses and what they were resolved to.
    pub fn ingresses(&self) -> &Ingresses {
        &self.ingresses
    }

    /// Returns the number of the latest configuration.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Writes the difference to the table; returns the number of edits.
    ///
    /// # Errors
    /// The table is as it was; the change is tried again with the next one.
    pub fn commit(&mut self) -> coracle_netdev::Result<usize> {
        self.resolve_policies();
        if self.pending.is_empty() {
            return Ok(0);
        }
        let wanted = self.pending.clone().into_iter().collect();
        let edits = self.table.apply(wanted)?;
        self.pending.clear();
        Ok(edits)
    }

    /// Returns whether there are policies: while there are, unknown pods are held.
    pub fn has_policies(&self) -> bool {
        !self.world.policies.is_empty()
    }

    /// Returns the policies with addresses in place of selectors.
    pub fn policies(&self) -> Vec<Policy> {
        policy::resolve(&self.world)
    }

    /// Returns the data plane's configuration if it has changed since.
    pub fn config(&mut self) -> Option<Config> {
        if !std::mem::take(&mut self.config_changed) {
            return None;
        }
        self.generation += 1;
        let plan = &self.settings.plan;
        let addresses = &self.settings.open_addresses();
        let pods = self.world.pods.iter();
        let of_pods = pods.flat_map(|(key, pod)| hostport::forwards(key, pod, addresses));
        let forwards = self.services.values().flat_map(|e| e.forwards.clone());
        let forwards = forwards.chain(of_pods);
        let checks = self.services.values().filter_map(|e| e.check.as_ref());
        let services = Known(&self.services);
        let ingress = self.ingresses.config(&services, plan, addresses);
        let era = self.era;
        let ingress = ingress.map(|ingress| config::Ingress { era, ..ingress });
        Some(Config {
            generation: self.generation,
            forward_source: Some(plan.forwarder()),
            forwards: forwards.collect(),
            checks: checks.cloned().collect(),
            dns: Some(self.dns()),
            egress: Some(Egress {
                listen: (plan.node(), plan.egress_port).into(),
                host: Some(plan.host()),
            }),
            ingress,
        })
    }

    fn dns(&self) -> Dns {
        let Settings { plan, domain, .. } = &self.settings;
        let mut records = names::constant(domain, plan.host(), plan.dns_service());
        for entry in self.services.values() {
            for (name, list) in &entry.records {
                records
                    .entry(name.clone())
                    .or_default()
                    .extend(list.iter().cloned());
            }
        }
        let zone_of_pods = |namespace: &String| format!("{namespace}.pod.{domain}");
        Dns {
            listen: vec![(plan.dns(), DNS_PORT).into()],
            zones: vec![domain.clone()],
            records,
            dashed: self.world.namespaces.keys().map(zone_of_pods).collect(),
            ttl: TTL_SECONDS,
        }
    }

    fn entry(&self, key: &Key, service: Arc<Service>, slices: Vec<Arc<EndpointSlice>>) -> Entry {
        let balancer = self.balancers.get(key).copied();
        let node = self.settings.plan.node().into();
        let addresses = &self.settings.open_addresses();
        Entry {
            check: health::check(&service, &slices, addresses, node),
            forwards: forward::forwards(
                &service,
                &slices,
                addresses,
                &self.balancer_addresses(balancer),
            ),
            records: names::of_service(&service, &slices, &self.settings.domain),
            service,
            slices,
        }
    }

    /// Returns the host addresses of a LoadBalancer: one of its own, or all of
    /// the cluster's.
    fn balancer_addresses(&self, assigned: Option<IpAddr>) -> Vec<IpAddr> {
        let Some(address) = assigned else {
            return Vec::new();
        };
        match Some(address) == self.host_address() {
            true => self.settings.open_addresses(),
            false => vec![address],
        }
    }

    /// An address is its own while any pod has it: it may have gone from one
    /// pod to another.
    fn set_hairpin(&mut self, address: Ipv4Addr) {
        let held = self.world.pods.values().any(|pod| pod.address == address);
        let fragment = held.then(|| hairpin(address));
        self.pending.insert(format!("hairpin/{address}"), fragment);
    }

    fn resolve_policies(&mut self) {
        if !std::mem::take(&mut self.policies_changed) {
            return;
        }
        let fragments = policy::fragments(&self.policies(), &self.settings.plan);
        for owner in &self.restricted {
            self.pending.insert(owner.clone(), None);
        }
        self.restricted = fragments.keys().cloned().collect();
        for (owner, fragment) in fragments {
            self.pending.insert(owner, Some(fragment));
        }
    }
}

impl Core<Kernel> {
    /// Goes on with the table that is in the kernel, whatever it holds, and
    /// makes it hold exactly what is wanted; returns the number of edits.
    pub fn resume(&mut self) -> coracle_netdev::Result<usize> {
        self.policies_changed = true;
        self.resolve_policies();
        let mut wanted = constant(&self.settings);
        for (key, entry) in &self.services {
            let owner = service::owner(&key.namespace, &key.name);
            wanted.insert(owner, service::fragment(&entry.service, &entry.slices));
        }
        for pod in self.world.pods.values() {
            wanted.insert(format!("hairpin/{}", pod.address), hairpin(pod.address));
        }
        wanted.insert(
            hostport::OWNER.to_owned(),
            hostport::fragment(&self.world.pods),
        );
        wanted.extend(policy::fragments(&self.policies(), &self.settings.plan));
        let edits = self.table.resume(wanted)?;
        self.pending.clear();
        Ok(edits)
    }
}

/// Services as Ingresses refer to them.
struct Known<'a>(&'a BTreeMap<Key, Entry>);

impl Services for Known<'_> {
    fn find(&self, key: &Key) -> Option<(&Service, &[Arc<EndpointSlice>])> {
        let entry = self.0.get(key)?;
        Some((&entry.service, &entry.slices))
    }
}

fn has_host_ports(pod: &PodFacts) -> bool {
    !pod.host_ports.is_empty()
}

fn constant(settings: &Settings) -> BTreeMap<String, Fragment> {
    let mut fragments = BTreeMap::from([(base::OWNER.to_owned(), base::fragment(&settings.plan))]);
    if settings.datagrams {
        let owner = base::DATAGRAMS_OWNER.to_owned();
        fragments.insert(owner, base::datagrams(&settings.plan));
    }
    fragments
}

/// Returns the endpoints of a Service that take datagrams.
fn datagram_endpoints(entry: &Entry) -> BTreeSet<SocketAddrV4> {
    let spec = entry.service.spec.iter();
    spec.flat_map(|spec| spec.ports.iter().flatten())
        .filter(|port| endpoints::protocol(&port.protocol) == "UDP")
        .flat_map(|port| endpoints::of_port(&entry.slices, port))
        .collect()
}

fn hairpin(address: Ipv4Addr) -> Fragment {
    let mut fragment = Fragment::default();
    let key = NftKey::default().address(address).address(address);
    fragment.element(base::HAIRPIN, key, Data::None);
    fragment
}
