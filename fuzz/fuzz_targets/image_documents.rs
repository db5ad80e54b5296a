//! Any JSON is a manifest, an index or a configuration, or an error.
#![no_main]

use coracle_image::oci::{ImageConfig, Index, Manifest};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<Manifest>(bytes);
    let _ = serde_json::from_slice::<Index>(bytes);
    if let Ok(config) = serde_json::from_slice::<ImageConfig>(bytes) {
        let _ = config.config.runs_as_non_root_number();
        let _ = config.config.environment().count();
    }
});
