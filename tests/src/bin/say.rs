//! A container's program for tests: `say CODE LINE...` prints the lines and
//! ends with the code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let code = words.next().and_then(|code| code.parse().ok()).unwrap_or(0);
    for line in words {
        println!("{line}");
    }
    ExitCode::from(code)
}
