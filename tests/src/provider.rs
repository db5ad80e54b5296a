//! A provider of an AI model, as the assistant sees one: an OpenAI-compatible
//! chat endpoint outside the cluster. It asks for the tool `add_task` once and
//! then says what was done; it keeps the keys it was called with.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::private::OUTSIDE;

/// A running provider; it ends with the test.
#[derive(Debug, Clone)]
pub struct Provider {
    port: u16,
    keys: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    /// Starts to listen.
    ///
    /// # Panics
    /// Panics if the address is not there.
    pub fn start() -> Provider {
        let listener = TcpListener::bind((OUTSIDE, 0)).expect("the address is ours");
        let port = listener.local_addr().expect("it is bound").port();
        let provider = Provider {
            port,
            keys: Arc::default(),
        };
        let answering = provider.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answering = answering.clone();
                std::thread::spawn(move || answering.answer(stream));
            }
        });
        provider
    }

    /// Returns the base URL for the backend's configuration.
    pub fn url(&self) -> String {
        format!("http://{OUTSIDE}:{}/v1", self.port)
    }

    /// Returns the bearer keys of all calls so far.
    ///
    /// # Panics
    /// Panics if an answering thread did.
    pub fn keys(&self) -> Vec<String> {
        self.keys.lock().expect("nobody panics with it").clone()
    }

    fn answer(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let (mut length, mut key) = (0, String::new());
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            if line.trim().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "authorization" => value.trim().clone_into(&mut key),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let answer = if body.is_empty() {
            json!({"object": "list", "data": []})
        } else {
            self.keys.lock().ok()?.push(key);
            reply(&serde_json::from_slice(&body).ok()?)
        };
        let text = answer.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            text.len()
        );
        (&stream).write_all((head + &text).as_bytes()).ok()
    }
}

/// A tool call for what the user asks; words once the tool has answered.
fn reply(question: &Value) -> Value {
    let messages = question["messages"].as_array();
    let last = messages.and_then(|messages| messages.last());
    let last = last.unwrap_or(&Value::Null);
    let asked = last["content"].as_str().unwrap_or_default();
    let message = if last["role"] == "tool" {
        json!({"role": "assistant", "content": "It is on the list."})
    } else {
        let title = asked.trim_start_matches("Add a task to ").trim();
        let arguments = json!({"title": title}).to_string();
        json!({"role": "assistant", "content": null, "tool_calls": [{
            "id": "call_1", "type": "function",
            "function": {"name": "add_task", "arguments": arguments},
        }]})
    };
    json!({
        "id": "chat_1", "object": "chat.completion", "model": question["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    })
}
