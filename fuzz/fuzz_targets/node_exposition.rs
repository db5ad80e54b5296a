//! What a pod answers when its metrics are scraped.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = coracle_node::exposition::parse(text, |name| name.len() % 2 == 0);
});
