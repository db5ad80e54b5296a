//! Ports that pods open on the node.
//!
//! Pure. All are one fragment: where two pods want the same port, the first by
//! name has it, which the scheduler and the kubelet's admission prevent anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use coracle_client::Key;
use coracle_dataplane::config::{Forward, Proto};
use coracle_netdev::nft::expr::{self, Rule};
use coracle_netdev::nft::{Data, Fragment, Key as NftKey, Verdict};

use crate::base::HOST_PORTS;
use crate::policy::PodFacts;

/// The owner of the fragment.
pub const OWNER: &str = "host-ports";

/// Returns the fragment of all host ports, for connections to the node's address.
pub fn fragment(pods: &BTreeMap<Key, PodFacts>) -> Fragment {
    let mut fragment = Fragment::default();
    let mut taken = BTreeSet::new();
    for (key, pod) in pods {
        for port in &pod.host_ports {
            if !taken.insert((port.protocol, port.number)) {
                continue;
            }
            let chain = format!("host-port/{key}/{}/{}", port.protocol, port.number);
            let rule = Rule::new().dnat_to(pod.address, port.target);
            let element = NftKey::default().protocol(port.protocol).port(port.number);
            let verdict = Data::Verdict(Verdict::Goto(chain.clone()));
            fragment
                .chain(&chain, None, vec![rule])
                .element(HOST_PORTS, element, verdict);
        }
    }
    fragment
}

/// Returns the forwarders of a pod's host ports.
pub fn forwards(key: &Key, pod: &PodFacts, node_addresses: &[IpAddr]) -> Vec<Forward> {
    pod.host_ports
        .iter()
        .filter_map(|port| {
            let proto = match port.protocol {
                expr::TCP => Proto::Tcp,
                expr::UDP => Proto::Udp,
                _ => return None,
            };
            let addresses = match &port.address {
                Some(address) => std::slice::from_ref(address),
                None => node_addresses,
            };
            let on = |address: &IpAddr| SocketAddr::new(*address, port.number);
            Some(Forward {
                name: format!("pod/{key}/{}", port.number),
                proto,
                listen: addresses.iter().map(on).collect(),
                targets: vec![(pod.address, port.target).into()],
                sticky: false,
            })
        })
        .collect()
}
