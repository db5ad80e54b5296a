//! Renders a chart folder some times and prints the time of each: for
//! profiling. `cargo run --release -p coracle-helm --example render -- DIR [N]`

#![allow(clippy::print_stdout)]

use coracle_helm as helm;
use std::path::Path;
use std::time::Instant;

fn walk(top: &Path, folder: &Path, files: &mut Vec<helm::File>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(top, &path, files);
        } else {
            let name = path.strip_prefix(top).expect("below").to_string_lossy();
            files.push(helm::File::new(name, std::fs::read(&path).expect("a file")));
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("usage: render DIR [N]");
    let count = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1);
    for _ in 0..count {
        let start = Instant::now();
        let mut files = Vec::new();
        walk(Path::new(&folder), Path::new(&folder), &mut files);
        let read = start.elapsed();
        let chart = helm::Chart::load(files).expect("loads");
        let loaded = start.elapsed();
        let rendered = helm::render(
            &chart,
            &helm::Values::new(),
            &helm::Release::named("release-name"),
            &helm::Capabilities::default(),
            &helm::NoCluster,
        )
        .unwrap_or_else(|error| panic!("{}", error.report()));
        let text = helm::print::template(&rendered, helm::print::Parts::default());
        println!(
            "read {read:.2?}, loaded {loaded:.2?}, rendered {:.2?}, {} bytes",
            start.elapsed(),
            text.len()
        );
    }
}
