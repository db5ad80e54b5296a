//! Puts the members of an object into the order in which upstream writes them:
//! that of the fields of its Go types. Clients see it where a message shows an
//! object.

use serde_json::{Map, Value};

use super::tags::{Container, Field, Kind, Tags};

/// Arranges an object of a built-in kind; of any other nothing is known.
pub fn arrange(api_version: &str, kind: &str, object: &mut Value) {
    let tags = Tags::get();
    let Some(message) = tags.kind(api_version, kind) else {
        return;
    };
    let Some(map) = object.as_object_mut() else {
        return;
    };
    let mut arranged = Map::new();
    for name in ["kind", "apiVersion"] {
        take(map, name, &mut arranged);
    }
    members(tags, message, map, &mut arranged);
    arranged.append(map);
    *map = arranged;
}

fn take(map: &mut Map<String, Value>, name: &str, arranged: &mut Map<String, Value>) {
    if let Some(value) = map.shift_remove(name) {
        arranged.insert(name.to_owned(), value);
    }
}

/// Moves the members that a message has.
fn members(
    tags: &Tags,
    message: usize,
    map: &mut Map<String, Value>,
    arranged: &mut Map<String, Value>,
) {
    for field in tags.fields(message) {
        if let (true, Kind::Message(inner)) = (field.inline, field.kind) {
            members(tags, inner, map, arranged);
            continue;
        }
        if let Some(mut value) = map.shift_remove(field.name) {
            contents(tags, field, &mut value);
            arranged.insert(field.name.to_owned(), value);
        }
    }
}

fn contents(tags: &Tags, field: &Field, value: &mut Value) {
    match (field.container, value) {
        (Container::One, value) => one(tags, field.kind, value),
        (Container::List, Value::Array(list)) => {
            list.iter_mut().for_each(|item| one(tags, field.kind, item));
        }
        (Container::Map, Value::Object(map)) => {
            // Go writes maps in the order of their keys.
            map.sort_keys();
            map.values_mut()
                .for_each(|item| one(tags, field.kind, item));
        }
        _ => {}
    }
}

fn one(tags: &Tags, kind: Kind, value: &mut Value) {
    if let (Kind::Message(message), Value::Object(map)) = (kind, value) {
        let mut arranged = Map::new();
        members(tags, message, map, &mut arranged);
        arranged.append(map);
        *map = arranged;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `k8s.io/api/core/v1/types.go`: `Container` has `envFrom` before `env`,
    /// though its number is higher; maps are in the order of their keys.
    #[test]
    fn members_stand_as_in_their_types() {
        let mut pod = json!({
            "spec": {
                "restartPolicy": "Always",
                "containers": [{"env": [], "image": "i", "envFrom": [], "name": "c"}],
                "volumes": [{"emptyDir": {}, "name": "v"}],
            },
            "metadata": {"labels": {"b": "1", "a": "2"}, "uid": "u", "name": "p"},
            "apiVersion": "v1",
            "kind": "Pod",
        });
        arrange("v1", "Pod", &mut pod);
        assert_eq!(
            pod.to_string(),
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","uid":"u","labels":{"a":"2","b":"1"}},"spec":{"volumes":[{"name":"v","emptyDir":{}}],"containers":[{"name":"c","image":"i","envFrom":[],"env":[]}],"restartPolicy":"Always"}}"#
        );
    }
}
