//! Routes of the main table: add, delete, list (RTM_*ROUTE, IPv4).
//!
//! Main type: [`Route`]. Of policy routing only one case is made here: packets
//! with a mark are taken for this machine's own ([`Netlink::take_marked`]).

use std::net::Ipv4Addr;

use crate::addr::Scope;
use crate::cidr::Cidr;
use crate::error::Result;
use crate::socket::Netlink;
use crate::wire::{self, Builder};

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;

const RTM_NEWRULE: u16 = 32;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FR_ACT_TO_TBL: u8 = 1;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;

const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
/// `RTNH_F_ONLINK`: believe that the gateway is a neighbour.
const ONLINK: u32 = 4;
/// Before the main table's rule (32766) and behind the local table's (0).
const RULE_PRIORITY: u32 = 100;
/// `struct rtmsg`.
const FIXED: usize = 12;

/// A unicast route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where to; prefix 0 is the default route.
    pub destination: Cidr,
    /// The interface it leaves by.
    pub index: u32,
    /// The next hop, taken as a neighbour whatever the addresses say.
    pub gateway: Option<Ipv4Addr>,
    /// The source address of packets that have none yet.
    pub source: Option<Ipv4Addr>,
}

impl Netlink {
    /// Adds a route, in place of one to the same destination.
    pub fn route_put(&mut self, route: Route) -> Result<()> {
        let mut builder = Builder::new(RTM_NEWROUTE, wire::ACK | wire::CREATE | wire::REPLACE);
        put(&mut builder, &route);
        self.change(builder, &format!("route to {}", route.destination))
    }

    /// Deletes a route.
    pub fn route_delete(&mut self, route: Route) -> Result<()> {
        let mut builder = Builder::new(RTM_DELROUTE, wire::ACK);
        put(&mut builder, &route);
        self.change(builder, &format!("route to {}", route.destination))
    }

    /// Takes packets that carry `mark` for this machine's own, wherever they
    /// go: a rule that leads to table `table`, and a route in it that is local.
    pub fn take_marked(&mut self, mark: u32, table: u8, loopback: u32) -> Result<()> {
        let mut builder = Builder::new(RTM_NEWROUTE, wire::ACK | wire::CREATE | wire::REPLACE);
        builder.fixed(&[
            libc::AF_INET as u8,
            0,
            0,
            0,
            table,
            RTPROT_STATIC,
            Scope::Host as u8,
            RTN_LOCAL,
            0,
            0,
            0,
            0,
        ]);
        builder.put_u32(RTA_OIF, loopback);
        self.change(builder, &format!("local route of table {table}"))?;
        let mut builder = Builder::new(RTM_NEWRULE, wire::ACK | wire::CREATE | wire::EXCL);
        // struct fib_rule_hdr.
        builder.fixed(&[
            libc::AF_INET as u8,
            0,
            0,
            0,
            table,
            0,
            0,
            FR_ACT_TO_TBL,
            0,
            0,
            0,
            0,
        ]);
        builder
            .put_u32(FRA_PRIORITY, RULE_PRIORITY)
            .put_u32(FRA_FWMARK, mark)
            .put_u32(FRA_FWMASK, u32::MAX)
            .put_u32(FRA_TABLE, u32::from(table));
        match self.change(builder, &format!("rule for mark {mark}")) {
            Err(error) if error.is_exists() => Ok(()),
            result => result,
        }
    }

    /// Lists the unicast IPv4 routes of the main table.
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        let mut builder = Builder::new(RTM_GETROUTE, wire::DUMP);
        let mut part = [0; FIXED];
        part[0] = libc::AF_INET as u8;
        builder.fixed(&part);
        let answers = self.dump(builder, "routes")?;
        Ok(answers
            .iter()
            .filter_map(|(kind, body)| parse(*kind, body))
            .collect())
    }
}

fn put(builder: &mut Builder, route: &Route) {
    let scope = if route.gateway.is_some() {
        Scope::Global
    } else {
        Scope::Link
    };
    let mut part = [
        libc::AF_INET as u8,
        route.destination.prefix(),
        0,
        0,
        RT_TABLE_MAIN,
        RTPROT_STATIC,
        scope as u8,
        RTN_UNICAST,
        0,
        0,
        0,
        0,
    ];
    if route.gateway.is_some() {
        part[8..12].copy_from_slice(&ONLINK.to_ne_bytes());
    }
    builder.fixed(&part);
    if route.destination.prefix() > 0 {
        builder.put(RTA_DST, &route.destination.address().octets());
    }
    builder.put_u32(RTA_OIF, route.index);
    if let Some(gateway) = route.gateway {
        builder.put(RTA_GATEWAY, &gateway.octets());
    }
    if let Some(source) = route.source {
        builder.put(RTA_PREFSRC, &source.octets());
    }
}

/// Reads one RTM_NEWROUTE of the main table; `None` for anything else.
pub fn parse(kind: u16, body: &[u8]) -> Option<Route> {
    let part = body.get(..FIXED)?;
    let all = wire::attributes(body.get(FIXED..)?);
    let table = all.get(RTA_TABLE).and_then(wire::ne_u32);
    let unwanted = kind != RTM_NEWROUTE
        || part[0] != libc::AF_INET as u8
        || table.unwrap_or(u32::from(part[4])) != u32::from(RT_TABLE_MAIN)
        || part[7] != RTN_UNICAST;
    if unwanted {
        return None;
    }
    let address = |kind| -> Option<Ipv4Addr> {
        let octets: [u8; 4] = all.get(kind)?.try_into().ok()?;
        Some(octets.into())
    };
    Some(Route {
        destination: Cidr::new(address(RTA_DST).unwrap_or(Ipv4Addr::UNSPECIFIED), part[1]),
        index: all.get(RTA_OIF).and_then(wire::ne_u32)?,
        gateway: address(RTA_GATEWAY),
        source: address(RTA_PREFSRC),
    })
}
