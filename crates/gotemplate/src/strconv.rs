//! Go's `strconv`: quoting, unquoting, number texts.
//!
//! <https://pkg.go.dev/strconv>

use std::borrow::Cow;

/// Decodes the first character of `bytes`: the character and its width.
/// A broken sequence gives `None` and width 1, as `utf8.DecodeRune` does.
pub fn decode_char(bytes: &[u8]) -> (Option<char>, usize) {
    let Some(&first) = bytes.first() else {
        return (None, 0);
    };
    if first < 0x80 {
        return (Some(first as char), 1);
    }
    let width = match first {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return (None, 1),
    };
    match bytes.get(..width).map(std::str::from_utf8) {
        Some(Ok(text)) => (text.chars().next(), width),
        _ => (None, 1),
    }
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and
/// the ASCII space.
pub fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // Rust's debug text of a string escapes what is not printable; the leading
    // letter keeps combining marks from being taken as unattached.
    let mut probe = String::from("a");
    probe.push(c);
    probe.escape_debug().eq(probe.chars())
}

/// Go's `strconv.Quote` (and `QuoteToASCII`).
pub fn quote(bytes: &[u8], ascii: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 2);
    out.push(b'"');
    append_escaped(&mut out, bytes, '"', ascii);
    out.push(b'"');
    out
}

/// Go's `strconv.QuoteRune`.
pub fn quote_char(c: char, ascii: bool) -> Vec<u8> {
    let mut out = vec![b'\''];
    let mut buffer = [0; 4];
    append_escaped(&mut out, c.encode_utf8(&mut buffer).as_bytes(), '\'', ascii);
    out.push(b'\'');
    out
}

fn append_escaped(out: &mut Vec<u8>, bytes: &[u8], quote: char, ascii: bool) {
    let mut at = 0;
    while at < bytes.len() {
        let (c, width) = decode_char(&bytes[at..]);
        match c {
            Some(c) => append_escaped_char(out, c, quote, ascii),
            None => out.extend(format!("\\x{:02x}", bytes[at]).bytes()),
        }
        at += width;
    }
}

fn append_escaped_char(out: &mut Vec<u8>, c: char, quote: char, ascii: bool) {
    let short = match c {
        '\x07' => Some(b'a'),
        '\x08' => Some(b'b'),
        '\x0c' => Some(b'f'),
        '\n' => Some(b'n'),
        '\r' => Some(b'r'),
        '\t' => Some(b't'),
        '\x0b' => Some(b'v'),
        '\\' => Some(b'\\'),
        c if c == quote => Some(c as u8),
        _ => None,
    };
    if let Some(letter) = short {
        out.extend([b'\\', letter]);
    } else if is_print(c) && (c.is_ascii() || !ascii) {
        let mut buffer = [0; 4];
        out.extend(c.encode_utf8(&mut buffer).as_bytes());
    } else {
        let code = c as u32;
        let text = if code < 0x20 || code == 0x7f {
            format!("\\x{code:02x}")
        } else if code < 0x10000 {
            format!("\\u{code:04x}")
        } else {
            format!("\\U{code:08x}")
        };
        out.extend(text.bytes());
    }
}

/// Go's `strconv.Unquote` for double-quoted, raw and character literals.
/// `None` is Go's `invalid syntax`.
pub fn unquote(literal: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (&first, &last) = (literal.first()?, literal.last()?);
    if literal.len() < 2 || first != last {
        return None;
    }
    let body = &literal[1..literal.len() - 1];
    match first {
        b'`' if memchr::memchr(b'\r', body).is_none() => Some(Cow::Borrowed(body)),
        b'`' => Some(body.iter().copied().filter(|byte| *byte != b'\r').collect()),
        b'"' if memchr::memchr3(b'\\', b'"', b'\n', body).is_none() => Some(Cow::Borrowed(body)),
        b'"' | b'\'' => unquote_escaped(body, first).map(Cow::Owned),
        _ => None,
    }
}

fn unquote_escaped(mut body: &[u8], quote: u8) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let mut count = 0;
    while let Some(&byte) = body.first() {
        if byte == quote || byte == b'\n' {
            return None;
        }
        count += 1;
        if byte != b'\\' {
            let (_, width) = decode_char(body);
            out.extend(&body[..width]);
            body = &body[width..];
            continue;
        }
        body = unquote_escape(&body[1..], quote, &mut out)?;
    }
    if quote == b'\'' && count != 1 {
        return None;
    }
    Some(out)
}

fn unquote_escape<'a>(body: &'a [u8], quote: u8, out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (&letter, rest) = body.split_first()?;
    let plain = match letter {
        b'a' => Some(7),
        b'b' => Some(8),
        b'f' => Some(12),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'v' => Some(11),
        b'\\' => Some(b'\\'),
        b'"' | b'\'' if letter == quote => Some(letter),
        _ => None,
    };
    if let Some(byte) = plain {
        out.push(byte);
        return Some(rest);
    }
    let (digits, radix, source) = match letter {
        b'x' => (2, 16, rest),
        b'u' => (4, 16, rest),
        b'U' => (8, 16, rest),
        b'0'..=b'7' => (3, 8, body),
        _ => return None,
    };
    let text = std::str::from_utf8(source.get(..digits)?).ok()?;
    if !text.bytes().all(|byte| (byte as char).is_digit(radix)) {
        return None;
    }
    let code = u32::from_str_radix(text, radix).ok()?;
    if matches!(letter, b'u' | b'U') {
        let mut buffer = [0; 4];
        out.extend(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
    } else {
        out.push(u8::try_from(code).ok()?);
    }
    Some(&source[digits..])
}

/// Decimal digits of a finite, non-negative number: `0.d1d2d3… × 10^point`.
struct Digits {
    digits: Vec<u8>,
    point: i32,
}

fn shortest(value: f64) -> Digits {
    digits_of(&format!("{value:e}"))
}

fn rounded(value: f64, after_first: usize) -> Digits {
    digits_of(&format!("{value:.after_first$e}"))
}

fn digits_of(scientific: &str) -> Digits {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if digits.iter().all(|digit| *digit == b'0') {
        return Digits { digits, point: 1 };
    }
    Digits {
        digits,
        point: exponent + 1,
    }
}

/// Go's `strconv.FormatFloat(value, verb, precision, 64)`; a negative
/// precision asks for the shortest text that reads back as the same number.
pub fn format_float(value: f64, verb: u8, precision: i32) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let value = value.abs();
    let body = match verb {
        b'e' | b'E' => {
            let digits = match usize::try_from(precision) {
                Ok(precision) => rounded(value, precision),
                Err(_) => shortest(value),
            };
            exponent_text(&digits, verb, precision)
        }
        b'f' | b'F' => match usize::try_from(precision) {
            Ok(precision) => format!("{value:.precision$}"),
            Err(_) => fixed_text(&shortest(value)),
        },
        _ => general_text(value, verb, precision),
    };
    format!("{sign}{body}")
}

fn general_text(value: f64, verb: u8, precision: i32) -> String {
    let letter = if verb == b'G' { b'E' } else { b'e' };
    let (digits, threshold) = match usize::try_from(precision) {
        Ok(precision) => {
            let precision = precision.max(1);
            let mut digits = rounded(value, precision - 1);
            while digits.digits.len() > 1 && digits.digits.last() == Some(&b'0') {
                digits.digits.pop();
            }
            let count = digits.digits.len() as i32;
            let mut threshold = precision as i32;
            if threshold > count && count >= digits.point {
                threshold = count;
            }
            (digits, threshold)
        }
        // With the shortest text, Go decides as if the precision were 6.
        Err(_) => (shortest(value), 6),
    };
    let exponent = digits.point - 1;
    if exponent < -4 || exponent >= threshold {
        let count = digits.digits.len() as i32 - 1;
        exponent_text(&digits, letter, count)
    } else {
        fixed_text(&digits)
    }
}

fn exponent_text(digits: &Digits, letter: u8, precision: i32) -> String {
    let mut out = String::new();
    out.push(digits.digits[0] as char);
    if digits.digits.len() > 1 && precision != 0 {
        out.push('.');
        out.extend(digits.digits[1..].iter().map(|digit| *digit as char));
    }
    let zero = digits.digits.iter().all(|digit| *digit == b'0');
    let exponent = if zero { 0 } else { digits.point - 1 };
    out.push(letter as char);
    out.push(if exponent < 0 { '-' } else { '+' });
    out.push_str(&format!("{:02}", exponent.abs()));
    out
}

fn fixed_text(digits: &Digits) -> String {
    let mut out = String::new();
    let count = digits.digits.len() as i32;
    if digits.point <= 0 {
        out.push_str("0.");
        out.extend((0..-digits.point).map(|_| '0'));
        out.extend(digits.digits.iter().map(|digit| *digit as char));
        return out;
    }
    for at in 0..digits.point.max(count) {
        if at == digits.point {
            out.push('.');
        }
        out.push(
            digits
                .digits
                .get(at as usize)
                .map_or('0', |digit| *digit as char),
        );
    }
    out
}

/// Go's `strconv.ParseInt`/`ParseUint` with base 0: prefixes and underscores.
/// Returns the magnitude and the sign.
pub fn parse_integer_base0(text: &str) -> Option<(bool, u128)> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if body.contains('_') && !underscores_ok(&lower, radix != 10) {
        return None;
    }
    let plain: String = body.chars().filter(|c| *c != '_').collect();
    if plain.is_empty() || plain.len() > 100 || !plain.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let trimmed = plain.trim_start_matches('0');
    if trimmed.is_empty() {
        return Some((negative, 0));
    }
    Some((negative, u128::from_str_radix(trimmed, radix).ok()?))
}

/// Underscores may stand only between digits, or after a base prefix.
fn underscores_ok(text: &str, prefixed: bool) -> bool {
    let mut previous = if prefixed { '0' } else { '^' };
    for c in text.chars() {
        if c == '_' && !previous.is_ascii_alphanumeric() {
            return false;
        }
        previous = c;
    }
    previous != '_'
}

/// Go's `strconv.ParseFloat(text, 64)` for decimal and hexadecimal numbers,
/// infinities and NaN. Overflow is an error, as in Go.
pub fn parse_float(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let unsigned = lower.strip_prefix(['+', '-']).unwrap_or(&lower);
    if matches!(unsigned, "inf" | "infinity") {
        let sign = if lower.starts_with('-') { -1.0 } else { 1.0 };
        return Some(f64::INFINITY * sign);
    }
    if unsigned == "nan" && unsigned.len() == lower.len() {
        return Some(f64::NAN);
    }
    if let Some(hex) = unsigned.strip_prefix("0x") {
        let sign = if lower.starts_with('-') { -1.0 } else { 1.0 };
        return parse_hex_float(hex).map(|value| value * sign);
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value: f64 = lower.parse().ok()?;
    value.is_finite().then_some(value)
}

fn parse_hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && part.is_empty() || whole.len() + part.len() > 16 {
        return None;
    }
    let digits = u64::from_str_radix(&format!("{whole}{part}"), 16).ok()?;
    Some(digits as f64 * 2f64.powi(exponent - 4 * part.len() as i32))
}

/// Go's `strconv.Atoi`: base 10, no underscores.
pub fn atoi(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_go_prints_them() {
        let check = |value: f64, verb: u8, precision: i32, expected: &str| {
            assert_eq!(
                format_float(value, verb, precision),
                expected,
                "{value} {}",
                verb as char
            );
        };
        check(1_000_000.0, b'g', -1, "1e+06");
        check(100_000.0, b'g', -1, "100000");
        check(123_456_789.0, b'g', -1, "1.23456789e+08");
        check(12_345_678_901_234.0, b'g', -1, "1.2345678901234e+13");
        check(0.0001, b'g', -1, "0.0001");
        check(0.00001, b'g', -1, "1e-05");
        check(0.0, b'g', -1, "0");
        check(-0.0, b'g', -1, "-0");
        check(2.25, b'f', 1, "2.2");
        check(2.5, b'f', 0, "2");
        check(1e21, b'f', -1, "1000000000000000000000");
        check(1234.5678, b'e', 2, "1.23e+03");
        check(1234.5678, b'g', 3, "1.23e+03");
        check(100.0, b'g', 3, "100");
        check(0.0, b'e', 3, "0.000e+00");
        check(42.0, b'f', 3, "42.000");
    }

    #[test]
    fn quotes_read_back() {
        let check = |text: &str, expected: &str| {
            let quoted = quote(text.as_bytes(), false);
            assert_eq!(String::from_utf8_lossy(&quoted), expected);
            assert_eq!(unquote(&quoted).as_deref(), Some(text.as_bytes()));
        };
        check("a\"b\\c\n\t", r#""a\"b\\c\n\t""#);
        check("héllo", "\"héllo\"");
        check("\u{200b}\u{7f}\x01", r#""\u200b\x7f\x01""#);
        check("e\u{301}", "\"e\u{301}\"");
        assert_eq!(unquote(br"'\''").as_deref(), Some(&b"'"[..]));
        assert_eq!(unquote(br#""\q""#), None);
        assert_eq!(unquote(b"`a\r\nb`").as_deref(), Some(&b"a\nb"[..]));
    }

    #[test]
    fn integers_take_prefixes() {
        let check = |text: &str, expected: Option<(bool, u128)>| {
            assert_eq!(parse_integer_base0(text), expected, "{text}");
        };
        check("0x1F", Some((false, 31)));
        check("-0b11", Some((true, 3)));
        check("017", Some((false, 15)));
        check("0o17", Some((false, 15)));
        check("08", None);
        check("1_000", Some((false, 1000)));
        check("1__0", None);
        check("_1", None);
        check("0", Some((false, 0)));
        check("", None);
    }
}
