//! The conversions of `spf13/cast`, which sprig's arithmetic uses: anything
//! becomes a number, and what cannot becomes zero.

use crate::strconv::{parse_float, parse_integer_base0};
use crate::value::Value;

/// `cast.ToInt64`.
pub fn to_int64(value: &Value) -> i64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number,
        Value::Uint64(number) => *number as i64,
        Value::Uint8(number) => i64::from(*number),
        Value::Float(number) => float_to_int(*number),
        Value::Bool(value) => i64::from(*value),
        Value::Str(text) => parse_int(&text.to_text()),
        _ => 0,
    }
}

/// Go's conversion on amd64: what does not fit becomes the smallest number.
fn float_to_int(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if !(-LIMIT..LIMIT).contains(&number) {
        return i64::MIN;
    }
    number as i64
}

fn parse_int(text: &str) -> i64 {
    let text = trim_zero_decimal(text);
    let Some((negative, magnitude)) = parse_integer_base0(text) else {
        return 0;
    };
    let Ok(magnitude) = i128::try_from(magnitude) else {
        return 0;
    };
    let number = if negative { -magnitude } else { magnitude };
    i64::try_from(number).unwrap_or(0)
}

/// `12.00` counts as `12`.
fn trim_zero_decimal(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, part)) if !part.is_empty() && part.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    }
}

/// `cast.ToFloat64`.
pub fn to_float64(value: &Value) -> f64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number as f64,
        Value::Uint64(number) => *number as f64,
        Value::Uint8(number) => f64::from(*number),
        Value::Float(number) => *number,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Str(text) => parse_float(&text.to_text()).unwrap_or(0.0),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_become_integers() {
        let check = |text: &str, expected: i64| {
            assert_eq!(to_int64(&Value::str(text)), expected, "{text}");
        };
        check("0x10", 16);
        check("010", 8);
        check("abc", 0);
        check("12.00", 12);
        check("12.5", 0);
        check("-7", -7);
        check("1_000", 1000);
    }
}
