//! One step of a field path, and its text forms.
//!
//! [`Element`] orders as upstream does (fields, keys, values, indices), which
//! is the order of the members of `fieldsV1`.

use std::cmp::Ordering;
use std::fmt::{self, Write};

use serde_json::Value;

/// How a child is selected in a map or list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// A field of a struct or map.
    Field(String),
    /// The list item whose key fields have these values; sorted by name.
    Key(Vec<(String, Scalar)>),
    /// The item of a set.
    Value(Scalar),
    /// The item at an index; found in old data only.
    Index(i64),
}

/// A JSON value with upstream's order: numbers, texts, booleans, the rest.
#[derive(Debug, Clone)]
pub struct Scalar(Value);

impl Scalar {
    /// Returns the value.
    pub fn get(&self) -> &Value {
        &self.0
    }

    fn rank(&self) -> u8 {
        match self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
}

impl From<&Value> for Scalar {
    fn from(value: &Value) -> Scalar {
        Scalar(value.clone())
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Scalar) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
                (Some(left), Some(right)) => left.cmp(&right),
                _ => {
                    let float = |number: &serde_json::Number| number.as_f64().unwrap_or_default();
                    float(left).total_cmp(&float(right))
                }
            },
            (Value::String(left), Value::String(right)) => left.cmp(right),
            (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
            (left, right) => {
                let text = || left.to_string().cmp(&right.to_string());
                self.rank().cmp(&other.rank()).then_with(text)
            }
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Scalar) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Scalar) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

/// A path from the root of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FieldPath(pub Vec<Element>);

impl Element {
    /// Returns the element in the form it has as a member of `fieldsV1`.
    pub fn encode(&self) -> String {
        match self {
            Element::Field(name) => format!("f:{name}"),
            Element::Key(fields) => {
                let mut text = String::from("k:");
                let mut separator = '{';
                for (name, value) in fields {
                    text.push(separator);
                    push_text(name, &mut text);
                    text.push(':');
                    push_value(&value.0, &mut text);
                    separator = ',';
                }
                text.push('}');
                escaped(text)
            }
            Element::Value(value) => {
                let mut text = String::from("v:");
                push_value(&value.0, &mut text);
                escaped(text)
            }
            Element::Index(index) => format!("i:{index}"),
        }
    }

    /// Writes the form of `fieldsV1` as a JSON text.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Element::Field(name) if is_plain(name) => {
                out.push_str("\"f:");
                out.push_str(name);
                out.push('"');
            }
            other => push_text(&other.encode(), out),
        }
    }

    /// Reads the form of `fieldsV1`; `None` for a kind of element that is not
    /// known, which upstream passes over.
    ///
    /// # Errors
    /// When the element is malformed.
    pub fn decode(text: &str) -> Result<Option<Element>, String> {
        let Some((kind, content)) = text.split_once(':').filter(|(kind, _)| kind.len() == 1) else {
            return Err(format!("missing colon: {text}"));
        };
        let json = || serde_json::from_str::<Value>(content).map_err(|error| error.to_string());
        Ok(Some(match kind {
            "f" => Element::Field(content.to_owned()),
            "v" => Element::Value(Scalar(json()?)),
            "k" => {
                let Value::Object(map) = json()? else {
                    return Err(format!("key is not an object: {text}"));
                };
                let mut fields: Vec<_> = map
                    .into_iter()
                    .map(|(name, value)| (name, Scalar(value)))
                    .collect();
                fields.sort();
                Element::Key(fields)
            }
            "i" => Element::Index(
                content
                    .parse()
                    .map_err(|_| format!("not an index: {text}"))?,
            ),
            _ => return Ok(None),
        }))
    }
}

/// Whether a text needs no escape in JSON.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
}

/// Appends a JSON text.
pub(super) fn push_text(text: &str, out: &mut String) {
    if text.bytes().any(|byte| byte < b' ') {
        // Writing to a text cannot fail.
        let _ = write!(out, "{}", Value::from(text));
        return;
    }
    out.push('"');
    for part in text.split_inclusive(['"', '\\']) {
        match part.strip_suffix(['"', '\\']) {
            Some(plain) => out.extend([plain, "\\", &part[plain.len()..]]),
            None => out.push_str(part),
        }
    }
    out.push('"');
}

fn push_value(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => push_text(text, out),
        // Writing to a text cannot fail.
        other => drop(write!(out, "{other}")),
    }
}

/// JSON as Go's encoder writes it, with `<`, `>` and `&` escaped.
fn escaped(mut text: String) -> String {
    if text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        for (plain, code) in [
            ("<", "\\u003c"),
            (">", "\\u003e"),
            ("&", "\\u0026"),
            ("\u{2028}", "\\u2028"),
            ("\u{2029}", "\\u2029"),
        ] {
            text = text.replace(plain, code);
        }
    }
    text
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Field(name) => write!(f, ".{name}"),
            Element::Key(fields) => {
                f.write_str("[")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "," };
                    write!(f, "{separator}{name}={value}")?;
                }
                f.write_str("]")
            }
            Element::Value(value) => write!(f, "[={value}]"),
            Element::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| element.fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, printed: &str) {
        let element = Element::decode(text).expect("well formed").expect("known");
        assert_eq!(element.encode(), text);
        assert_eq!(element.to_string(), printed);
    }

    #[test]
    fn forms() {
        check("f:a.b/c", ".a.b/c");
        check("f:", ".");
        check(
            r#"k:{"port":80,"protocol":"TCP"}"#,
            r#"[port=80,protocol="TCP"]"#,
        );
        check(r#"v:"a""#, r#"[="a"]"#);
        check("v:true", "[=true]");
        check("i:5", "[5]");
        check(r#"k:{"name":"a\u0026b"}"#, r#"[name="a&b"]"#);
        assert_eq!(Element::decode("x:1"), Ok(None));
        assert!(Element::decode("f").is_err());
        assert!(Element::decode("k:5").is_err());
        assert!(Element::decode("v:").is_err());
        assert!(Element::decode("i:x").is_err());
    }

    #[test]
    fn texts_are_written_as_json() {
        for text in [
            "",
            "plain",
            "a\"b",
            "\\",
            "\"\"",
            "a\\\"",
            "tab\tline\n",
            "ü€",
        ] {
            let mut out = String::new();
            push_text(text, &mut out);
            assert_eq!(out, Value::from(text).to_string());
        }
    }

    #[test]
    fn order() {
        let scalar = |value: Value| Scalar(value);
        let sorted = [
            Element::Field("a".into()),
            Element::Field("b".into()),
            Element::Key(vec![("a".into(), scalar(json!(2)))]),
            Element::Key(vec![("a".into(), scalar(json!(10)))]),
            Element::Key(vec![("a".into(), scalar(json!("x")))]),
            Element::Value(scalar(json!(1))),
            Element::Value(scalar(json!("a"))),
            Element::Value(scalar(json!(false))),
            Element::Index(0),
        ];
        assert!(sorted.is_sorted());
        assert_eq!(scalar(json!(1)), scalar(json!(1.0)));
    }
}
