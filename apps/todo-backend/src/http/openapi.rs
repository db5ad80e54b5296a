//! The OpenAPI 3.1 document and a page that shows it, in development only.

use axum::Json;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::AppState;
use super::error::ApiError;

/// Method, path, whether a token is needed, what it does.
pub const OPERATIONS: &[(&str, &str, bool, &str)] = &[
    ("get", "/health", false, "The process answers"),
    ("get", "/live", false, "The same as /health"),
    ("get", "/ready", false, "May this pod get traffic"),
    (
        "get",
        "/api/health",
        false,
        "Health with the state of the database",
    ),
    ("get", "/metrics", false, "Counters for Prometheus"),
    ("post", "/api/auth/signup", false, "Make an account"),
    ("post", "/api/auth/signin", false, "Begin a session"),
    (
        "post",
        "/api/auth/signout",
        true,
        "End the session of the cookie",
    ),
    ("get", "/api/auth/session", true, "Who is signed in"),
    (
        "post",
        "/api/auth/forgot-password",
        false,
        "Send a link for a new password",
    ),
    (
        "post",
        "/api/auth/reset-password",
        false,
        "Set a new password",
    ),
    ("get", "/api/auth/jwks", false, "Public keys; none for HMAC"),
    ("get", "/api/users/me", true, "The profile"),
    ("patch", "/api/users/me", true, "Change name and choices"),
    ("post", "/api/users/me/avatar", true, "Upload a picture"),
    ("get", "/api/{user_id}/tasks", true, "List tasks"),
    ("post", "/api/{user_id}/tasks", true, "Make a task"),
    ("get", "/api/{user_id}/tasks/{id}", true, "Read a task"),
    ("put", "/api/{user_id}/tasks/{id}", true, "Change a task"),
    ("patch", "/api/{user_id}/tasks/{id}", true, "Change a task"),
    ("delete", "/api/{user_id}/tasks/{id}", true, "Delete a task"),
    (
        "patch",
        "/api/{user_id}/tasks/{id}/complete",
        true,
        "Turn done into not done and back",
    ),
    (
        "get",
        "/api/{user_id}/tasks/{id}/attachments",
        true,
        "List files",
    ),
    (
        "post",
        "/api/{user_id}/tasks/{id}/attachments",
        true,
        "Attach a file",
    ),
    (
        "delete",
        "/api/{user_id}/tasks/{id}/attachments/{aid}",
        true,
        "Remove a file",
    ),
    ("get", "/api/{user_id}/stats", true, "Count tasks"),
    (
        "post",
        "/api/{user_id}/chat",
        true,
        "Talk with the assistant; text/event-stream streams",
    ),
    (
        "get",
        "/api/{user_id}/conversations",
        true,
        "List conversations",
    ),
    (
        "get",
        "/api/{user_id}/conversations/{cid}/messages",
        true,
        "Read a conversation",
    ),
    (
        "delete",
        "/api/{user_id}/conversations/{cid}",
        true,
        "Delete a conversation",
    ),
    (
        "get",
        "/api/notifications",
        true,
        "Reminders, and what is due today",
    ),
    (
        "patch",
        "/api/notifications/{nid}/read",
        true,
        "Mark a notification read",
    ),
    (
        "post",
        "/api/notifications/mark-all-read",
        true,
        "Mark all read",
    ),
    (
        "get",
        "/api/config/effective",
        true,
        "Every key, its origin and effect",
    ),
    (
        "get",
        "/api/dev/outbox",
        true,
        "Mails of the console provider",
    ),
];

/// `GET /api/openapi.json`.
pub async fn document(State(state): State<AppState>) -> Result<Json<Value>, ApiError> {
    if state.config().production() {
        return Err(ApiError::not_found());
    }
    Ok(Json(openapi()))
}

/// `GET /api/docs`.
pub async fn page(State(state): State<AppState>) -> Result<Response, ApiError> {
    if state.config().production() {
        return Err(ApiError::not_found());
    }
    let rows: String = OPERATIONS
        .iter()
        .map(|(method, path, token, text)| {
            let token = if *token { "token" } else { "open" };
            format!(
                "<tr><td><b>{}</b><td><code>{path}</code><td>{token}<td>{text}",
                method.to_uppercase()
            )
        })
        .collect();
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=color-scheme content='light dark'>\
         <title>Todo API</title><h1>Todo API</h1>\
         <p>Machine-readable: <a href=/api/openapi.json>openapi.json</a></p>\
         <table><tr><th>Method<th>Path<th>Needs<th>Does{rows}</table>"
    );
    Ok(Html(page).into_response())
}

fn openapi() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (method, path, token, text) in OPERATIONS {
        let entry = paths.entry((*path).to_owned()).or_insert_with(|| json!({}));
        entry[*method] = operation(method, path, *token, text);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Todo API", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": schemas(),
        },
    })
}

fn operation(method: &str, path: &str, token: bool, text: &str) -> Value {
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<Value> = names
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let mut operation = json!({
        "summary": text,
        "parameters": parameters,
        "responses": {
            "2XX": {"description": "Done"},
            "4XX": {"description": "Refused", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
        },
    });
    if token {
        operation["security"] = json!([{"bearer": []}]);
    }
    let schema = match (method, path) {
        ("post" | "put" | "patch", path)
            if path.ends_with("/tasks") || path.ends_with("/tasks/{id}") =>
        {
            Some("TaskInput")
        }
        (_, path) if path.ends_with("/chat") => Some("ChatInput"),
        ("post", "/api/auth/signup" | "/api/auth/signin") => Some("Credentials"),
        _ => None,
    };
    if let Some(schema) = schema {
        let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    operation
}

fn schemas() -> Value {
    let text = |most: u32| json!({"type": "string", "maxLength": most});
    json!({
        "Error": {"type": "object", "properties": {
            "detail": {"type": "string"}, "error_code": {"type": "string"},
            "timestamp": {"type": "string", "format": "date-time"}}},
        "Credentials": {"type": "object", "required": ["email", "password"], "properties": {
            "email": {"type": "string", "format": "email"},
            "password": {"type": "string", "minLength": 8, "maxLength": 100}, "name": text(100)}},
        "TaskInput": {"type": "object", "properties": {
            "title": text(200), "description": text(1000), "completed": {"type": "boolean"},
            "priority": {"enum": ["low", "medium", "high", "urgent"]},
            "due_date": {"type": ["string", "null"], "format": "date-time"},
            "tags": {"type": "array", "maxItems": 10, "items": text(50)},
            "recurrence": {"type": ["object", "string", "null"], "properties": {
                "frequency": {"enum": ["daily", "weekly", "monthly"]}, "interval": {"type": "integer"},
                "days_of_week": {"type": "array", "items": {"type": "integer"}},
                "day_of_month": {"type": "integer"}}},
            "reminders": {"type": "array", "maxItems": 5, "items": {"type": ["object", "string"], "properties": {
                "before": {"type": "string"}, "channel": {"enum": ["push", "email"]}}}}}},
        "ChatInput": {"type": "object", "required": ["message"], "properties": {
            "message": text(2000), "conversation_id": {"type": ["integer", "null"]}}},
    })
}
