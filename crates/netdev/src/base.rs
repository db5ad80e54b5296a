//! Makes a fresh namespace into a cluster's network.
//!
//! [`setup`] raises loopback, sets the switches, and gives the namespace the
//! plan's addresses and the route for ClusterIPs. It writes no nftables rule:
//! what is reachable is decided in `network`.

use crate::addr::Scope;
use crate::error::Result;
use crate::plan::AddressPlan;
use crate::route::Route;
use crate::socket::Netlink;
use crate::sysctl;

/// The mark of packets that the egress proxy takes in though they go elsewhere.
pub const MARK_TAKEN: u32 = 0x436f;
/// The routing table for them.
const TABLE_TAKEN: u8 = 100;

/// Prepares the calling thread's network namespace; doing it again is harmless.
pub fn setup(plan: &AddressPlan) -> Result<()> {
    let mut netlink = Netlink::route()?;
    loopback_up(&mut netlink)?;
    switches()?;
    let loopback = netlink.link_index("lo")?;
    for address in plan.local() {
        netlink.address_add(loopback, address, 32, Scope::Global)?;
    }
    // The kernel answers ARP on any interface for an address it owns, so one
    // link-scoped gateway serves every veth and is never a source address.
    netlink.address_add(loopback, plan.gateway(), 32, Scope::Link)?;
    // Without some route a local connection to a ClusterIP fails with
    // ENETUNREACH before the output hook could rewrite it.
    netlink.route_put(Route {
        destination: plan.services,
        index: loopback,
        gateway: None,
        source: Some(plan.node()),
    })?;
    match netlink.take_marked(MARK_TAKEN, TABLE_TAKEN, loopback) {
        // A kernel without policy routing has no way out for datagrams.
        Err(error) if matches!(error.errno(), Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT)) => {
            Ok(())
        }
        result => result,
    }
}

/// Raises loopback in the namespace of the socket.
pub fn loopback_up(netlink: &mut Netlink) -> Result<()> {
    let loopback = netlink.link_index("lo")?;
    netlink.link_up(loopback, true)
}

fn switches() -> Result<()> {
    sysctl::set("ipv4/ip_forward", "1")?;
    // A pod cannot speak with another's address: the way back must lead
    // through the interface a packet came from (RFC 3704, strict mode).
    sysctl::set("ipv4/conf/default/rp_filter", "1")?;
    // A pod that reaches itself through a Service leaves by the interface it
    // came from, which would earn it an ICMP redirect.
    sysctl::set("ipv4/conf/all/send_redirects", "0")?;
    sysctl::set("ipv4/conf/default/send_redirects", "0")?;
    // What is refused is refused at once each time: by default a sender gets
    // one ICMP error a second, and waits for its own time-out otherwise.
    sysctl::set_where_present("ipv4/icmp_ratelimit", "0")?;
    // Of several listeners on one port, one that closes leaves the connections
    // that it has not accepted to the others (Linux: ip-sysctl, 5.14).
    sysctl::set_where_present("ipv4/tcp_migrate_req", "1")?;
    // Veths carry IPv4 only; this keeps them free of neighbour discovery.
    // Loopback exists already and keeps ::1.
    sysctl::set_where_present("ipv6/conf/default/disable_ipv6", "1")
}
