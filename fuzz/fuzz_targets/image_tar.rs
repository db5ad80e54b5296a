//! Any stream is an archive of bounded members or an error.
#![no_main]

use std::io::Read;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut reader = coracle_image::tar::TarReader::new(bytes);
    while let Ok(Some(_)) = reader.next_member() {
        let mut content = Vec::new();
        if (&mut reader).take(1 << 16).read_to_end(&mut content).is_err() {
            break;
        }
    }
});
