//! Constant load: clients that ask without pause and count what failed.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::wait::until;

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// One kind of client.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it is called in the count.
    pub name: &'static str,
    /// Where it asks.
    pub address: SocketAddr,
    /// The host it asks for.
    pub host: &'static str,
    /// Whether it keeps its connection for further requests.
    pub keeps: bool,
    /// Whether it sends something (POST).
    pub sends: bool,
}

/// Clients that ask until they are told to stop.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    counts: Vec<(&'static str, Arc<Count>, JoinHandle<()>)>,
}

#[derive(Debug, Default)]
struct Count {
    answered: AtomicU64,
    failures: std::sync::Mutex<Vec<String>>,
}

/// Waits until every client is answered.
///
/// # Panics
/// Panics with what failed if one never is.
pub fn until_answered(clients: &[Client]) {
    until("every way is open", || {
        let mut each = clients.iter();
        each.try_for_each(|client| ask(client, &mut None).map_err(|error| error.to_string()))
    });
}

impl Load {
    /// Starts a thread for each client.
    pub fn start(clients: &[Client]) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let counts = clients
            .iter()
            .map(|client| {
                let count = Arc::new(Count::default());
                let (client, stop, own) = (client.clone(), stop.clone(), count.clone());
                let name = client.name;
                let thread = std::thread::spawn(move || ask_until(&client, &stop, &own));
                (name, count, thread)
            })
            .collect();
        Load { stop, counts }
    }

    /// Returns how many requests were answered.
    pub fn answered(&self) -> u64 {
        let counts = self.counts.iter();
        counts
            .map(|(_, count, _)| count.answered.load(Ordering::Relaxed))
            .sum()
    }

    /// Returns what failed so far.
    pub fn failures(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (name, count, _) in &self.counts {
            let failures = count.failures.lock().expect("no client panics");
            all.extend(failures.iter().map(|why| format!("{name}: {why}")));
        }
        all
    }

    /// Stops the clients and returns a line for each.
    ///
    /// # Panics
    /// Panics if a client has.
    pub fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.counts
            .into_iter()
            .map(|(name, count, thread)| {
                thread.join().expect("no client panics");
                let failed = count.failures.lock().expect("no client panics").len();
                let answered = count.answered.load(Ordering::Relaxed);
                format!("{name}: {answered} answered, {failed} failed")
            })
            .collect()
    }
}

fn ask_until(client: &Client, stop: &AtomicBool, count: &Count) {
    let since = Instant::now();
    let mut kept = None;
    while !stop.load(Ordering::Relaxed) {
        match ask(client, &mut kept) {
            Ok(()) => {
                count.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                kept = None;
                let at = since.elapsed().as_millis();
                let mut failures = count.failures.lock().expect("no client panics");
                failures.push(format!("after {at} ms: {error}"));
            }
        }
    }
}

/// Asks once; the connection is kept where both sides want it.
fn ask(client: &Client, kept: &mut Option<TcpStream>) -> io::Result<()> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect_timeout(&client.address, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream
        }
    };
    let (method, body) = if client.sends {
        ("POST", "content-length: 4\r\n\r\ntext")
    } else {
        ("GET", "\r\n")
    };
    let connection = if client.keeps { "keep-alive" } else { "close" };
    let request = format!(
        "{method} / HTTP/1.1\r\nhost: {}\r\nconnection: {connection}\r\n{body}",
        client.host
    );
    stream.write_all(request.as_bytes())?;
    if read_answer(&mut stream)? && client.keeps {
        *kept = Some(stream);
    }
    Ok(())
}

/// Reads one answer; returns whether another may follow.
fn read_answer(stream: &mut TcpStream) -> io::Result<bool> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Err(io::Error::other(format!(
                "ended after {} bytes",
                bytes.len()
            )));
        }
        bytes.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_lowercase();
        let expected = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
            .ok_or_else(|| io::Error::other(format!("no length: {head}")))?;
        if body.len() < expected {
            continue;
        }
        if !head.starts_with("http/1.1 200") {
            return Err(io::Error::other(text.into_owned()));
        }
        return Ok(!head.contains("connection: close"));
    }
}
