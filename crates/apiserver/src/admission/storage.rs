//! Volumes and claims: what is in use is held by a finalizer
//! (StorageObjectInUseProtection), a claim without a class gets the default one
//! (DefaultStorageClass), and grows only where its class allows
//! (PersistentVolumeClaimResize).

use coracle_machinery::kind::Kind;
use coracle_machinery::quantity::Quantity;
use serde_json::{Value, json};

use crate::context::Context;
use crate::resource;
use crate::status::{ApiError, ApiResult};

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
const DEFAULT_BETA: &str = "storageclass.beta.kubernetes.io/is-default-class";
const CLASS_BETA: &str = "volume.beta.kubernetes.io/storage-class";

/// Adds the finalizer that holds an object while it is in use.
pub fn protect(kind: &Kind, object: &mut Value) {
    let finalizer = match kind.plural {
        "persistentvolumes" => "kubernetes.io/pv-protection",
        "persistentvolumeclaims" => "kubernetes.io/pvc-protection",
        "volumeattributesclasses" => "kubernetes.io/vac-protection",
        _ => return,
    };
    let mut finalizers = object["metadata"]["finalizers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if !finalizers.iter().any(|one| one == finalizer) {
        finalizers.push(json!(finalizer));
    }
    object["metadata"]["finalizers"] = json!(finalizers);
}

/// Gives a claim without a class the default one.
pub fn default_class(context: &Context, claim: &mut Value) {
    if claim["spec"]
        .get("storageClassName")
        .is_some_and(|class| !class.is_null())
        || claim["metadata"]["annotations"].get(CLASS_BETA).is_some()
    {
        return;
    }
    let kind = resource::builtin("storage.k8s.io", "storageclasses");
    let page = context
        .core
        .store
        .list(&resource::prefix(kind, None), None, usize::MAX);
    let defaults = page
        .items
        .iter()
        .map(|(_, class)| class.to_plain_value())
        .filter(|class| {
            let annotations = &class["metadata"]["annotations"];
            annotations[DEFAULT] == "true" || annotations[DEFAULT_BETA] == "true"
        });
    // The newest counts, among those of one second the first by name.
    let mut defaults: Vec<Value> = defaults.collect();
    defaults.sort_by(|left, right| {
        let key = |class: &Value, field: &str| {
            class["metadata"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        key(right, "creationTimestamp")
            .cmp(&key(left, "creationTimestamp"))
            .then_with(|| key(left, "name").cmp(&key(right, "name")))
    });
    if let Some(class) = defaults.first() {
        claim["spec"]["storageClassName"] = class["metadata"]["name"].clone();
    }
}

/// Refuses growth where the class does not allow it.
///
/// # Errors
/// 403.
pub fn check_resize(
    context: &Context,
    kind: &'static Kind,
    claim: &Value,
    live: &Value,
) -> ApiResult<()> {
    let size = |claim: &Value| {
        Quantity::from_json(&claim["spec"]["resources"]["requests"]["storage"]).ok()
    };
    let (Some(now), Some(before)) = (size(claim), size(live)) else {
        return Ok(());
    };
    if now <= before {
        return Ok(());
    }
    let name = claim["metadata"]["name"].as_str().unwrap_or_default();
    if live["status"]["phase"] != "Bound" {
        return Err(ApiError::forbidden(
            kind,
            name,
            "Only bound persistent volume claims can be expanded",
        ));
    }
    let classes = resource::builtin("storage.k8s.io", "storageclasses");
    let class = claim["spec"]["storageClassName"]
        .as_str()
        .unwrap_or_default();
    let allowed = context
        .core
        .store
        .get(&resource::key(classes, "", class))
        .is_some_and(|class| class.to_plain_value()["allowVolumeExpansion"] == true);
    if allowed {
        return Ok(());
    }
    let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    Err(ApiError::forbidden(kind, name, why))
}
