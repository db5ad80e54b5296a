//! Addresses and ranges in forms that are read, but better written otherwise
//! (`k8s.io/apimachinery/pkg/util/validation/ip.go`, `GetWarningsForIP` and
//! `GetWarningsForCIDR`).

use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

use super::super::ip::{Range, sloppy};
use super::super::{At, quote};

/// An address.
pub(super) fn ip(at: &At<'_>, found: &mut Vec<String>) {
    let text = at.text();
    let Some(address) = sloppy(text) else {
        return;
    };
    let shown = quote(text);
    if !is_standard(text, address) {
        let better = quote(&plain(address));
        found.push(format!(
            "{}: non-standard IP address {shown} is invalid: use {better}",
            at.path
        ));
    } else if address.is_ipv6() && address.to_string() != text {
        let better = quote(&address.to_string());
        found.push(format!(
            "{}: IPv6 address {shown} should be in RFC 5952 canonical format ({better})",
            at.path
        ));
    }
}

/// A range.
pub(super) fn range(at: &At<'_>, found: &mut Vec<String>) {
    let text = at.text();
    let Some(range) = Range::sloppy(text) else {
        return;
    };
    let (shown, before) = (quote(text), found.len());
    let network = |range: Range| format!("{}/{}", plain(range.address), range.prefix);
    let masked = range.masked();
    if masked != range {
        let prefix = if range.address.is_ipv4() { 32 } else { 128 };
        let single = network(Range { prefix, ..range });
        found.push(format!(
            "{}: CIDR value {shown} is ambiguous in this context (should be {} or {}?)",
            at.path,
            quote(&network(masked)),
            quote(&single)
        ));
    }
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let zeros = prefix.len() > 1 && prefix.starts_with('0');
    if zeros || !is_standard(address, range.address) {
        let better = quote(&network(masked));
        found.push(format!(
            "{}: non-standard CIDR value {shown} is invalid: use {better}",
            at.path
        ));
    } else if found.len() == before && range.address.is_ipv6() && network(range) != text {
        let better = quote(&network(range));
        found.push(format!(
            "{}: IPv6 CIDR value {shown} should be in RFC 5952 canonical format ({better})",
            at.path
        ));
    }
}

/// Without leading zeros, and no IPv4 address in IPv6 clothes.
fn is_standard(text: &str, address: IpAddr) -> bool {
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    text.parse::<IpAddr>().is_ok() && !mapped
}

fn plain(address: IpAddr) -> String {
    match address {
        IpAddr::V6(v6) => v6
            .to_ipv4_mapped()
            .map_or_else(|| Ipv6Addr::to_string(&v6), |v4| v4.to_string()),
        IpAddr::V4(v4) => v4.to_string(),
    }
}

/// Endpoints; those of the controller are sound.
pub(super) fn endpoints(object: &At<'_>, found: &mut Vec<String>) {
    let labels = &object.value["metadata"]["labels"];
    if labels["endpoints.kubernetes.io/managed-by"] == "endpoint-controller" {
        return;
    }
    for subset in object.field("subsets").items() {
        for list in ["addresses", "notReadyAddresses"] {
            for item in subset.field(list).items() {
                ip(&item.field("ip"), found);
            }
        }
    }
}

/// A slice of endpoints; those of the controllers are sound.
pub(super) fn slice(object: &At<'_>, old: Option<&Value>, found: &mut Vec<String>) {
    if old.is_none() && object.field("addressType").text() == "FQDN" {
        found.push("spec.addressType: FQDN endpoints are deprecated".into());
    }
    let labels = &object.value["metadata"]["labels"];
    let manager = labels["endpointslice.kubernetes.io/managed-by"].as_str();
    if matches!(
        manager,
        Some("endpointslice-controller.k8s.io" | "endpointslicemirroring-controller.k8s.io")
    ) {
        return;
    }
    for endpoint in object.field("endpoints").items() {
        for address in endpoint.field("addresses").items() {
            ip(&address, found);
        }
    }
}

/// A network policy's blocks of addresses.
pub(super) fn policy(object: &At<'_>, found: &mut Vec<String>) {
    let spec = object.field("spec");
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.field(rules).items() {
            for peer in rule.field(peers).items() {
                let block = peer.field("ipBlock");
                range(&block.field("cidr"), found);
                for except in block.field("except").items() {
                    range(&except, found);
                }
            }
        }
    }
}
