//! Pods as they are inside: every kind of probe, restart policy, volume and
//! security field is looked at from within the container, not in the status.

use coracle_tests::lab::{IMAGE, Lab, merge, pod};
use coracle_tests::private::in_private_network;
use coracle_tests::wait::until;
use serde_json::{Value, json};

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// A pod that sees what others leave in the folder `/shared`.
fn looker() -> Value {
    pod("looker", shared_volume(), shared_mount())
}

fn shared_volume() -> Value {
    json!({"volumes": [{"name": "shared", "hostPath": {"path": "/shared"}}]})
}

fn shared_mount() -> Value {
    json!({"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]})
}

#[test]
fn volumes() {
    in_private_network("volumes", || {
        let Some(lab) = Lab::new("volumes") else {
            return;
        };
        lab.apply(&volume_objects());
        lab.ready(&["volumes", "other"]);
        lab.check("volumes", "c", &[
            ("stat -c %a /empty; echo x > /empty/f; cat /empty/f", "777\nx"),
            ("df -k /memory | tail -1 | awk '{print $1, $2}'", "tmpfs 1024"),
            ("dd if=/dev/zero of=/memory/f bs=1k count=2000 2>&1 | grep -o 'No space left'; rm /memory/f", "No space left"),
            ("echo from-one > /host/f", ""),
            ("cat /config/deep/a.txt; stat -Lc %a /config/deep/a.txt; ls /config", "one400\ndeep"),
            ("cat /secret/password; stat -f -c %T /secret; stat -Lc %a /secret/password", "hunter2tmpfs\n440"),
            ("ls /optional | wc -l", "0"),
            ("cat /all/map /all/word /all/labels; echo; wc -c < /all/token | awk '{print ($1 > 100)}'; grep -c BEGIN /all/ca.crt",
             "onehunter2app=\"volumes\"\n1\n1"),
            ("cat /down/name /down/cpu /down/memory", "volumes25064"),
            ("echo kept > /claim/f; cat /claim/f", "kept"),
            ("cat /etc/one.conf", "one"),
            ("touch /readonly/f", "touch: /readonly/f: Read-only file system\nexit 1"),
            // The folder that the host shows is the cluster's own.
            ("ls /host-etc | wc -l", "0"),
        ]);
        lab.until_inside("volumes", "c", "ls /named", "volumes-marker");
        lab.check("other", "c", &[("cat /host/f", "from-one")]);
        live_updates(&lab);
        claims_outlive_pods(&lab);
    });
}

fn volume_objects() -> Vec<Value> {
    let volumes = json!([
        {"name": "empty", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "host", "hostPath": {"path": "/between/pods"}},
        {"name": "host-etc", "hostPath": {"path": "/etc"}},
        {"name": "config", "configMap": {"name": "config", "items": [{"key": "a", "path": "deep/a.txt", "mode": 256}]}},
        {"name": "plain", "configMap": {"name": "config"}},
        {"name": "secret", "secret": {"secretName": "secret", "defaultMode": 288}},
        {"name": "optional", "secret": {"secretName": "nowhere", "optional": true}},
        {"name": "all", "projected": {"sources": [
            {"configMap": {"name": "config", "items": [{"key": "a", "path": "map"}]}},
            {"secret": {"name": "secret", "items": [{"key": "password", "path": "word"}]}},
            {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        ]}},
        {"name": "down", "downwardAPI": {"items": [
            {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
            {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}},
            {"path": "memory", "resourceFieldRef": {"containerName": "c", "resource": "limits.memory", "divisor": "1Mi"}},
        ]}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "claim"}},
    ]);
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    let sub = |name: &str, path: &str, key: &str, value: &str| {
        let mut mount = mount(name, path);
        merge(&mut mount, json!({key: value}));
        mount
    };
    let mut readonly = mount("empty", "/readonly");
    merge(&mut readonly, json!({"readOnly": true}));
    let container = json!({
        "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "resources": {"limits": {"cpu": "250m", "memory": "64Mi"}},
        "command": ["sh", "-c", "touch /named/$POD-marker; sleep 3600"],
        "volumeMounts": [
            mount("empty", "/empty"), mount("memory", "/memory"), mount("host", "/host"),
            mount("host-etc", "/host-etc"), mount("config", "/config"), mount("secret", "/secret"),
            mount("optional", "/optional"), mount("all", "/all"), mount("down", "/down"),
            mount("claim", "/claim"), readonly,
            sub("plain", "/etc/one.conf", "subPath", "a"),
            sub("empty", "/named", "subPathExpr", "of-$(POD)"),
        ],
    });
    let other = json!({"volumeMounts": [mount("host", "/host")]});
    let host = json!({"volumes": [{"name": "host", "hostPath": {"path": "/between/pods"}}]});
    vec![
        config_map("config", json!({"a": "one", "b": "unused"})),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "stringData": {"password": "hunter2"}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "claim"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}),
        pod("volumes", json!({"volumes": volumes}), container),
        pod("other", host, other),
    ]
}

/// Mounted maps and secrets follow their objects, all at once; a sub path does not.
fn live_updates(lab: &Lab) {
    lab.apply(&[config_map("config", json!({"a": "two"}))]);
    lab.kubectl(&[
        "patch",
        "secret",
        "secret",
        "-p",
        "{\"stringData\":{\"password\":\"swordfish\"}}",
    ]);
    until("the files follow", || {
        let said = lab.inside(
            "volumes",
            "c",
            "cat /config/deep/a.txt /secret/password /all/map /all/word",
        );
        match said.as_str() {
            "twoswordfishtwoswordfish" => Ok(()),
            _ => Err(said),
        }
    });
    lab.check("volumes", "c", &[("cat /etc/one.conf", "one")]);
}

fn claims_outlive_pods(lab: &Lab) {
    lab.kubectl(&["delete", "pod", "volumes", "--wait=true"]);
    let volumes =
        json!({"volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": "claim"}}]});
    let mounts = json!({"volumeMounts": [{"name": "claim", "mountPath": "/claim"}]});
    lab.apply(&[pod("heir", volumes, mounts)]);
    lab.ready(&["heir"]);
    lab.check("heir", "c", &[("cat /claim/f", "kept")]);
}

#[test]
fn security() {
    in_private_network("security", || {
        let Some(lab) = Lab::new("security") else {
            return;
        };
        let context = |of_pod: Value, own: Value| {
            let volumes = json!([{"name": "v", "emptyDir": {}}]);
            let spec = json!({"securityContext": of_pod, "volumes": volumes});
            let mounts = json!([{"name": "v", "mountPath": "/v"}]);
            (
                spec,
                json!({"securityContext": own, "volumeMounts": mounts}),
            )
        };
        let make = |name: &str, of_pod: Value, own: Value| {
            let (spec, container) = context(of_pod, own);
            pod(name, spec, container)
        };
        lab.apply(&[
            make("plain", json!({}), json!({})),
            make("user", json!({"runAsUser": 1000, "runAsGroup": 2000, "fsGroup": 3000, "supplementalGroups": [4000], "runAsNonRoot": true}), json!({})),
            make("strict", json!({"runAsUser": 1000, "supplementalGroupsPolicy": "Strict"}), json!({})),
            make("own", json!({"runAsUser": 1000}), json!({"runAsUser": 1001, "runAsGroup": 1002})),
            make("readonly", json!({}), json!({"readOnlyRootFilesystem": true})),
            make("caps", json!({}), json!({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}})),
            make("setuid", json!({"runAsUser": 1000}), json!({})),
            make("nnp", json!({"runAsUser": 1000}), json!({"allowPrivilegeEscalation": false})),
            make("open", json!({"seccompProfile": {"type": "Unconfined"}}), json!({})),
            make("privileged", json!({}), json!({"privileged": true})),
            make("sysctl", json!({"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}]}), json!({})),
            make("root-refused", json!({"runAsNonRoot": true}), json!({})),
        ]);
        lab.ready(&[
            "plain",
            "user",
            "strict",
            "own",
            "readonly",
            "caps",
            "setuid",
            "nnp",
            "open",
            "privileged",
            "sysctl",
        ]);
        let status = |field: &str| format!("grep ^{field}: /proc/self/status | cut -f2");
        let cases: Vec<(&str, String, &str)> = vec![
            ("plain", "id -u; id -g".into(), "0\n0"),
            ("plain", status("CapBnd"), "00000000a80425fb"),
            ("plain", status("Seccomp"), "2"),
            ("plain", "unshare -m true 2>&1 | grep -o 'not permitted'".into(), "not permitted"),
            ("plain", "mknod /tmp/d b 8 0 2>&1 | grep -o 'not permitted'".into(), "not permitted"),
            ("user", "id -u; id -g; id -G; stat -c %g:%a /v; touch /v/f; stat -c %u:%g /v/f".into(), "1000\n2000\n2000 1234 3000 4000\n3000:2777\n1000:3000"),
            ("user", "touch /x 2>&1 | grep -o denied".into(), "denied"),
            ("strict", "id -G".into(), "1000"),
            ("setuid", "id -G".into(), "1000 1234"),
            ("own", "id -u; id -g".into(), "1001\n1002"),
            ("readonly", "touch /x; touch /v/f && echo volume".into(), "touch: /x: Read-only file system\nvolume"),
            ("caps", status("CapEff"), "0000000000000400"),
            ("setuid", "/bin/su -c 'id -u' root".into(), "0"),
            ("nnp", "grep NoNewPrivs /proc/self/status | cut -f2; /bin/su -c 'id -u' root 2>&1 | grep -c ^0$".into(), "1\n0\nexit 1"),
            ("open", status("Seccomp"), "0"),
            ("privileged", status("Seccomp"), "0"),
            ("privileged", "mount -t tmpfs none /tmp && echo mounted".into(), "mounted"),
            ("sysctl", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start".into(), "80"),
        ];
        for (pod, script, expected) in cases {
            lab.check(pod, "c", &[(&script, expected)]);
        }
        for (pod, uid, gid, groups) in [
            ("user", 1000, 2000, vec![1234, 2000, 3000, 4000]),
            ("strict", 1000, 1000, vec![1000]),
            ("own", 1001, 1002, vec![1002]),
        ] {
            let user = &lab.object("pod", pod)["status"]["containerStatuses"][0]["user"];
            let linux = json!({"gid": gid, "supplementalGroups": groups, "uid": uid});
            assert_eq!(*user, json!({"linux": linux}), "{pod}");
        }
        let refused = lab.until("pod", "root-refused", |pod| {
            pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
                == "CreateContainerConfigError"
        });
        let message = &refused["status"]["containerStatuses"][0]["state"]["waiting"]["message"];
        let message = message.as_str().unwrap_or("");
        assert!(
            message.starts_with("container has runAsNonRoot and image will run as root"),
            "{message}"
        );
    });
}

#[test]
fn surroundings() {
    in_private_network("surroundings", || {
        let Some(lab) = Lab::new("around") else {
            return;
        };
        let of_pod = json!({
            "hostname": "boat", "subdomain": "harbour",
            "hostAliases": [{"ip": "192.0.2.7", "hostnames": ["buoy", "beacon"]}],
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["192.0.2.53"], "searches": ["example.com"], "options": [{"name": "ndots", "value": "2"}]},
        });
        let container = json!({
            "env": [
                {"name": "FIRST", "value": "a"}, {"name": "SECOND", "value": "$(FIRST)b$$(FIRST)"},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            ],
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "m"}}],
            "workingDir": "/made/here",
            "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}, "requests": {"memory": "32Mi"}},
            "resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}],
        });
        let second = json!([
            {"name": "c", "image": IMAGE, "command": ["sleep", "3600"]},
            {"name": "d", "image": IMAGE, "command": ["sleep", "7777"]},
        ]);
        lab.apply(&[
            config_map("m", json!({"X": "from-map"})),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}),
            pod("around", of_pod, container),
            pod("shared-pids", json!({"shareProcessNamespace": true, "containers": second}), json!({})),
            pod("on-node", json!({"hostNetwork": true}), json!({})),
            pod("greedy", json!({"restartPolicy": "Never"}), json!({"command": ["tail", "/dev/zero"], "resources": {"limits": {"memory": "16Mi"}}})),
        ]);
        lab.ready(&["around", "shared-pids", "on-node"]);
        lab.check("around", "c", &[
            ("hostname; pwd; echo $FROM_IMAGE $FIRST $SECOND $P_X $KEY $CPU", "boat\n/made/here\nyes a ab$(FIRST) from-map v 1"),
            ("grep -c \"^$IP\" /etc/hosts; tail -4 /etc/hosts | grep -v ^$ | grep -v ^#", &format!("1\n{}\tboat.harbour.default.svc.cluster.local\tboat\n192.0.2.7\tbuoy\tbeacon", lab.object("pod", "around")["status"]["podIP"].as_str().unwrap_or(""))),
            ("cat /etc/resolv.conf", "search example.com\nnameserver 192.0.2.53\noptions ndots:2"),
            ("echo $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT", "10.96.0.1:443"),
            ("test $(cat /proc/1/oom_score_adj) -gt 900 && echo first", "first"),
            ("ls /var/run/secrets/kubernetes.io/serviceaccount", "ca.crt\nnamespace\ntoken"),
        ]);
        limits(&lab);
        lab.check(
            "shared-pids",
            "c",
            &[("ps -o args | grep -c '^sleep 7777'", "1")],
        );
        lab.check("around", "c", &[("ps -o args | grep -c '^sleep'", "1")]);
        lab.check(
            "on-node",
            "c",
            &[("ip -4 address show | grep -c ' 10.243.0.1/'", "1")],
        );
        let versions = lab.kubectl(&["version", "-o", "json"]);
        let versions: Value = serde_json::from_str(&versions).expect("kubectl writes JSON");
        let nodes = lab.kubectl(&[
            "get",
            "nodes",
            "-o",
            "jsonpath={.items[*].status.nodeInfo.kubeletVersion}",
        ]);
        assert_eq!(versions["serverVersion"]["gitVersion"], nodes);
        resized(&lab);
        let greedy = lab.until("pod", "greedy", |pod| pod["status"]["phase"] == "Failed");
        let ended = &greedy["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(
            (ended["reason"].as_str(), ended["exitCode"].as_i64()),
            (Some("OOMKilled"), Some(137))
        );
    });
}

#[test]
fn looking_into_a_pod() {
    in_private_network("looking_into_a_pod", || {
        let Some(lab) = Lab::new("looking") else {
            return;
        };
        let begins = json!({"initContainers": [{"name": "begins", "image": IMAGE, "command": ["sleep", "3600"]}]});
        lab.apply(&[
            pod("seen", json!({}), json!({})),
            pod("begins", begins, json!({})),
        ]);
        lab.ready(&["seen"]);
        let look = |name: &str, more: &[&str]| {
            let mut words = vec!["debug", "seen", "--image", IMAGE, "-c", name];
            words.extend(more);
            words.extend(["--", "ps", "-o", "args"]);
            lab.kubectl(&words);
            let is_over = |pod: &Value| {
                let all = pod["status"]["ephemeralContainerStatuses"].as_array();
                let mut own = all.into_iter().flatten().filter(|one| one["name"] == name);
                own.any(|one| one["state"]["terminated"].is_object())
            };
            lab.until("pod", "seen", is_over);
            lab.kubectl(&["logs", "seen", "-c", name])
        };
        // Named as with kubectl.
        let words = ["why", "pod", "seen"];
        assert!(lab.cluster.run(&words).starts_with("pod/seen: nothing"));
        let words = ["why", "seen"];
        assert!(lab.cluster.run(&words).starts_with("pod/seen: nothing"));
        lab.cluster.run(&["logs", "seen"]);
        assert!(!look("apart", &[]).contains("sleep"));
        assert!(look("beside", &["--target", "c"]).contains("sleep"));
        lab.ready(&["seen"]);
        lab.until("pod", "begins", |pod| {
            pod["status"]["initContainerStatuses"][0]["state"]["running"].is_object()
        });
        let mut logs = lab.cluster.kubectl_command(&["logs", "begins", "-c", "c"]);
        let output = logs.output().expect("kubectl is there");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains(r#"container "c" in pod "begins" is waiting to start: PodInitializing"#),
            "{said}"
        );
    });
}

/// What a container is given may change while it runs.
fn resized(lab: &Lab) {
    let resize = |limits: Value| {
        let patch =
            json!({"spec": {"containers": [{"name": "c", "resources": {"limits": limits}}]}});
        let patch = patch.to_string();
        lab.kubectl(&[
            "patch",
            "pod",
            "around",
            "--subresource=resize",
            "-p",
            &patch,
        ]);
    };
    resize(json!({"cpu": "700m"}));
    lab.until_inside("around", "c", CPU, "70000");
    let count = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].clone();
    let pod = lab.until("pod", "around", |pod| {
        pod["status"]["containerStatuses"][0]["resources"]["limits"]["cpu"] == "700m"
    });
    assert_eq!(count(&pod), 0);
    // Its policy is to be restarted for this one.
    resize(json!({"memory": "96Mi"}));
    lab.until("pod", "around", |pod| count(pod) == 1);
    lab.until_inside("around", "c", MEMORY, "100663296");
}

const MEMORY: &str =
    "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max";
const CPU: &str =
    "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max";

fn limits(lab: &Lab) {
    lab.check("around", "c", &[(MEMORY, "67108864"), (CPU, "50000")]);
}

#[test]
fn life() {
    in_private_network("life", || {
        let Some(lab) = Lab::new("life") else { return };
        lab.apply(&[looker()]);
        lab.ready(&["looker"]);
        lab.apply(&life_objects());
        let seen = |script: &str| lab.inside("looker", "c", script);
        let phase =
            |name: &str, phase: &str| lab.until("pod", name, |pod| pod["status"]["phase"] == phase);
        phase("never", "Failed");
        phase("on-failure", "Succeeded");
        assert_eq!(
            seen("cat /shared/never | wc -l; cat /shared/on-failure | wc -l"),
            "1\n2"
        );
        lab.until("pod", "always", |pod| {
            pod["status"]["containerStatuses"][0]["restartCount"] == 1
        });
        lab.until_inside("looker", "c", "cat /shared/always | wc -l", "2");
        let ended = |name: &str| {
            lab.object("pod", name)["status"]["containerStatuses"][0]["state"]["terminated"].clone()
        };
        assert_eq!(ended("never")["message"], "last words\n");
        phase("loud", "Failed");
        assert_eq!(ended("loud")["message"], "from the log\n");
        phase("beside", "Succeeded");
        assert_eq!(seen("cat /shared/beside"), "main\nsidecar TERM");
        phase("late", "Failed");
        assert_eq!(
            lab.object("pod", "late")["status"]["reason"],
            "DeadlineExceeded"
        );

        lab.ready(&["ordered"]);
        assert_eq!(seen("cat /shared/post-start"), "began");
        let order = "first\nsidecar\nsecond\nmain";
        lab.until_inside("looker", "c", "cat /shared/order", order);
        lab.kubectl(&["delete", "pod", "ordered", "--wait=true"]);
        // The hook, then the signal; the sidecar ends after the others.
        assert_eq!(seen("cat /shared/end"), "hook\nmain TERM\nsidecar TERM");
    });
}

fn life_objects() -> Vec<Value> {
    let make = |name: &str, spec: Value, container: Value| {
        let mut all = shared_volume();
        merge(&mut all, spec);
        let mut own = shared_mount();
        merge(&mut own, container);
        pod(name, all, own)
    };
    let shell = |script: &str| json!({"command": ["sh", "-c", script]});
    let with = |name: &str, script: &str, more: Value| {
        let mut container = json!({"name": name, "image": IMAGE, "command": ["sh", "-c", script]});
        merge(&mut container, shared_mount());
        merge(&mut container, more);
        container
    };
    let ordered = json!({
        "terminationGracePeriodSeconds": 20,
        "initContainers": [
            with("first", "echo first >> /shared/order", json!({})),
            with("sidecar", "trap 'echo sidecar TERM >> /shared/end; exit 0' TERM; echo sidecar >> /shared/order; touch /started; while true; do sleep 0.1; done",
                json!({"restartPolicy": "Always", "startupProbe": {"exec": {"command": ["test", "-f", "/started"]}, "periodSeconds": 1, "failureThreshold": 300, "timeoutSeconds": 30}})),
            with("second", "echo second >> /shared/order", json!({})),
        ],
    });
    let mut main = shell(
        "trap 'echo main TERM >> /shared/end; exit 0' TERM; echo main >> /shared/order; while true; do sleep 0.1; done",
    );
    merge(
        &mut main,
        json!({"lifecycle": {
            "postStart": {"exec": {"command": ["sh", "-c", "echo began > /shared/post-start"]}},
            "preStop": {"exec": {"command": ["sh", "-c", "echo hook >> /shared/end"]}},
        }}),
    );
    let mut loud = shell("echo from the log; exit 1");
    merge(
        &mut loud,
        json!({"terminationMessagePolicy": "FallbackToLogsOnError"}),
    );
    let sidecar = with(
        "sidecar",
        "trap 'echo sidecar TERM >> /shared/beside; exit 0' TERM; touch /started; while true; do sleep 0.1; done",
        json!({"restartPolicy": "Always", "startupProbe": {"exec": {"command": ["test", "-f", "/started"]}, "periodSeconds": 1}}),
    );
    let beside = json!({
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 20, "initContainers": [sidecar],
    });
    vec![
        make("beside", beside, shell("echo main >> /shared/beside")),
        make(
            "never",
            json!({"restartPolicy": "Never"}),
            shell("echo run >> /shared/never; echo last words > /dev/termination-log; exit 3"),
        ),
        make(
            "on-failure",
            json!({"restartPolicy": "OnFailure"}),
            shell("echo run >> /shared/on-failure; test $(wc -l < /shared/on-failure) = 2"),
        ),
        make(
            "always",
            json!({"restartPolicy": "Always"}),
            shell("echo run >> /shared/always; test $(wc -l < /shared/always) = 1 || sleep 3600"),
        ),
        make("loud", json!({"restartPolicy": "Never"}), loud),
        make("late", json!({"activeDeadlineSeconds": 1}), json!({})),
        make("ordered", ordered, main),
    ]
}

#[test]
fn probes() {
    in_private_network("probes", || {
        let Some(lab) = Lab::new("probes") else {
            return;
        };
        let cgi = "#!/bin/sh\\necho \\\"\\$HTTP_USER_AGENT \\$HTTP_X_PROBE \\$HTTP_HOST\\\" >> /tmp/asked\\necho Content-Type: text/plain\\necho\\ntest -f /tmp/well || { echo Status: 500; }\\n";
        let serve = format!(
            "mkdir -p /w/cgi-bin; printf \"{cgi}\" > /w/cgi-bin/ready; chmod +x /w/cgi-bin/ready; echo ok > /w/alive; exec httpd -f -p 8080 -h /w"
        );
        let http = json!({
            "command": ["sh", "-c", serve],
            "ports": [{"name": "web", "containerPort": 8080}],
            "startupProbe": {"periodSeconds": 1, "failureThreshold": 300, "timeoutSeconds": 30, "tcpSocket": {"port": 8080}},
            "readinessProbe": {"periodSeconds": 1, "timeoutSeconds": 30, "httpGet": {"port": "web", "path": "/cgi-bin/ready?x=1", "httpHeaders": [{"name": "X-Probe", "value": "seven"}, {"name": "Host", "value": "todo.localhost"}]}},
            "livenessProbe": {"periodSeconds": 1, "timeoutSeconds": 30, "failureThreshold": 2, "terminationGracePeriodSeconds": 1, "httpGet": {"port": 8080, "path": "/alive"}},
        });
        let exec = json!({
            "readinessProbe": {"periodSeconds": 1, "timeoutSeconds": 30, "exec": {"command": ["test", "-f", "/tmp/ready"]}},
        });
        let tcp = json!({
            "command": ["sh", "-c", "sleep 2; touch /tmp/open; exec httpd -f -p 9000"],
            "startupProbe": {"periodSeconds": 1, "failureThreshold": 300, "tcpSocket": {"port": 9000}},
        });
        lab.apply(&[
            pod("http", json!({}), http),
            pod("exec", json!({}), exec),
            pod("tcp", json!({}), tcp),
        ]);
        let is_ready =
            |name: &str| lab.object("pod", name)["status"]["containerStatuses"][0]["ready"] == true;
        lab.ready(&["tcp"]);
        lab.check("tcp", "c", &[("ls /tmp/open", "/tmp/open")]);

        lab.until("pod", "exec", |pod| pod["status"]["phase"] == "Running");
        assert!(!is_ready("exec"));
        lab.check("exec", "c", &[("touch /tmp/ready", "")]);
        lab.ready(&["exec"]);
        lab.check("exec", "c", &[("rm /tmp/ready", "")]);
        lab.until("pod", "exec", |pod| {
            pod["status"]["containerStatuses"][0]["ready"] == false
        });

        lab.until("pod", "http", |pod| pod["status"]["phase"] == "Running");
        lab.check("http", "c", &[("touch /tmp/well", "")]);
        lab.ready(&["http"]);
        lab.check(
            "http",
            "c",
            &[("tail -1 /tmp/asked", "kube-probe/1.36 seven todo.localhost")],
        );
        lab.check("http", "c", &[("rm /w/alive", "")]);
        let restarted = lab.until("pod", "http", |pod| {
            let status = &pod["status"]["containerStatuses"][0];
            status["restartCount"] == 1 && !status["state"]["running"].is_null()
        });
        assert_eq!(restarted["metadata"]["name"], "http");
        lab.until_inside(
            "http",
            "c",
            "ls /tmp/well 2>&1 | grep -o 'No such file'; cat /w/alive",
            "No such file\nok",
        );
        for expected in [
            "Liveness probe failed: HTTP probe failed with statuscode: 404",
            "Container c failed liveness probe, will be restarted",
        ] {
            lab.told("http", expected);
        }
    });
}
