//! The grammar of `--set` and its sisters: `a.b=c,d[0].e=f,g={h,i}`.
//!
//! Reference: `pkg/strvals` of Helm.

mod json;
#[cfg(test)]
mod tests;
mod words;

use self::json::json;
pub use self::words::bad_integer;
use self::words::{conversion, quoted, quoted_runes};
use coracle_goyaml::{Map, Value};

/// Helm's bound on list indexes.
const INDEX_MAX: i64 = 65_536;
/// Helm's bound on nested names.
const LEVEL_MAX: usize = 30;

type Read<'r> = &'r dyn Fn(&str) -> Result<Value, String>;

enum Mode<'r> {
    Text(Read<'r>),
    Json,
    /// One key; the rest of the text is the value, and nothing is escaped.
    Literal,
}

/// `--set`.
///
/// # Errors
///
/// In Helm's words.
pub fn parse_into(text: &str, values: &mut Map) -> Result<(), String> {
    Parser::run(text, values, Mode::Text(&|text| Ok(typed(text))))
}

/// `--set-string`.
///
/// # Errors
///
/// In Helm's words.
pub fn parse_into_string(text: &str, values: &mut Map) -> Result<(), String> {
    Parser::run(
        text,
        values,
        Mode::Text(&|text| Ok(Value::Str(text.into()))),
    )
}

/// `--set-file`: values are names of files.
///
/// # Errors
///
/// In Helm's words, or those of `read`.
pub fn parse_file(
    text: &str,
    values: &mut Map,
    read: &dyn Fn(&str) -> Result<String, String>,
) -> Result<(), String> {
    Parser::run(text, values, Mode::Text(&|name| read(name).map(Value::Str)))
}

/// `--set-json`: `key=json`, or a whole object.
///
/// # Errors
///
/// The argument itself, as Helm prints it.
pub fn parse_json(text: &str, values: &mut Map) -> Result<(), String> {
    let trimmed = text.trim();
    if trimmed.starts_with('{') {
        return match json(trimmed) {
            Some((Value::Map(map), rest)) if rest.trim().is_empty() => {
                crate::chart::merge_maps(values, map);
                Ok(())
            }
            _ => Err(text.to_owned()),
        };
    }
    Parser::run(text, values, Mode::Json).map_err(|_| text.to_owned())
}

/// `--set-literal`: one key, the rest of the text is the value.
///
/// # Errors
///
/// In Helm's words.
pub fn parse_literal(text: &str, values: &mut Map) -> Result<(), String> {
    Parser::run(text, values, Mode::Literal)
}

fn typed(text: &str) -> Value {
    if text.eq_ignore_ascii_case("true") {
        return Value::Bool(true);
    }
    if text.eq_ignore_ascii_case("false") {
        return Value::Bool(false);
    }
    if text.eq_ignore_ascii_case("null") {
        return Value::Null;
    }
    if text == "0" {
        return Value::Int(0);
    }
    match coracle_gotemplate::strconv::atoi(text) {
        Some(number) if !text.starts_with('0') => Value::Int(number),
        _ => Value::Str(text.into()),
    }
}

struct Parser<'t> {
    rest: &'t str,
    mode: Mode<'t>,
}

enum Stop {
    /// The end of the text: all is well.
    End,
    Error(String),
}

type Step<T> = Result<T, Stop>;

fn fail<T>(message: impl Into<String>) -> Step<T> {
    Err(Stop::Error(message.into()))
}

impl<'t> Parser<'t> {
    fn run(text: &'t str, values: &mut Map, mode: Mode<'t>) -> Result<(), String> {
        let mut parser = Parser { rest: text, mode };
        loop {
            match parser.key(values, 0) {
                Ok(()) => {}
                Err(Stop::End) => return Ok(()),
                Err(Stop::Error(message)) => return Err(message),
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Reads up to one of the stops; `None` is the end of the text.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let escapes = !matches!(self.mode, Mode::Literal);
        let mut text = String::new();
        while let Some(c) = self.next() {
            if stops.contains(&c) {
                return (text, Some(c));
            }
            if c != '\\' || !escapes {
                text.push(c);
                continue;
            }
            match self.next() {
                Some(quoted) => text.push(quoted),
                None => break,
            }
        }
        (text, None)
    }

    fn key(&mut self, values: &mut Map, level: usize) -> Step<()> {
        let stops: &[char] = match self.mode {
            Mode::Literal => &['=', '[', '.'],
            _ => &['=', '[', ',', '.'],
        };
        let (name, stop) = self.until(stops);
        match stop {
            None if name.is_empty() => Err(Stop::End),
            None => fail(format!("key {} has no value", quoted(&name))),
            Some('[') => {
                let index = self.index()?;
                let mut fresh = Vec::new();
                let list = match values.get_mut(&name) {
                    None => &mut fresh,
                    Some(Value::Seq(list)) => list,
                    Some(other) => return fail(conversion(other, "[]interface {}")),
                };
                let result = self.list_item(list, index, level);
                if !values.contains_key(&name) {
                    set(values, &name, Value::Seq(fresh));
                }
                result
            }
            Some('=') => {
                let (value, result) = self.value();
                if let Some(value) = value {
                    set(values, &name, value);
                }
                result
            }
            Some(',') => fail(format!(
                "key {} has no value (cannot end with ,)",
                quoted(&name)
            )),
            _ => self.nested(values, &name, level + 1),
        }
    }

    fn nested(&mut self, values: &mut Map, name: &str, level: usize) -> Step<()> {
        if level > LEVEL_MAX {
            return fail(format!(
                "value name nested level is greater than maximum supported nested level of {LEVEL_MAX}"
            ));
        }
        let mut fresh = Map::new();
        let inner = match values.get_mut(name) {
            None => &mut fresh,
            Some(Value::Map(map)) => map,
            Some(other) => return fail(conversion(other, "map[string]interface {}")),
        };
        let result = self.key(inner, level);
        if result.is_ok() && inner.is_empty() {
            return fail(format!("key map {} has no value", quoted(name)));
        }
        if !fresh.is_empty() {
            set(values, name, Value::Map(fresh));
        }
        result
    }

    /// Reads what follows `=`: the value to set, if any, and how to go on.
    fn value(&mut self) -> (Option<Value>, Step<()>) {
        let read = match self.mode {
            Mode::Literal => Ok(Value::Str(std::mem::take(&mut self.rest).to_owned())),
            Mode::Json => self.json_value(),
            Mode::Text(_) if self.rest.is_empty() => {
                return (Some(Value::Str(String::new())), Err(Stop::End));
            }
            Mode::Text(_) => self.text_value(),
        };
        match read {
            Ok(value) => (Some(value), Ok(())),
            Err(stop) => (None, Err(stop)),
        }
    }

    fn json_value(&mut self) -> Step<Value> {
        if self.empty_value() {
            return Ok(Value::Null);
        }
        let Some((value, rest)) = json(self.rest) else {
            return fail("invalid JSON");
        };
        self.rest = rest;
        self.empty_value();
        Ok(value)
    }

    /// Skips white space and a comma; whether nothing else was there.
    fn empty_value(&mut self) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(',') {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => self.rest.is_empty(),
        }
    }

    fn read(&self, text: &str) -> Step<Value> {
        match &self.mode {
            Mode::Text(read) => read(text).map_err(Stop::Error),
            Mode::Json | Mode::Literal => Ok(Value::Str(text.to_owned())),
        }
    }

    fn text_value(&mut self) -> Step<Value> {
        let Some(rest) = self.rest.strip_prefix('{') else {
            let (text, _) = self.until(&[',']);
            return self.read(&text);
        };
        self.rest = rest;
        let mut items = Vec::new();
        loop {
            let (text, stop) = self.until(&[',', '}']);
            match stop {
                None => return fail("list must terminate with '}'"),
                Some('}') => {
                    self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
                    items.push(self.read(&text)?);
                    return Ok(Value::Seq(items));
                }
                Some(_) => items.push(self.read(&text)?),
            }
        }
    }

    /// Reads `INDEX]`. A text that ends before is no error to Helm.
    fn index(&mut self) -> Step<i64> {
        let (text, stop) = self.until(&[']']);
        if stop.is_none() {
            return Err(Stop::End);
        }
        coracle_gotemplate::strconv::atoi(&text)
            .ok_or_else(|| Stop::Error(format!("error parsing index: {}", bad_integer(&text))))
    }

    /// Sets what follows `[index]`. What is there already is changed in place,
    /// even if an error follows.
    fn list_item(&mut self, list: &mut Vec<Value>, index: i64, level: usize) -> Step<()> {
        if index < 0 {
            return fail(format!("negative {index} index not allowed"));
        }
        let (text, stop) = self.until(&['[', '.', '=']);
        if !text.is_empty() {
            return fail(format!(
                "unexpected data at end of array index: {}",
                quoted_runes(&text)
            ));
        }
        let at = index as usize;
        match stop {
            None => Err(Stop::End),
            Some('=') => match self.value() {
                (Some(value), _) => set_index(list, index, value),
                (None, result) => result,
            },
            Some('[') => {
                let next = self.index()?;
                let mut fresh = Vec::new();
                match list.get_mut(at) {
                    None | Some(Value::Null) => self.list_item(&mut fresh, next, level)?,
                    Some(Value::Seq(inner)) => return self.list_item(inner, next, level),
                    Some(other) => return fail(conversion(other, "[]interface {}")),
                }
                set_index(list, index, Value::Seq(fresh))
            }
            Some(_) => {
                if let Some(there) = list.get_mut(at) {
                    if there.as_map().is_none() {
                        *there = Value::Map(Map::new());
                    }
                    let inner = there.as_map_mut().expect("it was made a map");
                    return self.key(inner, level);
                }
                let mut fresh = Map::new();
                self.key(&mut fresh, level)?;
                set_index(list, index, Value::Map(fresh))
            }
        }
    }
}

fn set(values: &mut Map, name: &str, value: Value) {
    if !name.is_empty() {
        values.insert(name.to_owned(), value);
    }
}

fn set_index(list: &mut Vec<Value>, index: i64, value: Value) -> Step<()> {
    if index > INDEX_MAX {
        return fail(format!(
            "index of {index} is greater than maximum supported index of {INDEX_MAX}"
        ));
    }
    let at = index as usize;
    if list.len() <= at {
        list.resize(at + 1, Value::Null);
    }
    list[at] = value;
    Ok(())
}
