//! The server from outside: a process, its HTTP, its mock neighbours.

mod accounts;
mod chat;
mod databases;
mod isolation;
mod keys;
mod mail;
mod mcp;
mod support;
mod tasks;
mod uploads;
