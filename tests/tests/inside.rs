//! What further fields of a pod make of its containers, looked at from within:
//! files that follow what they show, types of host paths, whose a token is,
//! profiles of system calls, hooks, graces, names and the order of variables.

use std::fs;

use coracle_tests::cluster::repository;
use coracle_tests::lab::{IMAGE, Lab, merge, pod};
use coracle_tests::private::in_private_network;
use coracle_tests::wait::until;
use serde_json::{Value, json};

/// A name that is longer than a host's may be, which would end with a dash.
const LONG: &str = "a-name-of-a-pod-that-is-longer-than-the-sixty-three-letters-of-a-hosts";

fn host_path(path: &str, type_: &str) -> Value {
    json!({"volumes": [{"name": "v", "hostPath": {"path": path, "type": type_}}]})
}

fn mount() -> Value {
    json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})
}

fn shell(script: &str) -> Value {
    json!({"command": ["sh", "-c", script]})
}

#[test]
fn files() {
    in_private_network("files", || {
        let Some(lab) = Lab::new("files") else { return };
        host_paths(&lab);
        labels_are_followed(&lab);
        tokens_are_their_users(&lab);
        profiles(&lab);
    });
}

fn host_paths(lab: &Lab) {
    lab.apply(&[
        pod(
            "made",
            host_path("/types/folder", "DirectoryOrCreate"),
            mount(),
        ),
        pod(
            "made-file",
            host_path("/types/file", "FileOrCreate"),
            mount(),
        ),
    ]);
    lab.ready(&["made", "made-file"]);
    lab.check("made", "c", &[("touch /v/f && ls /v", "f")]);
    lab.check(
        "made-file",
        "c",
        &[("echo x > /v; stat -c %F /v", "regular file")],
    );
    lab.apply(&[
        pod("folder", host_path("/types/folder", "Directory"), mount()),
        pod("file", host_path("/types/file", "File"), mount()),
        pod("any-file", host_path("/types/file", ""), mount()),
        pod(
            "no-folder",
            host_path("/types/nowhere", "Directory"),
            mount(),
        ),
        pod("no-file", host_path("/types/folder", "File"), mount()),
        pod("no-socket", host_path("/types/file", "Socket"), mount()),
        pod("no-device", host_path("/types/file", "CharDevice"), mount()),
        pod("no-disk", host_path("/types/file", "BlockDevice"), mount()),
    ]);
    lab.ready(&["folder", "file", "any-file"]);
    lab.check("folder", "c", &[("ls /v", "f")]);
    lab.check("file", "c", &[("cat /v", "x")]);
    lab.check("any-file", "c", &[("cat /v", "x")]);
    for (name, path, word) in [
        ("no-folder", "/types/nowhere", "directory"),
        ("no-file", "/types/folder", "file"),
        ("no-socket", "/types/file", "socket file"),
        ("no-device", "/types/file", "character device"),
        ("no-disk", "/types/file", "block device"),
    ] {
        let text = format!(
            "MountVolume.SetUp failed for volume \"v\" : hostPath type check failed: {path} is not a {word}"
        );
        assert_eq!(lab.told(name, &text), "FailedMount");
        let state = &lab.object("pod", name)["status"]["containerStatuses"][0]["state"];
        assert_eq!(state["waiting"]["reason"], "ContainerCreating", "{name}");
    }
}

/// A volume of the downward API shows what labels and annotations are now.
fn labels_are_followed(lab: &Lab) {
    let volumes = json!({"volumes": [{"name": "v", "downwardAPI": {"items": [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "port", "fieldRef": {"fieldPath": "metadata.annotations['port']"}},
    ]}}]});
    lab.apply(&[pod("labelled", volumes, mount())]);
    lab.ready(&["labelled"]);
    lab.check(
        "labelled",
        "c",
        &[("cat /v/labels /v/port", "app=\"labelled\"")],
    );
    lab.kubectl(&["label", "pod", "labelled", "tide=high"]);
    lab.kubectl(&["annotate", "pod", "labelled", "port=Harwich"]);
    until("the files follow", || {
        match lab.inside("labelled", "c", "cat /v/labels; echo; cat /v/port") {
            said if said == "app=\"labelled\"\ntide=\"high\"\nHarwich" => Ok(()),
            said => Err(said),
        }
    });
}

/// Nobody but the container's user reads its token, where that user is known.
fn tokens_are_their_users(lab: &Lab) {
    let context = |value: Value| json!({"securityContext": value});
    let two = json!({"initContainers": [{
        "name": "other", "image": IMAGE, "command": ["true"], "securityContext": {"runAsUser": 2000},
    }], "securityContext": {"runAsUser": 1000}});
    lab.apply(&[
        pod("of-root", json!({}), json!({})),
        pod("of-user", context(json!({"runAsUser": 1000})), json!({})),
        pod(
            "of-group",
            context(json!({"runAsUser": 1000, "fsGroup": 3000})),
            json!({}),
        ),
        pod("of-both", two, json!({})),
    ]);
    lab.ready(&["of-root", "of-user", "of-group", "of-both"]);
    let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let whose = format!("stat -Lc %a:%u:%g {token}; wc -c < {token} | awk '{{print ($1 > 100)}}'");
    for (name, expected) in [
        ("of-root", "644:0:0\n1"),
        ("of-user", "600:1000:0\n1"),
        ("of-group", "640:1000:3000\n1"),
        ("of-both", "644:0:0\n1"),
    ] {
        lab.check(name, "c", &[(&whose, expected)]);
    }
}

/// A profile that one pod has put onto the node filters another.
fn profiles(lab: &Lab) {
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let put = format!(
        "mkdir -p /v/deep; echo '{profile}' > /v/deep/no-folders.json; echo no > /v/broken.json; sleep 3600"
    );
    let folder = host_path("/var/lib/kubelet/seccomp", "DirectoryOrCreate");
    let mut putting = shell(&put);
    merge(&mut putting, mount());
    lab.apply(&[pod("puts", folder, putting)]);
    lab.ready(&["puts"]);
    lab.until_inside("puts", "c", "cat /v/broken.json", "no");
    let filtered = |name: &str| {
        let profile = json!({"type": "Localhost", "localhostProfile": name});
        json!({"securityContext": {"seccompProfile": profile}})
    };
    lab.apply(&[
        pod("filtered", filtered("deep/no-folders.json"), json!({})),
        pod("unfiltered", filtered("deep/nowhere.json"), json!({})),
        pod("broken", filtered("broken.json"), json!({})),
        pod(
            "unmasked",
            json!({"hostUsers": false}),
            json!({"securityContext": {"procMount": "Unmasked"}}),
        ),
    ]);
    lab.ready(&["filtered", "unmasked"]);
    lab.check(
        "filtered",
        "c",
        &[
            ("grep ^Seccomp: /proc/self/status | cut -f2", "2"),
            (
                "mkdir /tmp/folder 2>&1 | grep -o 'not permitted'",
                "not permitted",
            ),
            ("touch /tmp/file && echo made", "made"),
        ],
    );
    lab.check(
        "unmasked",
        "c",
        &[("grep -c ' /proc/' /proc/self/mountinfo", "0\nexit 1")],
    );
    let waiting = |name: &str| {
        let pod = lab.until("pod", name, |pod| {
            let state = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
            state["reason"] != "ContainerCreating" && !state["message"].is_null()
        });
        let state = pod["status"]["containerStatuses"][0]["state"]["waiting"].clone();
        let text = |field: &str| state[field].as_str().unwrap_or("").to_owned();
        (text("reason"), text("message"))
    };
    let (reason, message) = waiting("unfiltered");
    assert_eq!(reason, "CreateContainerConfigError");
    assert_eq!(
        message,
        "cannot load seccomp profile \"/var/lib/kubelet/seccomp/deep/nowhere.json\": no such file or directory; a pod with a hostPath volume of /var/lib/kubelet/seccomp can put it there"
    );
    let (reason, message) = waiting("broken");
    assert_eq!(reason, "CreateContainerConfigError");
    assert_eq!(
        message,
        "cannot use \"/var/lib/kubelet/seccomp/broken.json\": seccomp profile: expected ident at line 1 column 2"
    );
}

#[test]
fn lives() {
    in_private_network("lives", || {
        let Some(lab) = Lab::new("lives") else { return };
        lab.build(
            "vars:1",
            None,
            "ENV FIRST=image SECOND=image THIRD=image FOURTH=image HOSTNAME=image\n",
        );
        lab.apply(&life_objects());
        failed_hooks(&lab);
        graces(&lab);
        last_words(&lab);
        names_and_variables(&lab);
    });
}

fn life_objects() -> Vec<Value> {
    let deaf = "trap '' TERM; touch /v/alive; while true; do sleep 0.1; done";
    let empty = |more: Value| {
        let mut spec = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
        merge(&mut spec, more);
        spec
    };
    let with = |mut container: Value, more: Value| {
        merge(&mut container, mount());
        merge(&mut container, more);
        container
    };
    let fails = json!({"exec": {"command": ["sh", "-c", "echo a secret; exit 7"]}});
    let alive = json!({"periodSeconds": 1, "failureThreshold": 1, "terminationGracePeriodSeconds": 1,
        "exec": {"command": ["test", "-e", "/v/alive"]}, "timeoutSeconds": 30});
    let starts = json!({"periodSeconds": 1, "failureThreshold": 300, "timeoutSeconds": 30,
        "exec": {"command": ["test", "-e", "/v/alive"]}});
    let slow = json!({"periodSeconds": 1, "exec": {"command": ["sleep", "30"]}});
    let map = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    let variables = json!({
        "image": "vars:1",
        "envFrom": [{"configMapRef": {"name": "one"}}, {"configMapRef": {"name": "two"}}],
        "env": [
            {"name": "FOURTH", "value": "own"},
            {"name": "FIFTH", "value": "$(THIRD) $(FOURTH) $(NOBODY) $$(FOURTH)"},
            {"name": "KUBERNETES_SERVICE_PORT", "value": "own"},
            {"name": "SIXTH", "value": "$(SEVENTH)"}, {"name": "SEVENTH", "value": "late"},
        ],
        "args": ["-c", "echo $(FOURTH) $(NOBODY) $$(FOURTH) > /tmp/args; sleep 3600"],
        "command": ["sh"],
    });
    let mut long = pod(LONG, json!({"dnsPolicy": "Default"}), json!({}));
    // A label may not be that long.
    long["metadata"]["labels"] = json!({});
    vec![
        pod(
            "bad-start",
            json!({}),
            json!({"lifecycle": {"postStart": fails}}),
        ),
        pod(
            "bad-stop",
            json!({"terminationGracePeriodSeconds": 20}),
            json!({"lifecycle": {"preStop": fails}}),
        ),
        pod(
            "deaf",
            empty(json!({"terminationGracePeriodSeconds": 600})),
            with(
                shell(deaf),
                json!({"livenessProbe": alive, "startupProbe": starts}),
            ),
        ),
        pod(
            "once",
            empty(json!({"restartPolicy": "Never"})),
            with(shell("sleep 3600"), json!({"livenessProbe": alive})),
        ),
        pod("slow", json!({}), json!({"readinessProbe": slow})),
        pod(
            "words",
            json!({"restartPolicy": "Never"}),
            with_path(shell("echo said elsewhere > /tmp/words; exit 4")),
        ),
        map(
            "one",
            json!({"SECOND": "one", "THIRD": "one", "FOURTH": "one"}),
        ),
        map("two", json!({"THIRD": "two"})),
        pod("variables", json!({}), variables),
        long,
        pod(
            "on-node",
            json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}),
            json!({}),
        ),
    ]
}

fn with_path(mut container: Value) -> Value {
    merge(
        &mut container,
        json!({"terminationMessagePath": "/tmp/words"}),
    );
    container
}

/// A failed hook is told without what it printed, which may be secret.
fn failed_hooks(lab: &Lab) {
    let reason = lab.told("bad-start", "PostStartHook failed: command exited with 7");
    assert_eq!(reason, "FailedPostStartHook");
    lab.until("pod", "bad-start", |pod| {
        pod["status"]["containerStatuses"][0]["restartCount"].as_i64() > Some(0)
    });
    lab.ready(&["bad-stop"]);
    lab.kubectl(&["delete", "pod", "bad-stop", "--wait=true"]);
    let reason = lab.told("bad-stop", "PreStopHook failed: command exited with 7");
    assert_eq!(reason, "FailedPreStopHook");
}

/// A probe's own grace ends what does not listen; what it wrote to a volume
/// stays; a pod that is never restarted is not said to be.
fn graces(lab: &Lab) {
    lab.until("pod", "deaf", |pod| {
        pod["status"]["containerStatuses"][0]["started"] == true
    });
    lab.check("deaf", "c", &[("echo kept > /v/kept; rm /v/alive", "")]);
    lab.until("pod", "deaf", |pod| {
        let status = &pod["status"]["containerStatuses"][0];
        status["restartCount"] == 1 && !status["state"]["running"].is_null()
    });
    let ended = lab.object("pod", "deaf")["status"]["containerStatuses"][0]["lastState"].clone();
    assert_eq!(ended["terminated"]["exitCode"], 137, "{ended}");
    lab.check("deaf", "c", &[("cat /v/kept", "kept")]);
    lab.told(
        "deaf",
        "Container c failed liveness probe, will be restarted",
    );
    lab.until("pod", "once", |pod| pod["status"]["phase"] == "Failed");
    lab.told("once", "Container c failed liveness probe");
    let text = "Readiness probe failed: command timed out: \"sleep 30\" timed out after 1s";
    assert_eq!(lab.told("slow", text), "Unhealthy");
    for (reason, text) in [
        (
            "Pulled",
            format!(
                "Container image \"{IMAGE}\" already present on machine and can be accessed by the pod"
            ),
        ),
        ("Created", "Container created".to_owned()),
        ("Started", "Container started".to_owned()),
    ] {
        assert_eq!(lab.told("slow", &text), reason);
    }
}

fn last_words(lab: &Lab) {
    let pod = lab.until("pod", "words", |pod| pod["status"]["phase"] == "Failed");
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(ended["message"], "said elsewhere\n");
    assert_eq!(ended["exitCode"], 4);
}

fn names_and_variables(lab: &Lab) {
    lab.ready(&["variables", LONG, "on-node"]);
    lab.check(
        "variables",
        "c",
        &[
            ("echo $FIRST $SECOND $THIRD $FOURTH", "image one two own"),
            ("echo \"$FIFTH\"", "two own $(NOBODY) $(FOURTH)"),
            (
                "echo \"$KUBERNETES_SERVICE_PORT $SIXTH $SEVENTH\"",
                "own $(SEVENTH) late",
            ),
        ],
    );
    lab.until_inside("variables", "c", "cat /tmp/args", "own");
    let dns = "grep -c ^nameserver /etc/resolv.conf; grep -c ^search /etc/resolv.conf";
    lab.check(
        LONG,
        "c",
        &[("hostname", &LONG[..62]), (dns, "1\n0\nexit 1")],
    );
    lab.check(
        "on-node",
        "c",
        &[(
            "grep ^search /etc/resolv.conf",
            "search default.svc.cluster.local svc.cluster.local cluster.local",
        )],
    );
}

/// The table of the documentation names functions that are there.
#[test]
fn the_table_says_what_is_tried() {
    let table = fs::read_to_string(repository().join("docs/fields.md")).expect("it is there");
    let mut cases = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [_, _, cases_of] = cells[..] else {
            panic!("three columns: {row}");
        };
        for case in cases_of.split('`').skip(1).step_by(2) {
            let (file, function) = case.split_once("::").expect("a file and a function");
            let path = repository().join(format!("tests/tests/{file}.rs"));
            let source = fs::read_to_string(path).unwrap_or_default();
            assert!(
                source.contains(&format!("fn {function}(")),
                "there is no {case}"
            );
            cases += 1;
        }
    }
    assert!(cases >= 50, "{cases} cases");
}
