//! The assistant over HTTP: a turn at once or as a stream, and what was said.

use std::convert::Infallible;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::AppState;
use super::error::ApiError;
use super::input::Body as JsonBody;
use crate::auth::caller::Owner;
use crate::chat::{self, Event, Listener, MESSAGE_CHARS_MAX, TurnError};
use crate::model::conversations;

/// `POST /api/{user_id}/chat`.
pub async fn chat(
    State(state): State<AppState>,
    owner: Owner,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let message = body.text("message", 1, MESSAGE_CHARS_MAX)?;
    let conversation = match body.0.get("conversation_id") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let id = value.as_i64().or_else(|| value.as_str()?.parse().ok());
            Some(id.ok_or_else(|| ApiError::invalid("conversation_id must be a number"))?)
        }
    };
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/event-stream")) {
        return Ok(stream(state, owner.id, conversation, message));
    }
    // The turn goes on when the client leaves: its deeds belong in the record.
    let task = tokio::spawn(crate::log::same_request(async move {
        chat::turn(&state, &owner.id, conversation, &message, &Listener(None)).await
    }));
    let answer = task.await.map_err(|_| internal())?;
    Ok(Json(answer.map_err(refused)?).into_response())
}

fn internal() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal_error",
        "something went wrong on our side",
    )
}

fn refused(error: TurnError) -> ApiError {
    match error {
        TurnError::NotFound => ApiError::not_found(),
        TurnError::Unavailable => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "llm_unavailable",
            error.to_string(),
        )
        .retry_after(5),
        TurnError::Database(error) => error.into(),
    }
}

fn stream(
    state: AppState,
    user_id: String,
    conversation: Option<i64>,
    message: String,
) -> Response {
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(crate::log::same_request(async move {
        let listener = Listener(Some(sender.clone()));
        let outcome = chat::turn(&state, &user_id, conversation, &message, &listener).await;
        let last = match outcome {
            Ok(answer) => Event::Done(answer),
            Err(error @ TurnError::NotFound) => Event::Failed("not_found", error.to_string()),
            Err(error @ TurnError::Unavailable) => {
                Event::Failed("llm_unavailable", error.to_string())
            }
            Err(TurnError::Database(error)) => {
                tracing::error!("{error}");
                Event::Failed(
                    "database_unavailable",
                    "the database cannot be reached, try again".to_owned(),
                )
            }
        };
        // A listener that left is no reason to stop.
        let _ = sender.send(last);
    }));
    let body = Body::from_stream(events(receiver).map(Ok::<_, Infallible>));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that buffer would hold the words back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn events(receiver: UnboundedReceiver<Event>) -> impl futures::Stream<Item = Bytes> {
    futures::stream::unfold(receiver, |mut receiver| async move {
        let event = receiver.recv().await?;
        Some((wire(&event), receiver))
    })
}

fn wire(event: &Event) -> Bytes {
    let (name, data) = match event {
        Event::Token(text) => ("token", json!({"text": text})),
        Event::ToolCall(call) => ("tool_call", call.clone()),
        Event::Done(answer) => ("done", answer.clone()),
        Event::Failed(code, detail) => ("error", json!({"error_code": code, "detail": detail})),
    };
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// `GET /api/{user_id}/conversations`.
pub async fn conversations(
    State(state): State<AppState>,
    owner: Owner,
) -> Result<Json<Vec<Value>>, ApiError> {
    Ok(Json(
        conversations::list(state.database(), &owner.id).await?,
    ))
}

/// `GET /api/{user_id}/conversations/{cid}/messages`.
pub async fn messages(
    State(state): State<AppState>,
    owner: Owner,
) -> Result<Json<Vec<Value>>, ApiError> {
    let id = owner.number("cid")?;
    let found = conversations::messages(state.database(), &owner.id, id, 1000).await?;
    let found = found.ok_or_else(ApiError::not_found)?;
    Ok(Json(
        found.iter().map(conversations::Message::json).collect(),
    ))
}

/// `DELETE /api/{user_id}/conversations/{cid}`.
pub async fn forget(State(state): State<AppState>, owner: Owner) -> Result<StatusCode, ApiError> {
    if conversations::delete(state.database(), &owner.id, owner.number("cid")?).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found())
}
