//! The MCP server: the six tools for other programs, on a port of its own.
//!
//! Streamable HTTP without sessions and without a stream of its own
//! (https://modelcontextprotocol.io/specification/2025-11-25/basic/transports).
//! A token is needed; the user it names is the only one there is. Names in
//! `Host` are checked, so that a web page cannot reach it by DNS rebinding.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use crate::auth::caller::Caller;
use crate::chat::tools::{TOOLS, ToolError, Toolbox};
use crate::http::AppState;
use crate::http::error::ApiError;

/// Revisions of the protocol that are spoken, newest first.
const REVISIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

/// Returns the MCP server.
pub fn router(state: AppState) -> Router {
    let guarded = Router::new()
        .route("/mcp", post(call).fallback(no_stream))
        .layer(from_fn_with_state(state.clone(), known_host));
    Router::new()
        .route(
            "/healthz",
            get(|| async { Json(json!({"status": "healthy"})) }),
        )
        .merge(guarded)
        .with_state(state)
}

/// There is no stream to open and no session to delete.
async fn no_stream() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [("allow", "POST")]).into_response()
}

async fn known_host(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match refusal(&state, request.headers()) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    }
}

fn refusal(state: &AppState, headers: &HeaderMap) -> Option<ApiError> {
    let config = state.config();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    if !is_known(host, &config.mcp_hosts) {
        let detail = "this host name is not known here; list it in MCP_ALLOWED_HOSTS";
        return Some(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown_host",
            detail,
        ));
    }
    let foreign = text(ORIGIN).is_some_and(|origin| {
        let lower = origin.to_ascii_lowercase();
        let host = lower.split_once("://").map_or("", |(_, host)| host);
        !config.origins.contains(&lower) && !is_near(host_name(host))
    });
    if foreign {
        let detail = "this origin is not known here";
        return Some(ApiError::new(
            StatusCode::FORBIDDEN,
            "origin_refused",
            detail,
        ));
    }
    None
}

/// Names that no outsider can point at us: addresses, this machine, and names
/// that only the cluster's DNS knows.
fn is_known(host: &str, listed: &[String]) -> bool {
    let name = host_name(host).to_ascii_lowercase();
    is_near(&name)
        || (!name.is_empty() && !name.contains('.'))
        || name.ends_with(".svc")
        || name.ends_with(".svc.cluster.local")
        || is_service(&name)
        || listed.contains(&name)
}

fn is_near(name: &str) -> bool {
    name == "localhost"
        || name.ends_with(".localhost")
        || name
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok()
}

/// `<service>.<namespace>` as pods may write it: known when the namespace is
/// ours, which the first search domain of resolv.conf tells.
fn is_service(name: &str) -> bool {
    let Some((_, namespace)) = name.split_once('.') else {
        return false;
    };
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    own_namespace(&text).is_some_and(|own| own == namespace)
}

fn own_namespace(resolv_conf: &str) -> Option<&str> {
    let search = resolv_conf
        .lines()
        .find_map(|line| line.strip_prefix("search "))?;
    search
        .split_whitespace()
        .find_map(|domain| domain.strip_suffix(".svc.cluster.local"))
}

fn host_name(host: &str) -> &str {
    match host.rfind(':') {
        Some(place) if !host.ends_with(']') => host.get(..place).unwrap_or(host),
        _ => host,
    }
}

/// `POST /mcp`.
async fn call(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(revision) = headers.get("mcp-protocol-version") {
        let known = revision
            .to_str()
            .is_ok_and(|one| one >= "2024-11-05" && one.len() == 10);
        if !known {
            return (
                StatusCode::BAD_REQUEST,
                Json(failure(&Value::Null, -32600, "unknown protocol version")),
            )
                .into_response();
        }
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return (
            StatusCode::BAD_REQUEST,
            Json(failure(&Value::Null, -32700, "no JSON")),
        )
            .into_response();
    };
    let answers = match message {
        Value::Array(messages) if messages.is_empty() || messages.len() > 50 => {
            return (
                StatusCode::BAD_REQUEST,
                Json(failure(&Value::Null, -32600, "an unfit batch")),
            )
                .into_response();
        }
        Value::Array(messages) => {
            let mut answers = Vec::new();
            for message in messages {
                answers.extend(answer(&state, &caller, &message).await);
            }
            (!answers.is_empty()).then_some(Value::Array(answers))
        }
        single => answer(&state, &caller, &single).await,
    };
    match answers {
        Some(answers) => Json(answers).into_response(),
        None => StatusCode::ACCEPTED.into_response(),
    }
}

/// Answers one message; notifications and answers get none.
async fn answer(state: &AppState, caller: &Caller, message: &Value) -> Option<Value> {
    let method = message["method"].as_str();
    let id = match (message.get("id"), method) {
        (_, None) if message.get("result").is_some() || message.get("error").is_some() => {
            return None;
        }
        (id, None) => return Some(failure(id.unwrap_or(&Value::Null), -32600, "no method")),
        (None, Some(_)) => return None,
        (Some(id), Some(_)) => id,
    };
    let parameters = message.get("params").cloned().unwrap_or_default();
    Some(match method.unwrap_or_default() {
        "initialize" => success(id, initialize(state, &parameters)),
        "ping" => success(id, json!({})),
        "tools/list" => success(id, json!({"tools": tools()})),
        "tools/call" => match use_tool(state, caller, &parameters).await {
            Ok(result) => success(id, result),
            Err((code, text)) => failure(id, code, &text),
        },
        other => failure(id, -32601, &format!("there is no method {other:?}")),
    })
}

fn success(id: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn failure(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

fn initialize(state: &AppState, parameters: &Value) -> Value {
    let asked = parameters["protocolVersion"].as_str().unwrap_or_default();
    let revision = REVISIONS
        .iter()
        .find(|one| **one == asked)
        .unwrap_or(&REVISIONS[0]);
    json!({
        "protocolVersion": revision,
        "capabilities": {"tools": {"listChanged": false}},
        "serverInfo": {"name": state.config().mcp_name, "version": env!("CARGO_PKG_VERSION")},
        "instructions": "Tools for the tasks of the user whose token is sent.",
    })
}

fn tools() -> Vec<Value> {
    TOOLS
        .iter()
        .map(|tool| {
            let mut schema = tool.schema();
            // Accepted for compatibility; it must be the user of the token.
            schema["properties"]["user_id"] = json!({"type": "string"});
            json!({
                "name": tool.name,
                "description": tool.description,
                "inputSchema": schema,
                "annotations": {"readOnlyHint": tool.reads_only, "destructiveHint": tool.name == "delete_task"},
            })
        })
        .collect()
}

async fn use_tool(
    state: &AppState,
    caller: &Caller,
    parameters: &Value,
) -> Result<Value, (i64, String)> {
    let name = parameters["name"].as_str().unwrap_or_default();
    if !TOOLS.iter().any(|tool| tool.name == name) {
        return Err((-32602, format!("there is no tool {name:?}")));
    }
    let mut arguments: Map<String, Value> = match parameters.get("arguments") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(object)) => object.clone(),
        Some(_) => return Err((-32602, "arguments must be an object".to_owned())),
    };
    match arguments.remove("user_id") {
        Some(user) if user != caller.id.as_str() => {
            return Ok(tool_error("user_id is not the user of the token"));
        }
        _ => {}
    }
    let mut toolbox = Toolbox::new(state.database().clone(), &caller.id, "UTC");
    match toolbox.run(name, &arguments).await {
        Ok(result) => {
            let structured = if result.is_array() {
                json!({"tasks": result})
            } else {
                result.clone()
            };
            Ok(json!({
                "content": [{"type": "text", "text": result.to_string()}],
                "structuredContent": structured,
                "isError": false,
            }))
        }
        Err(ToolError::Invalid(text)) => Ok(tool_error(&text)),
        Err(ToolError::Database(error)) => {
            tracing::error!("{error}");
            Err((-32603, "the database cannot be reached".to_owned()))
        }
    }
}

fn tool_error(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": true})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_answered() {
        let listed = ["mcp.example.com".to_owned()];
        let check =
            |host: &str, expected: bool| assert_eq!(is_known(host, &listed), expected, "{host}");
        check("localhost:8001", true);
        check("127.0.0.1:8001", true);
        check("[::1]:8001", true);
        check("10.42.0.7:8001", true);
        check("backend-service:8001", true);
        check("backend-service.todo-app.svc.cluster.local:8001", true);
        check("backend-service.todo-app.svc", true);
        check("mcp.example.com", true);
        check("evil.example.com:8001", false);
        check("", false);
        let pod = "search todo-app.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.43.0.10\n";
        assert_eq!(own_namespace(pod), Some("todo-app"));
        assert_eq!(
            own_namespace("nameserver 1.1.1.1\nsearch example.com\n"),
            None
        );
    }
}
