//! Go's `encoding/json` over [`Value`]s: keys sorted, floats as Go writes
//! them, HTML characters escaped on request, invalid UTF-8 replaced.

use crate::strconv::{decode_char, format_float};
use crate::value::{Entries, Str, Value};
use base64::Engine;

/// Deeper values than this are refused: they contain themselves.
const DEPTH_MAX: usize = 1000;

/// Go's `json.Marshal`; `html` escapes `<`, `>`, `&`, U+2028 and U+2029 (the
/// latter two always).
///
/// # Errors
///
/// Go's text for values that JSON cannot hold.
pub fn encode(value: &Value, html: bool) -> Result<Vec<u8>, String> {
    let mut writer = Writer {
        out: Vec::new(),
        html,
        indent: None,
    };
    writer.value(value, 0)?;
    Ok(writer.out)
}

/// Go's `json.MarshalIndent(value, "", "  ")`.
///
/// # Errors
///
/// Go's text for values that JSON cannot hold.
pub fn encode_pretty(value: &Value) -> Result<Vec<u8>, String> {
    let mut writer = Writer {
        out: Vec::new(),
        html: true,
        indent: Some(0),
    };
    writer.value(value, 0)?;
    Ok(writer.out)
}

/// Writes a float as `encoding/json` does.
pub fn float_text(number: f64) -> String {
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format_float(number, b'e', -1);
        // e-09 becomes e-9.
        if let Some((mantissa, digit)) = text.split_once("e-0") {
            return format!("{mantissa}e-{digit}");
        }
        return text;
    }
    format_float(number, b'f', -1)
}

struct Writer {
    out: Vec<u8>,
    html: bool,
    indent: Option<usize>,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err("json: unsupported value: encountered a cycle".into());
        }
        match value {
            Value::Nil => self.out.extend(b"null"),
            Value::List(list) if list.ty.is_nil => self.out.extend(b"null"),
            Value::Map(map) if map.ty.is_nil => self.out.extend(b"null"),
            Value::Bool(true) => self.out.extend(b"true"),
            Value::Bool(false) => self.out.extend(b"false"),
            Value::Int(number) | Value::Int64(number) => {
                self.out.extend(number.to_string().bytes());
            }
            Value::Uint64(number) => self.out.extend(number.to_string().bytes()),
            Value::Uint8(number) => self.out.extend(number.to_string().bytes()),
            Value::Float(number) if !number.is_finite() => {
                let text = format_float(*number, b'g', -1);
                return Err(format!("json: unsupported value: {text}"));
            }
            Value::Float(number) => self.out.extend(float_text(*number).bytes()),
            Value::Str(text) => self.string(text),
            Value::Bytes(bytes) => {
                let text = base64::engine::general_purpose::STANDARD.encode(bytes.as_bytes());
                self.string(text.as_bytes());
            }
            Value::Time(time) => {
                let text =
                    crate::funcs::date::format(&time.0, "2006-01-02T15:04:05.999999999Z07:00");
                self.string(text.as_bytes());
            }
            Value::List(list) => {
                let items = list.borrow().clone();
                self.sequence(b'[', b']', items.iter(), |writer, item| {
                    writer.value(item, depth + 1)
                })?;
            }
            Value::Map(map) => {
                let entries = map.borrow().clone();
                self.object(entries.iter(), depth)?;
            }
            Value::Struct(object) => match object.ty.json {
                Some(json) => self.value(&json(object), depth + 1)?,
                None => {
                    let fields: Vec<(Str, Value)> = object
                        .ty
                        .fields
                        .iter()
                        .zip(object.fields.iter())
                        .filter(|(name, _)| name.starts_with(|c: char| c.is_uppercase()))
                        .map(|(name, value)| (Str::from(*name), value.clone()))
                        .collect();
                    self.object(fields.iter().map(|(name, value)| (name, value)), depth)?;
                }
            },
        }
        Ok(())
    }

    fn object<'v>(
        &mut self,
        entries: impl Iterator<Item = (&'v Str, &'v Value)>,
        depth: usize,
    ) -> Result<(), String> {
        self.sequence(b'{', b'}', entries, |writer, (key, value)| {
            writer.string(key);
            writer.out.push(b':');
            if writer.indent.is_some() {
                writer.out.push(b' ');
            }
            writer.value(value, depth + 1)
        })
    }

    fn sequence<T>(
        &mut self,
        open: u8,
        close: u8,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Result<(), String>,
    ) -> Result<(), String> {
        self.out.push(open);
        self.indent = self.indent.map(|level| level + 1);
        let mut any = false;
        for item in items {
            if any {
                self.out.push(b',');
            }
            any = true;
            self.line();
            write(self, item)?;
        }
        self.indent = self.indent.map(|level| level - 1);
        if any {
            self.line();
        }
        self.out.push(close);
        Ok(())
    }

    fn line(&mut self) {
        if let Some(level) = self.indent {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + 2 * level, b' ');
        }
    }

    fn string(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        let mut at = 0;
        while at < bytes.len() {
            let (c, width) = decode_char(&bytes[at..]);
            match c {
                None => self.out.extend(b"\\ufffd"),
                Some('"') => self.out.extend(b"\\\""),
                Some('\\') => self.out.extend(b"\\\\"),
                Some('\x08') => self.out.extend(b"\\b"),
                Some('\x0c') => self.out.extend(b"\\f"),
                Some('\n') => self.out.extend(b"\\n"),
                Some('\r') => self.out.extend(b"\\r"),
                Some('\t') => self.out.extend(b"\\t"),
                Some(c @ ('<' | '>' | '&')) if self.html => {
                    self.out.extend(format!("\\u{:04x}", c as u32).bytes());
                }
                Some(c) if c < ' ' || c == '\u{2028}' || c == '\u{2029}' => {
                    self.out.extend(format!("\\u{:04x}", c as u32).bytes());
                }
                Some(_) => self.out.extend(&bytes[at..at + width]),
            }
            at += width;
        }
        self.out.push(b'"');
    }
}

/// Go's `json.Unmarshal` into an `interface {}`: every number is a float.
///
/// # Errors
///
/// Go's text.
pub fn decode(text: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let value = reader.value(0)?;
    reader.space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.bad("after top-level value")),
    }
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

const END: &str = "unexpected end of JSON input";

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn bad(&self, context: &str) -> String {
        match self.peek() {
            None => END.into(),
            Some(b'\'') => format!("invalid character '\\'' {context}"),
            Some(byte) => {
                let quoted = crate::strconv::quote_char(byte as char, false);
                format!(
                    "invalid character {} {context}",
                    String::from_utf8_lossy(&quoted)
                )
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err("exceeded max depth".into());
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::from),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Nil),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.bad("looking for beginning of value")),
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, String> {
        for (at, expected) in word.bytes().enumerate() {
            if self.peek() != Some(expected) {
                let shown = expected as char;
                return Err(self.bad(&format!("in literal {word} (expecting '{shown}')")));
            }
            let _ = at;
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self, context: &str) -> Result<(), String> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.bad(context));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).unwrap_or("0");
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => Err(format!(
                "json: cannot unmarshal number {text} into Go value of type float64"
            )),
        }
    }

    fn string(&mut self) -> Result<Vec<u8>, String> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            match self.peek() {
                None => return Err(END.into()),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(String::from_utf8_lossy(&out).into_owned().into_bytes());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                Some(byte) if byte < 0x20 => return Err(self.bad("in string literal")),
                Some(byte) => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let plain = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                let mut code = self.hex4()?;
                if (0xD800..0xDC00).contains(&code) && self.text[self.at..].starts_with(b"\\u") {
                    let back = self.at;
                    self.at += 2;
                    let low = self.hex4()?;
                    if (0xDC00..0xE000).contains(&low) {
                        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    } else {
                        self.at = back;
                    }
                }
                let c = char::from_u32(code).unwrap_or('\u{FFFD}');
                out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.bad("in string escape code")),
        };
        out.push(plain);
        self.at += 1;
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| (byte as char).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.bad("in \\u hexadecimal character escape"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::list(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::list(items));
                }
                _ => return Err(self.bad("after array element")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut entries = Entries::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::map(entries));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.bad("looking for beginning of object key string"));
            }
            let key = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.bad("after object key"));
            }
            self.at += 1;
            self.space();
            let value = self.value(depth + 1)?;
            entries.insert(key.into(), value);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::map(entries));
                }
                _ => return Err(self.bad("after object key:value pair")),
            }
        }
    }
}
