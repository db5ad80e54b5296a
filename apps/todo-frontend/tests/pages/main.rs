//! The pages from outside: against a mock API, and, where its binary has been
//! built, against the real one.

#![allow(clippy::print_stderr, reason = "a skipped test says so loudly")]

mod browser;
mod chromium;
mod flows;
mod proxy;
mod support;
