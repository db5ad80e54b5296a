//! What the engine and a shim say to each other. A message is a frame: four
//! bytes of length (little-endian), one byte of kind, the payload. Control
//! messages are JSON; streams are bytes.
//!
//! The engine may be newer than the shim (it is restarted under running
//! containers), so fields may be added here but not removed, and a request
//! that a shim does not know is answered with [`Reply::Error`].

use std::io;

use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroups;
use crate::error::StartError;
use crate::record::Exit;
use crate::spec::{ContainerSpec, ExecSpec};
use crate::user::Credentials;

/// Raised when an older shim could misunderstand a message.
pub(crate) const VERSION: u32 = 1;

/// A start message holds the whole environment; nothing else is this long.
pub(crate) const FRAME_BYTES_MAX: usize = 16 << 20;

const HEADER_BYTES: usize = 5;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A [`Request`] or a [`Reply`].
    Control,
    /// To the container's standard input.
    Stdin,
    /// From its standard output.
    Stdout,
    /// From its standard error.
    Stderr,
    /// No more standard input.
    StdinEnd,
}

/// From the engine. The descriptors it travels with are named in brackets.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// The first one, on the shim's standard input
    /// `[stdin, stdout, stderr, if streams]`.
    Start(Box<Start>),
    /// What the container is.
    Status,
    /// Answered with [`Reply::Exited`] when it has ended.
    Wait,
    /// Signals its first process, or all of them.
    Kill { signal: i32, all: bool },
    /// Runs a further program `[stdin, stdout, stderr]`, none with a terminal.
    Exec(ExecSpec),
    /// Signals the program that this connection runs.
    Signal { signal: i32 },
    /// Turns the connection into the container's streams.
    Attach {
        stdin: bool,
        stdout: bool,
        stderr: bool,
    },
    /// Sizes the container's terminal.
    Resize { columns: u16, rows: u16 },
    /// Opens the log file anew.
    ReopenLog,
}

/// All a shim needs to know.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub spec: ContainerSpec,
    pub cgroups: Cgroups,
    /// Whether the three streams come with the message instead of being kept
    /// by the shim.
    pub streams: bool,
}

/// From the shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The container runs.
    Started {
        pid: i32,
        started_at_nanos: u64,
        #[serde(default)]
        user: Option<Credentials>,
    },
    /// The container, or the program in it, does not.
    Failed(StartError),
    /// Answers [`Request::Status`].
    Status {
        version: u32,
        pid: i32,
        started_at_nanos: u64,
    },
    /// The program runs `[terminal]`.
    ExecStarted { pid: i32 },
    /// The container or the program has ended.
    Exited(Exit),
    /// It was done.
    Done,
    /// It was not done.
    Error(String),
}

/// A request with the sender's version.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope<T> {
    pub v: u32,
    pub m: T,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Control,
            Self::Stdin,
            Self::Stdout,
            Self::Stderr,
            Self::StdinEnd,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// Appends a frame to `out`.
pub(crate) fn put(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(payload);
}

/// Returns a frame with a control message.
pub(crate) fn control<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let payload = serde_json::to_vec(&Envelope {
        v: VERSION,
        m: message,
    })?;
    if payload.len() > FRAME_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "message too long",
        ));
    }
    let mut out = Vec::with_capacity(payload.len() + HEADER_BYTES);
    put(&mut out, Kind::Control, &payload);
    Ok(out)
}

/// Reads a control message's payload.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(payload: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice::<Envelope<T>>(payload)?.m)
}

/// Splits the first frame off `buffer`, if it is there as a whole. The frame
/// is `buffer[HEADER..end]`; the caller drops it by `end`.
pub(crate) fn first(buffer: &[u8]) -> io::Result<Option<(Kind, &[u8], usize)>> {
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
    }
    let end = HEADER_BYTES + length;
    let Some(payload) = buffer.get(HEADER_BYTES..end) else {
        return Ok(None);
    };
    let kind = Kind::from_byte(header[4])
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unknown kind of frame"))?;
    Ok(Some((kind, payload, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_in_pieces() {
        let mut bytes = Vec::new();
        put(&mut bytes, Kind::Stdout, b"hello");
        put(&mut bytes, Kind::StdinEnd, b"");
        for cut in 0..10 {
            assert!(first(&bytes[..cut]).unwrap().is_none());
        }
        let (kind, payload, end) = first(&bytes).unwrap().unwrap();
        assert_eq!((kind, payload, end), (Kind::Stdout, &b"hello"[..], 10));
        let (kind, payload, _) = first(&bytes[end..]).unwrap().unwrap();
        assert_eq!((kind, payload), (Kind::StdinEnd, &b""[..]));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(first(&[255, 255, 255, 255, 0]).is_err());
        assert!(first(&[0, 0, 0, 0, 99]).is_err());
        assert!(parse::<Request>(br#"{"v":9,"m":{"dance":{}}}"#).is_err());
    }

    #[test]
    fn messages_tolerate_additions() {
        let text = br#"{"v":2,"m":{"kill":{"signal":9,"all":true,"later":1}},"more":[]}"#;
        assert!(matches!(
            parse(text).unwrap(),
            Request::Kill {
                signal: 9,
                all: true
            }
        ));
    }
}
