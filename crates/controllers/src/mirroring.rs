//! Endpoints that users write for Services without a selector, such as those of
//! a database outside the cluster, as EndpointSlices
//! (upstream: pkg/controller/endpointslicemirroring).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use coracle_client::{Cache, Groups, Key, Outcome, Queue, Recorder, Severity, key_of};
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kube::api::ObjectMeta;
use kube::{Api, Client, ResourceExt};

use crate::context::Context;
use crate::endpointslice::{MANAGED_BY, SERVICE_NAME, TRIGGER, make_so, service_of, slice_name};
use crate::owner::reference_to;

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// Label of Endpoints that somebody else brings into slices.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Annotation of Endpoints that only say who leads.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// How many addresses of one set of ports are mirrored (upstream's default).
const MAX_ENDPOINTS: usize = 1000;
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

struct Controller {
    client: Client,
    services: Cache<Service>,
    endpoints: Cache<Endpoints>,
    slices: Groups<EndpointSlice>,
    recorder: Recorder,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let slices: Cache<EndpointSlice> = context.caches.of();
    slices.ready().await;
    let client = context.client("endpointslicemirroring-controller");
    let controller = Arc::new(Controller {
        recorder: Recorder::new(client.clone(), "endpoint-slice-mirroring-controller"),
        client,
        services: context.caches.of(),
        endpoints: context.caches.of(),
        slices: Groups::new(&slices, service_of),
    });
    controller.services.ready().await;
    controller.endpoints.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    controller
        .services
        .on_change(move |service| own.add(key_of(&**service)));
    let own = queue.clone();
    controller
        .endpoints
        .on_change(move |endpoints| own.add(key_of(&**endpoints)));
    let own = queue.clone();
    slices.on_transition(move |slice| {
        if let Some(key) = service_of(slice) {
            own.add(key);
        }
    });
    coracle_client::run("endpointslicemirroring", queue, 2, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let mut existing = self.slices.members(key);
        existing
            .retain(|slice| slice.labels().get(MANAGED_BY).map(String::as_str) == Some(MANAGER));
        let service = self.services.of(key).filter(|service| is_served(service));
        let endpoints = self
            .endpoints
            .of(key)
            .filter(|endpoints| is_mirrored(endpoints));
        let wanted = match service.and(endpoints) {
            Some(endpoints) => {
                let mirror = mirror(&endpoints);
                for (reason, text) in mirror.warnings() {
                    self.recorder
                        .event(&*endpoints, Severity::Warning, reason, text);
                }
                mirror.slices
            }
            None => Vec::new(),
        };
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &key.namespace);
        let made = make_so(&api, &wanted, existing).await;
        made.map_err(|failure| failure.error)?;
        Ok(Outcome::Done)
    }
}

/// Returns whether a Service has its endpoints from users.
fn is_served(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    let selector = spec.and_then(|spec| spec.selector.as_ref());
    selector.is_none_or(BTreeMap::is_empty) && service.metadata.deletion_timestamp.is_none()
}

fn is_mirrored(endpoints: &Endpoints) -> bool {
    endpoints.labels().get(SKIP).map(String::as_str) != Some("true")
        && !endpoints.annotations().contains_key(LEADER)
        && endpoints.metadata.deletion_timestamp.is_none()
}

/// Name, number, protocol and application protocol of a port.
type Port = (String, i32, String, Option<String>);

/// What Endpoints become, and how many of their addresses do not.
struct Mirror {
    slices: Vec<EndpointSlice>,
    invalid: usize,
    /// Those that are too many for their set of ports.
    surplus: usize,
}

impl Mirror {
    /// Returns reasons and messages of upstream's events; what is skipped for
    /// being too many is told with what is invalid (reconciler.go, reconcile).
    fn warnings(&self) -> Vec<(&'static str, String)> {
        let mut warnings = Vec::new();
        if self.invalid > 0 {
            let text = format!(
                "Skipped {} invalid IP addresses when mirroring to EndpointSlices",
                self.invalid
            );
            warnings.push(("InvalidIPAddress", text));
        }
        if self.surplus > 0 {
            let text = format!(
                "A max of {MAX_ENDPOINTS} addresses can be mirrored to EndpointSlices per Endpoints subset. {} addresses were skipped",
                self.invalid + self.surplus
            );
            warnings.push(("TooManyAddressesToMirror", text));
        }
        warnings
    }
}

/// Returns the slices that say the same: one for each set of ports and each
/// family of addresses.
fn mirror(endpoints: &Endpoints) -> Mirror {
    let mut groups: BTreeMap<(&str, Vec<Port>), Vec<Endpoint>> = BTreeMap::new();
    let mut taken: BTreeMap<Vec<Port>, usize> = BTreeMap::new();
    let (mut invalid, mut surplus) = (0, 0);
    for subset in endpoints.subsets.iter().flatten() {
        let ports = ports_of(subset);
        let ready = subset.addresses.iter().flatten().map(|one| (one, true));
        let unready = subset.not_ready_addresses.iter().flatten();
        let taken = taken.entry(ports.clone()).or_default();
        for (address, is_ready) in ready.chain(unready.map(|one| (one, false))) {
            if *taken == MAX_ENDPOINTS {
                surplus += 1;
                continue;
            }
            let family = match address.ip.parse() {
                Ok(IpAddr::V4(_)) => "IPv4",
                Ok(IpAddr::V6(_)) => "IPv6",
                Err(_) => {
                    invalid += 1;
                    continue;
                }
            };
            *taken += 1;
            let group = groups.entry((family, ports.clone())).or_default();
            group.push(endpoint(address, is_ready));
        }
    }
    let groups = groups.into_iter();
    let slices = groups.map(|((family, ports), list)| slice(endpoints, family, ports, list));
    Mirror {
        slices: slices.collect(),
        invalid,
        surplus,
    }
}

fn ports_of(subset: &EndpointSubset) -> Vec<Port> {
    let ports = subset.ports.iter().flatten();
    ports
        .map(|port| {
            (
                port.name.clone().unwrap_or_default(),
                port.port,
                port.protocol.clone().unwrap_or_else(|| "TCP".into()),
                port.app_protocol.clone(),
            )
        })
        .collect()
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            ..Default::default()
        }),
        hostname: address.hostname.clone(),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Default::default()
    }
}

fn slice(
    endpoints: &Endpoints,
    family: &str,
    ports: Vec<Port>,
    list: Vec<Endpoint>,
) -> EndpointSlice {
    let mut labels = endpoints.labels().clone();
    labels.insert(SERVICE_NAME.into(), endpoints.name_any());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    let mut annotations = endpoints.annotations().clone();
    annotations.retain(|name, _| name != TRIGGER && name != LAST_APPLIED);
    let seed = format!("{}{family}{ports:?}", endpoints.uid().unwrap_or_default());
    let ports = ports
        .into_iter()
        .map(|(name, port, protocol, app_protocol)| EndpointPort {
            name: Some(name),
            port: Some(port),
            protocol: Some(protocol),
            app_protocol,
        });
    EndpointSlice {
        address_type: family.into(),
        metadata: ObjectMeta {
            name: Some(slice_name(&endpoints.name_any(), &seed)),
            generate_name: Some(format!("{}-", endpoints.name_any())),
            namespace: endpoints.namespace(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![reference_to(endpoints)]),
            ..Default::default()
        },
        endpoints: Some(list),
        ports: Some(ports.collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn endpoints(metadata: Value, subsets: Value) -> Endpoints {
        let mut object =
            json!({"metadata": {"name": "db", "namespace": "shop"}, "subsets": subsets});
        for (key, value) in metadata.as_object().expect("a mapping") {
            object["metadata"][key.as_str()] = value.clone();
        }
        serde_json::from_value(object).expect("endpoints")
    }

    /// Family, ports, and addresses with their readiness.
    type Told<'a> = (&'a str, &'a [i32], &'a [(&'a str, bool)]);

    /// Upstream: endpointslicemirroring/utils_test.go, reconciler_test.go.
    #[test]
    fn each_set_of_ports_and_each_family_has_a_slice() {
        let check = |subsets: Value, expected: &[Told<'_>]| {
            let slices = mirror(&endpoints(json!({}), subsets)).slices;
            assert_eq!(slices.len(), expected.len());
            for (slice, (family, ports, addresses)) in slices.iter().zip(expected) {
                assert_eq!(slice.address_type, *family);
                let numbers = slice.ports.iter().flatten().filter_map(|port| port.port);
                assert_eq!(numbers.collect::<Vec<_>>(), *ports);
                let list = slice.endpoints.iter().flatten().map(|one| {
                    let ready = one.conditions.as_ref().and_then(|all| all.ready);
                    (one.addresses[0].as_str(), ready == Some(true))
                });
                assert_eq!(list.collect::<Vec<_>>(), *addresses);
            }
        };
        check(json!([]), &[]);
        check(
            json!([{"addresses": [{"ip": "192.0.2.7"}], "notReadyAddresses": [{"ip": "192.0.2.8"}], "ports": [{"port": 5432}]}]),
            &[(
                "IPv4",
                &[5432],
                &[("192.0.2.7", true), ("192.0.2.8", false)],
            )],
        );
        check(
            json!([
                {"addresses": [{"ip": "192.0.2.7"}, {"ip": "2001:db8::7"}], "ports": [{"port": 80}]},
                {"addresses": [{"ip": "192.0.2.9"}], "ports": [{"port": 81}]},
            ]),
            &[
                ("IPv4", &[80], &[("192.0.2.7", true)]),
                ("IPv4", &[81], &[("192.0.2.9", true)]),
                ("IPv6", &[80], &[("2001:db8::7", true)]),
            ],
        );
    }

    #[test]
    fn what_is_left_out_is_told() {
        let check = |addresses: Vec<String>, mirrored: usize, expected: &[&str]| {
            let addresses: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
            let subsets = json!([{"addresses": addresses, "ports": [{"port": 80}]}]);
            let mirror = mirror(&endpoints(json!({}), subsets));
            let slices = mirror.slices.iter();
            let count = slices.flat_map(|slice| slice.endpoints.iter().flatten());
            assert_eq!(count.count(), mirrored);
            let told: Vec<String> = mirror
                .warnings()
                .into_iter()
                .map(|(_, text)| text)
                .collect();
            assert_eq!(told, expected);
        };
        let many = |count: usize| (0..count).map(|n| format!("10.1.{}.{}", n / 250, n % 250 + 1));
        check(many(1000).collect(), 1000, &[]);
        check(
            vec!["10.1.0.1".into(), "nowhere".into()],
            1,
            &["Skipped 1 invalid IP addresses when mirroring to EndpointSlices"],
        );
        check(
            many(1003).collect(),
            1000,
            &[
                "A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. 3 addresses were skipped",
            ],
        );
    }

    #[test]
    fn who_leads_is_no_endpoint() {
        let check = |metadata: Value, expected: bool| {
            assert_eq!(is_mirrored(&endpoints(metadata, json!([]))), expected);
        };
        check(json!({}), true);
        check(json!({"labels": {SKIP: "true"}}), false);
        check(json!({"labels": {SKIP: "false"}}), true);
        check(json!({"annotations": {LEADER: "{}"}}), false);
    }
}
