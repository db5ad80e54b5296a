//! Images travel to and from a real registry: by command, and on behalf of
//! pods. The registry wants a login and shows a certificate of an authority of
//! its own.

use std::fs;
use std::path::Path;
use std::process::Output;

use coracle_tests::cluster::{Cluster, repository};
use coracle_tests::island::Island;
use coracle_tests::registry::{LOGIN, Registry};
use coracle_tests::skip;
use coracle_tests::wait::until;
use serde_json::{Value, json};

struct Case {
    cluster: Cluster,
    registry: Registry,
    /// Ends last.
    island: Island,
}

impl Case {
    fn new(name: &str) -> Option<Case> {
        if !Path::new("/bin/busybox").exists() {
            skip("a static /bin/busybox is the base of these images");
            return None;
        }
        let cluster = Cluster::new(name);
        let Some(mut island) = Island::new(cluster.home()) else {
            skip("only root can make this network");
            return None;
        };
        let registry = Registry::start(&mut island, cluster.home())?;
        let cluster = cluster.behind(island.before());
        let case = Case {
            cluster,
            registry,
            island,
        };
        case.build();
        Some(case)
    }

    /// Builds an image that serves a page, under its name on the registry.
    fn build(&self) {
        let context = self.cluster.home().join("context");
        fs::create_dir_all(&context).expect("a folder for the test");
        fs::copy("/bin/busybox", context.join("busybox")).expect("it is there");
        fs::write(
            context.join("Dockerfile"),
            "FROM scratch\nCOPY busybox /bin/busybox\nENTRYPOINT [\"/bin/busybox\"]\n\
             CMD [\"sh\", \"-c\", \"echo it runs; exec busybox sleep 3600\"]\nUSER 1001:1001\n",
        )
        .expect("a file for the test");
        let context = context.display().to_string();
        self.cluster
            .run(&["image", "build", "-t", &self.image(), &context]);
    }

    fn image(&self) -> String {
        format!("{}/team/app:1", self.registry.host)
    }

    fn authority(&self) -> String {
        self.registry.authority.display().to_string()
    }

    fn output(&self, words: &[&str]) -> Output {
        self.cluster
            .command(words)
            .output()
            .expect("the program was built")
    }

    /// Runs what must fail and returns what it said.
    #[track_caller]
    fn fails(&self, words: &[&str]) -> String {
        let output = self.output(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Writes the login where `docker login` writes it.
    fn log_in(&self) {
        let folder = self.cluster.home().join(".docker");
        fs::create_dir_all(&folder).expect("a folder for the test");
        fs::write(folder.join("config.json"), self.registry.docker_config())
            .expect("a file for the test");
    }

    fn inspected(&self) -> Value {
        let text = self.cluster.run(&["image", "inspect", &self.image()]);
        serde_json::from_str(&text).expect("it is JSON")
    }

    /// Runs kubectl where the cluster's API is.
    #[track_caller]
    fn kubectl(&self, words: &[&str]) -> String {
        let fetched = repository().join("target/oracles/kubectl");
        let program = match fetched.exists() {
            true => fetched.display().to_string(),
            false => "kubectl".into(),
        };
        let mut command = self.island.command(&program);
        command
            .args(words)
            .env("KUBECONFIG", self.cluster.kubeconfig());
        let output = command.output().expect("nsenter is part of every system");
        assert!(output.status.success(), "kubectl {words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn get(&self, what: &[&str]) -> Value {
        let mut words = vec!["get", "-o", "json"];
        words.extend(what);
        let text = self.kubectl(&words);
        serde_json::from_str(&text).expect("it is JSON")
    }

    /// Waits until `fits` likes the pod.
    #[track_caller]
    fn await_pod(&self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut pod = Value::Null;
        until(&format!("{name} is as it should be"), || {
            pod = self.get(&["pod", name]);
            match fits(&pod) {
                true => Ok(()),
                false => Err(format!("{pod:#}\n{}", self.cluster.log("engine"))),
            }
        });
        pod
    }

    /// Waits until a pod's events say all this.
    #[track_caller]
    fn await_events(&self, name: &str, wanted: &[&str]) {
        until(&format!("the events of {name}"), || {
            let said = self.events(name).join("\n");
            match wanted.iter().find(|part| !said.contains(**part)) {
                None => Ok(()),
                Some(missing) => Err(format!("{missing:?} is not in\n{said}")),
            }
        });
    }

    /// Returns reasons and messages of a pod's events.
    fn events(&self, name: &str) -> Vec<String> {
        let selector = format!("involvedObject.name={name}");
        let events = self.get(&["events", "--field-selector", &selector]);
        let items = events["items"].as_array().expect("a list");
        let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        items
            .iter()
            .map(|event| format!("{}: {}", text(event, "reason"), text(event, "message")))
            .collect()
    }

    fn create(&self, name: &str, policy: &str, secrets: &[&str]) {
        let secrets: Vec<Value> = secrets.iter().map(|name| json!({"name": name})).collect();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "imagePullSecrets": secrets,
                "containers": [{"name": "main", "image": self.image(), "imagePullPolicy": policy}],
            },
        });
        let path = self.cluster.home().join(format!("{name}.json"));
        fs::write(&path, pod.to_string()).expect("a file for the test");
        let path = path.display().to_string();
        self.kubectl(&["create", "-f", &path]);
    }
}

#[track_caller]
fn contains(text: &str, wanted: &str) {
    assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
}

fn waiting(pod: &Value) -> (&str, &str) {
    let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
    let text = |key: &str| waiting[key].as_str().unwrap_or_default();
    (text("reason"), text("message"))
}

fn is_running(pod: &Value) -> bool {
    pod["status"]["containerStatuses"][0]["ready"] == true
}

#[test]
fn an_image_goes_to_a_registry_and_comes_back_the_same() {
    let Some(case) = Case::new("exchange") else {
        return;
    };
    let (image, authority) = (case.image(), case.authority());
    let told = case.fails(&["image", "push", &image]);
    contains(&told, "certificate");
    contains(&told, "--ca");
    let told = case.fails(&["image", "push", "--ca", &authority, &image]);
    contains(&told, "refuses push of team/app");
    contains(&told, "--creds");
    let wrong = ["image", "push", "--ca", &authority, "--creds", "user:no"];
    contains(&case.fails(&[&wrong[..], &[&image]].concat()), "refuses");
    let creds = format!("{}:{}", LOGIN.0, LOGIN.1);
    let with = |verb: &str| {
        let words = ["image", verb, "--ca", &authority, "--creds", &creds, &image];
        case.cluster.run(&words)
    };
    let pushed = with("push");
    assert!(pushed.starts_with("sha256:"), "{pushed}");
    assert_eq!(with("push"), pushed, "nothing has changed");
    let before = case.inspected();
    case.cluster.run(&["image", "rm", &image]);
    contains(&case.fails(&["image", "inspect", &image]), "no image named");
    assert_eq!(with("pull"), pushed);
    let after = case.inspected();
    for key in ["id", "config", "platform", "sizeBytes", "user"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    // The login of `docker login` and the authority of the system serve too.
    case.log_in();
    let pull = case
        .cluster
        .command(&["image", "pull", &image])
        .env("SSL_CERT_FILE", &authority)
        .output()
        .expect("the program was built");
    assert!(pull.status.success(), "{pull:?}");
    let missing = image.replace("app:1", "app:2");
    let told = case.fails(&["image", "pull", "--ca", &authority, &missing]);
    contains(&told, "manifest unknown");
}

#[test]
fn a_base_image_that_is_not_here_is_pulled() {
    let Some(case) = Case::new("base") else {
        return;
    };
    let (image, authority) = (case.image(), case.authority());
    case.log_in();
    case.cluster
        .run(&["image", "push", "--ca", &authority, &image]);
    case.cluster.run(&["image", "rm", &image]);
    let context = case.cluster.home().join("derived");
    fs::create_dir_all(&context).expect("a folder for the test");
    let text = format!("FROM {image}\nUSER 0\nRUN [\"/bin/busybox\", \"touch\", \"/made\"]\n");
    fs::write(context.join("Dockerfile"), text).expect("a file for the test");
    let context = context.display().to_string();
    let told = case.fails(&["image", "build", "-t", "derived:1", &context]);
    contains(&told, "Dockerfile:1: base image");
    contains(&told, "certificate");
    let words = [
        "image",
        "build",
        "--ca",
        &authority,
        "-t",
        "derived:1",
        &context,
    ];
    case.cluster.run(&words);
}

#[test]
fn pods_have_their_images_pulled() {
    let Some(case) = Case::new("pods") else {
        return;
    };
    let (image, authority) = (case.image(), case.authority());
    let creds = format!("{}:{}", LOGIN.0, LOGIN.1);
    let push = [
        "image", "push", "--ca", &authority, "--creds", &creds, &image,
    ];
    case.cluster.run(&push);
    case.cluster.run(&["image", "rm", &image]);
    // The gateway trusts whom the host trusts when the cluster starts.
    let start = case
        .cluster
        .command(&["start", "--quiet"])
        .env("SSL_CERT_FILE", &authority)
        .output()
        .expect("the program was built");
    assert!(start.status.success(), "{start:?}");

    case.create("never", "Never", &[]);
    let pod = case.await_pod("never", |pod| waiting(pod).0 == "ErrImageNeverPull");
    let expected = format!("Container image \"{image}\" is not present with pull policy of Never");
    assert_eq!(waiting(&pod).1, expected);

    case.create("stranger", "IfNotPresent", &["nowhere"]);
    let pod = case.await_pod("stranger", |pod| waiting(pod).0 == "ImagePullBackOff");
    let message = waiting(&pod).1;
    contains(
        message,
        &format!("Back-off pulling image \"{image}\": ErrImagePull: "),
    );
    contains(message, "authentication required");
    let pulling = format!("Pulling: Pulling image \"{image}\"");
    let failed = format!("Failed: Failed to pull image \"{image}\": ");
    let wanted: [&str; 5] = [
        &pulling,
        &failed,
        "Failed: Error: ErrImagePull",
        "BackOff: Back-off pulling image",
        "FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (nowhere)",
    ];
    case.await_events("stranger", &wanted);

    let (user, password) = LOGIN;
    let words = [
        "create",
        "secret",
        "docker-registry",
        "login",
        &format!("--docker-server={}", case.registry.host),
        &format!("--docker-username={user}"),
        &format!("--docker-password={password}"),
    ];
    case.kubectl(&words);
    case.create("guest", "IfNotPresent", &["login"]);
    let pod = case.await_pod("guest", is_running);
    contains(
        &pod["status"]["containerStatuses"][0]["imageID"].to_string(),
        "sha256:",
    );
    let pulled = format!("Pulled: Successfully pulled image \"{image}\" in ");
    case.await_events("guest", &[&pulled, "Image size: "]);
    until("it has said its line", || {
        match case.kubectl(&["logs", "guest"]) {
            log if log == "it runs\n" => Ok(()),
            log => Err(log),
        }
    });

    // It is here now; Always asks all the same, with the machine's own login.
    case.create("present", "IfNotPresent", &[]);
    case.await_pod("present", is_running);
    let already = format!("Pulled: Container image \"{image}\" already present on machine");
    case.await_events("present", &[&already]);
    case.create("always", "Always", &[]);
    let pod = case.await_pod("always", |pod| {
        waiting(pod).0 == "ErrImagePull" || waiting(pod).0 == "ImagePullBackOff"
    });
    contains(waiting(&pod).1, "the image is present");
    case.log_in();
    case.create("always-2", "Always", &[]);
    case.await_pod("always-2", is_running);
    case.await_events("always-2", &["Pulled: Successfully pulled image"]);
}
