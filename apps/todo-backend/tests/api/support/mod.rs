//! A server process and its users; mock services and a PostgreSQL beside it.

mod http;
mod mock;
mod postgres;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

pub use http::{Answer, Asked, send, until};
pub use mock::{Mock, Reply};
pub use postgres::Postgres;

pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A running server; it ends with the test.
pub struct Server {
    child: Child,
    pub port: u16,
    pub mcp_port: Option<u16>,
    pub lines: Arc<Mutex<Vec<String>>>,
    _folder: Option<tempfile::TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Settings {
    variables: BTreeMap<String, String>,
    folder: Option<tempfile::TempDir>,
}

impl Settings {
    /// A SQLite file and uploads of its own, no limits.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().to_string_lossy().into_owned();
        let mut settings = Self {
            variables: BTreeMap::new(),
            folder: Some(folder),
        };
        for (key, value) in [
            ("PORT", "0".to_owned()),
            ("MCP_SERVER_PORT", "auto".to_owned()),
            ("DATABASE_URL", format!("sqlite://{path}/todo.db")),
            ("BETTER_AUTH_SECRET", SECRET.to_owned()),
            ("RATE_LIMIT_PER_MINUTE", "0".to_owned()),
            ("UPLOADS_DIR", format!("{path}/uploads")),
            ("PYTHONUNBUFFERED", "1".to_owned()),
            ("POD_NAME", "pod-1".to_owned()),
        ] {
            settings.variables.insert(key.to_owned(), value);
        }
        settings
    }

    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.variables.insert(key.to_owned(), value.to_owned());
        self
    }

    pub fn without(mut self, key: &str) -> Self {
        self.variables.remove(key);
        self
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_todo-backend"));
        command.env_clear().envs(&self.variables);
        command
    }

    /// Starts the server and waits until it listens and is ready.
    pub fn start(self) -> Server {
        let server = self.start_unready();
        server.wait_for("/ready", 200);
        server
    }

    /// Starts the server and waits until it listens.
    pub fn start_unready(self) -> Server {
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                written.lock().expect("no panic").push(line);
            }
        });
        let wants_mcp = self
            .variables
            .get("MCP_SERVER_PORT")
            .is_none_or(|port| port != "0");
        let mut server = Server {
            child,
            port: 0,
            mcp_port: None,
            lines,
            _folder: self.folder,
        };
        until("the server listens", || {
            for line in server.lines.lock().expect("no panic").iter() {
                if let Some(port) = port_of(line) {
                    if line.contains("for MCP") {
                        server.mcp_port = Some(port);
                    } else {
                        server.port = port;
                    }
                }
            }
            server.port != 0 && (!wants_mcp || server.mcp_port.is_some())
        });
        server
    }

    /// Runs the server, which must end by itself; returns code and output.
    pub fn refused(self) -> (Option<i32>, String) {
        let output = self.command().output().expect("the binary starts");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }
}

fn port_of(line: &str) -> Option<u16> {
    if let Ok(value) = serde_json::from_str::<Value>(line) {
        let listens = value["message"].as_str()?.starts_with("listening");
        return listens
            .then(|| value["port"].as_u64())
            .flatten()
            .map(|port| port as u16);
    }
    line.contains(" listening")
        .then(|| line.rsplit_once("port=")?.1.parse().ok())
        .flatten()
}

impl Server {
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        send(self.port, method, path, headers, body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.send(
            "POST",
            path,
            &[("content-type", "application/json")],
            body.to_string().as_bytes(),
        )
    }

    pub fn wait_for(&self, path: &str, status: u16) {
        until(&format!("{path} answers {status}"), || {
            self.get(path).status == status
        });
    }

    /// Makes an account and returns its session.
    pub fn sign_up(&self, email: &str) -> User<'_> {
        let body = json!({"email": email, "password": "password-1", "name": "Ann"});
        let answer = self.post("/api/auth/signup", body).expect(201);
        User {
            server: self,
            id: answer["user"]["id"].as_str().expect("id").to_owned(),
            token: answer["token"].as_str().expect("token").to_owned(),
        }
    }

    pub fn log_text(&self) -> String {
        self.lines.lock().expect("no panic").join("\n")
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([signal, &pid])
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for the end and returns the code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("a child").code()
    }
}

/// A signed-in user.
pub struct User<'a> {
    pub server: &'a Server,
    pub id: String,
    pub token: String,
}

impl User<'_> {
    pub fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.server.send(method, path, &headers, body.as_bytes())
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Value::Null)
    }

    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, body)
    }

    pub fn add(&self, title: &str) -> Value {
        self.post("/api/tasks", json!({"title": title})).expect(201)
    }

    pub fn chat(&self, message: &str, conversation: Option<i64>) -> Value {
        let body = json!({"message": message, "conversation_id": conversation});
        self.post("/api/chat", body).expect(200)
    }

    pub fn titles(&self) -> Vec<String> {
        let list = self.get("/api/tasks?sort=created&order=asc").expect(200);
        let tasks = list["tasks"].as_array().expect("tasks");
        tasks
            .iter()
            .map(|task| task["title"].as_str().expect("title").to_owned())
            .collect()
    }

    /// Uploads a file.
    pub fn upload(&self, path: &str, name: &str, bytes: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "multipart/form-data; boundary=XXBOUNDARYXX"),
        ];
        let mut body = format!(
            "--XXBOUNDARYXX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n--XXBOUNDARYXX--\r\n");
        self.server.send("POST", path, &headers, &body)
    }
}
