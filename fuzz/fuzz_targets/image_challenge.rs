//! Any header is a challenge or none; any text is a login file or an error.
#![no_main]

use coracle_image::registry::{Credentials, Helpers, challenge};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = challenge(text);
    let _ = Credentials::from_config(text.as_bytes());
    let _ = Helpers::from_config(text.as_bytes());
});
