//! As much of D-Bus as one call takes (D-Bus Specification 0.43, "Message
//! Protocol" and "Authentication Protocol"). The main type is [`Peer`].
//!
//! Not here: names, matches, signals, file descriptors, introspection.

use std::io::{self, Read, Write};

use super::ScopeError;

/// Kinds of messages.
const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;
/// Longer ones are none that we wait for.
const MESSAGE_MAX: usize = 1 << 20;

/// A call of a method.
#[derive(Debug, Default)]
pub struct Call<'a> {
    /// The bus name of who is called.
    pub destination: &'a str,
    /// The object.
    pub path: &'a str,
    /// The interface; may be empty.
    pub interface: &'a str,
    /// The method.
    pub member: &'a str,
    /// The types of the arguments.
    pub signature: &'a str,
    /// The arguments.
    pub body: Vec<u8>,
}

/// A connection to a bus or to one service.
#[derive(Debug)]
pub struct Peer<S> {
    stream: S,
    serial: u32,
}

impl<S: Read + Write> Peer<S> {
    /// Says who is calling, as the user with this id.
    ///
    /// # Errors
    /// Fails if the other side does not let it in.
    pub fn new(mut stream: S, uid: u32) -> io::Result<Peer<S>> {
        let digits = uid.to_string();
        let hex: String = digits.bytes().map(|byte| format!("{byte:02x}")).collect();
        stream.write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let answer = line(&mut stream)?;
        if !answer.starts_with("OK ") {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, answer));
        }
        stream.write_all(b"BEGIN\r\n")?;
        Ok(Peer { stream, serial: 0 })
    }

    /// Calls a method and waits for its end.
    ///
    /// # Errors
    /// Fails with what the other side says, or if the connection breaks.
    pub fn ask(&mut self, call: &Call<'_>) -> Result<(), ScopeError> {
        self.serial += 1;
        let bytes = message(CALL, self.serial, call);
        self.stream.write_all(&bytes).map_err(ScopeError::Manager)?;
        loop {
            let (kind, body) = read(&mut self.stream).map_err(ScopeError::Manager)?;
            match kind {
                RETURN => return Ok(()),
                ERROR => return Err(ScopeError::Refused(text_of(&body))),
                // Signals come at any time.
                _ => {}
            }
        }
    }

    #[cfg(test)]
    pub fn into_inner(self) -> S {
        self.stream
    }
}

/// Reads a line of the authentication.
fn line(stream: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n") && bytes.len() < 512 {
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// Returns a message's bytes.
pub(super) fn message(kind: u8, serial: u32, call: &Call<'_>) -> Vec<u8> {
    let mut message = Writer(vec![b'l', kind, 0, 1]);
    message.number(length(&call.body));
    message.number(serial);
    message.array(8, |fields| {
        for (code, type_, value) in [
            (1, "o", call.path),
            (2, "s", call.interface),
            (3, "s", call.member),
            (6, "s", call.destination),
            (8, "g", call.signature),
        ] {
            if value.is_empty() {
                continue;
            }
            fields.align(8);
            fields.0.push(code);
            fields.signature(type_);
            match type_ {
                "g" => fields.signature(value),
                _ => fields.text(value),
            }
        }
    });
    message.align(8);
    message.0.extend(&call.body);
    message.0
}

/// Reads a message: its kind and body.
fn read(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 16];
    stream.read_exact(&mut head)?;
    let number = |at: usize| {
        let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
        let number = match head[0] {
            b'l' => u32::from_le_bytes(bytes),
            _ => u32::from_be_bytes(bytes),
        };
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    let (body, fields) = (number(4), number(12));
    if body > MESSAGE_MAX || fields > MESSAGE_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut rest = vec![0; fields.next_multiple_of(8) + body];
    stream.read_exact(&mut rest)?;
    Ok((head[1], rest.split_off(fields.next_multiple_of(8))))
}

/// Returns the text that a body begins with.
fn text_of(body: &[u8]) -> String {
    let text = body.get(4..).unwrap_or_default();
    let end = text.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&text[..end.unwrap_or(text.len())]).into_owned()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("no message of ours is that long")
}

/// Writes values one after another, each where its type wants it.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Returns what was written.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }

    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    /// Writes a number (`u`) or a truth value (`b`).
    pub fn number(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    /// Writes a text (`s`) or a path of an object (`o`).
    pub fn text(&mut self, value: &str) {
        self.number(length(value.as_bytes()));
        self.0.extend(value.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, value: &str) {
        self.0
            .push(u8::try_from(value.len()).expect("types are short"));
        self.0.extend(value.as_bytes());
        self.0.push(0);
    }

    /// Writes an array whose elements are aligned to so many bytes.
    pub fn array(&mut self, align: usize, fill: impl FnOnce(&mut Writer)) {
        self.number(0);
        let at = self.0.len();
        // Its length counts from the first element on.
        self.align(align);
        let first = self.0.len();
        fill(self);
        let length = length(&self.0[first..]);
        self.0[at - 4..at].copy_from_slice(&length.to_le_bytes());
    }

    /// Writes a pair of a name and a value of this type (`(sv)`).
    pub fn property(&mut self, name: &str, type_: &str, value: impl FnOnce(&mut Writer)) {
        self.align(8);
        self.text(name);
        self.signature(type_);
        value(self);
    }
}
