//! Interface addresses: add, delete, list (RTM_*ADDR, IPv4).

use std::net::Ipv4Addr;

use crate::cidr::Cidr;
use crate::error::Result;
use crate::socket::Netlink;
use crate::wire::{self, Builder};

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// `struct ifaddrmsg`.
const FIXED: usize = 8;

/// How far an address or route is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Scope {
    /// Everywhere; usable as a source address.
    Global = 0,
    /// On the link only; not picked as a source for other links.
    Link = 253,
    /// On this machine only.
    Host = 254,
}

/// An address as the kernel lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The interface that carries it.
    pub index: u32,
    /// The address.
    pub address: Ipv4Addr,
    /// Leading bits of its network.
    pub prefix: u8,
}

impl Netlink {
    /// Gives an interface an address; one that is there already is left alone.
    pub fn address_add(
        &mut self,
        index: u32,
        address: Ipv4Addr,
        prefix: u8,
        scope: Scope,
    ) -> Result<()> {
        let mut builder = Builder::new(RTM_NEWADDR, wire::ACK | wire::CREATE | wire::EXCL);
        put(&mut builder, index, address, prefix, scope);
        match self.change(builder, &format!("address {address}/{prefix}")) {
            Err(error) if error.is_exists() => Ok(()),
            result => result,
        }
    }

    /// Takes an address from an interface.
    pub fn address_delete(&mut self, index: u32, address: Ipv4Addr, prefix: u8) -> Result<()> {
        let mut builder = Builder::new(RTM_DELADDR, wire::ACK);
        put(&mut builder, index, address, prefix, Scope::Global);
        self.change(builder, &format!("address {address}/{prefix}"))
    }

    /// Lists the IPv4 addresses of the namespace.
    pub fn addresses(&mut self) -> Result<Vec<Address>> {
        let mut builder = Builder::new(RTM_GETADDR, wire::DUMP);
        builder.fixed(&[libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0]);
        let answers = self.dump(builder, "addresses")?;
        Ok(answers
            .iter()
            .filter_map(|(kind, body)| parse(*kind, body))
            .collect())
    }
}

fn put(builder: &mut Builder, index: u32, address: Ipv4Addr, prefix: u8, scope: Scope) {
    let mut part = [libc::AF_INET as u8, prefix, 0, scope as u8, 0, 0, 0, 0];
    part[4..8].copy_from_slice(&index.to_ne_bytes());
    builder
        .fixed(&part)
        .put(IFA_LOCAL, &address.octets())
        .put(IFA_ADDRESS, &address.octets());
}

/// Reads one RTM_NEWADDR; `None` for another type or a malformed body.
pub fn parse(kind: u16, body: &[u8]) -> Option<Address> {
    if kind != RTM_NEWADDR || body.first() != Some(&(libc::AF_INET as u8)) {
        return None;
    }
    let all = wire::attributes(body.get(FIXED..)?);
    let octets: [u8; 4] = all.get(IFA_LOCAL)?.try_into().ok()?;
    Some(Address {
        index: wire::ne_u32(body.get(4..8)?)?,
        address: octets.into(),
        prefix: *body.get(1)?,
    })
}

impl From<Address> for Cidr {
    fn from(address: Address) -> Cidr {
        Cidr::new(address.address, address.prefix)
    }
}
