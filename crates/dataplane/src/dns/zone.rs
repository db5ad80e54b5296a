//! The cluster's own names.
//!
//! [`Zones`] answers three ways that a resolver with a search list must tell
//! apart: records, a name without such records (so the search ends), and no
//! such name in a zone of ours (so the search goes on). Pure.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::config::{Dns, Record};

/// Names and what is known of them.
#[derive(Debug, Default)]
pub struct Zones {
    zones: Vec<String>,
    records: HashMap<String, Vec<RData>>,
    /// Names without records that have names below them (RFC 8020).
    between: HashSet<String>,
    dashed: HashSet<String>,
    ttl: u32,
}

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// These records.
    Records(Vec<RData>),
    /// It is another name for this one.
    Alias(RData, String),
    /// It exists, without such records.
    NoData,
    /// It does not exist, and nobody else would know.
    NoName,
    /// It is none of ours.
    Elsewhere,
}

impl Zones {
    /// Reads a configuration; a record with a name that is none is left out.
    pub fn new(dns: &Dns) -> Self {
        let mut zones = Zones {
            zones: dns.zones.iter().map(|zone| plain(zone)).collect(),
            dashed: dns.dashed.iter().map(|zone| plain(zone)).collect(),
            ttl: dns.ttl,
            ..Zones::default()
        };
        for (name, records) in &dns.records {
            let data: Vec<RData> = records.iter().filter_map(data).collect();
            let name = plain(name);
            zones.add_between(&name);
            zones.records.insert(name, data);
        }
        for name in zones.dashed.clone() {
            zones.add_between(&name);
            zones.between.insert(name);
        }
        for zone in zones.zones.clone() {
            zones.between.insert(zone);
        }
        zones
    }

    /// Returns how long an answer may be kept, in seconds.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// Looks up a lower-case name without final dot.
    pub fn find(&self, name: &str, kind: RecordType) -> Found {
        if let Some(records) = self.records.get(name) {
            return pick(records, kind);
        }
        if let Some(address) = self.dashed_address(name) {
            return pick(&[RData::A(A(address))], kind);
        }
        if self.between.contains(name) {
            return Found::NoData;
        }
        if self.zone_of(name).is_some() {
            return Found::NoName;
        }
        Found::Elsewhere
    }

    /// Returns the start-of-authority record that goes with a negative answer.
    pub fn authority(&self, name: &str) -> Option<(Name, RData)> {
        let zone = self.zone_of(name)?;
        let origin = Name::from_ascii(format!("{zone}.")).ok()?;
        let soa = SOA::new(
            Name::from_ascii(format!("ns.dns.{zone}.")).ok()?,
            Name::from_ascii(format!("hostmaster.{zone}.")).ok()?,
            1,
            7200,
            1800,
            86400,
            self.ttl,
        );
        Some((origin, RData::SOA(soa)))
    }

    fn zone_of(&self, name: &str) -> Option<&str> {
        self.zones
            .iter()
            .map(String::as_str)
            .find(|zone| is_within(name, zone))
    }

    fn add_between(&mut self, name: &str) {
        let Some(zone) = self.zone_of(name).map(str::len) else {
            return;
        };
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            if parent.len() < zone || !self.between.insert(parent.to_owned()) {
                return;
            }
            rest = parent;
        }
    }

    fn dashed_address(&self, name: &str) -> Option<Ipv4Addr> {
        let (label, zone) = name.split_once('.')?;
        if !self.dashed.contains(zone) {
            return None;
        }
        label.replace('-', ".").parse().ok()
    }
}

fn is_within(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn pick(records: &[RData], kind: RecordType) -> Found {
    if kind != RecordType::CNAME
        && let Some(alias) = records.iter().find_map(|data| match data {
            RData::CNAME(target) => Some((data.clone(), plain(&target.0.to_ascii()))),
            _ => None,
        })
    {
        return Found::Alias(alias.0, alias.1);
    }
    let wanted: Vec<RData> = records
        .iter()
        .filter(|data| kind == RecordType::ANY || data.record_type() == kind)
        .cloned()
        .collect();
    if wanted.is_empty() {
        return Found::NoData;
    }
    Found::Records(wanted)
}

/// Returns a name in lower case without its final dot.
pub fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn data(record: &Record) -> Option<RData> {
    let name = |text: &str| Name::from_ascii(format!("{}.", plain(text))).ok();
    Some(match record {
        Record::A(address) => RData::A(A(*address)),
        Record::Aaaa(address) => RData::AAAA(AAAA(*address)),
        Record::Cname(target) => RData::CNAME(CNAME(name(target)?)),
        Record::Ptr(target) => RData::PTR(PTR(name(target)?)),
        Record::Srv {
            priority,
            weight,
            port,
            target,
        } => RData::SRV(SRV::new(*priority, *weight, *port, name(target)?)),
        Record::Txt(text) => RData::TXT(TXT::new(vec![text.clone()])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones() -> Zones {
        let mut dns = Dns {
            zones: vec!["cluster.local".into()],
            dashed: vec!["default.pod.cluster.local".into()],
            ttl: 5,
            ..Dns::default()
        };
        let a = |last| Record::A(Ipv4Addr::new(10, 96, 0, last));
        let mut put = |name: &str, records: Vec<Record>| {
            dns.records.insert(name.to_owned(), records);
        };
        put("web.default.svc.cluster.local", vec![a(1), a(2)]);
        put(
            "out.default.svc.cluster.local",
            vec![Record::Cname("example.com".into())],
        );
        put(
            "_http._tcp.web.default.svc.cluster.local",
            vec![Record::Srv {
                priority: 0,
                weight: 100,
                port: 80,
                target: "web.default.svc.cluster.local".into(),
            }],
        );
        put("1.0.96.10.in-addr.arpa", vec![Record::Ptr("web.x".into())]);
        Zones::new(&dns)
    }

    #[test]
    fn tells_the_three_kinds_of_absence_apart() {
        let zones = zones();
        let check = |name: &str, kind: RecordType, expected: &str| {
            let got = match zones.find(name, kind) {
                Found::Records(records) => format!("{} records", records.len()),
                Found::Alias(_, target) => format!("alias {target}"),
                Found::NoData => "no data".into(),
                Found::NoName => "no name".into(),
                Found::Elsewhere => "elsewhere".into(),
            };
            assert_eq!(got, expected, "{name} {kind}");
        };
        use RecordType as T;
        check("web.default.svc.cluster.local", T::A, "2 records");
        check("web.default.svc.cluster.local", T::AAAA, "no data");
        check("web.default.svc.cluster.local", T::ANY, "2 records");
        check("out.default.svc.cluster.local", T::A, "alias example.com");
        check("out.default.svc.cluster.local", T::CNAME, "1 records");
        check("_tcp.web.default.svc.cluster.local", T::SRV, "no data");
        check(
            "_http._tcp.web.default.svc.cluster.local",
            T::SRV,
            "1 records",
        );
        check("default.svc.cluster.local", T::A, "no data");
        check("cluster.local", T::A, "no data");
        check("db.default.svc.cluster.local", T::A, "no name");
        check("example.com.default.svc.cluster.local", T::A, "no name");
        check("notcluster.local", T::A, "elsewhere");
        check("example.com", T::A, "elsewhere");
        check("10-244-0-5.default.pod.cluster.local", T::A, "1 records");
        check("10-244-0-5.default.pod.cluster.local", T::AAAA, "no data");
        check("10-244-0.default.pod.cluster.local", T::A, "no name");
        check("10-244-0-5.other.pod.cluster.local", T::A, "no name");
        check("1.0.96.10.in-addr.arpa", T::PTR, "1 records");
        check("2.0.96.10.in-addr.arpa", T::PTR, "elsewhere");
        check("", T::A, "elsewhere");
    }
}
