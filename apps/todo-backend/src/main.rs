//! The todo application's API server.
//!
//! `todo-backend` serves; `todo-backend healthcheck` asks a running server on
//! this machine and exits 0 or 1, so that the image needs no shell and no
//! curl. Everything is configured by environment variables (`config.rs`).

mod auth;
mod chat;
mod config;
mod db;
mod healthcheck;
mod http;
mod log;
mod mail;
mod mcp;
mod model;
mod net;
mod prepare;
mod reminders;
mod server;
mod storage;
mod time;

use std::process::ExitCode;

const USAGE: &str = "usage: todo-backend [serve | healthcheck | prepare FOLDER... | --version]\n";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
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
