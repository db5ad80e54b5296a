//! Controller references: who made an object and may change it.

use std::sync::Arc;

use coracle_client::Cache;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

/// Returns the reference of the object's controller.
pub fn controller_of<K: Resource>(object: &K) -> Option<&OwnerReference> {
    object
        .meta()
        .owner_references
        .as_ref()?
        .iter()
        .find(|owner| owner.controller == Some(true))
}

/// Returns whether `owner` controls `object`, by uid.
pub fn is_controlled_by<K: Resource, O: Resource>(object: &K, owner: &O) -> bool {
    controller_of(object).is_some_and(|reference| Some(&reference.uid) == owner.meta().uid.as_ref())
}

/// Returns the name of the object's controller if that is of kind `kind`.
pub fn controller_name<'a, K: Resource>(object: &'a K, kind: &str) -> Option<&'a str> {
    controller_of(object)
        .filter(|owner| owner.kind == kind)
        .map(|owner| owner.name.as_str())
}

/// Returns the objects that `owner` controls, and those of its namespace that
/// nobody does, which it may adopt.
pub fn family<K: Resource, O: Resource>(cache: &Cache<K>, owner: &O) -> (Vec<Arc<K>>, Vec<Arc<K>>) {
    let meta = owner.meta();
    let owned = cache.controlled_by(meta.uid.as_deref().unwrap_or_default());
    let orphans = cache.uncontrolled(meta.namespace.as_deref().unwrap_or_default());
    (owned, orphans)
}

/// Returns a controller reference to `owner`.
pub fn reference_to<O: Resource<DynamicType = ()>>(owner: &O) -> OwnerReference {
    OwnerReference {
        api_version: O::api_version(&()).into_owned(),
        kind: O::kind(&()).into_owned(),
        name: owner.name_any(),
        uid: owner.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
