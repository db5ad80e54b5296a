//! What is refused, where and in which words; the cases follow a Kubernetes
//! 1.36 API server.

use coracle_machinery::{default, kinds, strategy, strict, validate};
use serde_json::{Value, json};

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn now() -> jiff::Timestamp {
    "2024-01-01T00:00:00Z".parse().expect("a time")
}

fn texts(causes: &[validate::Cause]) -> Vec<String> {
    let texts = causes.iter();
    texts
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect()
}

/// Completes an object: names, type, defaults.
fn read(
    api_version: &str,
    kind: &str,
    given: Value,
) -> (&'static coracle_machinery::kind::Kind, Value) {
    let kind = kinds::by_api_version(api_version, kind).expect("a built-in kind");
    let mut object = given;
    let metadata = object["metadata"].as_object_mut();
    match metadata {
        Some(_) => {}
        None => object["metadata"] = json!({"name": "x"}),
    }
    if kind.namespaced {
        object["metadata"]["namespace"] = json!("n");
    }
    strict::read(kind, &mut object).expect("types fit");
    default::apply(kind, &mut object);
    (kind, object)
}

/// Creates `given` and compares the faults.
#[track_caller]
fn create(api_version: &str, kind: &str, given: Value, expected: &[&str]) {
    let (kind, mut object) = read(api_version, kind, given);
    object["metadata"]["uid"] = json!("u");
    strategy::prepare_create(kind, &mut object, now());
    assert_eq!(texts(&validate::create(kind, &object)), expected);
}

/// Updates `old` to `new` and compares the faults.
#[track_caller]
fn update(api_version: &str, kind: &str, old: Value, new: Value, expected: &[&str]) {
    let (kind, mut old) = read(api_version, kind, old);
    old["metadata"]["uid"] = json!("u");
    old["metadata"]["resourceVersion"] = json!("1");
    strategy::prepare_create(kind, &mut old, now());
    let (_, mut new) = read(&kind.api_version(), kind.kind, new);
    new["metadata"]["resourceVersion"] = json!("1");
    strategy::prepare_update(kind, None, &mut new, &old, now());
    assert_eq!(texts(&validate::update(kind, None, &new, &old)), expected);
}

fn container(extra: Value) -> Value {
    let mut container = json!({"name": "c", "image": "i"});
    for (name, value) in extra.as_object().into_iter().flatten() {
        container[name.as_str()] = value.clone();
    }
    container
}

fn pod(extra: Value) -> Value {
    json!({"spec": {"containers": [container(extra)]}})
}

fn deployment(spec: Value) -> Value {
    let mut object = json!({"spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container(json!({}))]}}
    }});
    for (name, value) in spec.as_object().into_iter().flatten() {
        object["spec"][name.as_str()] = value.clone();
    }
    object
}

#[test]
fn metadata() {
    create("v1", "ConfigMap", json!({}), &[]);
    create(
        "v1",
        "ConfigMap",
        json!({"metadata": {"name": "Bad_"}}),
        &[&format!(
            "metadata.name: Invalid value: \"Bad_\": {SUBDOMAIN}"
        )],
    );
    create(
        "v1",
        "ConfigMap",
        json!({"metadata": {}}),
        &["metadata.name: Required value: name or generateName is required"],
    );
    create(
        "v1",
        "Namespace",
        json!({"metadata": {"name": "a.b"}}),
        &["metadata.name: Invalid value: \"a.b\": must not contain dots"],
    );
    create(
        "rbac.authorization.k8s.io/v1",
        "Role",
        json!({"metadata": {"name": "a/b"}}),
        &["metadata.name: Invalid value: \"a/b\": may not contain '/'"],
    );
    create(
        "v1",
        "ConfigMap",
        json!({"metadata": {"name": "x", "finalizers": ["plain"],
            "ownerReferences": [{"apiVersion": "", "kind": "Pod", "name": "p", "uid": ""}]}}),
        &[
            "metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty",
            "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
            "metadata.finalizers[0]: Invalid value: \"plain\": name is neither a standard finalizer name nor is it fully qualified",
        ],
    );
}

#[test]
fn containers() {
    create("v1", "Pod", pod(json!({})), &[]);
    create(
        "v1",
        "Pod",
        json!({"spec": {"containers": []}}),
        &["spec.containers: Required value"],
    );
    create(
        "v1",
        "Pod",
        pod(json!({"name": "Bad_Name", "image": ""})),
        &[
            &format!("spec.containers[0].name: Invalid value: \"Bad_Name\": {LABEL}"),
            "spec.containers[0].image: Required value",
        ],
    );
    create(
        "v1",
        "Pod",
        pod(json!({"ports": [{"containerPort": 70000, "protocol": "ICMP"}]})),
        &[
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ],
    );
    create(
        "v1",
        "Pod",
        pod(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})),
        &["spec.containers[0].volumeMounts[0].name: Not found: \"v\""],
    );
    create(
        "v1",
        "Pod",
        pod(
            json!({"livenessProbe": {"successThreshold": 2, "httpGet": {"port": 1}, "exec": {"command": ["a"]}}}),
        ),
        &[
            "spec.containers[0].livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ],
    );
    create(
        "v1",
        "Pod",
        pod(json!({"resources": {"limits": {"cpu": "1", "bogus": "1"}, "requests": {"cpu": "2"}}})),
        &[
            "spec.containers[0].resources.limits[bogus]: Invalid value: \"bogus\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.limits[bogus]: Invalid value: \"bogus\": must be a standard resource for containers",
            "spec.containers[0].resources.requests[bogus]: Invalid value: \"bogus\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.requests[bogus]: Invalid value: \"bogus\": must be a standard resource for containers",
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ],
    );
    create(
        "v1",
        "Pod",
        pod(
            json!({"env": [{"name": "a=b"}, {"name": "c", "valueFrom": {"fieldRef": {"fieldPath": "spec.nope"}}}]}),
        ),
        &[
            "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
            "spec.containers[0].env[1].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.nope\": error converting fieldPath: field label not supported: spec.nope",
        ],
    );
}

#[test]
fn pod_specs() {
    let spec = |extra: Value| {
        let mut object = pod(json!({}));
        for (name, value) in extra.as_object().into_iter().flatten() {
            object["spec"][name.as_str()] = value.clone();
        }
        object
    };
    create(
        "v1",
        "Pod",
        spec(json!({"tolerations": [{"key": "k", "operator": "Foo"}]})),
        &[
            "spec.tolerations[0].operator: Unsupported value: \"Foo\": supported values: \"Equal\", \"Exists\"",
        ],
    );
    create(
        "v1",
        "Pod",
        spec(
            json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/a/../b"}}, {"name": "v", "secret": {}}]}),
        ),
        &[
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[1].secret.secretName: Required value",
        ],
    );
    create(
        "v1",
        "Pod",
        spec(
            json!({"securityContext": {"runAsUser": -1, "seccompProfile": {"type": "Localhost"}}}),
        ),
        &[
            "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
        ],
    );
    create(
        "v1",
        "Pod",
        spec(json!({"dnsPolicy": "None", "restartPolicy": "Sometimes"})),
        &[
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
        ],
    );
    create(
        "v1",
        "Pod",
        spec(
            json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "X"}]}),
        ),
        &[
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"X\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
        ],
    );
}

#[test]
fn workloads() {
    create("apps/v1", "Deployment", deployment(json!({})), &[]);
    create(
        "apps/v1",
        "Deployment",
        deployment(json!({"replicas": -1, "selector": {"matchLabels": {"a": "z"}}})),
        &[
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
        ],
    );
    create(
        "apps/v1",
        "Deployment",
        deployment(
            json!({"strategy": {"type": "Recreate", "rollingUpdate": {}}, "progressDeadlineSeconds": 5, "minReadySeconds": 5}),
        ),
        &[
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
        ],
    );
    create(
        "apps/v1",
        "DaemonSet",
        deployment(json!({"updateStrategy": {"rollingUpdate": {"maxSurge": 1}}})),
        &[
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
        ],
    );
    create(
        "apps/v1",
        "StatefulSet",
        deployment(json!({"podManagementPolicy": "Foo"})),
        &["spec.podManagementPolicy: Invalid value: \"Foo\": must be 'OrderedReady' or 'Parallel'"],
    );
    let job = |spec: Value| {
        let mut spec = spec;
        spec["template"] =
            json!({"spec": {"restartPolicy": "Never", "containers": [container(json!({}))]}});
        json!({"spec": spec})
    };
    create("batch/v1", "Job", job(json!({})), &[]);
    create(
        "batch/v1",
        "Job",
        job(json!({"completionMode": "Indexed", "maxFailedIndexes": 1})),
        &["spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"],
    );
    for (zone, fault) in [
        ("Europe/Paris", None),
        ("UTC", None),
        (
            "Europe/Pariss",
            Some(
                "spec.timeZone: Invalid value: \"Europe/Pariss\": unknown time zone Europe/Pariss",
            ),
        ),
        (
            "europe/paris",
            Some("spec.timeZone: Invalid value: \"europe/paris\": unknown time zone europe/paris"),
        ),
    ] {
        let object = json!({"spec": {"schedule": "@daily", "timeZone": zone, "jobTemplate": job(json!({}))}});
        create(
            "batch/v1",
            "CronJob",
            object,
            &fault.into_iter().collect::<Vec<_>>(),
        );
    }
    create(
        "batch/v1",
        "CronJob",
        json!({"spec": {"schedule": "* * * * * *", "timeZone": "Local", "jobTemplate": job(json!({}))}}),
        &[
            "spec.schedule: Invalid value: \"* * * * * *\": expected exactly 5 fields, found 6: [* * * * * *]",
            "spec.timeZone: Invalid value: \"Local\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        ],
    );
}

#[test]
fn network() {
    create(
        "v1",
        "Service",
        json!({"spec": {}}),
        &["spec.ports: Required value"],
    );
    create(
        "v1",
        "Service",
        json!({"spec": {"type": "ExternalName", "clusterIP": "None"}}),
        &[
            "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
            "spec.externalName: Required value",
        ],
    );
    create(
        "v1",
        "Service",
        json!({"spec": {"ports": [{"port": 80}, {"port": 80, "nodePort": 30000}]}}),
        &[
            "spec.ports[0].name: Required value",
            "spec.ports[1].name: Required value",
            "spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            "spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":80,\"TargetPort\":0,\"NodePort\":0}",
        ],
    );
    let ingress = |path: &str, host: &str| {
        json!({"spec": {"rules": [{"host": host, "http": {"paths": [
            {"path": path, "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}
        ]}}]}})
    };
    create(
        "networking.k8s.io/v1",
        "Ingress",
        ingress("/", "a.test"),
        &[],
    );
    create(
        "networking.k8s.io/v1",
        "Ingress",
        ingress("/a//b", "10.0.0.1"),
        &[
            "spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address",
            "spec.rules[0].http.paths[0].path: Invalid value: \"/a//b\": must not contain '//'",
        ],
    );
    create(
        "networking.k8s.io/v1",
        "Ingress",
        json!({"spec": {}}),
        &["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
    );
    create(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        json!({"spec": {"ingress": [{"from": [
            {"ipBlock": {"cidr": "10.1.1.1/8", "except": ["11.0.0.0/16"]}, "podSelector": {}}, {}
        ]}]}}),
        &[
            "spec.ingress[0].from[0].ipBlock.cidr: Invalid value: \"10.1.1.1/8\": must not have bits set beyond the prefix length",
            "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
            "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer",
            "spec.ingress[0].from[1]: Required value: must specify a peer",
        ],
    );
}

#[test]
fn other_groups() {
    create(
        "v1",
        "Secret",
        json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
        &["data[tls.key]: Required value"],
    );
    create(
        "v1",
        "PersistentVolumeClaim",
        json!({"spec": {}}),
        &[
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.resources[storage]: Required value",
        ],
    );
    create(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        json!({"rules": [{"nonResourceURLs": ["/x"], "resources": ["a"]}]}),
        &[
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: rules cannot apply to both regular resources and non-resource URLs",
        ],
    );
    create(
        "policy/v1",
        "PodDisruptionBudget",
        json!({"spec": {"minAvailable": "101%"}}),
        &["spec.minAvailable: Invalid value: \"101%\": must not be greater than 100%"],
    );
    create(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        json!({"spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "a/b", "apiVersion": ""}, "maxReplicas": 2, "minReplicas": 3
        }}),
        &[
            "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`",
            "spec.scaleTargetRef.name: Invalid value: \"a/b\": may not contain '/'",
            "spec.scaleTargetRef.apiVersion: Invalid value: \"\": apiVersion must specify API group",
        ],
    );
    create(
        "scheduling.k8s.io/v1",
        "PriorityClass",
        json!({"value": 2_000_000_000}),
        &["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    );
}

#[test]
fn updates() {
    update(
        "apps/v1",
        "Deployment",
        deployment(json!({})),
        deployment(json!({"replicas": 3})),
        &[],
    );
    let mut other = deployment(json!({"selector": {"matchLabels": {"a": "c"}}}));
    other["spec"]["template"]["metadata"]["labels"]["a"] = json!("c");
    update(
        "apps/v1",
        "Deployment",
        deployment(json!({})),
        other,
        &["spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"c\"}}: field is immutable"],
    );
    update(
        "apps/v1",
        "StatefulSet",
        deployment(json!({"serviceName": "a"})),
        deployment(json!({"serviceName": "b"})),
        &[
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ],
    );
    update(
        "v1",
        "ConfigMap",
        json!({"immutable": true, "data": {"a": "b"}}),
        json!({"data": {"a": "c"}}),
        &[
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set",
        ],
    );
    update(
        "v1",
        "Secret",
        json!({"type": "a"}),
        json!({"type": "b"}),
        &["type: Invalid value: \"b\": field is immutable"],
    );
    update(
        "v1",
        "Pod",
        pod(json!({})),
        pod(json!({"image": "other"})),
        &[],
    );
    update(
        "v1",
        "Pod",
        pod(json!({})),
        pod(json!({"command": ["x"]})),
        &[
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n",
        ],
    );
    update(
        "v1",
        "Service",
        json!({"spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 1}]}}),
        json!({"spec": {"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"], "ports": [{"port": 1}]}}),
        &["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"],
    );
}

#[test]
fn aggregated_message() {
    let (kind, object) = read("v1", "Pod", json!({"spec": {"containers": [{}]}}));
    let causes = validate::create(kind, &object);
    assert_eq!(
        validate::message("", "Pod", "x", &causes),
        "Pod \"x\" is invalid: [spec.containers[0].name: Required value, spec.containers[0].image: Required value]"
    );
}

/// `validateContainerRestartPolicy`, `ValidatePersistentVolumeSpec`,
/// `validateVolumeClaimTemplates`, and what `pkg/registry/coordination/lease`
/// drops.
#[test]
fn newer_fields() {
    let pod = |extra: Value| {
        let mut container = json!({"name": "c", "image": "i"});
        for (name, value) in extra.as_object().expect("fields") {
            container[name] = value.clone();
        }
        json!({"spec": {"containers": [container]}})
    };
    let rule = json!({"action": "x"});
    create(
        "v1",
        "Pod",
        pod(json!({"restartPolicyRules": [rule]})),
        &[
            "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used",
            "spec.containers[0].restartPolicyRules[0].action: Unsupported value: \"x\": supported values: \"Restart\", \"RestartAllContainers\"",
            "spec.containers[0].restartPolicyRules[0].exitCodes: Required value: must be specified",
        ],
    );
    let codes = json!({"operator": "In", "values": [1]});
    let rule = json!({"action": "Restart", "exitCodes": codes});
    create(
        "v1",
        "Pod",
        pod(json!({"restartPolicy": "Never", "restartPolicyRules": [rule]})),
        &[],
    );
    create(
        "v1",
        "PersistentVolume",
        json!({"spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/a"}, "volumeAttributesClassName": "gold",
        }}),
        &["spec.csi: Required value: has to be specified when using volumeAttributesClassName"],
    );
    create(
        "apps/v1",
        "StatefulSet",
        json!({"spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "v"},
                "spec": {"resources": {"requests": {"storage": "1Gi"}}}}],
        }}),
        &[
            "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required",
        ],
    );
    create(
        "coordination.k8s.io/v1",
        "Lease",
        json!({"spec": {"strategy": "x", "preferredHolder": "y"}}),
        &[],
    );
}

/// `validatePodResources`, `validateResizePolicy`, `ValidateVolumeDevices`,
/// `ValidateMatchLabelKeysAndMismatchLabelKeys`, `validateHostUsers` and
/// `validateFileKeyRefVolumes`.
#[test]
fn parts_of_pods_fit_together() {
    #[track_caller]
    fn check(spec: Value, containers: Value, expected: &[&str]) {
        let mut spec = spec;
        spec["containers"] = containers;
        let object = json!({"metadata": {"name": "x", "labels": {"a": "b"}}, "spec": spec});
        create("v1", "Pod", object, expected);
    }
    let asks = |cpu: &str| json!([container(json!({"resources": {"limits": {"cpu": cpu}}}))]);
    check(
        json!({"resources": {"limits": {"cpu": "2"}}}),
        asks("2"),
        &[],
    );
    check(
        json!({"resources": {
            "claims": [{"name": "r"}],
            "limits": {"cpu": "1", "ephemeral-storage": "1Gi"},
            "requests": {"cpu": "1"},
        }}),
        asks("2"),
        &[
            "spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level",
            "spec.resources.limits[ephemeral-storage]: Unsupported value: \"ephemeral-storage\": supported values: \"cpu\", \"hugepages-\", \"memory\"",
            "spec.resources.requests[ephemeral-storage]: Unsupported value: \"ephemeral-storage\": supported values: \"cpu\", \"hugepages-\", \"memory\"",
            "spec.resources.requests[cpu]: Invalid value: \"1\": must be greater than or equal to aggregate container requests of 2",
            "spec.resources.containers[0][cpu].limits: Invalid value: \"2\": must be less than or equal to pod limits of 1",
        ],
    );
    check(
        json!({"restartPolicy": "Never", "initContainers": [{"name": "i", "image": "i",
            "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}],
            "ports": [{"containerPort": 1, "hostPort": 1}, {"containerPort": 2, "hostPort": 1}]}]}),
        json!([container(json!({}))]),
        &[
            "spec.initContainers[0].resizePolicy: Invalid value: \"RestartContainer\": must be 'NotRequired' when pod `restartPolicy` is 'Never'",
            "spec.initContainers[0].ports[1].hostPort: Duplicate value: \"TCP//1\"",
            "spec.initContainers[0].resizePolicy[0].restartPolicy: Invalid value: \"RestartContainer\": must not be set to 'RestartContainer' for non-sidecar initContainers",
        ],
    );
    check(
        json!({"hostUsers": false, "hostPID": true,
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "v"}}]}),
        json!([container(json!({
            "volumeMounts": [{"name": "v", "mountPath": "/d"}],
            "volumeDevices": [{"name": "v", "devicePath": "/d"}, {"name": "v", "devicePath": "/../d"}],
        }))]),
        &[
            "spec.containers[0].volumeMounts[0].name: Invalid value: \"v\": must not already exist in volumeDevices",
            "spec.containers[0].volumeMounts[0].mountPath: Invalid value: \"/d\": must not already exist as a path in volumeDevices",
            "spec.containers[0].volumeMounts[0].name: Invalid value: \"v\": must not already exist in volumeDevices",
            "spec.containers[0].volumeDevices[0].name: Invalid value: \"v\": must not already exist in volumeMounts",
            "spec.containers[0].volumeDevices[0].devicePath: Invalid value: \"/d\": must not already exist as a path in volumeMounts",
            "spec.containers[0].volumeDevices[1].name: Invalid value: \"v\": must be unique",
            "spec.containers[0].volumeDevices[1].devicePath: Invalid value: \"/../d\": can not contain backsteps ('..')",
            "spec.containers[0].volumeDevices[1].name: Invalid value: \"v\": must not already exist in volumeMounts",
            "spec.HostPID: Forbidden: when `hostUsers` is false",
            "spec.containers[0].volumeDevices: Forbidden: when `hostUsers` is false",
        ],
    );
    let spread = |keys: Value, selector: Value| {
        json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z",
            "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": keys, "labelSelector": selector}]})
    };
    check(
        spread(json!(["a"]), json!({"matchLabels": {"c": "d"}})),
        json!([container(json!({}))]),
        &[],
    );
    check(
        spread(json!(["c", "a"]), json!({"matchLabels": {"a": "b"}})),
        json!([container(json!({}))]),
        &[
            "spec.topologySpreadConstraints[0][1]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector",
        ],
    );
    check(
        spread(json!(["-"]), Value::Null),
        json!([container(json!({}))]),
        &[
            "spec.topologySpreadConstraints[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
        ],
    );
    let from_file = |volume: &str, path: &str| {
        let file = json!({"volumeName": volume, "key": "K", "path": path});
        json!([container(json!({
            "env": [{"name": "A", "valueFrom": {"fileKeyRef": file}}],
            "securityContext": {"procMount": "Unmasked"},
        }))])
    };
    check(
        json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}]}),
        from_file("v", "../a"),
        &[
            "spec.containers[0].env[0].valueFrom.fileKeyRef.path: Invalid value: \"../a\": must not contain '..'",
            "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`",
            "spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Invalid value: \"v\": referenced volume must be of type emptyDir",
        ],
    );
    check(
        json!({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a", ""]}]}),
        json!([container(json!({}))]),
        &[&format!(
            "spec.hostAliases[0].hostnames[1]: Invalid value: \"\": {SUBDOMAIN}"
        )],
    );
    check(
        json!({"hostUsers": false}),
        from_file("w", "a"),
        &["spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Not found: \"w\""],
    );
}
