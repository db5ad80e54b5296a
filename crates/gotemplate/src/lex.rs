//! The lexer, after Go's `text/template/parse/lex.go`.
//!
//! Main type: [`Lexer`]. It hands out one [`Item`] at a time; an error is an
//! item too, and after it comes nothing.

use crate::strconv::{decode_char, is_print, quote};
use memchr::memmem::Finder;
use std::borrow::Cow;

/// What an [`Item`] is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
#[allow(missing_docs)]
pub enum ItemType {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    /// Only separates the keywords, which follow.
    Keyword,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// A token.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// What it is.
    pub typ: ItemType,
    /// Byte offset of its first byte.
    pub pos: usize,
    /// Its bytes; for an error, the message.
    pub val: Cow<'a, [u8]>,
    /// Line on which it starts, from 1.
    pub line: usize,
}

impl Item<'_> {
    /// Returns how messages show the item.
    pub fn show(&self) -> String {
        match self.typ {
            ItemType::Eof => "EOF".into(),
            ItemType::Error => self.text(),
            typ if typ > ItemType::Keyword => format!("<{}>", self.text()),
            _ if self.val.len() > 10 => {
                let mut end = 0;
                for _ in 0..10 {
                    end += decode_char(&self.val[end..]).1;
                }
                format!(
                    "{}...",
                    String::from_utf8_lossy(&quote(&self.val[..end], false))
                )
            }
            _ => String::from_utf8_lossy(&quote(&self.val, false)).into_owned(),
        }
    }

    /// Returns the bytes as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.val).into_owned()
    }
}

fn keyword(word: &[u8]) -> Option<ItemType> {
    Some(match word {
        b"." => ItemType::Dot,
        b"block" => ItemType::Block,
        b"break" => ItemType::Break,
        b"continue" => ItemType::Continue,
        b"define" => ItemType::Define,
        b"else" => ItemType::Else,
        b"end" => ItemType::End,
        b"if" => ItemType::If,
        b"range" => ItemType::Range,
        b"nil" => ItemType::Nil,
        b"template" => ItemType::Template,
        b"with" => ItemType::With,
        _ => return None,
    })
}

const LEFT_DELIM: &[u8] = b"{{";
const RIGHT_DELIM: &[u8] = b"}}";
const SPACE: &[u8] = b" \t\r\n";
/// A trim marker is a minus sign and a space beside the delimiter.
const TRIM_MARKER_LEN: usize = 2;

enum State {
    Text,
    LeftDelim,
    Comment,
    RightDelim,
    InsideAction,
}

enum Step<'a> {
    Go(State),
    Emit(Item<'a>),
}

/// The scanner.
pub struct Lexer<'a> {
    input: &'a [u8],
    pos: usize,
    start: usize,
    line: usize,
    start_line: usize,
    paren_depth: usize,
    inside_action: bool,
    left_delim: Finder<'static>,
}

fn is_space(c: Option<char>) -> bool {
    matches!(c, Some(' ' | '\t' | '\r' | '\n'))
}

fn is_alphanumeric(c: Option<char>) -> bool {
    c.is_some_and(|c| c == '_' || c.is_alphabetic() || c.is_numeric())
}

fn newlines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

fn has_left_trim_marker(bytes: &[u8]) -> bool {
    bytes.len() >= 2 && bytes[0] == b'-' && SPACE.contains(&bytes[1])
}

fn has_right_trim_marker(bytes: &[u8]) -> bool {
    bytes.len() >= 2 && SPACE.contains(&bytes[0]) && bytes[1] == b'-'
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Lexer {
            input,
            pos: 0,
            start: 0,
            line: 1,
            start_line: 1,
            paren_depth: 0,
            inside_action: false,
            left_delim: Finder::new(LEFT_DELIM),
        }
    }

    /// Returns the next item; `Eof` again and again at the end.
    pub fn next_item(&mut self) -> Item<'a> {
        let mut state = if self.inside_action {
            State::InsideAction
        } else {
            State::Text
        };
        loop {
            let step = match state {
                State::Text => self.lex_text(),
                State::LeftDelim => self.lex_left_delim(),
                State::Comment => self.lex_comment(),
                State::RightDelim => self.lex_right_delim(),
                State::InsideAction => self.lex_inside_action(),
            };
            match step {
                Step::Go(next) => state = next,
                Step::Emit(item) => return item,
            }
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.input[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        if let Some(byte) = self.rest().first().filter(|byte| byte.is_ascii()) {
            return Some(char::from(*byte));
        }
        match decode_char(self.rest()) {
            (_, 0) => None,
            (c, _) => Some(c.unwrap_or('\u{FFFD}')),
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += match c.is_ascii() {
            true => 1,
            false => decode_char(self.rest()).1,
        };
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn this_item(&mut self, typ: ItemType) -> Item<'a> {
        let item = Item {
            typ,
            pos: self.start,
            val: Cow::Borrowed(&self.input[self.start..self.pos]),
            line: self.start_line,
        };
        self.start = self.pos;
        self.start_line = self.line;
        item
    }

    fn emit(&mut self, typ: ItemType) -> Step<'a> {
        Step::Emit(self.this_item(typ))
    }

    fn ignore(&mut self) {
        self.line += newlines(&self.input[self.start..self.pos]);
        self.start = self.pos;
        self.start_line = self.line;
    }

    fn error(&mut self, message: impl Into<String>) -> Step<'a> {
        let item = Item {
            typ: ItemType::Error,
            pos: self.start,
            val: Cow::Owned(message.into().into_bytes()),
            line: self.start_line,
        };
        self.input = &self.input[..0];
        self.start = 0;
        self.pos = 0;
        self.inside_action = false;
        Step::Emit(item)
    }

    fn accept(&mut self, valid: &[u8]) -> bool {
        let accepted = self.rest().first().is_some_and(|byte| valid.contains(byte));
        self.pos += usize::from(accepted);
        accepted
    }

    fn accept_run(&mut self, valid: &[u8]) {
        while self.accept(valid) {}
    }

    fn lex_text(&mut self) -> Step<'a> {
        let Some(found) = self.left_delim.find(self.rest()) else {
            self.pos = self.input.len();
            if self.pos > self.start {
                self.line += newlines(&self.input[self.start..self.pos]);
                return self.emit(ItemType::Text);
            }
            return self.emit(ItemType::Eof);
        };
        if found > 0 {
            self.pos += found;
            let mut trim = 0;
            if has_left_trim_marker(&self.input[self.pos + LEFT_DELIM.len()..]) {
                let text = &self.input[self.start..self.pos];
                trim = text
                    .iter()
                    .rev()
                    .take_while(|byte| SPACE.contains(byte))
                    .count();
            }
            self.pos -= trim;
            self.line += newlines(&self.input[self.start..self.pos]);
            let item = self.this_item(ItemType::Text);
            self.pos += trim;
            self.ignore();
            if !item.val.is_empty() {
                return Step::Emit(item);
            }
        }
        Step::Go(State::LeftDelim)
    }

    /// Whether a right delimiter is here, and whether it trims.
    fn at_right_delim(&self) -> (bool, bool) {
        let rest = self.rest();
        if has_right_trim_marker(rest) && rest[TRIM_MARKER_LEN..].starts_with(RIGHT_DELIM) {
            return (true, true);
        }
        (rest.starts_with(RIGHT_DELIM), false)
    }

    fn skip_space(&mut self) {
        self.pos += self
            .rest()
            .iter()
            .take_while(|byte| SPACE.contains(byte))
            .count();
    }

    fn lex_left_delim(&mut self) -> Step<'a> {
        self.pos += LEFT_DELIM.len();
        let marker = if has_left_trim_marker(self.rest()) {
            TRIM_MARKER_LEN
        } else {
            0
        };
        if self.rest()[marker..].starts_with(b"/*") {
            self.pos += marker;
            self.ignore();
            return Step::Go(State::Comment);
        }
        let item = self.this_item(ItemType::LeftDelim);
        self.inside_action = true;
        self.pos += marker;
        self.ignore();
        self.paren_depth = 0;
        Step::Emit(item)
    }

    fn lex_comment(&mut self) -> Step<'a> {
        self.pos += 2;
        let Some(end) = memchr::memmem::find(self.rest(), b"*/") else {
            return self.error("unclosed comment");
        };
        self.pos += end + 2;
        let (delim, trim) = self.at_right_delim();
        if !delim {
            return self.error("comment ends before closing delimiter");
        }
        self.pos += if trim { TRIM_MARKER_LEN } else { 0 };
        self.pos += RIGHT_DELIM.len();
        if trim {
            self.skip_space();
        }
        self.ignore();
        Step::Go(State::Text)
    }

    fn lex_right_delim(&mut self) -> Step<'a> {
        let (_, trim) = self.at_right_delim();
        if trim {
            self.pos += TRIM_MARKER_LEN;
            self.ignore();
        }
        self.pos += RIGHT_DELIM.len();
        let item = self.this_item(ItemType::RightDelim);
        if trim {
            self.skip_space();
            self.ignore();
        }
        self.inside_action = false;
        Step::Emit(item)
    }

    fn lex_inside_action(&mut self) -> Step<'a> {
        if self.at_right_delim().0 {
            if self.paren_depth == 0 {
                return Step::Go(State::RightDelim);
            }
            return self.error("unclosed left paren");
        }
        let peeked = self.peek();
        if is_space(peeked) {
            return self.lex_space();
        }
        if matches!(peeked, Some('+' | '-' | '0'..='9')) {
            return self.lex_number();
        }
        if is_alphanumeric(peeked) {
            return self.lex_identifier();
        }
        let Some(c) = self.next() else {
            return self.error("unclosed action");
        };
        match c {
            '=' => self.emit(ItemType::Assign),
            ':' if self.next() == Some('=') => self.emit(ItemType::Declare),
            ':' => self.error("expected :="),
            '|' => self.emit(ItemType::Pipe),
            '"' => self.lex_quoted(b'"', ItemType::String, "unterminated quoted string"),
            '\'' => self.lex_quoted(
                b'\'',
                ItemType::CharConstant,
                "unterminated character constant",
            ),
            '`' => self.lex_raw_quote(),
            '$' => self.lex_field_or_variable(ItemType::Variable),
            '.' if self.rest().first().is_some_and(u8::is_ascii_digit) => {
                self.pos -= 1;
                self.lex_number()
            }
            // At the very end a dot falls through to the number scanner.
            '.' if self.rest().is_empty() => {
                self.pos -= 1;
                self.lex_number()
            }
            '.' => self.lex_field_or_variable(ItemType::Field),
            '(' => {
                self.paren_depth += 1;
                self.emit(ItemType::LeftParen)
            }
            ')' if self.paren_depth == 0 => self.error("unexpected right paren"),
            ')' => {
                self.paren_depth -= 1;
                self.emit(ItemType::RightParen)
            }
            c if c.is_ascii() && is_print(c) => self.emit(ItemType::Char),
            c => self.error(format!(
                "unrecognized character in action: {}",
                show_char(Some(c))
            )),
        }
    }

    fn lex_space(&mut self) -> Step<'a> {
        let mut count = 0;
        while is_space(self.peek()) {
            self.next();
            count += 1;
        }
        // The last space may belong to a trim marker.
        let from_last = &self.input[self.pos - 1..];
        if has_right_trim_marker(from_last) && from_last[TRIM_MARKER_LEN..].starts_with(RIGHT_DELIM)
        {
            self.pos -= 1;
            self.line -= usize::from(self.input[self.pos] == b'\n');
            if count == 1 {
                return Step::Go(State::RightDelim);
            }
        }
        self.emit(ItemType::Space)
    }

    /// Skips letters, digits and underscores.
    fn skip_word(&mut self) {
        loop {
            let rest = self.rest();
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            self.pos += rest.iter().take_while(|byte| plain(byte)).count();
            // What is no ASCII may be a letter, too.
            if !is_alphanumeric(self.peek()) {
                return;
            }
            self.next();
        }
    }

    fn lex_identifier(&mut self) -> Step<'a> {
        self.skip_word();
        if !self.at_terminator() {
            let bad = self.peek();
            return self.error(format!("bad character {}", show_char(bad)));
        }
        let word = &self.input[self.start..self.pos];
        if let Some(typ) = keyword(word) {
            return self.emit(typ);
        }
        match word {
            b"true" | b"false" => self.emit(ItemType::Bool),
            _ => self.emit(ItemType::Identifier),
        }
    }

    fn lex_field_or_variable(&mut self, typ: ItemType) -> Step<'a> {
        if self.at_terminator() {
            let alone = if typ == ItemType::Variable {
                typ
            } else {
                ItemType::Dot
            };
            return self.emit(alone);
        }
        self.skip_word();
        if !self.at_terminator() {
            let bad = self.peek();
            return self.error(format!("bad character {}", show_char(bad)));
        }
        self.emit(typ)
    }

    fn at_terminator(&self) -> bool {
        let c = self.peek();
        is_space(c)
            || matches!(c, None | Some('.' | ',' | '|' | ':' | ')' | '('))
            || self.rest().starts_with(RIGHT_DELIM)
    }

    fn lex_quoted(&mut self, quote: u8, typ: ItemType, unterminated: &str) -> Step<'a> {
        loop {
            let Some(found) = memchr::memchr3(quote, b'\\', b'\n', self.rest()) else {
                return self.error(unterminated);
            };
            self.pos += found;
            match self.next() {
                Some('\\') => {
                    if matches!(self.next(), None | Some('\n')) {
                        return self.error(unterminated);
                    }
                }
                Some('\n') => return self.error(unterminated),
                _ => return self.emit(typ),
            }
        }
    }

    fn lex_raw_quote(&mut self) -> Step<'a> {
        let Some(length) = memchr::memchr(b'`', self.rest()) else {
            return self.error("unterminated raw quoted string");
        };
        self.line += newlines(&self.rest()[..length]);
        self.pos += length + 1;
        self.emit(ItemType::RawString)
    }

    fn lex_number(&mut self) -> Step<'a> {
        if !self.scan_number() {
            return self.bad_number();
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || self.input[self.pos - 1] != b'i' {
                return self.bad_number();
            }
            return self.emit(ItemType::Complex);
        }
        self.emit(ItemType::Number)
    }

    fn bad_number(&mut self) -> Step<'a> {
        let shown = quote(&self.input[self.start..self.pos], false);
        self.error(format!(
            "bad number syntax: {}",
            String::from_utf8_lossy(&shown)
        ))
    }

    fn scan_number(&mut self) -> bool {
        self.accept(b"+-");
        let mut digits: &[u8] = b"0123456789_";
        if self.accept(b"0") {
            if self.accept(b"xX") {
                digits = b"0123456789abcdefABCDEF_";
            } else if self.accept(b"oO") {
                digits = b"01234567_";
            } else if self.accept(b"bB") {
                digits = b"01_";
            }
        }
        self.accept_run(digits);
        if self.accept(b".") {
            self.accept_run(digits);
        }
        let exponent: &[u8] = match digits.len() {
            11 => b"eE",
            23 => b"pP",
            _ => b"",
        };
        if self.accept(exponent) {
            self.accept(b"+-");
            self.accept_run(b"0123456789_");
        }
        self.accept(b"i");
        if is_alphanumeric(self.peek()) {
            self.next();
            return false;
        }
        true
    }
}

/// Go's `%#U`; the end of the input counts as -1.
fn show_char(c: Option<char>) -> String {
    match c {
        None => "U+FFFFFFFFFFFFFFFF".into(),
        Some(c) if is_print(c) => format!("U+{:04X} '{c}'", c as u32),
        Some(c) => format!("U+{:04X}", c as u32),
    }
}
