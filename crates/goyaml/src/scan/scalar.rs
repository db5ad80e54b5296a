//! Scalars: block, quoted and plain.

use super::text::text;
use super::{Result, Scanner, Style, TokenType, is_blank};
use crate::error::Mark;
use std::borrow::Cow;

impl<'t> Scanner<'t> {
    /// Reads `+`, `-` and the digit of a block scalar's header.
    pub(super) fn block_header(&mut self, start: Mark) -> Result<(i8, usize)> {
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

    pub(super) fn scan_block_scalar(&mut self, literal: bool) -> Result<()> {
        let start = self.mark;
        self.skip();
        let (chomping, increment) = self.block_header(start)?;
        self.skip_blanks();
        if self.byte(0) == b'#' {
            self.skip_comment();
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
                self.read_run(&mut out, |_| true);
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
        self.push(TokenType::Scalar, start, text(out).into());
        let token = self.tokens.back_mut().expect("just pushed");
        token.end = end;
        token.style = if literal {
            Style::Literal
        } else {
            Style::Folded
        };
        Ok(())
    }

    pub(super) fn block_scalar_breaks(
        &mut self,
        indent: &mut usize,
        breaks: &mut Vec<u8>,
        start: Mark,
    ) -> Result<()> {
        let mut deepest = 0;
        loop {
            let spaces = self.run(|byte| byte == b' ');
            self.skip_run(match *indent {
                0 => spaces,
                indent => spaces.min(indent.saturating_sub(self.mark.column)),
            });
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

    pub(super) fn scan_flow_scalar(&mut self, single: bool) -> Result<()> {
        let start = self.mark;
        let quote = if single { b'\'' } else { b'"' };
        self.skip();
        let mut out = Gathered::from(self.pos);
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
                    out.settle(self).push(b'\'');
                    self.skip();
                    self.skip();
                    out.go_on(self.pos);
                } else if byte == quote {
                    break;
                } else if !single && byte == b'\\' && self.is_break(1) {
                    self.skip();
                    self.skip_line();
                    leading_blanks = true;
                    break;
                } else if !single && byte == b'\\' {
                    self.scan_escape(out.settle(self), start)?;
                    out.go_on(self.pos);
                } else {
                    self.skip();
                    self.skip_run(self.run(|byte| !matches!(byte, b' ' | b'\'' | b'"' | b'\\')));
                    out.to = self.pos;
                }
            }
            if self.byte(0) == quote {
                break;
            }
            self.flow_scalar_blanks(&mut out, leading_blanks);
        }
        self.skip();
        let value = out.finish(self);
        self.push(TokenType::Scalar, start, value);
        self.tokens.back_mut().expect("just pushed").style = if single {
            Style::SingleQuoted
        } else {
            Style::DoubleQuoted
        };
        Ok(())
    }

    fn flow_scalar_blanks(&mut self, out: &mut Gathered, mut leading_blanks: bool) {
        let (mut leading_break, mut trailing_breaks) = (Vec::new(), Vec::new());
        while is_blank(self.byte(0)) || self.is_break(0) {
            if is_blank(self.byte(0)) {
                self.skip();
            } else if leading_blanks {
                self.read_line(&mut trailing_breaks);
            } else {
                self.read_line(&mut leading_break);
                leading_blanks = true;
            }
        }
        if leading_blanks {
            let before = out.settle(self);
            join_lines(before, &mut leading_break, &mut trailing_breaks);
            out.go_on(self.pos);
        } else {
            out.to = self.pos;
        }
    }

    pub(super) fn scan_escape(&mut self, out: &mut Vec<u8>, start: Mark) -> Result<()> {
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

    pub(super) fn scan_plain_scalar(&mut self) -> Result<()> {
        let start = self.mark;
        let mut end = self.mark;
        let indent = self.indent + 1;
        let flow = self.flow_level > 0;
        let inner = |byte: u8| match byte {
            b' ' | b':' => false,
            b',' | b'?' | b'[' | b']' | b'{' | b'}' => !flow,
            _ => true,
        };
        let mut out = Gathered::from(self.pos);
        let mut leading_break = std::mem::take(&mut self.break_buffer);
        let mut trailing_breaks = Vec::new();
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
                    let before = out.settle(self);
                    join_lines(before, &mut leading_break, &mut trailing_breaks);
                    out.go_on(self.pos);
                    leading_blanks = false;
                }
                self.skip();
                self.skip_run(self.run(inner));
                out.to = self.pos;
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
                    self.skip();
                } else if leading_blanks {
                    self.read_line(&mut trailing_breaks);
                } else {
                    self.read_line(&mut leading_break);
                    leading_blanks = true;
                }
            }
            if self.flow_level == 0 && (self.mark.column as isize) < indent {
                break;
            }
        }
        let value = out.finish(self);
        self.push(TokenType::Scalar, start, value);
        self.tokens.back_mut().expect("just pushed").end = end;
        leading_break.clear();
        self.break_buffer = leading_break;
        if leading_blanks {
            self.simple_key_allowed = true;
        }
        Ok(())
    }
}

/// What was read of a scalar: what had to be put together, and after it a part
/// of the text as it stands there. Most scalars are such a part and no more.
struct Gathered {
    before: Vec<u8>,
    from: usize,
    to: usize,
}

impl Gathered {
    /// Starts with nothing at a place of the text.
    fn from(at: usize) -> Gathered {
        Gathered {
            before: Vec::new(),
            from: at,
            to: at,
        }
    }

    /// Returns all there is so far, for more of it.
    fn settle(&mut self, scanner: &Scanner) -> &mut Vec<u8> {
        self.before
            .extend_from_slice(&scanner.text[self.from..self.to]);
        self.from = self.to;
        &mut self.before
    }

    /// Goes on with a part that starts elsewhere.
    fn go_on(&mut self, at: usize) {
        (self.from, self.to) = (at, at);
    }

    fn finish<'t>(mut self, scanner: &Scanner<'t>) -> Cow<'t, str> {
        if self.before.is_empty() {
            return scanner.part(self.from..self.to);
        }
        self.settle(scanner);
        text(self.before).into()
    }
}

/// Folds line breaks: one becomes a space, more keep all but the first.
pub(super) fn join_lines(
    out: &mut Vec<u8>,
    leading_break: &mut Vec<u8>,
    trailing_breaks: &mut Vec<u8>,
) {
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
