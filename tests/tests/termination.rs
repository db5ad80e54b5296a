//! The end of pods: what a container is given before it is killed (Kubernetes:
//! Pod Lifecycle, Termination of Pods).

use coracle_tests::lab::{Lab, merge, pod};
use coracle_tests::private::in_private_network;
use serde_json::{Value, json};

/// A pod that stays as a record when it has ended.
fn kept(name: &str, grace_seconds: i64, script: &str, container: Value) -> Value {
    let spec = json!({"terminationGracePeriodSeconds": grace_seconds});
    let script = format!("{script}; while true; do usleep 20000; done");
    let mut command = json!({"command": ["sh", "-c", script]});
    merge(&mut command, container);
    let mut pod = pod(name, spec, command);
    pod["metadata"]["finalizers"] = json!(["example.com/record"]);
    pod
}

fn delete(lab: &Lab, name: &str, more: &[&str]) {
    let args = ["delete", "pod", name, "--wait=false"];
    lab.kubectl(&[&args, more].concat());
}

fn ends_with(lab: &Lab, name: &str, code: i32) {
    let ended = lab.until("pod", name, |pod| {
        pod["status"]["containerStatuses"][0]["state"]["terminated"].is_object()
    });
    let status = &ended["status"]["containerStatuses"][0];
    assert_eq!(status["state"]["terminated"]["exitCode"], code, "{status}");
}

#[test]
fn a_container_is_asked_to_stop_before_it_is_killed() {
    in_private_network("a_container_is_asked_to_stop_before_it_is_killed", || {
        let Some(lab) = Lab::new("terminate") else {
            return;
        };
        let asked_once = "trap 'exit 7' TERM";
        let asked_twice = "trap 'trap \"exit 8\" TERM; touch /asked' TERM";
        let slow = json!({"lifecycle": {"preStop": {"exec": {"command": ["sleep", "3600"]}}}});
        let sleepy = json!({"lifecycle": {"preStop": {"sleep": {"seconds": 3600}}}});
        lab.apply(&[
            kept(
                "unborn",
                1,
                "",
                json!({"image": "absent:1", "imagePullPolicy": "Never"}),
            ),
            kept("hooked", 1, asked_once, slow),
            kept("shortened", 7200, asked_twice, json!({})),
            kept("woken", 7200, asked_once, sleepy),
            kept("at-once", 0, asked_once, json!({})),
        ]);
        lab.ready(&["hooked", "shortened", "woken", "at-once"]);
        // What never ran has ended, too: nobody waits for it.
        lab.told("unborn", "Error: ErrImageNeverPull");
        delete(&lab, "unborn", &[]);
        lab.until("pod", "unborn", |pod| pod["status"]["phase"] == "Failed");
        // The hook takes more than there is.
        delete(&lab, "hooked", &[]);
        ends_with(&lab, "hooked", 7);
        // Less time is less time, not none.
        delete(&lab, "shortened", &[]);
        lab.until_inside("shortened", "c", "ls /asked", "/asked");
        delete(&lab, "shortened", &["--grace-period=3600"]);
        ends_with(&lab, "shortened", 8);
        delete(&lab, "woken", &[]);
        delete(&lab, "woken", &["--grace-period=1"]);
        ends_with(&lab, "woken", 7);
        delete(&lab, "at-once", &[]);
        ends_with(&lab, "at-once", 7);
    });
}
