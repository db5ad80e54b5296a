//! A disk without room: nothing half-made stays, what is needed least goes
//! first, and images that containers use stay whatever becomes of their names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coracle_tests::cluster::Cluster;
use coracle_tests::lab::{IMAGE, Lab, condition, pod};
use coracle_tests::mishap::Said;
use coracle_tests::private::in_private_network;
use coracle_tests::skip;
use coracle_tests::wait::until;
use serde_json::json;

/// A disk of some megabytes at the home of a cluster, in memory.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// `None`, with a loud line, where memory cannot hold containers.
    fn new(cluster: &Cluster, megabytes: u32) -> Option<Disk> {
        let at = cluster.home().join("home");
        fs::create_dir_all(&at).expect("a folder for the test");
        let size = format!("size={megabytes}m");
        run("mount", &["-t", "tmpfs", "-o", &size, "none", text(&at)]);
        let disk = Disk { at };
        // Linux 6.6 is the first that keeps the attributes of overlays in memory.
        let probe = disk.at.join("probe");
        fs::write(&probe, "").expect("there is room");
        let flags = rustix::fs::XattrFlags::empty();
        let kept = rustix::fs::setxattr(&probe, "user.test", b"x", flags);
        fs::remove_file(&probe).expect("it was made");
        if kept.is_err() {
            skip("this kernel keeps no user attributes in memory");
            return None;
        }
        Some(disk)
    }

    /// Fills it until so many bytes are free.
    fn fill(&self, free: u64) {
        let path = self.at.join("filling");
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("a name costs nothing");
        // Who runs on the disk takes some of it meanwhile.
        until("it is filled", || {
            let stat = rustix::fs::statvfs(&self.at).expect("it is mounted");
            let available = stat.f_bavail * stat.f_frsize;
            let have = file.metadata().expect("it is open").len();
            let more = available.saturating_sub(free);
            let flags = rustix::fs::FallocateFlags::empty();
            match more {
                0 => Ok(()),
                more => rustix::fs::fallocate(&file, flags, have, more)
                    .map_err(|error| error.to_string()),
            }
        });
    }

    fn clear(&self) {
        fs::remove_file(self.at.join("filling")).expect("it was filled");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["--lazy", text(&self.at)]);
        // Who owns the folder may have gone before.
        if let Some(folder) = self.at.parent() {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn run(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{program} {words:?}"
    );
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Writes a context with a file of random bytes.
fn context(cluster: &Cluster, name: &str, bytes: usize, base: &str) -> String {
    let folder = cluster.home().join(name);
    fs::create_dir_all(&folder).expect("a folder for the test");
    let mut random = fs::File::open("/dev/urandom").expect("every Linux has it");
    let mut content = vec![0; bytes];
    std::io::Read::read_exact(&mut random, &mut content).expect("it does not end");
    fs::write(folder.join("content"), content).expect("a file for the test");
    let dockerfile = format!("FROM {base}\nCOPY content /content\n");
    fs::write(folder.join("Dockerfile"), dockerfile).expect("a file for the test");
    text(&folder).to_owned()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            _ => found.push(entry.path()),
        }
    }
    found
}

#[test]
fn nothing_half_made_stays() {
    in_private_network("nothing_half_made_stays", || {
        let cluster = Cluster::new("brim");
        let Some(disk) = Disk::new(&cluster, 120) else {
            return;
        };
        let images = disk.at.join("images");
        let no_room = [
            "no space left on the disk of the image store",
            "coracle image rm",
        ];
        let big = context(&cluster, "big", 150_000_000, "scratch");
        let small = context(&cluster, "small", 1000, "scratch");
        let build =
            |name: &str, folder: &str| Said::by(&cluster, &["image", "build", "-t", name, folder]);
        build("big:1", &big).check("build", 1, &no_room);
        assert_eq!(files_below(&images.join("stage")), [] as [PathBuf; 0]);
        build("small:1", &small).check("build", 0, &[]);
        let list = cluster.run(&["image", "ls"]);
        assert!(
            list.contains("small:1") && !list.contains("big:1"),
            "{list}"
        );

        // An archive that is larger than the disk, and one that is none.
        let other = Cluster::new("brimother");
        other.run(&["image", "build", "--quiet", "-t", "big:1", &big]);
        let archive = cluster.home().join("big.tar");
        other.run(&["image", "save", "-o", text(&archive), "big:1"]);
        let load = |path: &Path| Said::by(&cluster, &["image", "load", text(path)]);
        load(&archive).check("load", 1, &no_room);
        let bytes = fs::read(&archive).expect("it was saved");
        let cut = cluster.home().join("cut.tar");
        fs::write(&cut, &bytes[..bytes.len() / 2]).expect("a file for the test");
        load(&cut).check("load", 1, &["cut.tar", "ends in the middle", "docker save"]);
        load(&cluster.home().join("small/content")).check("load", 1, &["content"]);
        load(&cluster.home().join("nowhere.tar")).check("load", 1, &["nowhere.tar"]);
        assert_eq!(files_below(&images.join("stage")), [] as [PathBuf; 0]);
        let kept = cluster.home().join("kept.tar");
        fs::write(&kept, "as it was").expect("a file for the test");
        Said::by(&cluster, &["image", "save", "-o", text(&kept), "nobody:1"]).check(
            "save",
            1,
            &["nobody:1"],
        );
        assert_eq!(fs::read(&kept).expect("it is there"), b"as it was");
        assert!(!kept.with_file_name("kept.tar.partial").exists());

        disk.fill(0);
        let start = || Said::by(&cluster, &["start"]);
        start().check(
            "start",
            4,
            &["the disk is full", "free some space", "CORACLE_HOME"],
        );
        assert!(!disk.at.join("clusters/brim").exists());
        disk.clear();
        start().check("start", 0, &[]);
        full_while_it_runs(&cluster, &disk);
        // While its folder is there.
        cluster.run(&["delete", "--quiet"]);
    });
}

/// The API says that nothing can be stored, goes on answering, and stores again.
fn full_while_it_runs(cluster: &Cluster, disk: &Disk) {
    let kubectl = |words: &[&str]| -> Said {
        let output = cluster.kubectl_command(words).output();
        output.expect("kubectl is there").into()
    };
    let create = |name: &str| {
        let value = format!("--from-literal=a={}", "x".repeat(100_000));
        kubectl(&["create", "configmap", name, &value])
    };
    create("before").check("create", 0, &[]);
    disk.fill(0);
    let mut refused = None;
    for number in 0..200 {
        let said = create(&format!("more-{number}"));
        if said.code != Some(0) {
            refused = Some((number, said));
            break;
        }
    }
    let (number, said) = refused.expect("the disk is full");
    assert!(said.text.contains("space"), "{}", said.text);
    kubectl(&["get", "configmap", "before", "-o", "name"]).check("get", 0, &["before"]);
    disk.clear();
    until("it stores again", || {
        let said = create(&format!("more-{number}"));
        match said.code {
            Some(0) => Ok(()),
            _ => Err(said.text),
        }
    });
    let list = kubectl(&["get", "configmaps", "-o", "name"]);
    for kept in (0..=number).map(|number| format!("more-{number}")) {
        assert!(list.text.contains(&kept), "{kept} is lost");
    }
}

#[test]
fn what_nothing_uses_goes_before_any_pod() {
    in_private_network("what_nothing_uses_goes_before_any_pod", || {
        let cluster = Cluster::new("short");
        let Some(disk) = Disk::new(&cluster, 1200) else {
            return;
        };
        let Some(lab) = Lab::of(cluster) else { return };
        let cluster = &lab.cluster;
        // The image of a running pod loses its name to another one.
        let image = |bytes: usize| {
            let folder = context(cluster, "image", bytes, IMAGE);
            cluster.run(&[
                "image",
                "build",
                "--quiet",
                "--no-roll",
                "-t",
                "used:1",
                &folder,
            ]);
        };
        image(10_000_000);
        lab.apply(&[
            pod("uses", json!({}), json!({"image": "used:1"})),
            pod("other", json!({}), json!({})),
        ]);
        lab.ready(&["uses", "other"]);
        let sum = lab.inside("uses", "c", "sha256sum /content");
        image(20_000_000);
        image(15_000_000);
        cluster.run(&["image", "prune", "--build-cache"]);
        let same = |when: &str| {
            assert_eq!(lab.inside("uses", "c", "sha256sum /content"), sum, "{when}");
        };
        same("after a prune");
        restarted(&lab);
        cluster.run(&["image", "prune", "--build-cache"]);
        same("after a restart of the engine");

        image(40_000_000);
        image(1_000_000);
        let layers = || fs::read_dir(disk.at.join("images/layers")).map_or(0, Iterator::count);
        let before = layers();
        // Less than must be free, and more once nobody's images are gone.
        disk.fill((1 << 30) - 30_000_000);
        until("the disk has room again", || {
            let stat = rustix::fs::statvfs(&disk.at).expect("it is mounted");
            let free = stat.f_bavail * stat.f_frsize;
            match free > 1 << 30 && layers() < before {
                true => Ok(()),
                false => Err(format!("{free} bytes are free, {} layers", layers())),
            }
        });
        same("after the disk was short");
        for name in ["uses", "other"] {
            assert_eq!(lab.object("pod", name)["status"]["phase"], "Running");
        }
        // Nothing is left to take but pods.
        let held = layers();
        disk.fill((1 << 30) - 20_000_000);
        until("a pod is evicted", || {
            let evicted = ["uses", "other"].iter().any(|name| {
                let status = &lab.object("pod", name)["status"];
                let message = status["message"].as_str().unwrap_or("");
                status["reason"] == "Evicted"
                    && message.starts_with("The node was low on resource: ephemeral-storage. ")
            });
            evicted.then_some(()).ok_or_else(|| "not yet".to_owned())
        });
        let nodes = lab.kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]);
        lab.until("node", &nodes, |node| {
            condition(&node["status"], "DiskPressure") == "True"
        });
        // With the pods their images go.
        disk.clear();
        lab.kubectl(&["delete", "pod", "uses", "other"]);
        cluster.run(&["image", "prune", "--build-cache"]);
        assert!(layers() < held, "an image stays though its pod is gone");
    });
}

fn restarted(lab: &Lab) {
    let before = lab.cluster.processes("engine");
    for pid in &before {
        run("kill", &["-9", &pid.to_string()]);
    }
    until("there is another engine", || {
        let now = lab.cluster.processes("engine");
        let answers = lab.cluster.command(&["kubectl", "get", "nodes"]).output();
        let answers = answers.is_ok_and(|output| output.status.success());
        match !now.is_empty() && now != before && answers {
            true => Ok(()),
            false => Err(format!("{before:?} {now:?}")),
        }
    });
}
