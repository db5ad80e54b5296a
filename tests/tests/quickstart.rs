//! The commands of a minikube quickstart, unedited, with this binary under the
//! name `minikube`; and what `up` does when it is done again.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use coracle_tests::cluster::{Cluster, built, repository};
use coracle_tests::private::in_private_network;
use coracle_tests::project::Project;
use coracle_tests::skip;
use coracle_tests::wait::until;
use coracle_tests::web::Visitor;

/// As a README would have it.
const QUICKSTART: &str = r#"
set -e
minikube start --driver=docker --cpus=2 --memory=4096
minikube status | grep 'host: Running'
eval $(minikube docker-env)
docker build -t web:1 web
docker images | grep web
minikube image build -t web:2 web
minikube image load web:2
minikube addons enable ingress
minikube addons enable metrics-server
kubectl create deployment web --image=web:1
kubectl expose deployment web --type=NodePort --port=3000
kubectl rollout status deployment/web --timeout=60s
kubectl get pods -o wide
kubectl describe deployment web | grep 'Image:.*web:1'
kubectl logs deployment/web | grep listening
kubectl exec deploy/web -- /todo-frontend --version
kubectl scale deployment/web --replicas=2
kubectl rollout status deployment/web --timeout=60s
kubectl set image deployment/web web=web:2
kubectl rollout status deployment/web --timeout=60s
kubectl rollout undo deployment/web
kubectl rollout status deployment/web --timeout=60s
minikube kubectl -- get services web
minikube service web --url > url
minikube ip
minikube service list
minikube stop
minikube status && exit 1
minikube start
kubectl rollout status deployment/web --timeout=60s
"#;

/// Lays a folder for PATH in which the program has another name.
fn named(cluster: &Cluster) -> PathBuf {
    let folder = cluster.home().join("bin");
    fs::create_dir_all(&folder).expect("a folder for the test");
    std::os::unix::fs::symlink(built("coracle"), folder.join("minikube")).expect("it is new");
    let fetched = repository().join("target/oracles/kubectl");
    if fetched.exists() {
        std::os::unix::fs::symlink(fetched, folder.join("kubectl")).expect("it is new");
    }
    folder
}

fn script(cluster: &Cluster, bin: &Path, text: &str) -> std::process::Output {
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("bash")
        .args(["-c", text])
        .current_dir(cluster.home())
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("CORACLE_HOME", cluster.home().join("home"))
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("HOME", cluster.home())
        .env_remove("CORACLE_CLUSTER")
        .output()
        .expect("bash is there")
}

#[test]
fn a_quickstart_runs_unedited() {
    if Command::new("kubectl").arg("version").output().is_err()
        && !repository().join("target/oracles/kubectl").exists()
    {
        return skip("kubectl is not on the machine");
    }
    in_private_network("a_quickstart_runs_unedited", || {
        let cluster = Cluster::new("minikube");
        let bin = named(&cluster);
        let web = cluster.home().join("web");
        fs::create_dir_all(&web).expect("a folder for the test");
        fs::copy(built("todo-frontend"), web.join("todo-frontend")).expect("it was built");
        let dockerfile = "FROM scratch\nCOPY todo-frontend /todo-frontend\nENV BACKEND_URL=http://nowhere:8000\nENTRYPOINT [\"/todo-frontend\"]\n";
        fs::write(web.join("Dockerfile"), dockerfile).expect("a file for the test");
        let output = script(&cluster, &bin, QUICKSTART);
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let url = fs::read_to_string(cluster.home().join("url")).expect("it was written");
        let address: SocketAddr = url
            .trim()
            .strip_prefix("http://")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("no URL: {url}"));
        let mut visitor = Visitor::new(address);
        until("the page is served", || match visitor.get("/api/health") {
            Ok(page) if page.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        });
        let output = script(
            &cluster,
            &bin,
            "minikube delete && kubectl config get-contexts -o name",
        );
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!said.contains("minikube"), "{said}");
    });
}

#[test]
fn up_again_does_what_has_changed() {
    in_private_network("up_again_does_what_has_changed", || {
        let cluster = Cluster::new("again");
        Project::default().write(&cluster);
        let up = |args: &[&str]| {
            let mut words = vec!["up"];
            words.extend(args);
            let output = cluster.command(&words).output().expect("it was built");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
            said
        };
        let pods = || -> Vec<String> {
            let facts: serde_json::Value =
                serde_json::from_str(&cluster.run(&["status", "-o", "json"])).expect("it is JSON");
            let mut names: Vec<String> = facts["pods"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|pod| pod["phase"] == "Running")
                .filter_map(|pod| Some(pod["name"].as_str()?.to_owned()))
                .collect();
            names.sort();
            names
        };
        let first = up(&[]);
        for phase in [
            "Build",
            "Configuration",
            "Deployment",
            "Scheduling",
            "Startup",
            "Ready",
            "Running",
        ] {
            assert!(first.contains(&format!("✓ {phase}")), "{phase}:\n{first}");
        }
        let made = pods();
        assert!(up(&[]).contains("nothing has changed"));
        assert_eq!(pods(), made);

        // One file: one image, one workload.
        let program = cluster.home().join("todo-backend/out/todo-backend");
        let mut bytes = fs::read(&program).expect("it is there");
        bytes.push(0);
        fs::write(&program, bytes).expect("it is ours");
        let said = up(&[]);
        assert!(
            said.contains("Deployment/todo-backend runs the new image"),
            "{said}"
        );
        assert!(!said.contains("Deployment/todo-frontend runs"), "{said}");
        assert!(said.contains("revision 1 stands"), "{said}");
        assert!(up(&[]).contains("nothing has changed"));

        // What somebody else took away comes back.
        cluster.kubectl(&["delete", "deployment", "todo-frontend"]);
        let said = up(&[]);
        assert!(
            said.contains("Deployment/todo-frontend is not as deployed"),
            "{said}"
        );
        assert!(said.contains("revision 2"), "{said}");
        let said = up(&["--set", "frontend.replicaCount=2"]);
        assert!(
            said.contains("revision 3: chart or values changed"),
            "{said}"
        );
    });
}

#[test]
fn a_new_version_takes_over_under_running_pods() {
    in_private_network("a_new_version_takes_over_under_running_pods", || {
        let cluster = Cluster::new("upgrade");
        Project::default().write(&cluster);
        cluster.run(&["up"]);
        let containers = || -> Vec<i32> {
            let of = |program: &str| {
                coracle_tests::cluster::descendants(cluster.processes("init")[0])
                    .into_iter()
                    .filter(move |pid| {
                        coracle_tests::cluster::arguments(*pid)
                            .first()
                            .is_some_and(|word| word == program)
                    })
                    .collect::<Vec<i32>>()
            };
            [of("/app/todo-backend"), of("/app/todo-frontend")].concat()
        };
        let before = (cluster.processes("engine"), containers());
        let said = cluster
            .command(&["start", "--upgrade"])
            .output()
            .expect("it was built");
        assert!(
            said.status.success(),
            "{}",
            String::from_utf8_lossy(&said.stderr)
        );
        until("the engine is another process", || {
            let now = cluster.processes("engine");
            if !now.is_empty() && now != before.0 {
                return Ok(());
            }
            Err(format!("{now:?}"))
        });
        cluster.run(&["status"]);
        assert_eq!(containers(), before.1);
        assert!(!before.1.is_empty());
        cluster.run(&["logs", "todo", "--tail", "1"]);
        cluster.run(&["delete"]);
    });
}
