//! Folders of the host that a cluster shares: pods read and write them with the
//! ids of the host, nothing else of the host comes into sight, and they stay
//! when the cluster goes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use coracle_tests::cluster::Cluster;
use coracle_tests::host;
use coracle_tests::lab::{Lab, pod};
use coracle_tests::private::{in_private_network, is_root};
use serde_json::{Value, json};

/// Who owns what root shares, and an ordinary user.
const OWNER: u32 = 1000;
const USER: u32 = 65_534;

/// Makes a folder that belongs to `owner`, with a file and a link that leads out.
fn folder(cluster: &Cluster, owner: u32) -> PathBuf {
    let folder = cluster.home().join("shared");
    fs::create_dir_all(&folder).expect("a folder for the test");
    fs::write(folder.join("greeting"), "from the host\n").expect("a file for the test");
    symlink("/etc", folder.join("out")).expect("a link for the test");
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.join("greeting"), private).expect("it is ours");
    if is_root() {
        for path in [folder.clone(), folder.join("greeting")] {
            chown(path, Some(owner), Some(owner)).expect("root gives files away");
        }
    }
    folder
}

fn with(path: &str, type_: &str) -> Value {
    json!({"volumes": [{"name": "v", "hostPath": {"path": path, "type": type_}}]})
}

fn sees(name: &str, path: &str, type_: &str) -> Value {
    let mounts = json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    pod(name, with(path, type_), mounts)
}

/// Starts a cluster that shares its folder twice, once to be read only.
fn start(cluster: Cluster) -> Option<Lab> {
    cluster.run(&[
        "start",
        "--share=shared:/data",
        "--share=shared:/fixed:ro",
        "--quiet",
    ]);
    Lab::of(cluster)
}

fn read_and_written(lab: &Lab, shared: &Path) {
    lab.apply(&[
        sees("rw", "/data", "Directory"),
        sees("ro", "/fixed", "Directory"),
        sees("below", "/data/made/here", "DirectoryOrCreate"),
        sees("out", "/data/out", "Directory"),
    ]);
    lab.ready(&["rw", "ro", "below"]);
    lab.check(
        "rw",
        "c",
        &[
            ("cat /v/greeting", "from the host"),
            ("echo answer > /v/answer", ""),
            (
                "touch /v/greeting/x",
                "touch: /v/greeting/x: Not a directory\nexit 1",
            ),
        ],
    );
    lab.check(
        "ro",
        "c",
        &[
            ("cat /v/answer", "answer"),
            (
                "rm /v/answer",
                "rm: can't remove '/v/answer': Read-only file system\nexit 1",
            ),
        ],
    );
    lab.inside("below", "c", "echo deep > /v/file");
    let read = |name: &str| fs::read_to_string(shared.join(name)).expect(name);
    assert_eq!(read("answer"), "answer\n");
    assert_eq!(read("made/here/file"), "deep\n");
    // A link in it is followed within the folder, where there is no such thing.
    let refused = lab.until("pod", "out", |_| {
        let events = lab.kubectl(&["get", "events"]);
        events.contains("hostPath type check failed: /data/out is not a directory")
    });
    assert_ne!(refused["status"]["phase"], "Running");
}

/// What else is on the host is not there.
fn nothing_else(lab: &Lab, shared: &Path) {
    let secret = shared.parent().expect("it is in the home").join("beside");
    fs::write(&secret, "not shared").expect("a file for the test");
    let said = lab.inside("rw", "c", "ls -A /v/..; cat /v/../beside /v/out/shadow");
    assert!(!said.contains("not shared"), "{said}");
    assert!(said.contains("can't open '/v/../beside'"), "{said}");
}

fn kept(lab: &Lab) {
    let cluster = &lab.cluster;
    cluster.run(&["start", "--share=shared:/data", "--share=shared:/fixed:ro"]);
    let other = cluster
        .command(&["start", "--share=shared:/elsewhere"])
        .output();
    let other = other.expect("the program was built");
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(2), "{said}");
    assert!(said.contains("decided when it starts"), "{said}");
    assert!(said.contains("coracle stop"), "{said}");

    cluster.run(&["stop", "--quiet"]);
    cluster.run(&["start", "--quiet"]);
    // The status of the time before says ready; only a new run has a new count.
    lab.until("pod", "rw", |pod| {
        let status = &pod["status"]["containerStatuses"][0];
        status["ready"] == true && status["restartCount"] == 1
    });
    lab.check("rw", "c", &[("cat /v/answer", "answer")]);
}

/// Nothing is shared any more, now and later.
fn taken_away(lab: &Lab) {
    lab.cluster.run(&["stop", "--quiet"]);
    lab.cluster.run(&["start", "--share=none", "--quiet"]);
    lab.cluster.run(&["stop", "--quiet"]);
    lab.cluster.run(&["start", "--quiet"]);
    lab.apply(&[sees("without", "/fixed", "Directory")]);
    lab.until("pod", "without", |_| {
        let events = lab.kubectl(&["get", "events"]);
        events.contains("hostPath type check failed: /fixed is not a directory")
    });
}

fn gone(lab: Lab, shared: &Path) {
    lab.cluster.run(&["delete", "--quiet"]);
    assert!(shared.join("greeting").is_file() && shared.join("made/here/file").is_file());
}

#[test]
fn folders_are_shared() {
    in_private_network("folders_are_shared", || {
        let before = host::picture("shares");
        let cluster = Cluster::new("shares");
        let shared = folder(&cluster, OWNER);
        let Some(lab) = start(cluster) else { return };
        read_and_written(&lab, &shared);
        nothing_else(&lab, &shared);
        if is_root() {
            // The ids inside are those of the host, in both directions.
            lab.check(
                "rw",
                "c",
                &[
                    ("stat -c %u:%g:%a /v/greeting", "1000:1000:600"),
                    ("chown 7:8 /v/answer", ""),
                ],
            );
            let answer = fs::metadata(shared.join("answer")).expect("it was written");
            assert_eq!((answer.uid(), answer.gid()), (7, 8));
        }
        kept(&lab);
        taken_away(&lab);
        gone(lab, &shared);
        host::assert_same(&before, &host::picture("shares"));
    });
}

#[test]
fn an_ordinary_user_shares_what_is_theirs() {
    if !is_root() {
        // The other test ran as an ordinary user.
        return;
    }
    in_private_network("an_ordinary_user_shares_what_is_theirs", || {
        let cluster = Cluster::new("sharesuser").as_user(USER);
        let shared = folder(&cluster, USER);
        let Some(lab) = start(cluster) else { return };
        read_and_written(&lab, &shared);
        let answer = fs::metadata(shared.join("answer")).expect("it was written");
        assert_eq!(answer.uid(), USER);
        kept(&lab);
        taken_away(&lab);
        gone(lab, &shared);
    });
}

#[test]
fn a_folder_that_is_not_there_starts_nothing() {
    let cluster = Cluster::new("sharesnone");
    let check = |share: &str, code: i32, parts: &[&str]| {
        let output = cluster.command(&["start", "--share", share]).output();
        let output = output.expect("the program was built");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
        }
        assert!(!cluster.home().join("home/clusters/sharesnone").exists());
    };
    check(
        "missing:/data",
        1,
        &["missing", "No such file", "--share FOLDER"],
    );
    check("missing:data", 2, &["PATH absolute"]);
}
