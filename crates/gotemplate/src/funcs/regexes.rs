//! Sprig's regular expressions with RE2's syntax and Go's rules.
//!
//! <https://github.com/google/re2/wiki/Syntax>. The expressions are rewritten
//! for the `regex` crate: `\d`, `\w`, `\s`, `\b` are ASCII in RE2, `\Q…\E`
//! quotes, and a `{` that starts no count is a plain character.

use super::{Functions, I, S, int, s, text};
use crate::error::Error;
use crate::strconv::quote;
use crate::value::{Elem, List, Value};
use regex::bytes::{Regex, RegexBuilder};
use std::cell::RefCell;
use std::collections::HashMap;

pub(super) fn register(table: &mut Functions) {
    table.add("regexMatch", &[S, S], |_, args| {
        Ok(Value::Bool(
            compile(&text(&args[0])).is_ok_and(|regex| regex.is_match(s(&args[1]))),
        ))
    });
    table.add("mustRegexMatch", &[S, S], |_, args| {
        Ok(compile(&text(&args[0]))?.is_match(s(&args[1])).into())
    });
    table.add("regexFindAll", &[S, S, I], |_, args| {
        Ok(find_all(&must(&args[0])?, s(&args[1]), int(&args[2])))
    });
    table.add("mustRegexFindAll", &[S, S, I], |_, args| {
        Ok(find_all(
            &compile(&text(&args[0]))?,
            s(&args[1]),
            int(&args[2]),
        ))
    });
    table.add("regexFind", &[S, S], |_, args| {
        Ok(find(&must(&args[0])?, s(&args[1])))
    });
    table.add("mustRegexFind", &[S, S], |_, args| {
        Ok(find(&compile(&text(&args[0]))?, s(&args[1])))
    });
    table.add("regexReplaceAll", &[S, S, S], |_, args| {
        Ok(replace(
            &must(&args[0])?,
            s(&args[1]),
            Some(s(&args[2])),
            &[],
        ))
    });
    table.add("mustRegexReplaceAll", &[S, S, S], |_, args| {
        Ok(replace(
            &compile(&text(&args[0]))?,
            s(&args[1]),
            Some(s(&args[2])),
            &[],
        ))
    });
    table.add("regexReplaceAllLiteral", &[S, S, S], |_, args| {
        Ok(replace(&must(&args[0])?, s(&args[1]), None, s(&args[2])))
    });
    table.add("mustRegexReplaceAllLiteral", &[S, S, S], |_, args| {
        Ok(replace(
            &compile(&text(&args[0]))?,
            s(&args[1]),
            None,
            s(&args[2]),
        ))
    });
    table.add("regexSplit", &[S, S, I], |_, args| {
        Ok(split(&must(&args[0])?, s(&args[1]), int(&args[2])))
    });
    table.add("mustRegexSplit", &[S, S, I], |_, args| {
        Ok(split(
            &compile(&text(&args[0]))?,
            s(&args[1]),
            int(&args[2]),
        ))
    });
    table.add("regexQuoteMeta", &[S], |_, args| {
        let mut out = String::new();
        for c in text(&args[0]).chars() {
            if "\\.+*?()|[]{}^$".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
        Ok(out.into())
    });
}

type Compiled = Result<Regex, String>;

thread_local! {
    /// Charts match the same few expressions again and again.
    static CACHE: RefCell<HashMap<String, Compiled>> = RefCell::default();
}

/// Go's `regexp.Compile`.
fn compile(pattern: &str) -> Result<Regex, Error> {
    CACHE.with_borrow_mut(|cache| {
        if cache.len() > 1000 {
            cache.clear();
        }
        let compiled = cache
            .entry(pattern.to_owned())
            .or_insert_with(|| build(pattern));
        compiled.clone().map_err(Error::message)
    })
}

/// Go's `regexp.MustCompile`: the panic's text.
fn must(pattern: &Value) -> Result<Regex, Error> {
    let pattern = text(pattern);
    compile(&pattern).map_err(|error| {
        let shown = if pattern.contains('`') {
            String::from_utf8_lossy(&quote(pattern.as_bytes(), false)).into_owned()
        } else {
            format!("`{pattern}`")
        };
        Error::message(format!("regexp: Compile({shown}): {}", error.text))
    })
}

/// Whether Go's `regexp` takes a pattern.
///
/// # Errors
///
/// In its words.
pub fn check(pattern: &str) -> Result<(), String> {
    build(pattern).map(drop)
}

fn build(pattern: &str) -> Compiled {
    let translated = Translator::new(pattern)
        .run()
        .map_err(|message| format!("error parsing regexp: {message}"))?;
    RegexBuilder::new(&translated)
        .size_limit(64 << 20)
        .build()
        .map_err(|error| {
            let reason = match error {
                regex::Error::CompiledTooBig(_) => "expression too large".to_owned(),
                other => last_line(&other.to_string()),
            };
            format!("error parsing regexp: {reason}: `{pattern}`")
        })
}

fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

/// Rewrites RE2 syntax for the `regex` crate.
struct Translator<'p> {
    pattern: &'p str,
    chars: Vec<char>,
    at: usize,
    out: String,
    depth: usize,
}

impl<'p> Translator<'p> {
    fn new(pattern: &'p str) -> Self {
        Translator {
            pattern,
            chars: pattern.chars().collect(),
            at: 0,
            out: String::new(),
            depth: 0,
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn rest(&self, from: usize) -> String {
        self.chars[from.min(self.chars.len())..].iter().collect()
    }

    fn run(mut self) -> Result<String, String> {
        // Whether something stands before that `*` could repeat.
        let mut atom = false;
        while let Some(c) = self.peek(0) {
            match c {
                '\\' => {
                    self.escape(false)?;
                    atom = true;
                }
                '[' => {
                    self.class()?;
                    atom = true;
                }
                '(' => {
                    self.group()?;
                    atom = false;
                }
                ')' => {
                    if self.depth == 0 {
                        return Err(format!("unexpected ): `{}`", self.pattern));
                    }
                    self.depth -= 1;
                    self.push(')');
                    atom = true;
                }
                '*' | '+' | '?' => self.repeat(&mut atom)?,
                '{' => self.brace(&mut atom)?,
                '|' => {
                    self.push('|');
                    atom = false;
                }
                '}' | ']' => {
                    self.out.push('\\');
                    self.push(c);
                    atom = true;
                }
                c => {
                    self.push(c);
                    atom = true;
                }
            }
        }
        if self.depth > 0 {
            return Err(format!("missing closing ): `{}`", self.pattern));
        }
        Ok(self.out)
    }

    fn push(&mut self, c: char) {
        self.out.push(c);
        self.at += 1;
    }

    fn repeat(&mut self, atom: &mut bool) -> Result<(), String> {
        let start = self.at;
        let c = self.chars[start];
        if !*atom {
            return Err(format!("missing argument to repetition operator: `{c}`"));
        }
        self.push(c);
        if self.peek(0) == Some('?') {
            self.push('?');
        }
        if let Some(next @ ('*' | '+' | '?')) = self.peek(0) {
            let shown: String = self.chars[start..self.at].iter().collect();
            return Err(format!(
                "invalid nested repetition operator: `{shown}{next}`"
            ));
        }
        Ok(())
    }

    /// `{n}`, `{n,}`, `{n,m}`; any other `{` is a plain character.
    fn brace(&mut self, atom: &mut bool) -> Result<(), String> {
        let Some(close) = self.chars[self.at..].iter().position(|c| *c == '}') else {
            return self.plain_brace(atom);
        };
        let body: String = self.chars[self.at + 1..self.at + close].iter().collect();
        let (low, high) = body.split_once(',').unwrap_or((&body, &body));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(low) || !(high.is_empty() || digits(high)) {
            return self.plain_brace(atom);
        }
        let number = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
        if !*atom {
            return Err(format!(
                "missing argument to repetition operator: `{{{body}}}`"
            ));
        }
        let bad = number(low) > 1000
            || (!high.is_empty() && (number(high) > 1000 || number(high) < number(low)));
        if bad {
            return Err(format!("invalid repeat count: `{{{body}}}`"));
        }
        self.out.push_str(&format!("{{{body}}}"));
        self.at += close + 1;
        if self.peek(0) == Some('?') {
            self.push('?');
        }
        Ok(())
    }

    fn plain_brace(&mut self, atom: &mut bool) -> Result<(), String> {
        self.out.push('\\');
        self.push('{');
        *atom = true;
        Ok(())
    }

    fn group(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.peek(1) != Some('?') {
            self.push('(');
            return Ok(());
        }
        let rest = self.rest(self.at);
        let named = rest.starts_with("(?P<")
            || (rest.starts_with("(?<") && !rest.starts_with("(?<=") && !rest.starts_with("(?<!"));
        if named {
            let Some(end) = rest.find('>') else {
                return Err(format!("invalid named capture: `{rest}`"));
            };
            let name = rest[..end].rsplit('<').next().unwrap_or_default();
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(format!("invalid named capture: `{}`", &rest[..=end]));
            }
            let name = name.to_owned();
            self.out.push_str(&format!("(?P<{name}>"));
            self.at += rest[..=end].chars().count();
            return Ok(());
        }
        self.flags(&rest)
    }

    fn flags(&mut self, rest: &str) -> Result<(), String> {
        let body: String = rest[2..]
            .chars()
            .take_while(|c| !matches!(c, ':' | ')'))
            .collect();
        let end = body.chars().count() + 2;
        let terminator = rest.chars().nth(end);
        if body
            .chars()
            .any(|c| !matches!(c, 'i' | 'm' | 's' | 'U' | '-'))
            || terminator.is_none()
        {
            let bad = body
                .chars()
                .position(|c| !matches!(c, 'i' | 'm' | 's' | 'U' | '-'));
            let len = bad.map_or(end, |at| at + 3);
            let shown: String = rest.chars().take(len).collect();
            if terminator.is_none() && bad.is_none() {
                return Err(format!("missing closing ): `{}`", self.pattern));
            }
            return Err(format!("invalid or unsupported Perl syntax: `{shown}`"));
        }
        if body.is_empty() && terminator == Some(')') {
            return Err("missing argument to repetition operator: `?`".into());
        }
        self.out.push_str("(?");
        self.out.push_str(&body);
        self.at += end;
        if terminator == Some(')') {
            self.depth -= 1;
        }
        self.push(if terminator == Some(')') { ')' } else { ':' });
        Ok(())
    }

    fn class(&mut self) -> Result<(), String> {
        let start = self.at;
        self.push('[');
        if self.peek(0) == Some('^') {
            self.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.peek(0) else {
                return Err(format!("missing closing ]: `{}`", self.rest(start)));
            };
            match c {
                ']' if !first => {
                    self.push(']');
                    return Ok(());
                }
                '[' if self.peek(1) == Some(':') => {
                    let rest = self.rest(self.at);
                    let Some(end) = rest.find(":]") else {
                        self.out.push('\\');
                        self.push('[');
                        first = false;
                        continue;
                    };
                    self.out.push_str(&rest[..end + 2]);
                    self.at += rest[..end + 2].chars().count();
                }
                _ => self.class_item()?,
            }
            first = false;
        }
    }

    /// One character, a class such as `\d`, or a range. A minus where an item
    /// may start is a plain character.
    fn class_item(&mut self) -> Result<(), String> {
        let low = self.peek(0);
        let single = self.class_char()?;
        let range =
            single && self.peek(0) == Some('-') && !matches!(self.peek(1), Some(']') | None);
        if range {
            self.push('-');
            let start = self.out.len();
            let high = self.peek(0);
            if !self.class_char()? {
                let shown = self.out[start..].to_owned();
                return Err(format!("invalid character class range: `{shown}`"));
            }
            if let (Some(low), Some(high)) = (low, high)
                && low > high
                && low != '\\'
                && high != '\\'
            {
                return Err(format!("invalid character class range: `{low}-{high}`"));
            }
        }
        Ok(())
    }

    /// Copies one character of a class; false for a class inside the class.
    fn class_char(&mut self) -> Result<bool, String> {
        match self.peek(0) {
            Some('\\') => {
                let class = matches!(
                    self.peek(1),
                    Some('d' | 'D' | 'w' | 'W' | 's' | 'S' | 'p' | 'P')
                );
                self.escape(true)?;
                Ok(!class)
            }
            Some(c @ ('[' | ']' | '&' | '~' | '-' | '^')) => {
                self.out.push('\\');
                self.push(c);
                Ok(true)
            }
            Some(c) => {
                self.push(c);
                Ok(true)
            }
            None => Ok(true),
        }
    }

    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let Some(c) = self.peek(1) else {
            return Err("trailing backslash at end of expression: ``".into());
        };
        self.at += 2;
        let perl = match (c, in_class) {
            ('d', false) => "[0-9]",
            ('D', false) => "[^0-9]",
            ('w', false) => "[0-9A-Za-z_]",
            ('W', false) => "[^0-9A-Za-z_]",
            ('s', false) => r"[\t\n\x0C\r ]",
            ('S', false) => r"[^\t\n\x0C\r ]",
            ('d', true) => "0-9",
            ('w', true) => "0-9A-Za-z_",
            ('s', true) => r"\t\n\x0C\r ",
            ('D', true) => "[^0-9]",
            ('W', true) => "[^0-9A-Za-z_]",
            ('S', true) => r"[^\t\n\x0C\r ]",
            ('b', false) => r"(?-u:\b)",
            ('B', false) => r"(?-u:\B)",
            ('A', false) => r"\A",
            ('z', false) => r"\z",
            ('a', _) => r"\x07",
            ('f', _) => r"\x0C",
            ('n', _) => r"\n",
            ('r', _) => r"\r",
            ('t', _) => r"\t",
            ('v', _) => r"\x0B",
            _ => "",
        };
        if !perl.is_empty() {
            self.out.push_str(perl);
            return Ok(());
        }
        match c {
            'Q' if !in_class => {
                let rest = self.rest(self.at);
                let end = rest.find("\\E").unwrap_or(rest.len());
                self.out.push_str(&regex::escape(&rest[..end]));
                self.at += rest[..end].chars().count();
                if rest.len() > end {
                    self.at += 2;
                }
            }
            'E' if !in_class => {}
            'p' | 'P' => self.unicode_class(c)?,
            'x' => self.hex()?,
            '0'..='7' => self.octal(c)?,
            c if c.is_ascii_punctuation() || !c.is_ascii() => {
                self.out.push_str(&regex::escape(&c.to_string()));
                if matches!(c, '&' | '~' | '-' | '#') && !self.out.ends_with(&format!("\\{c}")) {
                    self.out.pop();
                    self.out.push('\\');
                    self.out.push(c);
                }
            }
            c => return Err(format!("invalid escape sequence: `\\{c}`")),
        }
        Ok(())
    }

    fn unicode_class(&mut self, letter: char) -> Result<(), String> {
        let start = self.at - 2;
        let mut name = String::new();
        match self.peek(0) {
            Some('{') => {
                let rest = self.rest(self.at);
                let Some(end) = rest.find('}') else {
                    return Err(format!("invalid character class range: `\\{letter}{rest}`"));
                };
                name.push_str(&rest[1..end]);
                self.at += rest[..=end].chars().count();
            }
            Some(c) => {
                name.push(c);
                self.at += 1;
            }
            None => return Err(format!("invalid character class range: `\\{letter}`")),
        }
        let (negated, name) = match name.strip_prefix('^') {
            Some(name) => (letter == 'p', name.to_owned()),
            None => (letter == 'P', name),
        };
        if Regex::new(&format!("\\p{{{name}}}")).is_err() {
            return Err(format!(
                "invalid character class range: `{}`",
                self.chars[start..self.at].iter().collect::<String>()
            ));
        }
        self.out
            .push_str(&format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }));
        Ok(())
    }

    fn hex(&mut self) -> Result<(), String> {
        let rest = self.rest(self.at);
        let (digits, len) = if let Some(body) = rest.strip_prefix('{') {
            let end = body.find('}').ok_or("invalid escape sequence: `\\x{`")?;
            (&body[..end], end + 2)
        } else {
            (rest.get(..2).unwrap_or_default(), 2)
        };
        let code = u32::from_str_radix(digits, 16)
            .ok()
            .and_then(char::from_u32);
        let Some(c) = code else {
            return Err(format!("invalid escape sequence: `\\x{digits}`"));
        };
        self.out.push_str(&format!("\\x{{{:X}}}", c as u32));
        self.at += len;
        Ok(())
    }

    fn octal(&mut self, first: char) -> Result<(), String> {
        // A lone digit other than zero would be a back reference.
        if first != '0' && !matches!(self.peek(0), Some('0'..='7')) {
            return Err(format!("invalid escape sequence: `\\{first}`"));
        }
        let mut code = first as u32 - '0' as u32;
        for _ in 0..2 {
            let Some(digit) = self.peek(0).and_then(|c| c.to_digit(8)) else {
                break;
            };
            code = code * 8 + digit;
            self.at += 1;
        }
        self.out.push_str(&format!("\\x{{{code:X}}}"));
        Ok(())
    }
}

fn find(regex: &Regex, text: &[u8]) -> Value {
    Value::str(regex.find(text).map_or(&b""[..], |found| found.as_bytes()))
}

fn find_all(regex: &Regex, text: &[u8], count: i64) -> Value {
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let found: Vec<Value> = regex
        .find_iter(text)
        .take(limit)
        .map(|found| Value::str(found.as_bytes()))
        .collect();
    Value::List(List::appended(Elem::String, found))
}

/// With a template, `$1` and `${name}` are filled in; without, `literal`.
fn replace(regex: &Regex, text: &[u8], template: Option<&[u8]>, literal: &[u8]) -> Value {
    let mut out = Vec::with_capacity(text.len());
    let mut last = 0;
    for captures in regex.captures_iter(text) {
        let Some(whole) = captures.get(0) else {
            continue;
        };
        out.extend(&text[last..whole.start()]);
        match template {
            Some(template) => captures.expand(template, &mut out),
            None => out.extend(literal),
        }
        last = whole.end();
    }
    out.extend(&text[last..]);
    out.into()
}

/// Go's `Regexp.Split`.
fn split(regex: &Regex, text: &[u8], count: i64) -> Value {
    if count == 0 {
        return Value::List(List::appended(Elem::String, Vec::new()));
    }
    if text.is_empty() && !regex.as_str().is_empty() {
        return Value::strings([""]);
    }
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let mut parts: Vec<&[u8]> = Vec::new();
    let (mut from, mut end) = (0, 0);
    for found in regex.find_iter(text) {
        if parts.len() + 1 == limit {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            parts.push(&text[from..end]);
        }
        from = found.end();
    }
    if end != text.len() {
        parts.push(&text[from..]);
    }
    Value::strings(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, input: &str) -> bool {
        compile(pattern).expect(pattern).is_match(input.as_bytes())
    }

    #[test]
    fn classes_are_ascii() {
        assert!(!matches(r"^\w+$", "héllo"));
        assert!(matches(r"^[\w.-]+$", "a_b.c-d"));
        assert!(matches(r"^\pL+$", "héllo"));
        assert!(matches(r"^a{,2}$", "a{,2}"));
        assert!(matches(r"^\Qa.b\E$", "a.b"));
        assert!(matches(r"[^\s]", "x"));
        assert!(matches(r"^[a\-z]+$", "-"));
        assert!(matches(r"^[]a]+$", "]a"));
        assert!(matches(r"^[\w-\.]+$", "a-b.c"));
        assert!(matches(r"^[+--]+$", "+,-"));
        assert!(matches(r"(?i)HELLO", "hello"));
        assert!(matches(r"^[&&~~]+$", "&~"));
    }

    #[test]
    fn refusals_have_go_texts() {
        let check = |pattern: &str, expected: &str| {
            let error = compile(pattern).expect_err(pattern);
            assert_eq!(error.text, format!("error parsing regexp: {expected}"));
        };
        check("(?=a)", "invalid or unsupported Perl syntax: `(?=`");
        check("(?!a)", "invalid or unsupported Perl syntax: `(?!`");
        check("(a", "missing closing ): `(a`");
        check("a)", "unexpected ): `a)`");
        check("[a", "missing closing ]: `[a`");
        check("*a", "missing argument to repetition operator: `*`");
        check("a**", "invalid nested repetition operator: `**`");
        check(r"\q", r"invalid escape sequence: `\q`");
        check("a{1001}", "invalid repeat count: `{1001}`");
    }

    #[test]
    fn replaces_and_splits() {
        let regex = compile("a(x*)b").expect("compiles");
        let value = replace(&regex, b"-ab-axxb-", Some(b"${1}W"), b"");
        assert_eq!(s(&value), b"-W-xxW-");
        let value = replace(&regex, b"-ab-axxb-", Some(b"$1W"), b"");
        assert_eq!(s(&value), b"---");
        let value = replace(&regex, b"-ab-axxb-", None, b"${1}");
        assert_eq!(s(&value), b"-${1}-${1}-");
        let parts = split(&compile("z+").expect("compiles"), b"pizza", -1);
        assert_eq!(format!("{parts:?}"), "[pi a]");
        let parts = split(&compile("").expect("compiles"), b"abc", -1);
        assert_eq!(format!("{parts:?}"), "[a b c]");
    }
}
