//! The scanner: text to tokens, after libyaml's `scanner.c` as go-yaml v2
//! carries it.
//!
//! Main type: [`Scanner`].

use crate::error::{Error, Mark};
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
pub struct Token {
    /// What it is.
    pub typ: TokenType,
    /// Where it starts.
    pub start: Mark,
    /// Where it ends.
    pub end: Mark,
    /// Text of a scalar, name of an anchor, handle of a tag.
    pub value: String,
    /// Suffix of a tag, prefix of a tag directive.
    pub suffix: String,
    /// Style of a scalar.
    pub style: Style,
}

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
pub struct Scanner {
    /// The text and a few zero bytes, so that looking ahead needs no checks.
    text: Vec<u8>,
    pos: usize,
    mark: Mark,
    tokens: VecDeque<Token>,
    tokens_parsed: usize,
    stream_ended: bool,
    indent: isize,
    indents: Vec<isize>,
    flow_level: usize,
    simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn is_alpha(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

impl Scanner {
    /// Starts at the beginning of `text`.
    ///
    /// # Errors
    ///
    /// When the text holds bytes or characters that YAML does not allow.
    pub fn new(text: &[u8]) -> Result<Scanner> {
        check_characters(text)?;
        let mut padded = Vec::with_capacity(text.len() + 8);
        padded.extend(text.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(text));
        padded.extend([0; 8]);
        Ok(Scanner {
            text: padded,
            pos: 0,
            mark: Mark::default(),
            tokens: VecDeque::new(),
            tokens_parsed: 0,
            stream_ended: false,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
        })
    }

    /// Returns the next token without taking it.
    ///
    /// # Errors
    ///
    /// Those of the scanner.
    pub fn peek(&mut self) -> Result<&Token> {
        self.fetch_more()?;
        Ok(&self.tokens[0])
    }

    /// Takes the next token.
    ///
    /// # Errors
    ///
    /// Those of the scanner.
    pub fn take(&mut self) -> Result<Token> {
        self.fetch_more()?;
        if self.tokens[0].typ == TokenType::StreamEnd {
            return Ok(self.tokens[0].clone());
        }
        self.tokens_parsed += 1;
        Ok(self.tokens.pop_front().expect("a token was fetched"))
    }

    fn fetch_more(&mut self) -> Result<()> {
        loop {
            if !self.tokens.is_empty() {
                let number = self.tokens_parsed;
                let head = self
                    .simple_keys
                    .iter()
                    .rposition(|key| key.possible && key.token_number == number);
                let Some(head) = head else {
                    return Ok(());
                };
                if !self.simple_key_is_valid(head)? {
                    return Ok(());
                }
            }
            self.fetch_next()?;
        }
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text.get(self.pos + ahead).copied().unwrap_or(0)
    }

    fn is_break(&self, ahead: usize) -> bool {
        match self.byte(ahead) {
            b'\r' | b'\n' => true,
            0xC2 => self.byte(ahead + 1) == 0x85,
            0xE2 => self.byte(ahead + 1) == 0x80 && matches!(self.byte(ahead + 2), 0xA8 | 0xA9),
            _ => false,
        }
    }

    fn is_end(&self, ahead: usize) -> bool {
        self.byte(ahead) == 0
    }

    fn is_break_or_end(&self, ahead: usize) -> bool {
        self.is_break(ahead) || self.is_end(ahead)
    }

    fn is_blank_or_end(&self, ahead: usize) -> bool {
        is_blank(self.byte(ahead)) || self.is_break_or_end(ahead)
    }

    fn width(&self) -> usize {
        match self.byte(0) {
            0xF0.. => 4,
            0xE0.. => 3,
            0xC0.. => 2,
            _ => 1,
        }
    }

    fn skip(&mut self) {
        self.pos += self.width();
        self.mark.index += 1;
        self.mark.column += 1;
    }

    fn skip_line(&mut self) {
        let crlf = self.byte(0) == b'\r' && self.byte(1) == b'\n';
        self.pos += if crlf { 2 } else { self.width() };
        self.mark.index += if crlf { 2 } else { 1 };
        self.mark.column = 0;
        self.mark.line += 1;
    }

    fn read(&mut self, out: &mut Vec<u8>) {
        let width = self.width();
        out.extend_from_slice(&self.text[self.pos..self.pos + width]);
        self.skip();
    }

    fn read_line(&mut self, out: &mut Vec<u8>) {
        match self.byte(0) {
            b'\r' | b'\n' | 0xC2 => out.push(b'\n'),
            _ => out.extend_from_slice(&self.text[self.pos..self.pos + 3]),
        }
        self.skip_line();
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

    fn push(&mut self, typ: TokenType, start: Mark, value: Vec<u8>) {
        self.tokens.push_back(Token {
            typ,
            start,
            end: self.mark,
            value: text(value),
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
        match &self.text[self.pos..self.pos + 3] {
            b"---" => Some(TokenType::DocumentStart),
            b"..." => Some(TokenType::DocumentEnd),
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
        let token = Token {
            typ,
            start: mark,
            end: mark,
            value: String::new(),
            suffix: String::new(),
            style: Style::Plain,
        };
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
            self.push(TokenType::BlockEnd, self.mark, Vec::new());
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
        self.push(TokenType::StreamEnd, self.mark, Vec::new());
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
        self.push(typ, start, Vec::new());
        Ok(())
    }

    fn indicator(&mut self, typ: TokenType) {
        let start = self.mark;
        self.skip();
        self.push(typ, start, Vec::new());
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

    fn fetch_block_entry(&mut self) -> Result<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                let mark = self.mark;
                return self.error(
                    "block sequence entries are not allowed in this context",
                    Some(mark),
                );
            }
            self.roll_indent(
                self.mark.column,
                None,
                TokenType::BlockSequenceStart,
                self.mark,
            )?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.indicator(TokenType::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                let mark = self.mark;
                return self.error("mapping keys are not allowed in this context", Some(mark));
            }
            self.roll_indent(
                self.mark.column,
                None,
                TokenType::BlockMappingStart,
                self.mark,
            )?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.indicator(TokenType::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<()> {
        let last = self.simple_keys.len() - 1;
        if self.simple_key_is_valid(last)? {
            let key = self.simple_keys[last];
            let token = Token {
                typ: TokenType::Key,
                start: key.mark,
                end: key.mark,
                value: String::new(),
                suffix: String::new(),
                style: Style::Plain,
            };
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
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    let mark = self.mark;
                    return self
                        .error("mapping values are not allowed in this context", Some(mark));
                }
                self.roll_indent(
                    self.mark.column,
                    None,
                    TokenType::BlockMappingStart,
                    self.mark,
                )?;
            }
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
        let mut name = Vec::new();
        while is_alpha(self.byte(0)) {
            self.read(&mut name);
        }
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

    fn fetch_tag(&mut self) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let mut handle = Vec::new();
        let suffix;
        if self.byte(1) == b'<' {
            self.skip();
            self.skip();
            suffix = self.scan_tag_uri(&[], start)?;
            if self.byte(0) != b'>' {
                return self.error("did not find the expected '>'", Some(start));
            }
            self.skip();
        } else {
            handle = self.scan_tag_handle(false, start)?;
            if handle.len() > 1 && handle.ends_with(b"!") {
                suffix = self.scan_tag_uri(&[], start)?;
            } else {
                let uri = self.scan_tag_uri(&handle, start)?;
                // The tag `!` alone has an empty handle.
                (handle, suffix) = if uri.is_empty() {
                    (Vec::new(), b"!".to_vec())
                } else {
                    (b"!".to_vec(), uri)
                };
            }
        }
        if !self.is_blank_or_end(0) {
            return self.error(
                "did not find expected whitespace or line break",
                Some(start),
            );
        }
        self.push(TokenType::Tag, start, handle);
        self.tokens.back_mut().expect("just pushed").suffix = text(suffix);
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
            if self.mark.column == 0 && self.text[self.pos..].starts_with("\u{FEFF}".as_bytes()) {
                self.skip();
            }
            while self.byte(0) == b' '
                || (self.byte(0) == b'\t' && (self.flow_level > 0 || !self.simple_key_allowed))
            {
                self.skip();
            }
            if self.byte(0) == b'#' {
                while !self.is_break_or_end(0) {
                    self.skip();
                }
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

    fn scan_directive(&mut self) -> Result<()> {
        let start = self.mark;
        self.skip();
        let mut name = Vec::new();
        while is_alpha(self.byte(0)) {
            self.read(&mut name);
        }
        if name.is_empty() {
            return self.error("could not find expected directive name", Some(start));
        }
        if !self.is_blank_or_end(0) {
            return self.error("found unexpected non-alphabetical character", Some(start));
        }
        match name.as_slice() {
            b"YAML" => {
                self.skip_blanks();
                let mut version = Vec::new();
                self.version_number(&mut version, start)?;
                if self.byte(0) != b'.' {
                    return self.error("did not find expected digit or '.' character", Some(start));
                }
                self.read(&mut version);
                self.version_number(&mut version, start)?;
                self.push(TokenType::VersionDirective, start, version);
            }
            b"TAG" => {
                self.skip_blanks();
                let handle = self.scan_tag_handle(true, start)?;
                if !is_blank(self.byte(0)) {
                    return self.error("did not find expected whitespace", Some(start));
                }
                self.skip_blanks();
                let prefix = self.scan_tag_uri(&[], start)?;
                if !self.is_blank_or_end(0) {
                    return self.error(
                        "did not find expected whitespace or line break",
                        Some(start),
                    );
                }
                self.push(TokenType::TagDirective, start, handle);
                self.tokens.back_mut().expect("just pushed").suffix = text(prefix);
            }
            _ => return self.error("found unknown directive name", Some(start)),
        }
        self.skip_blanks();
        if self.byte(0) == b'#' {
            while !self.is_break_or_end(0) {
                self.skip();
            }
        }
        if !self.is_break_or_end(0) {
            return self.error("did not find expected comment or line break", Some(start));
        }
        if self.is_break(0) {
            self.skip_line();
        }
        Ok(())
    }

    fn skip_blanks(&mut self) {
        while is_blank(self.byte(0)) {
            self.skip();
        }
    }

    fn version_number(&mut self, out: &mut Vec<u8>, start: Mark) -> Result<()> {
        let before = out.len();
        while self.byte(0).is_ascii_digit() {
            if out.len() - before >= 2 {
                return self.error("found extremely long version number", Some(start));
            }
            self.read(out);
        }
        if out.len() == before {
            return self.error("did not find expected version number", Some(start));
        }
        Ok(())
    }

    fn scan_tag_handle(&mut self, directive: bool, start: Mark) -> Result<Vec<u8>> {
        if self.byte(0) != b'!' {
            return self.error("did not find expected '!'", Some(start));
        }
        let mut handle = Vec::new();
        self.read(&mut handle);
        while is_alpha(self.byte(0)) {
            self.read(&mut handle);
        }
        if self.byte(0) == b'!' {
            self.read(&mut handle);
        } else if directive && handle != b"!" {
            return self.error("did not find expected '!'", Some(start));
        }
        Ok(handle)
    }

    fn scan_tag_uri(&mut self, head: &[u8], start: Mark) -> Result<Vec<u8>> {
        let mut uri = head.get(1..).unwrap_or_default().to_vec();
        let mut any = !head.is_empty();
        loop {
            match self.byte(0) {
                b'%' => self.scan_uri_escapes(&mut uri, start)?,
                byte if is_alpha(byte) || b";/?:@&=+$,.!~*'()[]".contains(&byte) => {
                    self.read(&mut uri);
                }
                _ => break,
            }
            any = true;
        }
        if !any {
            return self.error("did not find expected tag URI", Some(start));
        }
        Ok(uri)
    }

    fn scan_uri_escapes(&mut self, out: &mut Vec<u8>, start: Mark) -> Result<()> {
        let hex = |byte: u8| (byte as char).to_digit(16);
        let (Some(high), Some(low)) = (hex(self.byte(1)), hex(self.byte(2))) else {
            return self.error("did not find URI escaped octet", Some(start));
        };
        out.push((high << 4 | low) as u8);
        for _ in 0..3 {
            self.skip();
        }
        Ok(())
    }

    /// Reads `+`, `-` and the digit of a block scalar's header.
    fn block_header(&mut self, start: Mark) -> Result<(i8, usize)> {
        let (mut chomping, mut increment) = (0, 0);
        let mut chomp = |scanner: &mut Self| {
            match scanner.byte(0) {
                b'+' => chomping = 1,
                b'-' => chomping = -1,
                _ => return false,
            }
            scanner.skip();
            true
        };
        let first = chomp(self);
        if self.byte(0).is_ascii_digit() {
            if self.byte(0) == b'0' {
                return self.error("found an indentation indicator equal to 0", Some(start));
            }
            increment = usize::from(self.byte(0) - b'0');
            self.skip();
            if !first {
                chomp(self);
            }
        }
        Ok((chomping, increment))
    }

    fn scan_block_scalar(&mut self, literal: bool) -> Result<()> {
        let start = self.mark;
        self.skip();
        let (chomping, increment) = self.block_header(start)?;
        self.skip_blanks();
        if self.byte(0) == b'#' {
            while !self.is_break_or_end(0) {
                self.skip();
            }
        }
        if !self.is_break_or_end(0) {
            return self.error("did not find expected comment or line break", Some(start));
        }
        if self.is_break(0) {
            self.skip_line();
        }
        let mut indent = match increment {
            0 => 0,
            increment => self.indent.max(0) as usize + increment,
        };
        let (mut out, mut leading_break, mut trailing_breaks) =
            (Vec::new(), Vec::new(), Vec::new());
        self.block_scalar_breaks(&mut indent, &mut trailing_breaks, start)?;
        let mut end = self.mark;
        let mut leading_blank = false;
        while self.mark.column == indent && !self.is_end(0) {
            let trailing_blank = is_blank(self.byte(0));
            if !literal
                && !leading_blank
                && !trailing_blank
                && leading_break.first() == Some(&b'\n')
            {
                if trailing_breaks.is_empty() {
                    out.push(b' ');
                }
            } else {
                out.append(&mut leading_break);
            }
            leading_break.clear();
            out.append(&mut trailing_breaks);
            leading_blank = is_blank(self.byte(0));
            while !self.is_break_or_end(0) {
                self.read(&mut out);
            }
            if self.is_break(0) {
                self.read_line(&mut leading_break);
            }
            end = self.mark;
            self.block_scalar_breaks(&mut indent, &mut trailing_breaks, start)?;
        }
        if chomping != -1 {
            out.append(&mut leading_break);
        }
        if chomping == 1 {
            out.append(&mut trailing_breaks);
        }
        self.push(TokenType::Scalar, start, out);
        let token = self.tokens.back_mut().expect("just pushed");
        token.end = end;
        token.style = if literal {
            Style::Literal
        } else {
            Style::Folded
        };
        Ok(())
    }

    fn block_scalar_breaks(
        &mut self,
        indent: &mut usize,
        breaks: &mut Vec<u8>,
        start: Mark,
    ) -> Result<()> {
        let mut deepest = 0;
        loop {
            while (*indent == 0 || self.mark.column < *indent) && self.byte(0) == b' ' {
                self.skip();
            }
            deepest = deepest.max(self.mark.column);
            if (*indent == 0 || self.mark.column < *indent) && self.byte(0) == b'\t' {
                return self.error(
                    "found a tab character where an indentation space is expected",
                    Some(start),
                );
            }
            if !self.is_break(0) {
                break;
            }
            self.read_line(breaks);
        }
        if *indent == 0 {
            *indent = deepest.max((self.indent + 1).max(1) as usize);
        }
        Ok(())
    }

    fn scan_flow_scalar(&mut self, single: bool) -> Result<()> {
        let start = self.mark;
        let quote = if single { b'\'' } else { b'"' };
        self.skip();
        let mut out = Vec::new();
        loop {
            if self.mark.column == 0 && self.document_indicator().is_some() {
                return self.error("found unexpected document indicator", Some(start));
            }
            if self.is_end(0) {
                return self.error("found unexpected end of stream", Some(start));
            }
            let mut leading_blanks = false;
            while !self.is_blank_or_end(0) {
                let byte = self.byte(0);
                if single && byte == b'\'' && self.byte(1) == b'\'' {
                    out.push(b'\'');
                    self.skip();
                    self.skip();
                } else if byte == quote {
                    break;
                } else if !single && byte == b'\\' && self.is_break(1) {
                    self.skip();
                    self.skip_line();
                    leading_blanks = true;
                    break;
                } else if !single && byte == b'\\' {
                    self.scan_escape(&mut out, start)?;
                } else {
                    self.read(&mut out);
                }
            }
            if self.byte(0) == quote {
                break;
            }
            self.flow_scalar_blanks(&mut out, leading_blanks);
        }
        self.skip();
        self.push(TokenType::Scalar, start, out);
        self.tokens.back_mut().expect("just pushed").style = if single {
            Style::SingleQuoted
        } else {
            Style::DoubleQuoted
        };
        Ok(())
    }

    fn flow_scalar_blanks(&mut self, out: &mut Vec<u8>, mut leading_blanks: bool) {
        let (mut whitespaces, mut leading_break, mut trailing_breaks) =
            (Vec::new(), Vec::new(), Vec::new());
        while is_blank(self.byte(0)) || self.is_break(0) {
            if is_blank(self.byte(0)) {
                if leading_blanks {
                    self.skip();
                } else {
                    self.read(&mut whitespaces);
                }
            } else if leading_blanks {
                self.read_line(&mut trailing_breaks);
            } else {
                whitespaces.clear();
                self.read_line(&mut leading_break);
                leading_blanks = true;
            }
        }
        if leading_blanks {
            join_lines(out, &mut leading_break, &mut trailing_breaks);
        } else {
            out.append(&mut whitespaces);
        }
    }

    fn scan_escape(&mut self, out: &mut Vec<u8>, start: Mark) -> Result<()> {
        let (plain, digits): (&[u8], usize) = match self.byte(1) {
            b'0' => (b"\0", 0),
            b'a' => (b"\x07", 0),
            b'b' => (b"\x08", 0),
            b't' | b'\t' => (b"\t", 0),
            b'n' => (b"\n", 0),
            b'v' => (b"\x0b", 0),
            b'f' => (b"\x0c", 0),
            b'r' => (b"\r", 0),
            b'e' => (b"\x1b", 0),
            b' ' => (b" ", 0),
            b'"' => (b"\"", 0),
            b'\'' => (b"'", 0),
            b'\\' => (b"\\", 0),
            b'N' => ("\u{85}".as_bytes(), 0),
            b'_' => ("\u{A0}".as_bytes(), 0),
            b'L' => ("\u{2028}".as_bytes(), 0),
            b'P' => ("\u{2029}".as_bytes(), 0),
            b'x' => (b"", 2),
            b'u' => (b"", 4),
            b'U' => (b"", 8),
            _ => return self.error("found unknown escape character", Some(start)),
        };
        self.skip();
        self.skip();
        out.extend_from_slice(plain);
        if digits == 0 {
            return Ok(());
        }
        let mut code = 0u32;
        for at in 0..digits {
            let Some(digit) = (self.byte(at) as char).to_digit(16) else {
                return self.error("did not find expected hexdecimal number", Some(start));
            };
            code = code.wrapping_shl(4) | digit;
        }
        let Some(c) = char::from_u32(code) else {
            return self.error("found invalid Unicode character escape code", Some(start));
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        for _ in 0..digits {
            self.skip();
        }
        Ok(())
    }

    fn scan_plain_scalar(&mut self) -> Result<()> {
        let start = self.mark;
        let mut end = self.mark;
        let indent = self.indent + 1;
        let (mut out, mut whitespaces) = (Vec::new(), Vec::new());
        let (mut leading_break, mut trailing_breaks) = (Vec::new(), Vec::new());
        let mut leading_blanks = false;
        loop {
            let marker = self.mark.column == 0 && self.document_indicator().is_some();
            if marker || self.byte(0) == b'#' {
                break;
            }
            while !self.is_blank_or_end(0) {
                let byte = self.byte(0);
                let stops = (byte == b':' && self.is_blank_or_end(1))
                    || (self.flow_level > 0 && b",?[]{}".contains(&byte));
                if stops {
                    break;
                }
                if leading_blanks {
                    join_lines(&mut out, &mut leading_break, &mut trailing_breaks);
                    leading_blanks = false;
                }
                out.append(&mut whitespaces);
                self.read(&mut out);
                end = self.mark;
            }
            if !(is_blank(self.byte(0)) || self.is_break(0)) {
                break;
            }
            while is_blank(self.byte(0)) || self.is_break(0) {
                if is_blank(self.byte(0)) {
                    let early = leading_blanks && (self.mark.column as isize) < indent;
                    if early && self.byte(0) == b'\t' {
                        return self.error(
                            "found a tab character that violates indentation",
                            Some(start),
                        );
                    }
                    if leading_blanks {
                        self.skip();
                    } else {
                        self.read(&mut whitespaces);
                    }
                } else if leading_blanks {
                    self.read_line(&mut trailing_breaks);
                } else {
                    whitespaces.clear();
                    self.read_line(&mut leading_break);
                    leading_blanks = true;
                }
            }
            if self.flow_level == 0 && (self.mark.column as isize) < indent {
                break;
            }
        }
        self.push(TokenType::Scalar, start, out);
        self.tokens.back_mut().expect("just pushed").end = end;
        if leading_blanks {
            self.simple_key_allowed = true;
        }
        Ok(())
    }
}

/// Folds line breaks: one becomes a space, more keep all but the first.
fn join_lines(out: &mut Vec<u8>, leading_break: &mut Vec<u8>, trailing_breaks: &mut Vec<u8>) {
    if leading_break.first() == Some(&b'\n') {
        if trailing_breaks.is_empty() {
            out.push(b' ');
        }
    } else {
        out.extend_from_slice(leading_break);
    }
    leading_break.clear();
    out.append(trailing_breaks);
}

fn text(bytes: Vec<u8>) -> String {
    // The whole text was checked; URI escapes alone can break characters.
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The characters that YAML 1.1 allows (section 5.1, `c-printable`).
fn check_characters(bytes: &[u8]) -> Result<()> {
    let refuse = |message: &str, at: usize| {
        Err(Error::Syntax {
            line: None,
            true_line: 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count(),
            column: 1,
            message: message.into(),
        })
    };
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
