//! From nothing to an API, and to a page.

use std::fs;
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use coracle_tests::cluster::Cluster;
use coracle_tests::project::Project;
use coracle_tests::web::Visitor;

use crate::table::{Table, median};

/// How often each is repeated; the median counts.
const ROUNDS: usize = 5;
/// Where the page is asked for.
const PORT: u16 = 31_180;

/// Nothing → the API answers.
pub fn api_ready(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let since = Instant::now();
        cluster.run(&["start", "--quiet"]);
        times.push(since.elapsed().as_secs_f64() * 1e3);
        cluster.run(&["delete", "--quiet"]);
    }
    table.row(
        "nothing -> API answers (median of 5)",
        median(times),
        150.0,
        "ms",
    );
    Ok(())
}

/// Nothing runs → the todo application's page answers; the images are there.
pub fn application_served(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    project(cluster)?;
    // The first time makes the images.
    cluster.run(&["up", "--quiet"]);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        cluster.run(&["down", "--quiet"]);
        cluster.run(&["stop", "--quiet"]);
        let since = Instant::now();
        let mut up = cluster.command(&["up", "--quiet"]);
        let mut up = up.stdout(Stdio::null()).spawn()?;
        until_served();
        times.push(since.elapsed().as_secs_f64() * 1e3);
        anyhow::ensure!(up.wait()?.success(), "up failed");
    }
    table.row(
        "nothing -> todo application answers (median of 5)",
        median(times),
        1000.0,
        "ms",
    );
    Ok(())
}

fn until_served() {
    let address = ([127, 0, 0, 1], PORT).into();
    loop {
        if TcpStream::connect(address).is_ok()
            && Visitor::new(address)
                .get("/signin")
                .is_ok_and(|page| page.status == 200)
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Writes a project of the todo application that compiles nothing.
fn project(cluster: &Cluster) -> anyhow::Result<()> {
    let values = format!("frontend: {{service: {{nodePort: {PORT}}}}}\n");
    fs::write(cluster.home().join("values.yaml"), values)?;
    let project = Project {
        values: vec!["values.yaml".into()],
        ..Project::default()
    };
    project.write(cluster);
    Ok(())
}
