//! What a small object becomes once it is read, defaulted, prepared and
//! written canonically; the cases follow a Kubernetes 1.36 API server.

use coracle_machinery::{canonical, default, kinds, strategy, strict};
use serde_json::{Value, json};

/// Creates `given` and compares what would be stored.
#[track_caller]
fn check(api_version: &str, kind: &str, given: Value, expected: Value) {
    let kind = kinds::by_api_version(api_version, kind).expect("a built-in kind");
    let mut object = given;
    strict::read(kind, &mut object).expect("types fit");
    default::apply(kind, &mut object);
    let again = {
        let mut again = object.clone();
        default::apply(kind, &mut again);
        again
    };
    assert_eq!(object, again, "defaults of defaults change nothing");
    let now = "2024-01-01T00:00:00Z".parse().expect("a time");
    strategy::prepare_create(kind, &mut object, now);
    canonical::apply(kind, &mut object);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("generation");
    }
    assert_eq!(object, expected);
}

/// What a pod spec with the one container `c` and `extra` becomes.
fn pod_spec(extra: Value) -> Value {
    let mut container = json!({
        "name": "c", "image": "i:1", "resources": {}, "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent"
    });
    for (name, value) in extra.as_object().into_iter().flatten() {
        container[name.as_str()] = value.clone();
    }
    json!({
        "containers": [container], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
        "securityContext": {}, "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler"
    })
}

fn given_template() -> Value {
    json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}})
}

fn full_template() -> Value {
    json!({"metadata": {"labels": {"a": "b"}}, "spec": pod_spec(json!({}))})
}

fn with(mut value: Value, more: Value) -> Value {
    for (name, part) in more.as_object().into_iter().flatten() {
        value[name.as_str()] = part.clone();
    }
    value
}

#[test]
fn pods() {
    check(
        "v1",
        "Pod",
        json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}),
        json!({
            "metadata": {"name": "x"},
            "spec": with(pod_spec(json!({})), json!({"enableServiceLinks": true})),
            "status": {"phase": "Pending", "qosClass": "BestEffort"}
        }),
    );
    let probe = json!({"httpGet": {"port": 80}});
    let full_probe = json!({
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3
    });
    check(
        "v1",
        "Pod",
        json!({"metadata": {}, "spec": {"hostNetwork": true, "serviceAccount": "sa", "containers": [{
            "name": "c", "image": "i", "ports": [{"containerPort": 80}], "livenessProbe": probe,
            "env": [{"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "resources": {"limits": {"cpu": "0.5"}}
        }], "volumes": [{"name": "v"}, {"name": "w", "secret": {"secretName": "s"}}]}}),
        json!({
            "metadata": {},
            "spec": with(
                pod_spec(json!({
                    "image": "i", "imagePullPolicy": "Always", "livenessProbe": full_probe,
                    "ports": [{"containerPort": 80, "protocol": "TCP", "hostPort": 80}],
                    "env": [{"name": "E", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
                    "resources": {"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}
                })),
                json!({
                    "enableServiceLinks": true, "hostNetwork": true,
                    "serviceAccount": "sa", "serviceAccountName": "sa",
                    "volumes": [
                        {"name": "v", "emptyDir": {}},
                        {"name": "w", "secret": {"secretName": "s", "defaultMode": 420}}
                    ]
                })
            ),
            "status": {"phase": "Pending", "qosClass": "Burstable"}
        }),
    );
}

#[test]
fn workloads() {
    let selector = json!({"matchLabels": {"a": "b"}});
    check(
        "apps/v1",
        "Deployment",
        json!({"metadata": {}, "spec": {"selector": selector, "template": given_template()}}),
        json!({
            "metadata": {},
            "spec": {
                "selector": selector, "template": full_template(), "replicas": 1,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
                "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600
            },
            "status": {}
        }),
    );
    check(
        "apps/v1",
        "StatefulSet",
        json!({"metadata": {}, "spec": {"selector": selector, "template": given_template(), "serviceName": "s",
            "volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": {}}]}}),
        json!({
            "metadata": {},
            "spec": {
                "selector": selector, "template": full_template(), "serviceName": "s", "replicas": 1,
                "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
                "volumeClaimTemplates": [{
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "v"},
                    "spec": {"resources": {}, "volumeMode": "Filesystem"}, "status": {"phase": "Pending"}
                }]
            },
            "status": {"replicas": 0, "availableReplicas": 0}
        }),
    );
    check(
        "apps/v1",
        "DaemonSet",
        json!({"metadata": {}, "spec": {"selector": selector, "template": given_template()}}),
        json!({
            "metadata": {"annotations": {"deprecated.daemonset.template.generation": "1"}},
            "spec": {
                "selector": selector, "template": full_template(), "revisionHistoryLimit": 10,
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
            },
            "status": {
                "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0
            }
        }),
    );
}

#[test]
fn jobs() {
    let labels = json!({
        "controller-uid": "u", "batch.kubernetes.io/controller-uid": "u",
        "job-name": "x", "batch.kubernetes.io/job-name": "x"
    });
    let spec = with(pod_spec(json!({})), json!({"restartPolicy": "Never"}));
    check(
        "batch/v1",
        "Job",
        json!({"metadata": {"name": "x", "uid": "u"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}}}}),
        // Labels of its own come when it is read back.
        json!({
            "metadata": {"name": "x", "uid": "u"},
            "spec": {
                "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
                "suspend": false, "manualSelector": false, "podReplacementPolicy": "TerminatingOrFailed",
                "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
                "template": {"metadata": {"labels": labels}, "spec": spec}
            },
            "status": {}
        }),
    );
    check(
        "batch/v1",
        "CronJob",
        json!({"metadata": {}, "spec": {"schedule": "* * * * *",
            "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}}}}}}),
        json!({
            "metadata": {},
            "spec": {
                "schedule": "* * * * *", "concurrencyPolicy": "Allow", "suspend": false,
                "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
                "jobTemplate": {"metadata": {}, "spec": {"template": {"metadata": {}, "spec": spec}}}
            },
            "status": {}
        }),
    );
}

#[test]
fn network() {
    check(
        "v1",
        "Service",
        json!({"metadata": {}, "spec": {"ports": [{"port": 80}], "sessionAffinity": "ClientIP", "clusterIP": "None"}}),
        json!({
            "metadata": {},
            "spec": {
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "type": "ClusterIP",
                "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
                "clusterIP": "None", "clusterIPs": ["None"], "internalTrafficPolicy": "Cluster"
            },
            "status": {"loadBalancer": {}}
        }),
    );
    check(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        json!({"metadata": {}, "spec": {"egress": [{"ports": [{"port": 53}]}]}}),
        json!({
            "metadata": {},
            "spec": {
                "podSelector": {}, "egress": [{"ports": [{"port": 53, "protocol": "TCP"}]}],
                "policyTypes": ["Ingress", "Egress"]
            }
        }),
    );
    check(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        json!({"metadata": {}, "addressType": "IPv4", "endpoints": [], "ports": [{"port": 1}]}),
        json!({
            "metadata": {}, "addressType": "IPv4", "endpoints": null,
            "ports": [{"port": 1, "name": "", "protocol": "TCP"}]
        }),
    );
}

#[test]
fn configuration_and_storage() {
    check(
        "v1",
        "Secret",
        json!({"metadata": {}, "stringData": {"a": "b"}}),
        json!({"metadata": {}, "data": {"a": "Yg=="}, "type": "Opaque"}),
    );
    check(
        "v1",
        "Namespace",
        json!({"metadata": {"name": "n"}}),
        json!({
            "metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "n"}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}
        }),
    );
    check(
        "v1",
        "PersistentVolumeClaim",
        json!({"metadata": {}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}},
            "dataSource": {"kind": "PersistentVolumeClaim", "name": "other"}}}),
        json!({
            "metadata": {},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                "volumeMode": "Filesystem",
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "other", "apiGroup": null},
                "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "other", "apiGroup": null}
            },
            "status": {"phase": "Pending"}
        }),
    );
    check(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        json!({"metadata": {}, "roleRef": {"kind": "Role", "name": "r"},
            "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]}),
        json!({
            "metadata": {},
            "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
            "subjects": [
                {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"},
                {"kind": "ServiceAccount", "name": "s", "namespace": "n"}
            ]
        }),
    );
    check(
        "v1",
        "LimitRange",
        json!({"metadata": {}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}]}}),
        json!({
            "metadata": {},
            "spec": {"limits": [{
                "type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"},
                "default": {"cpu": "2"}, "defaultRequest": {"cpu": "2", "memory": "1Mi"}
            }]}
        }),
    );
}

#[test]
fn autoscalers_of_both_versions() {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    check(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        json!({"metadata": {}, "spec": {"scaleTargetRef": target, "maxReplicas": 3, "behavior": {"scaleDown": {}}}}),
        json!({
            "metadata": {},
            "spec": {
                "scaleTargetRef": target, "maxReplicas": 3, "minReplicas": 1,
                "metrics": [{"type": "Resource", "resource": {
                    "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": 0, "selectPolicy": "Max",
                        "policies": [
                            {"type": "Pods", "value": 4, "periodSeconds": 15},
                            {"type": "Percent", "value": 100, "periodSeconds": 15}
                        ]
                    },
                    "scaleDown": {
                        "selectPolicy": "Max",
                        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]
                    }
                }
            },
            "status": {"desiredReplicas": 0, "currentMetrics": null}
        }),
    );
    check(
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        json!({"metadata": {}, "spec": {"scaleTargetRef": target, "maxReplicas": 3}}),
        json!({
            "metadata": {},
            "spec": {"scaleTargetRef": target, "maxReplicas": 3, "minReplicas": 1, "targetCPUUtilizationPercentage": 80},
            "status": {"currentReplicas": 0, "desiredReplicas": 0}
        }),
    );
}
