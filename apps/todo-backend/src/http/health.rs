//! Probes: is the process alive, may it get traffic, how is its database.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use super::AppState;
use crate::time;

/// `GET /health`: the process answers. The database is not asked: a database
/// that is away must not restart pods.
pub async fn health() -> Json<serde_json::Value> {
    Json(json!({"status": "healthy"}))
}

/// `GET /ready`: may this pod get traffic.
pub async fn ready(State(state): State<AppState>) -> Response {
    if state.draining() {
        return not_ready("draining");
    }
    match state.database().ping().await {
        Ok(()) => Json(json!({"status": "ready"})).into_response(),
        Err(error) => not_ready(&error.to_string()),
    }
}

fn not_ready(reason: &str) -> Response {
    let body = Json(json!({"status": "not_ready", "reason": reason}));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

/// `GET /api/health`: one path for all three probes. It fails until the
/// database answered for the first time (a cold start has its budget), and
/// reports `degraded` with 200 when the database goes away later.
pub async fn api_health(State(state): State<AppState>) -> Response {
    let connected = state.database().ping().await.is_ok();
    let started = state.database().was_connected();
    let body = json!({
        "status": if connected { "healthy" } else { "degraded" },
        "timestamp": time::text(time::now()),
        "version": env!("CARGO_PKG_VERSION"),
        "database": if connected { "connected" } else { "disconnected" },
        "pod": state.config().pod,
    });
    let status = if started {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body)).into_response()
}
