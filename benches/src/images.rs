//! Images: how fast an archive becomes an image that runs, what one changed
//! file costs, beside `buildah` where it is installed, and how long it takes
//! until pods run with it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use coracle_tests::cluster::Cluster;
use coracle_tests::lab::{IMAGE, Lab};
use serde_json::json;

use crate::table::{Table, median};

/// Files of the large layer, and bytes of each.
const FILES: usize = 64;
const FILE_BYTES: u64 = 4 << 20;
/// How often each figure is taken.
const TIMES: usize = 5;

/// Measures load, rebuild and roll-out; where there is a peer its figure stands
/// where a budget would.
pub fn images(table: &mut Table) -> anyhow::Result<()> {
    beside_buildah(table)?;
    rolled_out(table)
}

fn beside_buildah(table: &mut Table) -> anyhow::Result<()> {
    let work = Cluster::new("bench-images");
    let context = work.home().join("context");
    fill(&context, "scratch")?;
    let archive = work.home().join("image.tar");
    build(&work, &context)?;
    let words = ["image", "save", "-o", text(&archive)?, "bench:1"];
    run(work.command(&words))?;
    let megabytes = fs::metadata(&archive)?.len() as f64 / 1e6;

    let peer = Peer::find(&work);
    let (mut loads, mut peer_loads) = (Vec::new(), Vec::new());
    for number in 0..TIMES {
        // A store of its own: nothing is there already.
        let fresh = Cluster::new(&format!("bench-load-{number}"));
        let load = fresh.command(&["image", "load", text(&archive)?]);
        loads.push(megabytes / timed(load)?);
        if let Some(peer) = &peer {
            peer_loads.push(megabytes / timed(peer.load(&archive)?)?);
            run(peer.command(&["rmi", "--all", "--force"]))?;
        }
    }
    let what = "image load and unpack (budget: buildah)";
    table.row(what, median(loads), median(peer_loads), "MB/s");

    let (mut rebuilds, mut peer_rebuilds) = (Vec::new(), Vec::new());
    if let Some(peer) = &peer {
        run(peer.build(&context)?)?;
    }
    for number in 0..TIMES {
        fs::write(context.join("small/changed"), format!("{number}"))?;
        let since = Instant::now();
        build(&work, &context)?;
        rebuilds.push(since.elapsed().as_secs_f64() * 1e3);
        if let Some(peer) = &peer {
            peer_rebuilds.push(timed(peer.build(&context)?)? * 1e3);
        }
    }
    let what = "rebuild of one changed layer (budget: buildah)";
    table.row(what, median(rebuilds), median(peer_rebuilds), "ms");
    Ok(())
}

/// One changed file → its layer anew → the Deployment that names the image runs
/// with it and with nothing older.
fn rolled_out(table: &mut Table) -> anyhow::Result<()> {
    let lab = Lab::new("bench-roll").context("a tool is missing")?;
    let context = lab.cluster.home().join("rolled");
    fill(&context, IMAGE)?;
    build(&lab.cluster, &context)?;
    lab.apply(&[json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "rolled"},
        "spec": {"selector": {"matchLabels": {"app": "rolled"}}, "template": {
            "metadata": {"labels": {"app": "rolled"}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
                "name": "c", "image": "bench:1", "imagePullPolicy": "Never",
                "command": ["sleep", "3600"],
            }]},
        }},
    })]);
    let wait = ["rollout", "status", "deployment/rolled", "--timeout=60s"];
    lab.kubectl(&wait);
    let mut times = Vec::new();
    for number in 0..TIMES {
        fs::write(context.join("small/changed"), format!("{number}"))?;
        let since = Instant::now();
        build(&lab.cluster, &context)?;
        lab.kubectl(&wait);
        times.push(since.elapsed().as_secs_f64());
    }
    table.row(
        "one changed layer rebuilt and rolled out",
        median(times),
        3.0,
        "s",
    );
    Ok(())
}

/// Writes a context: a large folder that stays, a small one that changes.
fn fill(context: &Path, base: &str) -> anyhow::Result<()> {
    fs::create_dir_all(context.join("large"))?;
    fs::create_dir_all(context.join("small"))?;
    let mut random = fs::File::open("/dev/urandom")?;
    for number in 0..FILES {
        let mut file = fs::File::create(context.join(format!("large/{number}")))?;
        std::io::copy(&mut (&mut random).take(FILE_BYTES), &mut file)?;
    }
    fs::write(context.join("small/changed"), "first")?;
    let dockerfile = format!("FROM {base}\nCOPY large /large\nCOPY small /small\n");
    Ok(fs::write(context.join("Dockerfile"), dockerfile)?)
}

fn build(cluster: &Cluster, context: &Path) -> anyhow::Result<()> {
    run(cluster.command(&["image", "build", "-t", "bench:1", text(context)?]))
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a plain path")
}

fn run(mut command: Command) -> anyhow::Result<()> {
    let output = command.output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {told}");
    Ok(())
}

fn timed(command: Command) -> anyhow::Result<f64> {
    let since = Instant::now();
    run(command)?;
    Ok(since.elapsed().as_secs_f64())
}

/// `buildah` with a store of its own.
struct Peer {
    folder: PathBuf,
}

impl Peer {
    fn find(work: &Cluster) -> Option<Peer> {
        let there = Command::new("buildah").arg("--version").output().is_ok();
        there.then(|| Peer {
            folder: work.home().join("peer"),
        })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("buildah");
        for (flag, name) in [("--root", "root"), ("--runroot", "run")] {
            command.arg(flag).arg(self.folder.join(name));
        }
        command.args(["--storage-driver", "overlay"]).args(words);
        command
    }

    fn load(&self, archive: &Path) -> anyhow::Result<Command> {
        let source = format!("docker-archive:{}", text(archive)?);
        Ok(self.command(&["pull", "--quiet", &source]))
    }

    fn build(&self, context: &Path) -> anyhow::Result<Command> {
        let words = [
            "build",
            "--isolation",
            "chroot",
            "--layers",
            "-t",
            "bench:1",
        ];
        Ok(self.command(&[&words[..], &[text(context)?]].concat()))
    }
}
