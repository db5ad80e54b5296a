//! Whether a release is what it would be: made of the same chart and values,
//! and no object changed since.

use std::path::Path;

use coracle_release::Object;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::deploy::Plan;
use crate::failure::Failure;

/// Annotation of a release's record: what the revision was made of.
const INPUTS: &str = "coracle.dev/inputs";

/// The field manager of Helm 4, in whose name objects are applied.
const MANAGER: &str = "helm";

/// Returns a hash of everything a release is made of (FNV-1a, 128 bit: it
/// tells changes apart and is no protection against anybody).
pub fn hash(parts: &[(&str, &[u8])]) -> String {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut state: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            state = (state ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    };
    for (name, bytes) in parts {
        add(&(name.len() as u64).to_le_bytes());
        add(name.as_bytes());
        add(&(bytes.len() as u64).to_le_bytes());
        add(bytes);
    }
    format!("{state:032x}")
}

/// Adds every file below `folder` to `parts`, sorted by name.
pub fn files(folder: &Path, parts: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    if folder.is_file() {
        parts.push((folder.display().to_string(), std::fs::read(folder)?));
        return Ok(());
    }
    let mut entries: Vec<_> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    entries.sort();
    for path in entries {
        files(&path, parts)?;
    }
    Ok(())
}

/// The Secret in which Helm keeps a revision.
fn record_name(plan: &Plan, version: i64) -> String {
    format!("sh.helm.release.v1.{}.v{version}", plan.release)
}

/// Returns what the revision was made of, if an `up` made it.
pub async fn inputs(client: &Client, plan: &Plan, version: i64) -> Result<Option<String>, Failure> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &plan.namespace);
    let secret = secrets
        .get_metadata_opt(&record_name(plan, version))
        .await?;
    Ok(secret.and_then(|secret| secret.annotations().get(INPUTS).cloned()))
}

/// Writes down what the revision was made of.
pub async fn remember(client: &Client, plan: &Plan, version: i64) -> Result<(), Failure> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &plan.namespace);
    let patch = json!({"metadata": {"annotations": {INPUTS: plan.inputs}}});
    secrets
        .patch(
            &record_name(plan, version),
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await?;
    Ok(())
}

/// Returns the first object that is not as the release has it: missing, or
/// changed by somebody else.
pub async fn changed<'a>(
    client: &Client,
    plan: &Plan,
    objects: &'a [Object],
) -> Result<Option<&'a Object>, Failure> {
    let served = coracle_release::Served::ask(client.clone()).await?;
    for object in objects {
        let api = served.api(object, &plan.namespace)?;
        if !is_as_applied(&api, object).await? {
            return Ok(Some(object));
        }
    }
    Ok(None)
}

/// Applies the object without effect and sees whether anything would differ.
async fn is_as_applied(api: &Api<DynamicObject>, object: &Object) -> Result<bool, Failure> {
    let Some(live) = api.get_opt(object.name()).await? else {
        return Ok(false);
    };
    let params = PatchParams {
        dry_run: true,
        ..PatchParams::apply(MANAGER)
    };
    let mut value = object.value.clone();
    // The marks of ownership are Helm's to write; they are not the chart's.
    for (map, keys) in [("labels", LABELS), ("annotations", ANNOTATIONS)] {
        for key in keys {
            let mark = &serde_json::to_value(&live.metadata)?[map][key];
            if mark.is_string() {
                if !value["metadata"][map].is_object() {
                    value["metadata"][map] = json!({});
                }
                value["metadata"][map][key] = mark.clone();
            }
        }
    }
    match api
        .patch(object.name(), &params, &Patch::Apply(&value))
        .await
    {
        Ok(applied) => Ok(content(&live)? == content(&applied)?),
        Err(kube::Error::Api(status)) if status.code == 409 || status.code == 422 => Ok(false),
        Err(error) => Err(error.into()),
    }
}

const LABELS: &[&str] = &["app.kubernetes.io/managed-by"];
const ANNOTATIONS: &[&str] = &[
    "meta.helm.sh/release-name",
    "meta.helm.sh/release-namespace",
];

/// Returns an object without what every write changes.
fn content(object: &DynamicObject) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(object)?;
    if let Some(metadata) = value["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "generation"] {
            metadata.shift_remove(field);
        }
    }
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("status");
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_tells_parts_apart() {
        let one = hash(&[("a", b"b"), ("c", b"")]);
        assert_eq!(one, hash(&[("a", b"b"), ("c", b"")]));
        assert_ne!(one, hash(&[("a", b""), ("bc", b"")]));
        assert_ne!(one, hash(&[("c", b""), ("a", b"b")]));
        assert_eq!(one.len(), 32);
    }
}
