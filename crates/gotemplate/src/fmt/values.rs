//! One value under one verb: maps, lists, structs, texts.

use super::numbers::{print_float, print_integer};
use super::{Spec, pad, truncated};
use crate::strconv::quote;
use crate::value::{List, Map, Struct, Value};

/// How deep nested values are printed before the printer gives up; a map that
/// contains itself would otherwise never end.
const DEPTH_MAX: usize = 1000;

pub(super) fn print_arg(out: &mut Vec<u8>, spec: &Spec, arg: &Value, verb: char) {
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

pub(super) fn bad_verb(out: &mut Vec<u8>, _spec: &Spec, value: &Value, verb: char) {
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
        if map.ty.is_nil {
            return out.extend(b"(nil)");
        }
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
        if list.ty.is_nil {
            return out.extend(b"(nil)");
        }
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
