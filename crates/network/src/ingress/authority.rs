//! Certificates for hosts that bring none.
//!
//! The key of the cluster's authority stays with whoever started us; [`Issue`]
//! asks for a certificate. What was issued is kept for a while, so that a
//! change elsewhere does not change it.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A chain and a key, both as PEM.
pub type Pair = (String, String);

type Issued = Result<Pair, Box<dyn Error>>;
type Issuer = dyn Fn(&[String]) -> Issued + Send + Sync;

/// Issues a certificate for these hosts.
#[derive(Clone)]
pub struct Issue(Arc<Issuer>);

impl Issue {
    /// Wraps what issues certificates.
    pub fn new(issue: impl Fn(&[String]) -> Issued + Send + Sync + 'static) -> Self {
        Issue(Arc::new(issue))
    }
}

impl fmt::Debug for Issue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Issue")
    }
}

/// Leaves live for a year; they are replaced long before.
const RENEW_AFTER: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What was issued, by hosts.
#[derive(Debug)]
pub(super) struct Authority {
    issue: Option<Issue>,
    issued: HashMap<Vec<String>, (Instant, Pair)>,
}

impl Authority {
    pub(super) fn new(issue: Option<Issue>) -> Self {
        Authority {
            issue,
            issued: HashMap::new(),
        }
    }

    /// Returns a certificate for these hosts.
    pub(super) fn certificate(&mut self, hosts: &[String]) -> Option<Pair> {
        if let Some((since, pair)) = self.issued.get(hosts)
            && since.elapsed() < RENEW_AFTER
        {
            return Some(pair.clone());
        }
        let issue = self.issue.as_ref()?;
        match (issue.0)(hosts) {
            Ok(pair) => {
                let entry = (Instant::now(), pair.clone());
                self.issued.insert(hosts.to_vec(), entry);
                Some(pair)
            }
            Err(error) => {
                tracing::warn!(?hosts, %error, "certificate not issued");
                None
            }
        }
    }

    /// Forgets what was issued for other hosts than these.
    pub(super) fn keep(&mut self, hosts: &[Vec<String>]) {
        self.issued.retain(|known, _| hosts.contains(known));
    }
}
