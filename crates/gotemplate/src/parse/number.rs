//! Numbers as Go's constants are: one text may be an integer and a float.

use super::{Parser, Result, shown_name};
use crate::lex::{Item, ItemType};
use crate::strconv::{parse_float, parse_integer_base0, unquote};
use crate::tree::Number;

impl Parser<'_> {
    pub(super) fn number(&self, token: &Item) -> Result<Number> {
        let text = token.text();
        let shown = shown_name(&text);
        let number = match token.typ {
            ItemType::CharConstant => char_number(&token.val),
            ItemType::Complex => Some(complex_number(&text)),
            _ if text.ends_with('i') => Some(complex_number(&text)),
            _ => plain_number(&text),
        };
        match number {
            Some(number) if number.overflow => self.error(format!("integer overflow: {shown}")),
            Some(number) => Ok(number.number),
            None if token.typ == ItemType::CharConstant => {
                self.error(format!("malformed character constant: {text}"))
            }
            None => self.error(format!("illegal number syntax: {shown}")),
        }
    }
}

struct Reading {
    number: Number,
    overflow: bool,
}

fn reading(text: &str, int: Option<i64>, uint: Option<u64>, float: Option<f64>) -> Reading {
    Reading {
        number: Number {
            text: text.into(),
            int,
            uint,
            float,
            complex: false,
        },
        overflow: false,
    }
}

fn complex_number(text: &str) -> Reading {
    let mut reading = reading(text, None, None, None);
    reading.number.complex = true;
    reading
}

fn char_number(literal: &[u8]) -> Option<Reading> {
    let bytes = unquote(literal)?;
    let code = match std::str::from_utf8(&bytes) {
        Ok(text) => text.chars().next()? as u32,
        Err(_) => u32::from(*bytes.first()?),
    };
    let text = String::from_utf8_lossy(literal);
    let (int, uint) = (i64::from(code), u64::from(code));
    Some(reading(&text, Some(int), Some(uint), Some(f64::from(code))))
}

fn plain_number(text: &str) -> Option<Reading> {
    let parsed = parse_integer_base0(text);
    let int = parsed.and_then(|(negative, magnitude)| {
        let magnitude = i128::try_from(magnitude).ok()?;
        i64::try_from(if negative { -magnitude } else { magnitude }).ok()
    });
    let signed = text.starts_with(['+', '-']);
    let mut uint = parsed
        .filter(|_| !signed)
        .and_then(|(_, magnitude)| u64::try_from(magnitude).ok());
    if int == Some(0) {
        uint = Some(0);
    }
    if let Some(int) = int {
        return Some(reading(text, Some(int), uint, Some(int as f64)));
    }
    if let Some(uint) = uint {
        return Some(reading(text, None, Some(uint), Some(uint as f64)));
    }
    let plain = text.replace('_', "");
    let float = parse_float(&plain)?;
    let mut reading = reading(text, None, None, Some(float));
    reading.overflow = !text.contains(['.', 'e', 'E', 'p', 'P']);
    if float as i64 as f64 == float {
        reading.number.int = Some(float as i64);
    }
    if float as u64 as f64 == float {
        reading.number.uint = Some(float as u64);
    }
    Some(reading)
}
