//! The HTTP surface: the table of routes and what all of them share.

mod accounts;
mod chat;
mod effective;
pub mod error;
mod guard;
mod health;
mod input;
pub mod limit;
pub mod metrics;
mod notifications;
mod observe;
mod openapi;
mod resets;
pub mod tasks;
mod uploads;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{delete, get, patch, post};
use http::Uri;

use crate::auth::jwt::Keys;
use crate::config::Config;
use crate::db::Database;
use error::ApiError;

/// Longest body of a request that is no upload.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What every handler may use.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    settings: RwLock<Settings>,
    database: Database,
    metrics: metrics::Metrics,
    limiter: limit::Limiter,
    draining: AtomicBool,
    tasks_changed: tokio::sync::Notify,
}

/// The part that SIGHUP replaces.
#[derive(Clone)]
struct Settings {
    config: Arc<Config>,
    keys: Arc<Keys>,
}

impl Settings {
    fn new(config: Config) -> Self {
        Self {
            keys: Arc::new(Keys::new(&config)),
            config: Arc::new(config),
        }
    }
}

impl AppState {
    /// Returns the state of a process.
    pub fn new(config: Config, database: Database) -> Self {
        Self(Arc::new(Inner {
            settings: RwLock::new(Settings::new(config)),
            database,
            metrics: metrics::Metrics::default(),
            limiter: limit::Limiter::default(),
            draining: AtomicBool::new(false),
            tasks_changed: tokio::sync::Notify::new(),
        }))
    }

    fn settings(&self) -> Settings {
        self.0
            .settings
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the configuration of this moment.
    pub fn config(&self) -> Arc<Config> {
        self.settings().config
    }

    /// Returns the token keys of this moment.
    pub fn keys(&self) -> Arc<Keys> {
        self.settings().keys
    }

    /// Replaces configuration and keys.
    pub fn reload(&self, config: Config) {
        *self
            .0
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Settings::new(config);
    }

    /// Returns the database.
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// Returns the counters.
    pub fn metrics(&self) -> &metrics::Metrics {
        &self.0.metrics
    }

    /// Returns the request limiter.
    pub fn limiter(&self) -> &limit::Limiter {
        &self.0.limiter
    }

    /// Wakes the reminders when tasks changed here.
    pub fn tasks_changed(&self) -> &tokio::sync::Notify {
        &self.0.tasks_changed
    }

    /// Makes `/ready` answer no.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the process is about to end.
    pub fn draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }
}

/// Returns the whole API.
pub fn router(state: AppState) -> Router {
    let limited = Router::new()
        .merge(account_routes())
        .merge(task_routes())
        .merge(chat_routes())
        .merge(other_routes())
        .fallback(nothing_here)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .merge(upload_routes().method_not_allowed_fallback(method_not_allowed))
        .layer(from_fn_with_state(state.clone(), limit::limit))
        .layer(from_fn_with_state(state.clone(), guard::same_origin));
    probe_routes()
        .method_not_allowed_fallback(method_not_allowed)
        .merge(limited)
        .layer(from_fn_with_state(state.clone(), guard::cors))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .layer(from_fn(observe::request_id))
        .with_state(state)
}

/// A path of the API with a slash too many leads to the one without, as the
/// applications that this one follows have it; the method stays.
async fn nothing_here(uri: Uri) -> Response {
    let bare = uri.path().trim_end_matches('/');
    if bare == uri.path() || !bare.starts_with("/api/") {
        return ApiError::not_found().into_response();
    }
    let place = match uri.query() {
        Some(query) => format!("{bare}?{query}"),
        None => bare.to_owned(),
    };
    Redirect::temporary(&place).into_response()
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(
        http::StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path does not answer to this method",
    )
}

/// Probes and metrics are asked often and by machines: no limit, no origin.
fn probe_routes() -> Router<AppState> {
    Router::new()
        .route("/health", get(health::health))
        .route("/live", get(health::health))
        .route("/health/live", get(health::health))
        .route("/ready", get(health::ready))
        .route("/health/ready", get(health::ready))
        .route("/api/health", get(health::api_health))
        .route("/metrics", get(metrics::show))
}

fn account_routes() -> Router<AppState> {
    let mut router = Router::new()
        .route("/api/auth/session", get(accounts::session))
        .route("/api/auth/jwks", get(accounts::jwks))
        .route("/api/auth/forgot-password", post(resets::forgot))
        .route("/api/auth/reset-password", post(resets::reset))
        .route(
            "/api/users/me",
            get(accounts::profile).patch(accounts::update_profile),
        );
    for path in ["/api/auth/signup", "/api/auth/register"] {
        router = router.route(path, post(accounts::sign_up));
    }
    for path in ["/api/auth/signin", "/api/auth/login"] {
        router = router.route(path, post(accounts::sign_in));
    }
    for path in ["/api/auth/signout", "/api/auth/logout"] {
        router = router.route(path, post(accounts::sign_out));
    }
    router
}

/// The canonical paths and the spellings of the applications this one follows.
const TASK_ROOTS: [&str; 3] = ["/api/{user_id}/tasks", "/api/tasks", "/api/v1/todos"];

fn task_routes() -> Router<AppState> {
    let mut router = Router::new()
        .route("/api/{user_id}/stats", get(tasks::stats))
        .route("/api/stats", get(tasks::stats));
    for root in TASK_ROOTS {
        let list = if root == TASK_ROOTS[0] {
            get(tasks::list_bare)
        } else {
            get(tasks::list)
        };
        let one = get(tasks::read)
            .put(tasks::update)
            .patch(tasks::update)
            .delete(tasks::delete);
        router = router
            .route(root, list.post(tasks::create))
            .route(&format!("{root}/{{id}}"), one);
        for verb in ["complete", "toggle", "toggle-complete"] {
            router = router.route(
                &format!("{root}/{{id}}/{verb}"),
                patch(tasks::toggle).post(tasks::toggle),
            );
        }
    }
    router
}

fn chat_routes() -> Router<AppState> {
    let mut router = Router::new();
    for path in ["/api/{user_id}/chat", "/api/chat", "/api/v1/chat"] {
        router = router.route(path, post(chat::chat));
    }
    for root in [
        "/api/{user_id}/conversations",
        "/api/conversations",
        "/api/chat/conversations",
    ] {
        let one = format!("{root}/{{cid}}");
        router = router
            .route(root, get(chat::conversations))
            .route(&format!("{one}/messages"), get(chat::messages))
            .route(&one, get(chat::messages).delete(chat::forget));
    }
    router
}

fn other_routes() -> Router<AppState> {
    Router::new()
        .route("/api/notifications", get(notifications::list))
        .route(
            "/api/notifications/{nid}/read",
            patch(notifications::mark_read),
        )
        .route(
            "/api/notifications/mark-all-read",
            post(notifications::mark_all),
        )
        .route("/api/config/effective", get(effective::show))
        .route("/api/dev/outbox", get(resets::outbox))
        .route("/api/openapi.json", get(openapi::document))
        .route("/api/docs", get(openapi::page))
}

/// Routes whose bodies are files.
fn upload_routes() -> Router<AppState> {
    let mut router = Router::new()
        .route("/api/users/me/avatar", post(uploads::avatar))
        .route("/uploads/{*path}", get(uploads::serve));
    for root in TASK_ROOTS {
        let list = format!("{root}/{{id}}/attachments");
        router = router
            .route(&format!("{list}/{{aid}}"), delete(uploads::detach))
            .route(&list, get(uploads::list).post(uploads::attach));
    }
    // Room for the form around the file; the file itself is measured later.
    router.layer(DefaultBodyLimit::max(
        crate::storage::FILE_BYTES_MAX + BODY_BYTES_MAX,
    ))
}
