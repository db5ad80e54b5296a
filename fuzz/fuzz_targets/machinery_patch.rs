//! Any patch of any object is an object or an error, in each of the forms.
#![no_main]

use coracle_machinery::{kinds, patch};
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else {
        return;
    };
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Value>();
    let (Some(Ok(live)), Some(Ok(change))) = (values.next(), values.next()) else {
        return;
    };
    let all = kinds::all();
    let kind = &all[usize::from(*which) % all.len()];
    let _ = patch::json_patch(&live, &change);
    let _ = patch::merge_patch(&live, &change);
    let _ = patch::strategic_patch(kind.schema(), &live, &change);
});
