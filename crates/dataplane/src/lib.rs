//! Carries traffic: host-port forwarders, cluster DNS, egress, the HTTP proxy.
//! Knows no Kubernetes.
//!
//! [`run`] is the whole process: it follows a [`Config`], asks a
//! [`host::HostPorts`] for everything that needs the host's network namespace,
//! and publishes a [`Report`] of what it could not do. [`control`] moves both
//! over a Unix socket and keeps the last configuration for a restart. A new
//! configuration never cuts an open connection.

mod check;
pub mod config;
pub mod control;
pub mod dns;
mod egress;
mod forward;
mod held;
pub mod host;
pub mod ingress;
pub mod leave;
mod pipe;
pub mod report;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use config::Config;
pub use held::Held;
pub use report::Report;

use host::HostPorts;

/// How long to wait before a refused listener is tried again: soon, for the
/// data plane before this one may be about to close it; then at leisure.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY: Duration = Duration::from_secs(2);

/// What a data plane lives on.
pub struct Options {
    /// The wanted configuration; the data plane ends when its sender goes.
    pub config: watch::Receiver<Arc<Config>>,
    /// The way to the host's network namespace.
    pub host: Arc<dyn HostPorts>,
    /// Sockets that were handed over.
    pub held: Held,
    /// Where the state of affairs is published.
    pub report: watch::Sender<Arc<Report>>,
}

/// Runs the data plane until the sender of its configuration is gone.
///
/// Must run in the cluster's network namespace, on a tokio runtime.
pub async fn run(options: Options) {
    let Options {
        mut config,
        host,
        held,
        report,
    } = options;
    let held = Arc::new(held);
    let board = report::Board::new(report);
    let mut forwards = forward::Forwards::new(host.clone(), board.clone());
    let mut names = dns::Server::new(host.clone(), held.clone(), board.clone());
    let mut egress = egress::Egress::new(host.clone(), held, board.clone());
    let mut checks = check::Checks::new(host.clone(), board.clone());
    let mut ingress = match ingress::Ingress::new(host, board.clone()) {
        Ok(ingress) => ingress,
        Err(error) => {
            tracing::error!(%error, "no TLS, so no data plane");
            return;
        }
    };
    let mut pause = RETRY_FIRST;
    loop {
        let wanted = config.borrow_and_update().clone();
        names.apply(wanted.dns.as_ref());
        egress.apply(wanted.egress.as_ref());
        forwards.apply(&wanted, &ingress.held()).await;
        ingress
            .apply(wanted.ingress.as_ref(), &forwards.held())
            .await;
        checks.apply(&wanted.checks).await;
        board.settle(wanted.generation);
        let failing = board.failing();
        tokio::select! {
            changed = config.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause), if failing => pause = RETRY.min(pause * 2),
        }
    }
}
