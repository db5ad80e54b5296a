//! Things that go wrong, each tried as a new user would: the message names the
//! cause and the next step, within seconds. All of it stands, word for word, in
//! `docs/mishaps.md`; `CORACLE_BLESS=1` writes it there.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use coracle_tests::cluster::{Cluster, built};
use coracle_tests::mishap::{Said, titles, until_said};
use coracle_tests::private::in_private_network;
use coracle_tests::skip;
use coracle_tests::wait::until;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};

/// Writes a chart of one template into the cluster's home and returns its folder.
fn chart(cluster: &Cluster, name: &str, template: &str) -> String {
    let folder = cluster.home().join(name);
    fs::create_dir_all(folder.join("templates")).expect("a folder for the test");
    let meta = format!("apiVersion: v2\nname: {name}\nversion: 0.1.0\n");
    fs::write(folder.join("Chart.yaml"), meta).expect("a file for the test");
    fs::write(folder.join("templates/all.yaml"), template).expect("a file for the test");
    folder.display().to_string()
}

/// A Deployment of one container with more of its fields.
fn deployment(name: &str, container: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      containers:\n      - {{name: main, imagePullPolicy: IfNotPresent, {container}}}\n"
    )
}

/// Asks why until it is said; `part` is of the answer that is meant, which
/// controllers need a moment for.
fn why(cluster: &Cluster, title: &str, resource: &str, part: &str) {
    until_said(title, &[part], || Said::by(cluster, &["why", resource]));
}

/// Makes an image that holds both programs of the todo application.
fn image(cluster: &Cluster) {
    let folder = cluster.home().join("boat");
    fs::create_dir_all(&folder).expect("a folder for the test");
    for name in ["todo-backend", "todo-frontend"] {
        fs::copy(built(name), folder.join(name)).expect("it was built");
    }
    if let Some(busybox) = coracle_tests::lab::busybox() {
        fs::copy(busybox, folder.join("busybox")).expect("a file for the test");
    }
    fs::write(
        folder.join("Dockerfile"),
        "FROM scratch\nCOPY . /\nENTRYPOINT [\"/todo-backend\"]\n",
    )
    .expect("a file for the test");
    let folder = folder.display().to_string();
    cluster.run(&["image", "build", "-t", "boat:1", &folder]);
}

/// Returns whether containers' limits are kept here.
fn has_limits(cluster: &Cluster) -> bool {
    let facts: serde_json::Value =
        serde_json::from_str(&Said::by(cluster, &["doctor", "-o", "json"]).text)
            .unwrap_or_default();
    let mut findings = facts["findings"].as_array().into_iter().flatten();
    findings.any(|one| one["name"] == "cgroups" && one["state"] == "good")
}

#[test]
fn before_there_is_a_cluster() {
    let cluster = Cluster::new("mishaps-none");
    let home = cluster.home();
    let says = |title: &str, args: &[&str]| Said::by(&cluster, args).is(title);
    says("No cluster runs", &["kubectl", "get", "pods"]);
    says("No cluster runs, and why is asked", &["why", "todo"]);
    says("A folder with nothing to deploy", &["up", "nowhere"]);

    fs::write(home.join("coracle.yaml"), "chart: chart\nimagse: []\n").expect("a file");
    says("A key of coracle.yaml is misspelt", &["up"]);
    fs::write(home.join("coracle.yaml"), "chart: chrat\n").expect("a file");
    says("A chart that is not there", &["up"]);
    fs::remove_file(home.join("coracle.yaml")).expect("it was made");

    let kubeconfig = "apiVersion: v1\nkind: Config\ncontexts: [{name: staging, context: {cluster: c, user: u}}]\nclusters: []\nusers: []\n";
    fs::write(cluster.kubeconfig(), kubeconfig).expect("a file");
    let title = "A context that the kubeconfig does not have";
    says(title, &["--context", "stagign", "status"]);
    fs::remove_file(cluster.kubeconfig()).expect("it was made");
}

#[test]
fn a_home_that_cannot_be_written() {
    let cluster = Cluster::new("mishaps-home");
    let mut command = cluster.command(&["start"]);
    let output = command.env("CORACLE_HOME", "/proc/nowhere").output();
    Said::from(output.expect("the program was built"))
        .typed("start")
        .is("A home that cannot be written");
}

#[test]
fn data_of_a_newer_version() {
    let cluster = Cluster::new("mishaps-newer");
    let folder = cluster.home().join("home/clusters/mishaps-newer");
    fs::create_dir_all(&folder).expect("a folder for the test");
    fs::write(folder.join("format"), "99\n").expect("a file for the test");
    Said::by(&cluster, &["start"]).is("Data that a newer version wrote");
    fs::write(folder.join("format"), "1\n").expect("a file for the test");
}

/// Runs commands of ours in a mount namespace in which the home is a small disk.
fn on_a_small_disk(cluster: &Cluster, kibibytes: u32, commands: &str) -> Option<Said> {
    let home = cluster.home().join("home");
    fs::create_dir_all(&home).expect("a folder for the test");
    let script = format!(
        "mount -t tmpfs -o size={kibibytes}k none {} || exit 77; {commands}",
        home.display()
    );
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "--",
            "sh",
            "-c",
            &script,
        ])
        .env("CORACLE", built("coracle"))
        .env("CORACLE_HOME", &home)
        .env("KUBECONFIG", cluster.kubeconfig())
        .output()
        .expect("unshare is part of every Linux");
    let said = Said::from(output);
    (said.code != Some(77)).then_some(said)
}

#[test]
fn a_full_disk() {
    let cluster = Cluster::new("mishaps-full");
    let Some(said) = on_a_small_disk(&cluster, 300, "$CORACLE start") else {
        return skip("no file system can be mounted");
    };
    said.typed("start").is("A full disk");
    let context = cluster.home().join("big");
    fs::create_dir_all(&context).expect("a folder for the test");
    fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY big /\n")
        .expect("a file for the test");
    let noise: Vec<u8> = (0..900_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    fs::write(context.join("big"), noise).expect("a file for the test");
    let build = format!(
        "$CORACLE image build -t big:1 {} && exit 1; $CORACLE delete",
        context.display()
    );
    let said = on_a_small_disk(&cluster, 300, &build).expect("it could be mounted before");
    said.check("image build and delete", 0, &["no space left on the disk"]);
}

#[test]
fn no_user_namespaces() {
    let cluster = Cluster::new("mishaps-userns");
    let program = built("coracle");
    let script = format!(
        "echo 0 > /proc/sys/user/max_user_namespaces || exit 77; exec {} start",
        program.display()
    );
    let mut words = vec!["--user", "--map-root-user", "--", "sh", "-c", &script];
    let mut command = Command::new("unshare");
    command.args(words.drain(..));
    command
        .env("CORACLE_HOME", cluster.home().join("home"))
        .env("KUBECONFIG", cluster.kubeconfig());
    let said: Said = command
        .output()
        .expect("unshare is part of every Linux")
        .into();
    if said.code == Some(77) || said.text.contains("unshare") {
        return skip("no user namespace can be made in which to forbid further ones");
    }
    said.typed("start").is("No user namespaces");
    let clusters = fs::read_dir(cluster.home().join("home/clusters"));
    assert_eq!(
        clusters.map_or(0, Iterator::count),
        0,
        "half a cluster stays"
    );
}

#[test]
fn in_a_cluster() {
    in_private_network("in_a_cluster", || {
        let cluster = Cluster::new("mishaps");
        let broken = "{ this is not: a kubeconfig";
        fs::write(cluster.kubeconfig(), broken).expect("a file for the test");
        Said::by(&cluster, &["start"]).is("A kubeconfig that is none");
        fs::remove_file(cluster.kubeconfig()).expect("it was made");
        cluster.run(&["start"]);
        an_expired_certificate(&cluster);
        image(&cluster);
        a_base_image(&cluster);
        charts_and_values(&cluster);
        containers(&cluster);
        objects(&cluster);
        processes(&cluster);
        a_reboot(&cluster);
        an_engine_that_cannot_start(&cluster);
        two_at_once(&cluster);
        two_deletes(&cluster);
    });
}

/// A base image that is neither here nor reachable: nothing leaves this network.
fn a_base_image(cluster: &Cluster) {
    let folder = cluster.home().join("based");
    fs::create_dir_all(&folder).expect("a folder for the test");
    let dockerfile = "FROM docker.io/library/alpine:3\nRUN true\n";
    fs::write(folder.join("Dockerfile"), dockerfile).expect("a file for the test");
    let folder = folder.display().to_string();
    let title = "A base image, and no network";
    Said::by(cluster, &["image", "build", "-t", "based:1", &folder]).is(title);
}

/// Charts that cannot be rendered or deployed, by `up` itself.
fn charts_and_values(cluster: &Cluster) {
    let says = |title: &str, args: &[&str]| Said::by(cluster, args).is(title);
    let bad = chart(cluster, "bad", "kind: ConfigMap\nname: {{ .Values.a.b }}\n");
    let title = "A template uses a value that is not there";
    says(title, &["up", &bad]);
    let values = cluster.home().join("bad.yaml");
    fs::write(&values, "a: [\nb: 1\n").expect("a file for the test");
    let values = values.display().to_string();
    says("A values file is not YAML", &["up", &bad, "-f", &values]);
    let unknown = chart(
        cluster,
        "unknown",
        "apiVersion: nobody/v1\nkind: Boat\nmetadata: {name: a}\n",
    );
    says("A kind that nobody serves", &["up", &unknown]);

    let image = chart(cluster, "image", &deployment("image", "image: \"bota:1\""));
    says("A wrong image name", &["up", &image, "--timeout", "60"]);
    let secret =
        "image: \"boat:1\", env: [{name: A, valueFrom: {secretKeyRef: {name: nope, key: k}}}]";
    let secret = chart(cluster, "secret", &deployment("secret", secret));
    says("A Secret is missing", &["up", &secret, "--timeout", "60"]);
}

/// Containers that do not come up, and why.
fn containers(cluster: &Cluster) {
    let why = |title: &str, resource: &str, part: &str| why(cluster, title, resource, part);
    let title = "A Secret is missing, and why is asked";
    why(title, "deploy/secret", "kubectl create secret");
    let title = "A wrong image name, and why is asked";
    why(title, "deploy/image", "coracle image build");

    let crash = chart(
        cluster,
        "crash",
        &deployment(
            "crash",
            "image: \"boat:1\", command: [/todo-backend, --nope]",
        ),
    );
    let missing = chart(
        cluster,
        "program",
        &deployment("program", "image: \"boat:1\", command: [/nope]"),
    );
    let probe = "image: \"boat:1\", command: [/todo-frontend], env: [{name: BACKEND_URL, value: \"http://nowhere:8000\"}, {name: LOG_LEVEL, value: error}], ports: [{containerPort: 3000}], readinessProbe: {httpGet: {path: /nope, port: 3001}, periodSeconds: 1}";
    let probe = chart(cluster, "probe", &deployment("probe", probe));
    let big = "image: \"boat:1\", resources: {requests: {memory: 640Gi}}";
    let big = chart(cluster, "big", &deployment("big", big));
    let hungry = "image: \"boat:1\", command: [/busybox, dd, if=/dev/zero, of=/dev/null, bs=200M, count=2], resources: {limits: {memory: 32Mi}}";
    let hungry = chart(cluster, "hungry", &deployment("hungry", hungry));
    for folder in [&crash, &missing, &probe, &big, &hungry] {
        // It is only asked why afterwards; the wait is cut short.
        Said::by(cluster, &["up", folder, "--timeout", "1"]);
    }
    let title = "A container ends as soon as it starts";
    why(title, "deploy/crash", "CrashLoopBackOff");
    let title = "A command that is not in the image";
    why(title, "deploy/program", "command and args");
    let title = "A probe that asks the wrong port";
    why(title, "deploy/probe", "asks port 3001");
    if fs::exists(cluster.home().join("boat/busybox")).unwrap_or(false) && has_limits(cluster) {
        let title = "A container uses more memory than it may";
        why(title, "deploy/hungry", "CrashLoopBackOff");
    }
    let title = "A pod that asks for more memory than there is";
    why(title, "deploy/big", "asks for 640Gi");
}

/// Objects that lead nowhere.
fn objects(cluster: &Cluster) {
    let taken = TcpListener::bind("127.0.0.1:31999").expect("the network is the test's own");
    let folder = chart(
        cluster,
        "objects",
        "apiVersion: v1\nkind: Service\nmetadata: {name: nobody}\nspec: {selector: {app: carsh}, ports: [{port: 80}]}\n\
---\napiVersion: v1\nkind: Service\nmetadata: {name: taken}\nspec: {type: NodePort, selector: {app: crash}, ports: [{port: 80, nodePort: 31999}]}\n\
---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {storageClassName: nope, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n\
---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {rules: [{host: web.localhost, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: nobdy, port: {number: 80}}}}]}}]}\n\
---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: scaler}\nspec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: crash}, maxReplicas: 2, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]}\n",
    );
    Said::by(cluster, &["up", &folder, "--timeout", "2"]);
    let why = |title: &str, resource: &str, part: &str| why(cluster, title, resource, part);
    why("A Service that selects no pod", "svc/nobody", "closest");
    let title = "A node port that a program of the host has";
    why(title, "svc/taken", "31999");
    let title = "A claim of a class that is not there";
    why(title, "pvc/data", "no storage class nope");
    let title = "An Ingress to a Service that is not there";
    why(title, "ingress/web", "did you mean nobody?");
    let title = "An autoscaler without requests";
    why(title, "hpa/scaler", "kubectl set resources");
    let title = "A name that is misspelt";
    why(title, "svc/nbody", "did you mean");
    drop(taken);
    a_node_port_of_another_release(cluster);
}

/// The API would refuse the Service when the ConfigMap is made already.
fn a_node_port_of_another_release(cluster: &Cluster) {
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: second}\n\
---\napiVersion: v1\nkind: Service\nmetadata: {name: second}\nspec:\n  type: NodePort\n  selector: {app: crash}\n  ports:\n    - port: 80\n      nodePort: {{ .Values.port }}\n";
    let folder = chart(cluster, "second", template);
    let values = Path::new(&folder).join("values.yaml");
    fs::write(values, "port: 31999\n").expect("a file for the test");
    let title = "A node port that another release has";
    Said::by(cluster, &["up", &folder]).is(title);
    let title = "A node port that another release has, by install";
    Said::by(cluster, &["install", "second", &folder]).is(title);
    if let Some(left) = cluster.kubectl(&["get", "configmap,secret", "-o", "name"]) {
        assert!(!left.contains("second"), "nothing is begun: {left}");
    }
}

/// Processes of the cluster that die.
fn processes(cluster: &Cluster) {
    let kill = |pid: i32| {
        let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()));
    };
    kill(cluster.processes("engine")[0]);
    until("another engine answers", || {
        let said = Said::by(cluster, &["status"]);
        match said.code {
            Some(0) => Ok(()),
            _ => Err(said.text),
        }
    });
    // A machine that loses power leaves the same behind: a record without a process.
    kill(cluster.processes("init")[0]);
    until("the cluster has ended", || {
        // While the kernel takes the processes away, nobody answers.
        let said = Said::by(cluster, &["status"]);
        if said.text == "mishaps: stopped\n" {
            return Ok(());
        }
        Err(said.text)
    });
    Said::by(cluster, &["ip"]).is("The power was gone");
    let said = cluster.run(&["doctor", "--fix", "-o", "json"]);
    let facts: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!(facts["ok"], true, "{said}");
    cluster.run(&["start"]);
    assert!(
        cluster
            .run(&["status"])
            .contains("release crash in default")
    );
    cluster.run(&["stop"]);
    assert_eq!(cluster.run(&["status"]), "mishaps: stopped\n");
    cluster.run(&["start"]);
}

/// Returns the cluster's own folder.
fn folder(cluster: &Cluster) -> PathBuf {
    cluster.home().join("home/clusters/mishaps")
}

/// The administrator's certificate ran out while nobody looked: our own
/// commands renew it, `start` puts the new one into the kubeconfig.
fn an_expired_certificate(cluster: &Cluster) {
    let pki = folder(cluster).join("pki");
    let read = |name: &str| fs::read_to_string(pki.join(name)).expect("the cluster was started");
    let authority = KeyPair::from_pem(&read("ca.key")).expect("it is a key");
    let issuer = Issuer::from_ca_cert_pem(&read("ca.crt"), authority).expect("it is an authority");
    let key = KeyPair::generate().expect("a key for the test");
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    params
        .distinguished_name
        .push(DnType::CommonName, "coracle-admin");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "system:masters");
    let expired = params.signed_by(&key, &issuer).expect("it can be signed");
    let config = cluster.kubeconfig();
    let text = fs::read_to_string(&config).expect("the cluster was started");
    let encoded = |name: &str| BASE64_STANDARD.encode(read(name));
    let worn = text
        .replace(
            &encoded("admin.crt"),
            &BASE64_STANDARD.encode(expired.pem()),
        )
        .replace(
            &encoded("admin.key"),
            &BASE64_STANDARD.encode(key.serialize_pem()),
        );
    assert_ne!(text, worn, "the kubeconfig holds the certificate");
    fs::write(&config, worn).expect("it is ours");
    fs::write(pki.join("admin.crt"), expired.pem()).expect("it is ours");
    fs::write(pki.join("admin.key"), key.serialize_pem()).expect("it is ours");

    let said: Said = match cluster.kubectl_command(&["get", "nodes"]).output() {
        Ok(output) => output.into(),
        Err(_) => return skip("kubectl is not on the machine"),
    };
    assert_ne!(said.code, Some(0), "{}", said.text);
    Said::by(cluster, &["status"]).check("status", 0, &["running"]);
    Said::by(cluster, &["start"]).check("start", 0, &["mishaps runs"]);
    cluster.kubectl(&["get", "nodes"]);
}

/// After a reboot the files of the cluster name processes that are others now.
fn a_reboot(cluster: &Cluster) {
    cluster.run(&["stop"]);
    let run = folder(cluster).join("run");
    // This very process, but of another boot.
    let stat = fs::read_to_string("/proc/self/stat").expect("it is Linux");
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .expect("its name is in brackets")
        .1
        .split_whitespace()
        .collect();
    let other = serde_json::json!({
        "pid": std::process::id(), "start_ticks": fields[19].parse::<u64>().expect("a number"), "boot": 1,
    });
    let record = serde_json::json!({
        "init": other, "gateway": other, "api": "127.0.0.1:6443",
        "ids": {"kind": "single", "uid": 0, "gid": 0},
    });
    fs::write(run.join("init.json"), other.to_string()).expect("a file for the test");
    fs::write(run.join("cluster.json"), record.to_string()).expect("a file for the test");
    Said::by(cluster, &["status"]).check("status", 0, &["mishaps: stopped"]);
    Said::by(cluster, &["kubectl", "get", "pods"]).is("The machine was rebooted");
    Said::by(cluster, &["start"]).check("start", 0, &["mishaps answers at"]);
}

/// The store's file is none any more: the engine's own words are the reason,
/// within seconds, and `delete` helps.
fn an_engine_that_cannot_start(cluster: &Cluster) {
    cluster.run(&["stop"]);
    let store = folder(cluster).join("data/store");
    let kept = cluster.home().join("kept");
    fs::rename(&store, &kept).expect("it was made");
    fs::write(&store, "no database").expect("a file for the test");
    let owner = fs::metadata(&kept).expect("it was made");
    let chown = std::os::unix::fs::chown(&store, Some(owner.uid()), Some(owner.gid()));
    chown.expect("it is ours");
    Said::by(cluster, &["start"]).is("A store that is none");
    cluster.run(&["stop"]);
    fs::rename(&kept, &store).expect("it was there");
    cluster.run(&["start"]);
}

/// Both end well, whichever was first, and nothing is left.
fn two_deletes(cluster: &Cluster) {
    let delete = || cluster.command(&["delete"]).spawn().expect("it was built");
    for mut one in [delete(), delete()] {
        assert!(one.wait().expect("it was started").success());
    }
    assert!(!cluster.home().join("home/clusters/mishaps").exists());
}

/// A second `up` waits for the first and says so.
fn two_at_once(cluster: &Cluster) {
    let home = cluster.home();
    let folder = chart(
        cluster,
        "slow",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: slow}\n",
    );
    let gate = home.join("gate");
    let text = format!(
        "release: slow\nchart: {folder}\nimages:\n  - name: boat:1\n    dockerfile: boat/Dockerfile\n    context: boat\n    before: 'touch began; while [ ! -e {} ]; do sleep 0.05; done'\n",
        gate.display()
    );
    fs::write(home.join("coracle.yaml"), text).expect("a file for the test");
    let first = cluster
        .command(&["up"])
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn();
    let mut first = first.expect("the program was built");
    until("the first one builds", || {
        let began = Path::new(&home.join("began")).exists();
        began.then_some(()).ok_or_else(|| "not yet".to_owned())
    });
    let mut second = cluster
        .command(&["up"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program was built");
    let said = {
        use std::io::BufRead;
        let stderr = second.stderr.take().expect("it was asked for");
        let mut lines = std::io::BufReader::new(stderr).lines();
        let line = lines
            .next()
            .expect("it says something")
            .expect("it is text");
        fs::write(&gate, "").expect("a file for the test");
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        (line, rest.join("\n"))
    };
    assert!(first.wait().expect("it ends").success());
    assert!(second.wait().expect("it ends").success(), "{}", said.1);
    assert!(
        said.0
            .contains("release slow is being deployed by coracle up"),
        "{}",
        said.0
    );
    assert!(said.1.contains("nothing has changed"), "{}", said.1);
    fs::remove_file(home.join("coracle.yaml")).expect("it was made");
}

/// The document tells of nothing that is not tried.
#[test]
fn every_mishap_of_the_document_is_tried() {
    let source = include_str!("mishaps.rs");
    let titles = titles();
    for title in &titles {
        assert!(
            source.contains(&format!("{title:?}")),
            "nobody tries: {title}"
        );
    }
    assert!(titles.len() >= 20, "{} mishaps", titles.len());
}
