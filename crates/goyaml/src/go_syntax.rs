//! What go-yaml decodes a node to, and how Go's `%#v` shows it: texts of
//! refusals hold it.
//!
//! Main type: [`GoValue`]. Reference: `internal/fmtsort` for the order of keys.

use crate::number::general;
use std::cmp::Ordering;
use std::fmt;

/// A value whose mappings may have keys of any type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GoValue {
    Nil,
    Str(String),
    Uint(u64),
    Int(i64),
    Float(f64),
    Bool(bool),
    Seq(Vec<GoValue>),
    Map(Vec<(GoValue, GoValue)>),
}

impl GoValue {
    /// Puts a pair into a mapping; a later one of the same key replaces it.
    pub(crate) fn put(pairs: &mut Vec<(GoValue, GoValue)>, key: GoValue, value: GoValue) {
        match pairs.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => pairs.push((key, value)),
        }
    }

    /// Keys of several types follow the addresses of their types in Helm's
    /// binary.
    fn rank(&self) -> usize {
        match self {
            GoValue::Nil => 0,
            GoValue::Str(_) => 1,
            GoValue::Uint(_) => 2,
            GoValue::Int(_) => 3,
            GoValue::Float(_) => 4,
            GoValue::Bool(_) => 5,
            GoValue::Seq(_) | GoValue::Map(_) => 6,
        }
    }

    fn order(&self, other: &GoValue) -> Ordering {
        match (self, other) {
            (GoValue::Str(a), GoValue::Str(b)) => a.cmp(b),
            (GoValue::Uint(a), GoValue::Uint(b)) => a.cmp(b),
            (GoValue::Int(a), GoValue::Int(b)) => a.cmp(b),
            (GoValue::Float(a), GoValue::Float(b)) => {
                // What is no number comes first.
                let number = b.is_nan().cmp(&a.is_nan());
                number.then(a.partial_cmp(b).unwrap_or(Ordering::Equal))
            }
            (GoValue::Bool(a), GoValue::Bool(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl fmt::Display for GoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GoValue::Nil => f.write_str("interface {}(nil)"),
            GoValue::Str(text) => f.write_str(&quoted(text)),
            GoValue::Uint(number) => write!(f, "{number:#x}"),
            GoValue::Int(number) => write!(f, "{number}"),
            GoValue::Float(number) if number.is_nan() => f.write_str("NaN"),
            GoValue::Float(number) if number.is_infinite() => {
                f.write_str(if *number > 0.0 { "+Inf" } else { "-Inf" })
            }
            GoValue::Float(number) => f.write_str(&general(*number, false)),
            GoValue::Bool(flag) => write!(f, "{flag}"),
            GoValue::Seq(items) => {
                let items: Vec<String> = items.iter().map(GoValue::to_string).collect();
                write!(f, "[]interface {{}}{{{}}}", items.join(", "))
            }
            GoValue::Map(pairs) => {
                let mut pairs: Vec<&(GoValue, GoValue)> = pairs.iter().collect();
                pairs.sort_by(|(a, _), (b, _)| a.order(b));
                let pairs: Vec<String> = pairs
                    .iter()
                    .map(|(key, value)| format!("{key}:{value}"))
                    .collect();
                write!(
                    f,
                    "map[interface {{}}]interface {{}}{{{}}}",
                    pairs.join(", ")
                )
            }
        }
    }
}

/// Go's `strconv.Quote`.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if c < ' ' || c == '\x7f' => out.push_str(&format!("\\x{:02x}", c as u32)),
            '\'' => out.push(c),
            // What Rust escapes is not printable to Go either.
            c if c.escape_debug().len() == 1 => out.push(c),
            c if c <= '\u{FFFF}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}
