//! Any archive loads whole into a store or is refused, and leaves nothing.
#![no_main]

use std::sync::OnceLock;

use coracle_image::ImageStore;
use coracle_image::archive::{LoadOptions, load};
use coracle_image::store::StoreOptions;

static STORE: OnceLock<ImageStore> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let store = STORE.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("coracle-fuzz-{}", std::process::id()));
        let options = StoreOptions {
            durable: false,
            ..StoreOptions::default()
        };
        ImageStore::open_with(&dir, options).expect("a temporary folder")
    });
    let _ = load(store, "fuzz", bytes, &LoadOptions::default(), &mut |_| {});
});
