//! What a cluster begins with: namespaces, the `kubernetes` Service, priority
//! classes, roles and bindings. Written once; what a user changed stays.

use coracle_machinery::kind::Kind;
use coracle_store::{Expect, Store, WriteError, WriteOptions};
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
    let namespaces = resource::builtin("", "namespaces");
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        create(store, namespaces, object)?;
    }
    create(
        store,
        resource::builtin("", "services"),
        kubernetes_service(config),
    )?;
    Ok(())
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

/// Writes one object unless it is there.
fn create(store: &Store<Stored>, kind: &'static Kind, mut object: Value) -> Result<(), String> {
    let name = object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let namespace = object["metadata"]["namespace"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let key = resource::key(kind, &namespace, &name);
    if store.get(&key).is_some() {
        return Ok(());
    }
    rules::default(kind, &mut object);
    object["metadata"]["uid"] = json!(uuid::Uuid::new_v4().to_string());
    object["metadata"]["creationTimestamp"] =
        json!(coracle_machinery::time::seconds(Timestamp::now()));
    rules::prepare_create(kind, &mut object);
    rules::canonicalize(kind, &mut object);
    match store.put_blocking(
        key,
        Stored::draft(kind, &object),
        Expect::Absent,
        WriteOptions::default(),
    ) {
        Ok(_) | Err(WriteError::Exists { .. }) => Ok(()),
        Err(error) => Err(format!("{} {name}: {error}", kind.kind)),
    }
}
