//! How scalars are written: plain, in quotes, folded, as a block.

use super::analysis::{analyze, is_base60, is_bom, is_break, is_old_bool, is_printable, width};
use super::{BEST_INDENT, Dialect, Writer};
use crate::resolve::{Scalar, resolve};

/// Lines longer than this are folded at spaces.
const BEST_WIDTH: usize = 80;

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

impl Writer {
    pub(super) fn write_string(&mut self, text: &str, simple_key: bool) {
        let meaning = resolve(text);
        let text = text.as_bytes();
        let analysis = analyze(text);
        let plain = match meaning {
            Scalar::Str if is_base60(text) => false,
            Scalar::Str => self.dialect == Dialect::V2 || !is_old_bool(text),
            Scalar::Merge => true,
            _ => false,
        };
        let mut style = if text.contains(&b'\n') {
            Style::Literal
        } else if plain {
            Style::Plain
        } else {
            Style::Double
        };
        if simple_key && analysis.multiline {
            style = Style::Double;
        }
        if style == Style::Plain && (!analysis.plain_allowed || text.is_empty()) {
            style = Style::Single;
        }
        if style == Style::Single && !analysis.single_allowed {
            style = Style::Double;
        }
        if style == Style::Literal && (!analysis.block_allowed || simple_key) {
            style = Style::Double;
        }
        // Further lines of a scalar stand one level deeper.
        self.indent += BEST_INDENT;
        match style {
            Style::Plain => self.write_plain(text, !simple_key),
            Style::Single => self.write_single(text, !simple_key),
            Style::Double => self.write_double(text, !simple_key),
            Style::Literal => self.write_literal(text),
        }
        self.indent -= BEST_INDENT;
    }

    /// Copies one character; returns its length.
    fn copy(&mut self, text: &[u8], at: usize) -> usize {
        let width = width(text[at]).min(text.len() - at);
        self.out.extend_from_slice(&text[at..at + width]);
        self.column += 1;
        width
    }

    fn write_break(&mut self, text: &[u8], at: usize) -> usize {
        if text[at] == b'\n' {
            self.put_break();
            return 1;
        }
        let width = self.copy(text, at);
        self.column = 0;
        width
    }

    /// Copies characters up to the next space; returns their length.
    fn copy_word(&mut self, text: &[u8]) -> usize {
        let space = text.iter().position(|byte| *byte == b' ');
        let word = &text[..space.unwrap_or(text.len())];
        self.out.extend_from_slice(word);
        // Every character but those inside of one.
        self.column += word.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        word.len()
    }

    fn too_long(&self) -> bool {
        self.dialect == Dialect::V2 && self.column > BEST_WIDTH
    }

    pub(super) fn write_plain(&mut self, text: &[u8], allow_breaks: bool) {
        if !self.whitespace {
            self.put(b' ');
        }
        let mut spaces = false;
        let mut at = 0;
        while at < text.len() {
            if text[at] == b' ' {
                let fold =
                    allow_breaks && !spaces && self.too_long() && text.get(at + 1) != Some(&b' ');
                if fold {
                    self.write_indent();
                    at += 1;
                } else {
                    at += self.copy(text, at);
                }
                spaces = true;
            } else {
                at += self.copy_word(&text[at..]);
                self.indention = false;
                spaces = false;
            }
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn write_single(&mut self, text: &[u8], allow_breaks: bool) {
        self.indicator(b"'", true, false, false);
        let (mut spaces, mut breaks) = (false, false);
        let mut at = 0;
        while at < text.len() {
            if text[at] == b' ' {
                let inner = at > 0 && at + 1 < text.len() && text[at + 1] != b' ';
                if allow_breaks && !spaces && self.too_long() && inner {
                    self.write_indent();
                    at += 1;
                } else {
                    at += self.copy(text, at);
                }
                spaces = true;
            } else if is_break(text, at) {
                if !breaks && text[at] == b'\n' {
                    self.put_break();
                }
                at += self.write_break(text, at);
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                if text[at] == b'\'' {
                    self.put(b'\'');
                }
                at += self.copy(text, at);
                self.indention = false;
                spaces = false;
                breaks = false;
            }
        }
        self.indicator(b"'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn write_double(&mut self, text: &[u8], allow_breaks: bool) {
        self.indicator(b"\"", true, false, false);
        let mut spaces = false;
        let mut at = 0;
        while at < text.len() {
            let byte = text[at];
            if !is_printable(text, at)
                // go-yaml looks for the mark at the start, wherever it is.
                || is_bom(text, 0)
                || is_break(text, at)
                || byte == b'"'
                || byte == b'\\'
            {
                at += self.write_escape(text, at);
                spaces = false;
            } else if byte == b' ' {
                let inner = at > 0 && at + 1 < text.len();
                if allow_breaks && !spaces && self.too_long() && inner {
                    self.write_indent();
                    if text[at + 1] == b' ' {
                        self.put(b'\\');
                    }
                    at += 1;
                } else {
                    at += self.copy(text, at);
                }
                spaces = true;
            } else {
                at += self.copy(text, at);
                spaces = false;
            }
        }
        self.indicator(b"\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn write_escape(&mut self, text: &[u8], at: usize) -> usize {
        let width = width(text[at]).min(text.len() - at);
        let c = std::str::from_utf8(&text[at..at + width])
            .ok()
            .and_then(|text| text.chars().next())
            .unwrap_or('\u{FFFD}');
        let escaped = match c {
            '\0' => "\\0".into(),
            '\x07' => "\\a".into(),
            '\x08' => "\\b".into(),
            '\t' => "\\t".into(),
            '\n' => "\\n".into(),
            '\x0b' => "\\v".into(),
            '\x0c' => "\\f".into(),
            '\r' => "\\r".into(),
            '\x1b' => "\\e".into(),
            '"' => "\\\"".into(),
            '\\' => "\\\\".into(),
            '\u{85}' => "\\N".into(),
            '\u{A0}' => "\\_".into(),
            '\u{2028}' => "\\L".into(),
            '\u{2029}' => "\\P".into(),
            c if (c as u32) <= 0xFF => format!("\\x{:02X}", c as u32),
            c if (c as u32) <= 0xFFFF => format!("\\u{:04X}", c as u32),
            c => format!("\\U{:08X}", c as u32),
        };
        for byte in escaped.bytes() {
            self.put(byte);
        }
        width
    }

    fn write_literal(&mut self, text: &[u8]) {
        self.indicator(b"|", true, false, false);
        if matches!(text.first(), Some(b' ')) || is_break(text, 0) {
            let hint = [b'0' + BEST_INDENT as u8];
            self.indicator(&hint, false, false, false);
        }
        if let Some(hint) = chomp_hint(text) {
            self.indicator(&[hint], false, false, false);
        }
        self.put_break();
        self.indention = true;
        self.whitespace = true;
        let mut breaks = true;
        let mut at = 0;
        while at < text.len() {
            if is_break(text, at) {
                at += self.write_break(text, at);
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                at += self.copy(text, at);
                self.indention = false;
                breaks = false;
            }
        }
    }
}

/// `-` strips the final line break, `+` keeps several, nothing keeps one.
fn chomp_hint(text: &[u8]) -> Option<u8> {
    let last = last_char_start(text, text.len())?;
    if !is_break(text, last) {
        return Some(b'-');
    }
    match last_char_start(text, last) {
        None => Some(b'+'),
        Some(before) if is_break(text, before) => Some(b'+'),
        Some(_) => None,
    }
}

fn last_char_start(text: &[u8], end: usize) -> Option<usize> {
    let mut at = end.checked_sub(1)?;
    while at > 0 && text[at] & 0xC0 == 0x80 {
        at -= 1;
    }
    Some(at)
}
