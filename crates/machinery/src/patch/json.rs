//! JSON patch, RFC 6902, with the liberties real servers take: an array index
//! may be negative and counts from the end, `test` finds a missing member
//! equal to `null`, and `replace` adds one.

use serde_json::{Map, Value};

use super::{PatchError, cannot_unmarshal};

/// A document nests at most this deep, as the parser of bodies allows; deeper
/// ones, built step by step, could not be walked safely.
const DEPTH_MAX: usize = 128;

/// Operations that one patch may have.
pub const OPERATIONS_MAX: usize = 10_000;

/// Bytes of JSON that `copy` operations of one patch may add, so that a small
/// patch cannot double an object without end.
const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Nodes that the operations of one patch may move about, each move counted,
/// so that a small patch cannot keep the server busy.
const MOVED_NODES_MAX: usize = 20_000_000;

/// Returns `document` with every operation of `patch` applied in order.
///
/// # Errors
/// When the patch is not an array of operations, or one of them does not
/// apply; nothing is applied then.
pub fn apply(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let malformed = |value: &Value, into: &str| {
        let text = cannot_unmarshal(value, into);
        PatchError::Malformed(format!("error decoding patch: {text}"))
    };
    let operations = match patch {
        Value::Array(operations) => operations.as_slice(),
        Value::Null => &[],
        other => return Err(malformed(other, "[]handlers.jsonPatchOp")),
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(PatchError::TooLarge(operations.len()));
    }
    // Go reads `null` as an operation without members.
    let nothing = Map::new();
    let operations = operations.iter().map(|operation| match operation {
        Value::Object(operation) => Ok(operation),
        Value::Null => Ok(&nothing),
        other => Err(malformed(other, "handlers.jsonPatchOp")),
    });
    let operations = operations.collect::<Result<Vec<_>, _>>()?;
    for operation in &operations {
        for name in TEXTS {
            let value = operation.get(name).filter(|value| !value.is_null());
            if let Some(value) = value.filter(|value| !value.is_string()) {
                let text = cannot_unmarshal(value, "");
                let text = text.replace("Go value of type ", "Go struct field jsonPatchOp.");
                return Err(PatchError::Malformed(format!(
                    "error decoding patch: {text}{name} of type string"
                )));
            }
        }
    }
    let mut patched = document.clone();
    let mut spent = Spent::default();
    for operation in operations {
        perform(&mut patched, operation, &mut spent).map_err(PatchError::Inapplicable)?;
    }
    Ok(patched)
}

/// Members of an operation that are texts.
const TEXTS: [&str; 3] = ["op", "path", "from"];

/// Returns what strict validation finds in a patch: members that no operation
/// has, such as `unknown field "[0].val"`.
pub fn unknown_members(patch: &Value) -> Vec<String> {
    let operations = patch.as_array().into_iter().flatten().enumerate();
    let members = operations.flat_map(|(index, operation)| {
        let names = operation.as_object().into_iter().flat_map(Map::keys);
        names.map(move |name| (index, name))
    });
    members
        .filter(|(_, name)| *name != "value" && !TEXTS.contains(&name.as_str()))
        .map(|(index, name)| format!("unknown field \"[{index}].{name}\""))
        .collect()
}

/// What the operations of a patch have cost so far.
#[derive(Default)]
struct Spent {
    copied_bytes: usize,
    moved_nodes: usize,
}

impl Spent {
    fn copy(&mut self, value: &Value) -> Result<(), String> {
        self.copied_bytes += size(value);
        if self.copied_bytes > COPIED_BYTES_MAX {
            return Err(format!(
                "copy operations may add at most {COPIED_BYTES_MAX} bytes"
            ));
        }
        Ok(())
    }

    /// Checks that a value may be put at a path.
    fn place(&mut self, path: &str, value: &Value) -> Result<(), String> {
        if path.matches('/').count() + self.depth(value) > DEPTH_MAX {
            return Err(format!("the document would nest deeper than {DEPTH_MAX}"));
        }
        if self.moved_nodes > MOVED_NODES_MAX {
            return Err(format!(
                "operations may move at most {MOVED_NODES_MAX} values"
            ));
        }
        Ok(())
    }

    /// How deep a value nests; a scalar counts as one.
    fn depth(&mut self, value: &Value) -> usize {
        self.moved_nodes += 1;
        let below = match value {
            Value::Array(items) => items.iter().map(|item| self.depth(item)).max(),
            Value::Object(map) => map.values().map(|item| self.depth(item)).max(),
            _ => None,
        };
        below.unwrap_or(0) + 1
    }
}

fn perform(
    document: &mut Value,
    operation: &Map<String, Value>,
    spent: &mut Spent,
) -> Result<(), String> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str);
    let path = text("path").ok_or("operation missing path field: missing value")?;
    let from = || text("from").ok_or("operation, missing from field: missing value");
    let value = operation.get("value");
    match text("op").unwrap_or("unknown") {
        "add" => {
            let value = value.cloned().unwrap_or_default();
            spent.place(path, &value)?;
            add(document, path, value)
        }
        "remove" => remove(document, path).map(drop),
        "replace" => {
            let value = value.cloned().unwrap_or_default();
            spent.place(path, &value)?;
            replace(document, path, value)
        }
        "move" => {
            let moved = remove(document, from()?)?;
            spent.place(path, &moved)?;
            add(document, path, moved)
        }
        "copy" => {
            let copy = get(document, from()?)?.unwrap_or(&Value::Null);
            spent.copy(copy)?;
            spent.place(path, copy)?;
            let copy = copy.clone();
            add(document, path, copy)
        }
        "test" => test(document, path, value),
        unknown => Err(format!("Unexpected kind: {unknown}")),
    }
}

/// Bytes of a value written as JSON, roughly.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| size(item) + 1).sum::<usize>(),
        Value::Object(map) => {
            2 + map
                .iter()
                .map(|(key, value)| key.len() + 4 + size(value))
                .sum::<usize>()
        }
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    let (parent, key) = parent_mut(document, path)?;
    match parent {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(items) => {
            let index = if key == "-" {
                items.len()
            } else {
                index(&key, items.len() + 1)?
            };
            items.insert(index, value);
        }
        _ => return Err(missing(path)),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let (parent, key) = parent_mut(document, path)?;
    match parent {
        Value::Object(map) => map.shift_remove(&key).ok_or_else(|| missing(path)),
        Value::Array(items) => {
            let index = index(&key, items.len())?;
            Ok(items.remove(index))
        }
        _ => Err(missing(path)),
    }
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    let (parent, key) = parent_mut(document, path)?;
    match parent {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(items) => {
            let index = index(&key, items.len())?;
            items[index] = value;
        }
        _ => return Err(missing(path)),
    }
    Ok(())
}

fn test(document: &Value, path: &str, expected: Option<&Value>) -> Result<(), String> {
    let found = get(document, path)?.unwrap_or(&Value::Null);
    let equal = expected.unwrap_or(&Value::Null) == found;
    if equal {
        Ok(())
    } else {
        Err(format!("testing value {path} failed: test failed"))
    }
}

/// Looks up a path. A missing last member of an object is `None`; a missing
/// way there, or an index outside an array, is an error.
fn get<'a>(document: &'a Value, path: &str) -> Result<Option<&'a Value>, String> {
    if path.is_empty() {
        return Ok(Some(document));
    }
    let (way, last) = split(path)?;
    let mut here = document;
    for part in way {
        here = step(here, &part)?.ok_or_else(|| missing(path))?;
    }
    step(here, &last)
}

fn step<'a>(here: &'a Value, key: &str) -> Result<Option<&'a Value>, String> {
    match here {
        Value::Object(map) => Ok(map.get(key)),
        Value::Array(items) => index(key, items.len()).map(|index| items.get(index)),
        _ => Err(missing(key)),
    }
}

fn parent_mut<'a>(document: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), String> {
    let (way, last) = split(path)?;
    let mut here = document;
    for part in way {
        let next = match here {
            Value::Object(map) => map.get_mut(&part),
            Value::Array(items) => {
                let index = index(&part, items.len())?;
                items.get_mut(index)
            }
            _ => None,
        };
        here = next.ok_or_else(|| missing(path))?;
    }
    Ok((here, last))
}

/// Splits a JSON pointer (RFC 6901) into its last token and the way there.
fn split(path: &str) -> Result<(Vec<String>, String), String> {
    let mut parts: Vec<String> = path
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    let last = parts.pop().ok_or_else(|| missing(path))?;
    Ok((parts, last))
}

/// Reads an index into `0..length`; a negative one counts from the end.
fn index(key: &str, length: usize) -> Result<usize, String> {
    let number: i64 = key
        .parse()
        .map_err(|_| format!("value was not a proper array index: '{key}'"))?;
    let length = length as i64;
    let index = if number < 0 {
        number.saturating_add(length)
    } else {
        number
    };
    if (0..length).contains(&index) {
        Ok(index as usize)
    } else {
        Err(format!(
            "Unable to access invalid index: {number}: invalid index referenced"
        ))
    }
}

fn missing(path: &str) -> String {
    format!("operation does not apply: doc is missing path: {path:?}: missing value")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(document: Value, patch: Value, expected: Value) {
        assert_eq!(apply(&document, &patch), Ok(expected), "{patch}");
    }

    #[track_caller]
    fn check_error(document: Value, patch: Value, code: u16) {
        assert_eq!(
            apply(&document, &patch).expect_err("refused").code(),
            code,
            "{patch}"
        );
    }

    #[test]
    fn operations() {
        check(
            json!({}),
            json!([{"op": "add", "path": "/a", "value": 1}]),
            json!({"a": 1}),
        );
        check(
            json!({"l": [1, 2]}),
            json!([{"op": "add", "path": "/l/-", "value": 3}]),
            json!({"l": [1, 2, 3]}),
        );
        check(
            json!({"l": [1, 2]}),
            json!([{"op": "add", "path": "/l/0", "value": 0}]),
            json!({"l": [0, 1, 2]}),
        );
        check(
            json!({"l": [1, 2]}),
            json!([{"op": "add", "path": "/l/-1", "value": 3}]),
            json!({"l": [1, 2, 3]}),
        );
        check(
            json!({"l": [1, 2]}),
            json!([{"op": "remove", "path": "/l/-1"}]),
            json!({"l": [1]}),
        );
        check(
            json!({"l": [1, 2]}),
            json!([{"op": "replace", "path": "/l/1", "value": 9}]),
            json!({"l": [1, 9]}),
        );
        check(
            json!({"a": 1}),
            json!([{"op": "move", "from": "/a", "path": "/b"}]),
            json!({"b": 1}),
        );
        check(
            json!({"a": 1}),
            json!([{"op": "copy", "from": "/a", "path": "/b"}]),
            json!({"a": 1, "b": 1}),
        );
        check(
            json!({"a/b": {"c~d": 1}}),
            json!([{"op": "remove", "path": "/a~1b/c~0d"}]),
            json!({"a/b": {}}),
        );
        check(
            json!({"a": 1}),
            json!([{"op": "test", "path": "/b", "value": null}]),
            json!({"a": 1}),
        );
        check(
            json!({"a": 1}),
            json!([{"op": "add", "path": "/b", "value": null}]),
            json!({"a": 1, "b": null}),
        );
        check(
            json!({"a": 1}),
            json!([{"op": "replace", "path": "", "value": {}}]),
            json!({}),
        );
        check(json!({"a": 1}), json!([]), json!({"a": 1}));
    }

    #[test]
    fn errors() {
        check_error(json!({}), json!({}), 400);
        check_error(json!({}), json!([1]), 400);
        check_error(
            json!({}),
            json!([{"op": "add", "path": "/a/b", "value": 1}]),
            422,
        );
        check_error(json!({}), json!([{"op": "remove", "path": "/a"}]), 422);
        check_error(
            json!({}),
            json!([{"op": "replace", "path": "/a/b", "value": 1}]),
            422,
        );
        check_error(
            json!({"l": []}),
            json!([{"op": "add", "path": "/l/9", "value": 1}]),
            422,
        );
        check_error(
            json!({"l": []}),
            json!([{"op": "add", "path": "/l/x", "value": 1}]),
            422,
        );
        check_error(
            json!({"a": 1}),
            json!([{"op": "test", "path": "/a", "value": 2}]),
            422,
        );
        check_error(
            json!({"a": 1}),
            json!([{"op": "test", "path": "/b/c", "value": null}]),
            422,
        );
        check_error(json!({"a": 1}), json!([{"op": "bogus", "path": "/a"}]), 422);
        check_error(json!({"a": 1}), json!([{"op": "add"}]), 422);
        check_error(
            json!({}),
            Value::Array(vec![json!({}); OPERATIONS_MAX + 1]),
            413,
        );
    }

    #[test]
    fn a_patch_of_another_type_is_told_as_by_upstream() {
        let error = apply(&json!({}), &json!({"not": "an array"})).expect_err("refused");
        let expected = "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn operations_have_members_of_their_types() {
        let document = json!({"a": 1});
        let check = |patch: Value, expected: Result<Value, PatchError>| {
            assert_eq!(apply(&document, &patch), expected, "{patch}");
        };
        check(Value::Null, Ok(document.clone()));
        let malformed = "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.path of type string";
        let malformed = PatchError::Malformed(malformed.to_owned());
        check(json!([{"op": "remove", "path": 1}]), Err(malformed));
        let error = apply(&document, &json!([null])).expect_err("no operation");
        assert_eq!(error.code(), 422);
        assert_eq!(
            unknown_members(&json!([{"op": "add", "path": "/b", "val": 1}])),
            ["unknown field \"[0].val\""]
        );
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let deeper = json!([{"op": "move", "from": "/a", "path": "/b"}, {"op": "add", "path": "/a", "value": {}}, {"op": "move", "from": "/b", "path": "/a/b"}]);
        let operations: Vec<Value> = (0..1000)
            .flat_map(|_| deeper.as_array().expect("a list").clone())
            .collect();
        check_error(json!({"a": {}}), Value::Array(operations), 422);
    }

    #[test]
    fn copying_without_end_is_refused() {
        let document = json!({"a": "x".repeat(1000), "l": []});
        let double = json!({"op": "copy", "from": "/l", "path": "/l/-"});
        let mut operations = vec![json!({"op": "copy", "from": "/a", "path": "/l/-"})];
        operations.extend(vec![double; 40]);
        check_error(document, Value::Array(operations), 422);
    }
}
