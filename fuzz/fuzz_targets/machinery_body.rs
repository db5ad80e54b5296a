//! A JSON body is an object of its type or an error; an object goes through
//! defaults, validation and its Table without falling.
#![no_main]

use coracle_machinery::{canonical, default, kinds, strict, table, validate};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else {
        return;
    };
    let all = kinds::all();
    let kind = &all[usize::from(*which) % all.len()];
    let Ok(parsed) = strict::parse(text) else {
        return;
    };
    let mut object = parsed.value;
    if strict::read(kind, &mut object).is_err() || !object.is_object() {
        return;
    }
    default::apply(kind, &mut object);
    canonical::apply(kind, &mut object);
    let _ = validate::create(kind, &object);
    let _ = validate::update(kind, None, &object, &object);
    let _ = validate::warnings(kind, None, &object, None);
    let _ = table::row(kind, &object, jiff::Timestamp::UNIX_EPOCH);
});
