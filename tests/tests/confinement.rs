//! What a pod may be and do, beyond `containers.rs`: users that are refused,
//! groups of volumes, capabilities, filters, the node's namespaces, kernel
//! settings, and who is ended first when memory runs out.

use coracle_tests::lab::{Lab, merge, pod};
use coracle_tests::private::in_private_network;
use serde_json::{Value, json};

fn context(of_pod: Value) -> Value {
    json!({"securityContext": of_pod})
}

/// Returns the message of a container that cannot be started as it is written.
fn refused(lab: &Lab, name: &str) -> String {
    let pod = lab.until("pod", name, |pod| {
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
            == "CreateContainerConfigError"
    });
    let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
    waiting["message"].as_str().unwrap_or("").to_owned()
}

fn status(field: &str) -> String {
    format!("grep ^{field}: /proc/self/status | cut -f2")
}

#[test]
fn users_and_groups() {
    in_private_network("users_and_groups", || {
        let Some(lab) = Lab::new("users") else {
            return;
        };
        lab.build("named:1", None, "USER app\n");
        lab.build("numeric:1", None, "USER 1000\n");
        let non_root = || context(json!({"runAsNonRoot": true}));
        let image = |name: &str| json!({"image": name});
        lab.apply(&[
            pod("named", json!({}), image("named:1")),
            pod("named-refused", non_root(), image("named:1")),
            pod("numeric", non_root(), image("numeric:1")),
            pod(
                "asked-for-root",
                context(json!({"runAsNonRoot": true, "runAsUser": 0})),
                json!({}),
            ),
            pod(
                "own-word",
                non_root(),
                json!({"securityContext": {"runAsNonRoot": false}}),
            ),
            pod("unknown", json!({}), image("nobody:1")),
        ]);
        lab.build("nobody:1", None, "USER nobody-here\n");
        lab.ready(&["named", "numeric", "own-word"]);
        lab.check(
            "named",
            "c",
            &[("id -u; id -g; echo $HOME", "1000\n1000\n/")],
        );
        lab.check(
            "numeric",
            "c",
            &[("id -u; id -g; id -G", "1000\n1000\n1000 1234")],
        );
        lab.check("own-word", "c", &[("id -u", "0")]);
        let message = refused(&lab, "named-refused");
        assert!(
            message.starts_with("container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root"),
            "{message}"
        );
        let message = refused(&lab, "asked-for-root");
        assert!(
            message.starts_with(
                "container's runAsUser breaks non-root policy (pod: \"asked-for-root_default("
            ),
            "{message}"
        );
        // Said by what it waits for, and while it backs off by how it ended.
        lab.until("pod", "unknown", |pod| {
            let status = &pod["status"]["containerStatuses"][0];
            let said = [
                &status["state"]["waiting"],
                &status["lastState"]["terminated"],
            ];
            said.iter()
                .any(|said| said["message"].to_string().contains("nobody-here"))
        });
        groups_of_volumes(&lab);
    });
}

/// What was there before belongs to the pod's group too, unless the pod says to
/// look at the volume's root alone.
fn groups_of_volumes(lab: &Lab) {
    let claim =
        || json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "kept"}}]});
    let mounts = || json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let make = |name: &str, of_pod: Value| {
        let mut spec = claim();
        merge(&mut spec, context(of_pod));
        pod(name, spec, mounts())
    };
    lab.apply(&[
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}),
        make("roots", json!({})),
    ]);
    lab.ready(&["roots"]);
    let set = "mkdir -m 700 /v/deep; echo kept > /v/deep/f; chmod 600 /v/deep/f; ln -s /etc/passwd /v/link; stat -c %a:%g /etc/passwd";
    lab.check("roots", "c", &[(set, "644:0")]);
    let user = |more: Value| {
        let mut all = json!({"runAsUser": 1000, "fsGroup": 3000});
        merge(&mut all, more);
        all
    };
    lab.apply(&[make("everything", user(json!({})))]);
    lab.ready(&["everything"]);
    lab.check(
        "everything",
        "c",
        &[
            (
                "stat -c %a:%u:%g /v/deep /v/deep/f",
                "2770:0:3000\n660:0:3000",
            ),
            (
                "cat /v/deep/f; echo more >> /v/deep/f; touch /v/deep/g; stat -c %u:%g /v/deep/g",
                "kept\n1000:3000",
            ),
            (
                "stat -c %a:%g /etc/passwd; stat -c %g /v/link",
                "644:0\n3000",
            ),
        ],
    );
    lab.check(
        "roots",
        "c",
        &[(
            "echo x > /v/deep/late; chmod 600 /v/deep/late; chgrp 0 /v/deep/late",
            "",
        )],
    );
    let on_root = json!({"fsGroupChangePolicy": "OnRootMismatch"});
    lab.apply(&[make("root-alone", user(on_root))]);
    lab.ready(&["root-alone"]);
    lab.check(
        "root-alone",
        "c",
        &[(
            "cat /v/deep/late 2>&1 | grep -o denied; tail -1 /v/deep/f",
            "denied\nmore",
        )],
    );
    lab.apply(&[make(
        "again",
        user(json!({"fsGroupChangePolicy": "Always"})),
    )]);
    lab.ready(&["again"]);
    lab.check("again", "c", &[("cat /v/deep/late", "x")]);
}

#[test]
fn capabilities_filters_and_paths() {
    in_private_network("capabilities_filters_and_paths", || {
        let Some(lab) = Lab::new("confined") else {
            return;
        };
        let own = |context: Value| json!({"securityContext": context});
        let user = || context(json!({"runAsUser": 1000}));
        lab.apply(&[
            pod("plain", json!({}), json!({})),
            pod("added", json!({}), own(json!({"capabilities": {"add": ["NET_ADMIN"]}}))),
            pod("dropped", json!({}), own(json!({"capabilities": {"drop": ["CHOWN", "NET_RAW"]}}))),
            pod("all", json!({}), own(json!({"capabilities": {"add": ["ALL"]}}))),
            pod("user-added", user(), own(json!({"capabilities": {"add": ["NET_ADMIN"]}}))),
            pod("filter-of-pod", context(json!({"seccompProfile": {"type": "Unconfined"}})), json!({})),
            pod(
                "filter-of-own",
                context(json!({"seccompProfile": {"type": "Unconfined"}})),
                own(json!({"seccompProfile": {"type": "RuntimeDefault"}})),
            ),
            pod("filter-of-file", json!({}), own(json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "mine.json"}}))),
            pod("no-token", json!({"automountServiceAccountToken": false, "enableServiceLinks": false}), json!({})),
        ]);
        lab.ready(&[
            "plain",
            "added",
            "dropped",
            "all",
            "user-added",
            "filter-of-pod",
            "filter-of-own",
            "no-token",
        ]);
        let cases: Vec<(&str, String, &str)> = vec![
            ("added", status("CapEff"), "00000000a80435fb"),
            ("added", "ip link add d0 type dummy 2>/dev/null; ip link set lo down && echo down".into(), "down"),
            ("plain", "ip link set lo down 2>&1 | grep -o 'not permitted'".into(), "not permitted"),
            ("dropped", status("CapBnd"), "00000000a80405fa"),
            ("dropped", "chown 1000 /tmp 2>&1 | grep -o 'not permitted'".into(), "not permitted"),
            ("all", "test $(grep ^CapEff: /proc/self/status | cut -f2) = $(grep ^CapBnd: /proc/self/status | cut -f2) && grep -c ^CapBnd:.000001ffffffffff$ /proc/self/status".into(), "1"),
            // Capabilities without a user who may have them.
            ("user-added", status("CapEff"), "0000000000000000"),
            ("user-added", status("CapBnd"), "00000000a80435fb"),
            ("filter-of-pod", status("Seccomp"), "0"),
            ("filter-of-own", status("Seccomp"), "2"),
            ("plain", "for f in kcore keys timer_list interrupts; do test ! -e /proc/$f || wc -c < /proc/$f; done | sort -u; ls /sys/firmware | wc -l".into(), "0\n0"),
            ("plain", "touch /sys/x 2>&1 | grep -o Read-only; echo 1 2>&1 > /proc/sys/kernel/domainname".into(), "Read-only\n/bin/sh: can't create /proc/sys/kernel/domainname: Read-only file system\nexit 1"),
            ("plain", "cat /proc/1/cmdline | tr '\\0' ' '".into(), "sleep 3600"),
            ("no-token", "ls /var/run/secrets 2>&1 | grep -o 'No such file'; env | grep -c KUBERNETES_SERVICE_HOST".into(), "No such file\n1"),
        ];
        for (pod, script, expected) in cases {
            lab.check(pod, "c", &[(&script, expected)]);
        }
        let message = refused(&lab, "filter-of-file");
        assert!(message.contains("mine.json"), "{message}");
        // What contradicts itself is not stored.
        let both = pod(
            "both",
            json!({}),
            own(json!({"privileged": true, "allowPrivilegeEscalation": false})),
        );
        let path = lab.cluster.home().join("both.json");
        std::fs::write(&path, both.to_string()).expect("a file for the test");
        let path = path.display().to_string();
        let output = lab
            .cluster
            .kubectl_command(&["apply", "-f", &path])
            .output();
        let said = String::from_utf8_lossy(&output.expect("kubectl is there").stderr).into_owned();
        assert!(
            said.contains(
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            ),
            "{said}"
        );
    });
}

#[test]
fn the_nodes_namespaces() {
    in_private_network("the_nodes_namespaces", || {
        let Some(lab) = Lab::new("hosts") else {
            return;
        };
        let full = json!({"hostname": "boat", "subdomain": "harbour", "setHostnameAsFQDN": true});
        lab.apply(&[
            pod("plain", json!({}), json!({})),
            pod("processes", json!({"hostPID": true}), json!({})),
            pod("queues-1", json!({"hostIPC": true}), json!({})),
            pod("queues-2", json!({"hostIPC": true}), json!({})),
            pod("network", json!({"hostNetwork": true}), json!({})),
            pod("full", full, json!({})),
        ]);
        lab.ready(&[
            "plain",
            "processes",
            "queues-1",
            "queues-2",
            "network",
            "full",
        ]);
        lab.check(
            "processes",
            "c",
            &[
                // The cluster's processes, which are the node's; never the host's.
                (
                    "cat /proc/1/cmdline | tr '\\0' ' ' | grep -o 'coracle init'",
                    "coracle init",
                ),
                ("cat /proc/1/environ 2>&1 | grep -o denied", "denied"),
                ("ls /proc/1/root/ 2>&1 | grep -o denied", "denied"),
            ],
        );
        lab.check(
            "plain",
            "c",
            &[("cat /proc/1/cmdline | tr '\\0' ' '", "sleep 3600")],
        );
        let queues = |pod: &str| lab.inside(pod, "c", "readlink /proc/self/ns/ipc");
        assert_eq!(queues("queues-1"), queues("queues-2"));
        assert_ne!(queues("queues-1"), queues("plain"));
        let node = lab.kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]);
        lab.check(
            "network",
            "c",
            &[
                ("hostname", &node),
                ("grep -c ^search /etc/resolv.conf", "0\nexit 1"),
            ],
        );
        lab.check(
            "plain",
            "c",
            &[(
                "grep ^search /etc/resolv.conf",
                "search default.svc.cluster.local svc.cluster.local cluster.local",
            )],
        );
        lab.check("full", "c", &[("hostname; cat /etc/hostname; echo $HOSTNAME", "boat.harbour.default.svc.cluster.local\nboat.harbour.default.svc.cluster.local\nboat.harbour.default.svc.cluster.local")]);
        settings(&lab);
        standings(&lab);
        // Ended with their pods, though they share the node's processes.
        lab.kubectl(&["delete", "pod", "processes", "--wait=true"]);
    });
}

/// Kernel settings: safe ones are the pod's own, others are refused.
fn settings(lab: &Lab) {
    let sysctls = |list: Value| context(json!({"sysctls": list}));
    let one = |name: &str, value: &str| json!([{"name": name, "value": value}]);
    lab.apply(&[
        pod(
            "safe",
            sysctls(json!([
                {"name": "net.ipv4.ip_local_port_range", "value": "40000 41000"},
                {"name": "kernel.shm_rmid_forced", "value": "1"},
                {"name": "net.ipv4.tcp_keepalive_time", "value": "77"},
            ])),
            json!({}),
        ),
        pod(
            "unsafe",
            sysctls(one("net.core.somaxconn", "1024")),
            json!({}),
        ),
    ]);
    lab.ready(&["safe"]);
    lab.check("safe", "c", &[
        ("cat /proc/sys/net/ipv4/ip_local_port_range | tr '\\t' ' '; cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/tcp_keepalive_time", "40000 41000\n1\n77"),
    ]);
    let pod = lab.until("pod", "unsafe", |pod| pod["status"]["phase"] == "Failed");
    assert_eq!(pod["status"]["reason"], "SysctlForbidden");
    assert_eq!(
        pod["status"]["message"],
        "Pod was rejected: forbidden sysctl: \"net.core.somaxconn\" not allowlisted"
    );
}

/// Who is ended first when memory runs out, by class of service.
fn standings(lab: &Lab) {
    let resources = |value: Value| json!({"resources": value});
    let all = json!({"cpu": "50m", "memory": "32Mi"});
    lab.apply(&[
        pod(
            "guaranteed",
            json!({}),
            resources(json!({"limits": all, "requests": all})),
        ),
        pod(
            "burstable",
            json!({}),
            resources(json!({"requests": {"memory": "1Gi"}})),
        ),
        pod("best-effort", json!({}), json!({})),
    ]);
    lab.ready(&["guaranteed", "burstable", "best-effort"]);
    let standing = |pod: &str| -> i64 {
        let said = lab.inside(pod, "c", "cat /proc/1/oom_score_adj");
        said.parse().unwrap_or_else(|_| panic!("{said}"))
    };
    assert_eq!(standing("best-effort"), 1000);
    let memory = lab.kubectl(&[
        "get",
        "nodes",
        "-o",
        "jsonpath={.items[0].status.allocatable.memory}",
    ]);
    let kib: i64 = memory.trim_end_matches("Ki").parse().expect("in KiB");
    let expected = 1000 - 1000 * (1 << 20) / kib;
    assert!((standing("burstable") - expected).abs() <= 1, "{expected}");
    // -997 where the starter of the cluster has it to give, else the cluster's own.
    assert!(standing("guaranteed") <= 0);
}
