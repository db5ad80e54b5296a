//! One answer of a provider, in one piece or streamed: words, or wishes to use
//! tools.

use serde_json::{Value as Json, json};

use super::ProviderError;
use crate::chat::Listener;
use crate::chat::sse::Decoder;

/// Longest text that a round may bring, in bytes: several times what is kept
/// of an answer.
const ROUND_BYTES_MAX: usize = 256 * 1024;
/// Most tools that a round may wish for.
const WISHES_MAX: usize = 16;

/// One round: words, or wishes to use tools.
#[derive(Debug, Default)]
pub struct Round {
    pub(super) text: String,
    pub(super) wishes: Vec<Wish>,
}

/// A tool that the model wants to use.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

/// A round that comes in pieces.
#[derive(Default)]
pub struct Stream {
    decoder: Decoder,
    round: Round,
    ended: bool,
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

/// Returns the round as the message that precedes the answers of its tools.
pub(super) fn wishes_message(round: &Round) -> Json {
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
