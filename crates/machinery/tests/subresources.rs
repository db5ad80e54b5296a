//! What writes through subresources and of gated pods are refused, in
//! upstream's words (`pkg/apis/core/validation/validation.go`, Kubernetes 1.36).

use coracle_machinery::{kinds, validate};
use serde_json::{Value, json};

#[track_caller]
fn check(
    kind: (&str, &str),
    subresource: Option<&str>,
    old: &Value,
    patch: &[(&str, Value)],
    expected: &[&str],
) {
    let (group, name) = kind;
    let kind = kinds::all()
        .iter()
        .find(|row| row.group == group && row.kind == name)
        .expect("the kind is in the table");
    let mut new = old.clone();
    for (pointer, value) in patch {
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer has a slash");
        new.pointer_mut(parent).expect("the parent is there")[field] = value.clone();
    }
    let causes = validate::update(kind, subresource, &new, old);
    let mut found: Vec<String> = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    found.dedup();
    assert_eq!(found, expected);
}

fn pod() -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "containers": [{
                "name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File",
                "resources": {"requests": {"cpu": "1"}},
            }],
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "serviceAccountName": "default",
            "schedulingGates": [{"name": "g"}],
            "nodeSelector": {"a": "b"},
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "k", "operator": "Exists"}]},
            ]}}},
        },
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    })
}

const POD: (&str, &str) = ("", "Pod");
const TERMS: &str =
    "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

#[test]
fn gated_pods_are_narrowed_only() {
    let old = pod();
    let more = json!([{"matchExpressions": [{"key": "k", "operator": "Exists"}, {"key": "l", "operator": "Exists"}]}]);
    check(
        POD,
        None,
        &old,
        &[("/spec/nodeSelector/c", json!("d"))],
        &[],
    );
    check(POD, None, &old, &[(TERMS, more)], &[]);
    check(
        POD,
        None,
        &old,
        &[("/spec/nodeSelector", json!({"a": "c"}))],
        &[
            "spec.nodeSelector: Invalid value: {\"a\":\"c\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)",
        ],
    );
    check(
        POD,
        None,
        &old,
        &[(
            "/spec/schedulingGates",
            json!([{"name": "g"}, {"name": "h"}]),
        )],
        &[
            "spec.schedulingGates[1].name: Forbidden: only deletion is allowed, but found new scheduling gate 'h'",
        ],
    );
}

#[test]
fn a_resize_changes_amounts_of_cpu_and_memory() {
    let old = pod();
    let resize = Some("resize");
    let requests = "/spec/containers/0/resources/requests";
    check(
        POD,
        resize,
        &old,
        &[(requests, json!({"cpu": "2", "memory": "1Gi"}))],
        &[],
    );
    check(
        POD,
        resize,
        &old,
        &[(requests, json!({"cpu": "1", "ephemeral-storage": "1Gi"}))],
        &["spec: Forbidden: only cpu and memory resources are mutable"],
    );
    check(
        POD,
        resize,
        &old,
        &[("/spec/containers/0/name", json!("d"))],
        &[
            "spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize",
        ],
    );
}

#[test]
fn statuses_of_pods() {
    let old = pod();
    let status = Some("status");
    let label = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    check(
        POD,
        status,
        &old,
        &[(
            "/status/conditions",
            json!([{"type": "Ready"}, {"type": "Bad Type"}]),
        )],
        &[&format!(
            "status.conditions[1].Type: Invalid value: \"Bad Type\": {label}"
        )],
    );
    check(
        POD,
        status,
        &old,
        &[
            ("/status/qosClass", json!("Guaranteed")),
            ("/status/observedGeneration", json!(-1)),
        ],
        &[
            "status.observedGeneration: Invalid value: -1: must be a non-negative integer",
            "status.qosClass: Invalid value: \"Guaranteed\": field is immutable",
        ],
    );
    check(
        POD,
        status,
        &old,
        &[
            ("/status/hostIP", json!("1.2.3.4")),
            ("/status/hostIPs", json!([{"ip": "x"}])),
        ],
        &[
            "status.hostIPs[0].ip: Invalid value: \"x\": must be equal to `hostIP`",
            "status.hostIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ],
    );
    check(
        POD,
        status,
        &old,
        &[("/status/resourceClaimStatuses", json!([{"name": "x"}]))],
        &[
            "status.resourceClaimStatuses[0].name: Invalid value: \"x\": must match the name of an entry in `spec.resourceClaims`",
        ],
    );
}

fn plain(spec: Value) -> Value {
    let mut object = pod();
    object["spec"] = spec;
    object["status"] = json!({});
    object
}

#[test]
fn statuses_of_other_kinds() {
    let budget = plain(json!({"selector": {}}));
    check(
        ("policy", "PodDisruptionBudget"),
        Some("status"),
        &budget,
        &[("/status/conditions", json!([{"type": "X", "status": "Y"}]))],
        &[
            "status.conditions[0].status: Unsupported value: \"Y\": supported values: \"False\", \"True\", \"Unknown\"",
            "status.conditions[0].lastTransitionTime: Required value",
            "status.conditions[0].reason: Required value",
        ],
    );
    let claim = plain(json!({"accessModes": ["ReadWriteOnce"]}));
    check(
        ("", "PersistentVolumeClaim"),
        Some("status"),
        &claim,
        &[
            ("/status/capacity", json!({"storage": "-1"})),
            ("/status/allocatedResources", json!({"cpu": "1"})),
        ],
        &[
            "status.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
            "status.allocatedResources: Unsupported value: \"cpu\": supported values: \"storage\"",
        ],
    );
    let quota = plain(json!({"hard": {"pods": "1"}}));
    check(
        ("", "ResourceQuota"),
        Some("status"),
        &quota,
        &[("/status/used", json!({"pods": "-1"}))],
        &["status.used[pods]: Invalid value: \"-1\": must be greater than or equal to 0"],
    );
}

#[test]
fn metadata_is_judged_by_the_kind() {
    let create = |group: &str, kind: &str, metadata: Value| {
        let kind = kinds::all()
            .iter()
            .find(|row| row.group == group && row.kind == kind)
            .expect("the kind is in the table");
        let causes = validate::create(kind, &json!({"metadata": metadata, "spec": {}}));
        let of_metadata = causes
            .iter()
            .filter(|cause| cause.field.starts_with("metadata"));
        of_metadata
            .map(|cause| cause.message.clone())
            .collect::<Vec<_>>()
    };
    let named = |name: &str| json!({"name": name, "namespace": "n"});
    assert!(create("policy", "PodDisruptionBudget", named("Bad_Name!")).is_empty());
    assert_eq!(
        create("policy", "PodDisruptionBudget", named("a/b")),
        ["Invalid value: \"a/b\": may not contain '/'"]
    );
    let long = "x".repeat(254);
    assert_eq!(
        create("", "ReplicationController", named(&long)),
        [format!(
            "Invalid value: \"{long}\": must be no more than 253 bytes"
        )]
    );
    let held = json!({"name": "a", "namespace": "n", "finalizers": ["bad"]});
    assert!(create("coordination.k8s.io", "Lease", held.clone()).is_empty());
    assert_eq!(create("", "ConfigMap", held).len(), 1);
}
