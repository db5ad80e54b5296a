//! What the metrics APIs tell: values per pod, or one value of an object
//! (upstream: pkg/controller/podautoscaler/metrics/client.go).
//!
//! [`Source`] asks; how many replicas follow from the answer is in `replicas`.

use std::collections::BTreeMap;

use coracle_machinery::quantity::Quantity;
use k8s_openapi::api::autoscaling::v2::CrossVersionObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::core::Selector;
use serde::Deserialize;

/// A measured value of a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// In thousandths of the metric's unit.
    pub value: i64,
    /// When it was measured.
    pub at: Timestamp,
    /// Over which time before that.
    pub window: SignedDuration,
}

/// Values by pod name.
pub type Samples = BTreeMap<String, Sample>;

/// Why there is no value, in upstream's words.
pub type Reason = String;

/// Asks the metrics APIs.
pub struct Source {
    client: Client,
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Named,
    timestamp: Timestamp,
    #[serde(default)]
    window: String,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    #[serde(default)]
    usage: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricValue {
    described_object: Named,
    timestamp: Timestamp,
    #[serde(default)]
    window_seconds: Option<i64>,
    value: String,
}

/// What upstream's client says of a group that nobody serves.
const NOT_SERVED: &str = "no custom metrics API (custom.metrics.k8s.io) registered";

/// Returns whether an answer is not one of the API's: no such path.
fn is_unserved(message: &str) -> bool {
    message.trim() == "404 page not found"
}

impl Source {
    /// Returns a source that asks through `client`.
    pub fn new(client: Client) -> Source {
        Source { client }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Reason> {
        let request = http::Request::get(path)
            .body(Vec::new())
            .map_err(|error| error.to_string())?;
        let result: Result<T, kube::Error> = self.client.request(request).await;
        result.map_err(|error| match error {
            kube::Error::Api(status) if is_unserved(&status.message) => NOT_SERVED.into(),
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        })
    }

    /// Returns what the pods that `selector` selects use of a resource, or one
    /// container of each.
    ///
    /// # Errors
    /// Says why there is no answer.
    pub async fn resource(
        &self,
        namespace: &str,
        selector: &str,
        resource: &str,
        container: Option<&str>,
    ) -> Result<Samples, Reason> {
        let path = format!(
            "/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods?labelSelector={}",
            escape(selector)
        );
        let list: List<PodMetrics> = self.get(&path).await.map_err(|error| {
            let error = if error == NOT_SERVED {
                "the server could not find the requested resource (get pods.metrics.k8s.io)".into()
            } else {
                error
            };
            format!("unable to fetch metrics from resource metrics API: {error}")
        })?;
        if list.items.is_empty() {
            return Err("no metrics returned from resource metrics API".into());
        }
        let mut samples = Samples::new();
        for pod in list.items {
            let at = pod.timestamp;
            let window = duration(&pod.window);
            let name = pod.metadata.name.clone();
            let value = match container {
                Some(container) => Some(of_container(&pod, namespace, container, resource)?),
                None => of_pod(&pod, resource),
            };
            if let Some(value) = value {
                samples.insert(name, Sample { value, at, window });
            }
        }
        Ok(samples)
    }

    /// Returns a custom metric of the pods that `selector` selects.
    ///
    /// # Errors
    /// Says why there is no answer.
    pub async fn pods(
        &self,
        namespace: &str,
        selector: &str,
        metric: &str,
        metric_selector: Option<&LabelSelector>,
    ) -> Result<Samples, Reason> {
        let mut path = format!(
            "{CUSTOM}/namespaces/{namespace}/pods/*/{metric}?labelSelector={}",
            escape(selector)
        );
        if let Some(selector) = text(metric_selector) {
            path.push_str(&format!("&metricLabelSelector={}", escape(&selector)));
        }
        let values = self.custom(&path).await?;
        Ok(values
            .into_iter()
            .map(|one| {
                let sample = Sample {
                    value: milli(&one.value),
                    at: one.timestamp,
                    window: SignedDuration::from_secs(one.window_seconds.unwrap_or(60)),
                };
                (one.described_object.name, sample)
            })
            .collect())
    }

    /// Returns a custom metric of one object, in thousandths; `plural` is the
    /// name of its resource.
    ///
    /// # Errors
    /// Says why there is no answer.
    pub async fn object(
        &self,
        namespace: &str,
        object: &CrossVersionObjectReference,
        plural: &str,
        metric: &str,
        metric_selector: Option<&LabelSelector>,
    ) -> Result<i64, Reason> {
        let mut path = if object.kind == "Namespace" {
            format!("{CUSTOM}/namespaces/{}/metrics/{metric}", object.name)
        } else {
            format!(
                "{CUSTOM}/namespaces/{namespace}/{plural}/{}/{metric}",
                object.name
            )
        };
        if let Some(selector) = text(metric_selector) {
            path.push_str(&format!("?metricLabelSelector={}", escape(&selector)));
        }
        let values = self.custom(&path).await?;
        Ok(values.first().map_or(0, |one| milli(&one.value)))
    }

    async fn custom(&self, path: &str) -> Result<Vec<MetricValue>, Reason> {
        let list: List<MetricValue> = self
            .get(path)
            .await
            .map_err(|error| format!("unable to fetch metrics from custom metrics API: {error}"))?;
        if list.items.is_empty() {
            return Err("no metrics returned from custom metrics API".into());
        }
        Ok(list.items)
    }
}

const CUSTOM: &str = "/apis/custom.metrics.k8s.io/v1beta2";

fn text(selector: Option<&LabelSelector>) -> Option<String> {
    let selector = Selector::try_from(selector?.clone()).ok()?;
    (!selector.selects_all()).then(|| selector.to_string())
}

/// Escapes a text for the query of an address (RFC 3986, section 2).
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Returns an amount in thousandths.
pub fn milli(text: &str) -> i64 {
    text.parse::<Quantity>().map_or(0, Quantity::milli_value)
}

fn of_container(
    pod: &PodMetrics,
    namespace: &str,
    container: &str,
    resource: &str,
) -> Result<i64, Reason> {
    let found = pod.containers.iter().find(|one| one.name == container);
    let found = found.ok_or_else(|| {
        format!(
            "container {container} not present in metrics for pod {namespace}/{}",
            pod.metadata.name
        )
    })?;
    found
        .usage
        .get(resource)
        .map(|text| milli(text))
        .ok_or_else(|| {
            format!(
                "missing resource metric {resource} for {namespace}/{}",
                pod.metadata.name
            )
        })
}

/// Returns what all containers use together; nothing if one does not say.
fn of_pod(pod: &PodMetrics, resource: &str) -> Option<i64> {
    let mut values = pod.containers.iter().map(|one| one.usage.get(resource));
    if pod.containers.is_empty() {
        return None;
    }
    values.try_fold(0, |sum, value| Some(sum + milli(value?)))
}

/// Reads a duration as Go writes it (`1m0s`, `14.5s`); what cannot be read is zero.
fn duration(text: &str) -> SignedDuration {
    let mut total = 0.0;
    let mut rest = text;
    while let Some(end) = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.') {
        let (number, after) = rest.split_at(end);
        let unit = after.find(|letter: char| letter.is_ascii_digit());
        let (unit, next) = after.split_at(unit.unwrap_or(after.len()));
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => 0.0,
        };
        total += number.parse().unwrap_or(0.0) * seconds;
        rest = next;
    }
    SignedDuration::try_from_secs_f64(total).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let check = |text: &str, millis: i64| {
            assert_eq!(
                duration(text),
                SignedDuration::from_millis(millis),
                "{text}"
            );
        };
        check("15s", 15_000);
        check("14.5s", 14_500);
        check("1m0s", 60_000);
        check("1h2m3s", 3_723_000);
        check("250ms", 250);
        check("", 0);
        check("soon", 0);
    }

    #[test]
    fn a_pod_of_which_a_container_is_silent_has_no_value() {
        let check = |containers: serde_json::Value, expected: Option<i64>| {
            let pod: PodMetrics = serde_json::from_value(serde_json::json!({
                "metadata": {"name": "web"}, "timestamp": "2026-01-01T00:00:00Z",
                "window": "15s", "containers": containers,
            }))
            .expect("pod metrics");
            assert_eq!(of_pod(&pod, "cpu"), expected);
        };
        check(
            serde_json::json!([
                {"name": "a", "usage": {"cpu": "250m", "memory": "1Mi"}},
                {"name": "b", "usage": {"cpu": "1"}},
            ]),
            Some(1250),
        );
        check(
            serde_json::json!([{"name": "a", "usage": {"cpu": "1"}}, {"name": "b", "usage": {}}]),
            None,
        );
        check(serde_json::json!([]), None);
    }

    #[test]
    fn selectors_are_escaped() {
        assert_eq!(
            escape("app=web,tier in (a)"),
            "app%3Dweb%2Ctier%20in%20%28a%29"
        );
    }
}
