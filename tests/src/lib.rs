//! Tools of the whole-system cases: a cluster of their own, plain HTTP, and a
//! picture of the host to compare.
//!
//! The cases themselves stand in `tests/`.

// The browser of the pages' own tests: one driver for both.
#[path = "../../apps/todo-frontend/tests/pages/chromium.rs"]
pub mod chromium;
pub mod cluster;
pub mod documents;
pub mod host;
pub mod island;
pub mod lab;
pub mod load;
pub mod mishap;
pub mod names;
pub mod older;
pub mod postgres;
pub mod private;
pub mod profile;
pub mod project;
pub mod provider;
pub mod registry;
pub mod site;
pub mod terminal;
pub mod wait;
pub mod web;

/// Says loudly that a case did not run, and fails it where it must run.
///
/// # Panics
/// Panics with `CI=true`.
pub fn skip(reason: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "cannot be skipped here: {reason}"
    );
    eprintln!("\n*** SKIPPED: {reason} ***\n");
}
