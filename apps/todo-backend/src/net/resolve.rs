//! Names to addresses, without the C library.
//!
//! A static program must not call `getaddrinfo`: it would load what
//! nsswitch.conf names. This reads /etc/resolv.conf and /etc/hosts itself.
//! Answers are kept for a few seconds only, so that a Service with another
//! address, or a headless one with other pods, is noticed.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use tokio::sync::OnceCell;

/// Longest life of an answer.
const TTL_MAX: Duration = Duration::from_secs(5);
/// Longest life of a "no such name".
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(1);

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// /etc/resolv.conf cannot be used.
    #[error("the resolver's configuration cannot be read: {0}")]
    Configuration(String),
    /// The name servers did not give an address.
    #[error("{name} cannot be resolved: {reason}")]
    Lookup {
        /// The name.
        name: String,
        /// What the resolver said.
        reason: String,
    },
}

/// Resolves names as pods do: search domains and ndots from resolv.conf.
#[derive(Default)]
pub struct Resolver(OnceCell<TokioResolver>);

impl Resolver {
    /// Returns the addresses of a name, or of an address itself.
    ///
    /// # Errors
    /// As [`ResolveError`] says.
    pub async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        // RFC 6761, 6.3: localhost never leaves the machine.
        if name.eq_ignore_ascii_case("localhost") {
            return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        }
        let resolver = self.0.get_or_try_init(|| async { build() }).await?;
        let failed = |reason: String| ResolveError::Lookup {
            name: name.to_owned(),
            reason,
        };
        let found = resolver
            .lookup_ip(name)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let addresses: Vec<IpAddr> = found.iter().collect();
        if addresses.is_empty() {
            return Err(failed("the name has no address".to_owned()));
        }
        Ok(addresses)
    }
}

fn build() -> Result<TokioResolver, ResolveError> {
    let wrong = |error: &dyn std::fmt::Display| ResolveError::Configuration(error.to_string());
    let mut builder = TokioResolver::builder_tokio().map_err(|error| wrong(&error))?;
    let options = builder.options_mut();
    options.positive_max_ttl = Some(TTL_MAX);
    options.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
    options.timeout = Duration::from_secs(2);
    builder.build().map_err(|error| wrong(&error))
}
