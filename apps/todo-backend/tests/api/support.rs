//! A server process, a plain HTTP client, and mock services.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

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

/// Waits for a state, at most half a minute.
pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Checks the status and returns the body.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }
}

/// Sends a request and reads the whole answer.
pub fn send(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str(&format!("host: localhost:{port}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    // A server that refuses a large body may close before it has all of it.
    let _ = stream.write_all(body);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a whole head");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let rest = &bytes[end + 4..];
    let chunked = headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let bytes = if chunked {
        dechunk(rest)
    } else {
        rest.to_vec()
    };
    Answer {
        status: status.expect("a status"),
        headers,
        bytes,
    }
}

fn dechunk(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).unwrap_or(0);
        if size == 0 || rest.len() < end + 2 + size {
            break;
        }
        whole.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    whole
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

/// What a mock service was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What a mock service says.
pub enum Reply {
    Json(u16, Value),
    Text(u16, &'static str, String),
    /// Takes the request and never answers.
    Silence,
    /// Closes the connection.
    Hangup,
}

/// An HTTP service made by a test.
pub struct Mock {
    pub port: u16,
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

impl Mock {
    /// `answer` gets the request and how many came before it.
    pub fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("address").port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let record = Arc::clone(&asked);
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &record, answer.as_ref()));
            }
        });
        Self { port, asked }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn serve(
    mut stream: TcpStream,
    record: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked, usize) -> Reply,
) {
    let Some(asked) = read_request(&mut stream) else {
        return;
    };
    let before = {
        let mut record = record.lock().expect("no panic");
        record.push(asked.clone());
        record.len() - 1
    };
    let (status, kind, body) = match answer(&asked, before) {
        Reply::Json(status, body) => (status, "application/json", body.to_string()),
        Reply::Text(status, kind, body) => (status, kind, body),
        Reply::Hangup => return,
        Reply::Silence => {
            // Until the other side gives up.
            let mut rest = [0u8; 1];
            let _ = stream.read(&mut rest);
            return;
        }
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()));
}

fn read_request(stream: &mut TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        path,
        headers,
        body,
    })
}
