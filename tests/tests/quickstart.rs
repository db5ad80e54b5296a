//! The commands of minikube and Helm quickstarts, unedited, with this binary
//! under the names `minikube`, `helm` and `kubectl` (which calls the user's
//! own); and what `up` does when it is done again.

use std::fs;
use std::process::Command;

use coracle_tests::cluster::{Cluster, built, repository};
use coracle_tests::private::in_private_network;
use coracle_tests::project::Project;
use coracle_tests::skip;
use coracle_tests::wait::until;
use coracle_tests::web::Visitor;

/// As a README would have it; a person who reads too early looks again.
const QUICKSTART: &str = r#"
set -e
soon() { for i in $(seq 300); do eval "$1" && return; sleep 0.2; done; return 1; }
minikube start --driver=docker --cpus=2 --memory=4096
minikube status | grep 'host: Running'
eval $(minikube docker-env)
docker build -t web:1 web
docker images | grep web
minikube image build -t web:2 web
minikube image load web:2
minikube image ls --format table | grep web:2
minikube addons enable ingress
minikube addons enable metrics-server
minikube addons list | grep ingress
minikube profile list | grep minikube
minikube config set memory 4096
minikube node list
minikube update-context
kubectl create deployment web --image=web:1
kubectl expose deployment web --type=NodePort --port=3000
kubectl rollout status deployment/web --timeout=300s
kubectl get pods -o wide
kubectl describe deployment web | grep 'Image:.*web:1'
soon "kubectl logs deployment/web | grep listening"
kubectl exec deploy/web -- /todo-frontend --version
kubectl scale deployment/web --replicas=2
kubectl rollout status deployment/web --timeout=300s
kubectl set image deployment/web web=web:2
kubectl rollout status deployment/web --timeout=300s
kubectl rollout undo deployment/web
kubectl rollout status deployment/web --timeout=300s
minikube kubectl -- get services web
# As everywhere, the first figures need some seconds.
soon "kubectl top nodes 2> waiting"
kubectl port-forward service/web 38123:3000 > forward & forward=$!
healthy() {
  (exec 3<>/dev/tcp/127.0.0.1/38123
   printf 'GET /api/health HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n' >&3
   grep -q '200 OK' <&3) 2>/dev/null
}
soon healthy
kill $forward
minikube service web --url > url
minikube ip
minikube service list | grep web
minikube stop
minikube status && exit 1
minikube start
kubectl rollout status deployment/web --timeout=300s
"#;

/// The chart of a README, through its life.
const CHART: &str = r#"
set -e
minikube start
minikube image load web:1
helm version --short
helm lint web-chart
helm template web web-chart | grep 'image: web:1'
helm install web web-chart --namespace shop --create-namespace --wait --timeout 300s
helm list -n shop | grep deployed
helm status web -n shop | grep 'STATUS: deployed'
helm get values web -n shop
kubectl get pods -n shop
kubectl describe pods -n shop | grep 'Image:.*web:1'
kubectl logs deploy/web -n shop | grep listening
helm upgrade web web-chart -n shop --set replicas=2 --wait --timeout 300s
kubectl get deploy web -n shop -o jsonpath='{.spec.replicas}' | grep 2
helm upgrade --install web web-chart -n shop -f values-prod.yaml --atomic --timeout 300s
helm history web -n shop | grep superseded
helm rollback web 1 -n shop --wait
kubectl rollout status deploy/web -n shop --timeout=300s
kubectl get deploy web -n shop -o jsonpath='{.spec.replicas}' | grep 1
minikube service web -n shop --url
helm uninstall web -n shop
helm list -n shop -q | grep web && exit 1
kubectl get deploy -n shop 2>&1 | grep 'No resources'
"#;

/// What has no counterpart, and a part of what is said.
const REFUSED: [(&str, &str); 9] = [
    ("minikube dashboard", "there is no dashboard yet"),
    ("minikube ssh", "exec -it POD -- sh"),
    ("minikube ssh -- docker images", "minikube image ls"),
    ("minikube mount /a:/b", "minikube start --mount-string"),
    ("minikube podman-env", "docker-env"),
    ("minikube cache add web:1", "minikube image load"),
    ("minikube pause", "minikube stop"),
    ("minikube start --nodes 3", "one node"),
    ("minikube addons enable istio", "install the chart"),
];

/// Lays a folder for PATH in which the program has other names, before the
/// user's own kubectl.
fn named(cluster: &Cluster) -> String {
    let folder = cluster.home().join("bin");
    fs::create_dir_all(&folder).expect("a folder for the test");
    for name in ["minikube", "helm", "kubectl"] {
        std::os::unix::fs::symlink(built("coracle"), folder.join(name)).expect("it is new");
    }
    let fetched = repository().join("target/oracles");
    format!("{}:{}", folder.display(), fetched.display())
}

/// Lays a chart that serves the page of the image `web:1`.
fn write_chart(cluster: &Cluster) {
    let chart = cluster.home().join("web-chart");
    fs::create_dir_all(chart.join("templates")).expect("a folder for the test");
    let template = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  replicas: {{ .Values.replicas }}\n  selector: {matchLabels: {app: {{ .Release.Name }}}}\n  template:\n    metadata: {labels: {app: {{ .Release.Name }}}}\n    spec:\n      containers:\n        - name: web\n          image: {{ .Values.image }}\n          ports: [{containerPort: 3000}]\n          readinessProbe: {httpGet: {path: /api/health, port: 3000}, periodSeconds: 1}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  type: NodePort\n  selector: {app: {{ .Release.Name }}}\n  ports: [{port: 3000}]\n";
    for (name, text) in [
        (
            "web-chart/Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 0.1.0\n",
        ),
        ("web-chart/values.yaml", "image: web:1\nreplicas: 1\n"),
        ("web-chart/templates/all.yaml", template),
        ("values-prod.yaml", "replicas: 3\n"),
    ] {
        fs::write(cluster.home().join(name), text).expect("a file for the test");
    }
}

fn script(cluster: &Cluster, bin: &str, text: &str) -> std::process::Output {
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("bash")
        .args(["-c", text])
        .current_dir(cluster.home())
        .env("PATH", format!("{bin}:{path}"))
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
        write_chart(&cluster);
        let output = script(&cluster, &bin, QUICKSTART);
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let url = fs::read_to_string(cluster.home().join("url")).expect("it was written");
        let output = script(&cluster, &bin, CHART);
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        for (line, expected) in REFUSED {
            let output = script(&cluster, &bin, line);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                !output.status.success() && said.contains(expected),
                "{line}: {said}"
            );
        }
        Visitor::of(&url).until_served("/api/health");
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
