//! Managed fields: what an ordinary update wrote becomes what an applier wrote.
//!
//! Reference: client-go `util/csaupgrade`.

use serde_json::{Map, Value, json};

/// Returns the entries with those of `manager`'s updates joined to its apply
/// entry; `None` if there are none.
pub fn migrated(entries: &Value, manager: &str) -> Option<Value> {
    let entries = entries.as_array()?;
    let is_own = |entry: &Value, operation: &str| {
        entry["manager"] == manager
            && entry["operation"] == operation
            && entry["subresource"].as_str().unwrap_or_default().is_empty()
    };
    let old: Vec<&Value> = entries
        .iter()
        .filter(|entry| is_own(entry, "Update"))
        .collect();
    let first = *old.first()?;
    let applied = entries.iter().find(|entry| is_own(entry, "Apply"));
    let mut joined = applied.unwrap_or(first).clone();
    joined["operation"] = json!("Apply");
    for entry in old {
        join(&mut joined["fieldsV1"], &entry["fieldsV1"]);
    }
    let others = entries
        .iter()
        .filter(|entry| !is_own(entry, "Update") && !is_own(entry, "Apply"));
    Some(Value::Array(
        std::iter::once(joined).chain(others.cloned()).collect(),
    ))
}

fn join(into: &mut Value, from: &Value) {
    let Some(from) = from.as_object() else {
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    for (key, below) in from {
        join(&mut into[key.as_str()], below);
        if !into[key.as_str()].is_object() {
            into[key.as_str()] = json!({});
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_become_applies() {
        let entries = json!([
            {"manager": "helm", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}},
            {"manager": "helm", "operation": "Apply", "fieldsV1": {"f:data": {"f:b": {}}}},
            {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {"f:c": {}}}},
            {"manager": "helm", "operation": "Update", "subresource": "status", "fieldsV1": {}},
        ]);
        let after = migrated(&entries, "helm").expect("there is an update");
        assert_eq!(after.as_array().unwrap().len(), 3);
        assert_eq!(
            after[0],
            json!({"manager": "helm", "operation": "Apply", "fieldsV1": {"f:data": {"f:b": {}, "f:a": {}}}})
        );
        assert_eq!(migrated(&after, "helm"), None);
        assert_eq!(migrated(&Value::Null, "helm"), None);
    }
}
