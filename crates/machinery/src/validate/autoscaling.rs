//! Horizontal pod autoscalers.

use super::{At, Causes, names, resources};

/// Longest time a scaling rule looks back.
const WINDOW_MAX: i64 = 3600;
/// Longest period of a scaling policy.
const PERIOD_MAX: i64 = 1800;

/// A `HorizontalPodAutoscaler`; v1 is judged in its v2 form, as upstream
/// judges both in one.
pub(super) fn autoscaler(object: &At<'_>, version: &str, causes: &mut Causes) {
    if version == "v1" {
        let mut converted = object.value.clone();
        if let Some(kind) = crate::kinds::by_plural("autoscaling", "v1", "horizontalpodautoscalers")
        {
            crate::convert::to_storage(kind, &mut converted);
        }
        check(&At::root(&converted), causes);
    } else {
        check(object, causes);
    }
}

fn check(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let (min, max) = (spec.field("minReplicas"), spec.field("maxReplicas"));
    let least = min.int();
    if let Some(number) = least.filter(|number| *number < 1) {
        causes.invalid(&min.path, number, "must be greater than or equal to 1");
    }
    let most = max.int().unwrap_or(0);
    if most < 1 {
        causes.required(&max.path, "must be set and greater than 0");
    }
    if least.is_some_and(|least| most < least) {
        causes.invalid(
            &max.path,
            most,
            "must be greater than or equal to `minReplicas`",
        );
    }
    reference(&spec.field("scaleTargetRef"), true, causes);
    metrics(&spec.field("metrics"), least, causes);
    let behavior = spec.field("behavior");
    for name in ["scaleUp", "scaleDown"] {
        rules(&behavior.field(name), causes);
    }
}

/// Only what is scaled must be of a named group: metrics are told of core kinds too.
fn reference(reference: &At<'_>, needs_group: bool, causes: &mut Causes) {
    for name in ["kind", "name"] {
        let at = reference.field(name);
        if at.is_empty() {
            causes.required(&at.path, "");
        } else {
            causes.invalid_text(&at.path, at.text(), names::path_segment(at.text()));
        }
    }
    let version = reference.field("apiVersion");
    let text = version.text();
    if text.matches('/').count() > 1 {
        let detail = format!("unexpected GroupVersion string: {text}");
        causes.invalid(&version.path, text, &detail);
    } else if needs_group
        && !text.contains('/')
        && reference.field("kind").text() != "ReplicationController"
    {
        causes.invalid(&version.path, text, "apiVersion must specify API group");
    }
}

fn metrics(metrics: &At<'_>, least: Option<i64>, causes: &mut Causes) {
    let mut can_wake = false;
    for metric in metrics.items() {
        self::metric(&metric, causes);
        can_wake |= matches!(metric.field("type").text(), "Object" | "External");
    }
    if least == Some(0) && !can_wake {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        causes.forbidden(&metrics.path, detail);
    }
}

/// Sources in the order in which upstream looks at them.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];
const TYPES: [&str; 5] = [
    "ContainerResource",
    "External",
    "Object",
    "Pods",
    "Resource",
];

fn metric(metric: &At<'_>, causes: &mut Causes) {
    let kind = metric.field("type");
    if kind.is_empty() {
        causes.required(&kind.path, "must specify a metric source type");
    }
    let expected = SOURCES.iter().find(|(name, _)| *name == kind.text());
    if expected.is_none() {
        causes.not_supported(&kind.path, kind.text(), &TYPES);
    }
    let mut present = Vec::new();
    for (_, field) in SOURCES {
        let source = metric.field(field);
        if !source.is_set() {
            continue;
        }
        // Only the first source is looked into.
        if present.is_empty() {
            self::source(field, &source, causes);
        }
        present.push(field);
    }
    match expected {
        Some((_, field)) if !present.contains(field) => {
            let detail = "must populate information for the given metric source";
            causes.required(&metric.field(field).path, detail);
        }
        Some(_) => {}
        None => causes.not_supported(&kind.path, kind.text(), &TYPES),
    }
    if present.len() == 1 {
        return;
    }
    let others = present
        .iter()
        .filter(|field| expected.is_none_or(|(_, name)| name != *field));
    for field in others {
        let detail = "must populate the given metric source only";
        causes.forbidden(&metric.field(field).path, detail);
    }
}

fn source(kind: &str, source: &At<'_>, causes: &mut Causes) {
    let target = source.field("target");
    self::target(&target, causes);
    let (value, average) = (target.field("value"), target.field("averageValue"));
    let utilization = target.field("averageUtilization");
    match kind {
        "resource" | "containerResource" => {
            let name = source.field("name");
            if name.is_empty() {
                causes.required(&name.path, "must specify a resource name");
            } else if kind == "containerResource" {
                resources::container_name(&name.path, name.text(), causes);
            }
            let container = source.field("container");
            if kind == "containerResource" && container.is_empty() {
                causes.required(&container.path, "must specify a container");
            } else if kind == "containerResource" {
                causes.invalid_text(
                    &container.path,
                    container.text(),
                    names::label(container.text()),
                );
            }
            match (utilization.is_set(), average.is_set()) {
                (false, false) => causes.required(
                    &utilization.path,
                    "must set either a target raw value or a target utilization",
                ),
                (true, true) => causes.forbidden(
                    &average.path,
                    "may not set both a target raw value and a target utilization",
                ),
                _ => {}
            }
        }
        "pods" => {
            identifier(&source.field("metric"), causes);
            if !average.is_set() {
                causes.required(&average.path, "must specify a positive target averageValue");
            }
        }
        _ => {
            if kind == "object" {
                reference(&source.field("describedObject"), false, causes);
            }
            identifier(&source.field("metric"), causes);
            match (value.is_set(), average.is_set()) {
                (false, false) => {
                    let detail = match kind {
                        "object" => "must set either a target value or averageValue",
                        _ => "must set either a target value for metric or a per-pod target",
                    };
                    causes.required(&average.path, detail);
                }
                (true, true) if kind == "external" => causes.forbidden(
                    &value.path,
                    "may not set both a target value for metric and a per-pod target",
                ),
                _ => {}
            }
        }
    }
}

fn identifier(metric: &At<'_>, causes: &mut Causes) {
    let name = metric.field("name");
    if name.is_empty() {
        causes.required(&name.path, "must specify a metric name");
    } else {
        causes.invalid_text(&name.path, name.text(), names::path_segment(name.text()));
    }
}

fn target(target: &At<'_>, causes: &mut Causes) {
    let kind = target.field("type");
    if kind.is_empty() {
        causes.required(&kind.path, "must specify a metric target type");
    }
    match kind.text() {
        "Utilization" | "Value" | "AverageValue" => {}
        other => causes.invalid(
            &kind.path,
            other,
            "must be either Utilization, Value, or AverageValue",
        ),
    }
    for name in ["value", "averageValue"] {
        let at = target.field(name);
        if at.is_set() && resources::amount(at.value).signum() != 1 {
            causes.invalid(&at.path, resources::shown(at.value), "must be positive");
        }
    }
    let utilization = target.field("averageUtilization");
    if let Some(number) = utilization.int().filter(|number| *number < 1) {
        causes.invalid(&utilization.path, number, "must be greater than 0");
    }
}

fn rules(rules: &At<'_>, causes: &mut Causes) {
    if !rules.is_set() {
        return;
    }
    let window = rules.field("stabilizationWindowSeconds");
    match window.int() {
        Some(seconds) if seconds < 0 => {
            causes.invalid(
                &window.path,
                seconds,
                "must be greater than or equal to zero",
            );
        }
        Some(seconds) if seconds > WINDOW_MAX => {
            let detail = format!("must be less than or equal to {WINDOW_MAX}");
            causes.invalid(&window.path, seconds, &detail);
        }
        _ => {}
    }
    let select = rules.field("selectPolicy");
    if select.is_set() {
        causes.one_of(&select, &["Disabled", "Max", "Min"]);
    }
    let tolerance = rules.field("tolerance");
    if tolerance.is_set() && resources::amount(tolerance.value).signum() < 0 {
        let shown = resources::shown(tolerance.value);
        causes.invalid(&tolerance.path, shown, names::NOT_NEGATIVE);
    }
    let policies = rules.field("policies");
    if policies.is_empty() {
        causes.required(&policies.path, "must specify at least one Policy");
    }
    for policy in policies.items() {
        causes.one_of(&policy.field("type"), &["Percent", "Pods"]);
        for name in ["value", "periodSeconds"] {
            let at = policy.field(name);
            let number = at.int().unwrap_or(0);
            if number <= 0 {
                causes.invalid(&at.path, number, "must be greater than zero");
            } else if name == "periodSeconds" && number > PERIOD_MAX {
                let detail = format!("must be less than or equal to {PERIOD_MAX}");
                causes.invalid(&at.path, number, &detail);
            }
        }
    }
}

/// The status of an autoscaler.
pub(super) fn status(object: &At<'_>, causes: &mut Causes) {
    let status = object.field("status");
    causes.not_negative(&status.field("currentReplicas"));
    causes.not_negative(&status.field("desiredReplicas"));
}
