//! What is refused of the kinds that people write less often; the cases follow
//! upstream's validation of Kubernetes 1.36.

use coracle_machinery::kind::Kind;
use coracle_machinery::{default, kinds, strategy, strict, validate};
use serde_json::{Value, json};

fn now() -> jiff::Timestamp {
    "2024-01-01T00:00:00Z".parse().expect("a time")
}

fn read(api_version: &str, kind: &str, mut object: Value) -> (&'static Kind, Value) {
    let kind = kinds::by_api_version(api_version, kind).expect("a built-in kind");
    if object["metadata"].is_null() {
        object["metadata"] = json!({"name": "x"});
    }
    if kind.namespaced {
        object["metadata"]["namespace"] = json!("n");
    }
    object["metadata"]["uid"] = json!("u");
    strict::read(kind, &mut object).expect("types fit");
    default::apply(kind, &mut object);
    (kind, object)
}

fn texts(causes: &[validate::Cause]) -> Vec<String> {
    let texts = causes.iter();
    texts
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect()
}

#[track_caller]
fn create(api_version: &str, kind: &str, given: Value, expected: &[&str]) {
    let (kind, mut object) = read(api_version, kind, given);
    strategy::prepare_create(kind, &mut object, now());
    assert_eq!(texts(&validate::create(kind, &object)), expected);
}

#[track_caller]
fn update(
    kind: (&str, &str),
    subresource: Option<&str>,
    old: Value,
    new: Value,
    expected: &[&str],
) {
    let (row, mut old) = read(kind.0, kind.1, old);
    let status = old.get("status").cloned();
    strategy::prepare_create(row, &mut old, now());
    if let Some(status) = status {
        old["status"] = status;
    }
    let (_, mut new) = read(kind.0, kind.1, new);
    for object in [&mut old, &mut new] {
        object["metadata"]["resourceVersion"] = json!("1");
    }
    strategy::prepare_update(row, subresource, &mut new, &old, now());
    assert_eq!(
        texts(&validate::update(row, subresource, &new, &old)),
        expected
    );
}

fn job(spec: Value) -> Value {
    let mut object = json!({"spec": {"template": {"spec": {
        "containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}}});
    for (name, value) in spec.as_object().into_iter().flatten() {
        object["spec"][name.as_str()] = value.clone();
    }
    object
}

#[test]
fn indexed_jobs() {
    let check = |spec: Value, expected: &[&str]| create("batch/v1", "Job", job(spec), expected);
    check(
        json!({"completionMode": "Indexed", "completions": 5, "backoffLimitPerIndex": 1, "maxFailedIndexes": 6}),
        &["spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions"],
    );
    check(
        json!({"completionMode": "Indexed", "completions": 100_001, "parallelism": 50_000, "backoffLimitPerIndex": 1}),
        &[
            "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
            "spec.parallelism: Invalid value: 50000: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
        ],
    );
    check(
        json!({"completionMode": "Other", "backoffLimitPerIndex": 1}),
        &[
            "spec.completionMode: Unsupported value: \"Other\": supported values: \"NonIndexed\", \"Indexed\"",
        ],
    );
    check(
        json!({"completionMode": "Indexed", "completions": 5,
            "successPolicy": {"rules": [{"succeededIndexes": "0-1,4", "succeededCount": 4}, {"succeededIndexes": "7"}]}}),
        &[
            "spec.successPolicy.rules[0].succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of indexes in the specified succeededIndexes field)",
            "spec.successPolicy.rules[1].succeededIndexes: Invalid value: \"7\": error parsing succeededIndexes: too large index: \"7\"",
        ],
    );
    check(
        json!({"podFailurePolicy": {"rules": [{"action": "Ignore"}]}}),
        &[
            "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
        ],
    );
}

#[test]
fn job_updates() {
    let kind = ("batch/v1", "Job");
    let indexed = |n: i32, p: i32| {
        job(
            json!({"completionMode": "Indexed", "completions": n, "parallelism": p,
            "manualSelector": true, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
                "containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}}),
        )
    };
    update(kind, None, indexed(3, 3), indexed(4, 4), &[]);
    update(
        kind,
        None,
        indexed(3, 3),
        indexed(4, 3),
        &[
            "spec.completions: Invalid value: 4: can only be modified in tandem with spec.parallelism",
        ],
    );
}

#[test]
fn job_status() {
    let with = |status: Value| {
        let mut object = job(json!({}));
        object["status"] = status;
        object
    };
    let check = |old: Value, new: Value, expected: &[&str]| {
        update(
            ("batch/v1", "Job"),
            Some("status"),
            with(old),
            with(new),
            expected,
        );
    };
    let condition = |kind: &str| json!({"type": kind, "status": "True"});
    let start = "2024-01-01T00:00:00Z";
    check(
        json!({"startTime": start}),
        json!({"startTime": start, "active": 1, "ready": 2, "terminating": -1}),
        &[
            "status.terminating: Invalid value: -1: must be greater than or equal to 0",
            "status.ready: Invalid value: 2: cannot set more ready pods than active",
        ],
    );
    check(
        json!({}),
        json!({"conditions": [condition("Failed"), condition("FailureTarget")]}),
        &["status.startTime: Required value: startTime is required for finished job"],
    );
    check(
        json!({"startTime": start, "conditions": [condition("SuccessCriteriaMet")]}),
        json!({"startTime": start, "completedIndexes": "1"}),
        &[
            "status.completedIndexes: Invalid value: \"1\": error parsing completedIndexes: too large index: \"1\"",
            "status.completedIndexes: Invalid value: \"1\": cannot set non-empty completedIndexes when non-indexed completion mode",
            "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
        ],
    );
    check(
        json!({"startTime": start, "succeeded": 2}),
        json!({"startTime": start, "succeeded": 1}),
        &["status.succeeded: Invalid value: 1: cannot decrease the succeeded counter"],
    );
}

#[test]
fn ingress_references() {
    let with = |backend: Value| json!({"spec": {"defaultBackend": backend}});
    create(
        "networking.k8s.io/v1",
        "Ingress",
        with(json!({"resource": {"kind": "", "name": "a/b", "apiGroup": "x"}})),
        &[
            "spec.defaultBackend.resource.kind: Required value: kind is required",
            "spec.defaultBackend.resource.name: Invalid value: \"a/b\": may not contain '/'",
        ],
    );
    create(
        "networking.k8s.io/v1",
        "Ingress",
        json!({"spec": {"rules": [{"http": {"paths": [{"path": "/", "backend": {}}]}}]}}),
        &["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
    );
    create(
        "networking.k8s.io/v1",
        "IngressClass",
        json!({"spec": {"controller": "a.b/c", "parameters": {"kind": "K", "name": "", "scope": "Namespace"}}}),
        &[
            "spec.parameters.name: Required value: name is required",
            "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
        ],
    );
}

#[test]
fn storage_kinds() {
    let term = json!({"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]});
    create(
        "storage.k8s.io/v1",
        "StorageClass",
        json!({"provisioner": "p", "allowedTopologies": [term, term]}),
        &["allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\""],
    );
    create(
        "storage.k8s.io/v1",
        "CSIDriver",
        json!({"spec": {"nodeAllocatableUpdatePeriodSeconds": 5}}),
        &[
            "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 5: must be greater than or equal to 10 seconds",
        ],
    );
    create(
        "storage.k8s.io/v1",
        "CSINode",
        json!({"spec": {"drivers": [{"name": "d", "nodeID": "i", "topologyKeys": ["a", "a"]}]}}),
        &["spec.drivers[0]: Duplicate value: \"a\""],
    );
    update(
        ("storage.k8s.io/v1", "VolumeAttributesClass"),
        None,
        json!({"driverName": "d", "parameters": {"a": "b"}}),
        json!({"driverName": "e", "parameters": {"a": "c"}}),
        &[
            "driverName: Forbidden: updates to driverName are forbidden.",
            "parameters: Forbidden: updates to parameters are forbidden.",
        ],
    );
    update(
        ("storage.k8s.io/v1", "CSINode"),
        None,
        json!({"spec": {"drivers": [{"name": "d", "nodeID": "i", "topologyKeys": null}]}}),
        json!({"spec": {"drivers": [{"name": "d", "nodeID": "j", "topologyKeys": null}]}}),
        &[
            "spec.drivers: Invalid value: {\"Name\":\"d\",\"NodeID\":\"j\",\"TopologyKeys\":null,\"Allocatable\":null}: field is immutable",
        ],
    );
}

#[test]
fn metric_targets() {
    let with = |metric: Value| {
        json!({"spec": {"maxReplicas": 2, "metrics": [metric],
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}})
    };
    create(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        with(
            json!({"type": "Object", "object": {"metric": {"name": "m"}, "target": {"type": "Value"},
            "describedObject": {"kind": "Service", "name": "s"}}}),
        ),
        &[
            "spec.metrics[0].object.target.averageValue: Required value: must set either a target value or averageValue",
        ],
    );
    create(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        with(
            json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "", "averageUtilization": 5}}}),
        ),
        &[
            "spec.metrics[0].resource.target.type: Required value: must specify a metric target type",
            "spec.metrics[0].resource.target.type: Invalid value: \"\": must be either Utilization, Value, or AverageValue",
        ],
    );
}

#[test]
fn webhooks() {
    let with = |extra: Value| {
        let mut hook = json!({"name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": "https://h/p"}});
        for (name, value) in extra.as_object().into_iter().flatten() {
            hook[name.as_str()] = value.clone();
        }
        json!({"webhooks": [hook]})
    };
    let check = |extra: Value, expected: &[&str]| {
        create(
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
            with(extra),
            expected,
        );
    };
    check(json!({}), &[]);
    check(
        json!({"admissionReviewVersions": ["v9", "v9"]}),
        &[
            "webhooks[0].admissionReviewVersions[1]: Invalid value: \"v9\": duplicate version",
            "webhooks[0].admissionReviewVersions: Invalid value: [\"v9\",\"v9\"]: must include at least one of v1, v1beta1",
        ],
    );
    check(
        json!({"clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/a//b/"}}}),
        &[
            "webhooks[0].clientConfig.service.path: Invalid value: \"/a//b/\": segment[1] may not be empty",
        ],
    );
    let rule = |resources: Value| json!({"rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": resources}]});
    check(
        rule(json!(["*", "pods"])),
        &[
            "webhooks[0].rules[0].resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources without subresources",
        ],
    );
    check(
        rule(json!(["pods/*", "pods/status", "*/*"])),
        &[
            "webhooks[0].rules[0].resources[1]: Invalid value: \"pods/status\": if 'pods/*' is present, must not specify pods/status",
            "webhooks[0].rules[0].resources: Invalid value: [\"pods/*\",\"pods/status\",\"*/*\"]: if '*/*' is present, must not specify other resources",
        ],
    );
}

#[test]
fn admission_policies() {
    let rule =
        json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]});
    let with = |extra: Value| {
        let mut spec = json!({"matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "true"}]});
        for (name, value) in extra.as_object().into_iter().flatten() {
            spec[name.as_str()] = value.clone();
        }
        json!({"spec": spec})
    };
    let check = |extra: Value, expected: &[&str]| {
        create(
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicy",
            with(extra),
            expected,
        );
    };
    check(json!({}), &[]);
    check(
        json!({"validations": []}),
        &[
            "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
            "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
        ],
    );
    check(
        json!({"validations": [{"expression": " ", "message": "a\nb", "reason": "Odd"}]}),
        &[
            "spec.validations[0].expression: Required value: expression is not specified",
            "spec.validations[0].message: Invalid value: \"a\\nb\": must not contain line breaks",
            "spec.validations[0].reason: Unsupported value: \"Odd\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\"",
        ],
    );
    check(
        json!({"paramKind": {"apiVersion": "a/b/c", "kind": "K"}, "variables": [{"name": "in", "expression": "1"}]}),
        &[
            "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
            "spec.variables[0].name: Invalid value: \"in\": must be a valid CEL identifier",
        ],
    );
    create(
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        json!({"spec": {"policyName": "p", "validationActions": ["Deny"],
            "paramRef": {"name": "a/b", "selector": {}, "parameterNotFoundAction": "Odd"}}}),
        &[
            "spec.paramRef.name: Invalid value: \"a/b\": may not contain '/'",
            "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
            "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
            "spec.paramRef.parameterNotFoundAction: Unsupported value: \"Odd\": supported values: \"Deny\", \"Allow\"",
        ],
    );
}

#[test]
fn systems_and_claims_of_pods() {
    let check = |spec: Value, expected: &[&str]| {
        let mut whole = json!({"containers": [{"name": "c", "image": "i"}]});
        for (name, value) in spec.as_object().into_iter().flatten() {
            whole[name.as_str()] = value.clone();
        }
        create("v1", "Pod", json!({"spec": whole}), expected);
    };
    check(
        json!({"os": {"name": "windows"}, "hostPID": true, "securityContext": {"runAsUser": 1}}),
        &[
            "spec.hostPID: Forbidden: cannot be set for a windows pod",
            "spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod",
        ],
    );
    check(
        json!({"os": {"name": "linux"}, "securityContext": {"windowsOptions": {"runAsUserName": ""}}}),
        &[
            "spec.securityContext.windowsOptions.runAsUserName: Invalid value: \"\": runAsUserName cannot be an empty string",
            "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod",
        ],
    );
    check(
        json!({"resourceClaims": [{"name": "a"}],
            "containers": [{"name": "c", "image": "i", "resources": {"claims": [{"name": "b"}]}}]}),
        &[
            "spec.resourceClaims[0]: Invalid value: {\"Name\":\"a\",\"ResourceClaimName\":null,\"ResourceClaimTemplateName\":null}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            "spec.containers[0].resources.claims[0]: Not found: \"b\": must be one of the names in pod.spec.resourceClaims: a",
        ],
    );
    check(
        json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["a"]}]}),
        &[
            "spec.topologySpreadConstraints[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
        ],
    );
}

#[test]
fn sources_of_volumes() {
    let check = |source: Value, expected: &[&str]| {
        let mut volume = source;
        volume["name"] = json!("v");
        let spec = json!({"containers": [{"name": "c", "image": "i"}], "volumes": [volume]});
        create("v1", "Pod", json!({"spec": spec}), expected);
    };
    check(
        json!({"iscsi": {"targetPortal": "p", "iqn": "iqn.2001-04.com.example:a", "lun": 256, "chapAuthSession": true}}),
        &[
            "spec.volumes[0].iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
            "spec.volumes[0].iscsi.secretRef: Required value",
        ],
    );
    check(
        json!({"iscsi": {"targetPortal": "p", "iqn": "eui.12", "lun": 0}}),
        &["spec.volumes[0].iscsi.iqn: Invalid value: \"eui.12\": must be valid format"],
    );
    check(
        json!({"fc": {"targetWWNs": ["a"]}}),
        &["spec.volumes[0].fc.lun: Required value: lun is required if targetWWNs is specified"],
    );
    check(
        json!({"flocker": {"datasetName": "a/b"}}),
        &["spec.volumes[0].flocker.datasetName: Invalid value: \"a/b\": must not contain '/'"],
    );
    check(
        json!({"quobyte": {"registry": "host", "volume": "v"}}),
        &[
            "spec.volumes[0].quobyte.registry: Invalid value: \"host\": must be a host:port pair or multiple pairs separated by commas",
        ],
    );
}

#[test]
fn persistent_volumes_and_attachments() {
    let with = |source: Value| {
        let mut spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]});
        for (name, value) in source.as_object().into_iter().flatten() {
            spec[name.as_str()] = value.clone();
        }
        json!({"spec": spec})
    };
    create(
        "v1",
        "PersistentVolume",
        with(
            json!({"csi": {"driver": "d", "volumeHandle": "h", "nodeStageSecretRef": {"name": "s"}}}),
        ),
        &["spec.csi.nodeStageSecretRef.namespace: Required value"],
    );
    let inline = with(json!({"hostPath": {"path": "/a"}, "storageClassName": "c"}));
    create(
        "storage.k8s.io/v1",
        "VolumeAttachment",
        json!({"spec": {"attacher": "a", "nodeName": "n", "source": {"inlineVolumeSpec": inline["spec"]}}}),
        &[
            "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline volumes",
        ],
    );
}

#[test]
fn quota_scopes() {
    let with = |expressions: Value| json!({"spec": {"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": expressions}}});
    create(
        "v1",
        "ResourceQuota",
        with(json!([{"scopeName": "BestEffort", "operator": "In", "values": ["a"]}])),
        &[
            "spec.scopeSelector.matchExpressions.operator: Invalid value: \"In\": must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
        ],
    );
    create(
        "v1",
        "ResourceQuota",
        with(json!([{"scopeName": "PriorityClass", "operator": "In"}])),
        &[
            "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
        ],
    );
}

#[test]
fn selectors_get_the_values_of_own_labels() {
    let (kind, mut object) = read(
        "v1",
        "Pod",
        json!({"metadata": {"name": "x", "labels": {"v": "1"}}, "spec": {
            "containers": [{"name": "c", "image": "i"}],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone",
                "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["v", "w"],
                "labelSelector": {"matchLabels": {"a": "b"}}}]}}),
    );
    strategy::prepare_create(kind, &mut object, now());
    assert_eq!(
        object["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchExpressions"],
        json!([{"key": "v", "operator": "In", "values": ["1"]}])
    );
}

#[test]
fn nodes() {
    update(
        ("v1", "Node"),
        None,
        json!({"spec": {"externalID": "a", "podCIDR": "10.0.0.0/24"}}),
        json!({"spec": {"externalID": "b", "podCIDR": "10.0.1.0/24"}}),
        &[
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
            "spec.externalID: Forbidden: may not be updated",
        ],
    );
    let address = json!({"type": "InternalIP", "address": "10.0.0.1"});
    update(
        ("v1", "Node"),
        Some("status"),
        json!({}),
        json!({"status": {"addresses": [address, address], "declaredFeatures": ["B", "A", "A", "a_"], "capacity": {"cpu": "-1"}}}),
        &[
            "status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
            "status.allocatable.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
            "status.declaredFeatures[1]: Invalid value: \"A\": list must be sorted alphabetically",
            "status.declaredFeatures[2]: Duplicate value: \"A\"",
            "status.declaredFeatures[3]: Invalid value: \"a_\": invalid feature name \"a_\": must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes",
            "status.addresses[1]: Duplicate value: {\"Type\":\"InternalIP\",\"Address\":\"10.0.0.1\"}",
        ],
    );
}

#[test]
fn runtime_classes_and_limits() {
    let toleration = |seconds: i64| json!({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
    create(
        "node.k8s.io/v1",
        "RuntimeClass",
        json!({"handler": "h", "scheduling": {"tolerations": [toleration(1), toleration(2)]}}),
        &[
            "scheduling.tolerations[1]: Duplicate value: {\"Key\":\"a\",\"Operator\":\"Exists\",\"Value\":\"\",\"Effect\":\"NoExecute\",\"TolerationSeconds\":2}",
        ],
    );
    create(
        "v1",
        "LimitRange",
        json!({"spec": {"limits": [{"type": "Pod", "default": {"bogus": "1"}}]}}),
        &["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
    );
    create(
        "v1",
        "LimitRange",
        json!({"spec": {"limits": [{"type": "Container",
            "default": {"a.test/gpu": "2"}, "defaultRequest": {"a.test/gpu": "1"}}]}}),
        &[
            "spec.limits[0].defaultRequest[a.test/gpu]: Invalid value: \"1\": default value 2 must equal to defaultRequest value 1 in a.test/gpu",
        ],
    );
}

#[test]
fn claims_for_extended_resources() {
    let pod = |mut status: Value| {
        status["qosClass"] = "BestEffort".into();
        json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": {
            "requests": {"a.test/gpu": "1"}, "limits": {"a.test/gpu": "1"}}}]}, "status": status})
    };
    let mapping = json!({"containerName": "c", "resourceName": "a.test/gpu", "requestName": "r"});
    let odd = json!({"containerName": "d", "resourceName": "a.test/gpu", "requestName": "r"});
    update(
        ("v1", "Pod"),
        Some("status"),
        pod(json!({})),
        pod(
            json!({"extendedResourceClaimStatus": {"resourceClaimName": "x", "requestMappings": [mapping]}}),
        ),
        &[],
    );
    update(
        ("v1", "Pod"),
        Some("status"),
        pod(json!({})),
        pod(
            json!({"extendedResourceClaimStatus": {"resourceClaimName": "", "requestMappings": [odd]}}),
        ),
        &[
            "status.extendedResourceClaimStatus.requestMappings[0].containerName: Invalid value: \"d\": must match the name of an entry in spec.initContainers.name or spec.containers.name",
            "status.extendedResourceClaimStatus.resourceClaimName: Required value",
        ],
    );
}
