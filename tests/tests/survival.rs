//! Processes of the cluster are killed under running pods, again and again; the
//! whole cluster is stopped and started. Containers, logs, restart counts,
//! state, volumes and images stay.
//!
//! `ROUNDS` says how often each process is killed; it is fifty times.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::time::Instant;

use coracle_tests::cluster::{Cluster, descendants};
use coracle_tests::lab::{IMAGE, Lab, pod};
use coracle_tests::private::in_private_network;
use coracle_tests::wait::until;
use serde_json::{Value, json};

fn rounds() -> usize {
    let set = std::env::var("ROUNDS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(50)
}

/// Pods of several kinds: one that counts aloud, one that answers, one that has
/// a claim, one with what runs before and beside it and probes.
fn pods() -> Vec<Value> {
    let counts = "n=0; while true; do n=$((n+1)); echo line $n; usleep 20000; done";
    let says_goodbye = "trap 'echo asked > /v/asked; exit' TERM; while true; do usleep 20000; done";
    // A machine that is slow is not ill.
    let probe = json!({"periodSeconds": 1, "timeoutSeconds": 60, "exec": {"command": ["true"]}});
    let memory = json!([{"name": "m", "mountPath": "/m"}]);
    let before = json!([
        {"name": "first", "image": IMAGE, "command": ["touch", "/m/f"], "volumeMounts": memory},
        {"name": "side", "image": IMAGE, "command": ["sleep", "36000"], "restartPolicy": "Always"},
    ]);
    let volumes = json!([{"name": "m", "emptyDir": {"medium": "Memory"}}]);
    let claim =
        json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "claim"}}]});
    vec![
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "claim"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}),
        pod(
            "counts",
            json!({}),
            json!({"command": ["sh", "-c", counts]}),
        ),
        pod(
            "answers",
            json!({}),
            json!({
                "command": ["httpd", "-f", "-p", "8080", "-h", "/etc"],
                "readinessProbe": {"periodSeconds": 1, "timeoutSeconds": 60, "httpGet": {"port": 8080, "path": "/passwd"}},
            }),
        ),
        pod(
            "claims",
            claim,
            json!({
                "command": ["sh", "-c", says_goodbye],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            }),
        ),
        pod(
            "several",
            json!({"initContainers": before, "volumes": volumes}),
            json!({"livenessProbe": probe, "volumeMounts": memory}),
        ),
    ]
}

const NAMES: [&str; 4] = ["counts", "answers", "claims", "several"];

/// What must not change: containers, their states and restarts, by pod; and
/// since when the pod takes traffic.
fn picture(lab: &Lab) -> Vec<(String, String, i64)> {
    let mut picture = Vec::new();
    for name in NAMES {
        let pod = lab.object("pod", name);
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let ready = conditions.filter(|one| one["type"] == "Ready");
        picture.extend(ready.map(|one| (name.to_owned(), one.to_string(), 0)));
        for list in ["containerStatuses", "initContainerStatuses"] {
            for status in pod["status"][list].as_array().into_iter().flatten() {
                picture.push((
                    format!("{name}/{}", status["name"]),
                    format!("{} {}", status["containerID"], status["state"]),
                    status["restartCount"].as_i64().unwrap_or(-1),
                ));
            }
        }
    }
    picture
}

/// The host's ids of the first programs of containers: each is the first child
/// of its shim.
fn programs(cluster: &Cluster) -> Vec<i32> {
    let shims = cluster.processes("shim");
    let mut pids: Vec<i32> = shims
        .into_iter()
        .filter_map(|shim| descendants(shim).get(1).copied())
        .collect();
    pids.sort_unstable();
    pids
}

/// Kills a process of the cluster and waits until another one does its work.
fn kill(lab: &Lab, kind: &str) {
    let before = lab.cluster.processes(kind);
    for pid in &before {
        let status = std::process::Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status();
        assert!(status.is_ok_and(|status| status.success()));
    }
    until(&format!("the {kind} is there again"), || {
        let now = lab.cluster.processes(kind);
        match !now.is_empty() && now.iter().all(|pid| !before.contains(pid)) {
            true => Ok(()),
            false => Err(format!("{before:?} {now:?}")),
        }
    });
    until("the API answers", || {
        let output = lab.cluster.command(&["kubectl", "get", "nodes"]).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

/// Reads all numbers that the counting pod has written so far.
fn counted(lab: &Lab) -> Vec<u64> {
    let log = lab.kubectl(&["logs", "counts"]);
    log.lines()
        .filter_map(|line| line.strip_prefix("line ")?.parse().ok())
        .collect()
}

fn assert_no_gap(numbers: &[u64]) {
    for (at, number) in numbers.iter().enumerate() {
        assert_eq!(*number, at as u64 + 1, "a line is lost or twice");
    }
}

#[test]
fn nothing_changes_when_processes_are_killed() {
    in_private_network("nothing_changes_when_processes_are_killed", || {
        let Some(lab) = Lab::new("survive") else {
            return;
        };
        lab.apply(&pods());
        lab.ready(&NAMES);
        lab.check("claims", "c", &[("echo kept > /v/f", "")]);
        let (containers, pids) = (picture(&lab), programs(&lab.cluster));
        assert_eq!(pids.len(), 5, "five containers run a program each");
        let since = Instant::now();
        for round in 0..rounds() {
            for kind in ["engine", "dataplane", "gateway-worker"] {
                kill(&lab, kind);
                assert_eq!(programs(&lab.cluster), pids, "{kind}, round {round}");
            }
            assert_eq!(picture(&lab), containers, "round {round}");
        }
        lab.ready(&NAMES);
        let numbers = counted(&lab);
        assert_no_gap(&numbers);
        until("it counts on", || match counted(&lab) {
            now if now.len() > numbers.len() => Ok(()),
            now => Err(format!("{} lines", now.len())),
        });
        lab.check("claims", "c", &[("cat /v/f", "kept")]);
        lab.check(
            "answers",
            "c",
            &[(
                "wget -qO- http://127.0.0.1:8080/group | head -1",
                "root:x:0:",
            )],
        );
        println!(
            "{} rounds in {:.1} s, {} lines",
            rounds(),
            since.elapsed().as_secs_f64(),
            numbers.len()
        );
        stopped_and_started(&lab);
    });
}

/// Leaves what an engine leaves that is stopped while it starts a container: a
/// run that nobody knows of.
fn leave_traces(lab: &Lab, uid: &str) {
    let clusters = lab.cluster.home().join("home/clusters");
    let mut found = fs::read_dir(clusters).expect("a cluster is there");
    let cluster = found.next().expect("one").expect("it can be read").path();
    let runs = cluster.join("data/pods").join(uid).join("containers/c");
    let owner = fs::metadata(&runs).expect("the container has run");
    let trace = runs.join("1/upper/trace");
    fs::create_dir_all(&trace).expect("a folder for the test");
    for path in trace.ancestors().take(3) {
        chown(path, Some(owner.uid()), Some(owner.gid())).expect("it is given away");
    }
}

fn stopped_and_started(lab: &Lab) {
    let image = lab.cluster.run(&["image", "ls"]);
    let uid = lab.object("pod", "claims")["metadata"]["uid"].clone();
    lab.cluster.run(&["stop", "--quiet"]);
    assert!(
        lab.cluster.processes("init").is_empty(),
        "nothing runs any more"
    );
    leave_traces(lab, uid.as_str().expect("it has one"));
    lab.cluster.run(&["start", "--quiet"]);
    // The status of the time before says ready; only a new run has a new id.
    for name in NAMES {
        lab.until("pod", name, |pod| {
            let status = &pod["status"]["containerStatuses"][0];
            status["ready"] == true && status["restartCount"] == 1
        });
    }
    assert_eq!(lab.cluster.run(&["image", "ls"]), image);
    assert_eq!(lab.object("pod", "claims")["metadata"]["uid"], uid);
    lab.check(
        "claims",
        "c",
        &[
            ("cat /v/f", "kept"),
            ("cat /v/asked", "asked"),
            (
                "ls -d /trace || echo none",
                "ls: /trace: No such file or directory\nnone",
            ),
        ],
    );
    // What was in memory is made once more.
    lab.check("several", "c", &[("ls /m", "f")]);
    let first = &lab.object("pod", "several")["status"]["initContainerStatuses"][0];
    assert_eq!(first["restartCount"], 1, "{first}");
    assert_eq!(first["state"]["terminated"]["exitCode"], 0, "{first}");
    let previous = lab.kubectl(&["logs", "counts", "--previous", "--tail=1"]);
    assert!(previous.starts_with("line "), "{previous}");
}
