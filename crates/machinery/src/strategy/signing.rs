//! Signing requests: the request never changes, approvers decide, signers sign.

use serde_json::Value;

/// Conditions that only the `approval` subresource may write.
const DECISIONS: [&str; 2] = ["Approved", "Denied"];

/// An approver changes the conditions alone.
pub(super) fn approve(object: &mut Value, old: &Value) {
    let conditions = object["status"].get("conditions").cloned();
    super::copy(object, old, "spec");
    super::copy(object, old, "status");
    let status = super::object_at(object, "status");
    match conditions {
        Some(conditions) => {
            status.insert("conditions".into(), conditions);
        }
        None => {
            status.remove("conditions");
        }
    }
}

/// A signer changes everything in the status but the decisions.
pub(super) fn sign(object: &mut Value, old: &Value) {
    let is_decision = |condition: &Value| {
        DECISIONS
            .iter()
            .any(|decision| condition["type"] == *decision)
    };
    let list = |object: &Value| {
        let conditions = object["status"]["conditions"].as_array();
        conditions.cloned().unwrap_or_default()
    };
    let (mine, theirs) = (list(object), list(old));
    if mine.is_empty() && theirs.is_empty() {
        return;
    }
    let kept = mine.into_iter().filter(|one| !is_decision(one));
    let decided = theirs.into_iter().filter(is_decision);
    let conditions: Vec<Value> = decided.chain(kept).collect();
    super::object_at(object, "status").insert("conditions".into(), conditions.into());
}
