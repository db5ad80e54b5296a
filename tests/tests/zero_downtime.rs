//! Nobody who asks is left without an answer: under constant load through a
//! node port and through the Ingress, a rolling update, scaling, a pod that is
//! deleted, an engine that is killed, and many changes of the kernel's table.
//! What pods lose that do not end gracefully is counted beside it.
//!
//! `CORACLE_LOAD_REQUESTS` raises the number of requests.

use std::net::SocketAddr;
use std::process::Command;

use coracle_tests::cluster::{Cluster, repository};
use coracle_tests::load::{Client, Load, until_answered};
use coracle_tests::private::in_private_network;
use coracle_tests::site::{self, HOST};
use coracle_tests::skip;
use coracle_tests::wait::until;
use serde_json::{Value, json};

const NODE_PORT: u16 = 31_480;
const ABRUPT_PORT: u16 = 31_487;

/// Requests that must have been answered in each chapter.
fn requests() -> u64 {
    let wanted = std::env::var("CORACLE_LOAD_REQUESTS");
    wanted
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(4_000)
        / 5
}

/// Services that lead to the same pods, and are there only to be changed.
fn storm() -> Value {
    let service = |number: usize| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": format!("storm-{number}")},
            "spec": {"type": "NodePort", "selector": {"app": "site"}, "ports": [{"port": 80, "targetPort": "http"}]},
        })
    };
    let items: Vec<Value> = (0..40).map(service).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

struct Case {
    cluster: Cluster,
    load: Load,
}

impl Case {
    fn start() -> Case {
        let cluster = Cluster::new("load");
        cluster.run(&["start"]);
        site::build(&cluster);
        let case = Case {
            cluster,
            load: Load::start(&[]),
        };
        site::apply(&case.cluster, &site::objects(NODE_PORT));
        case.kubectl(&["rollout", "status", "deploy/site", "--timeout=300s"]);
        until_answered(&[node_port(), front()].map(|address| client("", address, false, false)));
        case
    }

    fn kubectl(&self, args: &[&str]) -> String {
        self.cluster
            .kubectl(args)
            .expect("kubectl is fetched by CI")
    }

    /// Runs a chapter under load; nothing may fail.
    fn chapter(&self, name: &str, body: impl FnOnce(&Case)) {
        let before = self.load.answered();
        body(self);
        until("enough was asked", || {
            match self.load.answered() - before >= requests() {
                true => Ok(()),
                false => Err(format!("{} answered", self.load.answered() - before)),
            }
        });
        let failures = self.load.failures();
        assert!(
            failures.is_empty(),
            "{name}: {} of {} failed:\n{}\n{}",
            failures.len(),
            self.load.answered(),
            failures.join("\n"),
            self.cluster.log("dataplane"),
        );
        eprintln!(
            "{name}: {} answered, none failed",
            self.load.answered() - before
        );
    }

    fn ready(&self, count: usize) {
        self.kubectl(&["rollout", "status", "deploy/site", "--timeout=300s"]);
        until("the pods are as many as wanted", || {
            let pods = self.kubectl(&["get", "pods", "-l", "app=site", "-o", "name"]);
            match pods.lines().count() == count {
                true => Ok(()),
                false => Err(pods),
            }
        });
    }
}

fn node_port() -> SocketAddr {
    ([127, 0, 0, 1], NODE_PORT).into()
}

fn front() -> SocketAddr {
    ([127, 0, 0, 1], 80).into()
}

fn client(name: &'static str, address: SocketAddr, keeps: bool, sends: bool) -> Client {
    Client {
        name,
        address,
        host: HOST,
        keeps,
        sends,
    }
}

fn engine_killed(case: &Case) {
    let engine = case.cluster.processes("engine");
    let pid = engine[0].to_string();
    let status = Command::new("kill").args(["-9", &pid]).status();
    assert!(status.is_ok_and(|status| status.success()));
    until("another engine runs", || {
        let now = case.cluster.processes("engine");
        match now.is_empty() || now == engine {
            true => Err(format!("{now:?}")),
            false => Ok(()),
        }
    });
    until("the API answers", || {
        let output = case.cluster.kubectl_command(&["get", "nodes"]).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    // It takes over for real: what is asked of it now happens.
    case.kubectl(&["scale", "deploy/site", "--replicas=3"]);
    case.ready(3);
}

fn everything(case: &Case) {
    case.chapter("rolling update", |case| {
        case.kubectl(&["set", "env", "deploy/site", "TURN=2"]);
        case.ready(1);
    });
    case.chapter("scaling from 1 to 3 and back", |case| {
        case.kubectl(&["scale", "deploy/site", "--replicas=3"]);
        case.ready(3);
        case.kubectl(&["scale", "deploy/site", "--replicas=1"]);
        case.ready(1);
    });
    case.chapter("a pod deleted", |case| {
        case.kubectl(&["scale", "deploy/site", "--replicas=2"]);
        case.ready(2);
        let pods = case.kubectl(&["get", "pods", "-l", "app=site", "-o", "name"]);
        case.kubectl(&["delete", pods.lines().next().expect("a pod"), "--wait=true"]);
        case.ready(2);
    });
    case.chapter("the engine killed", engine_killed);
    case.chapter("many changes of the kernel's table", |case| {
        for _ in 0..3 {
            let file = site::apply(&case.cluster, &storm());
            case.kubectl(&["delete", "-f", &file, "--wait=false"]);
        }
        case.kubectl(&["scale", "deploy/site", "--replicas=1"]);
        case.ready(1);
    });
}

/// The same site without a probe, a hook or time to end.
fn abrupt() -> Value {
    let mut objects = site::objects(ABRUPT_PORT);
    let items = objects["items"].as_array_mut().expect("a list");
    items.retain(|item| item["kind"] != "Ingress");
    let labels = json!({"app": "abrupt"});
    for item in items {
        item["metadata"]["name"] = "abrupt".into();
        if item["kind"] == "Service" {
            item["spec"]["selector"] = labels.clone();
            continue;
        }
        item["spec"]["selector"] = json!({"matchLabels": labels});
        let template = &mut item["spec"]["template"];
        template["metadata"]["labels"] = labels.clone();
        template["spec"]["terminationGracePeriodSeconds"] = 0.into();
        let container = template["spec"]["containers"][0].as_object_mut();
        let container = container.expect("a container");
        container.retain(|key, _| key != "readinessProbe" && key != "lifecycle");
    }
    objects
}

/// Pods that leave at once cost requests: how many is counted and said, and
/// those that come after them are answered.
fn what_is_lost_is_counted(case: &Case) {
    site::apply(&case.cluster, &abrupt());
    case.kubectl(&["rollout", "status", "deploy/abrupt", "--timeout=300s"]);
    let address = ([127, 0, 0, 1], ABRUPT_PORT).into();
    let ask = |name, keeps| client(name, address, keeps, keeps);
    until_answered(&[ask("", false)]);
    let load = Load::start(&[ask("a connection each", false), ask("kept, POST", true)]);
    let answered = |more: u64| {
        let wanted = load.answered() + more;
        until("requests are answered", || {
            match load.answered() >= wanted {
                true => Ok(()),
                false => Err(format!("{} of {wanted}", load.answered())),
            }
        });
    };
    for turn in ["2", "3", "4"] {
        case.kubectl(&["set", "env", "deploy/abrupt", &format!("TURN={turn}")]);
        case.kubectl(&["rollout", "status", "deploy/abrupt", "--timeout=300s"]);
        answered(200);
    }
    eprintln!("pods that leave at once, replaced three times:");
    for line in load.end() {
        eprintln!("  {line}");
    }
}

#[test]
fn nobody_is_left_without_an_answer() {
    if !repository().join("target/oracles/kubectl").exists() {
        return skip("run `cargo xtask oracles` first");
    }
    in_private_network("nobody_is_left_without_an_answer", || {
        let mut case = Case::start();
        case.load = Load::start(&[
            client("node port, a connection each", node_port(), false, false),
            client("node port, kept", node_port(), true, false),
            client("node port, kept, POST", node_port(), true, true),
            client("Ingress, a connection each", front(), false, false),
            client("Ingress, kept", front(), true, false),
            client("Ingress, kept, POST", front(), true, true),
        ]);
        everything(&case);
        let load = std::mem::replace(&mut case.load, Load::start(&[]));
        for line in load.end() {
            eprintln!("{line}");
        }
        what_is_lost_is_counted(&case);
    });
}
