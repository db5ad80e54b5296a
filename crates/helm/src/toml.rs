//! `toToml` and `fromToml`, as `BurntSushi/toml` writes and reads.

use coracle_gotemplate::value::Type::{Any as A, String as S};
use coracle_gotemplate::{Entries, Error, Functions, Str, Value};

pub(crate) fn register(table: &mut Functions) {
    table.add("toToml", &[A], |_, args| {
        Ok(match encode(&args[0]) {
            Ok(text) => text.into(),
            Err(message) => message.into(),
        })
    });
    table.add("mustToToml", &[A], |_, args| {
        encode(&args[0]).map(Value::from).map_err(Error::message)
    });
    table.add("fromToml", &[S], |_, args| {
        let text = args[0]
            .as_str()
            .map(|text| text.to_text().into_owned())
            .unwrap_or_default();
        Ok(match text.parse::<::toml::Table>() {
            Ok(table) => Value::map(entries(&table)),
            Err(error) => {
                let message = format!("toml: {}", error.message());
                Value::map(Entries::from([("Error".into(), message.into())]))
            }
        })
    });
}

fn entries(table: &::toml::Table) -> Entries {
    table
        .iter()
        .map(|(key, value)| (Str::from(key.as_str()), decoded(value)))
        .collect()
}

fn decoded(value: &::toml::Value) -> Value {
    match value {
        ::toml::Value::String(text) => Value::str(text.as_str()),
        ::toml::Value::Integer(number) => Value::Int64(*number),
        ::toml::Value::Float(number) => Value::Float(*number),
        ::toml::Value::Boolean(flag) => Value::Bool(*flag),
        ::toml::Value::Datetime(moment) => Value::str(time_text(moment)),
        ::toml::Value::Array(items) => Value::list(items.iter().map(decoded).collect()),
        ::toml::Value::Table(table) => Value::map(entries(table)),
    }
}

/// A time as Go's `time.Time` marshals it: what the text leaves open is that of
/// the year 0 in UTC.
fn time_text(moment: &::toml::value::Datetime) -> String {
    let date = moment
        .date
        .map_or_else(|| "0000-01-01".into(), |date| date.to_string());
    let time = moment
        .time
        .map_or_else(|| "00:00:00".into(), |time| time.to_string());
    let offset = moment
        .offset
        .map_or_else(|| "Z".into(), |offset| offset.to_string());
    format!("{date}T{time}{offset}")
}

fn encode(value: &Value) -> Result<String, String> {
    let mut out = String::new();
    match value {
        Value::Map(map) => table(&mut out, &map.borrow().clone(), &mut Vec::new())?,
        value if value.is_nil() || is_table_array(value)? => {
            return Err("toml: top-level values must be Go maps or structs".into());
        }
        value => inline(&mut out, value)?,
    }
    Ok(out)
}

fn is_table(value: &Value) -> bool {
    matches!(value, Value::Map(_))
}

/// Whether a list is written as tables of their own.
fn is_table_array(value: &Value) -> Result<bool, String> {
    let Value::List(list) = value else {
        return Ok(false);
    };
    let items = list.borrow();
    if items.iter().any(Value::is_nil) {
        return Err("toml: cannot encode array with nil element".into());
    }
    Ok(!items.is_empty() && items.iter().all(is_table))
}

/// Whether a value is written as a table, or as several.
fn is_tables(value: &Value) -> Result<bool, String> {
    Ok(is_table(value) || is_table_array(value)?)
}

/// Direct keys first, then tables, each group in the order of its keys.
fn table(out: &mut String, entries: &Entries, path: &mut Vec<String>) -> Result<(), String> {
    if path.len() > 100 {
        return Err("toml: the value contains itself".into());
    }
    let indent = "  ".repeat(path.len().saturating_sub(1) + usize::from(!path.is_empty()));
    for (name, value) in entries {
        if is_tables(value)? || value.is_nil() {
            continue;
        }
        out.push_str(&format!("{indent}{} = ", key(&name.to_text())));
        inline(out, value)?;
        out.push('\n');
    }
    for (name, value) in entries {
        let name = key(&name.to_text());
        match value {
            Value::Map(map) => {
                path.push(name);
                header(out, path, "[", "]");
                table(out, &map.borrow().clone(), path)?;
                path.pop();
            }
            Value::List(list) if is_table_array(value)? => {
                path.push(name);
                for item in list.borrow().clone() {
                    if let Value::Map(map) = item {
                        header(out, path, "[[", "]]");
                        table(out, &map.borrow().clone(), path)?;
                    }
                }
                path.pop();
            }
            _ => {}
        }
    }
    Ok(())
}

fn header(out: &mut String, path: &[String], open: &str, close: &str) {
    if (path.len() == 1 || open == "[[") && !out.is_empty() {
        out.push('\n');
    }
    let indent = "  ".repeat(path.len() - 1);
    out.push_str(&format!("{indent}{open}{}{close}\n", path.join(".")));
}

fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if bare { name.into() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            c if c < ' ' || c == '\x7f' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn inline(out: &mut String, value: &Value) -> Result<(), String> {
    match value {
        Value::Str(text) => out.push_str(&quoted(&text.to_text())),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) | Value::Int64(number) => out.push_str(&number.to_string()),
        Value::Uint64(number) => out.push_str(&number.to_string()),
        Value::Uint8(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&float(*number)),
        Value::List(list) => {
            is_table_array(value)?;
            out.push('[');
            for (at, item) in list.borrow().clone().iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                inline(out, item)?;
            }
            out.push(']');
        }
        Value::Map(map) => inline_table(out, &map.borrow().clone())?,
        other => return Err(format!("toml: unsupported type: {}", other.type_name())),
    }
    Ok(())
}

/// A table between braces: tables in it come last. Upstream leaves nil away, but
/// not the comma before it.
fn inline_table(out: &mut String, entries: &Entries) -> Result<(), String> {
    let mut parts = [Vec::new(), Vec::new()];
    for entry in entries {
        parts[usize::from(is_tables(entry.1)?)].push(entry);
    }
    let last = entries.len();
    out.push('{');
    for (at, (name, item)) in parts.iter().flatten().enumerate() {
        if item.is_nil() {
            continue;
        }
        out.push_str(&format!("{} = ", key(&name.to_text())));
        inline(out, item)?;
        if at + 1 < last {
            out.push_str(", ");
        }
    }
    out.push('}');
    Ok(())
}

fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.into();
    }
    let text = coracle_gotemplate::strconv::format_float(number, b'g', -1);
    if text.contains(['.', 'e']) {
        text
    } else {
        format!("{text}.0")
    }
}
