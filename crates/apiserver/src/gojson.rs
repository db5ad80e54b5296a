//! Says what is wrong with a JSON text in the words of Go's `encoding/json`,
//! which clients know from upstream. Only called for texts that did not parse;
//! it builds nothing.

/// Deepest nesting; the parser refuses more before this is asked.
const DEPTH_MAX: usize = 128;

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

type Outcome = Result<(), String>;

/// Returns Go's message, or `None` when Go would find no fault.
pub fn fault(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner {
        bytes: text,
        at: 0,
        depth: 0,
    };
    scanner.document().err()
}

fn end() -> String {
    "unexpected end of JSON input".to_owned()
}

/// As Go quotes a character.
fn quote(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\n' => "'\\n'".to_owned(),
        b'\t' => "'\\t'".to_owned(),
        b'\r' => "'\\r'".to_owned(),
        0x20..=0x7e => format!("'{}'", byte as char),
        0x80..=0xff => format!("'{}'", byte as char),
        other => format!("'\\x{other:02x}'"),
    }
}

impl Scanner<'_> {
    fn document(&mut self) -> Outcome {
        self.value()?;
        match self.peek() {
            Some(byte) => Err(self.wrong(byte, "after top-level value")),
            None => Ok(()),
        }
    }

    fn wrong(&self, byte: u8, context: &str) -> String {
        format!("invalid character {} {context}", quote(byte))
    }

    /// Skips blanks and returns the next byte.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn value(&mut self) -> Outcome {
        let byte = self.peek().ok_or_else(end)?;
        self.at += 1;
        match byte {
            b'{' => self.nested(Scanner::object),
            b'[' => self.nested(Scanner::array),
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' => match self.bytes.get(self.at) {
                Some(b'0'..=b'9') => {
                    self.at += 1;
                    self.number()
                }
                Some(&byte) => Err(self.wrong(byte, "in numeric literal")),
                None => Err(end()),
            },
            b'0'..=b'9' => self.number(),
            _ => Err(self.wrong(byte, "looking for beginning of value")),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Outcome) -> Outcome {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("exceeded max depth".to_owned());
        }
        let outcome = inner(self);
        self.depth -= 1;
        outcome
    }

    fn object(&mut self) -> Outcome {
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            match self.peek().ok_or_else(end)? {
                b'"' => self.at += 1,
                byte => return Err(self.wrong(byte, "looking for beginning of object key string")),
            }
            self.string()?;
            match self.peek().ok_or_else(end)? {
                b':' => self.at += 1,
                byte => return Err(self.wrong(byte, "after object key")),
            }
            self.value()?;
            match self.peek().ok_or_else(end)? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                byte => return Err(self.wrong(byte, "after object key:value pair")),
            }
        }
    }

    fn array(&mut self) -> Outcome {
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value()?;
            match self.peek().ok_or_else(end)? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                byte => return Err(self.wrong(byte, "after array element")),
            }
        }
    }

    fn string(&mut self) -> Outcome {
        loop {
            let byte = *self.bytes.get(self.at).ok_or_else(end)?;
            self.at += 1;
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                0..=0x1f => return Err(self.wrong(byte, "in string literal")),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Outcome {
        let byte = *self.bytes.get(self.at).ok_or_else(end)?;
        self.at += 1;
        match byte {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    let digit = *self.bytes.get(self.at).ok_or_else(end)?;
                    if !digit.is_ascii_hexdigit() {
                        return Err(self.wrong(digit, "in \\u hexadecimal character escape"));
                    }
                    self.at += 1;
                }
                Ok(())
            }
            _ => Err(self.wrong(byte, "in string escape code")),
        }
    }

    fn literal(&mut self, word: &str) -> Outcome {
        for expected in word.bytes().skip(1) {
            let byte = *self.bytes.get(self.at).ok_or_else(end)?;
            if byte != expected {
                return Err(self.wrong(
                    byte,
                    &format!("in literal {word} (expecting {})", quote(expected)),
                ));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Outcome {
        if self.bytes[self.at - 1] != b'0' {
            self.digits();
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.need_digit("after decimal point in numeric literal")?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.need_digit("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn need_digit(&mut self, context: &str) -> Outcome {
        match self.bytes.get(self.at) {
            Some(byte) if byte.is_ascii_digit() => {
                self.digits();
                Ok(())
            }
            Some(&byte) => Err(self.wrong(byte, context)),
            None => Err(end()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fault;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(fault(text.as_bytes()).as_deref(), expected, "{text}");
    }

    #[test]
    fn speaks_like_go() {
        check("{\"a\": [1, 2.5e3, true, null, \"x\\u00e4\"]}", None);
        check("", Some("unexpected end of JSON input"));
        check("{\"a\": 1", Some("unexpected end of JSON input"));
        check(
            "{bad",
            Some("invalid character 'b' looking for beginning of object key string"),
        );
        check("{}{", Some("invalid character '{' after top-level value"));
        check("{\"a\" 1}", Some("invalid character '1' after object key"));
        check(
            "{\"a\": 1 2}",
            Some("invalid character '2' after object key:value pair"),
        );
        check("[1 2]", Some("invalid character '2' after array element"));
        check(
            "nul!",
            Some("invalid character '!' in literal null (expecting 'l')"),
        );
        check("- ", Some("invalid character ' ' in numeric literal"));
        check("01", Some("invalid character '1' after top-level value"));
        check(
            "\"a\nb\"",
            Some("invalid character '\\n' in string literal"),
        );
        check(
            "<x>",
            Some("invalid character '<' looking for beginning of value"),
        );
    }
}
