//! Any template renders, or is refused at its place: lexer, parser and executor
//! within their limits.
#![no_main]

use coracle_helm::{Capabilities, Chart, File, NoCluster, Release, Values, render};

libfuzzer_sys::fuzz_target!(|template: &[u8]| {
    let files = vec![
        File::new("Chart.yaml", &b"apiVersion: v2\nname: a\nversion: 1.0.0\n"[..]),
        File::new("values.yaml", &b"a: {b: [1, two, 3.5]}\nc: text\n"[..]),
        File::new("templates/a.yaml", template),
    ];
    let Ok(chart) = Chart::load(files) else {
        return;
    };
    let release = Release::named("fuzz");
    let known = Capabilities::default();
    let _ = render(&chart, &Values::new(), &release, &known, &NoCluster);
});
