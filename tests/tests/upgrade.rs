//! A cluster that an older build made goes over to this one under load: every
//! request is answered, no container is restarted. Data that a newer build has
//! written is refused by an older one, which says what to do.
//!
//! `CORACLE_OLDER` names a real older build, see `coracle_tests::older`;
//! `CORACLE_UPGRADES` says how often the running cluster is upgraded.

use std::fs::File;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coracle_tests::cluster::{Cluster, arguments, descendants, repository};
use coracle_tests::load::{Client, Load, until_answered};
use coracle_tests::mishap::Said;
use coracle_tests::names::question;
use coracle_tests::private::in_private_network;
use coracle_tests::site::{self, HOST};
use coracle_tests::wait::until;
use coracle_tests::{older, skip};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

/// Where cluster DNS listens.
const DNS: (&str, u16) = ("10.244.0.2", 53);
const NODE_PORT: u16 = 31_481;

fn upgrades() -> usize {
    let set = std::env::var("CORACLE_UPGRADES").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(2)
}

fn client(name: &'static str, port: u16, keeps: bool, sends: bool) -> Client {
    Client {
        name,
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        host: HOST,
        keeps,
        sends,
    }
}

fn clients() -> [Client; 4] {
    [
        client("node port, a connection each", NODE_PORT, false, false),
        client("node port, kept, POST", NODE_PORT, true, true),
        client("Ingress, a connection each", 80, false, false),
        client("Ingress, kept, POST", 80, true, true),
    ]
}

/// Runs a command of a build; it must do what it is asked.
fn run(cluster: &Cluster, program: &Path, args: &[&str]) -> String {
    let output = cluster.command_of(program, args).output();
    let said = Said::from(output.expect("the program is there"));
    assert_eq!(said.code, Some(0), "{args:?}: {}", said.text);
    said.text
}

fn kubectl(cluster: &Cluster, args: &[&str]) -> String {
    cluster.kubectl(args).expect("kubectl is fetched by CI")
}

/// What an upgrade must leave alone: the pods as their status has them, and
/// their programs as the kernel has them.
fn picture(cluster: &Cluster) -> (Vec<Value>, Vec<i32>) {
    let text = kubectl(cluster, &["get", "pods", "-o", "json"]);
    let list: Value = serde_json::from_str(&text).expect("kubectl writes JSON");
    let pods = list["items"].as_array().into_iter().flatten();
    let pods = pods.map(|pod| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let containers = pod["status"]["containerStatuses"].as_array();
        // A newer version may say more of a container.
        let container = |one: &Value| {
            let names = [
                "containerID",
                "imageID",
                "ready",
                "restartCount",
                "state",
                "lastState",
            ];
            names.map(|name| one[name].clone())
        };
        json!({
            "uid": pod["metadata"]["uid"], "ip": pod["status"]["podIP"],
            "ready": conditions.filter(|one| one["type"] == "Ready").collect::<Vec<_>>(),
            "containers": containers.into_iter().flatten().map(container).collect::<Vec<_>>(),
        })
    });
    let inside = descendants(cluster.processes("init")[0]);
    let sites = inside
        .into_iter()
        .filter(|pid| arguments(*pid).first().is_some_and(|word| word == "/site"));
    let (pods, mut programs): (Vec<Value>, Vec<i32>) = (pods.collect(), sites.collect());
    programs.sort_unstable();
    assert!(!pods.is_empty() && pods.len() == programs.len(), "{pods:?}");
    (pods, programs)
}

/// Reads through the API without a pause until told to stop; returns how often.
fn reader(cluster: &Cluster, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<usize> {
    let mut command = cluster.kubectl_command(&["get", "deployments", "-o", "name"]);
    std::thread::spawn(move || {
        let mut answered = 0;
        while !stop.load(Ordering::Relaxed) {
            let output = command.output().expect("kubectl was there before");
            let said = Said::from(output);
            assert_eq!(
                said.code,
                Some(0),
                "the API after {answered}: {}",
                said.text
            );
            answered += 1;
        }
        answered
    })
}

/// Asks cluster DNS from inside without a pause until told to stop, by datagrams
/// and by connections; returns how often it was answered.
fn asker(cluster: &Cluster, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<usize> {
    let init = cluster.processes("init")[0];
    let inside = File::open(format!("/proc/{init}/ns/net")).expect("the test is root");
    std::thread::spawn(move || {
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(inside.as_fd(), kind).expect("the test is root");
        let socket = UdpSocket::bind("0.0.0.0:0").expect("any port is free");
        let patience = Some(Duration::from_secs(60));
        socket.set_read_timeout(patience).expect("it is not zero");
        socket.connect(DNS).expect("there is a way");
        let question = question("kubernetes.default.svc.cluster.local");
        let (mut answered, mut buffer) = (0, [0; 512]);
        while !stop.load(Ordering::Relaxed) {
            let answer = socket
                .send(&question)
                .and_then(|_| socket.recv(&mut buffer));
            let stream = TcpStream::connect(DNS);
            assert!(
                answer.is_ok() && stream.is_ok(),
                "DNS after {answered}: {answer:?}, {stream:?}"
            );
            answered += 1;
        }
        answered
    })
}

fn begin(cluster: &Cluster, old: &Path) {
    run(cluster, old, &["start"]);
    site::build(cluster);
    site::apply(cluster, &site::objects(NODE_PORT));
    kubectl(cluster, &["scale", "deploy/site", "--replicas=2"]);
    kubectl(
        cluster,
        &["rollout", "status", "deploy/site", "--timeout=300s"],
    );
    until_answered(&clients());
}

/// Upgrades under load and checks that nobody noticed.
fn upgrade(cluster: &Cluster, turn: usize) {
    let before = picture(cluster);
    let processes = |kinds: [&str; 3]| kinds.map(|kind| cluster.processes(kind));
    let kinds = ["engine", "dataplane", "gateway-worker"];
    let old = processes(kinds);
    let load = Load::start(&clients());
    let stop = Arc::new(AtomicBool::new(false));
    let reader = reader(cluster, stop.clone());
    let asker = asker(cluster, stop.clone());
    until("the load is on", || match load.answered() > 200 {
        true => Ok(()),
        false => Err(load.failures().join(", ")),
    });
    let said = Said::by(cluster, &["start", "--upgrade"]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    eprintln!("{}", said.text.trim_end());
    let after = load.answered();
    until("the load goes on", || match load.answered() > after + 400 {
        true => Ok(()),
        false => Err(load.failures().join(", ")),
    });
    stop.store(true, Ordering::Relaxed);
    let reads = reader.join().expect("every read is answered");
    let names = asker.join().expect("every question is answered");
    let failures = load.failures();
    let counts = load.end();
    // What was under way at the old processes has ended there.
    until("the old processes have ended", || {
        // The gateway's worker is not below pid 1.
        let mut left = descendants(cluster.processes("init")[0]);
        left.extend(cluster.processes("gateway-worker"));
        left.retain(|pid| old.concat().contains(pid));
        match left.is_empty() {
            true => Ok(()),
            false => Err(format!("{left:?}")),
        }
    });
    assert!(
        failures.is_empty(),
        "upgrade {turn}: {}\n{}\n{}\n{}",
        failures.join("\n"),
        counts.join("\n"),
        cluster.log("dataplane"),
        cluster.log("gateway"),
    );
    for (kind, (old, new)) in kinds.iter().zip(old.iter().zip(processes(kinds))) {
        assert_eq!(new.len(), 1, "one {kind}");
        assert_ne!(*old, new, "the {kind} is another process");
    }
    assert_eq!(
        picture(cluster),
        before,
        "pods and their programs are the same"
    );
    eprintln!(
        "upgrade {turn}: {}; {reads} reads of the API, {names} questions for a name",
        counts.join(", ")
    );
}

fn an_older_build_refuses(cluster: &Cluster, old: &Path) {
    for args in [&["start"][..], &["start", "--upgrade"], &["up", "chart"]] {
        let output = cluster.command_of(old, args).output();
        let said = Said::from(output.expect("the program is there"));
        said.check(
            &args.join(" "),
            4,
            &[
                "has format 2",
                "use the coracle that wrote it, or a newer one",
            ],
        );
    }
}

#[test]
fn an_older_cluster_is_upgraded_under_load() {
    if !repository().join("target/oracles/kubectl").exists() {
        return skip("run `cargo xtask oracles` first");
    }
    in_private_network("an_older_cluster_is_upgraded_under_load", || {
        let cluster = Cluster::new("upgrades");
        let old = older::build(cluster.home());
        begin(&cluster, &old);
        let chart = cluster.home().join("chart");
        std::fs::create_dir_all(&chart).expect("a folder for the test");
        std::fs::write(
            chart.join("Chart.yaml"),
            "apiVersion: v2\nname: chart\nversion: 0.1.0\n",
        )
        .expect("a file for the test");
        let folder = cluster.home().join("home/clusters/upgrades");
        let format = || std::fs::read_to_string(folder.join("format")).unwrap_or_default();
        // A real older build may write the format of this one already.
        let has_older_format = format() == "1\n";
        // A cluster of another version is used, and it is said how to change that.
        let said = Said::by(&cluster, &["start"]);
        if std::env::var_os("CORACLE_OLDER").is_none() {
            assert!(has_older_format);
            said.check("start", 0, &["runs version 0.0.9", "start --upgrade"]);
        }
        for turn in 1..=upgrades() {
            upgrade(&cluster, turn);
        }
        assert_eq!(format(), "2\n");
        if has_older_format {
            assert!(folder.join("before-format-1/format").exists());
            an_older_build_refuses(&cluster, &old);
        }
        cluster.run(&["stop"]);
        if has_older_format {
            an_older_build_refuses(&cluster, &old);
        }
        cluster.run(&["start"]);
        kubectl(
            &cluster,
            &["rollout", "status", "deploy/site", "--timeout=300s"],
        );
    });
}

#[test]
fn what_a_build_is_can_be_read_from_its_file() {
    let cluster = Cluster::new("stamp");
    let old = older::build(cluster.home());
    let version = Command::new(&old)
        .arg("--version")
        .stderr(Stdio::null())
        .output()
        .expect("it can be run");
    let said = String::from_utf8_lossy(&version.stdout).into_owned();
    if std::env::var_os("CORACLE_OLDER").is_none() {
        assert_eq!(said, "coracle 0.0.9\n");
    }
}
