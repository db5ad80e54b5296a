//! Routes, start, drain and end.

use std::future::{Future, IntoFuture};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, get, post};
use axum::{Json, Router};
use http::HeaderValue;
use http::header;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::net::upstream::Client;
use crate::visitor::{Development, Visitor};
use crate::{assets, pages, proxy};

/// Longest wait for requests under way.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// Why the server ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No event loop.
    #[error("the event loop cannot start: {0}")]
    Runtime(std::io::Error),
    /// The port is taken or not allowed.
    #[error("port {0} cannot be listened on: {1}")]
    Listen(u16, std::io::Error),
    /// No signal handler.
    #[error("signals cannot be received: {0}")]
    Signal(std::io::Error),
    /// The listener broke.
    #[error("the listener failed: {0}")]
    Serve(std::io::Error),
}

/// What every handler may use.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    config: Config,
    client: Client,
}

impl App {
    /// Returns the application of a process.
    pub fn new(config: Config) -> Self {
        let client = Client::new(config.upstream.clone());
        Self(Arc::new(Inner { config, client }))
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Returns the way to the API.
    pub fn client(&self) -> &Client {
        &self.0.client
    }
}

/// Returns all pages, and the way to the API.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(pages::landing::show))
        .route(
            "/signup",
            get(pages::entry::sign_up_form).post(pages::entry::sign_up),
        )
        .route(
            "/signin",
            get(pages::entry::sign_in_form).post(pages::entry::sign_in),
        )
        .route("/signout", post(pages::entry::sign_out))
        .route(
            "/forgot-password",
            get(pages::passwords::forgot_form).post(pages::passwords::forgot),
        )
        .route(
            "/reset-password",
            get(pages::passwords::reset_form).post(pages::passwords::reset),
        )
        .route("/dashboard", get(pages::dashboard::show))
        .route("/tasks", post(pages::dashboard::add))
        .route(
            "/tasks/{id}",
            get(pages::task::show).post(pages::task::save),
        )
        .route("/tasks/{id}/attachments", post(pages::task::attach))
        .route(
            "/tasks/{id}/attachments/{aid}/delete",
            post(pages::task::detach),
        )
        .route("/chat", get(pages::chat::show).post(pages::chat::say))
        .route("/chat/{id}/delete", post(pages::chat::forget))
        .route(
            "/notifications",
            get(pages::notifications::show).post(pages::notifications::mark_all),
        )
        .route("/language", post(pages::settings::language))
        .route(
            "/settings",
            get(pages::settings::show).post(pages::settings::save),
        )
        .route("/settings/avatar", post(pages::settings::avatar))
        .route("/tasks/{id}/toggle", post(pages::dashboard::toggle))
        .route("/tasks/{id}/delete", post(pages::dashboard::delete))
        .route("/status", get(pages::status::show))
        .route("/status/live", get(pages::status::live))
        .route("/health", get(health))
        .route("/api/health", get(health))
        .route("/api/{*rest}", any(proxy::relay))
        .route("/uploads/{*rest}", get(proxy::relay))
        .route("/favicon.ico", get(assets::icon))
        .route("/_app/{name}", get(assets::serve))
        .fallback(pages::failure::not_found)
        .layer(from_fn_with_state(app.clone(), common_headers))
        .with_state(app)
}

/// `GET /api/health`: this process answers; the API is not asked.
async fn health() -> Json<Value> {
    Json(json!({"status": "healthy"}))
}

/// Headers of every answer: which pod, and what a page may load.
async fn common_headers(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if !app.config().production {
        request.extensions_mut().insert(Development);
    }
    let path = request.uri().path();
    let is_page = !["/api/", "/uploads/", "/_app/"]
        .iter()
        .any(|start| path.starts_with(start));
    let asker = is_page.then(|| Visitor::read(request.headers(), request.extensions()));
    let mut response = next.run(request).await;
    if let Some(visitor) = asker {
        response = pages::failure::dressed(&visitor, response);
    }
    let headers = response.headers_mut();
    if let Ok(pod) = HeaderValue::from_str(&app.config().pod) {
        headers.insert("x-frontend-pod", pod);
    }
    let mut default = |name: header::HeaderName, value: &'static str| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(header::REFERRER_POLICY, "same-origin");
    default(header::X_FRAME_OPTIONS, "DENY");
    default(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; img-src 'self' data: https://res.cloudinary.com; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    );
    default(header::CACHE_CONTROL, "no-store");
    response
}

/// Serves until a signal ends it.
///
/// # Errors
/// As [`ServeError`] says.
pub async fn run(config: Config) -> Result<(), ServeError> {
    let listener = listen(config.port).await?;
    let stop = stop_signal()?;
    let address = listener.local_addr().map_err(ServeError::Serve)?;
    let upstream = config
        .upstream
        .as_ref()
        .map_or("none".to_owned(), |upstream| upstream.text());
    tracing::info!(port = address.port(), upstream, "listening");
    let (draining, drained) = tokio::sync::oneshot::channel();
    let shutdown = async move {
        stop.await;
        tracing::info!("draining");
        // The receiver is gone only when the process ends.
        let _ = draining.send(());
    };
    let service = router(App::new(config)).into_make_service_with_connect_info::<SocketAddr>();
    let serve = axum::serve(listener, service).with_graceful_shutdown(shutdown);
    let overdue = async {
        if drained.await.is_err() {
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

/// Listens on all addresses of both families, or of one where IPv6 is off.
async fn listen(port: u16) -> Result<TcpListener, ServeError> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    if let Ok(listener) = TcpListener::bind(both).await {
        return Ok(listener);
    }
    let four = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    TcpListener::bind(four)
        .await
        .map_err(|cause| ServeError::Listen(port, cause))
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
