//! From a pod's creation to its running container, what a hundred pods cost,
//! and `crun` beside it where it is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use coracle_tests::cluster::Cluster;
use coracle_tests::lab::{IMAGE, Lab};
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;

use crate::cpu::pss_kilobytes;
use crate::table::{Table, median, percentile};

/// Images whose first pod is timed.
const FIRST: usize = 5;
/// Pods that are started one after another.
const SINGLE: usize = 50;
/// Pods that are started at once.
const TOGETHER: usize = 100;

/// Measures starts one by one and a hundred at once.
pub fn measure(table: &mut Table) -> anyhow::Result<()> {
    let lab = Lab::new("bench-pods").context("a tool is missing")?;
    for number in 0..FIRST {
        let line = format!("LABEL number={number}\nRUN echo {number} > /number\n");
        lab.build(&format!("first:{number}"), None, &line);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(start_times(&lab, table))
}

async fn start_times(lab: &Lab, table: &mut Table) -> anyhow::Result<()> {
    let document = Kubeconfig::read_from(lab.cluster.kubeconfig())?;
    let config = Config::from_custom_kubeconfig(document, &KubeConfigOptions::default()).await?;
    let pods: Api<Pod> = Api::default_namespaced(Client::try_from(config)?);
    let mut firsts = Vec::new();
    for number in 0..FIRST {
        firsts.push(one(&pods, "first", number, &format!("first:{number}")).await?);
    }
    let what = "first pod of an image -> running, median of 5";
    table.row(what, median(firsts), 150.0, "ms");

    let crun = Crun::find(lab.cluster.home())?;
    let (mut times, mut peer) = (Vec::new(), Vec::new());
    for number in 0..SINGLE {
        times.push(one(&pods, "single", number, IMAGE).await?);
        if let Some(crun) = &crun {
            peer.push(crun.run(number)?);
        }
    }
    times.sort_by(f64::total_cmp);
    for (share, budget, name) in [(0.5, 40.0, "p50"), (0.99, 150.0, "p99")] {
        let what = format!("pod create -> container running, {name}");
        table.row(what, percentile(&times, share), budget, "ms");
    }
    let what = "the same, p50 (budget: crun alone runs `true`)";
    table.row(what, percentile(&times, 0.5), median(peer), "ms");

    let since = Instant::now();
    for number in 0..TOGETHER {
        create(&pods, "together", number, IMAGE).await?;
    }
    until_running(&pods, "bench=together", TOGETHER).await?;
    table.row("100 pods running", since.elapsed().as_secs_f64(), 4.0, "s");
    memory(&lab.cluster, table);
    clear(&pods, "bench=together").await
}

/// What the processes take while a hundred pods run.
fn memory(cluster: &Cluster, table: &mut Table) {
    let shims = cluster.processes("shim");
    let sum: u64 = shims.iter().map(|pid| pss_kilobytes(*pid)).sum();
    let each = sum as f64 / shims.len().max(1) as f64;
    let what = format!("memory of a shim, of {} (PSS)", shims.len());
    table.row(what, each, 512.0, "kB");
    let engine = cluster.processes("engine");
    let engine: u64 = engine.iter().map(|pid| pss_kilobytes(*pid)).sum();
    let what = "memory of the engine with 100 pods (PSS)";
    table.row(what, engine as f64 / 1024.0, 64.0, "MB");
}

/// Starts one pod, returns how long that took in milliseconds, and removes it.
async fn one(pods: &Api<Pod>, label: &str, number: usize, image: &str) -> anyhow::Result<f64> {
    let since = Instant::now();
    create(pods, label, number, image).await?;
    let labels = format!("bench={label}");
    until_running(pods, &labels, 1).await?;
    let took = since.elapsed().as_secs_f64() * 1e3;
    clear(pods, &labels).await?;
    Ok(took)
}

async fn create(pods: &Api<Pod>, label: &str, number: usize, image: &str) -> anyhow::Result<()> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": format!("{label}-{number}"), "labels": {"bench": label}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": image, "command": ["sleep", "3600"]}],
        },
    }))?;
    pods.create(&PostParams::default(), &pod).await?;
    Ok(())
}

async fn until_running(pods: &Api<Pod>, labels: &str, count: usize) -> anyhow::Result<()> {
    let events = watcher(pods.clone(), watcher::Config::default().labels(labels)).touched_objects();
    pin_mut!(events);
    let mut running = std::collections::BTreeSet::new();
    while let Some(pod) = events.next().await {
        let pod = pod?;
        if pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref())
            == Some("Running")
        {
            running.insert(pod.name_any());
        }
        if running.len() >= count {
            break;
        }
    }
    Ok(())
}

async fn clear(pods: &Api<Pod>, labels: &str) -> anyhow::Result<()> {
    let selected = ListParams::default().labels(labels);
    pods.delete_collection(&DeleteParams::default().grace_period(0), &selected)
        .await?;
    while !pods.list(&selected).await?.items.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// `crun` with a bundle of its own.
struct Crun {
    bundle: PathBuf,
}

impl Crun {
    /// `None` where it is not installed or does not run.
    fn find(home: &Path) -> anyhow::Result<Option<Crun>> {
        let bundle = home.join("bundle");
        fs::create_dir_all(bundle.join("rootfs/bin"))?;
        let busybox = home.join("image/root/bin/busybox");
        fs::copy(busybox, bundle.join("rootfs/bin/true"))?;
        let spec = Command::new("crun")
            .arg("spec")
            .current_dir(&bundle)
            .output();
        if !spec.is_ok_and(|output| output.status.success()) {
            return Ok(None);
        }
        let path = bundle.join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["/bin/true"]);
        fs::write(&path, config.to_string())?;
        let crun = Crun { bundle };
        Ok(crun.run(SINGLE).is_ok().then_some(crun))
    }

    /// Starts a container, waits for its end and removes it: milliseconds.
    fn run(&self, number: usize) -> anyhow::Result<f64> {
        // It refuses both trees of cgroups at once; without the second it works.
        let script = "umount /sys/fs/cgroup/unified 2>/dev/null; s=$(date +%s%N); crun run -b \"$0\" \"$1\" || exit; e=$(date +%s%N); echo $((e - s))";
        let id = format!("coracle-bench-{}-{number}", std::process::id());
        let output = Command::new("unshare")
            .args(["--mount", "--", "sh", "-c", script])
            .arg(&self.bundle)
            .arg(id)
            .output()?;
        ensure!(output.status.success(), "crun failed: {output:?}");
        let nanoseconds: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
        Ok(nanoseconds / 1e6)
    }
}
