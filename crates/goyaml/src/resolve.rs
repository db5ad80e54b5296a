//! What a plain scalar means in YAML 1.1, as go-yaml v2 sees it.
//!
//! <https://yaml.org/type/>, with go-yaml's exceptions: no base 60, `y` and `n`
//! are booleans, dates stay strings.

/// The meaning of a scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `null`, `~`, nothing.
    Null,
    /// `true`, `yes`, `on`, `y` and their opposites.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above the signed range.
    Uint(u64),
    /// A float.
    Float(f64),
    /// Looks like a date or a time; its text is its value.
    Timestamp,
    /// The merge key `<<`.
    Merge,
    /// Anything else.
    Str,
}

/// Finds the meaning of a plain scalar.
pub fn resolve(text: &str) -> Scalar {
    let Some(&first) = text.as_bytes().first() else {
        return Scalar::Null;
    };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => named(text),
        b'.' => named_or(text, float),
        b'+' | b'-' | b'0'..=b'9' => named_or(text, number),
        b'<' if text == "<<" => Scalar::Merge,
        _ => Scalar::Str,
    }
}

fn named_or(text: &str, otherwise: fn(&str) -> Scalar) -> Scalar {
    match named(text) {
        Scalar::Str => otherwise(text),
        scalar => scalar,
    }
}

fn named(text: &str) -> Scalar {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ => Scalar::Str,
    }
}

/// A text that starts with a dot: whatever Go's `ParseFloat` takes.
fn float(text: &str) -> Scalar {
    let body = &text[1..];
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || !exponent(&body[digits..]) {
        return Scalar::Str;
    }
    finite(text)
}

fn exponent(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(['e', 'E']) else {
        return text.is_empty();
    };
    let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn finite(text: &str) -> Scalar {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Scalar::Float(number),
        _ => Scalar::Str,
    }
}

fn number(text: &str) -> Scalar {
    if is_timestamp(text) {
        return Scalar::Timestamp;
    }
    let plain: std::borrow::Cow<'_, str> = if text.contains('_') {
        text.replace('_', "").into()
    } else {
        text.into()
    };
    if let Some(integer) = integer(&plain) {
        return integer;
    }
    if is_yaml_float(&plain)
        && let Scalar::Float(number) = finite(&plain)
    {
        return Scalar::Float(number);
    }
    Scalar::Str
}

/// Go's `ParseInt(text, 0, 64)`, then `ParseUint`.
fn integer(text: &str) -> Option<Scalar> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let signed = digits.len() != text.len();
    let (radix, body) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if body.is_empty() || !body.bytes().all(|byte| (byte as char).is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(body, radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(magnitude).map(Scalar::Int);
    }
    match i64::try_from(magnitude) {
        Ok(number) => Some(Scalar::Int(number)),
        Err(_) if !signed => Some(Scalar::Uint(magnitude)),
        Err(_) => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_yaml_float(text: &str) -> bool {
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = rest.bytes().take_while(u8::is_ascii_digit).count();
    let mut after = &rest[whole..];
    if let Some(part) = after.strip_prefix('.') {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        if whole == 0 && digits == 0 {
            return false;
        }
        after = &part[digits..];
    } else if whole == 0 {
        return false;
    }
    exponent(after)
}

/// The date and time formats that go-yaml v2 recognises.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    let year: u32 = text[..4].parse().unwrap_or(0);
    let mut cursor = Cursor { text, at: 5 };
    let Some(month) = cursor.number(2).filter(|month| (1..=12).contains(month)) else {
        return false;
    };
    if !cursor.eat(b'-') {
        return false;
    }
    let Some(day) = cursor
        .number(2)
        .filter(|day| (1..=days_in(year, month)).contains(day))
    else {
        return false;
    };
    let _ = day;
    match cursor.peek() {
        None => true,
        Some(b'T' | b't') => cursor.time() && cursor.zone(),
        Some(b' ') => cursor.time() && cursor.peek().is_none(),
        _ => false,
    }
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn number(&mut self, most: usize) -> Option<u32> {
        let rest = &self.text.as_bytes()[self.at.min(self.text.len())..];
        let count = rest
            .iter()
            .take(most)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 {
            return None;
        }
        let number = self.text[self.at..self.at + count].parse().ok();
        self.at += count;
        number
    }

    /// A separator, then `h:m:s` with an optional fraction.
    fn time(&mut self) -> bool {
        self.at += 1;
        let hour = self.number(2).is_some_and(|hour| hour < 24);
        let minute = hour && self.eat(b':') && self.number(2).is_some_and(|minute| minute < 60);
        let second = minute && self.eat(b':') && self.number(2).is_some_and(|second| second < 60);
        if second && matches!(self.peek(), Some(b'.' | b',')) {
            self.at += 1;
            return self.number(9).is_some();
        }
        second
    }

    fn zone(&mut self) -> bool {
        if self.eat(b'Z') {
            return self.peek().is_none();
        }
        if !self.eat(b'+') && !self.eat(b'-') {
            return false;
        }
        let start = self.at;
        self.number(2).is_some()
            && self.at == start + 2
            && self.eat(b':')
            && self.number(2).is_some()
            && self.at == start + 5
            && self.peek().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_1_1() {
        let check = |text: &str, expected: Scalar| assert_eq!(resolve(text), expected, "{text}");
        check("yes", Scalar::Bool(true));
        check("n", Scalar::Bool(false));
        check("1e3", Scalar::Float(1000.0));
        check("0777", Scalar::Int(511));
        check("0o777", Scalar::Int(511));
        check("0x1F", Scalar::Int(31));
        check("1_000", Scalar::Int(1000));
        check("0b101", Scalar::Int(5));
        check("09", Scalar::Float(9.0));
        check(
            "12345678901234567890",
            Scalar::Uint(12_345_678_901_234_567_890),
        );
        check(
            "123456789012345678901",
            Scalar::Float(123_456_789_012_345_678_901.0),
        );
        check("2020-09-07", Scalar::Timestamp);
        check("2020-13-07", Scalar::Str);
        check("2001-12-14t21:59:43.10-05:00", Scalar::Timestamp);
        check("12:30:45", Scalar::Str);
        check(".5", Scalar::Float(0.5));
        check("+1", Scalar::Int(1));
        check("-", Scalar::Str);
        check(".", Scalar::Str);
        check("1.", Scalar::Float(1.0));
        check("v1.2", Scalar::Str);
        check("null", Scalar::Null);
        check("", Scalar::Null);
        check("<<", Scalar::Merge);
        check("1.2.3", Scalar::Str);
    }
}
