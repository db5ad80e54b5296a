//! Go's `fmt`: `Sprint`, `Sprintln`, `Sprintf` over [`Value`]s.
//!
//! <https://pkg.go.dev/fmt>. Not here: the quoting and the digits
//! (`strconv`), and which value an action prints (`exec`).

mod numbers;
mod values;

use self::values::print_arg;
use crate::strconv::decode_char;
use crate::value::Value;

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
