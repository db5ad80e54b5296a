//! HorizontalPodAutoscalers: as many replicas as the measured load asks for
//! (upstream: pkg/controller/podautoscaler).
//!
//! `samples` asks the metrics APIs, `replicas` computes, `behavior` slows
//! down, `metric` puts the three together for one metric. Here is the loop. It
//! ticks only while there is an autoscaler.

mod ambiguity;
mod behavior;
mod metric;
mod replicas;
mod samples;
mod status;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, Key, Outcome, Queue, Recorder, Severity, key_of, now};
use coracle_machinery::selector::LabelSelector;
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec,
    HorizontalPodAutoscalerStatus, MetricStatus,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, PostParams};
use kube::core::ApiResource;
use kube::core::gvk::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;

use crate::context::Context;
use ambiguity::Selectors;
use behavior::{Bounds, History};
use metric::{Failure, Question};
use replicas::{Target, Tolerance};
use samples::Source;

/// How often an autoscaler looks at its metrics
/// (upstream: --horizontal-pod-autoscaler-sync-period).
const PERIOD: Duration = Duration::from_secs(15);
/// By how much usage may differ from its target
/// (upstream: --horizontal-pod-autoscaler-tolerance).
const TOLERANCE: f64 = 0.1;

type Scale = k8s_openapi::api::autoscaling::v1::Scale;

struct Controller {
    client: Client,
    autoscalers: Cache<HorizontalPodAutoscaler>,
    pods: Cache<Pod>,
    recorder: Recorder,
    source: Source,
    histories: Mutex<HashMap<Key, History>>,
    selectors: Mutex<Selectors>,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let client = context.client("horizontal-pod-autoscaler");
    let controller = Arc::new(Controller {
        autoscalers: context.caches.of(),
        pods: context.caches.of(),
        recorder: Recorder::new(client.clone(), "horizontal-pod-autoscaler"),
        source: Source::new(client.clone()),
        client,
        histories: Mutex::default(),
        selectors: Mutex::default(),
    });
    controller.autoscalers.ready().await;
    controller.pods.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    // Its own writes of the status must not make it run faster.
    let specs: Mutex<HashMap<Key, HorizontalPodAutoscalerSpec>> = Mutex::default();
    controller.autoscalers.on_change(move |autoscaler| {
        let key = key_of(&**autoscaler);
        let old = specs.lock().insert(key.clone(), autoscaler.spec.clone());
        if old.as_ref() != Some(&autoscaler.spec) {
            own.add(key);
        }
    });
    coracle_client::run("autoscaler", queue, 2, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

/// The target of an autoscaler, and what is to become of it.
struct Found {
    api: Api<DynamicObject>,
    scale: Scale,
    current: i32,
    running: i32,
    selector: String,
}

/// The number of replicas that is wanted, with the reason for a change.
struct Wanted {
    replicas: i32,
    because: String,
    metrics: Vec<MetricStatus>,
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(autoscaler) = self.autoscalers.of(key) else {
            self.histories.lock().remove(key);
            self.selectors.lock().forget(key);
            return Ok(Outcome::Done);
        };
        let mut status = autoscaler.status.clone().unwrap_or_default();
        self.autoscale(key, &autoscaler, &mut status).await;
        self.write_status(&autoscaler, status).await?;
        Ok(Outcome::Again(PERIOD))
    }

    /// Looks at the metrics and changes the target if they ask for it.
    async fn autoscale(
        &self,
        key: &Key,
        autoscaler: &HorizontalPodAutoscaler,
        status: &mut HorizontalPodAutoscalerStatus,
    ) {
        let mut found = match self.find(autoscaler).await {
            Ok(found) => found,
            Err(text) => {
                self.warn(autoscaler, "FailedGetScale", &text);
                let message = format!(
                    "the HPA controller was unable to get the target's current scale: {text}"
                );
                status::set(status, "AbleToScale", false, "FailedGetScale", message);
                return;
            }
        };
        status::set(
            status,
            "AbleToScale",
            true,
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale",
        );
        let at = Timestamp::now();
        self.histories
            .lock()
            .entry(key.clone())
            .or_default()
            .begin(found.current, at);
        let Some(wanted) = self.wanted(key, autoscaler, &found, status, at).await else {
            return;
        };
        let mut desired = wanted.replicas;
        if desired != found.current {
            let rescaled = self
                .rescale(autoscaler, &mut found, desired, &wanted.because, status)
                .await;
            if rescaled {
                let mut histories = self.histories.lock();
                let history = histories.entry(key.clone()).or_default();
                history.changed(found.current, desired, at);
                status.last_scale_time = Some(now());
            } else {
                desired = status.desired_replicas;
            }
        }
        status::measured(status, found.current, desired, wanted.metrics);
    }

    /// Returns how many replicas there are to be; `None` if that cannot be told,
    /// which the status says then.
    async fn wanted(
        &self,
        key: &Key,
        autoscaler: &HorizontalPodAutoscaler,
        found: &Found,
        status: &mut HorizontalPodAutoscalerStatus,
        at: Timestamp,
    ) -> Option<Wanted> {
        let bounds = Bounds {
            current: found.current,
            min: autoscaler.spec.min_replicas.unwrap_or(1),
            max: autoscaler.spec.max_replicas,
        };
        let fixed = |replicas, because: &str| {
            Some(Wanted {
                replicas,
                because: because.into(),
                metrics: Vec::new(),
            })
        };
        if bounds.current == 0 && bounds.min != 0 {
            let text = "scaling is disabled since the replica count of the target is zero";
            status::set(status, "ScalingActive", false, "ScalingDisabled", text);
            return fixed(0, "");
        }
        if bounds.current > bounds.max {
            return fixed(
                bounds.max,
                "Current number of replicas above Spec.MaxReplicas",
            );
        }
        if bounds.current < bounds.min {
            return fixed(
                bounds.min,
                "Current number of replicas below Spec.MinReplicas",
            );
        }
        if let Err(misfit) = self.check_selector(key, found) {
            self.warn(autoscaler, misfit.event, &misfit.text);
            status::set(
                status,
                "ScalingActive",
                false,
                misfit.condition,
                misfit.message,
            );
            self.warn(autoscaler, "FailedComputeMetricsReplicas", &misfit.text);
            status::measured(status, found.current, status.desired_replicas, Vec::new());
            return None;
        }
        let (asked, name, metrics) = self.ask(autoscaler, found, status, at).await?;
        let because = match asked.cmp(&bounds.current) {
            Ordering::Greater => format!("{name} above target"),
            Ordering::Less => "All metrics below target".into(),
            Ordering::Equal => String::new(),
        };
        let decision = self
            .histories
            .lock()
            .entry(key.clone())
            .or_default()
            .decide(autoscaler.spec.behavior.as_ref(), bounds, asked, at);
        let (reason, text) = decision.able;
        status::set(status, "AbleToScale", true, reason, text);
        let (reason, text) = decision.limit;
        status::set(status, "ScalingLimited", decision.limited, reason, text);
        Some(Wanted {
            replicas: decision.replicas,
            because,
            metrics,
        })
    }

    /// Asks every metric and returns what the neediest asks for, and its name.
    async fn ask(
        &self,
        autoscaler: &HorizontalPodAutoscaler,
        found: &Found,
        status: &mut HorizontalPodAutoscalerStatus,
        at: Timestamp,
    ) -> Option<(i32, String, Vec<MetricStatus>)> {
        let namespace = autoscaler.namespace().unwrap_or_default();
        let pods = self.pods_of(&namespace, &found.selector);
        let question = Question {
            source: &self.source,
            namespace: &namespace,
            selector: &found.selector,
            target: Target {
                pods: &pods,
                replicas: found.current,
                tolerance: tolerance(&autoscaler.spec),
                now: at,
            },
            running: found.running,
        };
        let specs = autoscaler.spec.metrics.as_deref().unwrap_or_default();
        let mut best: Option<(i32, String)> = None;
        let mut metrics = Vec::new();
        let mut failures: Vec<Failure> = Vec::new();
        for spec in specs {
            match question.ask(spec).await {
                Ok(answer) => {
                    if best
                        .as_ref()
                        .is_none_or(|(most, _)| answer.replicas > *most)
                    {
                        best = Some((answer.replicas, answer.name));
                    }
                    metrics.push(answer.status);
                }
                Err(failure) => {
                    self.warn(autoscaler, failure.reason, &failure.text);
                    failures.push(failure);
                    // Each metric keeps its place.
                    metrics.push(MetricStatus::default());
                }
            }
        }
        let blocked = |replicas: i32| !failures.is_empty() && replicas < found.current;
        match best.filter(|(replicas, _)| !blocked(*replicas)) {
            Some((replicas, name)) => {
                let text = format!(
                    "the HPA was able to successfully calculate a replica count from {name}"
                );
                status::set(status, "ScalingActive", true, "ValidMetricFound", text);
                Some((replicas, name, metrics))
            }
            None => {
                self.tell_failure(autoscaler, &failures, specs.len(), status);
                status::measured(status, found.current, status.desired_replicas, metrics);
                None
            }
        }
    }

    fn tell_failure(
        &self,
        autoscaler: &HorizontalPodAutoscaler,
        failures: &[Failure],
        total: usize,
        status: &mut HorizontalPodAutoscalerStatus,
    ) {
        let Some(first) = failures.first() else {
            return;
        };
        let text = format!(
            "the HPA was unable to compute the replica count: {}",
            first.text
        );
        status::set(status, "ScalingActive", false, first.reason, text);
        let text = format!(
            "invalid metrics ({} invalid out of {total}), first error is: {}",
            failures.len(),
            first.outer
        );
        self.warn(autoscaler, "FailedComputeMetricsReplicas", &text);
    }

    fn pods_of(&self, namespace: &str, selector: &str) -> Vec<Arc<Pod>> {
        let Ok(selector) = LabelSelector::parse(selector) else {
            return Vec::new();
        };
        let mut pods = self.pods.within(namespace);
        pods.retain(|pod| selector.matches(pod.labels()));
        pods
    }

    /// Finds the target and its scale.
    async fn find(&self, autoscaler: &HorizontalPodAutoscaler) -> Result<Found, String> {
        let reference = &autoscaler.spec.scale_target_ref;
        let version = reference.api_version.as_deref().unwrap_or_default();
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = GroupVersionKind::gvk(group, version, &reference.kind);
        let resource = self.resource(&kind).await?;
        let namespace = autoscaler.namespace().unwrap_or_default();
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &namespace, &resource);
        let scale = api.get_scale(&reference.name).await.map_err(words)?;
        let status = scale.status.clone().unwrap_or_default();
        Ok(Found {
            current: scale
                .spec
                .as_ref()
                .and_then(|spec| spec.replicas)
                .unwrap_or(0),
            running: status.replicas,
            selector: status.selector.unwrap_or_default(),
            api,
            scale,
        })
    }

    async fn resource(&self, kind: &GroupVersionKind) -> Result<ApiResource, String> {
        if kind.group == "apps" && kind.version == "v1" {
            return Ok(ApiResource::from_gvk(kind));
        }
        let found = kube::discovery::pinned_kind(&self.client, kind).await;
        found.map(|(resource, _)| resource).map_err(|_| {
            format!(
                "no matches for kind {:?} in group {:?}",
                kind.kind, kind.group
            )
        })
    }

    /// Changes the target's scale; returns whether that was done.
    async fn rescale(
        &self,
        autoscaler: &HorizontalPodAutoscaler,
        found: &mut Found,
        desired: i32,
        because: &str,
        status: &mut HorizontalPodAutoscalerStatus,
    ) -> bool {
        found.scale.spec.get_or_insert_default().replicas = Some(desired);
        let name = &autoscaler.spec.scale_target_ref.name;
        let written = found
            .api
            .replace_scale(name, &PostParams::default(), &found.scale)
            .await;
        if let Err(error) = written {
            let text = words(error);
            let message = format!("New size: {desired}; reason: {because}; error: {text}");
            self.warn(autoscaler, "FailedRescale", &message);
            let message =
                format!("the HPA controller was unable to update the target scale: {text}");
            status::set(status, "AbleToScale", false, "FailedUpdateScale", message);
            return false;
        }
        let message =
            format!("the HPA controller was able to update the target scale to {desired}");
        status::set(status, "AbleToScale", true, "SucceededRescale", message);
        let text = format!("New size: {desired}; reason: {because}");
        self.recorder
            .event(autoscaler, Severity::Normal, "SuccessfulRescale", text);
        true
    }

    fn warn(&self, autoscaler: &HorizontalPodAutoscaler, reason: &str, text: &str) {
        self.recorder
            .event(autoscaler, Severity::Warning, reason, text);
    }

    async fn write_status(
        &self,
        autoscaler: &HorizontalPodAutoscaler,
        status: HorizontalPodAutoscalerStatus,
    ) -> Result<(), kube::Error> {
        if autoscaler.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut changed = autoscaler.clone();
        changed.status = Some(status);
        let namespace = autoscaler.namespace().unwrap_or_default();
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), &namespace);
        match api
            .replace_status(&autoscaler.name_any(), &PostParams::default(), &changed)
            .await
        {
            Err(error) if !coracle_client::is_not_found(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

fn words(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

fn tolerance(spec: &HorizontalPodAutoscalerSpec) -> Tolerance {
    let behavior = spec.behavior.as_ref();
    let of = |rules: Option<&HPAScalingRules>| {
        let text = rules.and_then(|rules| rules.tolerance.as_ref());
        let parsed = text.and_then(|text| {
            let amount: coracle_machinery::quantity::Quantity = text.0.parse().ok()?;
            Some(amount.to_f64())
        });
        parsed.unwrap_or(TOLERANCE)
    };
    Tolerance {
        down: of(behavior.and_then(|behavior| behavior.scale_down.as_ref())),
        up: of(behavior.and_then(|behavior| behavior.scale_up.as_ref())),
    }
}
