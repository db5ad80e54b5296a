//! The command line without a cluster: help, refusals, exit codes.

use std::path::PathBuf;
use std::process::{Command, Output};

/// A home of the test's own, removed afterwards.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Home {
        let path = std::env::temp_dir().join(format!("coracle-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Home(path)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
        command
            .args(args)
            .env("CORACLE_HOME", self.0.join("home"))
            .env("KUBECONFIG", self.0.join("kubeconfig"))
            .env_remove("CORACLE_CLUSTER")
            .current_dir(&self.0);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        let output = self.command(args).output();
        output.expect("the binary was built for this test")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a command and checks its exit code, and that what it said holds a text.
fn check(name: &str, args: &[&str], code: i32, expected: &str) {
    let home = Home::new(name);
    let output = home.run(args);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(expected), "{args:?}: {said}");
}

#[test]
fn help_teaches_by_example() {
    check("help", &["--help"], 0, "coracle up");
    check("help-up", &["up", "--help"], 0, "coracle.yaml");
}

#[test]
fn a_wrong_command_line_is_refused() {
    check("word", &["fly"], 2, "unrecognized subcommand");
    let hint = "hint: kubectl has that: coracle kubectl get pods";
    check("foreign", &["get", "pods"], 2, hint);
    check(
        "name",
        &["--cluster", "../etc", "status"],
        2,
        "a cluster's name is made of",
    );
    check("folder", &["up", "nowhere"], 2, "coracle up DIR");
    check(
        "down",
        &["down", "nowhere"],
        2,
        "coracle down --release NAME",
    );
    let own = "context of the kubeconfig";
    check("context", &["delete", "--context", "staging"], 2, own);
}

#[test]
fn a_cluster_that_does_not_run_is_named() {
    check("kubectl", &["kubectl", "get", "pods"], 3, "coracle start");
    check(
        "ip",
        &["--cluster", "other", "ip"],
        3,
        "coracle start --cluster other",
    );
    check("release", &["down", "--release", "web"], 3, "coracle start");
    check("status", &["status"], 0, "coracle: does not exist");
    check("stop", &["stop"], 0, "does not run");
    check("delete", &["delete"], 0, "there is no cluster coracle");
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let home = Home::new("pipe");
    let (reader, writer) = std::io::pipe().expect("a pipe for the test");
    drop(reader);
    let mut command = home.command(&["config", "schema"]);
    let output = command.stdout(writer).output().expect("it was built");
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn status_is_data_where_data_is_asked_for() {
    let home = Home::new("json");
    let output = home.run(&["status", "-o", "json"]);
    let facts: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(
        facts,
        serde_json::json!({"cluster": "coracle", "exists": false, "running": false})
    );
}

#[test]
fn a_chart_is_rendered_without_a_cluster_and_refused_with_its_place() {
    let home = Home::new("template");
    let templates = home.0.join("chart/templates");
    std::fs::create_dir_all(&templates).expect("a folder for the test");
    std::fs::write(
        home.0.join("chart/Chart.yaml"),
        "apiVersion: v2\nname: c\nversion: 0.1.0\n",
    )
    .expect("a file");
    let write = |text: &str| std::fs::write(templates.join("a.yaml"), text).expect("a file");
    write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n");
    let output = home.run(&["template", "web", "chart"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("metadata: {name: web}"));
    write("kind: ConfigMap\nname: {{ .Values.a.b }}\n");
    let output = home.run(&["template", "chart"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("c/templates/a.yaml:2:"),
        "{output:?}"
    );
}
