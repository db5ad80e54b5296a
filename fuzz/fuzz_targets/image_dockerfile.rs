//! Any text is a Dockerfile or an error with its line.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = coracle_image::build::dockerfile::parse("Dockerfile", text);
});
