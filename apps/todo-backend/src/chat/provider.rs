//! A provider of chat completions: OpenAI, and Gemini and Cohere by their
//! compatible interfaces. One client, three addresses.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Map, Value as Json, json};

use super::sse::Decoder;
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

/// Longest text that a round may bring, in bytes: several times what is kept
/// of an answer.
const ROUND_BYTES_MAX: usize = 256 * 1024;
/// Most tools that a round may wish for.
const WISHES_MAX: usize = 16;

/// One round: words, or wishes to use tools.
#[derive(Debug, Default)]
pub struct Round {
    text: String,
    wishes: Vec<Wish>,
}

/// A tool that the model wants to use.
#[derive(Debug, Default)]
struct Wish {
    id: String,
    name: String,
    arguments: String,
}

/// A round that comes in pieces.
#[derive(Default)]
pub struct Stream {
    decoder: Decoder,
    round: Round,
    ended: bool,
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

/// Reads a completion that came in one piece.
///
/// # Errors
/// When it is no chat completion.
pub fn whole(bytes: &[u8]) -> Result<Round, ProviderError> {
    let malformed = |text: &str| ProviderError::Malformed(text.to_owned());
    let body: Json = serde_json::from_slice(bytes).map_err(|_| malformed("no JSON"))?;
    let message = body
        .pointer("/choices/0/message")
        .ok_or_else(|| malformed("no message"))?;
    let mut round = Round {
        text: message["content"].as_str().unwrap_or_default().to_owned(),
        wishes: Vec::new(),
    };
    let calls = message["tool_calls"].as_array();
    for call in calls.into_iter().flatten().take(WISHES_MAX) {
        round.wishes.push(Wish {
            id: call["id"].as_str().unwrap_or_default().to_owned(),
            name: call
                .pointer("/function/name")
                .and_then(Json::as_str)
                .unwrap_or_default()
                .to_owned(),
            arguments: arguments_text(call.pointer("/function/arguments")),
        });
    }
    Ok(round)
}

/// Arguments are JSON in text; some send the JSON itself.
fn arguments_text(value: Option<&Json>) -> String {
    match value {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
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

impl Stream {
    /// Takes a piece; words in it go to the listener at once.
    ///
    /// # Errors
    /// When the round has grown beyond all measure.
    pub fn feed(&mut self, bytes: &[u8], listener: &Listener) -> Result<(), ProviderError> {
        for payload in self.decoder.feed(bytes) {
            self.ended |= payload == "[DONE]";
            if let Ok(chunk) = serde_json::from_str::<Json>(&payload) {
                add_chunk(&mut self.round, &chunk, listener);
                self.ended |= chunk
                    .pointer("/choices/0/finish_reason")
                    .is_some_and(|reason| !reason.is_null());
            }
        }
        let wished = self.round.wishes.iter().map(|wish| wish.arguments.len());
        if self.round.text.len() + wished.sum::<usize>() > ROUND_BYTES_MAX {
            return Err(ProviderError::Malformed("far too long".to_owned()));
        }
        Ok(())
    }

    /// Returns the round.
    ///
    /// # Errors
    /// When the stream ended before the round did.
    pub fn finish(self) -> Result<Round, ProviderError> {
        if self.ended {
            Ok(self.round)
        } else {
            Err(ProviderError::Malformed("the stream broke off".to_owned()))
        }
    }
}

fn add_chunk(round: &mut Round, chunk: &Json, listener: &Listener) {
    let Some(delta) = chunk.pointer("/choices/0/delta") else {
        return;
    };
    if let Some(text) = delta["content"].as_str().filter(|text| !text.is_empty()) {
        round.text.push_str(text);
        listener.token(text);
    }
    for call in delta["tool_calls"].as_array().into_iter().flatten() {
        let next = round.wishes.len();
        let place = call["index"]
            .as_u64()
            .map_or(next, |index| index as usize)
            .min(WISHES_MAX - 1);
        while round.wishes.len() <= place {
            round.wishes.push(Wish::default());
        }
        let Some(wish) = round.wishes.get_mut(place) else {
            continue;
        };
        wish.id.push_str(call["id"].as_str().unwrap_or_default());
        wish.name.push_str(
            call.pointer("/function/name")
                .and_then(Json::as_str)
                .unwrap_or_default(),
        );
        wish.arguments
            .push_str(&arguments_text(call.pointer("/function/arguments")));
    }
}

fn wishes_message(round: &Round) -> Json {
    let calls: Vec<Json> = round
        .wishes
        .iter()
        .map(|wish| {
            let function = json!({"name": wish.name, "arguments": wish.arguments});
            json!({"id": wish.id, "type": "function", "function": function})
        })
        .collect();
    let content = if round.text.is_empty() {
        Json::Null
    } else {
        round.text.clone().into()
    };
    json!({"role": "assistant", "content": content, "tool_calls": calls})
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_are_read_and_nonsense_is_not() {
        let check = |body: &str, expected: Result<(&str, usize), &str>| {
            let found = whole(body.as_bytes());
            let found = found
                .as_ref()
                .map(|round| (round.text.as_str(), round.wishes.len()));
            assert_eq!(
                found.map_err(ToString::to_string),
                expected.map_err(ToOwned::to_owned),
                "{body}"
            );
        };
        check(
            r#"{"choices":[{"message":{"content":"Hi"}}]}"#,
            Ok(("Hi", 0)),
        );
        check(
            r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"1","function":{"name":"list_tasks","arguments":"{}"}}]}}]}"#,
            Ok(("", 1)),
        );
        check(
            "<html>",
            Err("answered with something else than a completion: no JSON"),
        );
        check(
            r#"{"choices":[]}"#,
            Err("answered with something else than a completion: no message"),
        );
        check(
            r#"{"error":{"message":"no"}}"#,
            Err("answered with something else than a completion: no message"),
        );
    }
}
