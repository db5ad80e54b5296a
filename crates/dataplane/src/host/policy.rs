//! What a cluster may have of the host.
//!
//! Main type: [`Policy`]. By default: ports on loopback addresses, and
//! connections to anywhere but the machine itself.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What is granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Addresses besides loopback on which ports may be bound (`--listen`).
    pub listen: Vec<IpAddr>,
    /// Ports of the host's loopback that may be dialled (`--host-port`).
    pub host_ports: Vec<u16>,
}

/// A request that is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A port was wanted on an address that is not listed.
    #[error("ports are bound on loopback only; {0} is opened with --listen {0}")]
    Listen(IpAddr),
    /// The host's loopback was dialled at a port that is not listed.
    #[error("port {0} of the host is opened to pods with --host-port {0}")]
    HostPort(u16),
    /// A link-local address was dialled, such as a cloud's metadata service.
    #[error("link-local address {0} is not reachable from pods")]
    LinkLocal(IpAddr),
    /// An address was dialled that no connection can lead to.
    #[error("{0} is not the address of a machine")]
    NotAMachine(IpAddr),
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        io::Error::new(io::ErrorKind::PermissionDenied, refused)
    }
}

impl Policy {
    /// Tells whether a port may be bound.
    pub fn may_bind(&self, address: SocketAddr) -> Result<(), Refused> {
        let ip = address.ip();
        if ip.to_canonical().is_loopback() || self.listen.contains(&ip) {
            return Ok(());
        }
        Err(Refused::Listen(ip))
    }

    /// Tells whether an address may be dialled.
    pub fn may_dial(&self, address: SocketAddr) -> Result<(), Refused> {
        let ip = address.ip().to_canonical();
        let unspecified_or_many = ip.is_unspecified()
            || ip.is_multicast()
            || matches!(ip, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
        if unspecified_or_many {
            return Err(Refused::NotAMachine(ip));
        }
        let link_local = match ip {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local() || is_metadata(v6),
        };
        if link_local {
            return Err(Refused::LinkLocal(ip));
        }
        if ip.is_loopback() && !self.host_ports.contains(&address.port()) {
            return Err(Refused::HostPort(address.port()));
        }
        Ok(())
    }
}

/// A cloud's metadata service on IPv6: not link-local, but no less private.
fn is_metadata(address: Ipv6Addr) -> bool {
    address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dials_leave_the_machine_unless_listed() {
        let policy = Policy {
            host_ports: vec![5432],
            ..Policy::default()
        };
        let check = |address: &str, expected: bool| {
            let address = address.parse().expect("an address");
            assert_eq!(policy.may_dial(address).is_ok(), expected, "{address}");
        };
        check("93.184.216.34:443", true);
        check("192.168.1.7:22", true);
        check("127.0.0.1:5432", true);
        check("127.0.0.1:22", false);
        check("127.8.0.1:22", false);
        check("[::1]:22", false);
        check("[::1]:5432", true);
        check("[::ffff:127.0.0.1]:22", false);
        check("[::ffff:169.254.169.254]:80", false);
        check("169.254.169.254:80", false);
        check("[fe80::1]:80", false);
        check("[fd00:ec2::254]:80", false);
        check("0.0.0.0:80", false);
        check("0.1.2.3:80", false);
        check("[::]:80", false);
        check("224.0.0.1:80", false);
        check("255.255.255.255:80", false);
    }

    #[test]
    fn ports_are_bound_on_loopback_unless_listed() {
        let policy = Policy {
            listen: vec!["192.168.1.7".parse().expect("an address")],
            ..Policy::default()
        };
        let check = |address: &str, expected: bool| {
            let address = address.parse().expect("an address");
            assert_eq!(policy.may_bind(address).is_ok(), expected, "{address}");
        };
        check("127.0.0.1:80", true);
        check("127.0.0.9:80", true);
        check("[::1]:80", true);
        check("192.168.1.7:80", true);
        check("0.0.0.0:80", false);
        check("192.168.1.8:80", false);
    }
}
