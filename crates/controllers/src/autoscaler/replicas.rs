//! How many replicas a metric asks for: arithmetic on samples, pods and a
//! target (upstream: pkg/controller/podautoscaler/replica_calculator.go).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::samples::{Reason, Sample, Samples, milli};
use crate::pods;

/// A pod's first use of cpu does not count for this long
/// (upstream: --horizontal-pod-autoscaler-cpu-initialization-period).
const CPU_INITIALIZATION: SignedDuration = SignedDuration::from_secs(300);
/// A pod that became unready within this time after its start never was ready
/// (upstream: --horizontal-pod-autoscaler-initial-readiness-delay).
const READINESS_DELAY: SignedDuration = SignedDuration::from_secs(30);

/// By how much usage may differ from its target without a change of scale.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Below the target, as a share of it.
    pub down: f64,
    /// Above the target, as a share of it.
    pub up: f64,
}

impl Tolerance {
    fn covers(self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// What a metric asks for and what it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proposal {
    /// The number of replicas.
    pub replicas: i32,
    /// The present use in percent of the request, where there is one.
    pub utilization: Option<i32>,
    /// The present use per pod in thousandths.
    pub average: i64,
}

/// The pods of a target and how many of them there should be now.
pub struct Target<'a> {
    /// The pods that the target's selector selects.
    pub pods: &'a [Arc<Pod>],
    /// How many there should be now.
    pub replicas: i32,
    /// What difference is left as it is.
    pub tolerance: Tolerance,
    /// The present time.
    pub now: Timestamp,
}

/// Pods by what their samples are worth.
#[derive(Debug, Default, PartialEq)]
struct Groups {
    ready: usize,
    unready: Vec<String>,
    missing: Vec<String>,
    ignored: Vec<String>,
}

/// What use is compared with.
enum Aim<'a> {
    /// A share of what pods request, in percent.
    Utilization(i32, &'a BTreeMap<String, i64>),
    /// An amount per pod, in thousandths.
    Average(i64),
}

/// Use beside its aim.
struct Usage {
    ratio: f64,
    utilization: Option<i32>,
    average: i64,
}

impl Aim<'_> {
    fn compare(&self, samples: &Samples) -> Result<Usage, Reason> {
        match self {
            Aim::Average(target) => {
                let sum: i64 = samples.values().map(|sample| sample.value).sum();
                let average = sum / samples.len().max(1) as i64;
                Ok(Usage {
                    ratio: average as f64 / *target as f64,
                    utilization: None,
                    average,
                })
            }
            Aim::Utilization(target, requests) => {
                let known: Vec<(i64, i64)> = samples
                    .iter()
                    .filter_map(|(name, sample)| Some((sample.value, *requests.get(name)?)))
                    .collect();
                let used: i64 = known.iter().map(|(value, _)| value).sum();
                let requested: i64 = known.iter().map(|(_, request)| request).sum();
                if requested == 0 {
                    return Err("no metrics returned matched known pods".into());
                }
                let utilization = (used * 100 / requested) as i32;
                Ok(Usage {
                    ratio: f64::from(utilization) / f64::from(*target),
                    utilization: Some(utilization),
                    average: used / known.len() as i64,
                })
            }
        }
    }

    /// What a pod without a sample is taken to use when scaling down: as much
    /// as would keep it.
    fn full(&self, name: &str) -> i64 {
        match self {
            Aim::Average(target) => *target,
            Aim::Utilization(target, requests) => {
                let request = requests.get(name).copied().unwrap_or(0);
                request * i64::from((*target).max(100)) / 100
            }
        }
    }
}

impl Target<'_> {
    /// Returns how many replicas bring the use of a resource to `percent` of
    /// what the pods request.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn by_utilization(
        &self,
        samples: Samples,
        percent: i32,
        resource: &str,
        container: Option<&str>,
    ) -> Result<Proposal, Reason> {
        let (samples, groups) = self.prepare(samples, resource)?;
        let requests = requests(self.pods, resource, container)?;
        self.propose(samples, &groups, &Aim::Utilization(percent, &requests))
    }

    /// Returns how many replicas bring the average to `target` thousandths.
    /// `resource` is empty for metrics that are no resource.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn by_average(
        &self,
        samples: Samples,
        target: i64,
        resource: &str,
    ) -> Result<Proposal, Reason> {
        let (samples, groups) = self.prepare(samples, resource)?;
        self.propose(samples, &groups, &Aim::Average(target))
    }

    /// Returns how many replicas bring an object's value to `target`.
    pub fn by_value(&self, value: i64, target: i64) -> Proposal {
        let ratio = value as f64 / target as f64;
        let replicas = if self.replicas == 0 {
            ratio.ceil() as i32
        } else if self.tolerance.covers(ratio) {
            self.replicas
        } else {
            let ready = self
                .pods
                .iter()
                .filter(|pod| pods::phase(pod) == "Running" && pods::is_ready(pod))
                .count();
            (ratio * ready as f64).ceil() as i32
        };
        Proposal {
            replicas,
            utilization: None,
            average: value,
        }
    }

    /// Returns how many replicas share an object's value so that each has
    /// `target`; `running` is how many there are.
    pub fn by_share(&self, value: i64, target: i64, running: i32) -> Proposal {
        let ratio = value as f64 / (target as f64 * f64::from(running));
        let replicas = if self.tolerance.covers(ratio) {
            running
        } else {
            (value as f64 / target as f64).ceil() as i32
        };
        Proposal {
            replicas,
            utilization: None,
            average: if running == 0 {
                0
            } else {
                (value as f64 / f64::from(running)).ceil() as i64
            },
        }
    }

    /// Sorts the pods and leaves out the samples that do not count.
    fn prepare(&self, mut samples: Samples, resource: &str) -> Result<(Samples, Groups), Reason> {
        if self.pods.is_empty() {
            return Err("no pods returned by selector while calculating replica count".into());
        }
        let groups = self.group(&samples, resource);
        for name in groups.ignored.iter().chain(&groups.unready) {
            samples.remove(name);
        }
        if samples.is_empty() {
            return Err("did not receive metrics for targeted pods (pods might be unready)".into());
        }
        Ok((samples, groups))
    }

    fn group(&self, samples: &Samples, resource: &str) -> Groups {
        let mut groups = Groups::default();
        for pod in self.pods {
            let name = pod.name_any();
            if pod.metadata.deletion_timestamp.is_some() || pods::phase(pod) == "Failed" {
                groups.ignored.push(name);
            } else if pods::phase(pod) == "Pending" {
                groups.unready.push(name);
            } else if let Some(sample) = samples.get(&name) {
                if resource == "cpu" && is_unready(pod, sample, self.now) {
                    groups.unready.push(name);
                } else {
                    groups.ready += 1;
                }
            } else {
                groups.missing.push(name);
            }
        }
        groups
    }

    fn propose(
        &self,
        mut samples: Samples,
        groups: &Groups,
        aim: &Aim<'_>,
    ) -> Result<Proposal, Reason> {
        let usage = aim.compare(&samples)?;
        let proposal = |replicas| Proposal {
            replicas,
            utilization: usage.utilization,
            average: usage.average,
        };
        let up = usage.ratio > 1.0;
        let up_with_unready = up && !groups.unready.is_empty();
        if !up_with_unready && groups.missing.is_empty() {
            if self.tolerance.covers(usage.ratio) {
                return Ok(proposal(self.replicas));
            }
            return Ok(proposal((usage.ratio * groups.ready as f64).ceil() as i32));
        }
        let mut take = |name: &String, value| {
            let sample = Sample {
                value,
                at: self.now,
                window: SignedDuration::ZERO,
            };
            samples.insert(name.clone(), sample);
        };
        if usage.ratio < 1.0 {
            groups
                .missing
                .iter()
                .for_each(|name| take(name, aim.full(name)));
        } else if up {
            groups.missing.iter().for_each(|name| take(name, 0));
        }
        if up_with_unready {
            groups.unready.iter().for_each(|name| take(name, 0));
        }
        let ratio = aim.compare(&samples)?.ratio;
        let turned = usage.ratio < 1.0 && ratio > 1.0 || up && ratio < 1.0;
        if self.tolerance.covers(ratio) || turned {
            return Ok(proposal(self.replicas));
        }
        let replicas = (ratio * samples.len() as f64).ceil() as i32;
        let against =
            ratio < 1.0 && replicas > self.replicas || ratio > 1.0 && replicas < self.replicas;
        Ok(proposal(if against { self.replicas } else { replicas }))
    }
}

/// Returns whether a pod's use of cpu tells nothing yet because it starts.
fn is_unready(pod: &Pod, sample: &Sample, now: Timestamp) -> bool {
    let status = pod.status.as_ref();
    let ready: Option<&PodCondition> = status
        .and_then(|status| status.conditions.as_ref())
        .and_then(|conditions| conditions.iter().find(|one| one.type_ == "Ready"));
    let started = status.and_then(|status| status.start_time.as_ref());
    let (Some(ready), Some(started)) = (ready, started) else {
        return true;
    };
    let since = ready
        .last_transition_time
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let not_ready = ready.status == "False";
    if started.0 + CPU_INITIALIZATION > now {
        return not_ready || sample.at < since + sample.window;
    }
    not_ready && started.0 + READINESS_DELAY > since
}

/// Returns what each pod requests of a resource, in thousandths.
fn requests(
    pods: &[Arc<Pod>],
    resource: &str,
    container: Option<&str>,
) -> Result<BTreeMap<String, i64>, Reason> {
    let mut requests = BTreeMap::new();
    for pod in pods {
        let spec = pod.spec.as_ref();
        let sidecars = spec
            .into_iter()
            .flat_map(|spec| spec.init_containers.iter().flatten())
            .filter(|one| one.restart_policy.as_deref() == Some("Always"));
        let containers = spec.into_iter().flat_map(|spec| &spec.containers);
        let mut sum = 0;
        for one in containers.chain(sidecars) {
            if container.is_some_and(|name| name != one.name) {
                continue;
            }
            let request = one
                .resources
                .as_ref()
                .and_then(|resources| resources.requests.as_ref()?.get(resource));
            let request = request.ok_or_else(|| {
                format!(
                    "missing request for {resource} in container {} of Pod {}",
                    one.name,
                    pod.name_any()
                )
            })?;
            sum += milli(&request.0);
        }
        requests.insert(pod.name_any(), sum);
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-01-01T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().expect("a time")
    }

    /// A pod that has been running for an hour.
    fn pod(index: usize, request: Option<&str>) -> Value {
        let resources = match request {
            Some(cpu) => json!({"requests": {"cpu": cpu}}),
            None => json!({}),
        };
        json!({
            "metadata": {"name": format!("web-{index}")},
            "spec": {"containers": [{"name": "web", "resources": resources}]},
            "status": {
                "phase": "Running", "startTime": "2026-01-01T11:00:00Z",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T11:00:05Z"}],
            },
        })
    }

    fn pods(values: Vec<Value>) -> Vec<Arc<Pod>> {
        let parse = |value| Arc::new(serde_json::from_value(value).expect("a pod"));
        values.into_iter().map(parse).collect()
    }

    fn samples(values: &[i64]) -> Samples {
        let sample = |value: &i64| Sample {
            value: *value,
            at: now(),
            window: SignedDuration::from_secs(60),
        };
        values
            .iter()
            .enumerate()
            .filter(|(_, value)| **value >= 0)
            .map(|(index, value)| (format!("web-{index}"), sample(value)))
            .collect()
    }

    fn target(pods: &[Arc<Pod>], replicas: i32) -> Target<'_> {
        Target {
            pods,
            replicas,
            tolerance: Tolerance { down: 0.1, up: 0.1 },
            now: now(),
        }
    }

    /// `changes` makes a pod unready, pending or deleted; -1 is a missing sample.
    fn check(percent: i32, levels: &[i64], changes: &[(usize, &str)], expected: (i32, i32)) {
        let mut values: Vec<Value> = (0..levels.len())
            .map(|index| pod(index, Some("1")))
            .collect();
        for (index, change) in changes {
            let pod = &mut values[*index];
            match *change {
                "starting" => {
                    pod["status"]["startTime"] = "2026-01-01T11:59:00Z".into();
                    pod["status"]["conditions"][0]["status"] = "False".into();
                    pod["status"]["conditions"][0]["lastTransitionTime"] =
                        "2026-01-01T11:59:00Z".into();
                }
                "fresh" => {
                    pod["status"]["startTime"] = "2026-01-01T11:58:00Z".into();
                    pod["status"]["conditions"][0]["lastTransitionTime"] =
                        "2026-01-01T11:59:30Z".into();
                }
                "pending" => pod["status"]["phase"] = "Pending".into(),
                "failed" => pod["status"]["phase"] = "Failed".into(),
                _ => pod["metadata"]["deletionTimestamp"] = NOW.into(),
            }
        }
        let pods = pods(values);
        let proposal = target(&pods, levels.len() as i32)
            .by_utilization(samples(levels), percent, "cpu", None)
            .expect("there is an answer");
        assert_eq!(
            (
                proposal.replicas,
                proposal.utilization.expect("a percentage")
            ),
            expected,
            "{levels:?} for {percent} % with {changes:?}"
        );
    }

    /// Upstream: pkg/controller/podautoscaler/replica_calculator_test.go,
    /// TestReplicaCalcScaleUp, …ScaleDown, …Tolerance, …Missing…, …Unready….
    #[test]
    fn utilization_is_brought_to_its_target() {
        check(30, &[300, 500, 700], &[], (5, 50));
        check(30, &[300, 500, 700], &[(0, "starting")], (4, 60));
        check(
            30,
            &[400, 500, 700],
            &[(0, "starting"), (1, "starting")],
            (3, 70),
        );
        check(30, &[300, 500, 700], &[(0, "fresh")], (4, 60));
        check(30, &[300, 500, 700], &[(0, "pending")], (4, 60));
        check(30, &[500, 700, 200], &[(2, "failed")], (4, 60));
        check(30, &[500, 700, 200], &[(2, "deleted")], (4, 60));
        check(50, &[100, 300, 500, 250, 250], &[], (3, 28));
        // Upstream's pods on their way up do not count when scaling down.
        check(
            50,
            &[100, 300, 500, 250, 250],
            &[(0, "starting"), (1, "starting")],
            (2, 33),
        );
        check(100, &[900, 1000, 1100, 1010], &[], (4, 100));
        check(100, &[1090, 1090, 1090], &[], (3, 109));
        // Missing samples damp a change in either direction.
        check(50, &[-1, 800, 800, 200], &[], (4, 60));
        check(30, &[-1, 900, 900], &[], (6, 90));
        check(30, &[-1, 400, -1, -1], &[], (4, 40));
        check(80, &[100, -1, -1], &[], (3, 10));
        check(50, &[100, -1], &[], (2, 10));
    }

    #[test]
    fn averages_are_brought_to_their_target() {
        let check = |target_value: i64, levels: &[i64], expected: (i32, i64)| {
            let values = (0..levels.len()).map(|index| pod(index, None)).collect();
            let pods = pods(values);
            let proposal = target(&pods, levels.len() as i32)
                .by_average(samples(levels), target_value, "")
                .expect("there is an answer");
            assert_eq!(
                (proposal.replicas, proposal.average),
                expected,
                "{levels:?}"
            );
        };
        check(15_000, &[20_000, 10_000, 30_000], (4, 20_000));
        check(
            20_000,
            &[12_000, 12_000, 12_000, 12_000, 12_000],
            (3, 12_000),
        );
        check(20_000, &[20_666, 20_666, 20_666], (3, 20_666));
        check(20_000, &[-1, 0, 0, 0], (1, 0));
    }

    #[test]
    fn an_objects_value_is_shared_or_reached() {
        let pods = pods((0..3).map(|index| pod(index, None)).collect());
        let target = target(&pods, 3);
        let check = |proposal: Proposal, expected: (i32, i64)| {
            assert_eq!((proposal.replicas, proposal.average), expected);
        };
        check(target.by_value(20_000, 15_000), (4, 20_000));
        check(target.by_value(20_666, 20_000), (3, 20_666));
        check(target.by_share(8_600, 2_150, 3), (4, 2_867));
        check(target.by_share(6_000, 2_000, 3), (3, 2_000));
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |pods: Vec<Arc<Pod>>, samples: Samples, expected: &str| {
            let result = target(&pods, 1).by_utilization(samples, 50, "cpu", None);
            assert_eq!(result.expect_err("there is no answer"), expected);
        };
        check(
            Vec::new(),
            samples(&[1]),
            "no pods returned by selector while calculating replica count",
        );
        check(
            pods(vec![pod(0, Some("1"))]),
            samples(&[]),
            "did not receive metrics for targeted pods (pods might be unready)",
        );
        check(
            pods(vec![pod(0, None)]),
            samples(&[100]),
            "missing request for cpu in container web of Pod web-0",
        );
    }
}
