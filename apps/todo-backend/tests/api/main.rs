//! The server from outside: a process, its HTTP, its mock neighbours.

#![allow(clippy::print_stderr, reason = "a skipped test says so loudly")]

mod accounts;
mod chat;
mod contract;
mod databases;
mod isolation;
mod keys;
mod mail;
mod mcp;
mod providers;
mod support;
mod tasks;
mod uploads;
