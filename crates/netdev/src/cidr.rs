//! IPv4 address blocks, and their arithmetic for sets of intervals.
//!
//! Main type: [`Cidr`]. It does not do IPv6: pods and services are IPv4.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An IPv4 block such as `10.244.0.0/16`; bits behind the prefix are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: Ipv4Addr,
    prefix: u8,
}

/// A text that is no IPv4 block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an IPv4 block such as 10.244.0.0/16: {0:?}")]
pub struct CidrError(String);

impl Cidr {
    /// Returns the block of `prefix` bits (at most 32) that holds `address`.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Cidr {
            address: Ipv4Addr::from_bits(address.to_bits() & mask_bits(prefix)),
            prefix,
        }
    }

    /// Returns the block of one address.
    pub fn host(address: Ipv4Addr) -> Self {
        Cidr::new(address, 32)
    }

    /// Returns the first address.
    pub fn address(self) -> Ipv4Addr {
        self.address
    }

    /// Returns the number of leading bits.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Returns the netmask.
    pub fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask_bits(self.prefix))
    }

    /// Tells whether an address lies inside.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask_bits(self.prefix) == self.address.to_bits()
    }

    /// Tells whether two blocks share an address.
    pub fn overlaps(self, other: Cidr) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// Returns the address at an offset; `None` outside the block.
    pub fn nth(self, offset: u32) -> Option<Ipv4Addr> {
        let address = Ipv4Addr::from_bits(self.address.to_bits().checked_add(offset)?);
        self.contains(address).then_some(address)
    }

    /// Returns the last address.
    pub fn last(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !mask_bits(self.prefix))
    }
}

fn mask_bits(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl From<Ipv4Addr> for Cidr {
    fn from(address: Ipv4Addr) -> Self {
        Cidr::host(address)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let wrong = || CidrError(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address = address.parse().map_err(|_| wrong())?;
        let prefix = prefix.parse().map_err(|_| wrong())?;
        if prefix > 32 {
            return Err(wrong());
        }
        Ok(Cidr::new(address, prefix))
    }
}

/// An inclusive range of addresses.
pub type Range = (Ipv4Addr, Ipv4Addr);

/// Returns the ranges covered by `blocks` without `except`, merged and sorted.
///
/// Interval sets of the kernel want neither overlap nor adjacency.
pub fn ranges(blocks: &[(Cidr, Vec<Cidr>)]) -> Vec<Range> {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for (block, except) in blocks {
        spans.extend(subtract(span(*block), except.iter().map(|c| span(*c))));
    }
    spans.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (from, to) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1 + 1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    let address = |bits: u64| Ipv4Addr::from_bits(bits as u32);
    merged
        .into_iter()
        .map(|(from, to)| (address(from), address(to)))
        .collect()
}

fn span(cidr: Cidr) -> (u64, u64) {
    (
        u64::from(cidr.address.to_bits()),
        u64::from(cidr.last().to_bits()),
    )
}

fn subtract(whole: (u64, u64), holes: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut holes: Vec<_> = holes.collect();
    holes.sort_unstable();
    let mut left = Vec::new();
    let mut from = whole.0;
    for (hole_from, hole_to) in holes {
        if hole_to < from || hole_from > whole.1 {
            continue;
        }
        if hole_from > from {
            left.push((from, hole_from - 1));
        }
        from = from.max(hole_to + 1);
    }
    if from <= whole.1 {
        left.push((from, whole.1));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().expect("a block")
    }

    #[test]
    fn parses_and_masks() {
        let check = |text: &str, expected: Option<&str>| {
            let got = text.parse::<Cidr>().ok().map(|c| c.to_string());
            assert_eq!(got.as_deref(), expected, "{text}");
        };
        check("10.244.3.4/16", Some("10.244.0.0/16"));
        check("0.0.0.0/0", Some("0.0.0.0/0"));
        check("1.2.3.4/32", Some("1.2.3.4/32"));
        check("1.2.3.4", None);
        check("1.2.3.4/33", None);
        check("::1/64", None);
        check("1.2.3/8", None);
    }

    #[test]
    fn knows_its_members() {
        let block = cidr("10.96.0.0/16");
        assert!(block.contains(Ipv4Addr::new(10, 96, 255, 255)));
        assert!(!block.contains(Ipv4Addr::new(10, 97, 0, 0)));
        assert!(cidr("0.0.0.0/0").contains(Ipv4Addr::BROADCAST));
        assert_eq!(block.nth(10), Some(Ipv4Addr::new(10, 96, 0, 10)));
        assert_eq!(block.nth(65536), None);
        assert!(block.overlaps(cidr("10.0.0.0/8")));
        assert!(!block.overlaps(cidr("10.97.0.0/16")));
    }

    #[test]
    fn ranges_leave_out_the_exceptions_and_merge() {
        let check = |blocks: &[(&str, &[&str])], expected: &[&str]| {
            let blocks: Vec<_> = blocks
                .iter()
                .map(|(b, e)| (cidr(b), e.iter().map(|e| cidr(e)).collect()))
                .collect();
            let got: Vec<String> = ranges(&blocks)
                .into_iter()
                .map(|(from, to)| format!("{from}-{to}"))
                .collect();
            assert_eq!(got, expected);
        };
        check(&[("0.0.0.0/0", &[])], &["0.0.0.0-255.255.255.255"]);
        check(
            &[("10.0.0.0/8", &["10.1.0.0/16"])],
            &["10.0.0.0-10.0.255.255", "10.2.0.0-10.255.255.255"],
        );
        check(
            &[("10.0.0.0/24", &["10.0.0.0/25"]), ("10.0.1.0/24", &[])],
            &["10.0.0.128-10.0.1.255"],
        );
        check(&[("10.0.0.0/24", &["10.0.0.0/16"])], &[]);
        check(
            &[("0.0.0.0/0", &["255.0.0.0/8", "0.0.0.0/8"])],
            &["1.0.0.0-254.255.255.255"],
        );
    }
}
