//! Where pods land when there is not room for all, or not the right room: the
//! more important displace others, and whoever fits nowhere is told why.

use coracle_tests::lab::{self, Lab, condition};
use coracle_tests::private::in_private_network;
use coracle_tests::wait::until;
use serde_json::{Value, json};

fn class(name: &str, value: i64, policy: &str) -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": {"name": name}, "value": value, "preemptionPolicy": policy,
    })
}

/// A pod that takes more than half of the node.
fn large(name: &str, class: &str, cpu_millis: u64) -> Value {
    let requests = json!({"resources": {"requests": {"cpu": format!("{cpu_millis}m")}}});
    lab::pod(name, json!({"priorityClassName": class}), requests)
}

/// Returns more than half of the node's processors, in thousandths.
fn most(lab: &Lab) -> u64 {
    let path = "jsonpath={.items[0].status.allocatable.cpu}";
    let text = lab.kubectl(&["get", "nodes", "-o", path]);
    let millis = match text.trim().strip_suffix('m') {
        Some(number) => number.parse().ok(),
        None => text.trim().parse().ok().map(|whole: u64| whole * 1000),
    };
    millis.unwrap_or_else(|| panic!("{text}")) * 6 / 10
}

/// Waits until a pod is told why it fits nowhere.
fn is_refused(lab: &Lab, name: &str, expected: &str) {
    lab.until("pod", name, |pod| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let mut scheduled = conditions.filter(|one| one["type"] == "PodScheduled");
        scheduled.any(|one| one["message"] == expected)
    });
}

fn the_more_important_displace_others(lab: &Lab) {
    let cpu = most(lab);
    lab.apply(&[
        class("low", 10, "PreemptLowerPriority"),
        class("high", 1000, "PreemptLowerPriority"),
        class("patient", 2000, "Never"),
    ]);
    lab.apply(&[large("first", "low", cpu)]);
    lab.ready(&["first"]);
    let first = lab.object("pod", "first");
    lab.apply(&[large("patient", "patient", cpu)]);
    is_refused(
        lab,
        "patient",
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, \
         preemption: not eligible due to preemptionPolicy=Never.",
    );
    lab.kubectl(&["delete", "pod", "patient"]);
    lab.apply(&[large("second", "high", cpu)]);
    lab.ready(&["second"]);
    let second = lab.object("pod", "second");
    // The place is taken, and promised no longer.
    assert_eq!(second["status"]["nominatedNodeName"], Value::Null);
    let mut event = Value::Null;
    until("the displaced pod was told", || {
        let text = lab.kubectl(&["get", "events", "-o", "json"]);
        let events = serde_json::from_str(&text).expect("kubectl writes JSON");
        event = told(&events, "Preempted").ok_or(text)?;
        Ok(())
    });
    assert_eq!(event["involvedObject"]["uid"], first["metadata"]["uid"]);
    let uid = second["metadata"]["uid"].as_str().expect("it has one");
    let node = second["spec"]["nodeName"].as_str().expect("it is placed");
    assert_eq!(
        event["message"],
        format!("Preempted by pod {uid} on node {node}")
    );
    lab.kubectl(&["wait", "--for=delete", "pod/first", "--timeout=300s"]);
    // The less important one waits now, for nobody is below it.
    lab.apply(&[large("first", "low", cpu)]);
    is_refused(
        lab,
        "first",
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, \
         preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
    );
    lab.kubectl(&["delete", "pod", "second"]);
    lab.ready(&["first"]);
    assert_eq!(
        condition(&lab.object("pod", "first")["status"], "DisruptionTarget"),
        ""
    );
}

/// Returns the first event of a reason.
fn told(events: &Value, reason: &str) -> Option<Value> {
    let mut events = events["items"].as_array()?.iter();
    events.find(|event| event["reason"] == reason).cloned()
}

fn pods_are_spread(lab: &Lab) {
    let spread = |key: &str| {
        json!({"topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "zoned"}},
        }]})
    };
    lab.apply(&[lab::pod(
        "zoned",
        spread("topology.kubernetes.io/zone"),
        json!({}),
    )]);
    is_refused(
        lab,
        "zoned",
        "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label). \
         no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    );
    // The node gets its label, and the pod its place.
    lab.kubectl(&[
        "label",
        "nodes",
        "--all",
        "topology.kubernetes.io/zone=harbour",
    ]);
    lab.ready(&["zoned"]);
    lab.apply(&[lab::pod(
        "hosted",
        spread("kubernetes.io/hostname"),
        json!({}),
    )]);
    lab.ready(&["hosted"]);
    lab.kubectl(&["delete", "pod", "zoned", "hosted"]);
}

#[test]
fn pods_land_by_importance_and_evenness() {
    in_private_network("pods_land_by_importance_and_evenness", || {
        let Some(lab) = Lab::new("scheduling") else {
            return;
        };
        pods_are_spread(&lab);
        the_more_important_displace_others(&lab);
    });
}
