//! A server process, a client with a cookie jar, and a mock API.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

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

/// Waits for a state, at most half a minute.
pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
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
    stream
        .write_all(format!("{head}\r\n").as_bytes())
        .and_then(|()| stream.write_all(body))
        .expect("sent");
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a whole head");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .expect("a status");
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Answer {
        status,
        headers,
        bytes: bytes[end + 4..].to_vec(),
    }
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

/// What a mock API was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
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

fn read_request(stream: &mut TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
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
        line: line.trim_end().to_owned(),
        headers,
        body,
    })
}
