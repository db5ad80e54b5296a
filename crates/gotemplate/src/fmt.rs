//! Go's `fmt`: `Sprint`, `Sprintln`, `Sprintf` over [`Value`]s.
//!
//! <https://pkg.go.dev/fmt>. Not here: the quoting and the digits
//! (`strconv`), and which value an action prints (`exec`).

use crate::strconv::{decode_char, format_float, is_print, quote, quote_char};
use crate::value::{List, Map, Struct, Value};

/// How deep nested values are printed before the printer gives up; a map that
/// contains itself would otherwise never end.
const DEPTH_MAX: usize = 1000;

/// Go refuses widths and precisions beyond this number.
const WIDTH_MAX: i64 = 1_000_000;

/// Flags, width and precision of one verb.
#[derive(Clone, Default)]
struct Spec {
    width: Option<usize>,
    precision: Option<usize>,
    sharp: bool,
    zero: bool,
    plus: bool,
    minus: bool,
    space: bool,
    sharp_v: bool,
    plus_v: bool,
}

/// Appends the `%v` text of a value.
pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Str(text) => out.extend(text.as_bytes()),
        other => print_arg(out, &Spec::default(), other, 'v'),
    }
}

/// Returns the `%v` text of a value.
pub fn value_text(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(&mut out, value);
    out
}

/// Go's `fmt.Sprint`: a space between operands when neither is a string.
pub fn sprint(args: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut previous_string = false;
    for (at, arg) in args.iter().enumerate() {
        let string = matches!(arg, Value::Str(_));
        if at > 0 && !string && !previous_string {
            out.push(b' ');
        }
        write_value(&mut out, arg);
        previous_string = string;
    }
    out
}

/// Go's `fmt.Sprintln`.
pub fn sprintln(args: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, arg) in args.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        write_value(&mut out, arg);
    }
    out.push(b'\n');
    out
}

/// Go's `fmt.Sprintf`.
pub fn sprintf(format: &[u8], args: &[Value]) -> Vec<u8> {
    let mut printer = Printer {
        format,
        args,
        at: 0,
        next_arg: 0,
        reordered: false,
        good_arg: true,
        out: Vec::with_capacity(format.len() + 16),
    };
    printer.run();
    printer.out
}

struct Printer<'a> {
    format: &'a [u8],
    args: &'a [Value],
    at: usize,
    next_arg: usize,
    reordered: bool,
    good_arg: bool,
    out: Vec<u8>,
}

impl Printer<'_> {
    fn run(&mut self) {
        while self.at < self.format.len() {
            self.good_arg = true;
            let rest = &self.format[self.at..];
            let literal = memchr::memchr(b'%', rest).unwrap_or(rest.len());
            self.out.extend(&rest[..literal]);
            self.at += literal;
            if self.at >= self.format.len() {
                break;
            }
            self.at += 1;
            if !self.verb() {
                break;
            }
        }
        self.extra_arguments();
    }

    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    /// Prints one verb; false at the end of the format.
    fn verb(&mut self) -> bool {
        let mut spec = Spec::default();
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => spec.sharp = true,
                b'0' => spec.zero = true,
                b'+' => spec.plus = true,
                b'-' => spec.minus = true,
                b' ' => spec.space = true,
                _ => break,
            }
            self.at += 1;
        }
        let mut after_index = self.arg_number();
        self.width(&mut spec, &mut after_index);
        self.precision(&mut spec, &mut after_index);
        if !after_index {
            self.arg_number();
        }
        if self.at >= self.format.len() {
            self.out.extend(b"%!(NOVERB)");
            return false;
        }
        let (verb, width) = decode_char(&self.format[self.at..]);
        self.at += width;
        self.print_verb(spec, verb.unwrap_or('\u{FFFD}'));
        true
    }

    fn print_verb(&mut self, mut spec: Spec, verb: char) {
        if verb == '%' {
            self.out.push(b'%');
        } else if !self.good_arg {
            self.out.extend(format!("%!{verb}(BADINDEX)").bytes());
        } else if self.next_arg >= self.args.len() {
            self.out.extend(format!("%!{verb}(MISSING)").bytes());
        } else {
            if matches!(verb, 'v' | 'w') {
                spec.sharp_v = std::mem::take(&mut spec.sharp);
                spec.plus_v = std::mem::take(&mut spec.plus);
            }
            let args = self.args;
            print_arg(&mut self.out, &spec, &args[self.next_arg], verb);
            self.next_arg += 1;
        }
    }

    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        let mut number: i64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number * 10 + i64::from(digit - b'0');
            if number > WIDTH_MAX {
                return None;
            }
            self.at += 1;
        }
        (self.at > start).then_some(number as usize)
    }

    /// Reads `[n]`; whether there was one.
    fn arg_number(&mut self) -> bool {
        if self.peek() != Some(b'[') {
            return false;
        }
        self.reordered = true;
        let start = self.at;
        self.at += 1;
        let number = self.number();
        if let (Some(number), Some(b']')) = (number, self.peek()) {
            self.at += 1;
            if (1..=self.args.len()).contains(&number) {
                self.next_arg = number - 1;
            } else {
                self.good_arg = false;
            }
            return true;
        }
        self.good_arg = false;
        let close = self.format[start..].iter().position(|byte| *byte == b']');
        self.at = start + close.unwrap_or(0) + 1;
        false
    }

    fn star(&mut self) -> Option<i64> {
        self.at += 1;
        let number = match self.args.get(self.next_arg) {
            Some(Value::Int(n) | Value::Int64(n)) => Some(*n),
            Some(Value::Uint8(n)) => Some(i64::from(*n)),
            Some(Value::Uint64(n)) => i64::try_from(*n).ok(),
            _ => None,
        };
        if self.next_arg < self.args.len() {
            self.next_arg += 1;
        }
        number.filter(|n| n.abs() <= WIDTH_MAX)
    }

    fn width(&mut self, spec: &mut Spec, after_index: &mut bool) {
        if self.peek() == Some(b'*') {
            match self.star() {
                Some(width) => {
                    if width < 0 {
                        spec.minus = true;
                        spec.zero = false;
                    }
                    spec.width = Some(width.unsigned_abs() as usize);
                }
                None => self.out.extend(b"%!(BADWIDTH)"),
            }
            *after_index = false;
            return;
        }
        spec.width = self.number();
        if *after_index && spec.width.is_some() {
            self.good_arg = false;
        }
    }

    fn precision(&mut self, spec: &mut Spec, after_index: &mut bool) {
        if self.peek() != Some(b'.') || self.at + 1 >= self.format.len() {
            return;
        }
        self.at += 1;
        if *after_index {
            self.good_arg = false;
        }
        *after_index = self.arg_number();
        if self.peek() == Some(b'*') {
            match self.star() {
                Some(precision) if precision >= 0 => spec.precision = Some(precision as usize),
                _ => self.out.extend(b"%!(BADPREC)"),
            }
            *after_index = false;
        } else {
            spec.precision = Some(self.number().unwrap_or(0));
        }
    }

    fn extra_arguments(&mut self) {
        if self.reordered || self.next_arg >= self.args.len() {
            return;
        }
        self.out.extend(b"%!(EXTRA ");
        for (at, arg) in self.args[self.next_arg..].iter().enumerate() {
            if at > 0 {
                self.out.extend(b", ");
            }
            if arg.is_nil() {
                self.out.extend(b"<nil>");
            } else {
                self.out.extend(arg.type_name().bytes());
                self.out.push(b'=');
                print_arg(&mut self.out, &Spec::default(), arg, 'v');
            }
        }
        self.out.push(b')');
    }
}

fn print_arg(out: &mut Vec<u8>, spec: &Spec, arg: &Value, verb: char) {
    match verb {
        'T' => pad(out, spec, arg.type_name().as_bytes()),
        'v' if arg.is_nil() => pad(out, spec, b"<nil>"),
        _ if arg.is_nil() => bad_verb(out, spec, arg, verb),
        'p' => print_pointer(out, spec, arg, verb),
        _ => print_value(out, spec, arg, verb, 0),
    }
}

fn print_value(out: &mut Vec<u8>, spec: &Spec, value: &Value, verb: char, depth: usize) {
    if depth > DEPTH_MAX {
        out.extend(b"...");
        return;
    }
    match value {
        Value::Nil => out.extend(
            if verb == 'v' { "<nil>" } else { "%!" }.bytes().chain(
                if verb == 'v' {
                    String::new()
                } else {
                    format!("{verb}(<nil>)")
                }
                .bytes(),
            ),
        ),
        Value::Bool(flag) => match verb {
            't' | 'v' => pad(out, spec, if *flag { b"true" } else { b"false" }),
            _ => bad_verb(out, spec, value, verb),
        },
        Value::Int(n) | Value::Int64(n) => {
            print_integer(out, spec, value, (*n < 0, n.unsigned_abs()), verb);
        }
        Value::Uint64(n) => print_integer(out, spec, value, (false, *n), verb),
        Value::Uint8(n) => print_integer(out, spec, value, (false, u64::from(*n)), verb),
        Value::Float(n) => print_float(out, spec, value, *n, verb),
        Value::Str(text) => print_string(out, spec, value, text, verb),
        Value::Bytes(bytes) => print_bytes(out, spec, value, bytes, verb),
        Value::Map(map) => print_map(out, spec, map, verb, depth),
        Value::List(list) => print_list(out, spec, list, verb, depth),
        Value::Struct(object) => print_struct(out, spec, value, object, verb, depth),
        Value::Time(time) => {
            let text = crate::funcs::date::time_text(time);
            print_string(out, spec, value, text.as_bytes(), verb);
        }
    }
}

fn bad_verb(out: &mut Vec<u8>, _spec: &Spec, value: &Value, verb: char) {
    out.extend(format!("%!{verb}(").bytes());
    if value.is_nil() {
        out.extend(b"<nil>");
    } else {
        out.extend(value.type_name().bytes());
        out.push(b'=');
        print_value(out, &Spec::default(), value, 'v', 0);
    }
    out.push(b')');
}

fn print_map(out: &mut Vec<u8>, spec: &Spec, map: &Map, verb: char, depth: usize) {
    if spec.sharp_v {
        out.extend(Value::Map(map.clone()).type_name().bytes());
        out.push(b'{');
    } else {
        out.extend(b"map[");
    }
    for (at, (key, value)) in map.borrow().iter().enumerate() {
        if at > 0 {
            out.extend(if spec.sharp_v { &b", "[..] } else { b" " });
        }
        print_value(out, spec, &Value::Str(key.clone()), verb, depth + 1);
        out.push(b':');
        print_element(out, spec, value, verb, depth + 1);
    }
    out.push(if spec.sharp_v { b'}' } else { b']' });
}

fn print_list(out: &mut Vec<u8>, spec: &Spec, list: &List, verb: char, depth: usize) {
    if spec.sharp_v {
        out.extend(Value::List(list.clone()).type_name().bytes());
    }
    out.push(if spec.sharp_v { b'{' } else { b'[' });
    for (at, value) in list.borrow().iter().enumerate() {
        if at > 0 {
            out.extend(if spec.sharp_v { &b", "[..] } else { b" " });
        }
        print_element(out, spec, value, verb, depth + 1);
    }
    out.push(if spec.sharp_v { b'}' } else { b']' });
}

/// Prints an element whose static type is `interface {}`: nil has its own
/// text whatever the verb.
fn print_element(out: &mut Vec<u8>, spec: &Spec, value: &Value, verb: char, depth: usize) {
    match value {
        Value::Nil if spec.sharp_v => out.extend(b"interface {}(nil)"),
        Value::Nil => out.extend(b"<nil>"),
        other => print_value(out, spec, other, verb, depth),
    }
}

fn print_struct(
    out: &mut Vec<u8>,
    spec: &Spec,
    value: &Value,
    object: &Struct,
    verb: char,
    depth: usize,
) {
    if let (Some(display), false) = (object.ty.display, object.ty.display_by_pointer)
        && !spec.sharp_v
    {
        let text = display(object);
        return print_string(out, spec, value, text.as_bytes(), verb);
    }
    if object.ty.is_pointer() {
        if depth > 0 {
            return print_pointer(out, spec, value, verb);
        }
        out.push(b'&');
    }
    if spec.sharp_v {
        out.extend(object.ty.name.trim_start_matches('*').bytes());
    }
    out.push(b'{');
    for (at, (name, field)) in object
        .ty
        .fields
        .iter()
        .zip(object.fields.iter())
        .enumerate()
    {
        if at > 0 {
            out.extend(if spec.sharp_v { &b", "[..] } else { b" " });
        }
        if spec.sharp_v || spec.plus_v {
            out.extend(name.bytes());
            out.push(b':');
        }
        print_element(out, spec, field, verb, depth + 1);
    }
    out.push(b'}');
}

fn print_pointer(out: &mut Vec<u8>, spec: &Spec, value: &Value, verb: char) {
    let address = match value {
        Value::Map(map) => map.address(),
        Value::List(list) => list.address(),
        Value::Struct(object) => std::rc::Rc::as_ptr(&object.fields) as *const () as usize,
        _ => return bad_verb(out, spec, value, verb),
    };
    pad(out, spec, format!("{address:#x}").as_bytes());
}

fn print_string(out: &mut Vec<u8>, spec: &Spec, value: &Value, text: &[u8], verb: char) {
    match verb {
        'v' if spec.sharp_v => pad(out, spec, &quote(text, false)),
        'v' | 's' => pad(out, spec, truncated(spec, text)),
        'x' => print_hex_bytes(out, spec, text, false),
        'X' => print_hex_bytes(out, spec, text, true),
        'q' => print_quoted(out, spec, truncated(spec, text)),
        _ => bad_verb(out, spec, value, verb),
    }
}

fn print_quoted(out: &mut Vec<u8>, spec: &Spec, text: &[u8]) {
    let backquote = spec.sharp
        && std::str::from_utf8(text).is_ok_and(|text| {
            text.chars()
                .all(|c| c != '`' && c != '\u{FEFF}' && (c == '\t' || (c >= ' ' && c != '\x7f')))
        });
    if backquote {
        let quoted = [b"`", text, b"`"].concat();
        return pad(out, spec, &quoted);
    }
    pad(out, spec, &quote(text, spec.plus));
}

fn print_bytes(out: &mut Vec<u8>, spec: &Spec, value: &Value, bytes: &[u8], verb: char) {
    match verb {
        'v' | 'd' => {
            if spec.sharp_v {
                out.extend(b"[]byte{");
            } else {
                out.push(b'[');
            }
            for (at, byte) in bytes.iter().enumerate() {
                if at > 0 {
                    out.extend(if spec.sharp_v { &b", "[..] } else { b" " });
                }
                let number = (false, u64::from(*byte));
                let verb = if spec.sharp_v { 'v' } else { 'd' };
                print_integer(out, spec, &Value::Uint8(*byte), number, verb);
            }
            out.push(if spec.sharp_v { b'}' } else { b']' });
        }
        _ => print_string(out, spec, value, bytes, verb),
    }
}

fn print_hex_bytes(out: &mut Vec<u8>, spec: &Spec, bytes: &[u8], upper: bool) {
    let count = spec
        .precision
        .map_or(bytes.len(), |precision| precision.min(bytes.len()));
    let prefix = if upper { "0X" } else { "0x" };
    let mut text = String::new();
    for (at, byte) in bytes[..count].iter().enumerate() {
        if spec.space && at > 0 {
            text.push(' ');
        }
        if spec.sharp && (at == 0 || spec.space) {
            text.push_str(prefix);
        }
        text.push_str(&if upper {
            format!("{byte:02X}")
        } else {
            format!("{byte:02x}")
        });
    }
    let plain = Spec {
        zero: false,
        ..spec.clone()
    };
    pad(out, &plain, text.as_bytes());
}

fn print_integer(
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

fn print_float(out: &mut Vec<u8>, spec: &Spec, value: &Value, number: f64, verb: char) {
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

fn truncated<'a>(spec: &Spec, text: &'a [u8]) -> &'a [u8] {
    let Some(precision) = spec.precision else {
        return text;
    };
    let mut at = 0;
    for _ in 0..precision {
        if at >= text.len() {
            break;
        }
        at += decode_char(&text[at..]).1;
    }
    &text[..at]
}

/// Writes `text` padded to the width, counted in characters.
fn pad(out: &mut Vec<u8>, spec: &Spec, text: &[u8]) {
    let Some(width) = spec.width else {
        out.extend(text);
        return;
    };
    let count = String::from_utf8_lossy(text).chars().count();
    let missing = width.saturating_sub(count);
    if spec.minus {
        out.extend(text);
        out.extend(std::iter::repeat_n(b' ', missing));
    } else {
        let filler = if spec.zero { b'0' } else { b' ' };
        out.extend(std::iter::repeat_n(filler, missing));
        out.extend(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Entries;

    fn check(format: &str, args: &[Value], expected: &str) {
        let text = sprintf(format.as_bytes(), args);
        assert_eq!(String::from_utf8_lossy(&text), expected, "{format}");
    }

    #[test]
    fn printf_verbs() {
        use Value::{Bool, Float, Int, Nil};
        let text = |text: &str| Value::str(text);
        check("%s", &[Float(42.0)], "%!s(float64=42)");
        check("%d", &[Float(42.0)], "%!d(float64=42)");
        check("%d", &[text("x")], "%!d(string=x)");
        check("%d", &[Int(42)], "42");
        check("%s", &[Nil], "%!s(<nil>)");
        check("%v", &[Nil], "<nil>");
        check("%s", &[], "%!s(MISSING)");
        check(
            "a",
            &[Int(1), text("b"), Nil],
            "a%!(EXTRA int=1, string=b, <nil>)",
        );
        check(
            "%5d|%-5d|%05d",
            &[Int(42), Int(42), Int(-42)],
            "   42|42   |-0042",
        );
        check("%08.3f", &[Float(2.71)], "0002.710");
        check("%+v %T", &[Float(1.0), Int(1)], "1 int");
        check("%+d %+.1f", &[Int(1), Float(1.0)], "+1 +1.0");
        check(
            "%x %X %#x",
            &[Int(255), text("hi"), Int(255)],
            "ff 6869 0xff",
        );
        check("%q %q", &[text("a\"b"), Int(65)], "\"a\\\"b\" 'A'");
        check("%t %v", &[Bool(true), Bool(false)], "true false");
        check("%[2]d %[1]d", &[Int(1), Int(2)], "2 1");
        check("%*d", &[Int(5), Int(1)], "    1");
        check("%.2s|%5.1s|", &[text("héllo"), text("abc")], "hé|    a|");
        check("100%%", &[], "100%");
        check("%", &[], "%!(NOVERB)");
        check("%!", &[Int(1)], "%!!(int=1)");
        check("%z", &[Int(1)], "%!z(int=1)");
        check("%c%U", &[Int(0x41), Int(0x1F600)], "AU+1F600");
        check("%e", &[Float(1234.5678)], "1.234568e+03");
        check("%6.2f%%", &[Float(99.5)], " 99.50%");
        check("%#v", &[text("x")], "\"x\"");
        check("%o %b", &[Int(8), Int(5)], "10 101");
    }

    #[test]
    fn maps_and_lists() {
        let mut entries = Entries::new();
        entries.insert("a".into(), Value::Int(2));
        entries.insert("1".into(), Value::str("k"));
        entries.insert("10".into(), Value::Nil);
        let map = Value::map(entries);
        check("%v", std::slice::from_ref(&map), "map[1:k 10:<nil> a:2]");
        check(
            "%s",
            &[Value::list(vec!["a".into(), Value::Int(1)])],
            "[a %!s(int=1)]",
        );
        check(
            "%v",
            &[Value::list(vec![Value::Int(1), Value::Nil])],
            "[1 <nil>]",
        );
        check("%q", &[Value::strings(["a", "b"])], "[\"a\" \"b\"]");
        check(
            "%#v",
            &[map],
            "map[string]interface {}{\"1\":\"k\", \"10\":interface {}(nil), \"a\":2}",
        );
    }
}
