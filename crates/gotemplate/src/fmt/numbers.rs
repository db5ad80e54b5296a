//! Integers and floats under the verbs of `fmt`.

use super::values::bad_verb;
use super::{Spec, pad};
use crate::strconv::{format_float, is_print, quote_char};
use crate::value::Value;

pub(super) fn print_integer(
    out: &mut Vec<u8>,
    spec: &Spec,
    value: &Value,
    (negative, magnitude): (bool, u64),
    verb: char,
) {
    let unsigned = matches!(value, Value::Uint8(_) | Value::Uint64(_));
    match verb {
        'v' if spec.sharp_v && unsigned => {
            let sharp = Spec {
                sharp: true,
                ..spec.clone()
            };
            format_integer(out, &sharp, negative, magnitude, 16, verb);
        }
        'v' | 'd' => format_integer(out, spec, negative, magnitude, 10, verb),
        'b' => format_integer(out, spec, negative, magnitude, 2, verb),
        'o' | 'O' => format_integer(out, spec, negative, magnitude, 8, verb),
        'x' | 'X' => format_integer(out, spec, negative, magnitude, 16, verb),
        'c' => {
            let c = code_point(negative, magnitude);
            pad(out, spec, c.to_string().as_bytes());
        }
        'q' => {
            let c = code_point(negative, magnitude);
            pad(out, spec, &quote_char(c, spec.plus));
        }
        'U' => print_unicode(out, spec, negative, magnitude),
        _ => bad_verb(out, spec, value, verb),
    }
}

fn code_point(negative: bool, magnitude: u64) -> char {
    let code = u32::try_from(magnitude).ok().filter(|_| !negative);
    code.and_then(char::from_u32).unwrap_or('\u{FFFD}')
}

fn print_unicode(out: &mut Vec<u8>, spec: &Spec, negative: bool, magnitude: u64) {
    let width = spec.precision.unwrap_or(4).max(4);
    let mut text = format!("U+{magnitude:0width$X}");
    let c = code_point(negative, magnitude);
    if spec.sharp && is_print(c) && magnitude <= u64::from(u32::from(char::MAX)) {
        text.push_str(&format!(" '{c}'"));
    }
    let plain = Spec {
        zero: false,
        ..spec.clone()
    };
    pad(out, &plain, text.as_bytes());
}

fn format_integer(
    out: &mut Vec<u8>,
    spec: &Spec,
    negative: bool,
    magnitude: u64,
    base: u32,
    verb: char,
) {
    let plain = Spec {
        zero: false,
        precision: None,
        ..spec.clone()
    };
    let mut precision = 0;
    if let Some(wanted) = spec.precision {
        precision = wanted;
        if wanted == 0 && magnitude == 0 {
            return pad(out, &plain, b"");
        }
    } else if let (true, false, Some(width)) = (spec.zero, spec.minus, spec.width) {
        let signed = negative || spec.plus || spec.space;
        precision = width.saturating_sub(usize::from(signed));
    }
    let digits = match (base, verb) {
        (2, _) => format!("{magnitude:b}"),
        (8, _) => format!("{magnitude:o}"),
        (16, 'X') => format!("{magnitude:X}"),
        (16, _) => format!("{magnitude:x}"),
        _ => magnitude.to_string(),
    };
    let digits = format!("{digits:0>precision$}");
    let prefix = match (spec.sharp, base, verb) {
        (_, _, 'O') => "0o",
        (true, 2, _) => "0b",
        (true, 8, _) if !digits.starts_with('0') => "0",
        (true, 16, 'X') => "0X",
        (true, 16, _) => "0x",
        _ => "",
    };
    let sign = match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (.., true) => " ",
        _ => "",
    };
    pad(out, &plain, format!("{sign}{prefix}{digits}").as_bytes());
}

pub(super) fn print_float(out: &mut Vec<u8>, spec: &Spec, value: &Value, number: f64, verb: char) {
    let (letter, default) = match verb {
        'v' => (b'g', -1),
        'e' | 'E' | 'f' => (verb as u8, 6),
        'F' => (b'f', 6),
        'g' | 'G' => (verb as u8, -1),
        _ => return bad_verb(out, spec, value, verb),
    };
    let precision = spec.precision.map_or(default, |precision| precision as i32);
    let mut text = format_float(number, letter, precision);
    if !text.starts_with(['-', '+']) {
        text.insert(0, '+');
    }
    if spec.space && text.starts_with('+') && !spec.plus {
        text.replace_range(..1, " ");
    }
    if !number.is_finite() {
        if number.is_nan() && !spec.space && !spec.plus {
            text.remove(0);
        }
        let plain = Spec {
            zero: false,
            precision: None,
            ..spec.clone()
        };
        let shown = if text.starts_with('+') && !spec.plus {
            &text[1..]
        } else {
            &text
        };
        return pad(out, &plain, shown.as_bytes());
    }
    if spec.sharp {
        sharpen(&mut text, letter, precision);
    }
    let plain = Spec {
        precision: None,
        ..spec.clone()
    };
    if spec.plus || !text.starts_with('+') {
        if let (true, false, Some(width)) = (spec.zero, spec.minus, spec.width)
            && width > text.len()
        {
            out.push(text.as_bytes()[0]);
            out.extend(std::iter::repeat_n(b'0', width - text.len()));
            out.extend(&text.as_bytes()[1..]);
            return;
        }
        return pad(out, &plain, text.as_bytes());
    }
    pad(out, &plain, &text.as_bytes()[1..]);
}

/// The `#` flag forces a decimal point and keeps trailing zeros.
fn sharpen(text: &mut String, letter: u8, precision: i32) {
    let mut digits = match letter {
        b'g' | b'G' if precision < 0 => 6,
        b'g' | b'G' => precision,
        _ => 0,
    };
    let tail_at = text.find(['e', 'E']).unwrap_or(text.len());
    let tail = text.split_off(tail_at);
    let mut seen = false;
    for byte in text.bytes().skip(1) {
        if byte != b'.' {
            seen |= byte != b'0';
            digits -= i32::from(seen);
        }
    }
    if !text.contains('.') {
        if &text[1..] == "0" {
            digits -= 1;
        }
        text.push('.');
    }
    text.extend((0..digits.max(0)).map(|_| '0'));
    text.push_str(&tail);
}
