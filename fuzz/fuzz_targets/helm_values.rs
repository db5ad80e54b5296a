//! What users write after `--set` and in values files.
#![no_main]

use coracle_helm::Values;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut values = Values::new();
    let _ = values.set(text);
    let _ = values.set_string(text);
    let _ = values.set_json(text);
    let _ = values.set_literal(text);
    let _ = values.add_file("values.yaml", text.as_bytes());
});
