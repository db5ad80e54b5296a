//! No network at all: `up` in a network namespace without any link but the
//! loopback, whose name server does not exist, as root and as somebody else.
//! Images are built from scratch there; the page is served at the end.

use std::fs;

use coracle_tests::cluster::Cluster;
use coracle_tests::mishap::Said;
use coracle_tests::private::{in_private_network, is_root};
use coracle_tests::project::Project;
use coracle_tests::skip;
use coracle_tests::web::{Visitor, sign_up};

/// Signs up and creates a task, as in a browser.
fn first_task(url: &str) {
    let mut ann = sign_up(Visitor::of(url), "ann");
    let page = ann.post("/tasks", &[("title", "water the boat")]);
    let page = page.expect("the page answers");
    assert!(page.body.contains("water the boat"), "{}", page.body);
}

fn from_nothing_to_a_page(cluster: &Cluster) {
    Project::default().write(cluster);
    // Nothing was built before: both images come from their Dockerfiles.
    assert!(!cluster.home().join("home").exists());
    first_task(&cluster.run(&["up"]));
    a_base_that_is_nowhere(cluster);
    cluster.run(&["down"]);
    cluster.run(&["delete"]);
}

/// What cannot be had without a network is said at once.
fn a_base_that_is_nowhere(cluster: &Cluster) {
    let folder = cluster.home().join("based");
    fs::create_dir_all(&folder).expect("a folder for the test");
    fs::write(
        folder.join("Dockerfile"),
        "FROM docker.io/library/alpine:3\n",
    )
    .expect("a file for the test");
    let folder = folder.display().to_string();
    let said = Said::by(cluster, &["image", "build", "-t", "based:1", &folder]);
    assert_ne!(said.code, Some(0), "{}", said.text);
    assert!(said.text.contains("alpine:3"), "{}", said.text);
}

#[test]
fn up_without_any_network_as_the_user_who_runs_the_tests() {
    in_private_network(
        "up_without_any_network_as_the_user_who_runs_the_tests",
        || {
            from_nothing_to_a_page(&Cluster::new("alone"));
        },
    );
}

#[test]
fn up_without_any_network_as_a_user_without_privileges() {
    if !is_root() {
        return skip("only root can become somebody else");
    }
    in_private_network(
        "up_without_any_network_as_a_user_without_privileges",
        || {
            from_nothing_to_a_page(&Cluster::new("alone-plain").as_user(65_534));
        },
    );
}
