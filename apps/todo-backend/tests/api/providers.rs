//! Providers as the contract tells of them: named, asked at their address, and
//! missed where nothing may stand in.

use serde_json::json;

use crate::contract::assert_error_shape;
use crate::support::{Mock, Reply, Server, Settings};

/// A server whose only provider answers 500.
fn without_fall_back(mock: &Mock) -> Server {
    Settings::new()
        .with("OPENAI_API_KEY", "sk-1")
        .with("OPENAI_BASE_URL", &mock.url())
        .with("AI_FALLBACK", "false")
        .start()
}

#[test]
fn a_provider_without_fall_back_is_missed() {
    let mock = Mock::start(|_, _| Reply::Json(500, json!({})));
    let server = without_fall_back(&mock);
    let ann = server.sign_up("ann@example.com");
    let refused = ann.post("/api/chat", json!({"message": "Add a task to buy milk"}));
    assert!(refused.header("retry-after").is_some());
    let body = refused.expect(503);
    assert_eq!(body["error_code"], "llm_unavailable");
    assert_error_shape(&body);
    assert!(ann.titles().is_empty(), "nothing was done");
    // What was said is kept for the next try.
    let said = ann.get("/api/conversations/1/messages").expect(200);
    assert_eq!(said[0]["content"], "Add a task to buy milk");
    let bearer = format!("Bearer {}", ann.token);
    let headers = [
        ("authorization", bearer.as_str()),
        ("accept", "text/event-stream"),
    ];
    let stream = server.send("POST", "/api/chat", &headers, br#"{"message":"hello"}"#);
    assert!(
        stream
            .text()
            .contains("event: error\ndata: {\"error_code\":\"llm_unavailable\"")
    );
}

#[test]
fn each_provider_is_named_and_asked_at_its_address() {
    for (name, model) in [
        ("openai", "gpt-4o-mini"),
        ("gemini", "gemini-2.5-flash"),
        ("cohere", "command-a-03-2025"),
    ] {
        let mock = Mock::start(|asked, _| {
            let last = asked.json()["messages"]
                .as_array()
                .and_then(|all| all.last().cloned());
            let call = json!({"id": "c1", "type": "function", "function": {"name": "list_tasks", "arguments": "{}"}});
            let message = match last.unwrap_or_default()["role"].as_str() {
                Some("tool") => json!({"role": "assistant", "content": "You have nothing to do."}),
                _ => json!({"role": "assistant", "content": "", "tool_calls": [call]}),
            };
            Reply::Json(200, json!({"choices": [{"message": message}]}))
        });
        let upper = name.to_uppercase();
        let server = Settings::new()
            .with(&format!("{upper}_API_KEY"), "key-1")
            // A slash at the end makes no difference.
            .with(&format!("{upper}_BASE_URL"), &format!("{}/v9/", mock.url()))
            .start();
        let answer = server
            .sign_up("ann@example.com")
            .chat("what is there?", None);
        assert_eq!(
            (&answer["provider"], &answer["model"]),
            (&json!(name), &json!(model))
        );
        assert_eq!(answer["tool_calls"][0]["tool"], "list_tasks");
        assert_eq!(answer["tool_calls"][0]["result"], json!([]));
        let asked = mock.asked();
        assert_eq!(asked.len(), 2, "{name}");
        assert!(asked.iter().all(|one| one.path == "/v9/chat/completions"));
        assert!(
            asked
                .iter()
                .all(|one| one.headers["authorization"] == "Bearer key-1")
        );
        assert_eq!(asked[0].json()["model"], model);
    }
}
