//! What a cluster and this host know, gathered for `check`.

use std::collections::BTreeSet;
use std::net::TcpListener;

use coracle_helm::{Release, Rendered};
use coracle_machinery::kinds;
use coracle_preflight::{Denied, TakenPort, Target};
use futures::future::join_all;
use futures::join;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::failure::Failure;

/// A cluster that is asked.
pub struct Cluster {
    /// A client of it.
    pub client: Client,
    /// Its name for messages.
    pub name: String,
    /// Whether it is one of ours, on this machine.
    pub is_own: bool,
}

/// Kinds that rules look at: those of the whole cluster, then those of the
/// namespaces that the release uses.
const CLUSTER_WIDE: &[(&str, &str)] = &[
    ("v1", "Namespace"),
    ("v1", "Node"),
    ("v1", "PersistentVolume"),
    ("storage.k8s.io/v1", "StorageClass"),
    ("networking.k8s.io/v1", "IngressClass"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
    ("node.k8s.io/v1", "RuntimeClass"),
    ("v1", "Service"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
];
const IN_NAMESPACES: &[(&str, &str)] = &[
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "LimitRange"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "CronJob"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
];

/// Asks a cluster for everything that rules look at; what it refuses to tell
/// stays unknown.
pub async fn gather(
    cluster: &Cluster,
    rendered: &Rendered,
    release: &Release,
) -> Result<Target, Failure> {
    let client = &cluster.client;
    let mut target = Target {
        is_coracle: cluster.is_own,
        ..Target::named(&cluster.name)
    };
    let spaces = namespaces(rendered, release);
    let wide = CLUSTER_WIDE
        .iter()
        .map(|(version, kind)| list(client, version, kind, None));
    let inside = IN_NAMESPACES.iter().flat_map(|(version, kind)| {
        let spaces = spaces.iter();
        spaces.map(move |space| list(client, version, kind, Some(space)))
    });
    let (served, wide, inside, denied) = join!(
        served(client),
        join_all(wide),
        join_all(inside),
        denied(client, rendered, release)
    );
    target.served = Some(served?);
    target.denied = denied;
    for ((_, kind), found) in CLUSTER_WIDE.iter().zip(wide) {
        if let Some(objects) = found {
            target.list(kind, objects);
        }
    }
    for ((_, kind), found) in IN_NAMESPACES.iter().zip(inside.chunks(spaces.len())) {
        let all: Option<Vec<Vec<Value>>> = found.iter().cloned().collect();
        if let Some(objects) = all {
            target.list(kind, objects.into_iter().flatten());
        }
    }
    if cluster.is_own {
        target.images = images(&target);
        target.taken_ports = taken(rendered);
    }
    Ok(target)
}

/// Looks at this machine alone.
pub fn host(rendered: &Rendered) -> Target {
    Target {
        taken_ports: taken(rendered),
        is_coracle: true,
        ..Target::named("")
    }
}

/// Ports of NodePorts that somebody holds on this machine.
fn taken(rendered: &Rendered) -> Vec<TakenPort> {
    let held = |port: &u16| {
        let error = TcpListener::bind(("127.0.0.1", *port)).err();
        error.is_some_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    };
    let ports = node_ports(rendered).into_iter().filter(held);
    ports
        .map(|port| TakenPort {
            port,
            by: "another process".into(),
        })
        .collect()
}

fn namespaces(rendered: &Rendered, release: &Release) -> BTreeSet<String> {
    let mut found = BTreeSet::from([release.namespace.clone()]);
    for manifest in &rendered.manifests {
        let lines = manifest.body.lines();
        found.extend(lines.filter_map(|line| {
            let value = line
                .strip_prefix("  namespace:")?
                .trim()
                .trim_matches(['"', '\'']);
            (!value.is_empty()).then(|| value.to_owned())
        }));
    }
    found
}

async fn served(client: &Client) -> Result<BTreeSet<String>, Failure> {
    let discovery = kube::Discovery::new(client.clone())
        .run_aggregated()
        .await?;
    let mut served = BTreeSet::new();
    for group in discovery.groups() {
        for version in group.versions() {
            for (resource, _) in group.versioned_resources(version) {
                served.insert(format!("{}/{}", resource.api_version, resource.kind));
            }
        }
    }
    Ok(served)
}

async fn list(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespace: Option<&str>,
) -> Option<Vec<Value>> {
    let row = kinds::by_api_version(api_version, kind)?;
    let wanted = GroupVersionKind::gvk(row.group, row.version, row.kind);
    let resource = ApiResource::from_gvk_with_plural(&wanted, row.plural);
    let objects: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let found = objects.list(&ListParams::default()).await.ok()?;
    let values = found.items.iter().filter_map(|object| {
        let mut value = serde_json::to_value(object).ok()?;
        value["kind"] = kind.into();
        if kind == "Secret" {
            hide(&mut value);
        }
        Some(value)
    });
    Some(values.collect())
}

/// Keys are enough.
fn hide(secret: &mut Value) {
    if let Some(Value::Object(data)) = secret.get_mut("data") {
        for value in data.values_mut() {
            *value = json!("");
        }
    }
}

/// Images that the nodes say they have.
fn images(target: &Target) -> Option<BTreeSet<String>> {
    let nodes = target.all("Node")?;
    let names = nodes.flat_map(|node| {
        let images = node["status"]["images"].as_array().cloned();
        images.unwrap_or_default().into_iter().flat_map(|image| {
            let names = image["names"].as_array().cloned().unwrap_or_default();
            names
                .into_iter()
                .filter_map(|name| name.as_str().map(str::to_owned))
        })
    });
    let names: BTreeSet<String> = names.collect();
    (!names.is_empty()).then_some(names)
}

/// Asks for each kind whether it may be made.
async fn denied(client: &Client, rendered: &Rendered, release: &Release) -> Vec<Denied> {
    let mut asked = BTreeSet::new();
    let rows = rendered.manifests.iter().filter_map(|manifest| {
        let row = kinds::by_api_version(&manifest.api_version, &manifest.kind)?;
        asked.insert((row.group, row.plural)).then_some(row)
    });
    let questions: Vec<_> = rows
        .flat_map(|row| ["create", "patch"].map(|verb| (row, verb)))
        .collect();
    let answers = questions.iter().map(|(row, verb)| async move {
        let namespace = match row.namespaced {
            true => release.namespace.as_str(),
            false => "",
        };
        let allowed = may(client, verb, (row.group, row.plural), namespace).await;
        (allowed == Some(false)).then(|| Denied {
            verb: (*verb).into(),
            group: row.group.into(),
            kind: row.kind.into(),
            namespace: namespace.into(),
        })
    });
    join_all(answers).await.into_iter().flatten().collect()
}

async fn may(
    client: &Client,
    verb: &str,
    (group, plural): (&str, &str),
    namespace: &str,
) -> Option<bool> {
    let attributes = ResourceAttributes {
        group: Some(group.into()),
        resource: Some(plural.into()),
        verb: Some(verb.into()),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &review).await.ok()?;
    Some(answer.status?.allowed)
}

/// Numbers after `nodePort:` in what is rendered.
fn node_ports(rendered: &Rendered) -> Vec<u16> {
    let bodies = rendered.manifests.iter().map(|manifest| &manifest.body);
    let ports = bodies.flat_map(|body| body.lines()).filter_map(|line| {
        let (_, value) = line.split_once("nodePort:")?;
        value.trim().parse().ok()
    });
    ports.collect()
}
