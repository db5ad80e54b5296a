//! Sprig's string functions, after its `strings.go`.
//!
//! Strings are bytes here: `trunc` may cut a character in two, as Go does.

use super::{A, Answer, Functions, I, S, int, s, strval, text};
use crate::error::Error;
use crate::strconv::{decode_char, quote};
use crate::value::{Elem, Entries, List, MAP_STRING, Map, Value};

/// Longer results than this are refused: `repeat` is cheap to write.
const LEN_MAX: usize = 1 << 28;

pub(super) fn register(table: &mut Functions) {
    table.add("hello", &[], |_, _| Ok("Hello!".into()));
    table.add("abbrev", &[I, S], |_, args| {
        Ok(abbrev(0, int(&args[0]), &args[1]))
    });
    table.add("abbrevboth", &[I, I, S], |_, args| {
        Ok(abbrev_both(int(&args[0]), int(&args[1]), &args[2]))
    });
    table.add("trunc", &[I, S], |_, args| {
        Ok(trunc(int(&args[0]), s(&args[1])).into())
    });
    table.add("trim", &[S], |_, args| {
        Ok(Value::str(trim_space(s(&args[0]))))
    });
    table.add("substr", &[I, I, S], |_, args| {
        substr(int(&args[0]), int(&args[1]), &args[2])
    });
    table.add("repeat", &[I, S], |_, args| {
        repeat(int(&args[0]), s(&args[1]))
    });
    for name in ["trimall", "trimAll"] {
        table.add(name, &[S, S], |_, args| {
            Ok(trim_all(&text(&args[0]), s(&args[1])))
        });
    }
    table.add("trimSuffix", &[S, S], |_, args| {
        let (suffix, text) = (s(&args[0]), s(&args[1]));
        Ok(Value::str(text.strip_suffix(suffix).unwrap_or(text)))
    });
    table.add("trimPrefix", &[S, S], |_, args| {
        let (prefix, text) = (s(&args[0]), s(&args[1]));
        Ok(Value::str(text.strip_prefix(prefix).unwrap_or(text)))
    });
    table.add("nospace", &[S], |_, args| {
        Ok(text(&args[0])
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect::<String>()
            .into())
    });
    table.add("contains", &[S, S], |_, args| {
        Ok(memchr::memmem::find(s(&args[1]), s(&args[0]))
            .is_some()
            .into())
    });
    table.add("hasPrefix", &[S, S], |_, args| {
        Ok(s(&args[1]).starts_with(s(&args[0])).into())
    });
    table.add("hasSuffix", &[S, S], |_, args| {
        Ok(s(&args[1]).ends_with(s(&args[0])).into())
    });
    table.variadic("quote", &[A], |_, args| {
        Ok(join_shown(args, |value| quote(&strval(value), false)))
    });
    table.variadic("squote", &[A], |_, args| {
        Ok(join_shown(args, |value| {
            [b"'", crate::fmt::value_text(value).as_slice(), b"'"].concat()
        }))
    });
    table.variadic("cat", &[A], |_, args| {
        Ok(join_shown(args, crate::fmt::value_text))
    });
    table.add("indent", &[I, S], |_, args| {
        indent(&[], int(&args[0]), s(&args[1]))
    });
    table.add("nindent", &[I, S], |_, args| {
        indent(b"\n", int(&args[0]), s(&args[1]))
    });
    table.add("replace", &[S, S, S], |_, args| {
        Ok(replace(s(&args[0]), s(&args[1]), s(&args[2])).into())
    });
    table.add("plural", &[S, S, I], |_, args| {
        Ok(args[usize::from(int(&args[2]) != 1)].clone())
    });
    table.add("toString", &[A], |_, args| Ok(Value::Str(strval(&args[0]))));
    table.add("toStrings", &[A], |_, args| Ok(strslice_value(&args[0])));
    table.add("join", &[S, A], |_, args| Ok(join(s(&args[0]), &args[1])));
    table.add("sortAlpha", &[A], |_, args| Ok(sort_alpha(&args[0])));
    table.add("split", &[S, S], |_, args| {
        Ok(numbered(split(s(&args[1]), s(&args[0]), usize::MAX)))
    });
    table.add("splitList", &[S, S], |_, args| {
        Ok(Value::strings(split(s(&args[1]), s(&args[0]), usize::MAX)))
    });
    table.add("splitn", &[S, I, S], |_, args| {
        let parts = match int(&args[1]) {
            0 => Vec::new(),
            count => split(
                s(&args[2]),
                s(&args[0]),
                usize::try_from(count).unwrap_or(usize::MAX),
            ),
        };
        Ok(numbered(parts))
    });
}

/// Go's `strings.TrimSpace` over bytes.
pub(crate) fn trim_space(mut bytes: &[u8]) -> &[u8] {
    loop {
        let (c, width) = decode_char(bytes);
        if !c.is_some_and(char::is_whitespace) {
            break;
        }
        bytes = &bytes[width..];
    }
    while let Some((start, c)) = last_char(bytes) {
        if !c.is_whitespace() {
            break;
        }
        bytes = &bytes[..start];
    }
    bytes
}

fn last_char(bytes: &[u8]) -> Option<(usize, char)> {
    let mut start = bytes.len().checked_sub(1)?;
    while start > 0 && bytes.len() - start < 4 && bytes[start] & 0xC0 == 0x80 {
        start -= 1;
    }
    let text = std::str::from_utf8(&bytes[start..]).ok()?;
    Some((start, text.chars().next()?))
}

fn trim_all(cutset: &str, text: &[u8]) -> Value {
    let mut rest = text;
    while !rest.is_empty() {
        let (c, width) = decode_char(rest);
        if !c.is_some_and(|c| cutset.contains(c)) {
            break;
        }
        rest = &rest[width..];
    }
    while let Some((start, c)) = last_char(rest) {
        if !cutset.contains(c) {
            break;
        }
        rest = &rest[..start];
    }
    Value::str(rest)
}

fn trunc(count: i64, text: &[u8]) -> Vec<u8> {
    let len = text.len() as i64;
    if count < 0 && len + count > 0 {
        return text[(len + count) as usize..].to_vec();
    }
    if count >= 0 && len > count {
        return text[..count as usize].to_vec();
    }
    text.to_vec()
}

/// What Go panics with when a slice of a string is out of bounds.
fn slice_error(from: i64, to: i64, len: usize) -> Error {
    let text = if to > len as i64 || to < 0 {
        if to < 0 {
            format!("slice bounds out of range [:{to}]")
        } else {
            format!("slice bounds out of range [:{to}] with length {len}")
        }
    } else {
        format!("slice bounds out of range [{from}:{to}]")
    };
    Error::message(format!("runtime error: {text}"))
}

fn substr(start: i64, end: i64, value: &Value) -> Answer {
    let text = s(value);
    let len = text.len();
    let (from, to) = if start < 0 {
        (0, end)
    } else if end < 0 || end > len as i64 {
        (start, len as i64)
    } else {
        (start, end)
    };
    if to < 0 || to > len as i64 || from > to {
        return Err(slice_error(from, to, len));
    }
    Ok(Value::str(&text[from as usize..to as usize]))
}

fn repeat(count: i64, text: &[u8]) -> Answer {
    let Ok(count) = usize::try_from(count) else {
        return Err("strings: negative Repeat count".into());
    };
    if count.saturating_mul(text.len()) > LEN_MAX {
        return Err("strings: Repeat output length overflow".into());
    }
    Ok(text.repeat(count).into())
}

fn indent(before: &[u8], spaces: i64, text: &[u8]) -> Answer {
    let Ok(spaces) = usize::try_from(spaces) else {
        return Err("strings: negative Repeat count".into());
    };
    let lines = memchr::memchr_iter(b'\n', text).count() + 1;
    if spaces.saturating_mul(lines) > LEN_MAX {
        return Err("strings: Repeat output length overflow".into());
    }
    let mut out = Vec::with_capacity(text.len() + lines * spaces + 1);
    out.extend(before);
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if at > 0 {
            out.push(b'\n');
        }
        out.resize(out.len() + spaces, b' ');
        out.extend(line);
    }
    Ok(out.into())
}

/// Go's `strings.ReplaceAll`; an empty `old` matches between characters.
pub(crate) fn replace(old: &[u8], new: &[u8], text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    if old.is_empty() {
        let mut rest = text;
        out.extend(new);
        while !rest.is_empty() {
            let (_, width) = decode_char(rest);
            out.extend(&rest[..width]);
            out.extend(new);
            rest = &rest[width..];
        }
        return out;
    }
    let mut rest = text;
    let finder = memchr::memmem::Finder::new(old);
    while let Some(at) = finder.find(rest) {
        out.extend(&rest[..at]);
        out.extend(new);
        rest = &rest[at + old.len()..];
    }
    out.extend(rest);
    out
}

/// Go's `strings.SplitN`.
pub(crate) fn split(text: &[u8], separator: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut rest = text;
    if separator.is_empty() {
        while !rest.is_empty() && parts.len() + 1 < count {
            let (_, width) = decode_char(rest);
            parts.push(rest[..width].to_vec());
            rest = &rest[width..];
        }
        if !rest.is_empty() {
            parts.push(rest.to_vec());
        }
        return parts;
    }
    while parts.len() + 1 < count {
        let Some(at) = memchr::memmem::find(rest, separator) else {
            break;
        };
        parts.push(rest[..at].to_vec());
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest.to_vec());
    parts
}

fn numbered(parts: Vec<Vec<u8>>) -> Value {
    let entries: Entries = parts
        .into_iter()
        .enumerate()
        .map(|(at, part)| (format!("_{at}").into(), Value::str(part)))
        .collect();
    Value::Map(Map::typed(MAP_STRING, entries))
}

fn join_shown(args: &[Value], show: fn(&Value) -> Vec<u8>) -> Value {
    let parts: Vec<Vec<u8>> = args.iter().filter(|arg| !arg.is_nil()).map(show).collect();
    Value::str(parts.join(&b' '))
}

/// Sprig's `strslice`: the texts of the items that are not nil.
pub(crate) fn strslice(value: &Value) -> Vec<Value> {
    match value.items() {
        Some(items) => items
            .iter()
            .filter(|item| !item.is_nil())
            .map(|item| Value::Str(strval(item)))
            .collect(),
        None if value.is_nil() => Vec::new(),
        None => vec![Value::Str(strval(value))],
    }
}

fn strslice_value(value: &Value) -> Value {
    match value {
        Value::List(list) if list.ty.elem == Elem::String && list.ty.named.is_none() => {
            value.clone()
        }
        other => Value::List(List::typed(Elem::String, strslice(other))),
    }
}

fn join(separator: &[u8], value: &Value) -> Value {
    let parts = strslice(value);
    let texts: Vec<&[u8]> = parts.iter().map(s).collect();
    Value::str(texts.join(separator))
}

/// Sorts a `[]string` where it lies, as Go does; other lists are copied.
fn sort_alpha(value: &Value) -> Value {
    if value.items().is_none() {
        return Value::strings([strval(value)]);
    }
    let sorted = strslice_value(value);
    if let Value::List(list) = &sorted {
        list.borrow_mut().sort_by(|a, b| s(a).cmp(s(b)));
    }
    sorted
}

/// `goutils.Abbreviate`: at most `width` bytes with dots.
fn abbrev(offset: i64, width: i64, value: &Value) -> Value {
    if width < 4 {
        return value.clone();
    }
    abbreviate(s(value), offset, width).into()
}

fn abbrev_both(left: i64, right: i64, value: &Value) -> Value {
    if right < 4 || left > 0 && right < 7 {
        return value.clone();
    }
    abbreviate(s(value), left, right).into()
}

fn abbreviate(text: &[u8], offset: i64, width: i64) -> Vec<u8> {
    let len = text.len() as i64;
    if len <= width {
        return text.to_vec();
    }
    let mut offset = offset.min(len);
    if len - offset < width - 3 {
        offset = len - (width - 3);
    }
    if offset <= 4 {
        return [&text[..(width - 3) as usize], b"..."].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    if offset + width - 3 < len {
        let inner = abbreviate(&text[offset as usize..], 0, width - 3);
        return [b"...", inner.as_slice()].concat();
    }
    [b"...", &text[(len - (width - 3)) as usize..]].concat()
}
