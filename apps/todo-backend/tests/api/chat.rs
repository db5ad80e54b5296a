//! The assistant: built in, and with mock providers.

use serde_json::{Value, json};

use crate::support::{Asked, Mock, Reply, Settings, User};

fn tools(answer: &Value) -> Vec<String> {
    let calls = answer["tool_calls"].as_array().expect("calls");
    calls
        .iter()
        .filter_map(|call| call["tool"].as_str())
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn the_built_in_assistant_keeps_house() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let first = ann.chat("Add a task to buy groceries", None);
    assert_eq!(first["provider"], "local");
    assert_eq!(tools(&first), ["add_task"]);
    assert_eq!(
        first["tool_calls"][0]["result"],
        json!({"task_id": 1, "status": "created", "title": "Buy groceries"})
    );
    assert_eq!(first["response"], "Added “Buy groceries” as task 1.");
    let conversation = first["conversation_id"].as_i64();
    let say = |message: &str| ann.chat(message, conversation);
    say("I need to remember to pay bills");
    assert!(
        say("What's pending?")["response"]
            .as_str()
            .expect("text")
            .starts_with("You have 2 pending tasks:")
    );
    assert_eq!(tools(&say("Mark task 1 as complete")), ["complete_task"]);
    assert_eq!(
        tools(&say("Change task 2 to 'Pay the bills'")),
        ["update_task"]
    );
    assert!(
        say("What have I completed?")["response"]
            .as_str()
            .expect("text")
            .contains("Buy groceries")
    );
    assert_eq!(
        tools(&say("Delete the bills task")),
        ["list_tasks", "delete_task"]
    );
    assert_eq!(ann.titles(), ["Buy groceries"]);
    assert_eq!(
        say("Mark task 9 as complete")["response"],
        "That did not work: there is no task 9."
    );

    let listed = ann
        .get(&format!("/api/{}/conversations", ann.id))
        .expect(200);
    assert_eq!(listed[0]["title"], "Add a task to buy groceries");
    let messages = ann.get("/api/conversations/1/messages").expect(200);
    assert_eq!(messages.as_array().map(Vec::len), Some(16));
    assert_eq!(messages[0]["role"], "user");
    assert_eq!(messages[1]["provider"], "local");
    assert_eq!(
        ann.send("DELETE", "/api/conversations/1", Value::Null)
            .status,
        204
    );
    assert_eq!(ann.get("/api/conversations/1/messages").status, 404);
    let gone = ann.post(
        "/api/chat",
        json!({"message": "hello", "conversation_id": 1}),
    );
    assert_eq!(gone.status, 404);
}

#[test]
fn ambiguity_is_a_question_and_many_need_a_yes() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    for title in ["Team meeting", "Client meeting", "Lunch"] {
        ann.add(title);
    }
    let asked = ann.chat("Delete the meeting task", None);
    assert!(
        asked["response"]
            .as_str()
            .expect("text")
            .starts_with("Several tasks fit. Which one do you mean?")
    );
    assert_eq!(ann.titles().len(), 3, "nothing is guessed");
    let conversation = asked["conversation_id"].as_i64();
    ann.chat("2", conversation);
    assert_eq!(ann.titles(), ["Team meeting", "Lunch"]);

    let sure = ann.chat("delete everything", conversation);
    assert!(
        sure["response"]
            .as_str()
            .expect("text")
            .starts_with("This would delete 2 tasks. Are you sure?")
    );
    assert_eq!(ann.titles().len(), 2);
    ann.chat("no", conversation);
    assert_eq!(ann.titles().len(), 2);
    let _ = ann.chat("delete everything", conversation);
    ann.chat("yes", conversation);
    assert!(ann.titles().is_empty());
    assert_eq!(
        ann.chat("yes", conversation)["tool_calls"],
        json!([]),
        "a yes without a question does nothing"
    );
}

#[test]
fn rules_of_the_route() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let check = |body: Value, status: u16| {
        assert_eq!(
            ann.post(&format!("/api/{}/chat", ann.id), body.clone())
                .status,
            status,
            "{body}"
        );
    };
    check(json!({"message": ""}), 422);
    check(json!({"message": "x".repeat(2001)}), 422);
    check(json!({"message": "hello", "conversation_id": "x"}), 422);
    check(json!({"message": "hello", "conversation_id": 77}), 404);
    check(json!({"message": "hello", "conversation_id": null}), 200);
}

#[test]
fn words_stream() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let text = stream(&ann, "Add a task to buy milk");
    assert!(
        text.contains("event: tool_call\ndata: {\"tool\":\"add_task\""),
        "{text}"
    );
    assert!(
        text.contains("event: token\ndata: {\"text\":\"Added \"}"),
        "{text}"
    );
    let done = text
        .split("event: done\ndata: ")
        .nth(1)
        .expect("an end")
        .trim();
    let done: Value = serde_json::from_str(done).expect("JSON");
    assert_eq!(done["response"], "Added “Buy milk” as task 1.");
}

fn stream(user: &User<'_>, message: &str) -> String {
    let bearer = format!("Bearer {}", user.token);
    let headers = [
        ("authorization", bearer.as_str()),
        ("accept", "text/event-stream"),
    ];
    let body = json!({"message": message}).to_string();
    let answer = user
        .server
        .send("POST", "/api/chat", &headers, body.as_bytes());
    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    answer.text()
}

fn says(text: &str) -> Reply {
    Reply::Json(
        200,
        json!({"choices": [{"message": {"role": "assistant", "content": text}}]}),
    )
}

fn wishes(id: &str, name: &str, arguments: &str) -> Reply {
    let call =
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    Reply::Json(
        200,
        json!({"choices": [{"message": {"role": "assistant", "content": null, "tool_calls": [call]}}]}),
    )
}

#[test]
fn a_provider_gets_the_key_and_uses_tools() {
    let mock = Mock::start(|_, before| match before {
        0 => wishes(
            "c1",
            "add_task",
            r#"{"title":"Buy milk","user_id":"someone-else"}"#,
        ),
        _ => says("I added it."),
    });
    let server = Settings::new()
        .with("OPENAI_API_KEY", "sk-canary-1")
        .with("OPENAI_BASE_URL", &mock.url())
        .start();
    let ann = server.sign_up("ann@example.com");
    let answer = ann.chat("milk please", None);
    assert_eq!(
        (answer["provider"].as_str(), answer["model"].as_str()),
        (Some("openai"), Some("gpt-4o-mini"))
    );
    assert_eq!(answer["response"], "I added it.");
    assert_eq!(tools(&answer), ["add_task"]);
    assert_eq!(ann.titles(), ["Buy milk"]);
    let asked = mock.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].path, "/chat/completions");
    assert_eq!(asked[0].headers["authorization"], "Bearer sk-canary-1");
    let body = asked[0].json();
    assert_eq!(body["tools"].as_array().map(Vec::len), Some(6));
    assert!(
        !body["tools"].to_string().contains("user_id"),
        "the schema names no user"
    );
    assert_eq!(
        body["messages"][1],
        json!({"role": "user", "content": "milk please"})
    );
    let second = asked[1].json();
    assert_eq!(second["messages"][3]["role"], "tool");
    assert_eq!(second["messages"][3]["tool_call_id"], "c1");
    assert!(!server.log_text().contains("sk-canary-1"));

    // History goes along in the next turn.
    ann.chat("and?", answer["conversation_id"].as_i64());
    let third = mock.asked()[2].json();
    assert_eq!(
        third["messages"][2],
        json!({"role": "assistant", "content": "I added it."})
    );
}

#[test]
fn providers_are_tried_in_order_and_local_is_last() {
    let check = |reply: fn(&Asked, usize) -> Reply| {
        let bad = Mock::start(reply);
        let good = Mock::start(|_, _| says("Hello from Gemini."));
        let settings = || {
            Settings::new()
                .with("COHERE_API_KEY", "c")
                .with("COHERE_BASE_URL", &bad.url())
                .with("AI_TIMEOUT_SECONDS", "2")
        };
        let server = settings()
            .with("GEMINI_API_KEY", "g")
            .with("GEMINI_BASE_URL", &good.url())
            .start();
        let answer = server.sign_up("ann@example.com").chat("hello", None);
        assert_eq!(answer["provider"], "gemini");
        assert_eq!(bad.asked().len(), 1);
        let alone = settings().start();
        assert_eq!(
            alone.sign_up("ann@example.com").chat("hello", None)["provider"],
            "local"
        );
    };
    check(|_, _| Reply::Json(401, json!({"error": "bad key"})));
    check(|_, _| Reply::Json(429, json!({})));
    check(|_, _| Reply::Json(500, json!({})));
    check(|_, _| Reply::Text(200, "text/html", "<html>".to_owned()));
    check(|_, _| Reply::Json(200, json!({"choices": []})));
    check(|_, _| says(""));
    check(|_, _| Reply::Hangup);
    check(|_, _| Reply::Silence);
}

#[test]
fn what_was_done_is_not_done_twice() {
    let bad = Mock::start(|_, before| match before {
        0 => wishes("c1", "add_task", r#"{"title":"Buy milk"}"#),
        _ => Reply::Json(500, json!({})),
    });
    let server = Settings::new()
        .with("COHERE_API_KEY", "c")
        .with("COHERE_BASE_URL", &bad.url())
        .start();
    let ann = server.sign_up("ann@example.com");
    let answer = ann.chat("Add a task to buy milk", None);
    assert_eq!(answer["provider"], "cohere");
    assert!(
        answer["response"]
            .as_str()
            .expect("text")
            .starts_with("Task 1 “Buy milk” is created.")
    );
    assert_eq!(ann.titles(), ["Buy milk"]);
}

#[test]
fn tool_loops_end() {
    let mock = Mock::start(|asked, before| {
        // The last round offers no tools; this one wants more all the same.
        let _ = asked.json();
        wishes(&format!("c{before}"), "list_tasks", "{}")
    });
    let server = Settings::new()
        .with("OPENAI_API_KEY", "sk-1")
        .with("OPENAI_BASE_URL", &mock.url())
        .start();
    let ann = server.sign_up("ann@example.com");
    ann.chat("loop", None);
    let asked = mock.asked();
    assert_eq!(asked.len(), 6);
    assert!(asked[4].json().get("tools").is_some());
    assert!(asked[5].json().get("tools").is_none());
}

#[test]
fn a_model_that_errs_is_told_and_two_deletions_are_refused() {
    let mock = Mock::start(|_, before| match before {
        0 => wishes("c0", "delete_task", "not json"),
        1 => wishes("c1", "drop_database", "{}"),
        2 => wishes("c2", "delete_task", r#"{"task_id":1}"#),
        3 => wishes("c3", "delete_task", r#"{"task_id":2}"#),
        _ => says("Shall I delete the other one too?"),
    });
    let server = Settings::new()
        .with("OPENAI_API_KEY", "sk-1")
        .with("OPENAI_BASE_URL", &mock.url())
        .start();
    let ann = server.sign_up("ann@example.com");
    ann.add("one");
    ann.add("two");
    let answer = ann.chat("delete them", None);
    assert_eq!(tools(&answer), ["delete_task"]);
    assert_eq!(ann.titles(), ["two"]);
    let last = mock.asked()[4].json();
    let contents: Vec<_> = last["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .filter(|message| message["role"] == "tool")
        .filter_map(|message| message["content"].as_str())
        .collect();
    assert!(
        contents[0].contains("no JSON object")
            && contents[1].contains("there is no tool")
            && contents[3].contains("confirmation"),
        "{contents:?}"
    );
}

#[test]
fn streams_of_providers_are_passed_on() {
    let mock = Mock::start(|asked, before| {
        assert_eq!(asked.json()["stream"], true);
        assert!(asked.json().get("stream_options").is_none());
        let chunks = match before {
            0 => vec![
                json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "add_task", "arguments": "{\"title\":"}}]}}]}),
                json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "\"Buy milk\"}"}}]}}]}),
                json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
            ],
            _ => vec![
                json!({"choices": [{"delta": {"content": "Added "}}]}),
                json!({"choices": [{"delta": {"content": "it."}, "finish_reason": "stop"}]}),
            ],
        };
        let body: String = chunks
            .iter()
            .map(|chunk| format!("data: {chunk}\n\n"))
            .collect();
        Reply::Text(200, "text/event-stream", format!("{body}data: [DONE]\n\n"))
    });
    let server = Settings::new()
        .with("OPENAI_API_KEY", "sk-1")
        .with("OPENAI_BASE_URL", &mock.url())
        .start();
    let ann = server.sign_up("ann@example.com");
    let text = stream(&ann, "milk");
    assert!(
        text.contains("data: {\"text\":\"Added \"}") && text.contains("data: {\"text\":\"it.\"}"),
        "{text}"
    );
    assert_eq!(ann.titles(), ["Buy milk"]);
}
