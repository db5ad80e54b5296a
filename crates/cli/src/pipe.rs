//! Output that nobody reads any more, as in `coracle logs | head -1`: the
//! command ends quietly, with the exit code that shells give to SIGPIPE.
//!
//! SIGPIPE itself stays ignored: it would also end a command whose connection
//! to a server was closed.

use std::panic::{self, PanicHookInfo};

const CODE: i32 = 141;

/// Ends the process quietly where `println!` finds no reader.
pub fn install() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if has_no_reader(panic) {
            std::process::exit(CODE);
        }
        report(panic);
    }));
}

/// Whether it is the panic of the standard library's `print!` and `eprint!`.
fn has_no_reader(panic: &PanicHookInfo<'_>) -> bool {
    let message = panic.payload_as_str().unwrap_or_default();
    message.starts_with("failed printing to std") && message.contains("Broken pipe")
}
