//! Probes and hooks over HTTPS and gRPC, looked at from within the container:
//! who asked, and what became of a bad answer.

use coracle_tests::lab::{Lab, merge, pod};
use coracle_tests::private::in_private_network;
use serde_json::{Value, json};

const HEALTHY: &str = "healthy:1";

fn healthy(more: Value) -> Value {
    let mut container = json!({"image": HEALTHY, "command": ["/bin/healthy"]});
    merge(&mut container, more);
    container
}

/// Probes as fast as they may be.
fn probe(action: Value, failures: u32) -> Value {
    let mut probe = json!({"periodSeconds": 1, "failureThreshold": failures, "timeoutSeconds": 30});
    merge(&mut probe, action);
    probe
}

fn is_ready(lab: &Lab, name: &str) -> bool {
    lab.object("pod", name)["status"]["containerStatuses"][0]["ready"] == true
}

fn is_running(pod: &Value) -> bool {
    !pod["status"]["containerStatuses"][0]["state"]["running"].is_null()
}

/// A pod becomes ready when its server is well, and is started again when it is ill.
fn lives(lab: &Lab, name: &str, asked: &str, ill: &str) {
    lab.until("pod", name, is_running);
    assert!(!is_ready(lab, name), "{name} is not well yet");
    lab.check(name, "c", &[("touch /tmp/well", "")]);
    lab.ready(&[name]);
    let question = format!("grep -c '^{asked}$' /tmp/asked | awk '{{print ($1 > 0)}}'");
    lab.check(name, "c", &[(&question, "1")]);
    lab.check(name, "c", &[("rm /tmp/well", "")]);
    lab.until("pod", name, |pod| {
        pod["status"]["containerStatuses"][0]["ready"] == false
    });
    lab.check(name, "c", &[("touch /tmp/ill", "")]);
    lab.until("pod", name, |pod| {
        pod["status"]["containerStatuses"][0]["restartCount"] == 1 && is_running(pod)
    });
    // A new root: neither file is there any more.
    lab.check(
        name,
        "c",
        &[("ls /tmp/well /tmp/ill 2>&1 | grep -c 'No such'", "2")],
    );
    for expected in [ill, "Container c failed liveness probe, will be restarted"] {
        lab.told(name, expected);
    }
}

#[test]
fn https_and_grpc() {
    in_private_network("https_and_grpc", || {
        let Some(lab) = Lab::new("health") else {
            return;
        };
        lab.build(HEALTHY, Some("healthy"), "");
        let page = |port: Value, path: &str| json!({"httpGet": {"scheme": "HTTPS", "port": port, "path": path}});
        let secure = healthy(json!({
            "ports": [{"name": "secure", "containerPort": 8443}],
            "startupProbe": probe(json!({"tcpSocket": {"port": 8443}}), 300),
            "readinessProbe": probe(page(json!("secure"), "/ready"), 1),
            "livenessProbe": probe(page(json!(8443), "/live"), 2),
        }));
        let rpc = healthy(json!({
            "readinessProbe": probe(json!({"grpc": {"port": 9090, "service": "ready"}}), 1),
            "livenessProbe": probe(json!({"grpc": {"port": 9090}}), 2),
            "startupProbe": probe(json!({"grpc": {"port": 9090, "service": "start"}}), 300),
        }));
        // Speaks HTTP/1 where gRPC is asked for.
        let wrong = healthy(json!({
            "readinessProbe": probe(json!({"grpc": {"port": 8080}}), 1),
        }));
        let shared = json!({"volumes": [{"name": "shared", "hostPath": {"path": "/shared"}}]});
        let mounts = json!({"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]});
        let mut hooked = healthy(json!({
            "env": [{"name": "ASKED", "value": "/shared/asked"}],
            "readinessProbe": probe(json!({"tcpSocket": {"port": 8080}}), 1),
            "lifecycle": {"preStop": {"httpGet": {"port": 8080, "path": "/bye"}}},
        }));
        merge(&mut hooked, mounts.clone());
        // The hook's own time is the pod's grace.
        let mut patient = shared.clone();
        merge(&mut patient, json!({"terminationGracePeriodSeconds": 20}));
        lab.apply(&[
            pod("secure", json!({}), secure),
            pod("rpc", json!({}), rpc),
            pod("wrong", json!({}), wrong),
            pod("hooked", patient, hooked),
            pod("looker", shared, mounts),
            pod(
                "slept",
                json!({"terminationGracePeriodSeconds": 20}),
                json!({
                    "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
                }),
            ),
        ]);
        lab.ready(&["hooked", "looker", "slept"]);
        lives(
            &lab,
            "secure",
            "https /ready kube-probe/1.36",
            "Liveness probe failed: HTTP probe failed with statuscode: 503",
        );
        lives(
            &lab,
            "rpc",
            "grpc ready",
            "Liveness probe failed: service unhealthy (responded with \"NOT_SERVING\")",
        );
        lab.until_inside("rpc", "c", "head -1 /tmp/asked", "grpc start");
        assert!(!is_ready(&lab, "wrong"));
        lab.kubectl(&["delete", "pod", "hooked", "slept", "--wait=true"]);
        lab.check(
            "looker",
            "c",
            &[("grep -c '^http /bye ' /shared/asked", "1")],
        );
    });
}
