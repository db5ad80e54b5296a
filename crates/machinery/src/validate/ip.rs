//! Addresses and ranges as validation reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Causes;
use crate::path::Path;

/// Message about a text that is no address.
pub(super) const ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const RANGE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// Reads an address; leading zeros are allowed, as old Go allowed them.
pub(super) fn sloppy(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return (!text.contains('%')).then_some(address);
    }
    let octets: Vec<&str> = text.split('.').collect();
    let [a, b, c, d] = octets.as_slice() else {
        return None;
    };
    let octet = |text: &str| -> Option<u8> {
        let digits =
            !text.is_empty() && text.len() <= 8 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u32>().ok())??.try_into().ok()
    };
    Some(Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?).into())
}

/// An address whose form is not judged beyond being one.
pub(super) fn legacy(path: &Path<'_>, text: &str, causes: &mut Causes) -> Option<IpAddr> {
    let address = sloppy(text);
    if address.is_none() {
        causes.invalid(path, text, ADDRESS);
    }
    address
}

/// An address in canonical form.
pub(super) fn strict(path: &Path<'_>, text: &str, causes: &mut Causes) -> Option<IpAddr> {
    let address = legacy(path, text, causes)?;
    if text.parse::<IpAddr>().is_err() {
        causes.invalid(path, text, "must not have leading 0s");
        return None;
    }
    if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        causes.invalid(path, text, "must not be an IPv4-mapped IPv6 address");
        return None;
    }
    let canonical = address.to_string();
    if canonical != text {
        let detail = format!("must be in canonical form ({})", super::quote(&canonical));
        causes.invalid(path, text, &detail);
        return None;
    }
    Some(address)
}

/// A range: address and prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) address: IpAddr,
    pub(super) prefix: u8,
}

impl Range {
    /// Reads `address/prefix` leniently.
    pub(super) fn sloppy(text: &str) -> Option<Range> {
        let (address, prefix) = text.split_once('/')?;
        let address = sloppy(address)?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix = digits.then(|| prefix.parse::<u8>().ok())??;
        (prefix <= max).then_some(Range { address, prefix })
    }

    /// The range with all bits beyond the prefix cleared.
    pub(super) fn masked(self) -> Range {
        let address = match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(self.prefix))
                    .unwrap_or(0);
                Ipv4Addr::from(u32::from(v4) & mask).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.prefix))
                    .unwrap_or(0);
                Ipv6Addr::from(u128::from(v6) & mask).into()
            }
        };
        Range { address, ..self }
    }

    /// Whether `other` lies inside and is smaller.
    pub(super) fn strictly_contains(self, other: Range) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && other.prefix > self.prefix
            && Range {
                prefix: self.prefix,
                ..other
            }
            .masked()
                == self.masked()
    }
}

/// A range whose form is judged strictly but for its spelling.
pub(super) fn range(path: &Path<'_>, text: &str, causes: &mut Causes) -> Option<Range> {
    let Some(range) = Range::sloppy(text) else {
        causes.invalid(path, text, RANGE);
        return None;
    };
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let zeros = address.parse::<IpAddr>().is_err() || (prefix.len() > 1 && prefix.starts_with('0'));
    if zeros {
        causes.invalid(
            path,
            text,
            "must not have leading 0s in IP or prefix length",
        );
    } else if matches!(range.address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        causes.invalid(path, text, "must not have an IPv4-mapped IPv6 address");
    } else if range.masked() != range {
        causes.invalid(
            path,
            text,
            "must not have bits set beyond the prefix length",
        );
    }
    Some(range)
}

/// A range whose form is not judged beyond being one.
pub(super) fn legacy_range(path: &Path<'_>, text: &str, causes: &mut Causes) -> Option<Range> {
    let range = Range::sloppy(text);
    if range.is_none() {
        causes.invalid(path, text, RANGE);
    }
    range
}

/// A range in canonical form.
pub(super) fn strict_range(path: &Path<'_>, text: &str, causes: &mut Causes) -> Option<Range> {
    let before = causes.len();
    let range = range(path, text, causes)?;
    let canonical = format!("{}/{}", range.address, range.prefix);
    if causes.len() == before && canonical != text {
        let detail = format!("must be in canonical form ({})", super::quote(&canonical));
        causes.invalid(path, text, &detail);
    }
    Some(range)
}

/// Addresses that no endpoint may have.
pub(super) fn not_special(path: &Path<'_>, text: &str, address: IpAddr, causes: &mut Causes) {
    if address.is_unspecified() {
        let detail = format!("may not be unspecified ({})", super::quote(text));
        causes.invalid(path, text, &detail);
    }
    if address.is_loopback() {
        causes.invalid(
            path,
            text,
            "may not be in the loopback range (127.0.0.0/8, ::1/128)",
        );
    }
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    if link_local {
        causes.invalid(
            path,
            text,
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
        );
    }
    let link_local_multicast = match address {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    };
    if link_local_multicast {
        causes.invalid(
            path,
            text,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        );
    }
}
