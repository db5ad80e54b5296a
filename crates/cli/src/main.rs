//! The coracle command: reads the command line, prints, picks exit codes.
//!
//! The same binary is every process of a cluster (ARCHITECTURE.md); those are
//! entered first, before any thread is started, and never print.

mod allocator;
mod backtrace;
mod chart;
mod commands;
mod disk;
mod facts;
mod failure;
mod folder;
mod interrupt;
mod look;
mod memory;
mod paint;
mod pipe;
mod process;
mod project;
mod registries;
mod remedy;
mod values;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> ExitCode {
    backtrace::switch_off();
    if let Some(code) = process::enter() {
        return code;
    }
    commands::run()
}
