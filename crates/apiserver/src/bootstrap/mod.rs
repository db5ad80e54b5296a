//! What a cluster begins with: namespaces, the `kubernetes` Service, priority
//! classes, roles and bindings. Written once; what a user changed stays.

use coracle_machinery::kind::Kind;
use coracle_store::Store;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::object::Stored;
use crate::resource;
use crate::rules;
use crate::server::Config;

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
    objects.push((resource::builtin("", "services"), kubernetes_service(config)));
    let missing = objects.into_iter().filter_map(|(kind, object)| {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
        let key = resource::key(kind, text("namespace"), text("name"));
        store.get(&key).is_none().then(|| (key, finish(kind, object)))
    });
    store.put_missing_blocking(missing.collect()).map_err(|error| error.to_string())
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
    object["metadata"]["uid"] = json!(uuid::Uuid::new_v4().to_string());
    object["metadata"]["creationTimestamp"] = json!(coracle_machinery::time::seconds(Timestamp::now()));
    rules::prepare_create(kind, &mut object);
    rules::canonicalize(kind, &mut object);
    Stored::draft(kind, &object)
}
