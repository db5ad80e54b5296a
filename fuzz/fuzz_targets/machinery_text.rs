//! Selectors, quantities and paths: any text is one or an error.
#![no_main]

use coracle_machinery::jsonpath::JsonPath;
use coracle_machinery::quantity;
use coracle_machinery::selector::{FieldSelector, LabelSelector};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = LabelSelector::parse(text);
    let _ = FieldSelector::parse(text);
    let _ = quantity::canonical(text);
    let _ = coracle_machinery::time::read(text);
    let object = serde_json::json!({"a": [{"b": 1, "c": "d"}, {"b": 2}], "e": {"f.g": null}});
    if let Ok(path) = JsonPath::parse(text) {
        let _ = path.render(&object);
    }
    if let Ok(path) = JsonPath::parse_path(text) {
        let _ = path.first(&object);
    }
});
