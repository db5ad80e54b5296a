//! Endpoints, ingresses, network policies, addresses and ranges.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{At, Bad, Causes, config, immutable, ip, labels, names, resources, service};

/// `Endpoints`.
pub(super) fn endpoints(object: &At<'_>, causes: &mut Causes) {
    for subset in object.field("subsets").items() {
        let (ready, not_ready) = (subset.field("addresses"), subset.field("notReadyAddresses"));
        if ready.is_empty() && not_ready.is_empty() {
            let detail = "must specify `addresses` or `notReadyAddresses`";
            causes.required(&subset.path, detail);
        }
        for address in ready.items().chain(not_ready.items()) {
            endpoint_address(&address, causes);
        }
        let ports = subset.field("ports");
        for port in ports.items() {
            endpoint_port(&port, ports.len() > 1, causes);
        }
    }
}

fn endpoint_address(address: &At<'_>, causes: &mut Causes) {
    let at = address.field("ip");
    match ip::legacy(&at.path, at.text(), causes) {
        Some(parsed) => ip::not_special(&at.path, at.text(), parsed, causes),
        None => causes.invalid(&at.path, at.text(), "must be a valid IP address"),
    }
    let host = address.field("hostname");
    if !host.is_empty() {
        causes.invalid_text(&host.path, host.text(), names::label(host.text()));
    }
    let node = address.field("nodeName");
    if node.is_set() {
        causes.invalid_text(&node.path, node.text(), names::subdomain(node.text()));
    }
}

fn endpoint_port(port: &At<'_>, named: bool, causes: &mut Causes) {
    let name = port.field("name");
    if name.is_empty() {
        if named {
            causes.required(&name.path, "");
        }
    } else {
        causes.invalid_text(&name.path, name.text(), names::label(name.text()));
    }
    let number = port.field("port");
    resources::port_number(&number.path, number.int().unwrap_or(0), causes);
    let protocol = port.field("protocol");
    match protocol.text() {
        "" => causes.required(&protocol.path, ""),
        _ => causes.one_of(&protocol, &["SCTP", "TCP", "UDP"]),
    }
    application(port, causes);
}

fn application(port: &At<'_>, causes: &mut Causes) {
    let at = port.field("appProtocol");
    if at.is_set() {
        causes.invalid_text(&at.path, at.text(), names::qualified(at.text()));
    }
}

/// An `EndpointSlice`.
pub(super) fn endpoint_slice(object: &At<'_>, causes: &mut Causes) {
    let kind = object.field("addressType");
    match kind.text() {
        "" => causes.required(&kind.path, ""),
        _ => causes.one_of(&kind, &["FQDN", "IPv4", "IPv6"]),
    }
    let endpoints = object.field("endpoints");
    if endpoints.len() > 1000 {
        causes.too_many(&endpoints.path, endpoints.len(), 1000);
    } else {
        for endpoint in endpoints.items() {
            slice_endpoint(&endpoint, kind.text(), causes);
        }
    }
    slice_ports(&object.field("ports"), causes);
}

fn slice_endpoint(endpoint: &At<'_>, kind: &str, causes: &mut Causes) {
    let addresses = endpoint.field("addresses");
    if addresses.is_empty() {
        causes.required(&addresses.path, "must contain at least 1 address");
    } else if addresses.len() > 100 {
        causes.too_many(&addresses.path, addresses.len(), 100);
    }
    for address in addresses.items() {
        slice_address(&addresses, &address, kind, causes);
    }
    let host = endpoint.field("hostname");
    if host.is_set() {
        causes.invalid_text(&host.path, host.text(), names::label(host.text()));
    }
    let node = endpoint.field("nodeName");
    if node.is_set() {
        causes.invalid_text(&node.path, node.text(), names::subdomain(node.text()));
    }
    let topology = endpoint.field("deprecatedTopology");
    if topology.len() > 16 {
        causes.too_many(&topology.path, topology.len(), 16);
    }
    labels::labels(&topology, causes);
    let hints = endpoint.field("hints");
    for list in ["forZones", "forNodes"] {
        let targets = hints.field(list);
        if targets.len() > 8 {
            causes.too_many(&targets.path, targets.len(), 8);
            continue;
        }
        let mut seen = BTreeSet::new();
        for target in targets.items() {
            let name = target.field("name");
            if !seen.insert(name.text().to_owned()) {
                causes.duplicate(&name.path, name.text());
            }
            causes.invalid_text(&name.path, name.text(), names::label_value(name.text()));
        }
    }
}

fn slice_address(addresses: &At<'_>, address: &At<'_>, kind: &str, causes: &mut Causes) {
    let text = address.text();
    let wants_v4 = match kind {
        "IPv4" => true,
        "IPv6" => false,
        "FQDN" => {
            causes.invalid_text(&address.path, text, names::subdomain(text));
            return;
        }
        _ => return,
    };
    let Some(parsed) = ip::legacy(&address.path, text, causes) else {
        return;
    };
    if parsed.is_ipv4() != wants_v4 {
        let family = if wants_v4 { "IPv4" } else { "IPv6" };
        causes.invalid(
            &addresses.path,
            text,
            &format!("must be an {family} address"),
        );
    }
    ip::not_special(&address.path, text, parsed, causes);
}

fn slice_ports(ports: &At<'_>, causes: &mut Causes) {
    if ports.len() > 20_000 {
        causes.too_many(&ports.path, ports.len(), 20_000);
        return;
    }
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let name = port.field("name");
        if !name.is_empty() {
            causes.invalid_text(&name.path, name.text(), names::label(name.text()));
        }
        if !seen.insert(name.text().to_owned()) {
            causes.duplicate(&name.path, name.text());
        }
        let protocol = port.field("protocol");
        match protocol.is_set() {
            false => causes.required(&protocol.path, ""),
            true => causes.one_of(&protocol, &["SCTP", "TCP", "UDP"]),
        }
        application(&port, causes);
    }
}

/// An `Ingress`.
pub(super) fn ingress(object: &At<'_>, old: Option<&Value>, causes: &mut Causes) {
    let spec = object.field("spec");
    let class = spec.field("ingressClassName");
    let annotated = &object.value["metadata"]["annotations"]["kubernetes.io/ingress.class"];
    if let (None, Some(annotated), true) = (old, annotated.as_str(), class.is_set())
        && annotated != class.text()
    {
        let path = object.path.field("annotations");
        let path = path.field("kubernetes.io/ingress.class");
        let detail = "must match `ingressClassName` when both are specified";
        causes.invalid(&path, annotated, detail);
    }
    let (rules, backend) = (spec.field("rules"), spec.field("defaultBackend"));
    if rules.is_empty() && !backend.is_set() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        causes.invalid(&spec.path, rules.value, detail);
    }
    if backend.is_set() {
        ingress_backend(&backend, causes);
    }
    for rule in rules.items() {
        ingress_rule(&rule, causes);
    }
    for entry in spec.field("tls").items() {
        for host in entry.field("hosts").items() {
            ingress_host(&host, causes);
        }
        let secret = entry.field("secretName");
        if !secret.is_empty() {
            causes.invalid_text(&secret.path, secret.text(), names::subdomain(secret.text()));
        }
    }
    if class.is_set() {
        causes.invalid_text(&class.path, class.text(), names::subdomain(class.text()));
    }
}

fn ingress_host(host: &At<'_>, causes: &mut Causes) {
    let wrong = match host.text().contains('*') {
        true => names::wildcard_subdomain(host.text()),
        false => names::subdomain(host.text()),
    };
    causes.invalid_text(&host.path, host.text(), wrong);
}

fn ingress_rule(rule: &At<'_>, causes: &mut Causes) {
    let host = rule.field("host");
    if !host.is_empty() {
        if ip::sloppy(host.text()).is_some() {
            let detail = "must be a DNS name, not an IP address";
            causes.invalid(&host.path, host.text(), detail);
        }
        ingress_host(&host, causes);
    }
    let http = rule.field("http");
    if !http.is_set() {
        return;
    }
    let paths = http.field("paths");
    if paths.is_empty() {
        causes.required(&paths.path, "");
    }
    for path in paths.items() {
        ingress_path(&path, causes);
    }
}

/// Parts that no exact or prefix path contains.
const NOT_IN_PATHS: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];

fn ingress_path(entry: &At<'_>, causes: &mut Causes) {
    let kind = entry.field("pathType");
    let path = entry.field("path");
    let text = path.text();
    if !kind.is_set() {
        causes.required(&kind.path, "pathType must be specified");
        return;
    }
    match kind.text() {
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                causes.invalid(&path.path, text, "must be an absolute path");
            }
            for part in NOT_IN_PATHS.iter().filter(|part| text.contains(**part)) {
                causes.invalid(&path.path, text, &format!("must not contain '{part}'"));
            }
            for end in ["/..", "/."].iter().filter(|end| text.ends_with(**end)) {
                causes.invalid(&path.path, text, &format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                causes.invalid(&path.path, text, "must be an absolute path");
            }
        }
        other => causes.not_supported(
            &kind.path,
            other,
            &["Exact", "ImplementationSpecific", "Prefix"],
        ),
    }
    ingress_backend(&entry.field("backend"), causes);
}

fn ingress_backend(backend: &At<'_>, causes: &mut Causes) {
    let (service, resource) = (backend.field("service"), backend.field("resource"));
    match (service.is_set(), resource.is_set()) {
        (true, true) => {
            let detail = "cannot set both resource and service backends";
            causes.invalid(&backend.path, "", detail);
        }
        (false, false) => {
            causes.invalid(&backend.path, "", "resource or service backend is required");
        }
        (false, true) => typed_reference(&resource, causes),
        (true, false) => {
            let name = service.field("name");
            if name.is_empty() {
                causes.required(&name.path, "");
            } else {
                causes.invalid_text(&name.path, name.text(), names::label(name.text()));
            }
            ingress_port(backend, &service.field("port"), causes);
        }
    }
}

/// A reference to an object of a named kind in the same namespace.
fn typed_reference(reference: &At<'_>, causes: &mut Causes) {
    let group = reference.field("apiGroup");
    if group.is_set() {
        causes.invalid_text(&group.path, group.text(), names::subdomain(group.text()));
    }
    for name in ["kind", "name"] {
        let at = reference.field(name);
        if at.is_empty() {
            causes.required(&at.path, &format!("{name} is required"));
        } else {
            causes.invalid_text(&at.path, at.text(), names::path_segment(at.text()));
        }
    }
}

fn ingress_port(backend: &At<'_>, port: &At<'_>, causes: &mut Causes) {
    let (name, number) = (port.field("name"), port.field("number"));
    let given = number.int().unwrap_or(0);
    match (name.is_empty(), given) {
        (true, 0) => causes.required(&backend.path, "port name or number is required"),
        (true, given) => resources::port_number(&number.path, given, causes),
        (false, 0) => causes.invalid_text(&name.path, name.text(), names::port_name(name.text())),
        (false, _) => {
            causes.invalid(&backend.path, "", "cannot set both port name & port number");
        }
    }
}

/// The status of an `Ingress`.
pub(super) fn ingress_status(object: &At<'_>, causes: &mut Causes) {
    let status = object.field("status");
    let balancer = status.field("loadBalancer");
    for entry in balancer.field("ingress").items() {
        service::balancer_ingress(&entry, causes);
    }
}

/// An `IngressClass`.
pub(super) fn ingress_class(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let controller = spec.field("controller");
    if controller.len() > 250 {
        causes.too_long(&controller.path, 250);
    }
    config::domain_prefixed_path(&controller, causes);
    let parameters = spec.field("parameters");
    if !parameters.is_set() {
        return;
    }
    typed_reference(&parameters, causes);
    let (scope, namespace) = (parameters.field("scope"), parameters.field("namespace"));
    match scope.text() {
        "" => causes.required(&scope.path, ""),
        "Namespace" if !namespace.is_set() => {
            causes.required(&namespace.path, "`parameters.scope` is set to 'Namespace'")
        }
        "Namespace" => {
            let text = namespace.text();
            causes.invalid_text(&namespace.path, text, names::label(text));
        }
        "Cluster" if namespace.is_set() => {
            causes.forbidden(&namespace.path, "`parameters.scope` is set to 'Cluster'");
        }
        "Cluster" => {}
        _ => causes.one_of(&scope, &["Cluster", "Namespace"]),
    }
}

/// A `NetworkPolicy`.
pub(super) fn network_policy(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    labels::selector(&spec.field("podSelector"), causes);
    for (direction, side) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.field(direction).items() {
            for port in rule.field("ports").items() {
                policy_port(&port, causes);
            }
            for peer in rule.field(side).items() {
                policy_peer(&peer, causes);
            }
        }
    }
    let types = spec.field("policyTypes");
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        causes.invalid(&types.path, types.value, detail);
        return;
    }
    for kind in types.items() {
        causes.one_of(&kind, &["Ingress", "Egress"]);
    }
}

fn policy_port(port: &At<'_>, causes: &mut Causes) {
    let protocol = port.field("protocol");
    if protocol.is_set() {
        causes.one_of(&protocol, &["TCP", "UDP", "SCTP"]);
    }
    let (first, last) = (port.field("port"), port.field("endPort"));
    if first.is_set() {
        resources::port(&first, causes);
    }
    let Some(end) = last.int() else {
        return;
    };
    match first.value {
        Value::Null => {
            causes.invalid(
                &last.path,
                end,
                "may not be specified when `port` is not specified",
            );
            return;
        }
        Value::String(_) => {
            causes.invalid(
                &last.path,
                end,
                "may not be specified when `port` is non-numeric",
            );
            return;
        }
        _ => {}
    }
    let start = first.int().unwrap_or(0);
    if end < start {
        causes.invalid(&last.path, start, "must be greater than or equal to `port`");
    }
    resources::port_number(&last.path, end, causes);
}

fn policy_peer(peer: &At<'_>, causes: &mut Causes) {
    let mut count = 0;
    for name in ["podSelector", "namespaceSelector"] {
        let selector = peer.field(name);
        if selector.is_set() {
            count += 1;
            labels::selector(&selector, causes);
        }
    }
    let block = peer.field("ipBlock");
    if block.is_set() {
        count += 1;
        ip_block(&block, causes);
    }
    if count == 0 {
        causes.required(&peer.path, "must specify a peer");
    } else if count > 1 && block.is_set() {
        causes.forbidden(&peer.path, "may not specify both ipBlock and another peer");
    }
}

fn ip_block(block: &At<'_>, causes: &mut Causes) {
    let whole = block.field("cidr");
    if whole.is_empty() {
        causes.required(&whole.path, "");
        return;
    }
    let outer = ip::range(&whole.path, whole.text(), causes);
    for except in block.field("except").items() {
        let Some(inner) = ip::range(&except.path, except.text(), causes) else {
            continue;
        };
        if let Some(outer) = outer
            && !outer.strictly_contains(inner)
        {
            let detail = "must be a strict subset of `cidr`";
            causes.invalid(&except.path, except.text(), detail);
        }
    }
}

/// An `IPAddress`.
pub(super) fn address(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let parent = spec.field("parentRef");
    if !parent.is_set() {
        causes.required(&parent.path, "");
        return;
    }
    for name in ["resource", "name"] {
        let at = parent.field(name);
        if at.is_empty() {
            causes.required(&at.path, "");
        } else {
            causes.invalid_text(&at.path, at.text(), names::path_segment(at.text()));
        }
    }
    let group = parent.field("group");
    if !group.is_empty() {
        causes.invalid_text(&group.path, group.text(), names::subdomain(group.text()));
    }
    let namespace = parent.field("namespace");
    if !namespace.is_empty() {
        let text = namespace.text();
        causes.invalid_text(&namespace.path, text, names::path_segment(text));
    }
}

/// A `ServiceCIDR`.
pub(super) fn service_range(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let ranges = spec.field("cidrs");
    let shown = || Bad::raw(format!("{{\"CIDRs\":{}}}", ranges.value));
    if ranges.is_empty() {
        causes.required(&ranges.path, "at least one CIDR required");
        return;
    }
    if ranges.len() > 2 {
        causes.invalid(&ranges.path, shown(), "may only hold up to 2 values");
        return;
    }
    let families: Vec<Option<bool>> = ranges
        .items()
        .map(|range| Some(ip::Range::sloppy(range.text())?.address.is_ipv4()))
        .collect();
    let dual = matches!(families.as_slice(), [Some(first), Some(second)] if first != second);
    if ranges.len() == 2 && !dual {
        let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        causes.invalid(&ranges.path, shown(), detail);
        return;
    }
    for range in ranges.items() {
        ip::strict_range(&range.path, range.text(), causes);
    }
}

/// What of the networking.k8s.io kinds an update may change.
pub(super) fn update(kind: &str, object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    let before = &old["spec"];
    match kind {
        "IngressClass" => {
            immutable::field(&spec.field("controller"), &before["controller"], causes);
        }
        "IPAddress" => {
            let parent = spec.field("parentRef");
            let names = ["group", "resource", "namespace", "name"];
            immutable::structure(&parent, &before["parentRef"], &names, causes);
        }
        "ServiceCIDR" => service_range_update(&spec.field("cidrs"), &before["cidrs"], causes),
        _ => {}
    }
}

/// A second family may join; nothing else changes.
fn service_range_update(ranges: &At<'_>, before: &Value, causes: &mut Causes) {
    let known = before.as_array().map_or(0, Vec::len);
    let grows = known == 1 && ranges.len() == 2;
    if !grows && known != ranges.len() {
        immutable::field(ranges, before, causes);
        return;
    }
    let old = before.as_array().into_iter().flatten();
    for (range, old) in ranges.items().zip(old) {
        if range.value != old {
            causes.invalid(&range.path, range.value, names::IMMUTABLE);
        }
    }
}
