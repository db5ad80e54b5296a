//! Warnings about valid objects: values that are probably mistakes or pass out
//! of use (`WarningsOnCreate` and `WarningsOnUpdate` of upstream's strategies).
//!
//! [`warnings`] is the whole of it. Warnings that need other objects, or that
//! name what this server does not act on, are the server's.

mod address;
mod formats;
mod paths;
mod pod;
mod ports;
mod storage;
mod tls;

use std::collections::BTreeSet;

use serde_json::Value;

use super::{At, names, quote, resources};
use crate::kind::Kind;

/// Warnings of a valid object; `old` is what an update replaces, through the
/// resource itself (`None`) or a subresource.
pub(super) fn warnings(
    kind: &Kind,
    subresource: Option<&str>,
    object: &Value,
    old: Option<&Value>,
) -> Vec<String> {
    let mut found = Vec::new();
    duplicate_owners(object, &mut found);
    let at = At::root(object);
    match subresource {
        None => body(kind, &at, old, &mut found),
        Some("status") => status(kind, &at, &mut found),
        Some(_) => {}
    }
    found
}

fn body(kind: &Kind, object: &At<'_>, old: Option<&Value>, found: &mut Vec<String>) {
    if kind.custom.is_some() {
        return finalizers(object, old, found);
    }
    match (kind.group, kind.kind) {
        // Programs update pods often; upstream spares them the look.
        ("", "Pod") if old.is_some() => {}
        ("", "Pod") => {
            host_name(object, "the Pod's hostname", found);
            pod::pod(object, found);
        }
        ("", "PodTemplate") => template(object, old, "template", found),
        ("apps", "DaemonSet") => template(object, old, "spec.template", found),
        ("apps", "StatefulSet") => {
            template(object, old, "spec.template", found);
            storage::set_claims(object, old.is_some(), found);
        }
        ("apps", "Deployment" | "ReplicaSet") | ("", "ReplicationController") => {
            pod_names(object, old, found);
            template(object, old, "spec.template", found);
        }
        ("batch", "Job") => {
            pod_names(object, old, found);
            job(object, old, "spec", found);
        }
        ("batch", "CronJob") => cron_job(object, old, found),
        ("", "Service") => service(object, found),
        ("", "Endpoints") => address::endpoints(object, found),
        ("discovery.k8s.io", "EndpointSlice") => address::slice(object, old, found),
        ("networking.k8s.io", "Ingress") if old.is_none() => ingress(object, found),
        ("networking.k8s.io", "NetworkPolicy") => address::policy(object, found),
        ("", "Node") => node(object, found),
        ("", "ResourceQuota") if old.is_none() => quota(object, found),
        ("", "Secret") => tls::secret(object, found),
        ("", "ServiceAccount") => service_account(object, old, found),
        ("node.k8s.io", "RuntimeClass") => runtime_class(object, found),
        ("", "PersistentVolume") => storage::volume(object, found),
        ("", "PersistentVolumeClaim") => storage::claim(object, found),
        ("apiextensions.k8s.io", _) => formats::definition(object, old, found),
        ("storage.k8s.io", _) => storage::class_kinds(kind.kind, object, old, found),
        _ => {}
    }
}

/// Finalizers that a write adds to a custom object.
fn finalizers(object: &At<'_>, old: Option<&Value>, found: &mut Vec<String>) {
    let texts = |object: &Value| -> BTreeSet<String> {
        let list = object["metadata"]["finalizers"].as_array();
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let before = old.map(texts).unwrap_or_default();
    for text in texts(object.value).difference(&before) {
        let mut warn = |what: &str| {
            found.push(format!("metadata.finalizers: {}: {what}", quote(text)));
        };
        for wrong in names::qualified(text) {
            warn(&wrong);
        }
        let standard = matches!(&**text, "orphan" | "foregroundDeletion" | "kubernetes");
        if !standard && !text.contains('/') {
            let path = if text.contains('.') {
                " including a path (/)"
            } else {
                ""
            };
            warn(&format!(
                "prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer writers"
            ));
        }
    }
}

fn status(kind: &Kind, object: &At<'_>, found: &mut Vec<String>) {
    let status = object.field("status");
    match (kind.group, kind.kind) {
        ("", "Pod") => {
            for list in ["podIPs", "hostIPs"] {
                for item in status.field(list).items() {
                    address::ip(&item.field("ip"), found);
                }
            }
        }
        ("", "Service") | ("networking.k8s.io", "Ingress") => {
            let balancer = status.field("loadBalancer");
            for ingress in balancer.field("ingress").items() {
                let value = ingress.field("ip").value;
                let path = ingress.path;
                address::ip(&At { value, path }, found);
            }
        }
        _ => {}
    }
}

fn duplicate_owners(object: &Value, found: &mut Vec<String>) {
    let mut seen: Vec<&Value> = Vec::new();
    let mut twice: Vec<&str> = Vec::new();
    let owners = object["metadata"]["ownerReferences"].as_array();
    for owner in owners.into_iter().flatten() {
        let uid = owner["uid"].as_str().unwrap_or_default();
        if seen.contains(&owner) && !twice.contains(&uid) {
            twice.push(uid);
        }
        seen.push(owner);
    }
    if !twice.is_empty() {
        found.push(format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            twice.join(", ")
        ));
    }
}

/// A name that will be a host's name too.
fn host_name(object: &At<'_>, user: &str, found: &mut Vec<String>) {
    let metadata = object.field("metadata");
    let wrong = names::label(metadata.field("name").text());
    if !wrong.is_empty() {
        found.push(format!(
            "metadata.name: this is used in {user}, which can result in surprising behavior; a DNS label is recommended: [{}]",
            wrong.join(" ")
        ));
    }
}

fn pod_names(object: &At<'_>, old: Option<&Value>, found: &mut Vec<String>) {
    if old.is_none() {
        host_name(object, "Pod names and hostnames", found);
    }
}

/// A template earns its warnings when it is new or the object's generation moves.
fn template(object: &At<'_>, old: Option<&Value>, path: &str, found: &mut Vec<String>) {
    let pointer = format!("/{}", path.replace('.', "/"));
    let at = |object| Value::pointer(object, &pointer).unwrap_or(&Value::Null);
    let generation = |object: &Value| object["metadata"]["generation"].clone();
    let new = at(object.value);
    let moved = old.is_none_or(|old| match object.value["kind"].as_str() {
        Some("DaemonSet") => at(old) != new,
        _ => generation(old) != generation(object.value),
    });
    if moved {
        let path = crate::path::Path::new(path);
        pod::template(&At { value: new, path }, found);
    }
}

/// From here on the failed indexes of a Job may be too many to count.
const COMPLETIONS_MAX: i64 = 100_000;
const PARALLELISM_MAX: i64 = 10_000;

/// A `JobSpec` (`pkg/api/job/warnings.go` upstream).
fn job(object: &At<'_>, old: Option<&Value>, path: &str, found: &mut Vec<String>) {
    let generation = |object: &Value| object["metadata"]["generation"].clone();
    if old.is_some_and(|old| generation(old) == generation(object.value)) {
        return;
    }
    let pointer = format!("/{}", path.replace('.', "/"));
    let spec = object.value.pointer(&pointer).unwrap_or(&Value::Null);
    let number = |name: &str| spec[name].as_i64().unwrap_or(0);
    if spec["completionMode"] == "Indexed"
        && number("completions") > COMPLETIONS_MAX
        && number("parallelism") > PARALLELISM_MAX
    {
        found.push(format!("{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"));
    }
    template(object, old, &format!("{path}.template"), found);
}

fn cron_job(object: &At<'_>, old: Option<&Value>, found: &mut Vec<String>) {
    pod_names(object, old, found);
    job(object, old, "spec.jobTemplate.spec", found);
    let spec = object.field("spec");
    if old.is_some() && spec.field("schedule").text().contains("TZ") {
        found.push("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".into());
    }
}

/// A Service (`pkg/api/service/warnings.go` upstream).
fn service(object: &At<'_>, found: &mut Vec<String>) {
    let (metadata, spec) = (object.field("metadata"), object.field("spec"));
    let hints = "service.kubernetes.io/topology-aware-hints";
    if metadata.field("annotations").value.get(hints).is_some() {
        found.push(format!("annotation {hints} is deprecated, please use service.kubernetes.io/topology-mode instead"));
    }
    let (own, external) = (spec.field("clusterIP"), spec.field("externalIPs"));
    if !matches!(own.text(), "" | "None") {
        for item in spec.field("clusterIPs").items() {
            address::ip(&item, found);
        }
    }
    let balancer = spec.field("loadBalancerIP");
    let kind = spec.field("type").text();
    let headless = kind == "ClusterIP" && own.text() == "None";
    if headless {
        let affinity = spec.field("sessionAffinity").text();
        for (given, name) in [
            (!balancer.is_empty(), "loadBalancerIP"),
            (!external.is_empty(), "externalIPs"),
            (affinity != "None", "SessionAffinity"),
        ] {
            if given {
                found.push(format!("spec.{name} is ignored for headless services"));
            }
        }
    }
    for item in external.items() {
        address::ip(&item, found);
    }
    if !external.is_empty() && !headless && kind != "ExternalName" {
        found.push(
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
                .into(),
        );
    }
    address::ip(&balancer, found);
    for item in spec.field("loadBalancerSourceRanges").items() {
        address::range(&item, found);
    }
    if kind == "ExternalName" && !external.is_empty() {
        found.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".into());
    }
    if kind != "ExternalName" && !spec.field("externalName").is_empty() {
        found.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".into());
    }
    if spec.field("trafficDistribution").text() == "PreferClose" {
        found.push(
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\""
                .into(),
        );
    }
}

fn ingress(object: &At<'_>, found: &mut Vec<String>) {
    let metadata = object.field("metadata");
    let annotation = "kubernetes.io/ingress.class";
    let annotated = metadata
        .field("annotations")
        .value
        .get(annotation)
        .is_some();
    if annotated && !object.field("spec").field("ingressClassName").is_set() {
        found.push(format!(
            "annotation \"{annotation}\" is deprecated, please use 'spec.ingressClassName' instead"
        ));
    }
}

fn node(object: &At<'_>, found: &mut Vec<String>) {
    let spec = object.field("spec");
    if spec.field("configSource").is_set() {
        found.push("spec.configSource: the feature is removed".into());
    }
    if !spec.field("externalID").is_empty() {
        found.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".into());
    }
    for item in spec.field("podCIDRs").items() {
        address::range(&item, found);
    }
}

/// What is requested should not be more than its limit.
fn quota(object: &At<'_>, found: &mut Vec<String>) {
    let spec = object.field("spec");
    let hard = spec.field("hard");
    for name in ["cpu", "memory", "storage", "ephemeral-storage"] {
        let (mut asked, limit) = (format!("requests.{name}"), format!("limits.{name}"));
        if hard.value.get(&asked).is_none() && matches!(name, "cpu" | "memory") {
            name.clone_into(&mut asked);
        }
        let (Some(request), Some(bound)) = (hard.value.get(&asked), hard.value.get(&limit)) else {
            continue;
        };
        let (request, bound) = (resources::amount(request), resources::amount(bound));
        if request > bound {
            found.push(format!(
                "ResourceQuota {asked} ({request}) should be less than {limit} ({bound})"
            ));
        }
    }
}

fn service_account(object: &At<'_>, old: Option<&Value>, found: &mut Vec<String>) {
    let name = "kubernetes.io/enforce-mountable-secrets";
    let has = |object: &Value| object["metadata"]["annotations"].get(name).is_some();
    if has(object.value) && !old.is_some_and(has) {
        found.push(format!("metadata.annotations[{name}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"));
    }
}

fn runtime_class(object: &At<'_>, found: &mut Vec<String>) {
    let scheduling = object.field("scheduling");
    for (label, _) in scheduling.field("nodeSelector").entries() {
        if let Some(text) = old_label(label) {
            found.push(format!("scheduling.nodeSelector: {text}"));
        }
    }
}

/// What is said of a node's label that passes out of use.
fn old_label(label: &str) -> Option<&'static str> {
    let found = OLD_LABELS.iter().find(|(old, _)| *old == label);
    found.map(|(_, text)| *text)
}

/// Labels of nodes that pass out of use (`pkg/api/node/util.go` upstream).
const OLD_LABELS: &[(&str, &str)] = &[
    (
        "beta.kubernetes.io/arch",
        "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
    ),
    (
        "beta.kubernetes.io/os",
        "deprecated since v1.14; use \"kubernetes.io/os\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    (
        "node-role.kubernetes.io/master",
        "use \"node-role.kubernetes.io/control-plane\" instead",
    ),
];

/// Expressions of a node selector's term that name such labels.
fn old_labels_of(term: &At<'_>, values_too: bool, found: &mut Vec<String>) {
    for expression in term.field("matchExpressions").items() {
        let key = expression.field("key");
        if let Some(text) = old_label(key.text()) {
            found.push(format!("{}: {} is {text}", key.path, key.text()));
        }
        for value in expression.field("values").items().filter(|_| values_too) {
            for wrong in names::label_value(value.text()) {
                found.push(format!(
                    "{}: {} is invalid, {wrong}",
                    value.path,
                    value.text()
                ));
            }
        }
    }
}

/// An amount of bytes that is no whole number.
fn fraction(list: &At<'_>, name: &str, found: &mut Vec<String>) {
    let Some(value) = list.value.get(name) else {
        return;
    };
    let amount = resources::amount(value);
    if amount.milli_value() % 1000 != 0 {
        found.push(format!(
            "{}: fractional byte value {} is invalid, must be an integer",
            list.path.key(name),
            quote(&amount.to_string())
        ));
    }
}
