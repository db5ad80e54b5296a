//! Patterns: those of file names in `COPY` and `.dockerignore`, and those of
//! variables.
//!
//! The syntax of Go's `filepath.Match` with `**` added, as Docker has it. The
//! time taken is bounded by pattern length times text length.

use std::collections::HashSet;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// This character.
    One(char),
    /// Any character but the separator.
    Any,
    /// A set of ranges, perhaps negated; never the separator.
    Set(bool, Vec<(char, char)>),
    /// Any number of characters but the separator.
    Star,
    /// Any number of characters.
    DoubleStar,
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    /// Whether a separator exists, which stars do not cross.
    paths: bool,
}

impl Pattern {
    /// Compiles a path pattern.
    pub(crate) fn path(text: &str) -> Result<Self, String> {
        compile(text).map(|tokens| Self {
            tokens,
            paths: true,
        })
    }

    /// Returns whether the whole text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut states: HashSet<usize> = HashSet::new();
        self.close(0, true, &mut states);
        for c in text.chars() {
            let mut next = HashSet::new();
            for state in &states {
                self.step(*state, c, &mut next);
            }
            states = next;
            if states.is_empty() {
                return false;
            }
        }
        states.contains(&self.tokens.len())
    }

    // Adds a state and those reached without reading; `boundary` says that a
    // path component starts here.
    fn close(&self, state: usize, boundary: bool, states: &mut HashSet<usize>) {
        if !states.insert(state) {
            return;
        }
        match self.tokens.get(state) {
            Some(Token::Star) => self.close(state + 1, boundary, states),
            Some(Token::DoubleStar) => {
                self.close(state + 1, boundary, states);
                // "**/x" matches "x" too.
                if boundary && self.tokens.get(state + 1) == Some(&Token::One('/')) {
                    self.close(state + 2, boundary, states);
                }
            }
            _ => {}
        }
    }

    fn step(&self, state: usize, c: char, next: &mut HashSet<usize>) {
        let separator = self.paths && c == '/';
        match self.tokens.get(state) {
            Some(Token::One(one)) if *one == c => self.close(state + 1, separator, next),
            Some(Token::Any) if !separator => self.close(state + 1, false, next),
            Some(Token::Set(negated, ranges)) if !separator => {
                let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                if inside != *negated {
                    self.close(state + 1, false, next);
                }
            }
            Some(Token::Star) if !separator => self.close(state, false, next),
            Some(Token::DoubleStar) => self.close(state, separator, next),
            _ => {}
        }
    }
}

/// Returns whether a whole text matches; no character is special in the text.
/// A broken pattern matches itself.
pub(crate) fn matches_text(pattern: &str, text: &str) -> bool {
    match compile(pattern) {
        Ok(tokens) => Pattern {
            tokens,
            paths: false,
        }
        .matches(text),
        Err(_) => pattern == text,
    }
}

/// Returns whether a path holds pattern characters.
pub(crate) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

fn compile(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                while chars.next_if_eq(&'*').is_some() {}
                Token::DoubleStar
            }
            '*' => Token::Star,
            '?' => Token::Any,
            '[' => set(&mut chars).ok_or_else(|| format!("syntax error in pattern {text}"))?,
            '\\' => match chars.next() {
                Some(c) => Token::One(c),
                None => return Err(format!("syntax error in pattern {text}")),
            },
            c => Token::One(c),
        };
        tokens.push(token);
    }
    Ok(tokens)
}

fn set(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let low = match chars.next()? {
            ']' if !ranges.is_empty() => return Some(Token::Set(negated, ranges)),
            ']' | '-' => return None,
            '\\' => chars.next()?,
            c => c,
        };
        let high = match chars.next_if_eq(&'-') {
            Some(_) => match chars.next()? {
                ']' => return None,
                '\\' => chars.next()?,
                c => c,
            },
            None => low,
        };
        ranges.push((low, high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_go_does() {
        let check = |pattern: &str, text: &str, expected: bool| {
            let compiled = Pattern::path(pattern).expect(pattern);
            assert_eq!(compiled.matches(text), expected, "{pattern} on {text}");
        };
        check("abc", "abc", true);
        check("*", "abc", true);
        check("*c", "abc", true);
        check("a*", "ab/c", false);
        check("a*/b", "abc/b", true);
        check("a*b*c*d*e*/f", "axbxcxdxexxx/f", true);
        check("a???z", "abcdz", true);
        check("a??z", "abcdz", false);
        check("**/x", "abx", false);
        check("a/**/z", "a/bz", false);
        check("[a-c]x", "bx", true);
        check("[^a-c]x", "bx", false);
        check("[^a]", "/", false);
        check("?", "/", false);
        check(r"\*", "*", true);
        check(r"[\]a]", "]", true);
        check("**/x", "x", true);
        check("**/x", "a/b/x", true);
        check("a/**", "a/b/c", true);
        check("a/**/z", "a/z", true);
        check("a/**/z", "a/b/c/z", true);
        check("**", "a/b", true);
        check("**/*.go", "x.go", true);
        check("*.go", "a/x.go", false);
    }

    #[test]
    fn broken_patterns_are_named() {
        for pattern in ["[", "[]", "[a", "[a-", "[-x]", "a\\"] {
            assert!(Pattern::path(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_of_stars_takes_no_exponential_time() {
        let pattern = Pattern::path(&"a*".repeat(200)).expect("valid");
        assert!(!pattern.matches(&("a".repeat(5000) + "b/")));
    }
}
