//! What the data plane is to do: plain data, as JSON between processes.
//!
//! Main type: [`Config`]. It is always handed over whole.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Rises with every change; reports name it.
    pub generation: u64,
    /// Source address of forwarded connections; `None` lets the kernel choose.
    pub forward_source: Option<Ipv4Addr>,
    /// Host ports and where they lead.
    pub forwards: Vec<Forward>,
    /// The names this cluster knows.
    pub dns: Option<Dns>,
    /// The way out.
    pub egress: Option<Egress>,
}

/// A transport protocol.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Proto {
    /// Streams.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

/// Host addresses that lead to the same targets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Forward {
    /// Whom it belongs to; reports name it.
    pub name: String,
    /// The protocol of both sides.
    pub proto: Proto,
    /// Addresses in the host's namespace.
    pub listen: Vec<SocketAddr>,
    /// Addresses in the cluster's namespace, each as likely as the others.
    /// With none, connections are reset.
    pub targets: Vec<SocketAddr>,
    /// Whether one client address keeps one target.
    pub sticky: bool,
}

/// The names this cluster knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// Where to listen, UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Domains whose names are only known here, such as `cluster.local`.
    pub zones: Vec<String>,
    /// Records by lower-case name without the final dot.
    pub records: BTreeMap<String, Vec<Record>>,
    /// Domains in which `10-244-0-5` stands for 10.244.0.5.
    pub dashed: Vec<String>,
    /// How long an answer may be kept, in seconds.
    pub ttl: u32,
}

/// One record of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name.
    Cname(String),
    /// The name of an address.
    Ptr(String),
    /// A service (RFC 2782).
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// Share among equals.
        weight: u16,
        /// Where it listens.
        port: u16,
        /// Which machine.
        target: String,
    },
    /// A text.
    Txt(String),
}

/// The transparent way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// Where redirected connections arrive.
    pub listen: SocketAddr,
    /// An address that stands for the host's loopback.
    #[serde(default)]
    pub host: Option<Ipv4Addr>,
}
