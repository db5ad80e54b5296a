//! Services made by a test: they say what it wants and keep what they were asked.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::http::{Asked, read_request};

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
