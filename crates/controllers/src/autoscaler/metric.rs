//! One metric of an autoscaler: asked for, compared with its target, and shown
//! in the status (upstream: horizontal.go, computeReplicasForMetric).

use coracle_machinery::quantity::{Format, Quantity as Amount};
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, MetricIdentifier, MetricSpec, MetricStatus, MetricTarget,
    MetricValueStatus, ObjectMetricSource, ObjectMetricStatus, PodsMetricStatus,
    ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::replicas::{Proposal, Target};
use super::samples::{Reason, Source, milli};

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

fn averaged(proposal: &Proposal) -> MetricValueStatus {
    MetricValueStatus {
        average_utilization: proposal.utilization,
        average_value: Some(thousandths(proposal.average)),
        value: None,
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
                current: averaged(&proposal),
            });
            return Ok(answer(proposal, name, status));
        }
        if let Some(source) = &spec.container_resource {
            let failed = |text: Reason| Failure {
                reason: "FailedGetContainerResourceMetric",
                outer: format!(
                    "failed to get {} container metric value: {text}",
                    source.name
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
                current: averaged(&proposal),
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
                current: averaged(&proposal),
            });
            let name = format!("pods metric {}", source.metric.name);
            return Ok(answer(proposal, name, status));
        }
        if let Some(source) = &spec.object {
            let failed = |text: Reason| Failure {
                reason: "FailedGetObjectMetric",
                outer: format!("failed to get object metric value: {text}"),
                text,
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
        let text = format!(
            "unable to get external metric {}/{}: unable to fetch metrics from external metrics API: this cluster has no source of metrics from outside",
            self.namespace, source.metric.name
        );
        Failure {
            reason: "FailedGetExternalMetric",
            outer: format!("failed to get external metric value: {text}"),
            text,
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
            return Ok((proposal, format!("{resource} {word}")));
        }
        let percent = target
            .average_utilization
            .ok_or("invalid resource metric source: neither an average utilization nor an average value (usage) target was set")?;
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
                    "unable to get metric {}: {} on {} {}: {error}",
                    metric.name, object.kind, self.namespace, object.name
                )
            })?;
        let mut current = MetricValueStatus::default();
        let (proposal, word) = if let Some(target) = amount(source.target.value.as_ref()) {
            current.value = Some(thousandths(value));
            (self.target.by_value(value, target), "metric")
        } else if let Some(target) = amount(source.target.average_value.as_ref()) {
            let proposal = self.target.by_share(value, target, self.running);
            current.average_value = Some(thousandths(proposal.average));
            (proposal, "metric")
        } else {
            return Err("invalid object metric source: neither a value target nor an average value target was set".into());
        };
        let name = format!("{} {word} {}", object.kind, metric.name);
        Ok((proposal, current, name))
    }
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
    use super::*;

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
