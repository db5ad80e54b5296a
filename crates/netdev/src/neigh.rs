//! Permanent neighbours (RTM_NEWNEIGH, IPv4).
//!
//! Both ends of a pod's veth know each other from birth, so no packet waits for
//! an ARP answer.

use std::net::Ipv4Addr;

use crate::error::Result;
use crate::link::Mac;
use crate::socket::Netlink;
use crate::wire::{self, Builder};

const RTM_NEWNEIGH: u16 = 28;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_PERMANENT: u16 = 0x80;

impl Netlink {
    /// Writes a permanent neighbour, in place of what was known of it.
    pub fn neighbour_put(&mut self, index: u32, address: Ipv4Addr, mac: Mac) -> Result<()> {
        let mut builder = Builder::new(RTM_NEWNEIGH, wire::ACK | wire::CREATE | wire::REPLACE);
        // struct ndmsg: family, padding, interface, state, flags, type.
        let mut part = [0; 12];
        part[0] = libc::AF_INET as u8;
        part[4..8].copy_from_slice(&index.to_ne_bytes());
        part[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes());
        builder
            .fixed(&part)
            .put(NDA_DST, &address.octets())
            .put(NDA_LLADDR, &mac);
        self.change(builder, &format!("neighbour {address}"))
    }
}
