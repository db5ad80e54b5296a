//! What a cluster begins with: namespaces, the `kubernetes` Service, priority
//! and storage classes, roles and bindings. Written once; what a user changed stays.

mod roles;

use coracle_machinery::kind::Kind;
use coracle_store::Store;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::managed::{self, Writer};
use crate::object::Stored;
use crate::resource;
use crate::rules;
use crate::server::Config;

/// Role that metrics-server brings upstream.
const METRICS_READER: &str = "system:aggregated-metrics-reader";

/// Writes what is missing.
///
/// # Errors
/// What the store refuses.
pub fn seed(store: &Store<Stored>, config: &Config) -> Result<(), String> {
    let mut objects = Vec::new();
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        objects.push((resource::builtin("", "namespaces"), object));
    }
    objects.push((
        resource::builtin("", "services"),
        kubernetes_service(config),
    ));
    let group = "rbac.authorization.k8s.io";
    objects.extend(
        roles::all()
            .into_iter()
            .filter(|(_, role)| config.metrics || role["metadata"]["name"] != METRICS_READER)
            .map(|(plural, object)| (resource::builtin(group, plural), object)),
    );
    let classes = resource::builtin("scheduling.k8s.io", "priorityclasses");
    objects.extend(
        priority_classes()
            .into_iter()
            .map(|object| (classes, object)),
    );
    objects.push((
        resource::builtin("networking.k8s.io", "servicecidrs"),
        service_range(config),
    ));
    objects.extend(config.storage_provisioner.as_deref().map(|provisioner| {
        let classes = resource::builtin("storage.k8s.io", "storageclasses");
        (classes, default_storage_class(provisioner))
    }));
    let missing = objects.into_iter().filter_map(|(kind, object)| {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
        let key = resource::key(kind, text("namespace"), text("name"));
        store
            .get(&key)
            .is_none()
            .then(|| (key, finish(kind, object)))
    });
    store
        .put_missing_blocking(missing.collect())
        .map_err(|error| error.to_string())
}

fn priority_classes() -> [Value; 2] {
    let class = |name: &str, value: i64, description: &str| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": name}, "value": value, "description": description,
        })
    };
    [
        class(
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        class(
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ]
}

fn default_storage_class(provisioner: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": provisioner, "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true,
    })
}

fn service_range(config: &Config) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"}, "spec": {"cidrs": [config.service_range.to_string()]},
    })
}

fn kubernetes_service(config: &Config) -> Value {
    let address = config.service_range.first().to_string();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    })
}

/// Gives a first object what a created one has.
fn finish(kind: &'static Kind, mut object: Value) -> Stored {
    rules::default(kind, &mut object);
    managed::update(
        kind,
        &Value::Null,
        &mut object,
        &Writer {
            manager: "kube-apiserver",
            subresource: "",
        },
    );
    object["metadata"]["uid"] = json!(uuid::Uuid::new_v4().to_string());
    object["metadata"]["creationTimestamp"] =
        json!(coracle_machinery::time::seconds(Timestamp::now()));
    rules::prepare_create(kind, &mut object);
    rules::canonicalize(kind, &mut object);
    Stored::draft(kind, &object)
}
