//! One metric of an autoscaler: asked for, compared with its target, and shown
//! in the status (upstream: horizontal.go, computeReplicasForMetric).

use coracle_machinery::quantity::{Format, Quantity as Amount};
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, ExternalMetricSource, MetricIdentifier, MetricSpec,
    MetricStatus, MetricTarget, MetricValueStatus, ObjectMetricSource, ObjectMetricStatus,
    PodsMetricStatus, ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::replicas::{Proposal, Target};
use super::samples::{Reason, Source, milli};
use crate::gotext;

/// What one metric asks for.
#[derive(Debug)]
pub struct Answer {
    /// How many replicas.
    pub replicas: i32,
    /// What the metric is called in a sentence.
    pub name: String,
    /// Its part of the status.
    pub status: MetricStatus,
}

/// A metric that gives no answer.
#[derive(Debug)]
pub struct Failure {
    /// The reason of the event and the condition.
    pub reason: &'static str,
    /// What is wrong with this metric.
    pub text: Reason,
    /// The same within a sentence on all metrics.
    pub outer: Reason,
}

/// Where a metric is measured.
pub struct Question<'a> {
    /// Who is asked.
    pub source: &'a Source,
    /// The namespace of the autoscaler.
    pub namespace: &'a str,
    /// The selector of the target's pods, as text.
    pub selector: &'a str,
    /// The target and its pods.
    pub target: Target<'a>,
    /// How many replicas there are, as the target's status says.
    pub running: i32,
}

fn thousandths(value: i64) -> Quantity {
    Quantity(Amount::from_milli(value, Format::DecimalSi).to_string())
}

fn amount(quantity: Option<&Quantity>) -> Option<i64> {
    quantity.map(|quantity| milli(&quantity.0))
}

fn averaged(proposal: &Proposal, format: Format) -> MetricValueStatus {
    let average = Amount::from_milli(proposal.average, format);
    MetricValueStatus {
        average_utilization: proposal.utilization,
        average_value: Some(Quantity(average.to_string())),
        value: None,
    }
}

/// Returns the notation of a resource (upstream: buildQuantity).
fn format_of(resource: &str) -> Format {
    match resource {
        "memory" => Format::BinarySi,
        _ => Format::DecimalSi,
    }
}

impl Question<'_> {
    /// Returns what a metric asks for.
    ///
    /// # Errors
    /// Says why it asks for nothing.
    pub async fn ask(&self, spec: &MetricSpec) -> Result<Answer, Failure> {
        if let Some(source) = &spec.resource {
            let failed = |text: Reason| Failure {
                reason: "FailedGetResourceMetric",
                outer: format!(
                    "failed to get {} resource metric value: {text}",
                    source.name
                ),
                text,
            };
            let (proposal, name) = self
                .resource(&source.name, None, &source.target)
                .await
                .map_err(failed)?;
            let mut status = empty("Resource");
            status.resource = Some(ResourceMetricStatus {
                name: source.name.clone(),
                current: averaged(&proposal, format_of(&source.name)),
            });
            return Ok(answer(proposal, name, status));
        }
        if let Some(source) = &spec.container_resource {
            let failed = |text: Reason| Failure {
                reason: "FailedGetContainerResourceMetric",
                outer: format!(
                    "failed to get {} container metric value: {text}",
                    source.container
                ),
                text,
            };
            let (proposal, name) = self
                .resource(&source.name, Some(&source.container), &source.target)
                .await
                .map_err(failed)?;
            let mut status = empty("ContainerResource");
            status.container_resource = Some(ContainerResourceMetricStatus {
                container: source.container.clone(),
                name: source.name.clone(),
                current: averaged(&proposal, format_of(&source.name)),
            });
            return Ok(answer(proposal, name, status));
        }
        if let Some(source) = &spec.pods {
            let failed = |text: Reason| Failure {
                reason: "FailedGetPodsMetric",
                outer: format!("failed to get pods metric value: {text}"),
                text,
            };
            let proposal = self
                .pods(&source.metric, &source.target)
                .await
                .map_err(failed)?;
            let mut status = empty("Pods");
            status.pods = Some(PodsMetricStatus {
                metric: source.metric.clone(),
                current: averaged(&proposal, Format::DecimalSi),
            });
            let name = format!("pods metric {}", source.metric.name);
            return Ok(answer(proposal, name, status));
        }
        if let Some(source) = &spec.object {
            let failed = |text: Reason| {
                let inner = match source.target.average_value {
                    Some(_) => {
                        format!("failed to get {} object metric: {text}", source.metric.name)
                    }
                    None => text.clone(),
                };
                Failure {
                    reason: "FailedGetObjectMetric",
                    outer: format!("failed to get object metric value: {inner}"),
                    text,
                }
            };
            let (proposal, current, name) = self.object(source).await.map_err(failed)?;
            let mut status = empty("Object");
            status.object = Some(ObjectMetricStatus {
                described_object: source.described_object.clone(),
                metric: source.metric.clone(),
                current,
            });
            return Ok(answer(proposal, name, status));
        }
        Err(self.refuse(spec))
    }

    /// Metrics from outside the cluster, which nobody serves here.
    fn refuse(&self, spec: &MetricSpec) -> Failure {
        let Some(source) = &spec.external else {
            let text = format!("unknown metric source type {:?}", spec.type_);
            return Failure {
                reason: "InvalidMetricSourceType",
                outer: text.clone(),
                text,
            };
        };
        let (text, outer) = refusal(self.namespace, source);
        Failure {
            reason: "FailedGetExternalMetric",
            text,
            outer,
        }
    }

    async fn resource(
        &self,
        resource: &str,
        container: Option<&str>,
        target: &MetricTarget,
    ) -> Result<(Proposal, String), Reason> {
        let samples = self
            .source
            .resource(self.namespace, self.selector, resource, container)
            .await
            .map_err(|error| format!("unable to get metrics for resource {resource}: {error}"));
        let word = if container.is_some() {
            "container resource"
        } else {
            "resource"
        };
        if let Some(average) = amount(target.average_value.as_ref()) {
            let proposal = samples
                .and_then(|samples| self.target.by_average(samples, average, resource))
                .map_err(|error| format!("failed to get {resource} usage: {error}"))?;
            return Ok((proposal, format!("{resource} resource")));
        }
        let percent = target
            .average_utilization
            .ok_or("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set")?;
        let proposal = samples
            .and_then(|samples| {
                self.target
                    .by_utilization(samples, percent, resource, container)
            })
            .map_err(|error| format!("failed to get {resource} utilization: {error}"))?;
        let name = format!("{resource} {word} utilization (percentage of request)");
        Ok((proposal, name))
    }

    async fn pods(
        &self,
        metric: &MetricIdentifier,
        target: &MetricTarget,
    ) -> Result<Proposal, Reason> {
        let failed = |error: Reason| format!("unable to get metric {}: {error}", metric.name);
        let average = amount(target.average_value.as_ref()).unwrap_or(0);
        let samples = self
            .source
            .pods(
                self.namespace,
                self.selector,
                &metric.name,
                metric.selector.as_ref(),
            )
            .await
            .map_err(failed)?;
        self.target.by_average(samples, average, "")
    }

    async fn object(
        &self,
        source: &ObjectMetricSource,
    ) -> Result<(Proposal, MetricValueStatus, String), Reason> {
        let (object, metric) = (&source.described_object, &source.metric);
        let value = self
            .source
            .object(
                self.namespace,
                object,
                &plural(&object.kind),
                &metric.name,
                metric.selector.as_ref(),
            )
            .await
            .map_err(|error| {
                format!(
                    "unable to get metric {}: {} on {} {}/{error}",
                    metric.name, object.kind, self.namespace, object.name
                )
            })?;
        let mut current = MetricValueStatus::default();
        if let Some(target) = amount(source.target.value.as_ref()) {
            current.value = Some(thousandths(value));
            let proposal = self.target.by_value(value, target);
            let name = format!("{} metric {}", object.kind, metric.name);
            Ok((proposal, current, name))
        } else if let Some(target) = amount(source.target.average_value.as_ref()) {
            let proposal = self.target.by_share(value, target, self.running);
            current.average_value = Some(thousandths(proposal.average));
            Ok((proposal, current, shared_name(metric)))
        } else {
            Err("invalid object metric source: neither a value target nor an average value target was set".into())
        }
    }
}

/// Returns what a metric is called whose value all pods share (upstream:
/// computeStatusForObjectMetric, which has it from external metrics).
fn shared_name(metric: &MetricIdentifier) -> String {
    let selector = gotext::selector(metric.selector.as_ref());
    format!("external metric {}({selector})", metric.name)
}

/// Returns why a metric from outside has no value, alone and within the sentence
/// on all metrics (upstream: computeStatusForExternalMetric).
fn refusal(namespace: &str, source: &ExternalMetricSource) -> (Reason, Reason) {
    let name = &source.metric.name;
    let selector = gotext::selector(source.metric.selector.as_ref());
    let text = format!(
        "unable to get external metric {namespace}/{name}/{selector}: unable to fetch metrics from external metrics API: this cluster has no source of metrics from outside"
    );
    let inner = match source.target.average_value {
        Some(_) => format!("failed to get {name} external metric: {text}"),
        None => format!("failed to get external metric {name}: {text}"),
    };
    let outer = format!("failed to get {name} external metric value: {inner}");
    (text, outer)
}

fn empty(type_: &str) -> MetricStatus {
    MetricStatus {
        type_: type_.into(),
        ..MetricStatus::default()
    }
}

fn answer(proposal: Proposal, name: String, status: MetricStatus) -> Answer {
    Answer {
        replicas: proposal.replicas,
        name,
        status,
    }
}

/// Returns the resource of a kind by the usual rule (upstream: UnsafeGuessKindToResource).
pub fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    if lower.ends_with('s') {
        format!("{lower}es")
    } else if let Some(stem) = lower.strip_suffix('y') {
        format!("{stem}ies")
    } else {
        format!("{lower}s")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Upstream: pkg/controller/podautoscaler/horizontal.go, buildQuantity.
    #[test]
    fn averages_have_the_notation_of_their_resource() {
        let check = |resource: &str, average: i64, expected: &str| {
            let proposal = Proposal {
                replicas: 1,
                utilization: None,
                average,
            };
            let value = averaged(&proposal, format_of(resource)).average_value;
            assert_eq!(value.map(|value| value.0).as_deref(), Some(expected));
        };
        check("cpu", 150, "150m");
        check("memory", 20_971_520_000, "20Mi");
        check("memory", 20_971_520_500, "20971520500m");
    }

    /// Upstream: pkg/controller/podautoscaler/horizontal.go, replica_calculator.go.
    #[test]
    fn metrics_from_outside_are_named_as_upstream_does() {
        let source: ExternalMetricSource = serde_json::from_value(json!({
            "metric": {"name": "queue", "selector": {"matchLabels": {"q": "a"}}},
            "target": {"type": "AverageValue", "averageValue": "1"},
        }))
        .expect("a source");
        let selector = "&LabelSelector{MatchLabels:map[string]string{q: a,},MatchExpressions:[]LabelSelectorRequirement{},}";
        assert_eq!(
            shared_name(&source.metric),
            format!("external metric queue({selector})")
        );
        let (text, outer) = refusal("ns", &source);
        let begin = format!("unable to get external metric ns/queue/{selector}: ");
        assert!(text.starts_with(&begin), "{text}");
        let begin = format!(
            "failed to get queue external metric value: failed to get queue external metric: {begin}"
        );
        assert!(outer.starts_with(&begin), "{outer}");
    }

    #[test]
    fn kinds_have_their_resources() {
        let check = |kind, expected| assert_eq!(plural(kind), expected);
        check("Service", "services");
        check("Ingress", "ingresses");
        check("NetworkPolicy", "networkpolicies");
    }

    #[test]
    fn amounts_are_shown_in_thousandths() {
        let check = |value, expected: &str| assert_eq!(thousandths(value).0, expected);
        check(1500, "1500m");
        check(2000, "2");
        check(0, "0");
    }
}
