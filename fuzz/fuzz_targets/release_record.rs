//! Any bytes are a release's record or an error.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = coracle_release::Record::decode(bytes) {
        let _ = record.encode();
        let _ = coracle_release::parse(&record.manifest);
        let _ = coracle_release::chart_from_record(&record.chart);
    }
});
