//! Measurements behind the budget table; run with `cargo run --release -p coracle-benches`.

fn main() {}
