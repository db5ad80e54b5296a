//! From a chart to a page: images without Docker, a cluster in private
//! namespaces, real containers, a task that travels from the page through the
//! frontend pod and the backend's Service to the backend pod and back; then
//! everything is taken away and the host is as it was.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Mutex;

use coracle_tests::cluster::{Cluster, arguments, descendants};
use coracle_tests::project::Project;
use coracle_tests::wait::until;
use coracle_tests::web::{Visitor, lists};
use coracle_tests::{host, skip};

/// One case at a time: each compares the host before and after.
static HOST: Mutex<()> = Mutex::new(());

/// Writes a project whose page has a port of the test's own.
fn project(cluster: &Cluster, node_port: u16) {
    let values = format!("frontend: {{service: {{nodePort: {node_port}}}}}\n");
    fs::write(cluster.home().join("values.yaml"), values).expect("a file for the test");
    let project = Project {
        values: vec!["values.yaml".into()],
        ..Project::default()
    };
    project.write(cluster);
}

/// Signs up, creates a task and returns the visitor who sees it listed.
fn create_task(address: SocketAddr, title: &str) -> Visitor {
    let mut visitor = Visitor::new(address);
    visitor.until_served("/signup");
    let email = format!("{}@example.com", title.replace(' ', "-"));
    let page = visitor
        .post(
            "/signup",
            &[
                ("name", "Ann"),
                ("email", &email),
                ("password", "correct horse battery"),
            ],
        )
        .expect("the page answers");
    assert_eq!(page.status, 200, "{}", page.body);
    let page = visitor
        .post("/tasks", &[("title", title)])
        .expect("the page answers");
    assert!(
        page.body.contains(title),
        "the list lacks the task:\n{}",
        page.body
    );
    visitor
}

/// Whether a process is a backend.
fn runs(pid: i32) -> bool {
    let words = arguments(pid);
    words
        .first()
        .is_some_and(|word| word == "/app/todo-backend")
}

/// Everything that must hold, for root and for others alike.
fn first_light(cluster: &Cluster, node_port: u16) {
    project(cluster, node_port);
    let url = cluster.run(&["up"]);
    assert_eq!(url.trim(), format!("http://127.0.0.1:{node_port}"));
    let address: SocketAddr = ([127, 0, 0, 1], node_port).into();
    let mut visitor = create_task(address, "water the boat");

    // The pods are real: each has a process with its own root and network.
    let inside = descendants(cluster.processes("init")[0]);
    let backend = *inside
        .iter()
        .find(|pid| runs(**pid))
        .expect("the backend is a process");
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    assert_ne!(namespace(backend), namespace(std::process::id() as i32));

    engine_killed(cluster, backend, &mut visitor);
    data_plane_killed(cluster, &mut visitor);
    kubectl(cluster, backend);
    // The embedded database went with the pod; the new one serves new visitors.
    create_task(address, "mend the oar");

    assert!(cluster.run(&["down"]).is_empty());
    visitor.until_closed();
    assert!(!runs(backend), "the backend still runs");
}

/// The engine dies: containers keep their pids, the page keeps answering.
fn engine_killed(cluster: &Cluster, backend: i32, visitor: &mut Visitor) {
    let engine = cluster.processes("engine")[0];
    let status = Command::new("kill")
        .args(["-9", &engine.to_string()])
        .status()
        .expect("kill is there");
    assert!(status.success());
    until("the task is listed", || lists(visitor, "water the boat"));
    until("another engine runs", || {
        let now = cluster.processes("engine");
        match now.iter().any(|pid| *pid != engine) {
            true => Ok(()),
            false => Err(format!("{now:?}")),
        }
    });
    // The API answers again, and the container is the same process.
    let status: serde_json::Value =
        serde_json::from_str(&cluster.run(&["status", "-o", "json"])).expect("it is JSON");
    let restarts: i64 = status["pods"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pod| pod["restarts"].as_i64())
        .sum();
    assert_eq!(restarts, 0, "{status}");
    assert!(runs(backend), "the backend was ended");
}

/// The data plane dies: its ports answer again with the last configuration.
fn data_plane_killed(cluster: &Cluster, visitor: &mut Visitor) {
    let dataplane = cluster.processes("dataplane")[0];
    let status = Command::new("kill")
        .args(["-9", &dataplane.to_string()])
        .status()
        .expect("kill is there");
    assert!(status.success());
    until("the task is listed", || lists(visitor, "water the boat"));
    assert_ne!(cluster.processes("dataplane"), [dataplane]);
}

/// What a user of kubectl does.
fn kubectl(cluster: &Cluster, backend: i32) {
    let Some(listed) = cluster.kubectl(&["get", "deploy,rs,pods,svc,endpointslices", "-o", "name"])
    else {
        return skip("kubectl is not on the machine");
    };
    for expected in [
        "deployment.apps/todo-backend",
        "service/todo-frontend",
        "endpointslice.discovery.k8s.io/",
    ] {
        assert!(listed.contains(expected), "{listed}");
    }
    let log = cluster
        .kubectl(&["logs", "deploy/todo-backend"])
        .expect("kubectl is there");
    assert!(!log.is_empty(), "the backend has written no log");
    let answer = cluster.kubectl(&[
        "exec",
        "deploy/todo-backend",
        "--",
        "/app/todo-backend",
        "healthcheck",
    ]);
    assert!(answer.is_some());
    // A pod that is deleted comes back, as another process.
    let pods = cluster
        .kubectl(&["get", "pods", "-o", "name"])
        .expect("kubectl is there");
    let pod = pods
        .lines()
        .find(|name| name.contains("todo-backend"))
        .expect("the backend is a pod");
    cluster.kubectl(&["delete", pod, "--wait=true"]);
    cluster.kubectl(&["rollout", "status", "deploy/todo-backend", "--timeout=300s"]);
    assert!(!runs(backend), "the old pod still runs");
}

#[test]
fn as_the_user_who_runs_the_tests() {
    let _alone = HOST.lock().unwrap_or_else(|broken| broken.into_inner());
    let before = host::picture("light");
    {
        let cluster = Cluster::new("light");
        first_light(&cluster, 31_080);
        cluster.run(&["delete"]);
        assert!(!cluster.home().join("home/clusters/light").exists());
    }
    host::assert_same(&before, &host::picture("light"));
}

#[test]
fn as_a_user_without_privileges() {
    if !fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .contains("Uid:\t0\t")
    {
        return skip("only root can become somebody else");
    }
    let _alone = HOST.lock().unwrap_or_else(|broken| broken.into_inner());
    let before = host::picture("plain");
    {
        // Nobody, for whom no subordinate ids are set aside: a single id is mapped.
        let cluster = Cluster::new("plain").as_user(65_534);
        first_light(&cluster, 31_081);
        cluster.run(&["delete"]);
    }
    host::assert_same(&before, &host::picture("plain"));
}

#[test]
fn as_a_user_with_subordinate_ids() {
    let is_root = fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .contains("Uid:\t0\t");
    let helper = Command::new("newuidmap").output().is_ok();
    let Some(uid) = user_with_subordinate_ids().filter(|_| is_root && helper) else {
        return skip(
            "only root can become a user for whom /etc/subuid sets ids aside, and newuidmap must be there",
        );
    };
    let _alone = HOST.lock().unwrap_or_else(|broken| broken.into_inner());
    let before = host::picture("subids");
    {
        let cluster = Cluster::new("subids").as_user(uid);
        first_light(&cluster, 31_082);
        let map = fs::read_to_string(format!("/proc/{}/uid_map", cluster.processes("init")[0]))
            .expect("it runs");
        assert_eq!(
            map.lines().count(),
            2,
            "not the map of subordinate ids:\n{map}"
        );
        cluster.run(&["delete"]);
        assert!(!cluster.home().join("home/clusters/subids").exists());
    }
    host::assert_same(&before, &host::picture("subids"));
}

/// Returns the first user but root who has subordinate ids.
fn user_with_subordinate_ids() -> Option<u32> {
    let ranges = fs::read_to_string("/etc/subuid").ok()?;
    let users = fs::read_to_string("/etc/passwd").ok()?;
    ranges
        .lines()
        .filter_map(|line| line.split(':').next())
        .find_map(|name| {
            let line = users
                .lines()
                .find(|line| line.split(':').next() == Some(name))?;
            line.split(':').nth(2)?.parse().ok().filter(|uid| *uid != 0)
        })
}
