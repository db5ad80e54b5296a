//! Controller references: who made an object and may change it, and how an
//! object comes to an owner and leaves it
//! (upstream: pkg/controller/controller_ref_manager.go).

use std::fmt::Debug;
use std::sync::Arc;

use coracle_client::{Cache, is_invalid, is_not_found};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

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

/// How an owner takes and gives up children of kind `K`.
pub struct Claim<'a, K, O> {
    /// Where references are written.
    pub api: Api<K>,
    /// Where children are looked for.
    pub cache: &'a Cache<K>,
    /// Who claims.
    pub owner: &'a O,
    /// What holds a child as long as it has its owner, if anything.
    pub finalizer: Option<&'a str>,
}

impl<K, O> Claim<'_, K, O>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    O: Resource<DynamicType = ()>,
{
    /// Returns the children that fit the owner, after it has adopted those that
    /// nobody controls and released those that no longer fit. Only a child that
    /// `may_move` changes hands.
    pub async fn children(
        &self,
        fits: impl Fn(&K) -> bool,
        may_move: impl Fn(&K) -> bool,
    ) -> Result<Vec<Arc<K>>, kube::Error> {
        let meta = self.owner.meta();
        let is_going = meta.deletion_timestamp.is_some();
        let mut children = Vec::new();
        for child in self.cache.controlled_by(uid_of(self.owner)) {
            if fits(&child) {
                children.push(child);
            } else if !is_going && may_move(&child) {
                self.release(&*child).await?;
            }
        }
        if is_going {
            return Ok(children);
        }
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        for orphan in self.cache.uncontrolled(namespace) {
            let is_there = orphan.meta().deletion_timestamp.is_none();
            if is_there && fits(&orphan) && may_move(&orphan) {
                children.extend(self.adopt(&*orphan).await?.map(Arc::new));
            }
        }
        Ok(children)
    }

    async fn adopt(&self, child: &K) -> Result<Option<K>, kube::Error> {
        let mut change = json!({"ownerReferences": [reference_to(self.owner)]});
        if let Some(finalizer) = self.finalizer {
            change["finalizers"] = json!([finalizer]);
        }
        self.patch(child, change).await
    }

    async fn release(&self, child: &K) -> Result<(), kube::Error> {
        let reference = json!({"$patch": "delete", "uid": uid_of(self.owner)});
        let mut change = json!({"ownerReferences": [reference]});
        if let Some(finalizer) = self.finalizer {
            change["$deleteFromPrimitiveList/finalizers"] = json!([finalizer]);
        }
        match self.patch(child, change).await {
            // Another object of this name, or one that was released already.
            Err(error) if is_invalid(&error) => Ok(()),
            result => result.map(drop),
        }
    }

    /// Changes the metadata of a child, if it is still there.
    async fn patch(&self, child: &K, mut change: Value) -> Result<Option<K>, kube::Error> {
        change["uid"] = json!(uid_of(child));
        let patch = Patch::Strategic(json!({"metadata": change}));
        let name = child.name_any();
        match self.api.patch(&name, &PatchParams::default(), &patch).await {
            Err(error) if is_not_found(&error) => Ok(None),
            result => result.map(Some),
        }
    }
}

/// Returns the object's uid, empty before it has one.
pub fn uid_of<K: Resource>(object: &K) -> &str {
    object.meta().uid.as_deref().unwrap_or_default()
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
