//! How an item of a list is told from the others.

use serde_json::Value;

use super::element::{Element, Scalar};
use super::types::{ListAtom, Relation, Type};

/// Returns the path element of a list item.
///
/// # Errors
/// When the item lacks what would identify it; the text is upstream's.
pub(super) fn element_of(list: &ListAtom<'_>, item: &Value) -> Result<Element, String> {
    match list.relation {
        Relation::Atomic => Err("invalid indexing of non-associative list".to_owned()),
        Relation::Set => value_element(item),
        Relation::Key(key) => key_element(list, item, &[key]),
        Relation::Keys(keys) => key_element(list, item, keys),
    }
}

fn value_element(item: &Value) -> Result<Element, String> {
    match item {
        Value::Object(_) => {
            Err("associative list without keys has an element that's a map type".to_owned())
        }
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => {
            Err("associative list without keys has an element that's an explicit null".to_owned())
        }
        scalar => Ok(Element::Value(Scalar::from(scalar))),
    }
}

fn key_element(
    list: &ListAtom<'_>,
    item: &Value,
    keys: &[impl AsRef<str>],
) -> Result<Element, String> {
    let map = match item {
        Value::Object(map) => map,
        Value::Null => {
            return Err("associative list with keys may not have a null element".to_owned());
        }
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let mut fields = Vec::with_capacity(keys.len());
    for key in keys {
        let key = key.as_ref();
        if let Some(value) = map.get(key).or_else(|| default_of(list.element, key)) {
            fields.push((key.to_owned(), Scalar::from(value)));
        }
    }
    if fields.is_empty() && !keys.is_empty() {
        let names: Vec<String> = keys
            .iter()
            .map(|key| format!("{:?}", key.as_ref()))
            .collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
             values for any key fields)",
            names.join(" ")
        ));
    }
    fields.sort();
    Ok(Element::Key(fields))
}

fn default_of<'a>(element: Type<'a>, key: &str) -> Option<&'a Value> {
    match element {
        Type::Node(node, _) => node.field(key)?.default(),
        _ => None,
    }
}
