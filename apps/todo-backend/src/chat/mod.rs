//! A turn of the assistant: history, words, tools, answer, nothing kept.
//!
//! The user's words are written before anything is asked, the answer after
//! it; every replica can serve the next turn. Providers are tried in order,
//! and the assistant built in (`local`) answers when none of them does.

pub mod local;
pub mod provider;
pub mod sse;
pub mod tools;

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::sync::mpsc::UnboundedSender;

use crate::config::Provider;
use crate::db::DbError;
use crate::http::AppState;
use crate::model::conversations::{self, Entry, Message};
use crate::model::users;
use tools::Toolbox;

/// Longest message of a user, in characters.
pub const MESSAGE_CHARS_MAX: usize = 2000;
/// Longest answer that is kept, in characters.
const ANSWER_CHARS_MAX: usize = 10_000;
/// Rounds of tool calls in one turn.
const ROUNDS_MAX: usize = 5;

/// What a turn tells while it goes on.
#[derive(Debug, Clone)]
pub enum Event {
    /// A piece of the answer.
    Token(String),
    /// Something was done.
    ToolCall(Json),
    /// The whole answer.
    Done(Json),
    /// The turn failed; a code and a sentence.
    Failed(&'static str, String),
}

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The conversation is not there, or not this user's.
    #[error("not found")]
    NotFound,
    /// No provider answered, and nothing else may.
    #[error("the assistant cannot be reached, try again")]
    Unavailable,
    /// The database did not do its part.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// The answer of an assistant, before it is written down.
#[derive(Debug)]
pub struct Reply {
    /// The words.
    pub text: String,
    /// What was done, in order.
    pub tool_calls: Vec<Json>,
    /// Who answered.
    pub provider: &'static str,
    /// With which model.
    pub model: String,
}

/// Where the pieces of an answer go; a turn never waits for its listener.
#[derive(Clone)]
pub struct Listener(pub Option<UnboundedSender<Event>>);

impl Listener {
    fn tell(&self, event: Event) {
        if let Some(sender) = &self.0 {
            // A listener that left is no reason to stop.
            let _ = sender.send(event);
        }
    }

    /// Tells a piece of the answer.
    pub fn token(&self, text: &str) {
        self.tell(Event::Token(text.to_owned()));
    }

    /// Tells what was done.
    pub fn tool_call(&self, call: &Json) {
        self.tell(Event::ToolCall(call.clone()));
    }

    fn streams(&self) -> bool {
        self.0.is_some()
    }
}

/// Takes a turn and returns its answer as clients see it.
///
/// # Errors
/// As [`TurnError`] says.
pub async fn turn(
    state: &AppState,
    user_id: &str,
    conversation_id: Option<i64>,
    message: &str,
    listener: &Listener,
) -> Result<Json, TurnError> {
    let database = state.database();
    let (conversation_id, history) = open(state, user_id, conversation_id, message).await?;
    let user = users::by_id(database, user_id)
        .await?
        .ok_or(TurnError::NotFound)?;
    let mut toolbox = Toolbox::new(database.clone(), user_id, &user.prefs.timezone);
    let reply = {
        let _inflight = state.metrics().begin_chat();
        think(state, &mut toolbox, &history, message, listener).await?
    };
    let text: String = reply.text.chars().take(ANSWER_CHARS_MAX).collect();
    let calls = Json::Array(reply.tool_calls);
    let entry = Entry {
        role: "assistant",
        content: &text,
        tool_calls: &calls,
        provider: Some(reply.provider),
        model: Some(&reply.model),
    };
    let written = conversations::append(database, user_id, conversation_id, &entry).await?;
    // The conversation may have been deleted while we thought.
    let written = written.ok_or(TurnError::NotFound)?;
    Ok(json!({
        "conversation_id": conversation_id,
        "message_id": written.id,
        "response": text,
        "tool_calls": calls,
        "provider": reply.provider,
        "model": reply.model,
        "created_at": crate::time::text(written.created_at),
    }))
}

/// Writes the user's words down; returns the conversation and what was said
/// in it before.
async fn open(
    state: &AppState,
    user_id: &str,
    conversation_id: Option<i64>,
    message: &str,
) -> Result<(i64, Vec<Message>), TurnError> {
    let database = state.database();
    let none = json!([]);
    let entry = Entry {
        role: "user",
        content: message,
        tool_calls: &none,
        provider: None,
        model: None,
    };
    let Some(id) = conversation_id else {
        let id = conversations::begin(database, user_id, &entry).await?;
        return Ok((id.ok_or(TurnError::NotFound)?, Vec::new()));
    };
    let history = conversations::messages(database, user_id, id, conversations::HISTORY).await?;
    let history = history.ok_or(TurnError::NotFound)?;
    let written = conversations::append(database, user_id, id, &entry).await?;
    written.ok_or(TurnError::NotFound)?;
    Ok((id, history))
}

async fn think(
    state: &AppState,
    toolbox: &mut Toolbox,
    history: &[Message],
    message: &str,
    listener: &Listener,
) -> Result<Reply, TurnError> {
    let config = state.config();
    let deadline = Instant::now() + config.ai_timeout;
    for (place, provider) in config.providers.iter().enumerate() {
        let left = config.providers.len() - place;
        let limit = share(deadline, left);
        match ask(provider, toolbox, history, message, listener, limit).await {
            Ok(reply) => return Ok(reply),
            Err(error) => tracing::warn!(provider = provider.name, "{error}"),
        }
        // What was done must not be done twice by the next one.
        if !toolbox.calls().is_empty() {
            return Ok(summary(toolbox, provider, listener));
        }
        if deadline <= Instant::now() {
            break;
        }
    }
    if !config.ai_local {
        return Err(TurnError::Unavailable);
    }
    Ok(local::answer(toolbox, history, message, listener).await?)
}

/// The time that one of several providers may take.
fn share(deadline: Instant, left: usize) -> Duration {
    let whole = deadline.saturating_duration_since(Instant::now());
    if left <= 1 { whole } else { whole.mul_f64(0.6) }
}

async fn ask(
    provider: &Provider,
    toolbox: &mut Toolbox,
    history: &[Message],
    message: &str,
    listener: &Listener,
    limit: Duration,
) -> Result<Reply, provider::ProviderError> {
    let asked = provider::converse(provider, toolbox, history, message, listener, limit);
    match tokio::time::timeout(limit, asked).await {
        Ok(outcome) => outcome,
        Err(_) => Err(provider::ProviderError::Slow),
    }
}

/// The answer when a provider went away after it had done something.
fn summary(toolbox: &Toolbox, provider: &Provider, listener: &Listener) -> Reply {
    let done = toolbox
        .calls()
        .iter()
        .map(tools::sentence)
        .collect::<Vec<_>>()
        .join(" ");
    let text = format!("{done} (The assistant could not finish its answer.)");
    listener.token(&text);
    Reply {
        text,
        tool_calls: toolbox.calls().to_vec(),
        provider: provider.name,
        model: provider.model.clone(),
    }
}
