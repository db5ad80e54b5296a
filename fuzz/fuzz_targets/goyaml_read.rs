//! Any bytes are a YAML document or an error with a position.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = coracle_goyaml::from_slice(bytes);
});
