//! The image store as its commands show it: findings, history, lists, what is
//! collected and what stays.

use std::fs;
use std::path::PathBuf;

use coracle_tests::cluster::Cluster;
use serde_json::Value;

/// Builds `text` with these files beside it, under a name.
fn build(cluster: &Cluster, name: &str, files: &[(&str, &str)], text: &str) {
    let context = cluster.home().join("context");
    let _ = fs::remove_dir_all(&context);
    fs::create_dir_all(&context).expect("a folder for the test");
    for (path, content) in files.iter().chain([&("Dockerfile", text)]) {
        fs::write(context.join(path), content).expect("a file for the test");
    }
    let context = context.display().to_string();
    cluster.run(&["image", "build", "-t", name, &context]);
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

#[test]
fn an_image_is_held_against_the_policy() {
    let cluster = Cluster::new("policy");
    let good = "FROM scratch\nCOPY app /app\nUSER 1001:1001\nHEALTHCHECK CMD [\"/app\"]\n";
    build(&cluster, "good:1", &[("app", "0123456789")], good);
    assert_eq!(
        cluster.run(&["image", "check", "good:1"]),
        "good:1: passes\n"
    );
    // An example key of AWS' documentation, in two parts.
    let key = format!("aws_access_key_id = {}{}\n", "AKIAIOSF", "ODNN7EXAMPLQ");
    let bad = "FROM scratch\nCOPY . /\n";
    build(&cluster, "bad:1", &[("credentials", &key)], bad);
    let output = cluster
        .command(&[
            "image",
            "check",
            "-o",
            "json",
            "--max-size",
            "9",
            "bad:1",
            "good:1",
        ])
        .output()
        .expect("the program was built");
    assert_eq!(output.status.code(), Some(1));
    let all = json(&String::from_utf8_lossy(&output.stdout));
    let rules = |at: usize| -> Vec<&str> {
        let findings = all[at]["findings"].as_array().expect("a list");
        let rules = findings.iter().map(|finding| finding["rule"].as_str());
        rules.map(Option::unwrap_or_default).collect()
    };
    for rule in ["size", "user", "healthcheck", "secret"] {
        assert!(rules(0).contains(&rule), "{rule} is not in {all:#}");
    }
    assert_eq!(rules(1), ["size"], "{all:#}");
    assert!(
        !all.to_string().contains("ODNN7EXAMPLQ"),
        "a finding shows a secret"
    );
    // Each limit is one image's, each rule can be left out.
    let words = [
        "image",
        "check",
        "--max-size",
        "good:1=1kB",
        "--max-size",
        "1MB",
        "--skip",
        "user",
        "--skip",
        "healthcheck",
        "--skip",
        "secret",
        "good:1",
        "bad:1",
    ];
    assert_eq!(cluster.run(&words), "good:1: passes\nbad:1: passes\n");
}

#[test]
fn an_image_tells_how_it_came_to_be() {
    let cluster = Cluster::new("history");
    let text = "FROM scratch\nCOPY app /app\nENV A=b\n";
    build(&cluster, "app:1", &[("app", "0123456789")], text);
    let history = json(&cluster.run(&["image", "history", "-o", "json", "app:1"]));
    assert_eq!(history[0]["createdBy"], "ENV A=b", "{history:#}");
    assert_eq!(history[0]["sizeBytes"], 0);
    assert_eq!(history[1]["createdBy"], "COPY app /app");
    assert_eq!(history[1]["sizeBytes"], 10);
    let list = json(&cluster.run(&["image", "ls", "-o", "json"]));
    assert_eq!(list[0]["name"], "app:1", "{list:#}");
    assert_eq!(list[0]["sizeBytes"], 10);
    let inspected = json(&cluster.run(&["image", "inspect", "app:1"]));
    assert_eq!(list[0]["id"], inspected["id"]);
    assert_eq!(list[0]["digest"], inspected["digest"]);
}

#[test]
fn what_another_cluster_names_is_not_collected() {
    let cluster = Cluster::new("prune");
    let on = |name: &'static str| {
        move |words: &[&str]| -> String { [&["--cluster", name], words].concat().join(" ") }
    };
    let run = |words: &str| cluster.run(&words.split(' ').collect::<Vec<_>>());
    let blobs = || -> Vec<PathBuf> {
        let folder = cluster.home().join("home/images/blobs/sha256");
        let entries = fs::read_dir(folder).expect("the store is there").flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let text = "FROM scratch\nCOPY app /app\n";
    build(&cluster, "app:1", &[("app", "one")], text);
    let archive = cluster.home().join("app.tar").display().to_string();
    run(&format!("image save -o {archive} app:1"));
    // A cluster that has never been started has names all the same.
    let other = on("other");
    run(&other(&["image", "load", &archive]));
    run("image rm app:1");
    run("image prune --build-cache");
    assert!(!blobs().is_empty(), "another cluster's image is gone");
    run(&other(&["image", "inspect", "app:1"]));
    run(&other(&["image", "rm", "app:1"]));
    let told = run("image prune --build-cache");
    assert!(told.contains("the store holds 0 B"), "{told}");
    assert_eq!(blobs(), Vec::<PathBuf>::new());
}

#[test]
fn the_store_keeps_its_limit() {
    let cluster = Cluster::new("limit");
    cluster.run(&["image", "limit", "100kB"]);
    let context = cluster.home().join("context");
    fs::create_dir_all(&context).expect("a folder for the test");
    fs::write(context.join("app"), vec![0; 200_000]).expect("a file for the test");
    fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY app /\n")
        .expect("a file for the test");
    let words = [
        "image",
        "build",
        "-t",
        "app:1",
        &context.display().to_string(),
    ];
    let output = cluster.command(&words).output();
    let told = output.expect("the program was built");
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("limit of 100000 bytes"), "{told}");
    assert!(told.contains("coracle image limit"), "{told}");
    cluster.run(&["image", "limit", "none"]);
    cluster.run(&words);
}
