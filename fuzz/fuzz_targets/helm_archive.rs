//! Any archive is a chart or an error: paths, links and bombs stay inside.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = coracle_helm::Chart::load_archive(bytes);
});
