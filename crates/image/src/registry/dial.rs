//! Connections: [`Dial`] makes them, [`Direct`] does so from this process,
//! [`Proxies`] says which go through a proxy.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A byte stream to a host.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// The future of a connection.
pub type Dialing<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Connection>>> + Send + 'a>>;

/// Makes connections.
pub trait Dial: Send + Sync {
    /// Connects to a host (a name or an address) and port.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialing<'a>;
}

/// Connects from this process; names are asked of the system's name servers.
///
/// Not through the C library: a static one would load modules of the host.
pub struct Direct {
    resolver: Option<TokioResolver>,
}

impl Direct {
    /// Reads the system's resolver configuration. Without one, only addresses
    /// can be dialled.
    pub fn new() -> Self {
        let builder = TokioResolver::builder_tokio();
        let resolver = builder.and_then(|builder| builder.build());
        Self {
            resolver: resolver.ok(),
        }
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<Box<dyn Connection>> {
        let mut last = io::Error::other(format!("{host} has no address"));
        for address in self.addresses(host).await? {
            let connecting = TcpStream::connect((address, port));
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(Box::new(stream));
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    /// Returns the addresses of a host, which may be one itself.
    ///
    /// # Errors
    ///
    /// Fails when the name servers do not know it.
    pub async fn addresses(&self, host: &str) -> io::Result<Vec<std::net::IpAddr>> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        // RFC 6761, section 6.3: localhost is this machine, whatever DNS says.
        if host == "localhost" || host.ends_with(".localhost") {
            let (v4, v6) = (std::net::Ipv4Addr::LOCALHOST, std::net::Ipv6Addr::LOCALHOST);
            return Ok(vec![v4.into(), v6.into()]);
        }
        let Some(resolver) = &self.resolver else {
            return Err(io::Error::other("no name server is configured"));
        };
        let found =
            resolver
                .lookup_ip(host)
                .await
                .map_err(|error| match error.is_no_records_found() {
                    true => io::Error::new(
                        io::ErrorKind::NotFound,
                        format!("no name server knows {host}"),
                    ),
                    false => io::Error::other(format!("no name server answers: {error}")),
                })?;
        Ok(found.iter().collect())
    }
}

impl Default for Direct {
    fn default() -> Self {
        Self::new()
    }
}

impl Dial for Direct {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialing<'a> {
        Box::pin(self.connect(host, port))
    }
}

/// Which hosts are reached through which proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxies {
    /// Proxy for plain HTTP, `http://[user:password@]host:port`.
    pub http: Option<String>,
    /// Proxy for HTTPS.
    pub https: Option<String>,
    /// Hosts without a proxy: `host`, `.domain`, address, `10.0.0.0/8`, `*`.
    pub none: Vec<String>,
}

/// A proxy as it is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// `user:password`.
    pub(super) login: Option<String>,
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either
    /// case, through `variable`.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let value = variable(&name.to_lowercase()).or_else(|| variable(name));
            value.filter(|value| !value.is_empty())
        };
        let all = either("ALL_PROXY");
        let none = either("NO_PROXY").unwrap_or_default();
        Self {
            http: either("HTTP_PROXY").or_else(|| all.clone()),
            https: either("HTTPS_PROXY").or(all),
            none: none
                .split(',')
                .map(|host| host.trim().to_owned())
                .filter(|host| !host.is_empty())
                .collect(),
        }
    }

    /// Returns the proxy for a host; this machine needs none.
    pub(super) fn proxy(&self, host: &str, tls: bool) -> Option<Proxy> {
        let host = host.trim_matches(['[', ']']);
        if is_loopback(host) || self.none.iter().any(|entry| covers(entry, host)) {
            return None;
        }
        let url = if tls { &self.https } else { &self.http };
        Proxy::parse(url.as_deref()?)
    }
}

impl Proxy {
    fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let rest = rest.split('/').next().unwrap_or_default();
        let (login, address) = match rest.rsplit_once('@') {
            Some((login, address)) => (Some(login.to_owned()), address),
            None => (None, rest),
        };
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (address, 80),
        };
        let host = host.to_owned();
        (!host.is_empty()).then_some(Self { host, port, login })
    }
}

/// Returns whether a host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback())
}

fn covers(entry: &str, host: &str) -> bool {
    if entry == "*" {
        return true;
    }
    if let (Some((network, bits)), Ok(address)) = (entry.split_once('/'), host.parse()) {
        return in_network(network, bits, address);
    }
    let domain = entry.trim_start_matches('*').trim_start_matches('.');
    host == domain
        || host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.'))
}

fn in_network(network: &str, bits: &str, address: std::net::IpAddr) -> bool {
    use std::net::IpAddr;
    let (Ok(network), Ok(bits)) = (network.parse(), bits.parse::<u32>()) else {
        return false;
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) if bits <= 32 => {
            let shift = 32 - bits;
            let cut = |address: std::net::Ipv4Addr| u64::from(address.to_bits()) >> shift;
            cut(network) == cut(address)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) if (1..=128).contains(&bits) => {
            network.to_bits() >> (128 - bits) == address.to_bits() >> (128 - bits)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_chosen_as_curl_does() {
        let proxies = Proxies::from_environment(|name| {
            let value = match name {
                "HTTPS_PROXY" => "http://user:pw@proxy:3128/",
                "http_proxy" => "plain",
                "no_proxy" => "internal.example, .corp,10.0.0.0/8,192.168.1.1",
                _ => return None,
            };
            Some(value.to_owned())
        });
        let check = |host: &str, tls: bool, expected: Option<(&str, u16)>| {
            let proxy = proxies.proxy(host, tls);
            let got = proxy
                .as_ref()
                .map(|proxy| (proxy.host.as_str(), proxy.port));
            assert_eq!(got, expected, "{host}");
        };
        check("ghcr.io", true, Some(("proxy", 3128)));
        check("ghcr.io", false, Some(("plain", 80)));
        check("internal.example", true, None);
        check("a.internal.example", true, None);
        check("notinternal.example", true, Some(("proxy", 3128)));
        check("x.corp", true, None);
        check("10.2.3.4", true, None);
        check("11.2.3.4", true, Some(("proxy", 3128)));
        check("192.168.1.1", true, None);
        check("localhost", true, None);
        check("127.0.0.1", true, None);
        check("[::1]", true, None);
        assert_eq!(
            proxies.proxy("x", true).expect("proxy").login.as_deref(),
            Some("user:pw")
        );
        assert_eq!(Proxies::default().proxy("x", true), None);
    }
}
