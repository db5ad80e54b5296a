//! Defaults of structural schemas, and `null` where no `null` may stand.
//!
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting>

use serde_json::Value;

/// Writes the defaults of a schema into a value.
pub fn apply(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            let properties = schema["properties"].as_object();
            for (name, property) in properties.into_iter().flatten() {
                let default = property.get("default");
                let nullable = property["nullable"] == true;
                match map.get(name) {
                    Some(Value::Null) if !nullable => match default {
                        Some(default) => drop(map.insert(name.clone(), default.clone())),
                        None => drop(map.shift_remove(name)),
                    },
                    None => {
                        if let Some(default) = default {
                            map.insert(name.clone(), default.clone());
                        }
                    }
                    Some(_) => {}
                }
                if let Some(member) = map.get_mut(name) {
                    apply(property, member);
                }
            }
            if let Some(element) = schema
                .get("additionalProperties")
                .filter(|element| element.is_object())
            {
                let known =
                    |name: &str| properties.is_some_and(|properties| properties.contains_key(name));
                for (_, member) in map.iter_mut().filter(|(name, _)| !known(name)) {
                    apply(element, member);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
                list.iter_mut().for_each(|member| apply(items, member));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fills_what_is_absent_or_null() {
        let schema = json!({"properties": {"a": {"default": 1}, "b": {"type": "string"}, "c": {
            "type": "array", "items": {"properties": {"p": {"default": "TCP"}}}}}});
        let mut value = json!({"a": null, "b": null, "c": [{}, {"p": "UDP"}]});
        apply(&schema, &mut value);
        assert_eq!(value, json!({"a": 1, "c": [{"p": "TCP"}, {"p": "UDP"}]}));
    }
}
