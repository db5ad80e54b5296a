//! Ctrl-C: every command may be interrupted at any moment; the next one goes
//! on from what is there. All that is left to do is to say so.

/// The exit code of a command that SIGINT ended, as shells count it.
const CODE: i32 = 130;

const SAYS: &[u8] = b"\ninterrupted; the same command goes on from here\n";

/// Lets Ctrl-C end the process with a word.
pub fn install() {
    let handler = say_and_end as extern "C" fn(libc::c_int);
    // SAFETY: the handler makes only async-signal-safe calls (write, _exit).
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
}

/// Gives Ctrl-C its usual meaning back, for a command that only watches.
pub fn uninstall() {
    // SAFETY: the default action is set, no handler is involved.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

extern "C" fn say_and_end(_: libc::c_int) {
    // SAFETY: both calls are async-signal-safe (signal-safety(7)); the text is static.
    unsafe {
        libc::write(2, SAYS.as_ptr().cast(), SAYS.len());
        libc::_exit(CODE);
    }
}
