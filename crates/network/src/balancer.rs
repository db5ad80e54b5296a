//! Which loopback address a LoadBalancer Service gets.
//!
//! [`assign`] is pure. A Service keeps the address its status names; the first
//! gets the cluster's own, and one whose port is taken there gets a loopback
//! address of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use coracle_client::Key;
use coracle_dataplane::config::Proto;
use k8s_openapi::api::core::v1::Service;

use crate::{forward, ingress};

/// A port on an address of the host.
pub type Place = (Proto, IpAddr, u16);

/// Loopback addresses tried after the cluster's own.
const OTHERS: std::ops::RangeInclusive<u8> = 2..=250;

/// A Service that wants an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The Service.
    pub key: Key,
    /// Its ports.
    pub ports: Vec<(Proto, u16)>,
    /// The address it had.
    pub current: Option<IpAddr>,
}

/// Returns a Service's wish; `None` when it is not ours to serve.
pub fn wish(key: &Key, service: &Service) -> Option<Wish> {
    let spec = service.spec.as_ref()?;
    // Another class is served by another controller (KEP-1959).
    if spec.type_.as_deref() != Some("LoadBalancer") || spec.load_balancer_class.is_some() {
        return None;
    }
    let ports = spec
        .ports
        .iter()
        .flatten()
        .filter_map(|port| Some((forward::proto(port)?, u16::try_from(port.port).ok()?)))
        .collect();
    let current = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref())
        .and_then(|balancer| balancer.ingress.as_ref()?.first()?.ip.as_ref())
        .and_then(|ip| ip.parse().ok())
        .filter(IpAddr::is_loopback);
    Some(Wish {
        key: key.clone(),
        ports,
        current,
    })
}

/// Gives every Service an address on which all its ports are free.
///
/// `taken` are places that node ports or other programs have, `reserved` those
/// that newcomers leave to the Ingress.
pub fn assign(
    wishes: &[Wish],
    own: IpAddr,
    taken: &BTreeSet<Place>,
    reserved: &BTreeSet<Place>,
) -> BTreeMap<Key, IpAddr> {
    let mut used = taken.clone();
    let mut assigned = BTreeMap::new();
    // Those that have an address keep it against newcomers.
    let (had, new): (Vec<_>, Vec<_>) = wishes.iter().partition(|wish| wish.current.is_some());
    for wish in had.into_iter().chain(new) {
        let free = |address: &IpAddr| {
            let is_new = wish.current.is_none();
            let places = wish
                .ports
                .iter()
                .map(|(proto, port)| (*proto, *address, *port));
            places
                .into_iter()
                .all(|place| !(used.contains(&place) || is_new && reserved.contains(&place)))
        };
        let others = OTHERS.map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
        let candidates = wish.current.into_iter().chain([own]).chain(others);
        let Some(address) = candidates.into_iter().find(free) else {
            continue;
        };
        used.extend(
            wish.ports
                .iter()
                .map(|(proto, port)| (*proto, address, *port)),
        );
        assigned.insert(wish.key.clone(), address);
    }
    assigned
}

/// Returns the places of the Ingress on an address.
pub fn of_ingress(own: IpAddr) -> BTreeSet<Place> {
    let ports = ingress::PORTS.into_iter().flatten();
    ports.map(|port| (Proto::Tcp, own, port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_and_collisions_move_on() {
        let own = IpAddr::from([127, 0, 0, 1]);
        let check = |wishes: &[(&str, u16, Option<u8>)], taken: &[u16], expected: &[u8]| {
            let wishes: Vec<_> = wishes
                .iter()
                .map(|(name, port, current)| Wish {
                    key: Key::new("default", *name),
                    ports: vec![(Proto::Tcp, *port)],
                    current: current.map(|last| IpAddr::from([127, 0, 0, last])),
                })
                .collect();
            let taken = taken.iter().map(|port| (Proto::Tcp, own, *port)).collect();
            let got: Vec<u8> = assign(&wishes, own, &taken, &of_ingress(own))
                .values()
                .map(|address| match address {
                    IpAddr::V4(v4) => v4.octets()[3],
                    IpAddr::V6(_) => 0,
                })
                .collect();
            assert_eq!(got, expected);
        };
        check(&[("a", 90, None)], &[], &[1]);
        check(&[("a", 90, None), ("b", 91, None)], &[], &[1, 1]);
        check(&[("a", 90, None), ("b", 90, None)], &[], &[1, 2]);
        check(&[("a", 90, None), ("b", 90, Some(1))], &[], &[2, 1]);
        check(&[("a", 90, None)], &[90], &[2]);
        check(&[("a", 90, Some(7))], &[90], &[7]);
        // Newcomers leave the ports of HTTP to the Ingress.
        check(&[("a", 80, None), ("b", 443, Some(1))], &[], &[2, 1]);
    }
}
