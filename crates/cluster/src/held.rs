//! The sockets of cluster DNS and of the way out. Pid 1 opens them before there
//! is a data plane and hands them to each one it starts, so that what arrives
//! while one follows another waits in the kernel. Nothing is read here.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use coracle_netdev::plan::AddressPlan;

/// Names of the sockets among the inherited descriptors.
pub const NAMES: [&str; 4] = ["dns-udp", "dns-tcp", "egress-udp", "egress-tcp"];

const DNS_PORT: u16 = 53;

/// Opens the sockets in the calling thread's namespace, in the order of [`NAMES`].
pub(crate) fn open(plan: &AddressPlan) -> io::Result<[OwnedFd; 4]> {
    let udp = |place: (Ipv4Addr, u16)| UdpSocket::bind(place).map(OwnedFd::from);
    let tcp = |place: (Ipv4Addr, u16)| TcpListener::bind(place).map(OwnedFd::from);
    let (dns, egress) = ((plan.dns(), DNS_PORT), (plan.node(), plan.egress_port));
    Ok([udp(dns)?, tcp(dns)?, udp(egress)?, tcp(egress)?])
}
