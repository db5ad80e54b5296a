//! Real containers, looked at from inside. The suite makes namespaces of its
//! own and runs in them twice where it can: with a shifted range of ids and
//! delegated cgroups (needs root), and with a single id (any user).
//!
//! This program is also the shim of those containers and the program in them.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "plain calls into libc with numbers and C strings, in a process of the test's own"
)]

mod cases;
mod outer;
mod probe;
mod support;

use std::env;
use std::path::Path;
use std::process::exit;

fn main() {
    let args: Vec<String> = env::args().collect();
    if args.get(1).is_some_and(|word| word == "shim") {
        coracle_runtime::shim_main(args.into_iter().skip(2).map(Into::into));
    }
    if Path::new(&args[0])
        .file_name()
        .is_some_and(|name| name == "probe")
    {
        exit(probe::main(&args[1..]));
    }
    match args.get(1).map(String::as_str) {
        Some("inside") => exit(support::run(&args[2..])),
        Some("engine") => exit(support::engine(&args[2..])),
        _ => exit(outer::main(&args[1..])),
    }
}
