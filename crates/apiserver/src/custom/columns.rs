//! Tables of custom objects: `additionalPrinterColumns` with their JSONPaths.

use coracle_machinery::jsonpath::{JsonPath, as_text};
use coracle_machinery::table;
use coracle_machinery::time;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Custom;

/// Returns the column definitions.
pub fn definitions(custom: &Custom) -> Value {
    let name = table::default_definitions()[0].clone();
    let mut columns = vec![name];
    if custom.columns.is_empty() {
        let meta = coracle_machinery::schema::builtin()
            .get("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
        let docs = coracle_machinery::schema::descriptions();
        let about = meta
            .and_then(|meta| meta.field("creationTimestamp"))
            .and_then(|time| time.description_in(&docs))
            .unwrap_or_default()
            .to_owned();
        columns.push(json!({"name": "Age", "type": "date", "format": "", "description": about, "priority": 0}));
    }
    for column in &custom.columns {
        let text = |key: &str| column[key].as_str().unwrap_or_default();
        let about = match text("description") {
            "" => format!(
                "Custom resource definition column (in JSONPath format): {}",
                text("jsonPath")
            ),
            about => about.to_owned(),
        };
        columns.push(json!({
            "name": text("name"), "type": text("type"), "format": text("format"),
            "description": about, "priority": column["priority"].as_i64().unwrap_or(0),
        }));
    }
    json!(columns)
}

/// Returns the cells of an object.
pub fn cells(custom: &Custom, object: &Value) -> Vec<Value> {
    let mut cells = vec![object["metadata"]["name"].clone()];
    if custom.columns.is_empty() {
        cells.push(age(&object["metadata"]["creationTimestamp"]));
    }
    for column in &custom.columns {
        let path = column["jsonPath"].as_str().unwrap_or_default();
        let found = JsonPath::parse_path(path)
            .ok()
            .and_then(|path| path.first(object).map(|value| value.into_owned()));
        cells.push(cell(column["type"].as_str().unwrap_or_default(), found));
    }
    cells
}

fn cell(kind: &str, found: Option<Value>) -> Value {
    let Some(value) = found.filter(|value| !value.is_null()) else {
        return Value::Null;
    };
    match kind {
        "integer" => match &value {
            Value::Number(number) => number
                .as_i64()
                .map(Value::from)
                .or_else(|| number.as_f64().map(|number| json!(number as i64)))
                .unwrap_or(Value::Null),
            _ => Value::Null,
        },
        "number" if value.is_number() => value,
        "boolean" if value.is_boolean() => value,
        "string" => json!(as_text(&value)),
        "date" => age(&value),
        _ => Value::Null,
    }
}

fn age(value: &Value) -> Value {
    let Some(text) = value.as_str() else {
        return json!("<unknown>");
    };
    match time::read(text) {
        Some(then) => json!(time::human(Timestamp::now().duration_since(then))),
        None => json!("<invalid>"),
    }
}
