//! Whether one pod may talk to another, a Service or an address, and which
//! NetworkPolicy decides that: the same resolved policies that the kernel's
//! rules are made of.

use std::net::Ipv4Addr;

use coracle_client::Key;
use coracle_netdev::AddressPlan;
use coracle_network::endpoints::protocol_number;
use coracle_network::policy::{Decision, Flow, PodFacts, World, decide, resolve, world};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::super::output::{self, Format};
use crate::failure::{Failure, Outcome};
use crate::paint::{Colour, Stream, paint};

/// One port of the destination, as it is asked about.
struct Target {
    title: String,
    address: Ipv4Addr,
    protocol: u8,
    port: u16,
}

/// Prints what becomes of a connection.
pub async fn run(
    client: &Client,
    namespace: &str,
    from: &str,
    to: &str,
    port: Option<u16>,
    format: Option<Format>,
) -> Outcome {
    let pods = Api::<Pod>::all(client.clone())
        .list(&ListParams::default())
        .await?
        .items;
    let services = Api::<Service>::all(client.clone())
        .list(&ListParams::default())
        .await?
        .items;
    let policies = policies(client, &pods).await?;
    let source = find(&pods, namespace, from)?;
    let targets = targets(&pods, &services, namespace, to, port)?;
    let plan = AddressPlan::default();
    let mut rows = Vec::new();
    for target in targets {
        let flow = Flow {
            source: source.1,
            destination: target.address,
            protocol: target.protocol,
            port: target.port,
        };
        rows.push((target, decide(&policies, &plan, flow)));
    }
    let refused = rows
        .iter()
        .any(|(_, decision)| !matches!(decision, Decision::Allowed(_)));
    match format {
        Some(format) => {
            let rows: Vec<Value> = rows
                .iter()
                .map(|(target, decision)| data(target, decision))
                .collect();
            output::print(format, &json!({"from": source.0, "to": rows}))?;
        }
        None => {
            for (target, decision) in &rows {
                println!("{}", line(&source.0, namespace, target, decision));
            }
        }
    }
    if refused {
        Err(Failure::told())
    } else {
        Ok(())
    }
}

async fn policies(
    client: &Client,
    pods: &[Pod],
) -> Result<Vec<coracle_network::policy::Policy>, Failure> {
    let mut world = World::new(&AddressPlan::default());
    for namespace in Api::<Namespace>::all(client.clone())
        .list(&ListParams::default())
        .await?
    {
        world.set_namespace(&namespace.name_any(), Some(world::labels_of(&namespace)));
    }
    for policy in Api::<NetworkPolicy>::all(client.clone())
        .list(&ListParams::default())
        .await?
    {
        let key = Key::new(policy.namespace().unwrap_or_default(), policy.name_any());
        world.set_policy(key, Some(policy));
    }
    for pod in pods {
        let key = Key::new(pod.namespace().unwrap_or_default(), pod.name_any());
        world.set_pod(key, PodFacts::of(pod));
    }
    Ok(resolve(&world))
}

/// Finds a pod by `pod/NAME`, `deploy/NAME` (any of its pods) or an address.
fn find(pods: &[Pod], namespace: &str, text: &str) -> Result<(String, Ipv4Addr), Failure> {
    if let Ok(address) = text.parse() {
        return Ok((text.to_owned(), address));
    }
    let (kind, name) = text.split_once('/').unwrap_or(("pod", text));
    let (namespace, name) = name.split_once('/').unwrap_or((namespace, name));
    let fits = |pod: &&Pod| {
        let own = pod.name_any();
        pod.namespace().as_deref() == Some(namespace)
            && match kind {
                "pod" | "pods" | "po" => own == name,
                _ => own
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('-')),
            }
    };
    let address = |pod: &Pod| pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok();
    let found = pods
        .iter()
        .filter(fits)
        .find_map(|pod| Some((format!("pod/{}", pod.name_any()), address(pod)?)));
    found.ok_or_else(|| {
        Failure::usage(format!(
            "there is no running pod {text} in namespace {namespace}"
        ))
        .hint("see which there are: coracle kubectl get pods -A -o wide")
    })
}

fn targets(
    pods: &[Pod],
    services: &[Service],
    namespace: &str,
    to: &str,
    port: Option<u16>,
) -> Result<Vec<Target>, Failure> {
    let kind = to.split_once('/').map_or("", |(kind, _)| kind);
    if matches!(kind, "svc" | "service" | "services") {
        return of_service(pods, services, namespace, to, port);
    }
    let (title, address) = find(pods, namespace, to)?;
    let declared: Vec<(u8, u16)> = match port {
        Some(port) => vec![(6, port)],
        None => pods
            .iter()
            .find(|pod| title == format!("pod/{}", pod.name_any()))
            .map(ports)
            .unwrap_or_default(),
    };
    if declared.is_empty() {
        return Err(
            Failure::usage(format!("{to} declares no port")).hint("name one: --port NUMBER")
        );
    }
    Ok(declared
        .into_iter()
        .map(|(protocol, port)| Target {
            title: title.clone(),
            address,
            protocol,
            port,
        })
        .collect())
}

fn ports(pod: &Pod) -> Vec<(u8, u16)> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            let protocol = protocol_number(port.protocol.as_deref().unwrap_or("TCP"))?;
            Some((protocol, u16::try_from(port.container_port).ok()?))
        })
        .collect()
}

/// Policies judge the pods behind a Service, never the Service's own address.
fn of_service(
    pods: &[Pod],
    services: &[Service],
    namespace: &str,
    to: &str,
    only: Option<u16>,
) -> Result<Vec<Target>, Failure> {
    let name = to.split_once('/').map_or(to, |(_, name)| name);
    let (namespace, name) = name.split_once('/').unwrap_or((namespace, name));
    let service = services
        .iter()
        .find(|service| {
            service.name_any() == name && service.namespace().as_deref() == Some(namespace)
        })
        .ok_or_else(|| {
            Failure::usage(format!(
                "there is no service {name} in namespace {namespace}"
            ))
        })?;
    let spec = service.spec.clone().unwrap_or_default();
    let selector = spec.selector.unwrap_or_default();
    let behind = pods.iter().filter(|pod| {
        let labels = pod.labels();
        pod.namespace().as_deref() == Some(namespace)
            && !selector.is_empty()
            && selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    });
    let mut targets = Vec::new();
    for pod in behind {
        let Some(facts) = PodFacts::of(pod) else {
            continue;
        };
        for port in spec.ports.iter().flatten() {
            if only.is_some_and(|only| i32::from(only) != port.port) {
                continue;
            }
            let number = match &port.target_port {
                None => u16::try_from(port.port).ok(),
                Some(IntOrString::Int(number)) => u16::try_from(*number).ok(),
                Some(IntOrString::String(name)) => facts
                    .ports
                    .iter()
                    .find(|(known, ..)| known == name)
                    .map(|(_, _, number)| *number),
            };
            let protocol = protocol_number(port.protocol.as_deref().unwrap_or("TCP"));
            if let (Some(number), Some(protocol)) = (number, protocol) {
                targets.push(Target {
                    title: format!("service/{name} port {} (pod/{})", port.port, pod.name_any()),
                    address: facts.address,
                    protocol,
                    port: number,
                });
            }
        }
    }
    if targets.is_empty() {
        return Err(
            Failure::from(anyhow::anyhow!("nothing stands behind service {name}"))
                .hint(format!("ask why: coracle why svc/{name} -n {namespace}")),
        );
    }
    Ok(targets)
}

fn names(keys: &[Key]) -> String {
    keys.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn line(from: &str, namespace: &str, target: &Target, decision: &Decision) -> String {
    let flow = format!(
        "{from} → {} {}:{}",
        target.title, target.address, target.port
    );
    match decision {
        Decision::Allowed(keys) if keys.is_empty() => {
            format!("{} {flow}: no policy restricts it", mark(true))
        }
        Decision::Allowed(keys) => format!("{} {flow}: allowed by {}", mark(true), names(keys)),
        Decision::RefusedBySender(keys) => format!(
            "{} {flow}: refused, {} restricts what the sender may send and has no rule for it\n  {} add an egress rule: kubectl edit networkpolicy {} -n {namespace}",
            mark(false),
            names(keys),
            paint(Stream::Out, Colour::Green, "→"),
            keys.first()
                .map(|key| key.name.as_str())
                .unwrap_or_default(),
        ),
        Decision::RefusedByReceiver(keys) => format!(
            "{} {flow}: refused, {} restricts what the receiver takes and has no rule for it\n  {} add an ingress rule: kubectl edit networkpolicy {} -n {}",
            mark(false),
            names(keys),
            paint(Stream::Out, Colour::Green, "→"),
            keys.first()
                .map(|key| key.name.as_str())
                .unwrap_or_default(),
            keys.first()
                .map(|key| key.namespace.as_str())
                .unwrap_or_default(),
        ),
    }
}

fn mark(good: bool) -> String {
    if good {
        paint(Stream::Out, Colour::Green, "✓")
    } else {
        paint(Stream::Out, Colour::Red, "✗")
    }
}

fn data(target: &Target, decision: &Decision) -> Value {
    let (allowed, side, keys) = match decision {
        Decision::Allowed(keys) => (true, "", keys),
        Decision::RefusedBySender(keys) => (false, "sender", keys),
        Decision::RefusedByReceiver(keys) => (false, "receiver", keys),
    };
    json!({
        "title": target.title,
        "address": target.address.to_string(),
        "port": target.port,
        "allowed": allowed,
        "refusedBy": side,
        "policies": keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
