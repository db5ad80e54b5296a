//! One object's way into the cluster: server-side apply as Helm 4 does it, the
//! three-way merge of before, replacing, and removing; refusals are explained.
//!
//! Main type: [`Applier`].

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::event::Change;
use crate::objects::{Object, Served};
use crate::refusal::{Attempt, Step};
use crate::{ReleaseError, fields, merge};

/// The field manager of Helm 4.
pub(crate) const MANAGER: &str = "helm";
/// How often an object that changed underway is tried again.
const TRIES: usize = 4;

/// How objects are applied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Method {
    /// By the server; by us otherwise.
    pub server_side: bool,
    /// Takes fields that others own.
    pub force: bool,
    /// Replaces objects whole.
    pub replace: bool,
    /// Unknown fields are refused.
    pub strict: bool,
    /// What the last revision wrote was merged by the client: its fields become
    /// the server's to merge.
    pub migrate: bool,
    /// There was a revision before: what is new is added to it.
    pub adds: bool,
}

/// Applies objects of one release.
pub(crate) struct Applier<'a> {
    pub served: &'a Served,
    pub name: &'a str,
    pub namespace: &'a str,
    pub method: Method,
}

impl Applier<'_> {
    /// Brings an object to what it should be; `old` is what the last revision
    /// said, `live` what stands there.
    pub async fn apply(
        &self,
        object: &Object,
        old: Option<&Object>,
        live: Option<&DynamicObject>,
    ) -> Result<Change, ReleaseError> {
        let objects = self.served.api(object, self.namespace)?;
        let marked = self.marked(object);
        if object.has_generated_name() {
            return self.create(&objects, object, &marked).await;
        }
        let Some(live) = live else {
            return self.make(&objects, object, &marked).await;
        };
        if self.method.replace {
            return self.replace(&objects, object, &marked, live).await;
        }
        if !self.method.server_side {
            return self.merge(&objects, object, &marked, old, live).await;
        }
        if self.method.migrate {
            self.migrate(&objects, object, live).await?;
        }
        self.patch(&objects, object, &marked, Some(live)).await
    }

    /// Asks the API what an object would become.
    pub async fn preview(&self, object: &Object) -> Result<DynamicObject, ReleaseError> {
        let objects = self.served.api(object, self.namespace)?;
        let marked = self.marked(object);
        let params = PatchParams::apply(MANAGER).dry_run().force();
        let patch = Patch::Apply(&marked);
        let asked = objects.patch(object.name(), &params, &patch).await;
        asked.map_err(|error| self.explained(error, Step::Apply, object, &marked, None))
    }

    /// Makes or changes an object as it is, without marks: a hook.
    pub async fn apply_unmarked(&self, object: &Object) -> Result<(), ReleaseError> {
        let objects = self.served.api(object, self.namespace)?;
        let value = self.placed(object);
        if object.has_generated_name() || !self.method.server_side {
            self.create(&objects, object, &value).await?;
        } else {
            self.patch(&objects, object, &value, None).await?;
        }
        Ok(())
    }

    /// Returns the object with the namespace that it is in.
    fn placed(&self, object: &Object) -> Value {
        let mut value = object.value.clone();
        let namespace = self.served.namespace(object, self.namespace);
        if !namespace.is_empty() {
            value["metadata"]["namespace"] = namespace.into();
        }
        value
    }

    /// Returns the object with Helm's marks of ownership.
    pub fn marked(&self, object: &Object) -> Value {
        let mut value = self.placed(object);
        let meta = &mut value["metadata"];
        put(meta, "labels", "app.kubernetes.io/managed-by", "Helm");
        put(meta, "annotations", "meta.helm.sh/release-name", self.name);
        put(
            meta,
            "annotations",
            "meta.helm.sh/release-namespace",
            self.namespace,
        );
        value
    }

    async fn make(
        &self,
        objects: &Api<DynamicObject>,
        object: &Object,
        marked: &Value,
    ) -> Result<Change, ReleaseError> {
        if self.method.server_side {
            return self.patch(objects, object, marked, None).await;
        }
        self.create(objects, object, marked).await
    }

    async fn create(
        &self,
        objects: &Api<DynamicObject>,
        object: &Object,
        marked: &Value,
    ) -> Result<Change, ReleaseError> {
        let value: DynamicObject = typed(object, marked)?;
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        match objects.create(&params, &value).await {
            Ok(_) => Ok(Change::Created),
            Err(error) => Err(self.explained(error, Step::Create, object, marked, None)),
        }
    }

    async fn patch(
        &self,
        objects: &Api<DynamicObject>,
        object: &Object,
        marked: &Value,
        live: Option<&DynamicObject>,
    ) -> Result<Change, ReleaseError> {
        let mut params = PatchParams::apply(MANAGER);
        params.force = self.method.force;
        params.field_validation = Some(if self.method.strict {
            ValidationDirective::Strict
        } else {
            ValidationDirective::Ignore
        });
        let patch = Patch::Apply(marked);
        match objects.patch(object.name(), &params, &patch).await {
            Ok(now) => Ok(change(live, &now)),
            Err(error) => Err(self.explained(error, Step::Apply, object, marked, live)),
        }
    }

    async fn replace(
        &self,
        objects: &Api<DynamicObject>,
        object: &Object,
        marked: &Value,
        live: &DynamicObject,
    ) -> Result<Change, ReleaseError> {
        let mut value: DynamicObject = typed(object, marked)?;
        value.metadata.resource_version = live.resource_version();
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        match objects.replace(object.name(), &params, &value).await {
            Ok(now) => Ok(change(Some(live), &now)),
            Err(error) => Err(self.explained(error, Step::Replace, object, marked, Some(live))),
        }
    }

    /// The three-way merge: what the last revision set and this one does not is
    /// removed, what differs is set, what others added stays. Lists are whole.
    async fn merge(
        &self,
        objects: &Api<DynamicObject>,
        object: &Object,
        marked: &Value,
        old: Option<&Object>,
        live: &DynamicObject,
    ) -> Result<Change, ReleaseError> {
        let now = serde_json::to_value(live).unwrap_or_default();
        let old = old.map_or(Value::Null, |old| self.marked(old));
        let Some(patch) = merge::three_way(&old, marked, &now) else {
            return Ok(Change::Unchanged);
        };
        let params = PatchParams {
            field_manager: Some(MANAGER.into()),
            ..PatchParams::default()
        };
        match objects
            .patch(object.name(), &params, &Patch::Merge(&patch))
            .await
        {
            Ok(now) => Ok(change(Some(live), &now)),
            Err(error) => Err(self.explained(error, Step::Merge, object, marked, Some(live))),
        }
    }

    /// Gives the fields that Helm wrote by ordinary updates to its name as an
    /// applier, so that what the chart drops is dropped by the server.
    async fn migrate(
        &self,
        objects: &Api<DynamicObject>,
        object: &Object,
        live: &DynamicObject,
    ) -> Result<(), ReleaseError> {
        let mut live = live.clone();
        for _ in 0..TRIES {
            let entries = serde_json::to_value(&live.metadata.managed_fields).unwrap_or_default();
            let Some(entries) = fields::migrated(&entries, MANAGER) else {
                return Ok(());
            };
            let patch = json!({"metadata": {
                "managedFields": entries,
                "resourceVersion": live.metadata.resource_version,
            }});
            let params = PatchParams::default();
            let sent = objects
                .patch(object.name(), &params, &Patch::Merge(&patch))
                .await;
            match sent {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    match objects.get_opt(object.name()).await {
                        Ok(Some(now)) => live = now,
                        _ => return Ok(()),
                    }
                }
                Err(error) => {
                    return Err(self.explained(
                        error,
                        Step::Merge,
                        object,
                        &Value::Null,
                        Some(&live),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Removes an object; returns whether it was there.
    pub async fn remove(
        &self,
        object: &Object,
        params: &DeleteParams,
    ) -> Result<bool, ReleaseError> {
        let objects = self.served.api(object, self.namespace)?;
        match objects.delete(object.name(), params).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(self.explained(error, Step::Delete, object, &Value::Null, None)),
        }
    }

    /// Explains a refusal.
    fn explained(
        &self,
        error: kube::Error,
        step: Step,
        object: &Object,
        wanted: &Value,
        live: Option<&DynamicObject>,
    ) -> ReleaseError {
        let attempt = Attempt {
            step,
            object,
            namespace: self.served.namespace(object, self.namespace),
            is_added: self.method.adds && live.is_none() && step != Step::Delete,
            wanted,
            live,
        };
        attempt.explained(error)
    }
}

fn typed(object: &Object, value: &Value) -> Result<DynamicObject, ReleaseError> {
    serde_json::from_value(value.clone()).map_err(|error| {
        ReleaseError::Parse(crate::ParseError {
            file: object.file.clone(),
            message: format!("{}: {error}", object.title()),
        })
    })
}

fn change(live: Option<&DynamicObject>, now: &DynamicObject) -> Change {
    match live {
        None => Change::Created,
        Some(live) if live.resource_version() == now.resource_version() => Change::Unchanged,
        Some(_) => Change::Configured,
    }
}

fn put(meta: &mut Value, map: &str, key: &str, value: &str) {
    if !meta[map].is_object() {
        meta[map] = json!({});
    }
    meta[map][key] = json!(value);
}
