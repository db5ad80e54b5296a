//! Owner references that stand there twice are taken once, with a warning.

use serde_json::{Value, json};

use crate::context::Context;

/// Removes repeated owner references.
pub fn dedup(context: &Context, object: &mut Value) {
    let Some(owners) = object["metadata"]["ownerReferences"].as_array() else {
        return;
    };
    let mut kept: Vec<Value> = Vec::with_capacity(owners.len());
    let mut repeated = Vec::new();
    for owner in owners {
        if kept.contains(owner) {
            repeated.push(owner["uid"].as_str().unwrap_or_default().to_owned());
        } else {
            kept.push(owner.clone());
        }
    }
    if repeated.is_empty() {
        return;
    }
    context.warn(format!(
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        repeated.join(",")
    ));
    object["metadata"]["ownerReferences"] = json!(kept);
}
