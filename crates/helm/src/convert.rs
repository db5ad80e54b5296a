//! Between the plain values of `goyaml` and the values of `gotemplate`.

use coracle_gotemplate::json::float_text;
use coracle_gotemplate::value::{Elem, Entries, List, MAP_STRING, Map};
use coracle_gotemplate::{Str, Value};
use coracle_goyaml as yaml;
use yaml::natural_cmp;
use yaml::write::{Dialect, Writer};

/// Deeper values than this are refused: they contain themselves.
const DEPTH_MAX: usize = 500;

/// Makes a template value as `encoding/json` would decode it: every number of
/// a YAML text becomes a float. Integers of `--set` are kept apart by
/// [`Numbers::Kept`].
pub fn to_template(value: &yaml::Value, numbers: Numbers) -> Value {
    match value {
        yaml::Value::Null => Value::Nil,
        yaml::Value::Bool(flag) => Value::Bool(*flag),
        yaml::Value::Int(number) if numbers == Numbers::Kept => Value::Int64(*number),
        yaml::Value::Int(number) => Value::Float(*number as f64),
        yaml::Value::Uint(number) => Value::Float(*number as f64),
        yaml::Value::Float(number) => Value::Float(*number),
        yaml::Value::Str(text) => Value::str(text.as_str()),
        yaml::Value::Seq(items) => Value::list(
            items
                .iter()
                .map(|item| to_template(item, numbers))
                .collect(),
        ),
        yaml::Value::Map(map) => Value::map(to_entries(map, numbers)),
    }
}

/// Makes the entries of a template map.
pub fn to_entries(map: &yaml::Map, numbers: Numbers) -> Entries {
    map.iter()
        .map(|(key, value)| (Str::from(key.as_str()), to_template(value, numbers)))
        .collect()
}

/// What becomes of integers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Numbers {
    /// They become floats, as JSON's do.
    Floats,
    /// They stay `int64`; floats were made floats before.
    Kept,
}

/// Turns every integer into a float, in place: what reading a values file
/// through JSON does.
pub fn floats(value: &mut yaml::Value) {
    match value {
        yaml::Value::Int(number) => *value = yaml::Value::Float(*number as f64),
        yaml::Value::Uint(number) => *value = yaml::Value::Float(*number as f64),
        yaml::Value::Seq(items) => items.iter_mut().for_each(floats),
        yaml::Value::Map(map) => map.values_mut().for_each(floats),
        _ => {}
    }
}

/// Makes a plain value of a template value.
pub fn from_template(value: &Value) -> yaml::Value {
    from_within(value, DEPTH_MAX)
}

fn from_within(value: &Value, depth: usize) -> yaml::Value {
    if depth == 0 {
        return yaml::Value::Null;
    }
    match value {
        Value::Nil => yaml::Value::Null,
        Value::List(list) if list.ty.is_nil => yaml::Value::Null,
        Value::Map(map) if map.ty.is_nil => yaml::Value::Null,
        Value::Bool(flag) => yaml::Value::Bool(*flag),
        Value::Int(number) | Value::Int64(number) => yaml::Value::Int(*number),
        Value::Uint64(number) => yaml::Value::Uint(*number),
        Value::Uint8(number) => yaml::Value::Int(i64::from(*number)),
        Value::Float(number) => yaml::Value::Float(*number),
        Value::Str(text) => yaml::Value::Str(text.to_text().into_owned()),
        Value::List(list) => yaml::Value::Seq(
            list.borrow()
                .iter()
                .map(|item| from_within(item, depth - 1))
                .collect(),
        ),
        Value::Map(map) => yaml::Value::Map(
            map.borrow()
                .iter()
                .map(|(key, value)| (key.to_text().into_owned(), from_within(value, depth - 1)))
                .collect(),
        ),
        other => match coracle_gotemplate::json::encode(other, false) {
            Ok(text) => yaml::from_slice(&text).unwrap_or_default(),
            Err(_) => yaml::Value::Null,
        },
    }
}

/// Makes a plain map of a template map.
pub fn from_entries(map: &Map) -> yaml::Map {
    map.borrow()
        .iter()
        .map(|(key, value)| (key.to_text().into_owned(), from_template(value)))
        .collect()
}

/// `sigs.k8s.io/yaml`'s `Marshal`: through JSON, then go-yaml's writer.
///
/// # Errors
///
/// The text of `encoding/json` for what JSON cannot hold.
pub fn to_yaml(value: &Value, dialect: Dialect) -> Result<Vec<u8>, String> {
    let mut writer = Writer::new(dialect);
    write(&mut writer, value, 0)?;
    Ok(writer.finish())
}

fn write(writer: &mut Writer, value: &Value, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err("json: unsupported value: encountered a cycle".into());
    }
    match value {
        Value::Nil => writer.plain("null"),
        Value::List(list) if list.ty.is_nil => writer.plain("null"),
        Value::Map(map) if map.ty.is_nil => writer.plain("null"),
        Value::Bool(true) => writer.plain("true"),
        Value::Bool(false) => writer.plain("false"),
        Value::Int(number) | Value::Int64(number) => writer.plain(&number.to_string()),
        Value::Uint64(number) => writer.plain(&number.to_string()),
        Value::Uint8(number) => writer.plain(&number.to_string()),
        Value::Float(number) if !number.is_finite() => {
            return Err(format!("json: unsupported value: {}", float_text(*number)));
        }
        Value::Float(number) => writer.float(*number),
        Value::Str(text) => write_text(writer, text),
        Value::List(list) => {
            let items = list.borrow();
            writer.begin_seq(items.is_empty());
            for item in items.iter() {
                write(writer, item, depth + 1)?;
            }
            if !items.is_empty() {
                writer.end_seq();
            }
        }
        Value::Map(map) => {
            let map = map.borrow();
            let mut entries: Vec<(&Str, &Value)> = map.iter().collect();
            entries.sort_by(|(a, _), (b, _)| natural_cmp(a, b));
            writer.begin_map(entries.is_empty());
            for (key, value) in &entries {
                write_text(writer, key);
                write(writer, value, depth + 1)?;
            }
            if !entries.is_empty() {
                writer.end_map();
            }
        }
        Value::Bytes(_) | Value::Struct(_) | Value::Time(_) => {
            let json = coracle_gotemplate::json::encode(value, false)?;
            let plain = coracle_gotemplate::json::decode(&json)?;
            write(writer, &plain, depth + 1)?;
        }
    }
    Ok(())
}

/// JSON has no invalid UTF-8: such bytes become U+FFFD.
fn write_text(writer: &mut Writer, text: &Str) {
    writer.string(&text.to_text());
}

/// Makes a `map[string]string`.
pub fn string_map<'t>(entries: impl IntoIterator<Item = (&'t String, &'t String)>) -> Value {
    let entries = entries
        .into_iter()
        .map(|(key, value)| (Str::from(key.as_str()), Value::str(value.as_str())))
        .collect();
    Value::Map(Map::typed(MAP_STRING, entries))
}

/// Makes a `[]interface {}` of strings.
pub fn string_list<'t>(items: impl IntoIterator<Item = &'t String>) -> Value {
    let items = items
        .into_iter()
        .map(|item| Value::str(item.as_str()))
        .collect();
    Value::List(List::typed(Elem::Any, items))
}
