//! What the data plane is to do: plain data, as JSON between processes.
//!
//! Main type: [`Config`]. It is always handed over whole.

use std::collections::BTreeMap;
use std::fmt;
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
    /// Addresses that say whether this machine takes part.
    pub checks: Vec<Check>,
    /// The names this cluster knows.
    pub dns: Option<Dns>,
    /// The way out.
    pub egress: Option<Egress>,
    /// The HTTP proxy in front of the cluster's sites.
    pub ingress: Option<Ingress>,
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

/// Addresses that answer every request alike.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Check {
    /// Whom it belongs to; reports name it.
    pub name: String,
    /// Addresses in the host's namespace.
    pub listen: Vec<SocketAddr>,
    /// Addresses in the cluster's namespace.
    pub inside: Vec<SocketAddr>,
    /// What is answered.
    pub answer: Answer,
}

/// An answer to any HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
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

/// The HTTP proxy in front of the cluster's sites.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ingress {
    /// Where clients come in.
    pub entrances: Vec<Entrance>,
    /// Source address of connections to targets; `None` lets the kernel choose.
    pub source: Option<Ipv4Addr>,
    /// What leads where. Among equals the first wins.
    pub routes: Vec<HttpRoute>,
    /// The sites' servers by name.
    pub backends: BTreeMap<String, Backend>,
    /// What the proxy proves itself with.
    pub certificates: Vec<Certificate>,
    /// When it changes, waiting connections to targets are not used again:
    /// they may have been made when more was allowed.
    pub era: u64,
}

/// One listener of the HTTP proxy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Entrance {
    /// Whether clients speak TLS.
    pub tls: bool,
    /// Whether the addresses are the cluster's own, not the host's.
    pub inside: bool,
    /// The first that can be had is used; those before it are tried again.
    pub addresses: Vec<SocketAddr>,
}

/// One rule of the HTTP proxy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpRoute {
    /// A lower-case name, `*.` and a name for one label below it, or empty for
    /// every host.
    pub host: String,
    /// The path, read as `kind` says.
    pub path: String,
    /// How paths are compared.
    pub kind: PathKind,
    /// A key of [`Ingress::backends`].
    pub backend: String,
    /// Whether plain HTTP is sent to HTTPS.
    pub redirect: bool,
    /// What the path becomes; `$1` is a group of a [`PathKind::Pattern`].
    pub rewrite: Option<String>,
    /// The name the server is asked for, instead of the client's.
    pub server_name: Option<String>,
    /// The largest body of a request in bytes; 0 is any.
    pub body_bytes_max: u64,
    /// How long a server may take to accept a connection, in seconds; 0 is the
    /// usual time.
    pub connect_seconds: u32,
    /// How long a server may take to begin its answer, in seconds; 0 is the
    /// usual time.
    pub answer_seconds: u32,
}

/// How the path of a request is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PathKind {
    /// The same path.
    Exact,
    /// The path or one below it, element by element.
    #[default]
    Prefix,
    /// Whatever begins with the text.
    Text,
    /// Whatever begins with a match of the regular expression, in either case.
    Pattern,
}

/// The servers of a site.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backend {
    /// What they speak.
    pub protocol: Protocol,
    /// Their addresses, each as likely as the others.
    pub targets: Vec<SocketAddr>,
}

/// What a server speaks.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 over TLS; whoever answers is believed.
    Https,
    /// HTTP/2 without TLS.
    Grpc,
    /// HTTP/2 over TLS; whoever answers is believed.
    Grpcs,
}

/// A certificate with its key.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Certificate {
    /// Hosts it is shown for, as in [`HttpRoute::host`]; one without any is
    /// shown to everybody else.
    pub hosts: Vec<String>,
    /// The chain, leaf first (PEM).
    pub chain: String,
    /// The private key (PEM).
    pub key: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is nobody's business.
        formatter
            .debug_struct("Certificate")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}
