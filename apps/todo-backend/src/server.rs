//! Start, signals, drain and end.
//!
//! The listener opens before the database is reached: probes then tell the
//! two apart. On SIGTERM readiness turns first, requests under way get up to
//! twenty seconds, and the process ends with 0.

use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::db::Database;
use crate::http::{AppState, router};
use crate::{log, mcp, reminders};

/// Longest wait for requests under way.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// Why the server ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No event loop.
    #[error("the event loop cannot start")]
    Runtime(#[source] std::io::Error),
    /// The port is taken or not allowed.
    #[error("port {port} cannot be listened on")]
    Listen {
        /// The port.
        port: u16,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// No signal handler.
    #[error("signals cannot be received")]
    Signal(#[source] std::io::Error),
    /// The listener broke.
    #[error("the listener failed")]
    Serve(#[source] std::io::Error),
}

/// Serves until a signal ends it.
///
/// # Errors
/// As [`ServeError`] says.
pub async fn run(config: Config) -> Result<(), ServeError> {
    let listener = listen(config.port).await?;
    let database = Database::new(&config);
    let state = AppState::new(config, database.clone());
    let stop = stop_signal()?;
    reload_on_hangup(state.clone())?;
    tokio::spawn(async move { database.connect().await });
    tokio::spawn(reminders::run(state.clone()));
    serve_mcp(&state).await?;

    let address = listener.local_addr().map_err(ServeError::Serve)?;
    tracing::info!(port = u64::from(address.port()), "listening");
    let (drained, draining) = tokio::sync::oneshot::channel();
    let shutdown = {
        let state = state.clone();
        async move {
            stop.await;
            tracing::info!("draining");
            state.drain();
            // The receiver waits for exactly this; it is gone only at the end.
            let _ = drained.send(());
        }
    };
    let service = router(state).into_make_service_with_connect_info::<SocketAddr>();
    let serve = axum::serve(listener, service).with_graceful_shutdown(shutdown);
    let overdue = async {
        if draining.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        outcome = serve.into_future() => outcome.map_err(ServeError::Serve)?,
        () = overdue => tracing::warn!("requests were still under way after the drain"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Serves MCP on its own port until the process ends.
async fn serve_mcp(state: &AppState) -> Result<(), ServeError> {
    let Some(port) = state.config().mcp_port else {
        return Ok(());
    };
    let listener = listen(port).await?;
    let address = listener.local_addr().map_err(ServeError::Serve)?;
    tracing::info!(port = u64::from(address.port()), "listening for MCP");
    let service = mcp::router(state.clone()).into_make_service();
    tokio::spawn(async move { axum::serve(listener, service).await });
    Ok(())
}

/// Listens on all addresses of both families, or of one where IPv6 is off.
async fn listen(port: u16) -> Result<TcpListener, ServeError> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    if let Ok(listener) = TcpListener::bind(both).await {
        return Ok(listener);
    }
    let four = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    TcpListener::bind(four)
        .await
        .map_err(|cause| ServeError::Listen { port, cause })
}

fn stop_signal() -> Result<impl Future<Output = ()>, ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signal)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Reads the configuration again on SIGHUP: mounted Secrets change in place.
fn reload_on_hangup(state: AppState) -> Result<(), ServeError> {
    let mut hangup = signal(SignalKind::hangup()).map_err(ServeError::Signal)?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match Config::from_process() {
                Ok((config, notes)) => {
                    for note in notes {
                        tracing::warn!("{note}");
                    }
                    log::set_level(config.log.level);
                    state.reload(config);
                    tracing::info!("configuration read again");
                }
                Err(error) => {
                    // Named first: the macro has a `log` of its own.
                    let causes = log::chain(&error);
                    tracing::error!("configuration kept: {causes}");
                }
            }
        }
    });
    Ok(())
}
