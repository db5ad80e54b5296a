//! The node's own object: what it has, that it is ready, and its lease
//! (upstream: pkg/kubelet/kubelet_node_status.go, component-helpers lease).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, is_conflict, is_not_found, now, watchful_sleep};
use coracle_machinery::version::GIT_VERSION;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{
    Node, NodeAddress, NodeCondition, NodeFeatures, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use kube::Api;
use kube::ResourceExt;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::config::Config;
use crate::shared::Shared;
use crate::simulated::Simulated;

/// Life of a lease; it is renewed four times within (upstream: nodeLeaseDurationSeconds).
const LEASE_SECONDS: i32 = 40;
const RENEW: Duration = Duration::from_secs(10);

/// Returns what the node can give, in thousandths of a unit.
pub fn capacity(config: &Config) -> BTreeMap<String, i64> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let disk = rustix::fs::statvfs(&config.pods).map_or(0, |stat| stat.f_blocks * stat.f_frsize);
    let number = |value: u64| {
        i64::try_from(value)
            .unwrap_or(i64::MAX / 1000)
            .saturating_mul(1000)
    };
    [
        ("cpu".to_owned(), number(cores as u64)),
        ("memory".to_owned(), number(memory_bytes())),
        ("ephemeral-storage".to_owned(), number(disk)),
        ("pods".to_owned(), number(config.pods_max.into())),
    ]
    .into()
}

/// Returns what a node without a machine can give.
pub fn pretended_capacity(simulated: &Simulated) -> BTreeMap<String, i64> {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX / 1000) * 1000;
    [
        ("cpu".to_owned(), number(simulated.cpus.into())),
        ("memory".to_owned(), number(simulated.memory_bytes)),
        ("ephemeral-storage".to_owned(), number(1 << 42)),
        ("pods".to_owned(), number(simulated.pods_max.into())),
    ]
    .into()
}

/// Returns the machine's memory in bytes (proc_meminfo(5)).
fn memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

fn quantities(capacity: &BTreeMap<String, i64>) -> BTreeMap<String, Quantity> {
    let text = |name: &str, value: i64| match name {
        "memory" | "ephemeral-storage" => format!("{}Ki", value / 1000 / 1024),
        _ => (value / 1000).to_string(),
    };
    capacity
        .iter()
        .map(|(name, value)| (name.clone(), Quantity(text(name, *value))))
        .collect()
}

/// Registers the node and renews its lease, for ever.
pub async fn run(shared: Arc<Shared>, nodes: Cache<Node>) {
    nodes.ready().await;
    while let Err(error) = register(&shared, &nodes).await {
        tracing::warn!(%error, "the node was not registered, trying again");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    loop {
        if let Err(error) = renew(&shared).await {
            tracing::warn!(%error, "the node's lease was not renewed");
        }
        watchful_sleep(RENEW).await;
    }
}

async fn register(shared: &Shared, nodes: &Cache<Node>) -> Result<(), kube::Error> {
    let api: Api<Node> = Api::all(shared.client.clone());
    let name = &shared.config.name;
    if nodes.get("", name).is_none() {
        match api
            .create(&PostParams::default(), &object(&shared.config))
            .await
        {
            Err(error) if !is_conflict(&error) => return Err(error),
            _ => {}
        }
    }
    report(shared).await
}

/// Writes the node's status as it is now.
///
/// # Errors
/// Returns what the API says.
pub async fn report(shared: &Shared) -> Result<(), kube::Error> {
    let api: Api<Node> = Api::all(shared.client.clone());
    let name = &shared.config.name;
    let old = api.get(name).await?.status.unwrap_or_default();
    let status = status(shared, &old);
    let patch = json!({"status": status});
    api.patch_status(name, &PatchParams::default(), &Patch::Strategic(&patch))
        .await
        .map(drop)
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn object(config: &Config) -> Node {
    let labels = [
        ("kubernetes.io/hostname", config.name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", architecture()),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", architecture()),
        ("node-role.kubernetes.io/control-plane", ""),
    ];
    let mut node = Node {
        metadata: ObjectMeta {
            name: Some(config.name.clone()),
            labels: Some(
                labels
                    .iter()
                    .map(|(key, value)| ((*key).into(), (*value).into()))
                    .collect(),
            ),
            ..Default::default()
        },
        ..Default::default()
    };
    node.spec.get_or_insert_default().pod_cidr = Some(config.plan.pods.to_string());
    node
}

fn status(shared: &Shared, old: &NodeStatus) -> NodeStatus {
    let quantities = quantities(&shared.allocatable);
    let address = |type_: &str, address: String| NodeAddress {
        type_: type_.into(),
        address,
    };
    NodeStatus {
        capacity: Some(quantities.clone()),
        allocatable: Some(quantities),
        addresses: Some(vec![
            address("InternalIP", shared.config.address().to_string()),
            address("Hostname", shared.config.name.clone()),
        ]),
        conditions: Some(conditions(shared, old)),
        node_info: Some(info(&machine_id(&shared.config))),
        features: Some(NodeFeatures {
            supplemental_groups_policy: Some(true),
        }),
        ..Default::default()
    }
}

/// Whether limits are enforced; nothing exceeds them where nothing runs.
fn limits_hold(shared: &Shared) -> bool {
    let runtime = shared.machine.linux();
    runtime.is_none_or(|runtime| runtime.cgroups().available())
}

fn conditions(shared: &Shared, old: &NodeStatus) -> Vec<NodeCondition> {
    let make = |type_: &str, status: &str, reason: &str, message: &str| {
        let before = old
            .conditions
            .iter()
            .flatten()
            .find(|one| one.type_ == type_ && one.status == status);
        NodeCondition {
            type_: type_.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_heartbeat_time: Some(now()),
            last_transition_time: before
                .and_then(|one| one.last_transition_time.clone())
                .or_else(|| Some(now())),
        }
    };
    let limits = if limits_hold(shared) {
        make(
            "CoracleLimits",
            "True",
            "CgroupsDelegated",
            "memory, cpu and process limits are enforced",
        )
    } else {
        make(
            "CoracleLimits",
            "False",
            "CgroupsNotDelegated",
            "containers run without memory, cpu and process limits: no cgroup was delegated; start as root or in a systemd scope with Delegate=yes",
        )
    };
    vec![
        if shared.pressure.of_memory() {
            make(
                "MemoryPressure",
                "True",
                "KubeletHasInsufficientMemory",
                "kubelet has insufficient memory available",
            )
        } else {
            make(
                "MemoryPressure",
                "False",
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
            )
        },
        if shared.pressure.of_disk() {
            make(
                "DiskPressure",
                "True",
                "KubeletHasDiskPressure",
                "kubelet has disk pressure",
            )
        } else {
            make(
                "DiskPressure",
                "False",
                "KubeletHasNoDiskPressure",
                "kubelet has no disk pressure",
            )
        },
        make(
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available",
        ),
        limits,
        make(
            "Ready",
            "True",
            "KubeletReady",
            "kubelet is posting ready status",
        ),
    ]
}

fn info(id: &str) -> NodeSystemInfo {
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    };
    let version = env!("CARGO_PKG_VERSION");
    NodeSystemInfo {
        architecture: architecture().into(),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: format!("coracle://{version}"),
        kernel_version: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        kube_proxy_version: String::new(),
        kubelet_version: GIT_VERSION.into(),
        machine_id: id.to_owned(),
        system_uuid: uuid(id),
        operating_system: "linux".into(),
        os_image: format!("Coracle {version}"),
        ..Default::default()
    }
}

/// Returns the node's own id (machine-id(5)): the host's is not seen from inside,
/// so it gets one when it is first asked for.
fn machine_id(config: &Config) -> String {
    let path = config.volumes.join("machine-id");
    if let Ok(id) = std::fs::read_to_string(&path) {
        return id.trim().to_owned();
    }
    let id = format!("{:032x}", rand::random::<u128>());
    if let Err(error) = std::fs::write(&path, &id) {
        tracing::warn!(%error, "the node's id will be another one next time");
    }
    id
}

/// Writes an id in the form of a UUID.
fn uuid(id: &str) -> String {
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    let parts: Option<Vec<&str>> = parts.into_iter().map(|part| id.get(part)).collect();
    parts.map(|parts| parts.join("-")).unwrap_or_default()
}

async fn renew(shared: &Shared) -> Result<(), kube::Error> {
    let api: Api<Lease> = Api::namespaced(shared.client.clone(), "kube-node-lease");
    let name = &shared.config.name;
    let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
    let patch = json!({"spec": {"renewTime": now}});
    match api
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
    {
        Err(error) if is_not_found(&error) => create_lease(shared, &api, now).await,
        result => result.map(drop),
    }
}

async fn create_lease(
    shared: &Shared,
    api: &Api<Lease>,
    now: MicroTime,
) -> Result<(), kube::Error> {
    let nodes: Api<Node> = Api::all(shared.client.clone());
    let node = nodes.get(&shared.config.name).await?;
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(shared.config.name.clone()),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".into(),
                kind: "Node".into(),
                name: node.name_any(),
                uid: node.uid().unwrap_or_default(),
                ..Default::default()
            }]),
            ..Default::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(shared.config.name.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            ..Default::default()
        }),
    };
    api.create(&PostParams::default(), &lease).await.map(drop)
}
