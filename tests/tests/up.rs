//! `up` interrupted at every phase, as Ctrl-C on a terminal does it: the same
//! command goes on from there.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use coracle_tests::cluster::Cluster;
use coracle_tests::private::in_private_network;
use coracle_tests::project::Project;
use coracle_tests::wait::until;

/// The exit code of a command that SIGINT ended, as shells count it.
const INTERRUPTED: i32 = 130;

/// Begins an `up` in a process group of its own, as a shell does.
fn begin(cluster: &Cluster) -> Child {
    let mut command = cluster.command(&["up"]);
    command.process_group(0).stdout(Stdio::null());
    let child = command.stderr(Stdio::piped()).spawn();
    child.expect("the program was built")
}

/// Presses Ctrl-C: the terminal tells every process of the group.
fn interrupt(up: &Child) {
    let group = format!("-{}", up.id());
    let status = Command::new("kill").args(["-INT", "--", &group]).status();
    assert!(status.is_ok_and(|status| status.success()));
}

/// Interrupts an `up` as soon as a phase is over; returns what it said.
fn interrupted_after(cluster: &Cluster, phase: &str) -> String {
    let mut up = begin(cluster);
    let stderr = up.stderr.take().expect("it was asked for");
    let mut said = String::new();
    let mut is_told = false;
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if !is_told && line.contains(phase) && line.starts_with(['✓', '·']) {
            interrupt(&up);
            is_told = true;
        }
        said.push_str(&line);
        said.push('\n');
    }
    let status = up.wait().expect("it ends");
    assert!(is_told, "{phase} was never over:\n{said}");
    assert_eq!(status.code(), Some(INTERRUPTED), "after {phase}:\n{said}");
    assert!(
        said.contains("the same command goes on from here"),
        "{said}"
    );
    said
}

#[test]
fn up_may_be_interrupted_at_any_moment() {
    in_private_network("up_may_be_interrupted_at_any_moment", || {
        let cluster = Cluster::new("interrupted");
        let project = Project {
            values: vec!["held.yaml".into()],
            ..Project::default()
        };
        project.write(&cluster);
        // Until it is let go no `up` comes to its end before it is interrupted.
        let held = cluster.home().join("held.yaml");
        let late = "healthCheck: {readiness: {initialDelaySeconds: 3600}}\n";
        fs::write(&held, late).expect("a file for the test");
        // In the midst of the first build.
        let mut up = begin(&cluster);
        until("the build has begun", || {
            let images = cluster.home().join("home/images");
            images.exists().then_some(()).ok_or_else(String::new)
        });
        interrupt(&up);
        assert_eq!(up.wait().expect("it ends").code(), Some(INTERRUPTED));
        for phase in [
            "Build",
            "Configuration",
            "Deployment",
            "Scheduling",
            "Startup",
        ] {
            interrupted_after(&cluster, phase);
            // What was begun is taken away, so that every phase has work to do.
            // There is none yet after the first ones.
            let _ = cluster.command(&["down", "--quiet"]).output();
        }
        // The cluster is in no process group of a command.
        assert!(cluster.run(&["status"]).contains("running"));
        fs::write(&held, "{}\n").expect("it is ours");
        cluster.run(&["up"]);
        let list = cluster.run(&["list"]);
        assert!(list.contains("deployed"), "{list}");
        let again = cluster.command(&["up"]).output().expect("it was built");
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(said.contains("nothing has changed"), "{said}");
    });
}
