//! `up --context`: the same chart to a cluster that is reached by nothing but
//! its kubeconfig. Images go by way of a registry with a login and an
//! authority of its own, and are named by digest.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use coracle_tests::cluster::Cluster;
use coracle_tests::island::Island;
use coracle_tests::registry::Registry;
use coracle_tests::skip;
use coracle_tests::wait::until;

/// Lets a command trust the registry's authority and know its login.
fn with_registry(command: &mut Command, cluster: &Cluster, registry: &Registry) -> Output {
    let folder = cluster.home().join(".docker");
    fs::create_dir_all(&folder).expect("a folder for the test");
    fs::write(folder.join("config.json"), registry.docker_config()).expect("a file for the test");
    command
        .env("SSL_CERT_FILE", &registry.authority)
        .output()
        .expect("the program was built")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Writes a project whose image can only come from the registry.
fn project(here: &Cluster, registry: &Registry) {
    let home = here.home();
    let context = home.join("image");
    fs::create_dir_all(&context).expect("a folder for the test");
    fs::copy("/bin/busybox", context.join("busybox")).expect("it is there");
    let write = |name: &str, text: &str| {
        let path = home.join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a folder for the test");
        fs::write(path, text).expect("a file for the test");
    };
    write(
        "image/Dockerfile",
        "FROM scratch\nCOPY busybox /bin/busybox\nENTRYPOINT [\"/bin/busybox\"]\nCMD [\"sh\", \"-c\", \"echo it runs there; exec busybox sleep 3600\"]\nUSER 1001:1001\n",
    );
    write(
        "chart/Chart.yaml",
        "apiVersion: v2\nname: far\nversion: 0.1.0\n",
    );
    write(
        "chart/templates/app.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: far}\nspec:\n  selector: {matchLabels: {app: far}}\n  template:\n    metadata: {labels: {app: far}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      containers:\n      - name: app\n        image: \"app:1\"\n",
    );
    let text = |registry: &str| {
        format!(
            "chart: chart\n{registry}images:\n  - {{name: 'app:1', dockerfile: image/Dockerfile, context: image}}\n"
        )
    };
    write(
        "without/coracle.yaml",
        &text("")
            .replace("chart: chart", "chart: ../chart")
            .replace("image/", "../image/")
            .replace("context: image", "context: ../image"),
    );
    write(
        "coracle.yaml",
        &text(&format!("registry: {}/team\n", registry.host)),
    );
}

#[test]
fn a_chart_goes_to_an_existing_cluster() {
    if !Path::new("/bin/busybox").exists() {
        return skip("a static /bin/busybox is the base of the image");
    }
    let there = Cluster::new("there");
    let Some(mut island) = Island::new(there.home()) else {
        return skip("only root can make this network");
    };
    let Some(registry) = Registry::start(&mut island, there.home()) else {
        return;
    };
    let there = there.behind(island.before());
    let here = Cluster::new("here").behind(island.before());
    project(&here, &registry);
    let started = with_registry(&mut there.command(&["start"]), &there, &registry);
    assert!(started.status.success(), "{}", said(&started));

    let ask = |words: &[&str]| {
        let mut words = words.to_vec();
        words.extend(["--context", "there"]);
        let mut command = here.command(&words);
        command.env("KUBECONFIG", there.kubeconfig());
        with_registry(&mut command, &here, &registry)
    };
    // The island has a working folder of its own.
    let folder = here.home().display().to_string();
    let refused = ask(&["up", &format!("{folder}/without")]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(
        said(&refused).contains("names no registry"),
        "{}",
        said(&refused)
    );

    let up = ask(&["up", &folder]);
    assert!(up.status.success(), "{}", said(&up));
    let status = said(&ask(&["status", "-o", "json"]));
    assert!(
        status.contains(&format!("{}/team/app@sha256:", registry.host)),
        "{status}"
    );
    until("it has written its line", || {
        let log = said(&ask(&["logs", "far"]));
        log.contains("it runs there").then_some(()).ok_or(log)
    });
    assert!(said(&ask(&["why", "deploy/far"])).contains("nothing is wrong"));
    let again = said(&ask(&["up", &folder]));
    assert!(again.contains("nothing has changed"), "{again}");
    // Nothing of it ran on our own side.
    assert_eq!(here.run(&["status"]), "here: does not exist\n");

    let down = ask(&["down", &folder]);
    assert!(down.status.success(), "{}", said(&down));
    assert!(said(&ask(&["why", "far"])).contains("no such release"));
    there.run(&["delete"]);
}
