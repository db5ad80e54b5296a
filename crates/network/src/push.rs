//! Keeps the data plane's configuration equal to the wanted one.
//!
//! [`Pusher`] connects to the data plane's socket, sends the latest
//! configuration, again after the data plane was restarted, and passes its
//! reports on. Changes that come close together travel as one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coracle_dataplane::control;
use coracle_dataplane::{Config, Report};
use tokio::sync::watch;

/// The shortest time between two configurations.
const PAUSE: Duration = Duration::from_millis(20);
/// How long to wait for a data plane that is not there.
const AGAIN: Duration = Duration::from_millis(200);

/// Sends configurations and receives reports, for ever.
pub(crate) struct Pusher {
    pub path: PathBuf,
    pub config: watch::Receiver<Arc<Config>>,
    pub report: watch::Sender<Arc<Report>>,
}

impl Pusher {
    pub(crate) async fn run(mut self) {
        // A configuration of generation 0 was never decided.
        if self.config.wait_for(|c| c.generation > 0).await.is_err() {
            return;
        }
        loop {
            if let Err(error) = self.converse().await {
                tracing::debug!(%error, "data plane not reached, trying again");
            }
            if self.config.has_changed().is_err() {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn converse(&mut self) -> std::io::Result<()> {
        let (mut sender, mut reports) = control::connect(&self.path).await?;
        let report = self.report.clone();
        let listen = async move {
            while let Some(next) = reports.next().await? {
                report.send_replace(Arc::new(next));
            }
            Ok(())
        };
        let config = &mut self.config;
        let speak = async move {
            loop {
                let wanted = config.borrow_and_update().clone();
                sender.send(&wanted).await?;
                tokio::time::sleep(PAUSE).await;
                if config.changed().await.is_err() {
                    return Ok(());
                }
            }
        };
        tokio::select! {
            result = listen => result,
            result = speak => result,
        }
    }
}
