//! The MCP server.

use serde_json::{Value, json};

use crate::support::{Answer, Settings, User, send};

fn ask(user: &User<'_>, headers: &[(&str, &str)], body: &Value) -> Answer {
    let bearer = format!("Bearer {}", user.token);
    let mut all = vec![
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    all.extend_from_slice(headers);
    send(
        user.server.mcp_port.expect("MCP is on"),
        "POST",
        "/mcp",
        &all,
        body.to_string().as_bytes(),
    )
}

fn call(user: &User<'_>, name: &str, arguments: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}});
    ask(user, &[], &body).expect(200)["result"].clone()
}

#[test]
fn a_session_of_a_client() {
    let server = Settings::new()
        .with("MCP_SERVER_NAME", "puretasks-mcp-server")
        .start();
    let ann = server.sign_up("ann@example.com");
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let result = ask(&ann, &[], &hello).expect(200)["result"].clone();
    assert_eq!(result["serverInfo"]["name"], "puretasks-mcp-server");
    assert_eq!(result["protocolVersion"], "2025-06-18");
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(
        ask(&ann, &[("mcp-protocol-version", "2025-06-18")], &ready).status,
        202
    );
    let list = ask(
        &ann,
        &[],
        &json!({"jsonrpc": "2.0", "id": "x", "method": "tools/list"}),
    )
    .expect(200);
    assert_eq!(list["id"], "x");
    let names: Vec<_> = list["result"]["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "add_task",
            "list_tasks",
            "complete_task",
            "delete_task",
            "update_task",
            "get_stats"
        ]
    );

    let added = call(
        &ann,
        "add_task",
        json!({"title": "Buy milk", "user_id": ann.id}),
    );
    assert_eq!(
        added["structuredContent"],
        json!({"task_id": 1, "status": "created", "title": "Buy milk"})
    );
    assert_eq!(
        call(
            &ann,
            "update_task",
            json!({"task_id": 1, "title": "Buy oats"})
        )["structuredContent"]["status"],
        "updated"
    );
    assert_eq!(
        call(&ann, "complete_task", json!({"task_id": 1}))["structuredContent"]["status"],
        "completed"
    );
    assert_eq!(
        call(&ann, "list_tasks", json!({"status": "completed"}))["structuredContent"]["tasks"][0]["title"],
        "Buy oats"
    );
    assert_eq!(
        call(&ann, "get_stats", json!({}))["structuredContent"]["completed"],
        1
    );
    assert_eq!(
        call(&ann, "delete_task", json!({"task_id": 1}))["structuredContent"]["status"],
        "deleted"
    );
    assert_eq!(
        call(&ann, "delete_task", json!({"task_id": 1}))["isError"],
        true
    );
}

#[test]
fn what_is_refused() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let bob = server.sign_up("bob@example.com");
    ann.add("Ann's");
    assert_eq!(
        call(&bob, "list_tasks", json!({"user_id": ann.id}))["isError"],
        true
    );
    assert_eq!(
        call(&bob, "list_tasks", json!({}))["structuredContent"]["tasks"],
        json!([])
    );
    assert_eq!(
        call(&bob, "delete_task", json!({"task_id": 1}))["isError"],
        true
    );

    let port = server.mcp_port.expect("MCP is on");
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(
        send(port, "POST", "/mcp", &[], ping.to_string().as_bytes()).status,
        401
    );
    assert_eq!(ask(&ann, &[("host", "evil.example")], &ping).status, 421);
    assert_eq!(
        ask(&ann, &[("origin", "https://evil.example")], &ping).status,
        403
    );
    assert_eq!(
        ask(&ann, &[("host", "backend-service:8001")], &ping).expect(200)["result"],
        json!({})
    );
    assert_eq!(
        ask(&ann, &[("mcp-protocol-version", "nonsense")], &ping).status,
        400
    );
    assert_eq!(send(port, "GET", "/mcp", &[], b"").status, 405);
    assert_eq!(send(port, "DELETE", "/mcp", &[], b"").status, 405);
    assert_eq!(
        send(port, "GET", "/healthz", &[("host", "evil.example")], b"").expect(200),
        json!({"status": "healthy"})
    );
    let code = |body: Value| ask(&ann, &[], &body).json()["error"]["code"].clone();
    assert_eq!(
        code(json!({"jsonrpc": "2.0", "id": 1, "method": "nope"})),
        -32601
    );
    assert_eq!(
        code(
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nope"}})
        ),
        -32602
    );
    assert_eq!(code(json!({"id": 1})), -32600);
    let batch = ask(
        &ann,
        &[],
        &json!([ping, {"jsonrpc": "2.0", "method": "notifications/x"}]),
    )
    .expect(200);
    assert_eq!(batch.as_array().map(Vec::len), Some(1));
}

#[test]
fn the_port_moves_and_turns_off() {
    let off = Settings::new().with("MCP_SERVER_PORT", "0").start();
    assert_eq!(off.mcp_port, None);
}

#[test]
fn mcp_refuses_in_the_words_of_json_rpc() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let bearer = format!("Bearer {}", ann.token);
    let port = server.mcp_port.expect("MCP is on");
    let check = |body: &str, status: u16, code: i64| {
        let headers = [("authorization", bearer.as_str())];
        let answer = send(port, "POST", "/mcp", &headers, body.as_bytes()).expect(status);
        assert_eq!(answer["error"]["code"], code, "{body}");
        assert_eq!(answer["jsonrpc"], "2.0");
    };
    check("{", 400, -32700);
    check("[]", 400, -32600);
    check(r#"{"jsonrpc":"2.0","id":1}"#, 200, -32600);
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/list"}"#,
        200,
        -32601,
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#,
        200,
        -32602,
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add_task","arguments":[]}}"#,
        200,
        -32602,
    );
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": revision}});
        let headers = [
            ("authorization", bearer.as_str()),
            ("mcp-protocol-version", revision),
        ];
        let answer = send(port, "POST", "/mcp", &headers, hello.to_string().as_bytes()).expect(200);
        assert_eq!(answer["result"]["protocolVersion"], revision);
        assert!(answer["result"]["capabilities"]["tools"].is_object());
    }
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let headers = [
        ("authorization", bearer.as_str()),
        ("mcp-protocol-version", "2026-07-28"),
    ];
    let answer = send(port, "POST", "/mcp", &headers, list.to_string().as_bytes()).expect(200);
    for tool in answer["result"]["tools"].as_array().expect("tools") {
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        assert_eq!(
            tool["inputSchema"]["properties"]["user_id"]["type"], "string",
            "{tool}"
        );
    }
}
