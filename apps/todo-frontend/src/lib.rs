//! The todo application's pages.
//!
//! Every page is made on the server and works without script. The program
//! keeps nothing: it relays the session cookie to the API, whose address it
//! reads when it starts. [`run`] is the program: `serve`, or `healthcheck`,
//! which asks a running server.

mod api;
mod assets;
pub mod config;
mod dates;
mod healthcheck;
mod language;
mod net;
mod pages;
mod proxy;
pub mod server;
mod visitor;

use std::io::Write;
use std::process::ExitCode;

const USAGE: &str = "usage: todo-frontend [serve | healthcheck [URL] | --version]\n";

/// Does what the arguments after the program's name say.
pub fn run(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    match arguments.next().as_deref() {
        None | Some("serve") => serve(),
        Some("healthcheck") => healthcheck::run(arguments.next()),
        Some("--version" | "-V") => {
            say(concat!("todo-frontend ", env!("CARGO_PKG_VERSION"), "\n"));
            ExitCode::SUCCESS
        }
        Some(_) => {
            say(USAGE);
            ExitCode::from(2)
        }
    }
}

fn serve() -> ExitCode {
    let config = match config::Config::from_process() {
        Ok(config) => config,
        Err(error) => {
            say(&format!("configuration refused: {error}\n"));
            return ExitCode::from(78);
        }
    };
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_target(false)
        .with_max_level(config.log_level)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(server::run(config)),
        Err(error) => Err(server::ServeError::Runtime(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes text for a person at a terminal.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed standard output has no one left to tell.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
