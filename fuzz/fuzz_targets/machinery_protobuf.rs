//! Any bytes are a protobuf body or an error.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = coracle_machinery::protobuf::decode(bytes);
    let _ = coracle_machinery::protobuf::decode(&[b"k8s\0", bytes].concat());
});
