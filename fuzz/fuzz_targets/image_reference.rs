//! A name that can be read is read the same when it is written again.
#![no_main]

use coracle_image::Reference;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(reference) = Reference::parse(text) {
        let again = Reference::parse(&reference.familiar()).expect("it was written by us");
        assert_eq!(again.key(), reference.key());
    }
});
