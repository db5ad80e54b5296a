//! The text as the scanner walks through it: characters, runs of them, breaks.
//!
//! Not here: what they mean.

use super::{Result, Scanner, is_blank};
use crate::error::Error;
use std::borrow::Cow;
use std::ops::Range;

impl<'t> Scanner<'t> {
    /// The text from here on; nothing behind its end.
    pub(super) fn rest(&self) -> &'t [u8] {
        self.text.get(self.pos..).unwrap_or_default()
    }

    /// How many bytes from here on are ASCII and keep a rule. Most of a text is
    /// such runs; what is left over is looked at character by character.
    pub(super) fn run(&self, rule: impl Fn(u8) -> bool) -> usize {
        let rest = self.rest();
        let ends = |byte: &u8| !(b' '..=b'~').contains(byte) || !rule(*byte);
        rest.iter().position(ends).unwrap_or(rest.len())
    }

    pub(super) fn skip_run(&mut self, length: usize) {
        self.pos += length;
        self.mark.index += length;
        self.mark.column += length;
    }

    pub(super) fn read_run(&mut self, out: &mut Vec<u8>, rule: impl Fn(u8) -> bool) {
        let length = self.run(rule);
        out.extend_from_slice(&self.text[self.pos..self.pos + length]);
        self.skip_run(length);
    }

    /// Skips what is left of a line.
    pub(super) fn skip_comment(&mut self) {
        while !self.is_break_or_end(0) {
            match self.run(|_| true) {
                0 => self.skip(),
                length => self.skip_run(length),
            }
        }
    }

    /// A part of the text, which was checked to be UTF-8.
    pub(super) fn part(&self, at: Range<usize>) -> Cow<'t, str> {
        let bytes = &self.text[at];
        match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        }
    }

    pub(super) fn byte(&self, ahead: usize) -> u8 {
        self.text.get(self.pos + ahead).copied().unwrap_or(0)
    }

    pub(super) fn is_break(&self, ahead: usize) -> bool {
        match self.byte(ahead) {
            b'\r' | b'\n' => true,
            0xC2 => self.byte(ahead + 1) == 0x85,
            0xE2 => self.byte(ahead + 1) == 0x80 && matches!(self.byte(ahead + 2), 0xA8 | 0xA9),
            _ => false,
        }
    }

    pub(super) fn is_end(&self, ahead: usize) -> bool {
        self.byte(ahead) == 0
    }

    pub(super) fn is_break_or_end(&self, ahead: usize) -> bool {
        self.is_break(ahead) || self.is_end(ahead)
    }

    pub(super) fn is_blank_or_end(&self, ahead: usize) -> bool {
        is_blank(self.byte(ahead)) || self.is_break_or_end(ahead)
    }

    pub(super) fn width(&self) -> usize {
        match self.byte(0) {
            0xF0.. => 4,
            0xE0.. => 3,
            0xC0.. => 2,
            _ => 1,
        }
    }

    pub(super) fn skip(&mut self) {
        self.pos += self.width();
        self.mark.index += 1;
        self.mark.column += 1;
    }

    pub(super) fn skip_line(&mut self) {
        let crlf = self.byte(0) == b'\r' && self.byte(1) == b'\n';
        self.pos += if crlf { 2 } else { self.width() };
        self.mark.index += if crlf { 2 } else { 1 };
        self.mark.column = 0;
        self.mark.line += 1;
    }

    pub(super) fn read(&mut self, out: &mut Vec<u8>) {
        let width = self.width();
        out.extend_from_slice(&self.text[self.pos..self.pos + width]);
        self.skip();
    }

    pub(super) fn read_line(&mut self, out: &mut Vec<u8>) {
        match self.byte(0) {
            b'\r' | b'\n' | 0xC2 => out.push(b'\n'),
            _ => out.extend_from_slice(&self.text[self.pos..self.pos + 3]),
        }
        self.skip_line();
    }

    pub(super) fn skip_blanks(&mut self) {
        while is_blank(self.byte(0)) {
            self.skip();
        }
    }
}

/// The characters that YAML 1.1 allows (section 5.1, `c-printable`).
pub(super) fn check_characters(bytes: &[u8]) -> Result<()> {
    let refuse = |message: &str, at: usize| {
        Err(Error::Syntax {
            line: None,
            true_line: 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count(),
            column: 1,
            message: message.into(),
        })
    };
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t');
    if bytes.iter().all(is_plain) {
        return Ok(());
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let message = match (bytes[at], error.error_len()) {
                (_, None) => "incomplete UTF-8 octet sequence",
                (0x80..=0xC1 | 0xF5..=0xFF, _) => "invalid leading UTF-8 octet",
                _ => "invalid trailing UTF-8 octet",
            };
            return refuse(message, at);
        }
    };
    for (at, c) in text.char_indices() {
        let allowed = matches!(
            c,
            '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{A0}'..='\u{D7FF}'
                | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}'
        );
        if !allowed {
            return refuse("control characters are not allowed", at);
        }
    }
    Ok(())
}

pub(super) fn text(bytes: Vec<u8>) -> String {
    // The whole text was checked; URI escapes alone can break characters.
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
