//! Network interfaces: make, find, change, delete, list.
//!
//! The requests of `man 7 rtnetlink`, RTM_*LINK. Only veth pairs are made here;
//! routed pods need no bridge.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::socket::Netlink;
use crate::wire::{self, Builder};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;

/// `struct ifinfomsg`.
const FIXED: usize = 16;
/// `IFNAMSIZ` less the closing zero.
const NAME_BYTES_MAX: usize = 15;

/// `IF_OPER_UP` (RFC 2863).
const OPERSTATE_UP: u8 = 6;
/// How long a carrier may take from appearing to carrying.
const OPERATIONAL_WITHIN: Duration = Duration::from_secs(2);

/// A hardware address.
pub type Mac = [u8; 6];

/// An interface as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it, unique in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address, where it has one of six bytes.
    pub mac: Option<Mac>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether it carries packets: up, with a carrier the kernel has acted on.
    pub operational: bool,
}

/// One end of a veth pair to be made.
#[derive(Debug, Clone, Copy)]
pub struct VethEnd<'a> {
    /// Its name, at most 15 bytes.
    pub name: &'a str,
    /// Its hardware address.
    pub mac: Mac,
    /// Largest packet in bytes.
    pub mtu: u32,
}

impl Netlink {
    /// Makes a veth pair; `peer` is born inside `peer_netns`.
    pub fn veth_add(
        &mut self,
        end: VethEnd<'_>,
        peer: VethEnd<'_>,
        peer_netns: BorrowedFd<'_>,
    ) -> Result<()> {
        check_name(end.name)?;
        check_name(peer.name)?;
        let mut builder = Builder::new(RTM_NEWLINK, wire::ACK | wire::CREATE | wire::EXCL);
        builder.fixed(&fixed(0, 0, 0));
        put_end(&mut builder, &end);
        builder.nest(IFLA_LINKINFO, |info| {
            info.put_str(IFLA_INFO_KIND, "veth");
            info.nest(IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |inner| {
                    inner.fixed(&fixed(0, 0, 0));
                    put_end(inner, &peer);
                    inner.put_u32(IFLA_NET_NS_FD, peer_netns.as_raw_fd() as u32);
                });
            });
        });
        self.change(builder, &format!("veth {}", end.name))
    }

    /// Sets an interface up or down.
    pub fn link_up(&mut self, index: u32, up: bool) -> Result<()> {
        let mut builder = Builder::new(RTM_NEWLINK, wire::ACK);
        let flags = if up { libc::IFF_UP as u32 } else { 0 };
        builder.fixed(&fixed(index, flags, libc::IFF_UP as u32));
        self.change(builder, &format!("link {index} up={up}"))
    }

    /// Renames an interface.
    pub fn link_rename(&mut self, index: u32, name: &str) -> Result<()> {
        check_name(name)?;
        let mut builder = Builder::new(RTM_NEWLINK, wire::ACK);
        builder
            .fixed(&fixed(index, 0, 0))
            .put_str(IFLA_IFNAME, name);
        self.change(builder, &format!("link {index} name {name}"))
    }

    /// Deletes an interface by name; a veth takes its peer along.
    pub fn link_delete(&mut self, name: &str) -> Result<()> {
        check_name(name)?;
        let mut builder = Builder::new(RTM_DELLINK, wire::ACK);
        builder.fixed(&fixed(0, 0, 0)).put_str(IFLA_IFNAME, name);
        self.change(builder, &format!("link {name}"))
    }

    /// Returns an interface by name.
    pub fn link(&mut self, name: &str) -> Result<Link> {
        check_name(name)?;
        let mut builder = Builder::new(RTM_GETLINK, wire::ACK);
        builder.fixed(&fixed(0, 0, 0)).put_str(IFLA_IFNAME, name);
        let answers = self.dump(builder, &format!("link {name}"))?;
        answers
            .iter()
            .find_map(|(kind, body)| parse(*kind, body))
            .ok_or(Error::Malformed("no link in the answer"))
    }

    /// Returns an interface's index.
    pub fn link_index(&mut self, name: &str) -> Result<u32> {
        Ok(self.link(name)?.index)
    }

    /// Waits until an interface that has a carrier carries packets.
    ///
    /// When the second end of a veth pair rises, the first one's queue is
    /// opened by a kernel worker a little later and drops all packets until
    /// then: a first SYN lost there costs its sender a second. Asking for a
    /// single link makes Linux 6.8 and newer do that work at once.
    pub fn link_await_operational(&mut self, name: &str) -> Result<()> {
        let deadline = Instant::now() + OPERATIONAL_WITHIN;
        while !self.link(name)?.operational && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Lists the interfaces of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let mut builder = Builder::new(RTM_GETLINK, wire::DUMP);
        builder.fixed(&fixed(0, 0, 0));
        let answers = self.dump(builder, "links")?;
        Ok(answers
            .iter()
            .filter_map(|(kind, body)| parse(*kind, body))
            .collect())
    }
}

fn put_end(builder: &mut Builder, end: &VethEnd<'_>) {
    builder
        .put_str(IFLA_IFNAME, end.name)
        .put(IFLA_ADDRESS, &end.mac)
        .put_u32(IFLA_MTU, end.mtu);
}

fn fixed(index: u32, flags: u32, change: u32) -> [u8; FIXED] {
    let mut part = [0; FIXED];
    part[4..8].copy_from_slice(&index.to_ne_bytes());
    part[8..12].copy_from_slice(&flags.to_ne_bytes());
    part[12..16].copy_from_slice(&change.to_ne_bytes());
    part
}

/// Reads one RTM_NEWLINK; `None` for another type or a malformed body.
pub fn parse(kind: u16, body: &[u8]) -> Option<Link> {
    if kind != RTM_NEWLINK {
        return None;
    }
    let index = wire::ne_u32(body.get(4..8)?)?;
    let flags = wire::ne_u32(body.get(8..12)?)?;
    let all = wire::attributes(body.get(FIXED..)?);
    Some(Link {
        index,
        name: wire::text(all.get(IFLA_IFNAME)?),
        mac: all.get(IFLA_ADDRESS).and_then(|mac| mac.try_into().ok()),
        mtu: all.get(IFLA_MTU).and_then(wire::ne_u32).unwrap_or(0),
        up: flags & libc::IFF_UP as u32 != 0,
        operational: all.get(IFLA_OPERSTATE) == Some(&[OPERSTATE_UP]),
    })
}

fn check_name(name: &str) -> Result<()> {
    let wrong = name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || name == "."
        || name == ".."
        || name.bytes().any(|b| b == b'/' || b == b':' || b <= b' ');
    if wrong {
        return Err(Error::Name(name.to_owned()));
    }
    Ok(())
}
