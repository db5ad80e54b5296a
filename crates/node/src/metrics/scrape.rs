//! Reads the metrics of annotated pods while, and only while, an autoscaler of
//! their namespace wants some (annotations `prometheus.io/scrape`, `port`,
//! `path` and `scheme`, as the usual Prometheus configuration reads them).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coracle_client::Cache;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::exposition;
use super::pods::{self, Mine};
use super::series::{Track, names};
use crate::fetch::{self, Page};
use crate::kubelet::Kubelet;

/// How often a pod is read.
const PACE: Duration = Duration::from_secs(5);
/// A pod that does not answer within this time has nothing to tell.
const PATIENCE: Duration = Duration::from_secs(4);
const BYTES_MAX: usize = 8 << 20;

/// What was read, by the uid of the pod.
#[derive(Debug, Default)]
pub struct Scrapes(Mutex<HashMap<String, Track>>);

impl Scrapes {
    /// Looks at the track of a pod.
    pub fn of<T>(&self, uid: &str, look: impl FnOnce(&Track) -> T) -> Option<T> {
        self.0.lock().get(uid).map(look)
    }

    fn push(&self, uid: &str, samples: Vec<exposition::Sample>) {
        let mut tracks = self.0.lock();
        tracks
            .entry(uid.to_owned())
            .or_default()
            .push(Instant::now(), samples);
    }

    fn retain(&self, uids: &BTreeSet<String>) {
        self.0.lock().retain(|uid, _| uids.contains(uid));
    }
}

/// Returns the metrics that autoscalers want, by namespace.
pub fn wanted(autoscalers: &Cache<HorizontalPodAutoscaler>) -> BTreeMap<String, BTreeSet<String>> {
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for autoscaler in autoscalers.all() {
        let namespace = autoscaler.metadata.namespace.clone().unwrap_or_default();
        for metric in autoscaler.spec.metrics.iter().flatten() {
            let pods = metric.pods.as_ref().map(|pods| &pods.metric.name);
            let object = metric.object.as_ref().map(|object| &object.metric.name);
            if let Some(name) = pods.or(object) {
                let names = wanted.entry(namespace.clone()).or_default();
                names.insert(name.clone());
            }
        }
    }
    wanted
}

/// Reads pods whenever it is wanted, for ever; asleep when it is not.
pub async fn keep(kubelet: Kubelet) {
    let autoscalers = kubelet.shared.autoscalers.clone();
    let changed = Arc::new(Notify::new());
    let teller = changed.clone();
    autoscalers.on_change(move |_| teller.notify_one());
    loop {
        let wanted = wanted(&autoscalers);
        if wanted.is_empty() {
            kubelet.shared.scrapes.retain(&BTreeSet::new());
            changed.notified().await;
            continue;
        }
        let next = tokio::time::Instant::now() + PACE;
        round(&kubelet, &wanted).await;
        tokio::time::sleep_until(next).await;
    }
}

async fn round(kubelet: &Kubelet, wanted: &BTreeMap<String, BTreeSet<String>>) {
    let mut readings = FuturesUnordered::new();
    let mut uids = BTreeSet::new();
    for (namespace, metrics) in wanted {
        for mine in pods::of(kubelet, Some(namespace)) {
            if let Some(page) = page(&mine) {
                uids.insert(mine.uid.clone());
                readings.push(async move { (mine, read(page, metrics).await) });
            }
        }
    }
    kubelet.shared.scrapes.retain(&uids);
    while let Some((mine, reading)) = readings.next().await {
        match reading {
            Ok(samples) => kubelet.shared.scrapes.push(&mine.uid, samples),
            Err(error) => {
                tracing::debug!(pod = mine.name, namespace = mine.namespace, %error, "the metrics of a pod were not read");
            }
        }
    }
}

fn page(mine: &Mine) -> Option<Page> {
    let address = (*mine.handle.address.read())?;
    if mine.handle.live.read().is_empty() || mine.pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    page_of(&mine.pod, address)
}

/// Returns where a pod's metrics are, if its annotations offer them.
fn page_of(pod: &Pod, address: Ipv4Addr) -> Option<Page> {
    let annotations = pod.metadata.annotations.as_ref()?;
    let annotation = |name: &str| {
        annotations
            .get(&format!("prometheus.io/{name}"))
            .map(String::as_str)
    };
    if annotation("scrape") != Some("true") {
        return None;
    }
    let port = match annotation("port") {
        Some(port) => port.trim().parse().ok()?,
        None => first_port(pod)?,
    };
    let path = annotation("path").unwrap_or("/metrics");
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some(Page {
        address: SocketAddr::from((address, port)),
        tls: annotation("scheme") == Some("https"),
        path: format!("{slash}{path}"),
        headers: vec![
            ("User-Agent".into(), "coracle-metrics".into()),
            (
                "Accept".into(),
                "text/plain;version=0.0.4;q=1,*/*;q=0.1".into(),
            ),
        ],
        bytes_max: BYTES_MAX,
    })
}

fn first_port(pod: &Pod) -> Option<u16> {
    let containers = &pod.spec.as_ref()?.containers;
    let mut ports = containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten());
    u16::try_from(ports.next()?.container_port).ok()
}

async fn read(page: Page, metrics: &BTreeSet<String>) -> Result<Vec<exposition::Sample>, String> {
    let answer = tokio::time::timeout(PATIENCE, fetch::get(page))
        .await
        .map_err(|_| format!("no answer within {}s", PATIENCE.as_secs()))??;
    if answer.status != 200 {
        return Err(format!("answered with status {}", answer.status));
    }
    let text = String::from_utf8_lossy(&answer.body);
    Ok(exposition::parse(&text, |series| {
        metrics.iter().any(|metric| names(metric, series))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Expects `SCHEME ADDRESS PATH`, or nothing.
    fn check(annotations: serde_json::Value, expected: Option<&str>) {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"annotations": annotations},
            "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 8080}]}]},
        }))
        .expect("a pod");
        let found = page_of(&pod, Ipv4Addr::new(10, 0, 0, 1))
            .map(|page| format!("{} {} {}", page.tls, page.address, page.path));
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn annotations_say_where_metrics_are() {
        check(json!({}), None);
        check(json!({"prometheus.io/scrape": "false"}), None);
        check(
            json!({"prometheus.io/scrape": "true"}),
            Some("false 10.0.0.1:8080 /metrics"),
        );
        check(
            json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9", "prometheus.io/path": "m?x=1", "prometheus.io/scheme": "https"}),
            Some("true 10.0.0.1:9 /m?x=1"),
        );
        check(
            json!({"prometheus.io/scrape": "true", "prometheus.io/port": "web"}),
            None,
        );
    }
}
