//! Telling of a pod's address before anything runs in the pod.
//!
//! Main type: [`Announce`]. The address reaches the API as well, but whoever
//! reads it there may be later than the pod's first packet.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::Key;
use futures::future::BoxFuture;

/// How long a pod waits at most for whoever is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// A pod that has got its address, and no container yet.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The pod.
    pub pod: Key,
    /// Its uid.
    pub uid: String,
    /// Its own address.
    pub address: Ipv4Addr,
}

type Listener = dyn Fn(Announcement) -> BoxFuture<'static, ()> + Send + Sync;

/// Whom a node tells of addresses; nobody by default.
#[derive(Clone, Default)]
pub struct Announce(Option<Arc<Listener>>);

impl Announce {
    /// Wraps what is told; the pod starts when its future has ended.
    pub fn new(
        listener: impl Fn(Announcement) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Announce(Some(Arc::new(listener)))
    }

    /// Tells of an address, at once. The future ends when it is known, or after
    /// a while all the same.
    pub(crate) fn tell(
        &self,
        announcement: Announcement,
    ) -> impl Future<Output = ()> + Send + use<> {
        let pod = announcement.pod.clone();
        let known = self.0.as_ref().map(|listener| listener(announcement));
        async move {
            let Some(known) = known else { return };
            if tokio::time::timeout(PATIENCE, known).await.is_err() {
                tracing::warn!(%pod, "the pod's address is not known to the network yet");
            }
        }
    }
}

impl fmt::Debug for Announce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Announce")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pod_starts_though_nobody_ever_answers() {
        let announcement = Announcement {
            pod: Key::new("shop", "web"),
            uid: "1".into(),
            address: Ipv4Addr::new(10, 244, 0, 20),
        };
        Announce::default().tell(announcement.clone()).await;
        let silent = Announce::new(|_| Box::pin(std::future::pending()));
        silent.tell(announcement).await;
    }
}
