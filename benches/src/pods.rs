//! From a pod's creation to its running container.

use std::time::{Duration, Instant};

use coracle_tests::cluster::Cluster;
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;

use crate::table::{Table, percentile};

/// Pods that are started one after another.
const SINGLE: usize = 50;
/// Pods that are started at once.
const TOGETHER: usize = 100;

/// Measures single starts and a hundred at once.
pub fn start_times(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let document = Kubeconfig::read_from(cluster.kubeconfig())?;
        let config =
            Config::from_custom_kubeconfig(document, &KubeConfigOptions::default()).await?;
        let pods: Api<Pod> = Api::default_namespaced(Client::try_from(config)?);
        let mut times = Vec::new();
        for number in 0..SINGLE {
            let since = Instant::now();
            pods.create(&PostParams::default(), &pod(&format!("single-{number}"))?)
                .await?;
            until_running(&pods, "bench=single", 1).await?;
            times.push(since.elapsed().as_secs_f64() * 1e3);
            clear(&pods, "bench=single").await?;
        }
        times.sort_by(f64::total_cmp);
        table.row(
            "pod create -> container running, p50",
            percentile(&times, 0.5),
            40.0,
            "ms",
        );
        table.row(
            "pod create -> container running, p99",
            percentile(&times, 0.99),
            150.0,
            "ms",
        );
        let since = Instant::now();
        for number in 0..TOGETHER {
            pods.create(&PostParams::default(), &pod(&format!("together-{number}"))?)
                .await?;
        }
        until_running(&pods, "bench=together", TOGETHER).await?;
        table.row("100 pods running", since.elapsed().as_secs_f64(), 4.0, "s");
        clear(&pods, "bench=together").await
    })
}

fn pod(name: &str) -> anyhow::Result<Pod> {
    let label = name.split('-').next().unwrap_or_default();
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"bench": label}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "todo-frontend:latest", "imagePullPolicy": "IfNotPresent"}],
        },
    }))?)
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
