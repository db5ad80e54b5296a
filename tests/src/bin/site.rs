//! A site for cases under load: answers every request with its pod's name,
//! and leaves as a server should that is asked to end.
//!
//! Asked to end, it takes connections as before, but tells each client that it
//! comes back no more (`Connection: close`), and goes when all have left or
//! none has said anything for a while. Datagrams are sent back.
//!
//! Called as `site ask ADDRESS:PORT` it prints what a server says first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};

/// How long connections get to leave by themselves.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

#[derive(Default)]
struct State {
    ending: AtomicBool,
    connections: AtomicUsize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    if let [_, verb, address] = words.as_slice()
        && verb == "ask"
    {
        let mut text = String::new();
        let mut stream = TcpStream::connect(address.as_str()).await?;
        stream.read_to_string(&mut text).await?;
        println!("{text}");
        return Ok(());
    }
    let name = std::env::var("HOSTNAME").unwrap_or_default();
    let answer = Arc::new(name);
    let state = Arc::new(State::default());
    let port = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok());
    let place = ("0.0.0.0", port.unwrap_or(8080));
    let listener = TcpListener::bind(place).await?;
    tokio::spawn(echo(UdpSocket::bind(place).await?));
    let mut terminated = signal(SignalKind::terminate())?;
    let accepting = {
        let state = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, state) = (answer.clone(), state.clone());
                tokio::spawn(async move {
                    state.connections.fetch_add(1, Ordering::Relaxed);
                    // A client that breaks off is no matter of ours.
                    let _ = serve(stream, &answer, &state).await;
                    state.connections.fetch_sub(1, Ordering::Relaxed);
                });
            }
        })
    };
    terminated.recv().await;
    state.ending.store(true, Ordering::Relaxed);
    let left = async {
        while state.connections.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(LEAVE_WITHIN, left).await;
    accepting.abort();
    Ok(())
}

/// Sends every datagram back, with our name before it.
async fn echo(socket: UdpSocket) {
    let name = std::env::var("HOSTNAME").unwrap_or_default();
    let mut buffer = vec![0; 2048];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let text = [name.as_bytes(), b" ", &buffer[..length]].concat();
        // A client that has gone is no matter of ours.
        let _ = socket.send_to(&text, client).await;
    }
}

/// Answers requests of one connection until either side wants no more.
async fn serve(mut stream: TcpStream, answer: &str, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    loop {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
            .unwrap_or(0);
        while bytes.len() < end + 4 + length {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        bytes.drain(..end + 4 + length);
        let last = state.ending.load(Ordering::Relaxed) || head.contains("connection: close");
        let connection = if last { "close" } else { "keep-alive" };
        let text = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: {connection}\r\n\r\n{answer}",
            answer.len()
        );
        stream.write_all(text.as_bytes()).await?;
        if last {
            return Ok(());
        }
    }
}
