//! Addresses of pods that their status does not have yet.
//!
//! Whoever gives a pod its address tells so through an [`Announcer`] before
//! anything runs in the pod. [`Announcements`] keeps the address until the API
//! says the same or the pod is over.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coracle_client::Key;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, oneshot};

use crate::policy::PodFacts;

/// Tells the resident of addresses; made by [`announcements`].
#[derive(Debug, Clone)]
pub struct Announcer {
    tell: mpsc::UnboundedSender<Announced>,
    holding: Arc<AtomicBool>,
}

/// What the resident is told, and what it has not seen in the API yet.
#[derive(Debug)]
pub struct Announcements {
    told: mpsc::UnboundedReceiver<Announced>,
    /// Uids and addresses of pods.
    ahead: HashMap<Key, (String, Ipv4Addr)>,
    waiting: Vec<oneshot::Sender<()>>,
    /// Pods whose facts may be others now.
    fresh: Vec<Key>,
    /// Whether the kernel's table may hold unknown pods back.
    holding: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Announced {
    key: Key,
    uid: String,
    address: Ipv4Addr,
    known: oneshot::Sender<()>,
}

/// Returns both ends.
pub fn announcements() -> (Announcer, Announcements) {
    let (tell, told) = mpsc::unbounded_channel();
    // What an earlier process left in the kernel is not known.
    let holding = Arc::new(AtomicBool::new(true));
    let announcements = Announcements {
        told,
        ahead: HashMap::new(),
        waiting: Vec::new(),
        fresh: Vec::new(),
        holding: holding.clone(),
    };
    (Announcer { tell, holding }, announcements)
}

impl Announcer {
    /// Tells that a pod has an address, at once. The future ends when the kernel
    /// knows the pod: without policies nobody is held and it ends immediately,
    /// and so it does when there is no resident.
    pub fn announce(
        &self,
        key: Key,
        uid: String,
        address: Ipv4Addr,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (known, is_known) = oneshot::channel();
        let told = self.tell.send(Announced {
            key,
            uid,
            address,
            known,
        });
        let waits = told.is_ok() && self.holding.load(Ordering::Acquire);
        async move {
            if waits {
                // An error: the resident has ended.
                let _ = is_known.await;
            }
        }
    }
}

impl Announcements {
    /// Waits until something is announced; [`Announcements::take`] has it.
    pub(crate) async fn changed(&mut self) {
        match self.told.recv().await {
            Some(announced) => self.note(announced),
            None => std::future::pending().await,
        }
    }

    /// Returns the pods that were announced since it was last asked.
    pub(crate) fn take(&mut self) -> Vec<Key> {
        while let Ok(announced) = self.told.try_recv() {
            self.note(announced);
        }
        std::mem::take(&mut self.fresh)
    }

    fn note(&mut self, announced: Announced) {
        let Announced {
            key,
            uid,
            address,
            known,
        } = announced;
        self.ahead.insert(key.clone(), (uid, address));
        self.fresh.push(key);
        self.waiting.push(known);
    }

    /// Returns the facts of a pod as it is in the cache, with the address that
    /// was announced. A pod that is not there is gone: whoever announced it had
    /// read the same cache.
    pub(crate) fn facts(&mut self, key: &Key, pod: Option<&Pod>) -> Option<PodFacts> {
        let told = pod.and_then(PodFacts::of);
        let Some((uid, address)) = self.ahead.get(key) else {
            return told;
        };
        let announced = pod
            .filter(|pod| pod.metadata.uid.as_ref() == Some(uid))
            .and_then(|pod| PodFacts::at(pod, *address));
        if announced.is_none() || announced == told {
            self.ahead.remove(key);
            return told;
        }
        announced
    }

    /// Tells whoever waits that the kernel holds what was taken, and whether it
    /// holds unknown pods back.
    pub(crate) fn settle(&mut self, holding: bool) {
        self.holding.store(holding, Ordering::Release);
        for known in self.waiting.drain(..) {
            // Nobody waits any longer where nobody is held.
            let _ = known.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::{Value, json};

    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 20);

    /// What is known of a pod that was announced, and whether the announcement
    /// still counts.
    fn check(status: Value, uid: &str, expected: Option<&str>, counts: bool) {
        let (announcer, mut announcements) = announcements();
        let key = Key::new("shop", "web");
        let known = announcer.announce(key.clone(), "1".into(), ADDRESS);
        assert_eq!(announcements.take(), std::slice::from_ref(&key));
        assert!(known.now_or_never().is_none(), "it waits for the kernel");
        let pod = json!({"metadata": {"uid": uid}, "spec": {"containers": []}, "status": status});
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        let facts = announcements.facts(&key, Some(&pod));
        let address = facts.map(|facts| facts.address.to_string());
        assert_eq!(address.as_deref(), expected, "{status}");
        assert_eq!(announcements.ahead.contains_key(&key), counts, "{status}");
        assert_eq!(announcements.facts(&key, None), None, "it is gone");
        assert!(announcements.ahead.is_empty());
    }

    #[test]
    fn what_was_announced_counts_until_the_status_says_the_same() {
        let (announced, other) = ("10.244.0.20", "10.244.0.9");
        check(json!({}), "1", Some(announced), true);
        check(json!({"podIP": other}), "1", Some(announced), true);
        check(json!({"podIP": announced}), "1", Some(announced), false);
        check(json!({"phase": "Failed"}), "1", None, false);
        check(json!({}), "2", None, false);
        check(json!({"podIP": other}), "2", Some(other), false);
    }

    #[test]
    fn nobody_waits_for_longer_than_somebody_is_held() {
        let (announcer, mut announcements) = announcements();
        let announce = || announcer.announce(Key::new("a", "b"), "1".into(), ADDRESS);
        let known = announce();
        announcements.take();
        announcements.settle(true);
        assert!(known.now_or_never().is_some(), "the kernel knows it");
        let known = announce();
        announcements.settle(false);
        assert!(known.now_or_never().is_none(), "it was not taken yet");
        assert!(announce().now_or_never().is_some(), "there are no policies");
        let (announcer, _) = super::announcements();
        let known = announcer.announce(Key::new("a", "b"), "1".into(), ADDRESS);
        assert!(known.now_or_never().is_some(), "there is no resident");
    }
}
