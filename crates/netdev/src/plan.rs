//! Which address means what inside a cluster's network namespace.
//!
//! [`AddressPlan`] is plain data: whoever needs an address asks here. It does
//! not hand out pod or service addresses.
//!
//! | range or address | default | what it is |
//! | --- | --- | --- |
//! | pods | 10.244.0.0/16 | each pod a /32; the first 16 are kept for the two below |
//! | · DNS | 10.244.0.2 | cluster DNS, seen by policies as a pod |
//! | · Ingress | 10.244.0.3 | the Ingress proxy, seen by policies as a pod |
//! | services | 10.96.0.0/16 | ClusterIPs |
//! | · kubernetes | 10.96.0.1 | the `kubernetes` Service |
//! | · DNS | 10.96.0.10 | the `kube-dns` Service, in every pod's resolv.conf |
//! | node range | 10.243.0.0/28 | the node itself |
//! | · node | 10.243.0.1 | node address, probes, API endpoint, egress proxy |
//! | · forwarder | 10.243.0.2 | source of connections that came in by a host port |
//! | · host | 10.243.0.3 | `host.coracle.internal`; never assigned, only redirected |
//! | gateway | 169.254.1.1 | every pod's default gateway and nothing else |

use std::net::Ipv4Addr;

use crate::cidr::Cidr;

/// The addresses of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPlan {
    /// Pod addresses.
    pub pods: Cidr,
    /// ClusterIPs.
    pub services: Cidr,
    /// The node's own few addresses; ordinary ones, outside the two above.
    pub node_range: Cidr,
    /// Port of the transparent egress proxy on the node's address.
    pub egress_port: u16,
    /// Port of the API server on the node's address.
    pub api_port: u16,
}

/// Two ranges that share addresses, or one too small to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Two ranges share addresses.
    #[error("the {first} range and the {second} range overlap")]
    Overlap {
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A range has too few addresses.
    #[error("the {0} range is too small")]
    TooSmall(&'static str),
}

/// Addresses at the start of the pod range that no pod gets.
pub const PODS_RESERVED: u32 = 16;
/// Every pod's default gateway; link-local, so no workload can clash with it.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

impl Default for AddressPlan {
    fn default() -> Self {
        AddressPlan {
            pods: Cidr::new(Ipv4Addr::new(10, 244, 0, 0), 16),
            services: Cidr::new(Ipv4Addr::new(10, 96, 0, 0), 16),
            node_range: Cidr::new(Ipv4Addr::new(10, 243, 0, 0), 28),
            egress_port: 15001,
            api_port: 6443,
        }
    }
}

impl AddressPlan {
    /// Checks that the ranges are apart and large enough.
    ///
    /// # Errors
    /// Names the two ranges that overlap, or the one that is too small.
    pub fn check(&self) -> Result<(), PlanError> {
        let ranges = [
            ("pod", self.pods, 27),
            ("service", self.services, 28),
            ("node", self.node_range, 30),
        ];
        for (at, (first, range, prefix_max)) in ranges.iter().enumerate() {
            if range.prefix() > *prefix_max {
                return Err(PlanError::TooSmall(first));
            }
            for (second, other, _) in &ranges[at + 1..] {
                if range.overlaps(*other) {
                    return Err(PlanError::Overlap { first, second });
                }
            }
        }
        Ok(())
    }

    /// Returns the node's address: probes, the API endpoint, hostNetwork pods.
    pub fn node(&self) -> Ipv4Addr {
        nth(self.node_range, 1)
    }

    /// Returns the source address of connections from a host port.
    pub fn forwarder(&self) -> Ipv4Addr {
        nth(self.node_range, 2)
    }

    /// Returns the address behind `host.coracle.internal`.
    pub fn host(&self) -> Ipv4Addr {
        nth(self.node_range, 3)
    }

    /// Returns where cluster DNS listens.
    pub fn dns(&self) -> Ipv4Addr {
        nth(self.pods, 2)
    }

    /// Returns where the Ingress proxy connects from.
    pub fn ingress(&self) -> Ipv4Addr {
        nth(self.pods, 3)
    }

    /// Returns the ClusterIP of the `kubernetes` Service.
    pub fn kubernetes_service(&self) -> Ipv4Addr {
        nth(self.services, 1)
    }

    /// Returns the ClusterIP of the `kube-dns` Service.
    pub fn dns_service(&self) -> Ipv4Addr {
        nth(self.services, 10)
    }

    /// Returns every pod's default gateway.
    pub fn gateway(&self) -> Ipv4Addr {
        GATEWAY
    }

    /// Returns the addresses the cluster's own namespace owns.
    pub fn local(&self) -> [Ipv4Addr; 4] {
        [self.node(), self.forwarder(), self.dns(), self.ingress()]
    }
}

/// A range that [`AddressPlan::check`] accepted has the few offsets used here;
/// an unchecked one degrades to its first address.
fn nth(range: Cidr, offset: u32) -> Ipv4Addr {
    range.nth(offset).unwrap_or(range.address())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_usable() {
        let plan = AddressPlan::default();
        assert_eq!(plan.check(), Ok(()));
        assert_eq!(plan.dns_service(), Ipv4Addr::new(10, 96, 0, 10));
        assert!(plan.local().iter().all(|a| !a.is_link_local()));
    }

    #[test]
    fn clashes_are_named() {
        let mut plan = AddressPlan {
            services: Cidr::new(Ipv4Addr::new(10, 244, 128, 0), 20),
            ..AddressPlan::default()
        };
        assert_eq!(
            plan.check(),
            Err(PlanError::Overlap {
                first: "pod",
                second: "service"
            })
        );
        plan.services = Cidr::new(Ipv4Addr::new(10, 96, 0, 0), 30);
        assert_eq!(plan.check(), Err(PlanError::TooSmall("service")));
    }
}
