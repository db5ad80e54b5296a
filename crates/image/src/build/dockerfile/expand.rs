//! Variables, quotes and escapes in words: [`Expander`].
//!
//! The forms of the Dockerfile reference, "Environment replacement": `$x`,
//! `${x}`, `${x:-w}`, `${x-w}`, `${x:+w}`, `${x+w}`, `${x:?w}`, `${x?w}`,
//! `${x#p}`, `${x##p}`, `${x%p}`, `${x%%p}`, `${x/p/r}`, `${x//p/r}`.

use std::iter::Peekable;
use std::str::Chars;

use crate::build::glob;

/// Words nested deeper than this are refused.
const DEPTH_MAX: u32 = 32;

/// Replaces variables in words.
pub struct Expander<'a> {
    /// The escape character of the Dockerfile.
    pub escape: char,
    /// Returns a variable's value, `None` when it is not set.
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
}

struct Scan<'t> {
    chars: Peekable<Chars<'t>>,
    /// Quotes are text: the body of a heredoc.
    raw_quotes: bool,
    /// Set while reading at a space that ends a word.
    words: Option<Vec<String>>,
    depth: u32,
}

impl Expander<'_> {
    /// Returns a word with variables replaced and quotes removed.
    ///
    /// # Errors
    ///
    /// Names the broken form.
    pub fn word(&self, text: &str) -> Result<String, String> {
        self.start(text, false).map(|(word, _)| word)
    }

    /// Returns a heredoc's body with variables replaced; quotes are text.
    ///
    /// # Errors
    ///
    /// Names the broken form.
    pub fn body(&self, text: &str) -> Result<String, String> {
        self.start(text, true).map(|(word, _)| word)
    }

    /// Returns the words a text expands to: a variable may hold several.
    ///
    /// # Errors
    ///
    /// Names the broken form.
    pub fn words(&self, text: &str) -> Result<Vec<String>, String> {
        let expanded = self.word(text)?;
        Ok(expanded.split_whitespace().map(str::to_owned).collect())
    }

    fn start(&self, text: &str, raw_quotes: bool) -> Result<(String, Option<Vec<String>>), String> {
        let mut scan = Scan {
            chars: text.chars().peekable(),
            raw_quotes,
            words: None,
            depth: 0,
        };
        let word = self.until(&mut scan, None)?;
        Ok((word, scan.words))
    }

    fn until(&self, scan: &mut Scan<'_>, stop: Option<char>) -> Result<String, String> {
        scan.depth += 1;
        if scan.depth > DEPTH_MAX {
            return Err("variables are nested too deep".to_owned());
        }
        let mut word = String::new();
        while let Some(c) = scan.chars.next() {
            match c {
                c if Some(c) == stop => {
                    scan.depth -= 1;
                    return Ok(word);
                }
                '\'' if !scan.raw_quotes => single_quoted(scan, &mut word)?,
                '"' if !scan.raw_quotes => self.double_quoted(scan, &mut word)?,
                '$' => word.push_str(&self.dollar(scan)?),
                c if c == self.escape => self.escaped(scan, &mut word),
                c => word.push(c),
            }
        }
        scan.depth -= 1;
        match stop {
            Some(stop) => Err(format!("a variable's \"{stop}\" is missing")),
            None => Ok(word),
        }
    }

    fn escaped(&self, scan: &mut Scan<'_>, word: &mut String) {
        match scan.chars.next() {
            // In a heredoc only a dollar or the escape itself can be escaped.
            Some(c) if scan.raw_quotes && c != '$' && c != self.escape => {
                word.push(self.escape);
                word.push(c);
            }
            Some(c) => word.push(c),
            None => {}
        }
    }

    fn double_quoted(&self, scan: &mut Scan<'_>, word: &mut String) -> Result<(), String> {
        while let Some(c) = scan.chars.next() {
            match c {
                '"' => return Ok(()),
                '$' => word.push_str(&self.dollar(scan)?),
                c if c == self.escape => match scan.chars.peek() {
                    Some(next) if matches!(next, '"' | '$') || *next == self.escape => {
                        word.extend(scan.chars.next());
                    }
                    _ => word.push(c),
                },
                c => word.push(c),
            }
        }
        Err("a double quote is not closed".to_owned())
    }

    fn dollar(&self, scan: &mut Scan<'_>) -> Result<String, String> {
        if scan.chars.peek() != Some(&'{') {
            let name = name(scan);
            return Ok(match name.is_empty() {
                true => "$".to_owned(),
                false => self.value(&name).unwrap_or_default(),
            });
        }
        scan.chars.next();
        let name = name(scan);
        if name.is_empty() {
            return Err("bad substitution: ${} without a name".to_owned());
        }
        self.braced(scan, &name)
    }

    fn braced(&self, scan: &mut Scan<'_>, name: &str) -> Result<String, String> {
        let value = self.value(name);
        let operator = scan.chars.next().ok_or("a variable's \"}\" is missing")?;
        match operator {
            '}' => Ok(value.unwrap_or_default()),
            ':' => {
                let value = value.filter(|value| !value.is_empty());
                let operator = scan.chars.next().ok_or("a variable's \"}\" is missing")?;
                self.default(scan, name, operator, value)
            }
            '+' | '-' | '?' => self.default(scan, name, operator, value),
            '#' | '%' => {
                let longest = scan.chars.next_if_eq(&operator).is_some();
                let pattern = self.until(scan, Some('}'))?;
                let value = value.unwrap_or_default();
                Ok(strip(&value, &pattern, operator == '#', longest))
            }
            '/' => {
                let all = scan.chars.next_if_eq(&'/').is_some();
                self.replace(scan, &value.unwrap_or_default(), all)
            }
            other => Err(format!("unsupported modifier \"{other}\" in ${{{name}…}}")),
        }
    }

    fn default(
        &self,
        scan: &mut Scan<'_>,
        name: &str,
        operator: char,
        value: Option<String>,
    ) -> Result<String, String> {
        let word = self.until(scan, Some('}'))?;
        match (operator, value) {
            ('-', value) => Ok(value.unwrap_or(word)),
            ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            ('?', Some(value)) => Ok(value),
            ('?', None) if word.is_empty() => Err(format!("{name} is required and not set")),
            ('?', None) => Err(format!("{name}: {word}")),
            (other, _) => Err(format!("unsupported modifier \"{other}\" in ${{{name}:…}}")),
        }
    }

    fn replace(&self, scan: &mut Scan<'_>, value: &str, all: bool) -> Result<String, String> {
        let both = self.until(scan, Some('}'))?;
        let (pattern, replacement) = both.split_once('/').unwrap_or((&both, ""));
        Ok(replace(value, pattern, replacement, all))
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
    }
}

fn single_quoted(scan: &mut Scan<'_>, word: &mut String) -> Result<(), String> {
    for c in scan.chars.by_ref() {
        match c {
            '\'' => return Ok(()),
            c => word.push(c),
        }
    }
    Err("a single quote is not closed".to_owned())
}

fn name(scan: &mut Scan<'_>) -> String {
    let mut name = String::new();
    match scan.chars.peek() {
        Some(c) if c.is_ascii_digit() => {
            while let Some(c) = scan.chars.next_if(char::is_ascii_digit) {
                name.push(c);
            }
        }
        _ => {
            while let Some(c) = scan
                .chars
                .next_if(|c| c.is_ascii_alphanumeric() || *c == '_')
            {
                name.push(c);
            }
        }
    }
    name
}

fn strip(value: &str, pattern: &str, from_start: bool, longest: bool) -> String {
    let mut cuts: Vec<usize> = value.char_indices().map(|(index, _)| index).collect();
    cuts.push(value.len());
    // Cutting at the start, a long match ends late; at the end, it starts early.
    if from_start == longest {
        cuts.reverse();
    }
    for cut in cuts {
        let (head, tail) = value.split_at(cut);
        let (candidate, rest) = if from_start {
            (head, tail)
        } else {
            (tail, head)
        };
        if glob::matches_text(pattern, candidate) {
            return rest.to_owned();
        }
    }
    value.to_owned()
}

fn replace(value: &str, pattern: &str, replacement: &str, all: bool) -> String {
    if pattern.is_empty() {
        return value.to_owned();
    }
    let (mut result, mut rest) = (String::new(), value);
    while let Some((before, matched)) = first_match(rest, pattern) {
        result.push_str(&rest[..before]);
        result.push_str(replacement);
        rest = &rest[before + matched..];
        if !all {
            break;
        }
    }
    result + rest
}

// The leftmost, longest match that is not empty.
fn first_match(text: &str, pattern: &str) -> Option<(usize, usize)> {
    let mut ends: Vec<usize> = text.char_indices().map(|(index, _)| index).collect();
    ends.push(text.len());
    for start in &ends {
        for end in ends.iter().rev().take_while(|end| *end > start) {
            if glob::matches_text(pattern, &text[*start..*end]) {
                return Some((*start, end - start));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "x" => Some("value".to_owned()),
            "empty" => Some(String::new()),
            "path" => Some("/a/b/c.tar.gz".to_owned()),
            "two" => Some("80 443".to_owned()),
            _ => None,
        }
    }

    fn expander() -> Expander<'static> {
        Expander {
            escape: '\\',
            lookup: &lookup,
        }
    }

    #[test]
    fn words_expand_as_the_reference_says() {
        let check = |text: &str, expected: &str| {
            assert_eq!(expander().word(text).as_deref(), Ok(expected), "{text}");
        };
        check("plain", "plain");
        check("$x", "value");
        check("${x}y", "valuey");
        check("$xy", "");
        check("a$", "a$");
        check("$ x", "$ x");
        check(r"\$x", "$x");
        check(r"\\$x", r"\value");
        check("'$x'", "$x");
        check("\"$x 'q'\"", "value 'q'");
        check(r#""\$x \" \n""#, r#"$x " \n"#);
        check("${nope:-a b}", "a b");
        check("${nope:-${x}}", "value");
        check("${empty:-d}", "d");
        check("${empty-d}", "");
        check("${nope-d}", "d");
        check("${x:+set}", "set");
        check("${empty:+set}", "");
        check("${empty+set}", "set");
        check("${nope+set}", "");
        check("${x:?}", "value");
        check("${path#*/}", "a/b/c.tar.gz");
        check("${path##*/}", "c.tar.gz");
        check("${path%.*}", "/a/b/c.tar");
        check("${path%%.*}", "/a/b/c");
        check("${path/b/X}", "/a/X/c.tar.gz");
        check("${path//[ab]/X}", "/X/X/c.tXr.gz");
        check("${x/v*/}", "");
        check("dir\\ name", "dir name");
        check("end\\", "end");
        check("$1x", "x");
    }

    #[test]
    fn heredoc_bodies_keep_their_quotes() {
        let body = expander().body("echo \"$x\" '$x' \\n \\$x\n");
        assert_eq!(body.as_deref(), Ok("echo \"value\" 'value' \\n $x\n"));
    }

    #[test]
    fn one_text_may_be_several_words() {
        assert_eq!(
            expander().words("$two"),
            Ok(vec!["80".to_owned(), "443".to_owned()])
        );
    }

    #[test]
    fn broken_forms_are_named() {
        let check = |text: &str, part: &str| {
            let error = expander().word(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        };
        check("'open", "single quote");
        check("\"open", "double quote");
        check("${x", "missing");
        check("${}", "bad substitution");
        check("${nope:?set it}", "nope: set it");
        check("${nope?}", "required");
        check("${x:=1}", "unsupported modifier");
        check("${x^^}", "unsupported modifier");
        check(&"${a:-".repeat(100), "too deep");
    }
}
