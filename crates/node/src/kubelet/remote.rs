//! The streams between a client and a command, whichever framing carries them.

use bytes::Bytes;
use tokio::sync::mpsc;

/// Pieces on their way to the client: a stream and its data, `None` for its end.
pub type Outgoing = mpsc::Sender<(u32, Option<Bytes>)>;

/// One stream towards the client.
#[derive(Debug, Clone)]
pub struct Sink {
    to: Outgoing,
    stream: u32,
}

impl Sink {
    /// Returns the stream with this number.
    pub fn new(to: Outgoing, stream: u32) -> Sink {
        Sink { to, stream }
    }

    /// Sends data; returns whether the client is still there.
    pub async fn send(&self, data: impl Into<Bytes>) -> bool {
        self.to.send((self.stream, Some(data.into()))).await.is_ok()
    }

    /// Ends the stream.
    pub async fn finish(&self) {
        // A client that is gone needs no end.
        let _ = self.to.send((self.stream, None)).await;
    }
}

/// The streams of a command.
#[derive(Debug)]
pub struct Streams {
    /// From the client to the command.
    pub stdin: Option<mpsc::Receiver<Bytes>>,
    /// From the command to the client.
    pub stdout: Option<Sink>,
    /// From the command to the client.
    pub stderr: Option<Sink>,
    /// How it ended.
    pub error: Sink,
    /// Sizes of the client's terminal, as JSON.
    pub resize: Option<mpsc::Receiver<Bytes>>,
    /// Whether the end is told as a Status object (protocol 4 and later) or as text.
    pub structured: bool,
    /// Resolves when everything was sent.
    pub done: tokio::task::JoinHandle<()>,
}

/// Which streams a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// A terminal.
    pub tty: bool,
}

impl Wanted {
    /// Reads what a query asks for; a terminal has no standard error.
    pub fn of(query: &super::Query) -> Wanted {
        let any = |names: [&str; 2]| names.iter().any(|name| query.is_true(name));
        let tty = query.is_true("tty");
        Wanted {
            stdin: any(["stdin", "input"]),
            stdout: any(["stdout", "output"]),
            stderr: any(["stderr", "error"]) && !tty,
            tty,
        }
    }
}
