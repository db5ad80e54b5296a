//! Services.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{At, Bad, Causes, ip, labels, names, resources};

const ONLY_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";
/// Port of the kubelet, which a load balancer must not expose.
const KUBELET_PORT: i64 = 10_250;

/// A `Service`.
pub(super) fn service(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let kind = spec.field("type").text();
    let ports = spec.field("ports");
    if ports.is_empty() && !is_headless(&spec) && kind != "ExternalName" {
        causes.required(&ports.path, "");
    }
    by_type(&spec, causes);
    all_ports(&ports, causes);
    labels::labels(&spec.field("selector"), causes);
    affinity(&spec, causes);
    addresses(&spec, causes);
    external_addresses(&spec.field("externalIPs"), causes);
    let at = spec.field("type");
    match at.text() {
        "" => causes.required(&at.path, ""),
        _ => causes.one_of(
            &at,
            &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        ),
    }
    node_ports(&spec, causes);
    duplicate_ports(&ports, causes);
    balancer_fields(&spec, causes);
    traffic(&spec, causes);
}

fn is_headless(spec: &At<'_>) -> bool {
    spec.value["clusterIPs"][0] == "None" || spec.value["clusterIP"] == "None"
}

fn by_type(spec: &At<'_>, causes: &mut Causes) {
    let addresses = spec.field("clusterIPs");
    match spec.field("type").text() {
        "LoadBalancer" => {
            for port in spec.field("ports").items() {
                if port.field("port").int() == Some(KUBELET_PORT) {
                    let detail = format!(
                        "may not expose port {KUBELET_PORT} externally since it is used by kubelet"
                    );
                    causes.invalid(&port.path, KUBELET_PORT, &detail);
                }
            }
            not_headless(spec, &addresses, "LoadBalancer", causes);
        }
        "NodePort" => not_headless(spec, &addresses, "NodePort", causes),
        "ExternalName" => external_name(spec, &addresses, causes),
        _ => {}
    }
}

fn not_headless(spec: &At<'_>, addresses: &At<'_>, kind: &str, causes: &mut Causes) {
    if is_headless(spec) {
        let detail = format!("may not be set to 'None' for {kind} services");
        causes.invalid(&addresses.path.index(0), "None", &detail);
    }
}

fn external_name(spec: &At<'_>, addresses: &At<'_>, causes: &mut Causes) {
    const DETAIL: &str = "may not be set for ExternalName services";
    if !addresses.is_empty() {
        causes.forbidden(&addresses.path, DETAIL);
    }
    for name in ["ipFamilies", "ipFamilyPolicy"] {
        let at = spec.field(name);
        if !at.is_empty() {
            causes.forbidden(&at.path, DETAIL);
        }
    }
    let name = spec.field("externalName");
    let text = name.text().strip_suffix('.').unwrap_or(name.text());
    if text.is_empty() {
        causes.required(&name.path, "");
    } else {
        causes.invalid_text(&name.path, text, names::subdomain(text));
    }
}

fn all_ports(ports: &At<'_>, causes: &mut Causes) {
    let many = ports.len() > 1;
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let name = port.field("name");
        if name.is_empty() {
            if many {
                causes.required(&name.path, "");
            }
        } else {
            causes.invalid_text(&name.path, name.text(), names::label(name.text()));
            if !seen.insert(name.text().to_owned()) {
                causes.duplicate(&name.path, name.text());
            }
        }
        let number = port.field("port");
        resources::port_number(&number.path, number.int().unwrap_or(0), causes);
        let protocol = port.field("protocol");
        match protocol.text() {
            "" => causes.required(&protocol.path, ""),
            _ => causes.one_of(&protocol, &["SCTP", "TCP", "UDP"]),
        }
        resources::port(&port.field("targetPort"), causes);
        let application = port.field("appProtocol");
        if application.is_set() {
            let text = application.text();
            causes.invalid_text(&application.path, text, names::qualified(text));
        }
    }
}

fn affinity(spec: &At<'_>, causes: &mut Causes) {
    let affinity = spec.field("sessionAffinity");
    let config = spec.field("sessionAffinityConfig");
    match affinity.text() {
        "" => causes.required(&affinity.path, ""),
        "ClientIP" => {
            let client = config.field("clientIP");
            let timeout = client.field("timeoutSeconds");
            if !config.is_set() {
                let detail = "when session affinity type is ClientIP";
                causes.required(&config.path, detail);
            } else if !timeout.is_set() {
                let detail = "when session affinity type is ClientIP";
                causes.required(&timeout.path, detail);
            } else if let Some(seconds) = timeout.int().filter(|s| !(1..=86_400).contains(s)) {
                let detail = "must be greater than 0 and less than 86400";
                causes.invalid(&timeout.path, seconds, detail);
            }
        }
        "None" => {
            if config.is_set() {
                let detail = "must not be set when session affinity is None";
                causes.forbidden(&config.path, detail);
            }
        }
        _ => causes.one_of(&affinity, &["ClientIP", "None"]),
    }
}

/// The fields `clusterIP`, `clusterIPs`, `ipFamilies`, `ipFamilyPolicy`.
fn addresses(spec: &At<'_>, causes: &mut Causes) {
    let (one, all) = (spec.field("clusterIP"), spec.field("clusterIPs"));
    match (one.is_empty(), all.is_empty()) {
        (false, true) => causes.required(&all.path, ""),
        (true, false) => {
            let detail = "must be empty when `clusterIP` is not specified";
            causes.invalid(&all.path, all.value, detail);
        }
        (false, false) if all.value[0] != *one.text() => {
            causes.invalid(&all.path, all.value, "first value must match `clusterIP`");
        }
        _ => {}
    }
    let families = spec.field("ipFamilies");
    let mut seen = BTreeSet::new();
    for family in families.items() {
        causes.one_of(&family, &["IPv4", "IPv6"]);
        if !seen.insert(family.text().to_owned()) {
            causes.duplicate(&family.path, family.text());
        }
    }
    let policy = spec.field("ipFamilyPolicy");
    if policy.is_set() {
        causes.one_of(
            &policy,
            &["PreferDualStack", "RequireDualStack", "SingleStack"],
        );
    }
    for (index, address) in all.items().enumerate() {
        if index == 0 && address.text() == "None" {
            if all.len() > 1 {
                let detail = "'None' must be the first and only value";
                causes.invalid(&all.path, all.value, detail);
            }
            continue;
        }
        ip::legacy(&address.path, address.text(), causes);
    }
    if all.len() > 2 {
        causes.invalid(&all.path, all.value, "may only hold up to 2 values");
    }
}

fn external_addresses(addresses: &At<'_>, causes: &mut Causes) {
    for address in addresses.items() {
        if let Some(parsed) = ip::legacy(&address.path, address.text(), causes) {
            ip::not_special(&address.path, address.text(), parsed, causes);
        }
    }
}

fn node_ports(spec: &At<'_>, causes: &mut Causes) {
    let cluster_only = spec.field("type").text() == "ClusterIP";
    let mut taken = BTreeSet::new();
    for port in spec.field("ports").items() {
        let node = port.field("nodePort");
        let Some(number) = node.int().filter(|number| *number != 0) else {
            continue;
        };
        if cluster_only {
            causes.forbidden(&node.path, "may not be used when `type` is 'ClusterIP'");
        }
        if !taken.insert((port.field("protocol").text().to_owned(), number)) {
            causes.duplicate(&node.path, number);
        }
    }
}

fn duplicate_ports(ports: &At<'_>, causes: &mut Causes) {
    let mut taken = BTreeSet::new();
    for port in ports.items() {
        let protocol = port.field("protocol").text().to_owned();
        let number = port.field("port").int().unwrap_or(0);
        if !taken.insert((protocol.clone(), number)) {
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{number},\"TargetPort\":0,\"NodePort\":0}}",
                super::quote(&protocol)
            );
            causes.duplicate(&port.path, Bad::raw(shown));
        }
    }
}

fn balancer_fields(spec: &At<'_>, causes: &mut Causes) {
    let balanced = spec.field("type").text() == "LoadBalancer";
    let ranges = spec.field("loadBalancerSourceRanges");
    if !ranges.is_empty() {
        if !balanced {
            let path = spec.path.field("LoadBalancerSourceRanges");
            causes.forbidden(&path, ONLY_BALANCER);
        }
        let path = spec.path.field("LoadBalancerSourceRanges");
        for (index, range) in ranges.items().enumerate() {
            ip::legacy_range(&path.index(index), range.text().trim(), causes);
        }
    }
    let allocate = spec.field("allocateLoadBalancerNodePorts");
    match (balanced, allocate.is_set()) {
        (false, true) => causes.forbidden(&allocate.path, ONLY_BALANCER),
        (true, false) => {
            causes.required(&allocate.path, "is required when `type` is 'LoadBalancer'")
        }
        _ => {}
    }
    let class = spec.field("loadBalancerClass");
    if class.is_set() {
        if !balanced {
            causes.forbidden(&class.path, ONLY_BALANCER);
        }
        causes.invalid_text(&class.path, class.text(), names::qualified(class.text()));
    }
}

fn traffic(spec: &At<'_>, causes: &mut Causes) {
    let kind = spec.field("type").text();
    let external = matches!(kind, "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && !spec.field("externalIPs").is_empty());
    let policy = spec.field("externalTrafficPolicy");
    if external {
        match policy.text() {
            "" => causes.required(&policy.path, ""),
            _ => causes.one_of(&policy, &["Cluster", "Local"]),
        }
    } else if !policy.is_empty() {
        let detail = "may only be set for externally-accessible services";
        causes.invalid(&policy.path, policy.text(), detail);
    }
    let health = spec.field("healthCheckNodePort");
    if let Some(number) = health.int().filter(|number| *number != 0) {
        if !(kind == "LoadBalancer" && policy.text() == "Local") {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            causes.invalid(&health.path, number, detail);
        } else {
            resources::port_number(&health.path, number, causes);
        }
    }
    let internal = spec.field("internalTrafficPolicy");
    if internal.is_set() {
        causes.one_of(&internal, &["Cluster", "Local"]);
    } else if matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer") {
        causes.required(&internal.path, "");
    }
    let distribution = spec.field("trafficDistribution");
    if distribution.is_set() {
        causes.one_of(
            &distribution,
            &["PreferClose", "PreferSameZone", "PreferSameNode"],
        );
    }
}

/// The status of a `Service`.
pub(super) fn status(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let status = object.field("status");
    let balancer = status.field("loadBalancer");
    let ingress = balancer.field("ingress");
    if !ingress.is_empty() && spec.field("type").text() != "LoadBalancer" {
        let detail = "may only be used when `spec.type` is 'LoadBalancer'";
        causes.forbidden(&ingress.path, detail);
        return;
    }
    for entry in ingress.items() {
        balancer_ingress(&entry, causes);
        let mode = entry.field("ipMode");
        match (entry.field("ip").is_empty(), mode.is_set()) {
            (true, true) => {
                causes.forbidden(&mode.path, "may not be specified when `ip` is not set");
            }
            (false, true) => causes.one_of(&mode, &["Proxy", "VIP"]),
            _ => {}
        }
    }
}

/// An address or name of a load balancer.
pub(super) fn balancer_ingress(entry: &At<'_>, causes: &mut Causes) {
    let (address, host) = (entry.field("ip"), entry.field("hostname"));
    if !address.is_empty() {
        ip::legacy(&address.path, address.text(), causes);
    }
    if !host.is_empty() {
        causes.invalid_text(&host.path, host.text(), names::subdomain(host.text()));
        if ip::sloppy(host.text()).is_some() {
            let detail = "must be a DNS name, not an IP address";
            causes.invalid(&host.path, host.text(), detail);
        }
    }
}

/// What of a `Service` an update may change: not its first address.
pub(super) fn update(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    let before = &old["spec"];
    let has_address = |kind: &Value| kind != "ExternalName";
    let addresses = spec.field("clusterIPs");
    let first = &before["clusterIPs"][0];
    if has_address(&spec.value["type"])
        && has_address(&before["type"])
        && first.as_str().is_some_and(|text| !text.is_empty())
        && &addresses.value[0] != first
    {
        let path = addresses.path.index(0);
        causes.invalid(&path, addresses.value, "may not change once set");
    }
    let class = spec.field("loadBalancerClass");
    let balanced = |kind: &Value| kind == "LoadBalancer";
    if balanced(&spec.value["type"])
        && balanced(&before["type"])
        && class.value != &before["loadBalancerClass"]
    {
        causes.invalid(&class.path, class.value, "may not change once set");
    }
}
