//! Ways out of a pod, tried and refused: the host's settings and files, links
//! through volumes, floods of logs and disk; and secrets that must be on no disk.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use coracle_tests::lab::{IMAGE, Lab, pod};
use coracle_tests::private::in_private_network;
use coracle_tests::wait::until_within;
use serde_json::{Value, json};

#[test]
fn the_host_is_out_of_reach() {
    in_private_network("the_host_is_out_of_reach", || {
        let Some(lab) = Lab::new("escape") else {
            return;
        };
        let marker = lab.cluster.home().join("host-only");
        fs::write(&marker, "seen").expect("a file for the test");
        let pattern = || fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
        let before = pattern();
        let root = json!({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]});
        let mounts = json!([{"name": "root", "mountPath": "/host"}]);
        lab.apply(&[
            pod(
                "privileged",
                root,
                json!({"securityContext": {"privileged": true}, "volumeMounts": mounts}),
            ),
            pod("plain", json!({}), json!({})),
        ]);
        lab.ready(&["privileged", "plain"]);
        let refused = |pod: &str, script: &str| {
            let said = lab.inside(pod, "c", &format!("{script} && echo DONE"));
            assert!(!said.contains("DONE"), "{pod}: {script}: {said}");
        };
        for script in [
            "echo '|/bin/sh' > /proc/sys/kernel/core_pattern",
            "echo 1 > /proc/sys/vm/drop_caches",
            "echo c > /proc/sysrq-trigger",
            "mknod /tmp/disk b 254 0 && cat /tmp/disk | head -c 1",
            "ls -R /host | grep host-only",
            "cat /proc/1/root/etc/shadow",
            "cat /host/etc/shadow",
            "insmod /nowhere.ko || rmmod ext4 || false",
        ] {
            refused("privileged", script);
        }
        let limit = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        for script in [
            "echo '|/bin/sh' > /proc/sys/kernel/core_pattern",
            "echo c > /proc/sysrq-trigger",
            &format!(
                "if [ -e {limit} ]; then echo 1073741824 > {limit}; else echo max > /sys/fs/cgroup/memory.max; fi"
            ),
            "mkdir /sys/fs/cgroup/mine || mkdir /sys/fs/cgroup/memory/mine",
            "mount -t tmpfs none /tmp",
            "mount -o remount,rw /proc/sys",
            "chroot / unshare -m true",
            "cat /proc/kcore | head -c 1 | grep .",
        ] {
            refused("plain", script);
        }
        assert_eq!(pattern(), before);
        links(&lab);
    });
}

/// A link that one pod leaves in a volume leads another nowhere but into the
/// cluster's own tree.
fn links(lab: &Lab) {
    let volume = |path: &str| json!({"volumes": [{"name": "v", "hostPath": {"path": path}}]});
    let mount = |sub: Value| {
        let mut mount = json!({"name": "v", "mountPath": "/v"});
        if let Some(sub) = sub.as_str() {
            mount["subPath"] = json!(sub);
        }
        json!({"volumeMounts": [mount]})
    };
    lab.apply(&[pod("trap", volume("/trap"), mount(Value::Null))]);
    lab.ready(&["trap"]);
    let set = "ln -s / /v/root; ln -s /etc /v/etc; ln -s ../../../../../../etc /v/up; ln -s /proc/1/root /v/proc; mkdir /v/deep; ln -s ../../.. /v/deep/up";
    lab.check("trap", "c", &[(set, "")]);
    for (number, link) in ["root", "etc", "up", "proc", "deep/up"]
        .into_iter()
        .enumerate()
    {
        let name = format!("through-{number}");
        lab.apply(&[pod(&name, volume("/trap"), mount(json!(link)))]);
        // Either it is refused, or what is seen is not the host's.
        lab.until("pod", &name, |pod| {
            let state = &pod["status"]["containerStatuses"][0]["state"];
            !state["running"].is_null()
                || state["waiting"]["reason"]
                    .as_str()
                    .is_some_and(|reason| reason != "ContainerCreating")
        });
        let state = &lab.object("pod", &name)["status"]["containerStatuses"][0]["state"];
        assert!(
            state["running"].is_null(),
            "a sub path leads through {link}"
        );
        let by_path = format!("by-path-{number}");
        lab.apply(&[pod(
            &by_path,
            volume(&format!("/trap/{link}")),
            mount(Value::Null),
        )]);
        lab.until("pod", &by_path, |pod| {
            !pod["status"]["containerStatuses"][0].is_null()
        });
        let running =
            &lab.object("pod", &by_path)["status"]["containerStatuses"][0]["state"]["running"];
        if !running.is_null() {
            lab.check(
                &by_path,
                "c",
                &[("ls /v | grep -c -e shadow -e host-only", "0\nexit 1")],
            );
        }
    }
}

/// How much each of two pods writes to its log: `FLOOD_BYTES`, or a hundred megabytes.
fn flood_bytes() -> u64 {
    let set = std::env::var("FLOOD_BYTES").ok();
    set.and_then(|text| text.parse().ok())
        .unwrap_or(100_000_000)
}

/// More than is kept of one log: five files of ten megabytes.
const KEPT_MAX: u64 = 60_000_000;

/// Ten megabytes a second are slow even for a machine that does other things.
fn flood_patience() -> Duration {
    Duration::from_secs(300) + Duration::from_secs(flood_bytes() / 10_000_000)
}

#[test]
fn floods_stay_bounded() {
    in_private_network("floods_stay_bounded", || {
        let Some(lab) = Lab::new("flood") else { return };
        // Far more than is kept, in lines and in one line.
        let lines = format!(
            "yes 'a line of a flood that has some sixty letters, more or less' | head -c {}; echo; echo end of lines",
            flood_bytes()
        );
        let one = format!(
            "head -c {} /dev/zero | tr '\\0' x; echo; echo end of one",
            flood_bytes()
        );
        let once = json!({"restartPolicy": "Never"});
        let fill = "dd if=/dev/zero of=/full/f bs=1M count=8; sleep 3600";
        let empty = json!({"volumes": [{"name": "full", "emptyDir": {"sizeLimit": "4Mi"}}]});
        let shell = |script: &str| json!({"command": ["sh", "-c", script]});
        let mut filling = shell(fill);
        filling["volumeMounts"] = json!([{"name": "full", "mountPath": "/full"}]);
        let mut writing = shell("dd if=/dev/zero of=/tmp/f bs=1M count=8; sleep 3600");
        writing["resources"] = json!({"limits": {"ephemeral-storage": "4Mi"}});
        lab.apply(&[
            pod("lines", once.clone(), shell(&lines)),
            pod("one", once, shell(&one)),
            pod("fills", empty, filling),
            pod("writes", json!({}), writing),
        ]);
        let logs = lab.cluster.home().join("home/clusters/flood/data/logs");
        let since = Instant::now();
        let mut most = 0;
        for (name, last) in [("lines", "end of lines\n"), ("one", "end of one\n")] {
            until_within(flood_patience(), &format!("{name} is written"), || {
                most = most.max(bytes_below(&logs));
                let phase = lab.object("pod", name)["status"]["phase"].clone();
                (phase == "Succeeded")
                    .then_some(())
                    .ok_or_else(|| phase.to_string())
            });
            assert_eq!(lab.kubectl(&["logs", name, "--tail=1"]), last);
        }
        println!(
            "2 x {} bytes of log in {:.0} s, never more than {most} on the disk",
            flood_bytes(),
            since.elapsed().as_secs_f64()
        );
        assert!(most < 2 * KEPT_MAX, "{most} bytes of logs were kept");
        let evicted = |name: &str, text: &str| {
            let pod = lab.until("pod", name, |pod| pod["status"]["phase"] == "Failed");
            assert_eq!(pod["status"]["reason"], "Evicted");
            let message = pod["status"]["message"].as_str().unwrap_or("");
            assert_eq!(message, text);
        };
        evicted(
            "fills",
            "Usage of EmptyDir volume \"full\" exceeds the limit \"4Mi\". ",
        );
        evicted(
            "writes",
            "Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. ",
        );
    });
}

#[test]
fn secrets_are_on_no_disk() {
    in_private_network("secrets_are_on_no_disk", || {
        let Some(lab) = Lab::new("canary") else {
            return;
        };
        let canary = format!("canary-{}-{}", std::process::id(), "a7f3c1");
        let volumes = json!({"volumes": [
            {"name": "s", "secret": {"secretName": "canary"}},
            {"name": "p", "projected": {"sources": [{"secret": {"name": "canary"}}]}},
        ], "initContainers": [{
            "name": "init", "image": IMAGE, "command": ["sh", "-c", "test -n \"$VALUE\""],
            "env": [{"name": "VALUE", "valueFrom": {"secretKeyRef": {"name": "canary", "key": "value"}}}],
        }]});
        let container = json!({
            "envFrom": [{"secretRef": {"name": "canary"}}],
            "command": ["sh", "-c", "sleep 3600; echo $(value)"],
            "volumeMounts": [{"name": "s", "mountPath": "/s"}, {"name": "p", "mountPath": "/p"}],
        });
        lab.kubectl(&[
            "create",
            "secret",
            "generic",
            "canary",
            &format!("--from-literal=value={canary}"),
        ]);
        lab.apply(&[pod("holder", volumes, container)]);
        lab.ready(&["holder"]);
        lab.check(
            "holder",
            "c",
            &[(
                "cat /s/value /p/value; echo $value",
                &format!("{canary}{canary}{canary}"),
            )],
        );
        lab.kubectl(&[
            "exec",
            "holder",
            "--",
            "sh",
            "-c",
            "echo $value > /dev/null",
        ]);
        let encoded = lab.kubectl(&["get", "secret", "canary", "-o", "jsonpath={.data.value}"]);
        // The kernel's view of the cluster's folder from outside: what is on the disk.
        let home = lab.cluster.home().join("home");
        for needle in [canary.as_str(), encoded.trim()] {
            let found = holding(&home, needle.as_bytes());
            assert!(found.is_empty(), "a secret is in {found:?}");
        }
    });
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |meta| meta.len()),
            _ => 0,
        })
        .sum()
}

/// Returns the files below a folder that hold some bytes.
fn holding(folder: &Path, needle: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(holding(&path, needle)),
            Ok(kind) if kind.is_file() => {
                let bytes = fs::read(&path).unwrap_or_default();
                if bytes.windows(needle.len()).any(|window| window == needle) {
                    found.push(path);
                }
            }
            _ => {}
        }
    }
    found
}
