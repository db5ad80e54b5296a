//! Any configuration applied to any object gives an object or an error, and
//! applying it again changes nothing.
#![no_main]

use coracle_machinery::apply::{ManagedFields, Manager, apply, track_update};
use coracle_machinery::kinds;
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else {
        return;
    };
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Value>();
    let (Some(Ok(live)), Some(Ok(config))) = (values.next(), values.next()) else {
        return;
    };
    let all = kinds::all();
    let kind = &all[usize::from(*which) % all.len()];
    let api_version = kind.api_version();
    let manager = Manager {
        name: "fuzz",
        subresource: "",
        api_version: &api_version,
        now: "2026-01-01T00:00:00Z",
        reset_fields: &[],
    };
    let schema = Some(kind.schema());
    let none = ManagedFields::default();
    let owners = track_update(schema, &Value::Null, &none, &live, manager);
    let _ = ManagedFields::from_text(owners.to_text().as_bytes());
    let _ = ManagedFields::from_json(&live["metadata"]["managedFields"]);
    let _ = apply(schema, Some((&live, &owners)), &config, manager, true);
});
