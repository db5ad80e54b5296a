//! A provider of chat completions: OpenAI, and Gemini and Cohere by their
//! compatible interfaces. One client, three addresses.

mod round;

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Map, Value as Json, json};

pub use round::{Round, Stream, whole};

use round::{Wish, wishes_message};

use super::tools::{TOOLS, ToolError, Toolbox};
use super::{Listener, ROUNDS_MAX, Reply};
use crate::config::Provider;
use crate::model::conversations::Message;
use crate::net::client;

/// Why a provider gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It took too long.
    #[error("no answer in time")]
    Slow,
    /// There was no connection, or it broke.
    #[error("not reachable")]
    Away(#[from] client::ClientError),
    /// It said no.
    #[error("answered with status {0}")]
    Status(u16),
    /// It said something that is no chat completion.
    #[error("answered with something else than a completion: {0}")]
    Malformed(String),
    /// The database did not do its part in a tool.
    #[error(transparent)]
    Database(#[from] crate::db::DbError),
}

/// Talks with a provider until it has an answer.
///
/// # Errors
/// As [`ProviderError`] says; what tools did stays in the toolbox.
pub async fn converse(
    provider: &Provider,
    toolbox: &mut Toolbox,
    history: &[Message],
    message: &str,
    listener: &Listener,
    limit: Duration,
) -> Result<Reply, ProviderError> {
    let mut messages = opening(toolbox, history, message);
    if history.last().is_some_and(asked_to_confirm) && is_yes(message) {
        toolbox.confirm();
    }
    for round in 0..=ROUNDS_MAX {
        let body = request_body(provider, &messages, round < ROUNDS_MAX, listener.streams());
        let answer = post(provider, &body, limit).await?;
        let found = read_round(answer, listener).await?;
        if found.wishes.is_empty() {
            if found.text.trim().is_empty() {
                return Err(ProviderError::Malformed("an empty answer".to_owned()));
            }
            return Ok(Reply {
                text: found.text,
                tool_calls: toolbox.calls().to_vec(),
                provider: provider.name,
                model: provider.model.clone(),
            });
        }
        messages.push(wishes_message(&found));
        for wish in &found.wishes {
            let result = grant(toolbox, wish, listener).await?;
            messages.push(
                json!({"role": "tool", "tool_call_id": wish.id, "content": result.to_string()}),
            );
        }
    }
    Err(ProviderError::Malformed(
        "more rounds of tools than allowed".to_owned(),
    ))
}

fn asked_to_confirm(message: &Message) -> bool {
    message.role == "assistant" && message.content.trim_end().ends_with(['?', '؟'])
}

fn is_yes(message: &str) -> bool {
    let word = message.trim().to_lowercase();
    [
        "yes", "y", "ok", "sure", "confirm", "do it", "haan", "ji", "ہاں", "جی",
    ]
    .iter()
    .any(|yes| {
        word == *yes || word.starts_with(&format!("{yes} ")) || word.starts_with(&format!("{yes},"))
    })
}

fn opening(toolbox: &Toolbox, history: &[Message], message: &str) -> Vec<Json> {
    let zone = toolbox.zone();
    let today = jiff::Timestamp::now().to_zoned(zone);
    let system = format!(
        "You help a person with their tasks through the tools you have. Never claim to have done \
         something that no tool did. To act on a task known by name, list the tasks first; when \
         several fit, ask which one is meant. Before deleting more than one task, ask. Answer in \
         the language of the person, in one or two short sentences. Now it is {}.",
        today.strftime("%A %Y-%m-%d %H:%M %Z")
    );
    let mut messages = vec![json!({"role": "system", "content": system})];
    let said = history.iter().filter(|message| !message.content.is_empty());
    messages.extend(said.map(|said| json!({"role": said.role, "content": said.content})));
    messages.push(json!({"role": "user", "content": message}));
    messages
}

fn request_body(provider: &Provider, messages: &[Json], with_tools: bool, stream: bool) -> Json {
    let mut body = json!({"model": provider.model, "messages": messages});
    if with_tools {
        let tools = TOOLS.iter().map(|tool| {
            let function = json!({
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.schema(),
            });
            json!({"type": "function", "function": function})
        });
        body["tools"] = tools.collect();
    }
    if stream {
        // No `stream_options`: Cohere refuses a request that has it.
        body["stream"] = true.into();
    }
    body
}

async fn post(
    provider: &Provider,
    body: &Json,
    limit: Duration,
) -> Result<Response<Incoming>, ProviderError> {
    let request = Request::post(format!("{}/chat/completions", provider.base_url))
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Bearer {}", provider.key.reveal()))
        .body(Bytes::from(body.to_string()))
        .map_err(|_| client::ClientError::Address(provider.base_url.clone()))?;
    let answer = client::send(request, limit).await?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    Err(ProviderError::Status(answer.status().as_u16()))
}

async fn read_round(
    answer: Response<Incoming>,
    listener: &Listener,
) -> Result<Round, ProviderError> {
    let kind = answer
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
        return read_stream(answer.into_body(), listener).await;
    }
    let bytes = client::read(answer.into_body())
        .await
        .map_err(ProviderError::Malformed)?;
    let round = whole(&bytes)?;
    if round.wishes.is_empty() {
        listener.token(&round.text);
    }
    Ok(round)
}

async fn read_stream(mut body: Incoming, listener: &Listener) -> Result<Round, ProviderError> {
    let mut stream = Stream::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ProviderError::Malformed(error.to_string()))?;
        if let Ok(bytes) = frame.into_data() {
            stream.feed(&bytes, listener)?;
        }
    }
    stream.finish()
}

/// Runs a tool; a refusal goes back to the model, which may do better.
async fn grant(
    toolbox: &mut Toolbox,
    wish: &Wish,
    listener: &Listener,
) -> Result<Json, ProviderError> {
    let text = if wish.arguments.trim().is_empty() {
        "{}"
    } else {
        &wish.arguments
    };
    let Ok(mut arguments) = serde_json::from_str::<Map<String, Json>>(text) else {
        return Ok(json!({"error": "the arguments are no JSON object"}));
    };
    // The user is who signed in, whatever the model believes.
    arguments.remove("user_id");
    match toolbox.run(&wish.name, &arguments).await {
        Ok(result) => {
            if let Some(call) = toolbox.calls().last() {
                listener.tool_call(call);
            }
            Ok(result)
        }
        Err(ToolError::Invalid(reason)) => Ok(json!({"error": reason})),
        Err(ToolError::Database(error)) => Err(error.into()),
    }
}
