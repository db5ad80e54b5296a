//! Errors without backtraces, where there is nothing to make them of: a release
//! build has no tables for unwinding (`build.rs`), and libgcc's unwinder ends a
//! process in which it does not even find itself.

/// Keeps errors from looking for the way they came, whatever `RUST_BACKTRACE` says.
/// Must be called before any thread is started.
pub fn switch_off() {
    if cfg!(no_unwinding) {
        // SAFETY: there is one thread, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };
    }
}
