//! Secrets with certificates, while any Ingress names one.
//!
//! Only those of type kubernetes.io/tls are followed: other Secrets, such as
//! Helm's releases, can be many and large.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Key, key_of};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// A Secret as it is now; `None` when it is gone.
pub(crate) type Change = (Key, Option<Arc<Secret>>);

/// How long the first list may take before certificates are decided without it.
const LIST_WITHIN: Duration = Duration::from_secs(2);

/// Follows Secrets with certificates until the receiver is gone; returns once
/// those there are have been received.
pub(crate) async fn follow(client: Client) -> mpsc::UnboundedReceiver<Change> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (listed, is_listed) = oneshot::channel();
    tokio::spawn(async move {
        tokio::select! {
            () = tell(client, &sender, listed) => {}
            () = sender.closed() => {}
        }
    });
    // Late is as good as never: what comes then is a change like any other.
    let _ = timeout(LIST_WITHIN, is_listed).await;
    receiver
}

async fn tell(client: Client, sender: &mpsc::UnboundedSender<Change>, first: oneshot::Sender<()>) {
    let mut first = Some(first);
    let config = watcher::Config::default().fields("type=kubernetes.io/tls");
    let events = watcher(Api::<Secret>::all(client), config).default_backoff();
    futures::pin_mut!(events);
    let (mut known, mut listed) = (HashSet::new(), HashSet::new());
    // Nobody listens any more when a change cannot be sent; the caller ends this.
    let put = |secret: Secret, known: &mut HashSet<Key>| {
        let key = key_of(&secret);
        known.insert(key.clone());
        let _ = sender.send((key, Some(Arc::new(secret))));
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(secret)) => {
                listed.insert(key_of(&secret));
                put(secret, &mut known);
            }
            Ok(watcher::Event::InitDone) => {
                for key in known.difference(&listed) {
                    let _ = sender.send((key.clone(), None));
                }
                known = std::mem::take(&mut listed);
                first.take().map(|first| first.send(()));
            }
            Ok(watcher::Event::Apply(secret)) => put(secret, &mut known),
            Ok(watcher::Event::Delete(secret)) => {
                let key = key_of(&secret);
                known.remove(&key);
                let _ = sender.send((key, None));
            }
            Err(error) => tracing::debug!(%error, "watch interrupted, trying again"),
        }
    }
}
