//! What a new pod is given: its service account with the token it is to find
//! (upstream's plug-in ServiceAccount) and the default tolerations
//! (DefaultTolerationSeconds).

use coracle_machinery::kind::Kind;
use serde_json::{Value, json};

use crate::context::Context;
use crate::resource;
use crate::status::{ApiError, ApiResult};
use crate::verbs::create::random_suffix;

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_SECONDS: i64 = 3607;
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Gives a new pod its service account and the token of it.
///
/// # Errors
/// 403 when the account does not exist.
pub fn service_account(context: &Context, kind: &'static Kind, pod: &mut Value) -> ApiResult<()> {
    if pod["metadata"]["annotations"].get(MIRROR).is_some() {
        return Ok(());
    }
    let spec = &mut pod["spec"];
    if spec["serviceAccountName"]
        .as_str()
        .unwrap_or_default()
        .is_empty()
    {
        spec["serviceAccountName"] = json!("default");
    }
    let name = spec["serviceAccountName"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    // The old name of the field follows.
    spec["serviceAccount"] = json!(name);
    let accounts = resource::builtin("", "serviceaccounts");
    let namespace = context.namespace();
    let Some(account) = context
        .core
        .store
        .get(&resource::key(accounts, namespace, &name))
    else {
        let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let why = format!(
            "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
        );
        return Err(ApiError::forbidden(kind, pod_name, &why));
    };
    // Most accounts say nothing about pods, and need no parsing.
    let says = ["automountServiceAccountToken", "imagePullSecrets"];
    let account = match says.iter().any(|name| account.mentions(name)) {
        true => account.to_plain_value(),
        false => Value::Null,
    };
    if mounts_token(spec, &account) {
        mount_token(spec);
    }
    let own = spec["imagePullSecrets"]
        .as_array()
        .is_some_and(|list| !list.is_empty());
    if !own
        && let Some(secrets) = account["imagePullSecrets"]
            .as_array()
            .filter(|list| !list.is_empty())
    {
        spec["imagePullSecrets"] = json!(secrets);
    }
    Ok(())
}

fn mounts_token(spec: &Value, account: &Value) -> bool {
    spec["automountServiceAccountToken"]
        .as_bool()
        .or_else(|| account["automountServiceAccountToken"].as_bool())
        .unwrap_or(true)
}

/// Mounts the token where clients look for it, unless something is there.
fn mount_token(spec: &mut Value) {
    let existing = spec["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .find_map(|volume| {
            let name = volume["name"].as_str()?;
            name.starts_with("kube-api-access-")
                .then(|| name.to_owned())
        });
    let name = existing
        .clone()
        .unwrap_or_else(|| format!("kube-api-access-{}", random_suffix()));
    let mut used = false;
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            let Some(mounts) = list_at(container, "volumeMounts") else {
                continue;
            };
            if mounts.iter().any(|mount| mount["mountPath"] == TOKEN_PATH) {
                continue;
            }
            used = true;
            mounts.push(json!({"name": name, "readOnly": true, "mountPath": TOKEN_PATH}));
        }
    }
    if used
        && existing.is_none()
        && let Some(volumes) = list_at(spec, "volumes")
    {
        volumes.push(token_volume(&name));
    }
}

/// Returns the list at `name`, made where nothing stands.
fn list_at<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Vec<Value>> {
    let list = &mut object[name];
    if list.is_null() {
        *list = Value::Array(Vec::new());
    }
    list.as_array_mut()
}

fn token_volume(name: &str) -> Value {
    let namespace = json!({"apiVersion": "v1", "fieldPath": "metadata.namespace"});
    json!({
        "name": name,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace}]}},
            ],
            "defaultMode": 420,
        },
    })
}

/// A node that is lost keeps its pods for five minutes.
pub fn tolerations(pod: &mut Value) {
    let Some(tolerations) = list_at(&mut pod["spec"], "tolerations") else {
        return;
    };
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let tolerated = tolerations.iter().any(|toleration| {
            let effect = toleration["effect"].as_str().unwrap_or_default();
            let of = toleration["key"].as_str().unwrap_or_default();
            matches!(effect, "" | "NoExecute") && (of.is_empty() || of == key)
        });
        if !tolerated {
            tolerations.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
}
