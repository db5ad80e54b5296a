//! Connects a pod's network namespace to the cluster's, and disconnects it.
//!
//! A pod has `eth0` with a /32 and a default route through 169.254.1.1; the
//! cluster's namespace has the veth's other end and a /32 route to it. There
//! is no bridge: two pods on one node meet in the forward hook, where services
//! and policies act. Addresses are chosen by the caller.

use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use crate::addr::Scope;
use crate::base::loopback_up;
use crate::cidr::Cidr;
use crate::error::Result;
use crate::link::{Mac, VethEnd};
use crate::netns;
use crate::plan::GATEWAY;
use crate::route::Route;
use crate::socket::Netlink;
use crate::sysctl;

/// The name of the interface inside a pod.
pub const POD_INTERFACE: &str = "eth0";
/// Largest packet of a pod's interface in bytes.
pub const MTU_DEFAULT: u32 = 1500;
/// All host ends share one locally administered address, as nothing bridges them.
const HOST_MAC: Mac = [0xee; 6];

/// A pod to be connected.
#[derive(Debug, Clone, Copy)]
pub struct Attach<'a> {
    /// The pod's network namespace.
    pub netns: BorrowedFd<'a>,
    /// The pod's address.
    pub address: Ipv4Addr,
    /// The node's address, the source of its packets to the pod.
    pub node: Ipv4Addr,
    /// The name of the veth's end in the calling thread's namespace.
    pub host_interface: &'a str,
    /// Largest packet in bytes; usually [`MTU_DEFAULT`].
    pub mtu: u32,
}

/// Raises a pod's loopback and sets its switches; enough for a pod without eth0.
pub fn prepare(netns: BorrowedFd<'_>) -> Result<()> {
    netns::enter(netns, || {
        sysctl::set_where_present("ipv6/conf/default/disable_ipv6", "1")?;
        // containerd's default since 2.0: a server that is not root may
        // listen on port 80 of its own namespace.
        sysctl::set("ipv4/ip_unprivileged_port_start", "0")?;
        allow_ping();
        loopback_up(&mut Netlink::route()?)
    })?
}

/// Lets every group send ICMP echoes, as containerd 2.0 does. A user namespace
/// refuses groups it does not map; where none fits, ping needs CAP_NET_RAW.
fn allow_ping() {
    for groups in ["0 2147483647", "0 65535", "0 0"] {
        if sysctl::set("ipv4/ping_group_range", groups).is_ok() {
            return;
        }
    }
}

/// Connects a pod. A leftover interface of the same name is replaced.
pub fn attach(attach: &Attach<'_>) -> Result<()> {
    detach(attach.host_interface)?;
    prepare(attach.netns)?;
    let mut host = Netlink::route()?;
    let connected = connect(&mut host, attach);
    if connected.is_err() {
        // The half-made pair is of no use; the first error is the one to report.
        let _ = host.link_delete(attach.host_interface);
    }
    connected
}

/// Disconnects a pod; one that is gone already is no error.
pub fn detach(host_interface: &str) -> Result<()> {
    match Netlink::route()?.link_delete(host_interface) {
        Err(error) if error.is_missing() => Ok(()),
        result => result,
    }
}

fn connect(host: &mut Netlink, attach: &Attach<'_>) -> Result<()> {
    let pod_mac = pod_mac(attach.address);
    let end = VethEnd {
        name: attach.host_interface,
        mac: HOST_MAC,
        mtu: attach.mtu,
    };
    let peer = VethEnd {
        name: POD_INTERFACE,
        mac: pod_mac,
        mtu: attach.mtu,
    };
    host.veth_add(end, peer, attach.netns)?;
    let mut pod = Netlink::route_in(attach.netns)?;
    let eth0 = pod.link_index(POD_INTERFACE)?;
    pod.address_add(eth0, attach.address, 32, Scope::Global)?;
    pod.link_up(eth0, true)?;
    pod.neighbour_put(eth0, GATEWAY, HOST_MAC)?;
    pod.route_put(Route {
        destination: Cidr::new(Ipv4Addr::UNSPECIFIED, 0),
        index: eth0,
        gateway: Some(GATEWAY),
        source: Some(attach.address),
    })?;
    let veth = host.link_index(attach.host_interface)?;
    host.link_up(veth, true)?;
    host.neighbour_put(veth, attach.address, pod_mac)?;
    host.route_put(Route {
        destination: Cidr::host(attach.address),
        index: veth,
        gateway: None,
        source: Some(attach.node),
    })?;
    pod.link_await_operational(POD_INTERFACE)
}

/// A locally administered address made of the pod's IPv4 address.
fn pod_mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    [0x0a, 0x58, a, b, c, d]
}
