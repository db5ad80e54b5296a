//! What updates may not change, in upstream's words (Kubernetes 1.36, the
//! `Validate*Update` functions of `pkg/apis/*/validation/validation.go`, named
//! at each table).

use coracle_machinery::{kinds, validate};
use serde_json::{Value, json};

/// Changes fields of a stored object, given by pointers (`null` takes a field
/// away), and compares the causes, each named once.
#[track_caller]
fn check(api_version: &str, kind: &str, old: &Value, patch: Value, expected: &[&str]) {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let row = kinds::all()
        .iter()
        .find(|row| (row.group, row.version, row.kind) == (group, version, kind))
        .expect("the kind is in the table");
    let mut old = old.clone();
    let namespace = row.namespaced.then_some("n");
    let metadata = json!({
        "name": "x", "namespace": namespace, "uid": "u", "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    });
    for (name, value) in metadata.as_object().expect("an object") {
        if !value.is_null() {
            old["metadata"][name] = value.clone();
        }
    }
    let mut new = old.clone();
    for (pointer, value) in patch.as_object().expect("pointers and values") {
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer has a slash");
        let parent = new.pointer_mut(parent).expect("the parent is there");
        if value.is_null() {
            parent.as_object_mut().expect("a map").remove(field);
        } else {
            parent[field] = value.clone();
        }
    }
    let mut found: Vec<String> = Vec::new();
    for cause in validate::update(row, None, &new, &old) {
        let text = format!("{}: {}", cause.field, cause.message);
        if !found.contains(&text) {
            found.push(text);
        }
    }
    assert_eq!(found, expected, "{kind} {patch}");
}

/// `pkg/apis/storage/validation`.
#[test]
fn storage() {
    let class = json!({
        "provisioner": "a.b", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate",
        "parameters": {"a": "b"},
    });
    for (change, expected) in [
        (
            json!({"/provisioner": "c.d"}),
            "provisioner: Invalid value: \"c.d\": field is immutable",
        ),
        (
            json!({"/reclaimPolicy": "Retain"}),
            "reclaimPolicy: Invalid value: \"Retain\": field is immutable",
        ),
        (
            json!({"/volumeBindingMode": "WaitForFirstConsumer"}),
            "volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable",
        ),
        (
            json!({"/parameters/a": "c"}),
            "parameters: Invalid value: {\"a\":\"c\"}: field is immutable",
        ),
    ] {
        check(
            "storage.k8s.io/v1",
            "StorageClass",
            &class,
            change,
            &[expected],
        );
    }
    check(
        "storage.k8s.io/v1",
        "StorageClass",
        &class,
        json!({"/allowVolumeExpansion": true}),
        &[],
    );
    let driver = json!({"spec": {
        "attachRequired": true, "podInfoOnMount": false, "storageCapacity": false,
        "volumeLifecycleModes": ["Persistent"],
    }});
    check(
        "storage.k8s.io/v1",
        "CSIDriver",
        &driver,
        json!({"/spec/attachRequired": false}),
        &["spec.attachedRequired: Invalid value: false: field is immutable"],
    );
    check(
        "storage.k8s.io/v1",
        "CSIDriver",
        &driver,
        json!({"/spec/podInfoOnMount": true}),
        &[],
    );
    let attributes = json!({"driverName": "a.b", "parameters": {"a": "b"}});
    check(
        "storage.k8s.io/v1",
        "VolumeAttributesClass",
        &attributes,
        json!({"/driverName": "c.d"}),
        &["driverName: Forbidden: updates to driverName are forbidden."],
    );
    let capacity = json!({"storageClassName": "a", "nodeTopology": {"matchLabels": {"a": "b"}}});
    check(
        "storage.k8s.io/v1",
        "CSIStorageCapacity",
        &capacity,
        json!({"/storageClassName": "b"}),
        &["storageClassName: Invalid value: \"b\": field is immutable"],
    );
}

/// `ValidatePersistentVolumeUpdate`, `ValidatePersistentVolumeClaimUpdate`.
#[test]
fn volumes_and_claims() {
    let volume = json!({"spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
        "persistentVolumeReclaimPolicy": "Retain", "volumeAttributesClassName": "gold",
        "csi": {"driver": "a.b", "volumeHandle": "h"},
    }});
    let secret = json!({"name": "s", "namespace": "n"});
    check(
        "v1",
        "PersistentVolume",
        &volume,
        json!({"/spec/csi/controllerExpandSecretRef": secret}),
        &[],
    );
    check(
        "v1",
        "PersistentVolume",
        &volume,
        json!({"/spec/volumeAttributesClassName": null}),
        &[
            "spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden",
        ],
    );
    check(
        "v1",
        "PersistentVolume",
        &volume,
        json!({"/spec/volumeMode": "Block"}),
        &["volumeMode: Invalid value: \"Block\": field is immutable"],
    );
    let claim = json!({
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            "volumeMode": "Filesystem", "storageClassName": "fast", "volumeName": "v",
            "volumeAttributesClassName": "gold",
        },
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "currentVolumeAttributesClassName": "gold"},
    });
    check(
        "v1",
        "PersistentVolumeClaim",
        &claim,
        json!({"/spec/resources/requests/storage": "2Gi"}),
        &[],
    );
    check(
        "v1",
        "PersistentVolumeClaim",
        &claim,
        json!({"/spec/volumeAttributesClassName": "silver"}),
        &[],
    );
    check(
        "v1",
        "PersistentVolumeClaim",
        &claim,
        json!({"/spec/volumeAttributesClassName": null}),
        &[
            "spec.volumeAttributesClassName: Forbidden: update to nil is forbidden when status.currentVolumeAttributesClassName is not nil",
        ],
    );
    check(
        "v1",
        "PersistentVolumeClaim",
        &claim,
        json!({"/spec/resources/requests/storage": "1Mi"}),
        &["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"],
    );
}

/// `ValidateJobSpecUpdate`, with the pod template of a suspended job open to
/// change (`shouldAllowMutablePodTemplate` in `pkg/registry/batch/job/strategy.go`).
#[test]
fn jobs() {
    let job = |suspend: bool, status: Value| {
        json!({
            "spec": {
                "suspend": suspend, "completions": 1, "parallelism": 1, "backoffLimit": 6,
                "completionMode": "NonIndexed", "manualSelector": true, "podReplacementPolicy": "Failed",
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {
                        "containers": [{"name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}],
                        "restartPolicy": "Never", "dnsPolicy": "ClusterFirst",
                    },
                },
            },
            "status": status,
        })
    };
    let update = |job: &Value, change: Value, expected: &[&str]| {
        check("batch/v1", "Job", job, change, expected);
    };
    let running = job(
        false,
        json!({"startTime": "2026-01-01T00:00:00Z", "active": 1}),
    );
    update(
        &running,
        json!({"/spec/completions": 2}),
        &["spec.completions: Invalid value: 2: field is immutable"],
    );
    update(
        &running,
        json!({"/spec/managedBy": "a.b/c"}),
        &["spec.managedBy: Invalid value: \"a.b/c\": field is immutable"],
    );
    update(
        &running,
        json!({"/spec/parallelism": 5, "/spec/backoffLimit": 1, "/spec/suspend": true}),
        &[],
    );
    let steer = json!({
        "/spec/template/spec/nodeSelector": {"a": "b"},
        "/spec/template/spec/containers/0/resources": {"requests": {"cpu": "1"}},
    });
    update(&job(true, json!({})), steer.clone(), &[]);
    let stands = json!([{"type": "Suspended", "status": "True"}]);
    let begun = json!({"startTime": "2026-01-01T00:00:00Z", "conditions": stands});
    update(&job(true, begun), steer, &[]);
    // Anything else of the pods stays fixed.
    let (row, fresh) = (
        kinds::by_plural("batch", "v1", "jobs").expect("a kind"),
        job(true, json!({})),
    );
    let mut other = fresh.clone();
    other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("other");
    let fields: Vec<String> = validate::update(row, None, &other, &fresh)
        .into_iter()
        .filter(|cause| cause.message.ends_with("field is immutable"))
        .map(|cause| cause.field)
        .collect();
    assert!(
        fields.contains(&"spec.template.spec".to_owned()),
        "{fields:?}"
    );
}

/// `pkg/apis/networking/validation`, `pkg/apis/core/validation`,
/// `pkg/apis/scheduling/validation`, `pkg/apis/node/validation`.
#[test]
fn the_rest() {
    let range = json!({"spec": {"cidrs": ["10.0.0.0/16"]}});
    check(
        "networking.k8s.io/v1",
        "ServiceCIDR",
        &range,
        json!({"/spec/cidrs": ["10.1.0.0/16"]}),
        &["spec.cidrs[0]: Invalid value: \"10.1.0.0/16\": field is immutable"],
    );
    let class = json!({"spec": {"controller": "a.b/c"}});
    check(
        "networking.k8s.io/v1",
        "IngressClass",
        &class,
        json!({"/spec/controller": "a.b/d"}),
        &["spec.controller: Invalid value: \"a.b/d\": field is immutable"],
    );
    let quota =
        json!({"spec": {"hard": {"pods": "1"}, "scopes": ["NotTerminating", "NotBestEffort"]}});
    check(
        "v1",
        "ResourceQuota",
        &quota,
        json!({"/spec/scopes": ["NotBestEffort", "NotTerminating"]}),
        &[],
    );
    check(
        "v1",
        "ResourceQuota",
        &quota,
        json!({"/spec/scopes": ["NotTerminating"]}),
        &["spec.scopes: Invalid value: [\"NotTerminating\"]: field is immutable"],
    );
    let priority = json!({"value": 1, "preemptionPolicy": "Never"});
    check(
        "scheduling.k8s.io/v1",
        "PriorityClass",
        &priority,
        json!({"/value": 2}),
        &["value: Forbidden: may not be changed in an update."],
    );
    check(
        "scheduling.k8s.io/v1",
        "PriorityClass",
        &priority,
        json!({"/preemptionPolicy": "PreemptLowerPriority"}),
        &["preemptionPolicy: Invalid value: \"PreemptLowerPriority\": field is immutable"],
    );
    check(
        "node.k8s.io/v1",
        "RuntimeClass",
        &json!({"handler": "a"}),
        json!({"/handler": "b"}),
        &["handler: Invalid value: \"b\": field is immutable"],
    );
    let map = json!({"data": {"a": "b"}, "immutable": true});
    check(
        "v1",
        "ConfigMap",
        &map,
        json!({"/data/a": "c"}),
        &["data: Forbidden: field is immutable when `immutable` is set"],
    );
    let binding = json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"}, "subjects": []});
    check(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        &binding,
        json!({"/roleRef/name": "b"}),
        &[
            "roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"Role\",\"Name\":\"b\"}: cannot change roleRef",
        ],
    );
    let slice = json!({"addressType": "IPv4", "endpoints": [], "ports": []});
    check(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        &slice,
        json!({"/addressType": "IPv6"}),
        &["addressType: Invalid value: \"IPv6\": field is immutable"],
    );
    let set = json!({"spec": {
        "replicas": 1, "serviceName": "s", "podManagementPolicy": "OrderedReady",
        "updateStrategy": {"type": "OnDelete"}, "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {
            "containers": [{"name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}],
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
        }},
    }});
    check(
        "apps/v1",
        "StatefulSet",
        &set,
        json!({"/spec/replicas": 2, "/spec/minReadySeconds": 5}),
        &[],
    );
    check(
        "apps/v1",
        "StatefulSet",
        &set,
        json!({"/spec/serviceName": "t"}),
        &[
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ],
    );
}

/// `ValidateObjectMetaAccessorUpdate` in `k8s.io/apimachinery/pkg/api/validation`.
#[test]
fn metadata() {
    let map = json!({"metadata": {"generation": 3}});
    check(
        "v1",
        "ConfigMap",
        &map,
        json!({"/metadata/generation": 2}),
        &["metadata.generation: Invalid value: 2: must not be decremented"],
    );
    check(
        "v1",
        "ConfigMap",
        &map,
        json!({"/metadata/deletionTimestamp": "2026-01-01T00:00:00Z"}),
        &[
            "metadata.deletionTimestamp: Invalid value: \"2026-01-01T00:00:00Z\": field is immutable",
        ],
    );
    check(
        "v1",
        "ConfigMap",
        &map,
        json!({"/metadata/uid": "v"}),
        &["metadata.uid: Invalid value: \"v\": field is immutable"],
    );
    let going =
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}});
    check(
        "v1",
        "ConfigMap",
        &going,
        json!({"/metadata/finalizers": ["a/b", "c/d"]}),
        &[
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"c/d\"}",
        ],
    );
}

/// `validateCustomResourceDefinitionSpecUpdate` in `k8s.io/apiextensions-apiserver`.
#[test]
fn definitions() {
    let conditions = json!([{"type": "Established", "status": "True"}]);
    let definition = json!({
        "spec": {
            "group": "a.test", "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
        "status": {"conditions": conditions, "storedVersions": ["v1"]},
    });
    let update = |change: Value, expected: &str| {
        let row = kinds::by_plural("apiextensions.k8s.io", "v1", "customresourcedefinitions");
        let mut new = definition.clone();
        for (pointer, value) in change.as_object().expect("pointers") {
            *new.pointer_mut(pointer).expect("the field is there") = value.clone();
        }
        let causes = validate::update(row.expect("a kind"), None, &new, &definition);
        let found = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message));
        assert!(
            found.collect::<Vec<_>>().contains(&expected.to_owned()),
            "{causes:?}"
        );
    };
    update(
        json!({"/spec/names/plural": "others"}),
        "spec.names.plural: Invalid value: \"others\": field is immutable",
    );
    update(
        json!({"/spec/names/kind": "Other"}),
        "spec.names.kind: Invalid value: \"Other\": field is immutable",
    );
    update(
        json!({"/spec/scope": "Cluster"}),
        "spec.scope: Invalid value: \"Cluster\": field is immutable",
    );
}

/// Each cause is named as often as upstream's rules find it: the generic ones
/// twice, a kind's own once or twice more (`pkg/registry/*/*/strategy.go`).
#[test]
fn metadata_is_judged_as_often_as_upstream() {
    let check = |group: &str, version: &str, plural: &str, expected: usize| {
        let row = kinds::by_plural(group, version, plural).expect("a kind");
        let metadata = json!({
            "name": "x", "namespace": "n", "uid": "u", "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        });
        let old = json!({"metadata": metadata});
        let mut new = old.clone();
        new["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}]);
        let causes = validate::update(row, None, &new, &old);
        let found = causes
            .iter()
            .filter(|cause| cause.field == "metadata.ownerReferences.uid")
            .count();
        assert_eq!(found, expected, "{plural}");
    };
    check("policy", "v1", "poddisruptionbudgets", 2);
    check("apps", "v1", "deployments", 3);
    check("", "v1", "limitranges", 3);
    check(
        "admissionregistration.k8s.io",
        "v1",
        "validatingwebhookconfigurations",
        3,
    );
    check("", "v1", "configmaps", 4);
    check("", "v1", "persistentvolumes", 4);
}
