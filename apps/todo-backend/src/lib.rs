//! The todo application's API server.
//!
//! [`run`] is the program: `serve`, or `healthcheck`, which asks a running
//! server on this machine and exits 0 or 1, so that the image needs no shell
//! and no curl. Everything is configured by environment variables ([`config`]).
//! What reads words of strangers is public, so that it can be tried from
//! outside: [`http`], [`mcp`], [`auth`], [`chat`], [`config`].

pub mod auth;
pub mod chat;
pub mod config;
pub mod db;
mod healthcheck;
pub mod http;
pub mod log;
mod mail;
pub mod mcp;
pub mod model;
mod net;
mod prepare;
mod reminders;
mod server;
mod storage;
pub mod time;

use std::process::ExitCode;

const USAGE: &str = "usage: todo-backend [serve | healthcheck | prepare FOLDER... | --version]\n";

/// Does what the arguments after the program's name say.
pub fn run(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    match arguments.next().as_deref() {
        None | Some("serve") => serve(),
        Some("healthcheck") => healthcheck::run(),
        Some("prepare") => prepare::run(arguments),
        Some("--version" | "-V") => {
            log::plain(concat!("todo-backend ", env!("CARGO_PKG_VERSION"), "\n"));
            ExitCode::SUCCESS
        }
        Some(_) => {
            log::plain(USAGE);
            ExitCode::from(2)
        }
    }
}

fn serve() -> ExitCode {
    let (config, notes) = match config::Config::from_process() {
        Ok(loaded) => loaded,
        Err(error) => {
            log::init(&log::Settings::default());
            tracing::error!("configuration refused: {error}");
            log::flush();
            return ExitCode::from(78);
        }
    };
    log::init(&config.log);
    for note in &notes {
        tracing::warn!("{note}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(server::run(config)),
        Err(error) => Err(server::ServeError::Runtime(error)),
    };
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Named first: the macro has a `log` of its own.
            let causes = log::chain(&error);
            tracing::error!("{causes}");
            ExitCode::FAILURE
        }
    };
    log::flush();
    code
}
