//! `custom.metrics.k8s.io`: metrics of pods, and their sums over the pods of a
//! Service or a Deployment
//! (<https://github.com/kubernetes/metrics/blob/master/pkg/apis/custom_metrics/v1beta2/types.go>).
//!
//! An Ingress has no metric here: what pods tell of themselves is not what came
//! through an Ingress.

use std::collections::BTreeMap;
use std::time::Instant;

use coracle_machinery::selector::{LabelSelector, Operator};
use serde_json::{Value, json};

use super::answer::{Refused, Selection, list, time};
use super::pods::{self, Mine};
use super::scrape::wanted;
use super::series;
use crate::kubelet::{Kubelet, Query};

/// What a metric is told of.
#[derive(Debug, Clone, Copy)]
struct Resource {
    /// As paths name it.
    path: &'static str,
    kind: &'static str,
    api_version: &'static str,
}

const RESOURCES: [Resource; 3] = [
    Resource {
        path: "deployments.apps",
        kind: "Deployment",
        api_version: "apps/v1",
    },
    Resource {
        path: "pods",
        kind: "Pod",
        api_version: "v1",
    },
    Resource {
        path: "services",
        kind: "Service",
        api_version: "v1",
    },
];

/// Returns the discovery document: the metrics there are values of.
pub fn discovery(kubelet: &Kubelet, version: &str) -> Value {
    let everything = LabelSelector::default();
    let mut found: Vec<Value> = Vec::new();
    let mut names: Vec<(String, String)> = Vec::new();
    for (namespace, metrics) in wanted(&kubelet.shared.autoscalers) {
        let mine = pods::of(kubelet, Some(&namespace));
        for metric in metrics {
            let told = |mine: &Mine| value(kubelet, mine, &metric, &everything).is_some();
            if mine.iter().any(told) {
                names.extend(
                    RESOURCES
                        .iter()
                        .map(|one| (one.path.to_owned(), metric.clone())),
                );
            }
        }
    }
    names.sort();
    names.dedup();
    for (resource, metric) in names {
        found.push(json!({
            "name": format!("{resource}/{metric}"), "singularName": "", "namespaced": true,
            "kind": "MetricValueList", "verbs": ["get"],
        }));
    }
    json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": format!("custom.metrics.k8s.io/{version}"), "resources": found,
    })
}

/// Answers `namespaces/NS/RESOURCE/NAME/METRIC`; the name may be `*`.
pub fn answer(
    kubelet: &Kubelet,
    version: &str,
    path: &[&str],
    query: &Query,
) -> Result<Value, Refused> {
    let ["namespaces", namespace, resource, name, metric] = path else {
        return Err(missing(path));
    };
    let known = RESOURCES
        .iter()
        .find(|one| one.path == *resource || one.path.split('.').next() == Some(resource));
    let resource = known.ok_or_else(|| missing(path))?;
    let question = Question {
        namespace,
        name,
        metric,
        series: LabelSelector::parse(query.get("metricLabelSelector").unwrap_or_default())
            .map_err(|error| Refused::bad(error.to_string()))?,
        objects: Selection::of(query)?,
    };
    let values = match resource.kind {
        "Pod" => of_pods(kubelet, &question),
        "Service" => of_services(kubelet, &question),
        _ => of_deployments(kubelet, &question),
    };
    if values.is_empty() {
        return Err(missing(path));
    }
    let group = format!("custom.metrics.k8s.io/{version}");
    let selector = query.get("metricLabelSelector").unwrap_or_default();
    let items = values
        .into_iter()
        .map(|(name, value)| {
            let object = json!({
                "kind": resource.kind, "namespace": namespace, "name": name,
                "apiVersion": resource.api_version,
            });
            item(version, object, metric, selector, &value)
        })
        .collect();
    Ok(list("MetricValueList", &group, items))
}

fn missing(path: &[&str]) -> Refused {
    let message = match path {
        ["namespaces", _, resource, "*", metric] => {
            format!("the server could not find the metric {metric} for {resource}")
        }
        ["namespaces", _, resource, name, metric] | [resource, name, metric] => {
            format!("the server could not find the metric {metric} for {resource} {name}")
        }
        _ => return Refused::no_such_resource(),
    };
    Refused::not_found(message)
}

struct Question<'a> {
    namespace: &'a str,
    name: &'a str,
    metric: &'a str,
    /// Which series count.
    series: LabelSelector,
    /// Which objects are meant, if the name is `*`.
    objects: Selection,
}

impl Question<'_> {
    fn means(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        match self.name {
            "*" => self.objects.matches(self.namespace, name, labels),
            own => own == name,
        }
    }
}

type Values = Vec<(String, series::Value)>;

fn value(
    kubelet: &Kubelet,
    mine: &Mine,
    metric: &str,
    selector: &LabelSelector,
) -> Option<series::Value> {
    let now = Instant::now();
    let scrapes = &kubelet.shared.scrapes;
    scrapes.of(&mine.uid, |track| track.value(metric, selector, now))?
}

fn of_pods(kubelet: &Kubelet, question: &Question<'_>) -> Values {
    pods::of(kubelet, Some(question.namespace))
        .into_iter()
        .filter(|mine| question.means(&mine.name, &mine.labels()))
        .filter_map(|mine| {
            let value = value(kubelet, &mine, question.metric, &question.series)?;
            Some((mine.name, value))
        })
        .collect()
}

fn of_services(kubelet: &Kubelet, question: &Question<'_>) -> Values {
    let services = kubelet.shared.services.within(question.namespace);
    services
        .into_iter()
        .filter_map(|service| {
            let name = service.metadata.name.clone()?;
            let labels = service.metadata.labels.clone().unwrap_or_default();
            let selector = service.spec.as_ref()?.selector.clone()?;
            if selector.is_empty() || !question.means(&name, &labels) {
                return None;
            }
            let selected = |labels: &BTreeMap<String, String>| {
                selector
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
            };
            Some((name, sum(kubelet, question, selected)?))
        })
        .collect()
}

fn of_deployments(kubelet: &Kubelet, question: &Question<'_>) -> Values {
    let deployments = kubelet.shared.deployments.within(question.namespace);
    deployments
        .into_iter()
        .filter_map(|deployment| {
            let name = deployment.metadata.name.clone()?;
            let labels = deployment.metadata.labels.clone().unwrap_or_default();
            if !question.means(&name, &labels) {
                return None;
            }
            let selector = serde_json::to_value(&deployment.spec.as_ref()?.selector).ok()?;
            let selector = LabelSelector::from_object(Some(&selector)).ok()?;
            Some((
                name,
                sum(kubelet, question, |labels| selector.matches(labels))?,
            ))
        })
        .collect()
}

/// Adds up the values of the pods that are selected; those that have none yet
/// are left out, as a query to Prometheus would.
fn sum(
    kubelet: &Kubelet,
    question: &Question<'_>,
    selected: impl Fn(&BTreeMap<String, String>) -> bool,
) -> Option<series::Value> {
    pods::of(kubelet, Some(question.namespace))
        .into_iter()
        .filter(|mine| selected(&mine.labels()))
        .filter_map(|mine| value(kubelet, &mine, question.metric, &question.series))
        .reduce(|sum, next| series::Value {
            at: sum.at.min(next.at),
            window: sum.window.max(next.window),
            value: sum.value + next.value,
        })
}

fn item(
    version: &str,
    object: Value,
    metric: &str,
    selector: &str,
    value: &series::Value,
) -> Value {
    let selector = match selector {
        "" => Value::Null,
        text => label_selector(text),
    };
    let mut item = json!({"describedObject": object});
    if version == "v1beta1" {
        item["metricName"] = json!(metric);
    } else {
        item["metric"] = json!({"name": metric, "selector": selector});
    }
    item["timestamp"] = json!(time(value.at));
    if let Some(window) = value.window {
        let member = match version {
            "v1beta1" => "window",
            _ => "windowSeconds",
        };
        item[member] = json!(window.as_secs());
    }
    item["value"] = json!(quantity(value.value));
    if version == "v1beta1" {
        item["selector"] = selector;
    }
    item
}

/// Returns a selector's text as an object.
fn label_selector(text: &str) -> Value {
    let requirements: Vec<Value> = LabelSelector::parse(text)
        .unwrap_or_default()
        .requirements()
        .iter()
        .map(|one| {
            json!({"key": one.key(), "operator": operator(one.operator()), "values": one.values()})
        })
        .collect();
    json!({"matchExpressions": requirements})
}

fn operator(operator: Operator) -> &'static str {
    match operator {
        Operator::NotIn | Operator::NotEquals => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
        _ => "In",
    }
}

/// Returns a value as a quantity, in thousandths where it is not whole.
fn quantity(value: f64) -> String {
    let milli = (value * 1000.0).round();
    if !milli.is_finite() || milli.abs() > 9.0e18 {
        // Beyond what a quantity holds without an exponent.
        return format!("{value:e}");
    }
    if milli % 1000.0 == 0.0 {
        format!("{}", milli / 1000.0)
    } else {
        format!("{milli}m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quantities() {
        let check = |value: f64, expected: &str| {
            assert_eq!(quantity(value), expected);
            assert!(
                expected
                    .parse::<coracle_machinery::quantity::Quantity>()
                    .is_ok()
            );
        };
        check(0.0, "0");
        check(8.0, "8");
        check(0.5, "500m");
        check(1.23456, "1235m");
        check(-2.0, "-2");
        check(1e15, "1000000000000000");
        check(3e30, "3e30");
    }

    #[test]
    fn a_missing_metric_is_named() {
        assert_eq!(
            missing(&["namespaces", "n", "services", "web", "hits"]),
            Refused::not_found("the server could not find the metric hits for services web")
        );
        assert_eq!(
            missing(&["namespaces", "n", "pods", "*", "hits"]),
            Refused::not_found("the server could not find the metric hits for pods")
        );
    }
}
