//! Directives and tags.

use super::text::text;
use super::{Result, Scanner, TokenType, is_alpha, is_blank};
use crate::error::Mark;

impl<'t> Scanner<'t> {
    pub(super) fn fetch_tag(&mut self) -> Result<()> {
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
        self.push(TokenType::Tag, start, text(handle).into());
        self.tokens.back_mut().expect("just pushed").suffix = text(suffix);
        Ok(())
    }

    pub(super) fn scan_directive(&mut self) -> Result<()> {
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
                self.push(TokenType::VersionDirective, start, text(version).into());
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
                self.push(TokenType::TagDirective, start, text(handle).into());
                self.tokens.back_mut().expect("just pushed").suffix = text(prefix);
            }
            _ => return self.error("found unknown directive name", Some(start)),
        }
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
        Ok(())
    }

    pub(super) fn version_number(&mut self, out: &mut Vec<u8>, start: Mark) -> Result<()> {
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

    pub(super) fn scan_tag_handle(&mut self, directive: bool, start: Mark) -> Result<Vec<u8>> {
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

    pub(super) fn scan_tag_uri(&mut self, head: &[u8], start: Mark) -> Result<Vec<u8>> {
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

    pub(super) fn scan_uri_escapes(&mut self, out: &mut Vec<u8>, start: Mark) -> Result<()> {
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
}
