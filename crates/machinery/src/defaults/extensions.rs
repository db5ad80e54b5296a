//! Defaults of custom resource definitions.

use serde_json::{Value, json};

use super::{Object, child, each, text};
use crate::default::{child_or_new, get_text, value};

/// Defaults of a `CustomResourceDefinition`.
pub fn definition(object: &mut Object) {
    let Some(spec) = child_or_new(object, "spec") else {
        return;
    };
    if let Some(names) = child_or_new(spec, "names") {
        let kind = get_text(names, "kind").to_owned();
        if !kind.is_empty() {
            text(names, "singular", &kind.to_lowercase());
            text(names, "listKind", &format!("{kind}List"));
        }
    }
    value(spec, "conversion", || json!({"strategy": "None"}));
    let service = child(spec, "conversion")
        .and_then(|conversion| child(conversion, "webhook"))
        .and_then(|webhook| child(webhook, "clientConfig"))
        .and_then(|config| child(config, "service"));
    if let Some(service) = service {
        value(service, "port", || 443);
    }
    for version in each(spec, "versions") {
        let conversions = version
            .get("additionalPrinterColumns")
            .and_then(|c| c.as_array());
        if conversions.is_some_and(Vec::is_empty) {
            version.remove("additionalPrinterColumns");
        }
    }
    let stored = storage_version(&object["spec"]).cloned();
    if let (Some(name), Some(status)) = (stored, child_or_new(object, "status"))
        && is_empty(status.get("storedVersions"))
    {
        status.insert("storedVersions".into(), json!([name]));
    }
}

fn is_empty(list: Option<&Value>) -> bool {
    list.and_then(Value::as_array).is_none_or(Vec::is_empty)
}

/// The name of the version that objects are stored in.
pub fn storage_version(spec: &Value) -> Option<&Value> {
    let versions = spec["versions"].as_array().into_iter().flatten();
    let mut stored = versions.filter(|version| version["storage"] == true);
    stored.next()?.get("name")
}
