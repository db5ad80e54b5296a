//! The scanner: text to tokens, after libyaml's `scanner.c` as go-yaml v2
//! carries it.
//!
//! Main type: [`Scanner`]. Here are the tokens and what decides between them;
//! below, how each kind is read.

mod scalar;
mod tag;
mod text;

use self::text::check_characters;
use crate::error::{Error, Mark};
use std::borrow::Cow;
use std::collections::VecDeque;

/// What a [`Token`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum TokenType {
    StreamEnd,
    VersionDirective,
    TagDirective,
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias,
    Anchor,
    Tag,
    Scalar,
}

/// How a scalar was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub enum Style {
    #[default]
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
    Folded,
}

/// A token.
#[derive(Clone, Debug)]
pub struct Token<'t> {
    /// What it is.
    pub typ: TokenType,
    /// Where it starts.
    pub start: Mark,
    /// Where it ends.
    pub end: Mark,
    /// Text of a scalar, name of an anchor, handle of a tag.
    pub value: Cow<'t, str>,
    /// Suffix of a tag, prefix of a tag directive.
    pub suffix: String,
    /// Style of a scalar.
    pub style: Style,
}

impl Token<'_> {
    /// Makes a token that no text stands for.
    fn mark(typ: TokenType, mark: Mark) -> Self {
        Token {
            typ,
            start: mark,
            end: mark,
            value: Cow::Borrowed(""),
            suffix: String::new(),
            style: Style::Plain,
        }
    }
}

/// The byte order mark.
const BOM: &[u8] = "\u{FEFF}".as_bytes();

/// How deep collections may nest; go-yaml allows 10,000.
pub const DEPTH_MAX: usize = 512;

#[derive(Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    required: bool,
    token_number: usize,
    mark: Mark,
}

type Result<T> = std::result::Result<T, Error>;

/// Turns text into tokens.
pub struct Scanner<'t> {
    text: &'t [u8],
    pos: usize,
    mark: Mark,
    tokens: VecDeque<Token<'t>>,
    /// Whether the first token is known to be the next one: no key comes before.
    is_ready: bool,
    tokens_parsed: usize,
    stream_ended: bool,
    indent: isize,
    indents: Vec<isize>,
    flow_level: usize,
    simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
    /// Memory for the line break after a plain scalar, used again and again.
    break_buffer: Vec<u8>,
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn is_alpha(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

impl<'t> Scanner<'t> {
    /// Starts at the beginning of `text`.
    ///
    /// # Errors
    ///
    /// When the text holds bytes or characters that YAML does not allow.
    pub fn new(text: &'t [u8]) -> Result<Scanner<'t>> {
        check_characters(text)?;
        Ok(Scanner {
            text: text.strip_prefix(BOM).unwrap_or(text),
            pos: 0,
            mark: Mark::default(),
            tokens: VecDeque::new(),
            is_ready: false,
            tokens_parsed: 0,
            stream_ended: false,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
            break_buffer: Vec::new(),
        })
    }

    /// Returns the next token without taking it.
    ///
    /// # Errors
    ///
    /// Those of the scanner.
    pub fn peek(&mut self) -> Result<&Token<'t>> {
        self.fetch_more()?;
        Ok(&self.tokens[0])
    }

    /// Takes the next token.
    ///
    /// # Errors
    ///
    /// Those of the scanner.
    pub fn take(&mut self) -> Result<Token<'t>> {
        self.fetch_more()?;
        if self.tokens[0].typ == TokenType::StreamEnd {
            return Ok(self.tokens[0].clone());
        }
        self.is_ready = false;
        self.tokens_parsed += 1;
        Ok(self.tokens.pop_front().expect("a token was fetched"))
    }

    fn fetch_more(&mut self) -> Result<()> {
        while !self.is_ready {
            if !self.tokens.is_empty() {
                let number = self.tokens_parsed;
                let head = self
                    .simple_keys
                    .iter()
                    .rposition(|key| key.possible && key.token_number == number);
                self.is_ready = match head {
                    Some(head) => !self.simple_key_is_valid(head)?,
                    None => true,
                };
            }
            if !self.is_ready {
                self.fetch_next()?;
            }
        }
        Ok(())
    }

    fn error<T>(&self, message: &str, context: Option<Mark>) -> Result<T> {
        // go-yaml adds one to the line of scanner errors, but only when the
        // line is not the first.
        let line = match (self.mark.line, context.map_or(0, |mark| mark.line)) {
            (0, 0) => None,
            (0, context) => Some(context),
            (line, _) => Some(line + 1),
        };
        Err(Error::Syntax {
            line,
            true_line: self.mark.line + 1,
            column: self.mark.column + 1,
            message: message.into(),
        })
    }

    fn push(&mut self, typ: TokenType, start: Mark, value: Cow<'t, str>) {
        self.tokens.push_back(Token {
            typ,
            start,
            end: self.mark,
            value,
            suffix: String::new(),
            style: Style::Plain,
        });
    }

    fn fetch_next(&mut self) -> Result<()> {
        self.scan_to_next()?;
        self.unroll_indent(self.mark.column as isize);
        if self.is_end(0) {
            return self.fetch_stream_end();
        }
        let (byte, next) = (self.byte(0), self.byte(1));
        if self.mark.column == 0 {
            if byte == b'%' {
                return self.fetch_directive();
            }
            if let Some(typ) = self.document_indicator() {
                return self.fetch_document_indicator(typ);
            }
        }
        let spaced = self.is_blank_or_end(1);
        let flow = self.flow_level > 0;
        match byte {
            b'[' => self.fetch_flow_start(TokenType::FlowSequenceStart),
            b'{' => self.fetch_flow_start(TokenType::FlowMappingStart),
            b']' => self.fetch_flow_end(TokenType::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(TokenType::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if spaced => self.fetch_block_entry(),
            b'?' if flow || spaced => self.fetch_key(),
            b':' if flow || spaced => self.fetch_value(),
            b'*' => self.fetch_anchor(TokenType::Alias),
            b'&' => self.fetch_anchor(TokenType::Anchor),
            b'!' => self.fetch_tag(),
            b'|' if !flow => self.fetch_block_scalar(true),
            b'>' if !flow => self.fetch_block_scalar(false),
            b'\'' => self.fetch_flow_scalar(true),
            b'"' => self.fetch_flow_scalar(false),
            b'-' if !is_blank(next) => self.fetch_plain_scalar(),
            b'?' | b':' if !flow && !spaced => self.fetch_plain_scalar(),
            b'-' | b'?' | b':' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`' | b'\t' => {
                let mark = self.mark;
                self.error("found character that cannot start any token", Some(mark))
            }
            _ => self.fetch_plain_scalar(),
        }
    }

    fn document_indicator(&self) -> Option<TokenType> {
        if !self.is_blank_or_end(3) {
            return None;
        }
        match self.rest() {
            [b'-', b'-', b'-', ..] => Some(TokenType::DocumentStart),
            [b'.', b'.', b'.', ..] => Some(TokenType::DocumentEnd),
            _ => None,
        }
    }

    fn simple_key_is_valid(&mut self, at: usize) -> Result<bool> {
        let key = self.simple_keys[at];
        if !key.possible {
            return Ok(false);
        }
        // A simple key fits on one line and in 1024 characters.
        if key.mark.line < self.mark.line || key.mark.index + 1024 < self.mark.index {
            if key.required {
                return self.error("could not find expected ':'", Some(key.mark));
            }
            self.simple_keys[at].possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    fn save_simple_key(&mut self) -> Result<()> {
        let required = self.flow_level == 0 && self.indent == self.mark.column as isize;
        if self.simple_key_allowed {
            let key = SimpleKey {
                possible: true,
                required,
                token_number: self.tokens_parsed + self.tokens.len(),
                mark: self.mark,
            };
            self.remove_simple_key()?;
            *self.simple_keys.last_mut().expect("never empty") = key;
        }
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Result<()> {
        let key = *self.simple_keys.last().expect("never empty");
        if key.possible && key.required {
            return self.error("could not find expected ':'", Some(key.mark));
        }
        self.simple_keys.last_mut().expect("never empty").possible = false;
        Ok(())
    }

    fn roll_indent(
        &mut self,
        column: usize,
        number: Option<usize>,
        typ: TokenType,
        mark: Mark,
    ) -> Result<()> {
        let column = column as isize;
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > DEPTH_MAX {
            return self.error(&format!("exceeded max depth of {DEPTH_MAX}"), None);
        }
        let token = Token::mark(typ, mark);
        match number {
            Some(number) => self.tokens.insert(number - self.tokens_parsed, token),
            None => self.tokens.push_back(token),
        }
        Ok(())
    }

    fn unroll_indent(&mut self, column: isize) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(TokenType::BlockEnd, self.mark, Cow::Borrowed(""));
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn fetch_stream_end(&mut self) -> Result<()> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.stream_ended = true;
        self.push(TokenType::StreamEnd, self.mark, Cow::Borrowed(""));
        Ok(())
    }

    fn fetch_directive(&mut self) -> Result<()> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_directive()
    }

    fn fetch_document_indicator(&mut self, typ: TokenType) -> Result<()> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        for _ in 0..3 {
            self.skip();
        }
        self.push(typ, start, Cow::Borrowed(""));
        Ok(())
    }

    fn indicator(&mut self, typ: TokenType) {
        let start = self.mark;
        self.skip();
        self.push(typ, start, Cow::Borrowed(""));
    }

    fn fetch_flow_start(&mut self, typ: TokenType) -> Result<()> {
        self.save_simple_key()?;
        self.simple_keys.push(SimpleKey {
            token_number: self.tokens_parsed + self.tokens.len(),
            mark: self.mark,
            ..SimpleKey::default()
        });
        self.flow_level += 1;
        if self.flow_level > DEPTH_MAX {
            return self.error(&format!("exceeded max depth of {DEPTH_MAX}"), None);
        }
        self.simple_key_allowed = true;
        self.indicator(typ);
        Ok(())
    }

    fn fetch_flow_end(&mut self, typ: TokenType) -> Result<()> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            self.simple_keys.pop();
        }
        self.simple_key_allowed = false;
        self.indicator(typ);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Result<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.indicator(TokenType::FlowEntry);
        Ok(())
    }

    /// Starts a collection of the block style here, unless one is open; `what`
    /// must be allowed.
    fn start_block(&mut self, what: &str, typ: TokenType) -> Result<()> {
        if self.flow_level > 0 {
            return Ok(());
        }
        let mark = self.mark;
        if !self.simple_key_allowed {
            let message = format!("{what} are not allowed in this context");
            return self.error(&message, Some(mark));
        }
        self.roll_indent(mark.column, None, typ, mark)
    }

    fn fetch_block_entry(&mut self) -> Result<()> {
        self.start_block("block sequence entries", TokenType::BlockSequenceStart)?;
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.indicator(TokenType::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<()> {
        self.start_block("mapping keys", TokenType::BlockMappingStart)?;
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.indicator(TokenType::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<()> {
        let last = self.simple_keys.len() - 1;
        if self.simple_key_is_valid(last)? {
            let key = self.simple_keys[last];
            let token = Token::mark(TokenType::Key, key.mark);
            self.tokens
                .insert(key.token_number - self.tokens_parsed, token);
            self.roll_indent(
                key.mark.column,
                Some(key.token_number),
                TokenType::BlockMappingStart,
                key.mark,
            )?;
            self.simple_keys[last].possible = false;
            self.simple_key_allowed = false;
        } else {
            self.start_block("mapping values", TokenType::BlockMappingStart)?;
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.indicator(TokenType::Value);
        Ok(())
    }

    fn fetch_anchor(&mut self, typ: TokenType) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.skip();
        let from = self.pos;
        while is_alpha(self.byte(0)) {
            self.skip();
        }
        let name = self.part(from..self.pos);
        let ends = self.is_blank_or_end(0)
            || matches!(
                self.byte(0),
                b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`'
            );
        if name.is_empty() || !ends {
            return self.error(
                "did not find expected alphabetic or numeric character",
                Some(start),
            );
        }
        self.push(typ, start, name);
        Ok(())
    }

    fn fetch_block_scalar(&mut self, literal: bool) -> Result<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.scan_block_scalar(literal)
    }

    fn fetch_flow_scalar(&mut self, single: bool) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_flow_scalar(single)
    }

    fn fetch_plain_scalar(&mut self) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_plain_scalar()
    }

    fn scan_to_next(&mut self) -> Result<()> {
        loop {
            // go-yaml looks for the mark at the start of the text, wherever it is.
            if self.mark.column == 0 && self.text.starts_with(BOM) && !self.is_end(0) {
                self.skip();
            }
            self.skip_run(self.run(|byte| byte == b' '));
            while self.byte(0) == b' '
                || (self.byte(0) == b'\t' && (self.flow_level > 0 || !self.simple_key_allowed))
            {
                self.skip();
            }
            if self.byte(0) == b'#' {
                self.skip_comment();
            }
            if !self.is_break(0) {
                return Ok(());
            }
            self.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }
}
