//! Cluster addresses and node ports of Services: [`Allocations`] knows which
//! are taken by following the stored Services, and holds what a request has
//! been given until it is stored.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use coracle_machinery::kind::Kind;
use coracle_store::Store;
use parking_lot::Mutex;
use rand::Rng;
use serde_json::{Value, json};

use crate::follow::{Change, Follower};
use crate::object::Stored;
use crate::status::{ApiError, ApiResult};

const PREFIX: &str = "/core/services/";
/// The API server's own Service has the first address of the range.
const FIRST_RESERVED: u32 = 1;

/// A range of IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Range {
    /// First address.
    pub base: Ipv4Addr,
    /// Length of the common prefix, at most 30.
    pub prefix_len: u8,
}

impl Default for Ipv4Range {
    fn default() -> Ipv4Range {
        Ipv4Range {
            base: Ipv4Addr::new(10, 96, 0, 0),
            prefix_len: 16,
        }
    }
}

impl std::fmt::Display for Ipv4Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix_len)
    }
}

impl std::str::FromStr for Ipv4Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Ipv4Range, String> {
        let wrong = || format!("{text:?} is not an IPv4 range such as 10.96.0.0/16");
        let (base, length) = text.split_once('/').ok_or_else(wrong)?;
        let base: Ipv4Addr = base.parse().map_err(|_| wrong())?;
        let prefix_len: u8 = length
            .parse()
            .ok()
            .filter(|length| (8..=30).contains(length))
            .ok_or_else(wrong)?;
        let base = Ipv4Addr::from(u32::from(base) & !host_mask(prefix_len));
        Ok(Ipv4Range { base, prefix_len })
    }
}

fn host_mask(prefix_len: u8) -> u32 {
    u32::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0)
}

impl Ipv4Range {
    /// Whether an address can be a Service's: neither the first nor the last of the range.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address).wrapping_sub(u32::from(self.base));
        offset > 0 && offset < host_mask(self.prefix_len)
    }

    /// Returns the first usable address, the one of Service `kubernetes`.
    #[must_use]
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base) + FIRST_RESERVED)
    }
}

/// A range of ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

impl Default for PortRange {
    fn default() -> PortRange {
        PortRange {
            first: 30000,
            last: 32767,
        }
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl std::str::FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<PortRange, String> {
        let wrong = || format!("{text:?} is not a range of ports such as 30000-32767");
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let (first, last) = (
            first.parse().map_err(|_| wrong())?,
            last.parse().map_err(|_| wrong())?,
        );
        if first == 0 || first > last {
            Err(wrong())
        } else {
            Ok(PortRange { first, last })
        }
    }
}

type Port = (String, u16);

#[derive(Default, Clone)]
struct Claims {
    addresses: Vec<Ipv4Addr>,
    ports: Vec<Port>,
}

struct State {
    follower: Follower,
    by_key: HashMap<String, Claims>,
    addresses: HashMap<Ipv4Addr, usize>,
    ports: HashMap<Port, usize>,
}

/// Which addresses and ports are taken.
pub struct Allocations {
    state: Arc<Mutex<State>>,
    store: Store<Stored>,
    range: Ipv4Range,
    node_ports: PortRange,
}

/// What a request has been given; given back when dropped before the store
/// has it.
pub struct Allocation {
    state: Option<Arc<Mutex<State>>>,
    claims: Claims,
}

impl Allocation {
    /// Nothing.
    pub fn none() -> Allocation {
        Allocation {
            state: None,
            claims: Claims::default(),
        }
    }

    /// The store has it now: the stored Service holds it from here on.
    pub fn keep(self) {}
}

impl Drop for Allocation {
    fn drop(&mut self) {
        if let Some(state) = &self.state {
            state.lock().release(&self.claims);
        }
    }
}

impl State {
    fn claim(&mut self, claims: &Claims) {
        for address in &claims.addresses {
            *self.addresses.entry(*address).or_default() += 1;
        }
        for port in &claims.ports {
            *self.ports.entry(port.clone()).or_default() += 1;
        }
    }

    fn release(&mut self, claims: &Claims) {
        for address in &claims.addresses {
            if let Some(count) = self.addresses.get_mut(address) {
                *count -= 1;
                if *count == 0 {
                    self.addresses.remove(address);
                }
            }
        }
        for port in &claims.ports {
            if let Some(count) = self.ports.get_mut(port) {
                *count -= 1;
                if *count == 0 {
                    self.ports.remove(port);
                }
            }
        }
    }

    fn set(&mut self, key: &str, service: Option<&Stored>) {
        if let Some(before) = self.by_key.remove(key) {
            self.release(&before);
        }
        if let Some(service) = service {
            let claims = claims_of(&service.to_plain_value());
            self.claim(&claims);
            self.by_key.insert(key.to_owned(), claims);
        }
    }

    fn follow(&mut self, store: &Store<Stored>) {
        // The follower is put aside while it shows what changed to this.
        let mut follower = std::mem::replace(&mut self.follower, Follower::new(PREFIX));
        follower.catch_up(store, |change| match change {
            Change::Restart => self.forget(),
            Change::Is(key, service) => self.set(key, Some(service)),
            Change::Gone(key) => self.set(key, None),
        });
        self.follower = follower;
    }

    /// Forgets what is stored, not what requests under way have been given.
    fn forget(&mut self) {
        for claims in std::mem::take(&mut self.by_key).into_values() {
            self.release(&claims);
        }
    }
}

fn claims_of(service: &Value) -> Claims {
    let spec = &service["spec"];
    let addresses = spec["clusterIPs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|ip| ip.as_str()?.parse().ok());
    let mut ports: Vec<Port> = Vec::new();
    for port in spec["ports"].as_array().into_iter().flatten() {
        if let Some(number) = port_number(&port["nodePort"]) {
            ports.push((protocol(port), number));
        }
    }
    if let Some(number) = port_number(&spec["healthCheckNodePort"]) {
        ports.push(("TCP".to_owned(), number));
    }
    Claims {
        addresses: addresses.collect(),
        ports,
    }
}

fn port_number(value: &Value) -> Option<u16> {
    value
        .as_u64()
        .and_then(|number| u16::try_from(number).ok())
        .filter(|&number| number != 0)
}

fn protocol(port: &Value) -> String {
    port["protocol"].as_str().unwrap_or("TCP").to_owned()
}

/// One Service on its way.
struct Request<'a> {
    kind: &'static Kind,
    name: String,
    before: Claims,
    state: &'a mut State,
    range: Ipv4Range,
    node_ports: PortRange,
    given: Claims,
    dry_run: bool,
}

impl Allocations {
    /// Starts from what is stored and follows it.
    pub fn new(store: &Store<Stored>, range: Ipv4Range, node_ports: PortRange) -> Allocations {
        let state = State {
            follower: Follower::new(PREFIX),
            by_key: HashMap::new(),
            addresses: HashMap::new(),
            ports: HashMap::new(),
        };
        Allocations {
            state: Arc::new(Mutex::new(state)),
            store: store.clone(),
            range,
            node_ports,
        }
    }

    /// Gives a Service what it needs and does not have.
    ///
    /// # Errors
    /// 422 for values that are taken or out of range.
    pub fn for_service(
        &self,
        kind: &'static Kind,
        service: &mut Value,
        live: Option<&Value>,
        dry_run: bool,
    ) -> ApiResult<Allocation> {
        let mut state = self.state.lock();
        state.follow(&self.store);
        let mut request = Request {
            kind,
            name: service["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            before: live.map(claims_of).unwrap_or_default(),
            state: &mut state,
            range: self.range,
            node_ports: self.node_ports,
            given: Claims::default(),
            dry_run,
        };
        let outcome = request.run(service);
        let given = request.given;
        if outcome.is_err() || dry_run {
            state.release(&given);
            return outcome.map(|()| Allocation::none());
        }
        Ok(Allocation {
            state: Some(self.state.clone()),
            claims: given,
        })
    }
}

impl Request<'_> {
    fn run(&mut self, service: &mut Value) -> ApiResult<()> {
        let spec = &mut service["spec"];
        let asked = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
        if !asked.is_empty() && spec["clusterIPs"].as_array().is_none_or(Vec::is_empty) {
            spec["clusterIPs"] = json!([asked]);
        }
        let wants_address = spec["type"] != "ExternalName";
        if wants_address {
            self.check_families(spec)?;
            self.families(spec);
            self.address(spec)?;
        }
        if has_node_ports(spec) {
            self.ports(spec)?;
        }
        let local = spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local";
        if local {
            self.health_port(spec)?;
        }
        Ok(())
    }

    /// The cluster has IPv4 alone; a Service without addresses may name any family.
    fn check_families(&self, spec: &Value) -> ApiResult<()> {
        let open = spec["clusterIP"] == "None"
            && spec["selector"]
                .as_object()
                .is_none_or(serde_json::Map::is_empty);
        if open {
            return Ok(());
        }
        let refuse = |field: &str, message: String| {
            Err(ApiError::invalid_field(
                self.kind,
                &self.name,
                "FieldValueInvalid",
                field,
                message,
            ))
        };
        if spec["ipFamilyPolicy"] == "RequireDualStack" {
            let message = "Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services";
            return refuse("spec.ipFamilyPolicy", message.to_owned());
        }
        let families = spec["ipFamilies"].as_array().into_iter().flatten();
        match families.enumerate().find(|(_, family)| *family == "IPv6") {
            None => Ok(()),
            Some((index, family)) => {
                let message = format!("Invalid value: {family}: not configured on this cluster");
                refuse(&format!("spec.ipFamilies[{index}]"), message)
            }
        }
    }

    fn families(&self, spec: &mut Value) {
        if spec["ipFamilies"].as_array().is_none_or(Vec::is_empty) {
            let headless = spec["clusterIP"] == "None";
            let selectorless = spec["selector"]
                .as_object()
                .is_none_or(serde_json::Map::is_empty);
            // A headless Service without selector may hold endpoints of any family.
            if headless && selectorless && spec["ipFamilyPolicy"].is_null() {
                spec["ipFamilyPolicy"] = json!("RequireDualStack");
                spec["ipFamilies"] = json!(["IPv4", "IPv6"]);
                return;
            }
            spec["ipFamilies"] = json!(["IPv4"]);
        }
        if spec["ipFamilyPolicy"]
            .as_str()
            .unwrap_or_default()
            .is_empty()
        {
            spec["ipFamilyPolicy"] = json!("SingleStack");
        }
    }

    fn address(&mut self, spec: &mut Value) -> ApiResult<()> {
        let asked = spec["clusterIP"]
            .as_str()
            .filter(|ip| !ip.is_empty())
            .or_else(|| spec["clusterIPs"][0].as_str())
            .unwrap_or_default()
            .to_owned();
        if asked == "None" {
            spec["clusterIP"] = json!("None");
            spec["clusterIPs"] = json!(["None"]);
            return Ok(());
        }
        let address = if asked.is_empty() {
            let address = self.any_address()?;
            self.needs_name(address)?;
            address
        } else {
            // What does not parse is refused by validation.
            let Ok(address) = asked.parse() else {
                return Ok(());
            };
            self.this_address(address)?
        };
        spec["clusterIP"] = json!(address.to_string());
        if spec["clusterIPs"].as_array().is_none_or(Vec::is_empty) {
            spec["clusterIPs"] = json!([address.to_string()]);
        }
        Ok(())
    }

    /// Upstream notes the holder of an address before it judges the Service.
    fn needs_name(&self, address: Ipv4Addr) -> ApiResult<()> {
        if self.dry_run || !self.name.is_empty() {
            return Ok(());
        }
        let message = format!(
            "Invalid value: [\"\"]: failed to allocate IP: IPAddress.networking.k8s.io \"{address}\" is invalid: spec.parentRef.name: Required value"
        );
        let field = "spec.clusterIPs";
        Err(ApiError::invalid_field(
            self.kind,
            &self.name,
            "FieldValueInvalid",
            field,
            message,
        ))
    }

    fn claim_address(&mut self, address: Ipv4Addr) {
        let claims = Claims {
            addresses: vec![address],
            ports: vec![],
        };
        self.state.claim(&claims);
        self.given.addresses.push(address);
    }

    /// A dry run is answered alike each time, so it draws no lot.
    fn any_address(&mut self) -> ApiResult<Ipv4Addr> {
        let size = host_mask(self.range.prefix_len);
        let start = if self.dry_run {
            size / 2
        } else {
            rand::rng().random_range(0..size)
        };
        for step in 0..size {
            let address = Ipv4Addr::from(u32::from(self.range.base) + (start + step) % size);
            let reserved = address == self.range.first();
            if self.range.contains(address)
                && !reserved
                && !self.state.addresses.contains_key(&address)
            {
                self.claim_address(address);
                return Ok(address);
            }
        }
        Err(ApiError::internal(
            "failed to allocate a serviceIP: range is full",
        ))
    }

    fn this_address(&mut self, address: Ipv4Addr) -> ApiResult<Ipv4Addr> {
        if self.before.addresses.contains(&address) {
            return Ok(address);
        }
        let why = if !self.range.contains(address) {
            "the provided network does not match the current range".to_owned()
        } else if self.state.addresses.contains_key(&address) {
            "provided IP is already allocated".to_owned()
        } else {
            self.claim_address(address);
            return Ok(address);
        };
        let message =
            format!("Invalid value: [\"{address}\"]: failed to allocate IP {address}: {why}");
        Err(ApiError::invalid_field(
            self.kind,
            &self.name,
            "FieldValueInvalid",
            "spec.clusterIPs",
            message,
        ))
    }

    fn ports(&mut self, spec: &mut Value) -> ApiResult<()> {
        // One number may serve several protocols of one Service.
        let mut own: BTreeMap<u16, HashSet<String>> = BTreeMap::new();
        let mut ports = spec["ports"].as_array().cloned().unwrap_or_default();
        for (index, port) in ports.iter_mut().enumerate() {
            let field = format!("spec.ports[{index}].nodePort");
            let protocol = protocol(port);
            let number = match port_number(&port["nodePort"]) {
                Some(number) => self.this_port(number, &protocol, &field)?,
                None => self.any_port(&protocol, &own, &field)?,
            };
            own.entry(number).or_default().insert(protocol);
            port["nodePort"] = json!(number);
        }
        if !ports.is_empty() {
            spec["ports"] = json!(ports);
        }
        Ok(())
    }

    fn health_port(&mut self, spec: &mut Value) -> ApiResult<()> {
        let field = "spec.healthCheckNodePort";
        let number = match port_number(&spec["healthCheckNodePort"]) {
            Some(number) => self.this_port(number, "TCP", field)?,
            None => self.any_port("TCP", &BTreeMap::new(), field)?,
        };
        spec["healthCheckNodePort"] = json!(number);
        Ok(())
    }

    fn claim_port(&mut self, port: Port) {
        let claims = Claims {
            addresses: vec![],
            ports: vec![port.clone()],
        };
        self.state.claim(&claims);
        self.given.ports.push(port);
    }

    fn this_port(&mut self, number: u16, protocol: &str, field: &str) -> ApiResult<u16> {
        let port = (protocol.to_owned(), number);
        if self.before.ports.contains(&port) {
            return Ok(number);
        }
        let why = if !(self.node_ports.first..=self.node_ports.last).contains(&number) {
            format!(
                "provided port is not in the valid range. The range of valid ports is {}",
                self.node_ports
            )
        } else if self.state.ports.contains_key(&port) {
            "provided port is already allocated".to_owned()
        } else {
            self.claim_port(port);
            return Ok(number);
        };
        let message = format!("Invalid value: {number}: {why}");
        Err(ApiError::invalid_field(
            self.kind,
            &self.name,
            "FieldValueInvalid",
            field,
            message,
        ))
    }

    fn any_port(
        &mut self,
        protocol: &str,
        own: &BTreeMap<u16, HashSet<String>>,
        field: &str,
    ) -> ApiResult<u16> {
        if let Some(number) = own
            .iter()
            .find(|(_, used)| !used.contains(protocol))
            .map(|(number, _)| *number)
            && !self
                .state
                .ports
                .contains_key(&(protocol.to_owned(), number))
        {
            self.claim_port((protocol.to_owned(), number));
            return Ok(number);
        }
        let size = u32::from(self.node_ports.last - self.node_ports.first) + 1;
        let start = rand::rng().random_range(0..size);
        for step in 0..size {
            let offset = u16::try_from((start + step) % size).unwrap_or_default();
            let number = self.node_ports.first + offset;
            let taken = ["TCP", "UDP", "SCTP"].iter().any(|protocol| {
                self.state
                    .ports
                    .contains_key(&((*protocol).to_owned(), number))
            });
            if !taken {
                self.claim_port((protocol.to_owned(), number));
                return Ok(number);
            }
        }
        let message = "failed to allocate a nodePort: range is full".to_owned();
        Err(ApiError::invalid_field(
            self.kind,
            &self.name,
            "InternalError",
            field,
            message,
        ))
    }
}

fn has_node_ports(spec: &Value) -> bool {
    match spec["type"].as_str() {
        Some("NodePort") => true,
        Some("LoadBalancer") => spec["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_know_their_ends() {
        let range: Ipv4Range = "10.96.0.0/16".parse().unwrap();
        assert!(!range.contains("10.96.0.0".parse().unwrap()));
        assert!(range.contains("10.96.0.1".parse().unwrap()));
        assert!(!range.contains("10.96.255.255".parse().unwrap()));
        assert!(!range.contains("10.97.0.1".parse().unwrap()));
        assert_eq!(range.first(), Ipv4Addr::new(10, 96, 0, 1));
        assert!("10.96.0.0".parse::<Ipv4Range>().is_err());
        assert!("32000-30000".parse::<PortRange>().is_err());
    }
}
