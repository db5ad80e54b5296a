//! Go's own template functions, after `text/template/funcs.go`.

use super::{Answer, Builtin, Func, Functions, R};
use crate::error::Error;
use crate::exec::zero;
use crate::fmt::{sprint, sprintf, sprintln};
use crate::value::{Kind, Type, Value};

pub(super) fn register(table: &mut Functions) {
    for (name, builtin) in [("and", Builtin::And), ("or", Builtin::Or)] {
        table.put(Func {
            name,
            params: &[R, R],
            variadic: true,
            call: |_, args| Ok(args.last().cloned().unwrap_or_default()),
            builtin: Some(builtin),
        });
    }
    table.put(Func {
        name: "call",
        params: &[R, R],
        variadic: true,
        call: |_, args| call(args),
        builtin: Some(Builtin::Call),
    });
    table.variadic("html", &[Type::Any], |_, args| {
        Ok(html(&sprint(args)).into())
    });
    table.variadic("js", &[Type::Any], |_, args| Ok(js(&sprint(args)).into()));
    table.variadic("urlquery", &[Type::Any], |_, args| {
        Ok(url_query(&sprint(args)).into())
    });
    table.variadic("index", &[R, R], |_, args| index(args));
    table.variadic("slice", &[R, R], |_, args| slice(args));
    table.add("len", &[R], |_, args| length(&args[0]));
    table.add("not", &[R], |_, args| Ok(Value::Bool(!args[0].truth())));
    table.variadic("print", &[Type::Any], |_, args| Ok(sprint(args).into()));
    table.variadic("println", &[Type::Any], |_, args| Ok(sprintln(args).into()));
    table.variadic("printf", &[Type::String, Type::Any], |_, args| {
        Ok(sprintf(super::s(&args[0]), &args[1..]).into())
    });
    table.variadic("eq", &[R, R], |_, args| eq(args).map(Value::Bool));
    table.add("ne", &[R, R], |_, args| {
        eq(args).map(|equal| Value::Bool(!equal))
    });
    table.add("lt", &[R, R], |_, args| less(args).map(Value::Bool));
    table.add("le", &[R, R], |_, args| {
        less_or_equal(args).map(Value::Bool)
    });
    table.add("gt", &[R, R], |_, args| {
        less_or_equal(args).map(|le| Value::Bool(!le))
    });
    table.add("ge", &[R, R], |_, args| {
        less(args).map(|less| Value::Bool(!less))
    });
}

fn call(args: &[Value]) -> Answer {
    if args[0].is_nil() {
        return Err("call of nil".into());
    }
    // The executor puts the expression in.
    Err(format!("non-function CALLEE of type {}", args[0].type_name()).into())
}

fn index_arg(index: &Value, cap: usize) -> Result<usize, Error> {
    let at = match index {
        Value::Int(number) | Value::Int64(number) => *number,
        Value::Uint64(number) => *number as i64,
        Value::Uint8(number) => i64::from(*number),
        Value::Nil => return Err("cannot index slice/array with nil".into()),
        other => {
            let text = format!("cannot index slice/array with type {}", other.type_name());
            return Err(text.into());
        }
    };
    match usize::try_from(at) {
        Ok(at) if at <= cap => Ok(at),
        _ => Err(format!("index out of range: {at}").into()),
    }
}

fn index(args: &[Value]) -> Answer {
    let mut item = args[0].clone();
    if item.is_nil() {
        return Err("index of untyped nil".into());
    }
    for index in &args[1..] {
        item = match &item {
            Value::Nil => return Err("index of nil pointer".into()),
            Value::Str(bytes) | Value::Bytes(bytes) => {
                let at = index_arg(index, bytes.len())?;
                let byte = bytes.get(at).copied();
                Value::Uint8(byte.ok_or_else(|| reflect_range("string"))?)
            }
            Value::List(list) => {
                let at = index_arg(index, list.len())?;
                let found = list.borrow().get(at).cloned();
                found.ok_or_else(|| reflect_range("slice"))?
            }
            Value::Map(map) => {
                let key = match index {
                    Value::Str(key) => key,
                    Value::Nil => return Err("value is nil; should be of type string".into()),
                    other => {
                        let name = other.type_name();
                        return Err(format!("value has type {name}; should be string").into());
                    }
                };
                map.get(key).unwrap_or_else(|| zero(map.ty.elem))
            }
            other => {
                return Err(format!("can't index item of type {}", other.type_name()).into());
            }
        };
    }
    Ok(item)
}

/// What reflect panics with when the index equals the length.
fn reflect_range(what: &str) -> Error {
    Error::message(format!("reflect: {what} index out of range"))
}

fn slice(args: &[Value]) -> Answer {
    let indexes = &args[1..];
    let item = &args[0];
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()).into());
    }
    let len = match item {
        Value::Nil => return Err("slice of untyped nil".into()),
        Value::Str(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Value::Str(bytes) | Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name()).into()),
    };
    let mut bounds = [0, len, len];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = index_arg(index, len)?;
    }
    let [from, to, _] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}").into());
    }
    Ok(match item {
        Value::Str(bytes) => Value::str(&bytes[from..to]),
        Value::Bytes(bytes) => Value::Bytes(bytes[from..to].into()),
        Value::List(list) => {
            let items = list.borrow()[from..to].to_vec();
            Value::List(crate::value::List::typed(list.ty.elem, items))
        }
        _ => Value::Nil,
    })
}

fn length(item: &Value) -> Answer {
    let len = match item {
        Value::Nil => return Err("len of nil pointer".into()),
        Value::Str(bytes) | Value::Bytes(bytes) => bytes.len(),
        Value::Map(map) => map.len(),
        Value::List(list) => list.len(),
        other => return Err(format!("len of type {}", other.type_name()).into()),
    };
    Ok(Value::Int(len as i64))
}

#[derive(PartialEq, Clone, Copy)]
enum Basic {
    Invalid,
    Bool,
    Int,
    Uint,
    Float,
    String,
}

fn basic(value: &Value) -> Basic {
    match value.kind() {
        Kind::Bool => Basic::Bool,
        Kind::Int | Kind::Int64 => Basic::Int,
        Kind::Uint8 | Kind::Uint64 => Basic::Uint,
        Kind::Float64 => Basic::Float,
        Kind::String => Basic::String,
        _ => Basic::Invalid,
    }
}

fn incompatible(a: &Value, b: &Value) -> Error {
    let (a, b) = (a.type_name(), b.type_name());
    Error::message(format!("incompatible types for comparison: {a} and {b}"))
}

fn unsigned(value: &Value) -> u64 {
    match value {
        Value::Uint64(number) => *number,
        Value::Uint8(number) => u64::from(*number),
        _ => 0,
    }
}

fn eq(args: &[Value]) -> Result<bool, Error> {
    let first = &args[0];
    if args.len() < 2 {
        return Err("missing argument for comparison".into());
    }
    for other in &args[1..] {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(a: &Value, b: &Value) -> Result<bool, Error> {
    let (ka, kb) = (basic(a), basic(b));
    if ka != kb {
        return match (ka, kb) {
            (Basic::Int, Basic::Uint) => Ok(u64::try_from(super::int(a)) == Ok(unsigned(b))),
            (Basic::Uint, Basic::Int) => Ok(u64::try_from(super::int(b)) == Ok(unsigned(a))),
            _ if !a.is_nil() && !b.is_nil() => Err(incompatible(a, b)),
            _ => Ok(false),
        };
    }
    match ka {
        Basic::Bool | Basic::Float | Basic::String => Ok(a.deep_equal(b)),
        Basic::Int => Ok(super::int(a) == super::int(b)),
        Basic::Uint => Ok(unsigned(a) == unsigned(b)),
        Basic::Invalid => {
            if a.is_nil() || b.is_nil() {
                return Ok(a.is_nil() == b.is_nil());
            }
            let (text_a, text_b) = (show(a, b"%s"), show(b, b"%s"));
            if a.kind() == b.kind() && (a.is_typed_nil() || b.is_typed_nil()) {
                return Ok(a.is_typed_nil() == b.is_typed_nil());
            }
            if a.kind() != b.kind() {
                return Err(format!(
                    "non-comparable types {text_a}: {}, {}: {text_b}",
                    a.type_name(),
                    b.type_name()
                )
                .into());
            }
            if matches!(b.kind(), Kind::Slice | Kind::Map) {
                return Err(format!("non-comparable type {text_b}: {}", b.type_name()).into());
            }
            Ok(a.deep_equal(b))
        }
    }
}

fn show(value: &Value, format: &[u8]) -> String {
    // A reflect.Value prints what it holds.
    String::from_utf8_lossy(&sprintf(format, std::slice::from_ref(value))).into_owned()
}

fn less(args: &[Value]) -> Result<bool, Error> {
    let (a, b) = (&args[0], &args[1]);
    let (ka, kb) = (basic(a), basic(b));
    if ka == Basic::Invalid || kb == Basic::Invalid {
        return Err("invalid type for comparison".into());
    }
    match (ka, kb) {
        (Basic::Int, Basic::Uint) => Ok(super::int(a) < 0 || (super::int(a) as u64) < unsigned(b)),
        (Basic::Uint, Basic::Int) => Ok(super::int(b) >= 0 && unsigned(a) < super::int(b) as u64),
        _ if ka != kb => Err(incompatible(a, b)),
        (Basic::Int, _) => Ok(super::int(a) < super::int(b)),
        (Basic::Uint, _) => Ok(unsigned(a) < unsigned(b)),
        (Basic::Float, _) => Ok(super::cast::to_float64(a) < super::cast::to_float64(b)),
        (Basic::String, _) => Ok(super::s(a) < super::s(b)),
        _ => Err("invalid type for comparison".into()),
    }
}

fn less_or_equal(args: &[Value]) -> Result<bool, Error> {
    Ok(less(args)? || eq(args)?)
}

fn html(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            0 => out.extend("\u{FFFD}".bytes()),
            b'"' => out.extend(b"&#34;"),
            b'\'' => out.extend(b"&#39;"),
            b'&' => out.extend(b"&amp;"),
            b'<' => out.extend(b"&lt;"),
            b'>' => out.extend(b"&gt;"),
            other => out.push(*other),
        }
    }
    out
}

fn js(bytes: &[u8]) -> String {
    let mut out = String::new();
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c if c.is_ascii() || crate::strconv::is_print(c) => out.push(c),
            c => out.push_str(&format!("\\u{:04X}", c as u32)),
        }
    }
    out
}

fn url_query(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(*byte as char);
            }
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
