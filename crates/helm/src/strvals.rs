//! The grammar of `--set` and its sisters: `a.b=c,d[0].e=f,g={h,i}`.
//!
//! Reference: `pkg/strvals` of Helm.

use coracle_goyaml::{Map, Value};

/// Helm's bound on list indexes.
const INDEX_MAX: i64 = 65_536;
/// Helm's bound on nested names.
const LEVEL_MAX: usize = 30;

type Read<'r> = &'r dyn Fn(&str) -> Result<Value, String>;

enum Mode<'r> {
    Text(Read<'r>),
    Json,
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
    let Some((key, value)) = split_literal(text) else {
        return Err(format!("key {text:?} has no value"));
    };
    // Everything that the grammar would interpret is quoted.
    let quoted: String = value
        .chars()
        .flat_map(|c| match c {
            ',' | '\\' | '{' | '}' => vec!['\\', c],
            c => vec![c],
        })
        .collect();
    parse_into_string(&format!("{key}={quoted}"), values)
}

fn split_literal(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\\' => escaped = !escaped,
            '=' if !escaped => return Some((&text[..at], &text[at + 1..])),
            _ => escaped = false,
        }
    }
    None
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

/// Reads one JSON value; returns it and what follows.
fn json(text: &str) -> Option<(Value, &str)> {
    // The end of the value is found by trying: arguments are short.
    let mut depth = 0usize;
    let (mut quoted, mut escaped) = (false, false);
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let value = coracle_gotemplate::json::decode(&text.as_bytes()[..end]).ok()?;
    Some((crate::convert::from_template(&value), &text[end..]))
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
        let mut text = String::new();
        while let Some(c) = self.next() {
            if stops.contains(&c) {
                return (text, Some(c));
            }
            if c != '\\' {
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
        let (name, stop) = self.until(&['=', '[', ',', '.']);
        match stop {
            None if name.is_empty() => Err(Stop::End),
            None => fail(format!("key {name:?} has no value")),
            Some('[') => {
                let index = self.index()?;
                let list = match values.remove(&name) {
                    None => Vec::new(),
                    Some(Value::Seq(list)) => list,
                    Some(other) => return fail(conversion(&other, "[]interface {}")),
                };
                let (list, result) = self.list_item(list, index, level);
                set(values, &name, Value::Seq(list));
                result
            }
            Some('=') => self.value_of(values, &name),
            Some(',') => {
                set(values, &name, Value::Str(String::new()));
                fail(format!("key {name:?} has no value (cannot end with ,)"))
            }
            _ => self.nested(values, name, level + 1),
        }
    }

    fn nested(&mut self, values: &mut Map, name: String, level: usize) -> Step<()> {
        if level > LEVEL_MAX {
            return fail(format!(
                "value name nested level is greater than maximum supported nested level of {LEVEL_MAX}"
            ));
        }
        let mut inner = match values.remove(&name) {
            None => Map::new(),
            Some(Value::Map(map)) => map,
            Some(other) => return fail(conversion(&other, "map[string]interface {}")),
        };
        let result = self.key(&mut inner, level);
        if result.is_ok() && inner.is_empty() {
            return fail(format!("key map {name:?} has no value"));
        }
        if !inner.is_empty() {
            set(values, &name, Value::Map(inner));
        }
        result
    }

    fn value_of(&mut self, values: &mut Map, name: &str) -> Step<()> {
        if matches!(self.mode, Mode::Json) {
            let value = self.json_value()?;
            set(values, name, value);
            return Ok(());
        }
        if self.rest.is_empty() {
            set(values, name, Value::Str(String::new()));
            return Err(Stop::End);
        }
        let value = self.text_value()?;
        set(values, name, value);
        Ok(())
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
            Mode::Json => fail("invalid JSON"),
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

    fn index(&mut self) -> Step<i64> {
        let (text, stop) = self.until(&[']']);
        if stop.is_none() {
            return fail("error parsing index: EOF");
        }
        match coracle_gotemplate::strconv::atoi(&text) {
            Some(index) => Ok(index),
            None => fail(format!(
                "error parsing index: strconv.Atoi: parsing {text:?}: invalid syntax"
            )),
        }
    }

    /// Sets what follows `[index]`; the list comes back even after an error.
    fn list_item(
        &mut self,
        mut list: Vec<Value>,
        index: i64,
        level: usize,
    ) -> (Vec<Value>, Step<()>) {
        let result = self.list_item_in(&mut list, index, level);
        (list, result)
    }

    fn list_item_in(&mut self, list: &mut Vec<Value>, index: i64, level: usize) -> Step<()> {
        if index < 0 {
            return fail(format!("negative {index} index not allowed"));
        }
        let (text, stop) = self.until(&['[', '.', '=']);
        if !text.is_empty() {
            return fail(format!("unexpected data at end of array index: {text:?}"));
        }
        let at = index as usize;
        match stop {
            None => Err(Stop::End),
            Some('=') => {
                let value = if matches!(self.mode, Mode::Json) {
                    self.json_value()?
                } else if self.rest.is_empty() {
                    Value::Str(String::new())
                } else {
                    self.text_value()?
                };
                set_index(list, index, value)
            }
            Some('[') => {
                let next = self.index()?;
                let inner = match list.get_mut(at).map(std::mem::take) {
                    None | Some(Value::Null) => Vec::new(),
                    Some(Value::Seq(inner)) => inner,
                    Some(other) => return fail(conversion(&other, "[]interface {}")),
                };
                let (inner, result) = self.list_item(inner, next, level);
                result?;
                set_index(list, index, Value::Seq(inner))
            }
            Some(_) => {
                let mut inner = match list.get_mut(at).map(std::mem::take) {
                    Some(Value::Map(inner)) => inner,
                    _ => Map::new(),
                };
                let result = self.key(&mut inner, level);
                // At the end of the text Helm still keeps what was set.
                match result {
                    Ok(()) => set_index(list, index, Value::Map(inner)),
                    Err(stop) => {
                        if at < list.len() {
                            list[at] = Value::Map(inner);
                        }
                        Err(stop)
                    }
                }
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

fn conversion(value: &Value, wanted: &str) -> String {
    let kind = match value {
        Value::Null => {
            return format!(
                "unable to parse key: interface conversion: interface {{}} is nil, not {wanted}"
            );
        }
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Uint(_) | Value::Float(_) => "float64",
        Value::Str(_) => "string",
        Value::Seq(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
    };
    format!("unable to parse key: interface conversion: interface {{}} is {kind}, not {wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut map = Map::new();
        let result =
            parse_into(text, &mut map).map(|()| coracle_goyaml::to_string(&Value::Map(map)));
        assert_eq!(result, Ok(expected.to_owned()), "{text}");
    }

    #[test]
    fn grammar() {
        check("a=1,b=x", "a: 1\nb: x\n");
        check("a.b.c=true", "a:\n  b:\n    c: true\n");
        check("a[0]=x,a[2]=y", "a:\n- x\n- null\n- \"y\"\n");
        check("a[0].b=1,a[0].c=2", "a:\n- b: 1\n  c: 2\n");
        check("a={x,y\\,z}", "a:\n- x\n- y,z\n");
        check(
            "a=1.5,b=0123,c=1e6,d=0",
            "a: \"1.5\"\nb: \"0123\"\nc: \"1e6\"\nd: 0\n",
        );
        check("a\\.b=c", "a.b: c\n");
        check("a=null,b=", "a: null\nb: \"\"\n");
        check("a[0][1]=x", "a:\n- - null\n  - x\n");
        check("a=b=c", "a: b=c\n");
    }

    #[test]
    fn refusals() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                parse_into(text, &mut Map::new()),
                Err(expected.to_owned()),
                "{text}"
            );
        };
        check("a", "key \"a\" has no value");
        check("a,", "key \"a\" has no value (cannot end with ,)");
        check("a={x", "list must terminate with '}'");
        check("a[-1]=x", "negative -1 index not allowed");
        check(
            "a[x]=y",
            "error parsing index: strconv.Atoi: parsing \"x\": invalid syntax",
        );
        check(
            "a[65537]=y",
            "index of 65537 is greater than maximum supported index of 65536",
        );
    }

    #[test]
    fn json_values() {
        let mut map = Map::new();
        parse_json("a={\"b\":[1,2]},c=3", &mut map).expect("parses");
        parse_json("{\"d\":{\"e\":null}}", &mut map).expect("parses");
        assert_eq!(
            coracle_goyaml::to_string(&Value::Map(map)),
            "a:\n  b:\n  - 1\n  - 2\nc: 3\nd:\n  e: null\n"
        );
    }

    #[test]
    fn literals() {
        let mut map = Map::new();
        parse_literal("a.b={x},y=\\z", &mut map).expect("parses");
        assert_eq!(
            coracle_goyaml::to_string(&Value::Map(map)),
            "a:\n  b: '{x},y=\\z'\n"
        );
    }
}
