//! Forgets connections that the kernel tracks.
//!
//! Datagrams have no end: a client that goes on sending keeps its tracked flow,
//! and with it an endpoint that is gone. [`forget`] deletes such flows, so that
//! the next datagram is looked at anew. TCP connections end by themselves.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::error::Result;
use crate::socket::Netlink;
use crate::wire::{self, Attributes, Builder};

/// `NFNL_SUBSYS_CTNETLINK`, the high byte of the message type.
const SUBSYSTEM: u16 = 1 << 8;
const NEW: u16 = SUBSYSTEM;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const IP_SOURCE: u16 = 1;
const IP_DESTINATION: u16 = 2;
const PROTO_NUMBER: u16 = 1;
const PROTO_SOURCE: u16 = 2;
const PROTO_DESTINATION: u16 = 3;

/// `struct nfgenmsg` for IPv4.
const GENERIC: [u8; 4] = [libc::AF_INET as u8, 0, 0, 0];

/// One direction of a tracked flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// The transport protocol.
    pub protocol: u8,
    /// Who sends.
    pub source: SocketAddrV4,
    /// Who receives.
    pub destination: SocketAddrV4,
}

/// A tracked flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// As its first packet was sent.
    pub original: Tuple,
    /// As answers come, before they are rewritten.
    pub reply: Tuple,
}

/// Lists the tracked IPv4 flows of the socket's namespace.
pub fn flows(netlink: &mut Netlink) -> Result<Vec<Flow>> {
    let mut builder = Builder::new(GET, wire::DUMP);
    builder.fixed(&GENERIC);
    let answers = netlink.dump(builder, "tracked flows")?;
    Ok(answers
        .iter()
        .filter_map(|(kind, body)| parse(*kind, body))
        .collect())
}

/// Deletes the flows for which `gone` holds; returns how many there were.
pub fn forget(netlink: &mut Netlink, gone: impl Fn(&Flow) -> bool) -> Result<usize> {
    let mut count = 0;
    for flow in flows(netlink)?.iter().filter(|flow| gone(flow)) {
        match delete(netlink, &flow.original) {
            Err(error) if error.is_missing() => {}
            result => {
                result?;
                count += 1;
            }
        }
    }
    Ok(count)
}

fn delete(netlink: &mut Netlink, tuple: &Tuple) -> Result<()> {
    let mut builder = Builder::new(DELETE, wire::ACK);
    builder.fixed(&GENERIC);
    builder.nest(TUPLE_ORIGINAL, |outer| {
        outer.nest(TUPLE_IP, |ip| {
            ip.put(IP_SOURCE, &tuple.source.ip().octets())
                .put(IP_DESTINATION, &tuple.destination.ip().octets());
        });
        outer.nest(TUPLE_PROTO, |proto| {
            proto
                .put_u8(PROTO_NUMBER, tuple.protocol)
                .put(PROTO_SOURCE, &tuple.source.port().to_be_bytes())
                .put(PROTO_DESTINATION, &tuple.destination.port().to_be_bytes());
        });
    });
    let object = format!("tracked flow {} to {}", tuple.source, tuple.destination);
    netlink.change(builder, &object)
}

/// Reads one flow; `None` for another message or a protocol without ports.
pub fn parse(kind: u16, body: &[u8]) -> Option<Flow> {
    if kind != NEW {
        return None;
    }
    let all = wire::attributes(body.get(4..)?);
    Some(Flow {
        original: tuple(wire::attributes(all.get(TUPLE_ORIGINAL)?))?,
        reply: tuple(wire::attributes(all.get(TUPLE_REPLY)?))?,
    })
}

fn tuple(all: Attributes<'_>) -> Option<Tuple> {
    let ip = wire::attributes(all.get(TUPLE_IP)?);
    let proto = wire::attributes(all.get(TUPLE_PROTO)?);
    let address = |kind| -> Option<Ipv4Addr> {
        let octets: [u8; 4] = ip.get(kind)?.try_into().ok()?;
        Some(octets.into())
    };
    let port =
        |kind| -> Option<u16> { Some(u16::from_be_bytes(proto.get(kind)?.try_into().ok()?)) };
    Some(Tuple {
        protocol: *proto.get(PROTO_NUMBER)?.first()?,
        source: SocketAddrV4::new(address(IP_SOURCE)?, port(PROTO_SOURCE)?),
        destination: SocketAddrV4::new(address(IP_DESTINATION)?, port(PROTO_DESTINATION)?),
    })
}
