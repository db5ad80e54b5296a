//! Any bytes are a YAML document or an error with a position, whether all of it
//! is kept or only some keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let whole = coracle_goyaml::from_slice(bytes);
    let some = coracle_goyaml::only_keys(bytes, &["kind", "metadata"]);
    assert_eq!(whole.err(), some.err());
});
