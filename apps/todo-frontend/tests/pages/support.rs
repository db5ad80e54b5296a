//! A server process, a client with a cookie jar, and a mock API.

// The client of the API's own tests: one for both, which use different parts.
#[allow(dead_code)]
#[path = "../../../todo-backend/tests/api/support/http.rs"]
mod http;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use http::read_request;
pub use http::{Answer, Asked, send, until};

/// A running server; it ends with the test.
pub struct Server {
    child: Child,
    pub port: u16,
    lines: Arc<Mutex<Vec<String>>>,
    _folder: Option<tempfile::TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(program: &Path, variables: &[(&str, &str)], folder: Option<tempfile::TempDir>) -> Server {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(variables.iter().copied())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let stdout = child.stdout.take().expect("stdout is piped");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            written.lock().expect("no panic").push(line);
        }
    });
    let mut server = Server {
        child,
        port: 0,
        lines,
        _folder: folder,
    };
    until("the server listens", || {
        let lines = server.lines.lock().expect("no panic");
        let line = lines
            .iter()
            .find(|line| line.contains("listening") && !line.contains("MCP"));
        let port =
            line.and_then(|line| line.split("port=").nth(1)?.split(' ').next()?.parse().ok());
        drop(lines);
        server.port = port.unwrap_or(0);
        server.port != 0
    });
    server
}

/// Starts the pages.
pub fn frontend(variables: &[(&str, &str)]) -> Server {
    let mut all = vec![("PORT", "0"), ("POD_NAME", "front-1")];
    all.extend_from_slice(variables);
    start(Path::new(env!("CARGO_BIN_EXE_todo-frontend")), &all, None)
}

/// Starts the real API; `None`, loudly, when it has not been built.
pub fn backend() -> Option<Server> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_todo-frontend")).with_file_name("todo-backend");
    if !program.exists() {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "todo-backend is missing on CI"
        );
        eprintln!("SKIPPED: todo-backend is not built, the flows are NOT tested");
        return None;
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().to_string_lossy().into_owned();
    let database = format!("sqlite://{path}/todo.db");
    let uploads = format!("{path}/uploads");
    let variables = [
        ("PORT", "0"),
        ("MCP_SERVER_PORT", "0"),
        ("DATABASE_URL", database.as_str()),
        ("UPLOADS_DIR", uploads.as_str()),
        ("BETTER_AUTH_SECRET", "0123456789abcdef0123456789abcdef"),
        ("RATE_LIMIT_PER_MINUTE", "0"),
        ("PYTHONUNBUFFERED", "1"),
        ("POD_NAME", "back-1"),
    ];
    let server = start(&program, &variables, Some(folder));
    until("the API is ready", || server.get("/ready").status == 200);
    Some(server)
}

impl Server {
    pub fn get(&self, path: &str) -> Answer {
        send(self.port, "GET", path, &[], b"")
    }
}

/// A browser without script: follows redirects, keeps cookies, sends forms.
pub struct Visitor<'a> {
    server: &'a Server,
    pub cookies: BTreeMap<String, String>,
}

impl<'a> Visitor<'a> {
    pub fn new(server: &'a Server) -> Self {
        Self {
            server,
            cookies: BTreeMap::new(),
        }
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, &[], b"")
    }

    /// Sends a form and follows where it leads.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let pairs = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let origin = format!("http://localhost:{}", self.server.port);
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("origin", origin.as_str()),
        ];
        self.request("POST", path, &headers, body.as_bytes())
    }

    /// Sends a file.
    pub fn upload(&mut self, path: &str, name: &str, bytes: &[u8]) -> Answer {
        let mut body = format!(
            "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n--B--\r\n");
        let origin = format!("http://localhost:{}", self.server.port);
        let headers = [
            ("content-type", "multipart/form-data; boundary=B"),
            ("origin", origin.as_str()),
        ];
        self.request("POST", path, &headers, &body)
    }

    fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let jar: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let jar = jar.join("; ");
        let mut all = headers.to_vec();
        if !jar.is_empty() {
            all.push(("cookie", &jar));
        }
        let answer = send(self.server.port, method, path, &all, body);
        for (_, value) in answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
        {
            let (pair, rest) = value.split_once(';').unwrap_or((value, ""));
            if let Some((name, value)) = pair.split_once('=') {
                if rest.contains("Max-Age=0") {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        match answer.header("location") {
            Some(location) if answer.status == 303 => {
                let path = location.split('#').next().unwrap_or("/").to_owned();
                self.get(&path)
            }
            _ => answer,
        }
    }
}

pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// An API made by a test: each request gets the same answer.
pub struct Mock {
    pub port: u16,
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

impl Mock {
    /// `answer` is a whole HTTP answer; empty hangs up.
    pub fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("address").port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let record = Arc::clone(&asked);
        let answer = answer.to_owned();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                if let Some(asked) = read_request(&mut stream) {
                    record.lock().expect("no panic").push(asked);
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
        });
        Self { port, asked }
    }

    pub fn json(status: u16, body: &Value) -> Self {
        let body = body.to_string();
        Self::start(&format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-served-by: back-7\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }
}
