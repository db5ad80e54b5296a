//! Workloads with real containers: stateful pods with stable names and claims
//! that outlive them, and a job that fails.

use std::fs;
use std::path::{Path, PathBuf};

use coracle_tests::cluster::Cluster;
use coracle_tests::skip;
use coracle_tests::wait::until;
use serde_json::{Value, json};

/// A cluster of its own with an image that holds a shell.
fn cluster(name: &str) -> Option<Cluster> {
    if !Path::new("/bin/busybox").exists() {
        skip("a static /bin/busybox is the base of the image");
        return None;
    }
    let cluster = Cluster::new(name);
    cluster.run(&["start"]);
    if cluster.kubectl(&["version"]).is_none() {
        skip("kubectl is not on this machine");
        return None;
    }
    let context = cluster.home().join("context");
    fs::create_dir_all(&context).expect("a folder for the test");
    fs::copy("/bin/busybox", context.join("busybox")).expect("it is there");
    let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\n";
    fs::write(context.join("Dockerfile"), dockerfile).expect("a file for the test");
    cluster.run(&["image", "build", "-t", "shell:1", "context"]);
    Some(cluster)
}

fn kubectl(cluster: &Cluster, args: &[&str]) -> String {
    cluster.kubectl(args).expect("it was there before")
}

fn apply(cluster: &Cluster, objects: &[Value]) {
    let file = cluster.home().join("objects.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    fs::write(&file, list.to_string()).expect("a file for the test");
    kubectl(cluster, &["apply", "-f", &file.display().to_string()]);
}

fn get(cluster: &Cluster, what: &str) -> Value {
    let text = kubectl(cluster, &["get", what, "-o", "json", "--ignore-not-found"]);
    serde_json::from_str(&text).unwrap_or_default()
}

/// Waits until an object passes the test and returns it.
fn wait(cluster: &Cluster, what: &str, state: &str, test: impl Fn(&Value) -> bool) -> Value {
    let mut found = Value::Null;
    until(&format!("{what} is {state}"), || {
        found = get(cluster, what);
        if test(&found) {
            return Ok(());
        }
        Err(format!("{:#}", found["status"]))
    });
    found
}

fn shell(command: &str) -> Value {
    json!({"name": "shell", "image": "shell:1", "imagePullPolicy": "Never",
        "command": ["/bin/busybox", "sh", "-c", command]})
}

fn stateful() -> [Value; 2] {
    let mut container = shell("echo $HOSTNAME >> /data/log; exec /bin/busybox sleep 100000");
    container["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    let labels = json!({"app": "web"});
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"clusterIP": "None", "selector": labels, "ports": [{"port": 80}]},
    });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"},
        "spec": {
            "serviceName": "web", "replicas": 2, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {
                "terminationGracePeriodSeconds": 1, "containers": [container],
            }},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}},
            }}],
        },
    });
    [service, set]
}

fn ready(count: i64) -> impl Fn(&Value) -> bool {
    move |set| {
        set["status"]["readyReplicas"] == count && set["status"]["availableReplicas"] == count
    }
}

fn inside(cluster: &Cluster, pod: &str, words: &[&str]) -> String {
    let mut args = vec!["exec", pod, "--", "/bin/busybox"];
    args.extend(words);
    kubectl(cluster, &args)
}

/// Waits until a pod's volume holds these lines: one that is ready may not have
/// written its own yet.
fn until_logged(cluster: &Cluster, pod: &str, expected: &str) {
    let show = ["sh", "-c", "/bin/busybox cat /data/log || true"];
    until(&format!("{pod} has written its line"), || {
        match inside(cluster, pod, &show) {
            log if log == expected => Ok(()),
            log => Err(log),
        }
    });
}

/// Returns the volume of a claim and where its data is on the host.
fn folder(cluster: &Cluster, claim: &str) -> (String, PathBuf) {
    let volume = get(cluster, &format!("pvc/{claim}"))["spec"]["volumeName"].clone();
    let volume = volume.as_str().expect("it is bound").to_owned();
    let path = get(cluster, &format!("pv/{volume}"))["spec"]["hostPath"]["path"].clone();
    let path = path
        .as_str()
        .expect("a folder")
        .trim_start_matches('/')
        .to_owned();
    let tree = cluster
        .home()
        .join("home/clusters/stateful/data/volumes/host");
    (volume, tree.join(path))
}

#[test]
fn stateful_pods_keep_their_names_and_their_data() {
    let Some(cluster) = cluster("stateful") else {
        return;
    };
    apply(&cluster, &stateful());
    wait(&cluster, "statefulset/web", "ready", ready(2));
    until_logged(&cluster, "web-1", "web-1\n");

    // One finds the other by its name.
    let address = get(&cluster, "pod/web-1")["status"]["podIP"].clone();
    let address = address.as_str().expect("it runs").to_owned();
    let ask = "/bin/busybox nslookup web-1.web.default.svc.cluster.local || true";
    until("the name is answered", || {
        let output = inside(&cluster, "web-0", &["sh", "-c", ask]);
        match output.contains(&address) {
            true => Ok(()),
            false => Err(output),
        }
    });

    // A new pod takes over the data of the one before it.
    let before = get(&cluster, "pod/web-0")["metadata"]["uid"].clone();
    kubectl(&cluster, &["delete", "pod", "web-0"]);
    wait(&cluster, "pod/web-0", "made again", |pod| {
        pod["metadata"]["uid"].is_string() && pod["metadata"]["uid"] != before
    });
    wait(&cluster, "statefulset/web", "ready again", ready(2));
    until_logged(&cluster, "web-0", "web-0\nweb-0\n");

    // So does the cluster after a stop.
    cluster.run(&["stop"]);
    cluster.run(&["start"]);
    let (_, place) = folder(&cluster, "data-web-0");
    until("the pod runs again", || {
        let log = fs::read_to_string(place.join("log")).unwrap_or_default();
        match log.lines().count() {
            3 => Ok(()),
            _ => Err(log),
        }
    });

    // The data goes with the claim, and only with it.
    let (volume, place) = folder(&cluster, "data-web-1");
    kubectl(&cluster, &["delete", "statefulset", "web"]);
    wait(&cluster, "pod/web-1", "gone", Value::is_null);
    assert!(place.join("log").exists(), "{} is gone", place.display());
    kubectl(&cluster, &["delete", "pvc", "data-web-1"]);
    wait(&cluster, &format!("pv/{volume}"), "gone", Value::is_null);
    assert!(!place.exists(), "{} is left", place.display());
}

#[test]
fn a_job_that_fails_says_so_and_one_that_succeeds_too() {
    let Some(cluster) = cluster("jobs") else {
        return;
    };
    let job = |name: &str, command: &str, more: Value| {
        let mut spec = json!({"template": {"spec": {
            "restartPolicy": "Never", "containers": [shell(command)],
        }}});
        for (key, value) in more.as_object().expect("a mapping") {
            spec[key.as_str()] = value.clone();
        }
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})
    };
    let indexed = json!({"completionMode": "Indexed", "completions": 3, "parallelism": 2});
    apply(
        &cluster,
        &[
            job("bad", "exit 3", json!({"backoffLimit": 1})),
            job("good", "exit $((JOB_COMPLETION_INDEX > 2))", indexed),
        ],
    );
    let has = |type_: &'static str| {
        move |job: &Value| {
            let conditions = job["status"]["conditions"].as_array();
            let mut conditions = conditions.into_iter().flatten();
            conditions.any(|one| one["type"] == type_ && one["status"] == "True")
        }
    };
    let good = wait(&cluster, "job/good", "complete", has("Complete"));
    assert_eq!(good["status"]["completedIndexes"], "0-2");
    let bad = wait(&cluster, "job/bad", "failed", has("Failed"));
    assert_eq!(bad["status"]["failed"], 2);
    assert_eq!(
        bad["status"]["conditions"][1]["reason"],
        "BackoffLimitExceeded"
    );
}
