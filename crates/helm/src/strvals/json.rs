//! The JSON values of `--set-json`: where one ends, and what it is.

use crate::convert::from_template;
use coracle_goyaml::Value;

/// Reads one JSON value; returns it and what follows.
pub(super) fn json(text: &str) -> Option<(Value, &str)> {
    let text = text.trim_start_matches([' ', '\t', '\r', '\n']);
    let (value, rest) = text.split_at(json_end(text)?);
    let value = coracle_gotemplate::json::decode(value.as_bytes()).ok()?;
    Some((from_template(&value), rest))
}

/// Where the JSON value ends that starts the text. What is no JSON may end
/// anywhere.
fn json_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    match bytes.first()? {
        b'{' | b'[' => nested_end(bytes),
        b'"' => Some(string_end(bytes)),
        b'-' | b'0'..=b'9' => Some(number_end(text)),
        _ => ["true", "false", "null"]
            .iter()
            .find(|word| text.starts_with(**word))
            .map(|word| word.len()),
    }
}

fn nested_end(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at += string_end(&bytes[at..]) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn string_end(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += 1 + usize::from(bytes[at] == b'\\');
    }
    (at + 1).min(bytes.len())
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?`
fn number_end(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut at = usize::from(text.starts_with('-'));
    at += match text[at..].starts_with('0') {
        true => 1,
        false => digits(&text[at..]),
    };
    if text[at..].starts_with('.') {
        at += 1 + digits(&text[at + 1..]);
    }
    if text[at..].starts_with(['e', 'E']) {
        let sign = usize::from(text[at + 1..].starts_with(['+', '-']));
        at += 1 + sign + digits(&text[at + 1 + sign..]);
    }
    at
}
