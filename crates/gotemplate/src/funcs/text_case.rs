//! Sprig's functions that change letters: case, words, wrapping.
//!
//! After `huandu/xstrings` and `Masterminds/goutils`.

use super::{Functions, I, S, int, text};
use crate::value::Value;

pub(super) fn register(table: &mut Functions) {
    table.add("upper", &[S], |_, args| Ok(map_chars(&args[0], upper)));
    table.add("lower", &[S], |_, args| Ok(map_chars(&args[0], lower)));
    table.add("title", &[S], |_, args| Ok(title(&text(&args[0])).into()));
    table.add("untitle", &[S], |_, args| {
        Ok(untitle(&text(&args[0])).into())
    });
    table.add("swapcase", &[S], |_, args| {
        Ok(swapcase(&text(&args[0])).into())
    });
    table.add("initials", &[S], |_, args| {
        Ok(initials(&text(&args[0])).into())
    });
    table.add("camelcase", &[S], |_, args| {
        Ok(pascal_case(&text(&args[0])).into())
    });
    table.add("snakecase", &[S], |_, args| {
        Ok(joined_lower(&text(&args[0]), '_').into())
    });
    table.add("kebabcase", &[S], |_, args| {
        Ok(joined_lower(&text(&args[0]), '-').into())
    });
    table.add("wrap", &[I, S], |_, args| {
        Ok(wrap(&text(&args[1]), int(&args[0]), "\n", false).into())
    });
    table.add("wrapWith", &[I, S, S], |_, args| {
        Ok(wrap(&text(&args[2]), int(&args[0]), &text(&args[1]), true).into())
    });
}

/// Go maps character to character; a letter that would become two stays.
fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn upper(c: char) -> char {
    single(c, c.to_uppercase())
}

fn lower(c: char) -> char {
    single(c, c.to_lowercase())
}

fn map_chars(value: &Value, change: fn(char) -> char) -> Value {
    text(value).chars().map(change).collect::<String>().into()
}

fn title(text: &str) -> String {
    let mut previous = ' ';
    text.chars()
        .map(|c| {
            let start = is_separator(previous);
            previous = c;
            if start { upper(c) } else { c }
        })
        .collect()
}

fn is_separator(c: char) -> bool {
    if c.is_ascii() {
        return !(c.is_ascii_alphanumeric() || c == '_');
    }
    !c.is_alphanumeric() && c.is_whitespace()
}

fn untitle(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            if c.is_whitespace() {
                start = true;
                return c;
            }
            let first = std::mem::take(&mut start);
            if first { lower(c) } else { c }
        })
        .collect()
}

fn swapcase(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_uppercase() { lower(c) } else { upper(c) })
        .collect()
}

fn initials(text: &str) -> String {
    let mut start = true;
    let mut out = String::new();
    for c in text.chars() {
        if c.is_whitespace() {
            start = true;
        } else if std::mem::take(&mut start) {
            out.push(c);
        }
    }
    out
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || c.is_whitespace()
}

/// `xstrings.ToPascalCase`: connectors go, the letter after them is raised.
fn pascal_case(text: &str) -> String {
    let mut out = String::new();
    let mut raise = true;
    let chars: Vec<char> = text.chars().collect();
    let leading = chars.iter().take_while(|c| is_connector(**c)).count();
    out.extend(&chars[..leading]);
    let mut at = leading;
    while at < chars.len() {
        let c = chars[at];
        if is_connector(c) {
            // Of several connectors all but the last stay; a last one at the
            // end stays too.
            let last = at + 1 == chars.len();
            let doubled = chars.get(at + 1).is_some_and(|next| is_connector(*next));
            if last || doubled {
                out.push(c);
            }
            raise = true;
        } else {
            out.push(if std::mem::take(&mut raise) {
                upper(c)
            } else {
                c
            });
        }
        at += 1;
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Word {
    None,
    Number,
    Upper,
    Alphabet,
    Connector,
    Punct,
    Other,
}

fn is_alphabet(c: char) -> bool {
    c.is_alphabetic() && (c.is_uppercase() || c.is_lowercase())
}

fn is_punct(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c);
    }
    !c.is_alphanumeric() && !c.is_whitespace() && ('\u{2010}'..='\u{2027}').contains(&c)
}

/// `xstrings`' idea of the next word: its kind and its length in characters.
fn next_word(chars: &[char]) -> (Word, usize) {
    let Some(&first) = chars.first() else {
        return (Word::None, 0);
    };
    let run = |test: &dyn Fn(char) -> bool| chars.iter().take_while(|c| test(**c)).count();
    if is_connector(first) {
        return (Word::Connector, run(&is_connector));
    }
    if is_punct(first) {
        return (Word::Punct, run(&is_punct));
    }
    if first.is_uppercase() {
        return (Word::Upper, upper_word(chars));
    }
    if is_alphabet(first) {
        return (
            Word::Alphabet,
            run(&|c| is_alphabet(c) && !c.is_uppercase()),
        );
    }
    if first.is_numeric() {
        return (Word::Number, run(&char::is_numeric));
    }
    let other = |c: char| !(is_connector(c) || is_alphabet(c) || c.is_numeric() || is_punct(c));
    (Word::Other, run(&other).max(1))
}

/// `HTTPStatus` is `HTTP` and `Status`; `Status` is one word.
fn upper_word(chars: &[char]) -> usize {
    let Some(&second) = chars.get(1) else {
        return 1;
    };
    if second.is_uppercase() {
        let count = chars.iter().take_while(|c| c.is_uppercase()).count();
        return match chars.get(count) {
            Some(next) if is_alphabet(*next) => count - 1,
            _ => count,
        };
    }
    let rest = chars[1..].iter();
    1 + rest
        .take_while(|c| is_alphabet(**c) && !c.is_uppercase())
        .count()
}

/// `xstrings.ToSnakeCase` and `ToKebabCase`.
fn joined_lower(text: &str, connector: char) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    let next = |at: &mut usize| {
        let (kind, len) = next_word(&chars[*at..]);
        let word: Vec<char> = chars[*at..*at + len].to_vec();
        *at += len;
        (kind, word)
    };
    let (mut kind, mut word) = next(&mut at);
    while at < chars.len() {
        if kind != Word::Connector {
            push_lower(&mut out, kind, &word, connector);
        }
        let (previous, last) = (kind, word);
        (kind, word) = next(&mut at);
        match previous {
            Word::Number => {
                while matches!(kind, Word::Alphabet | Word::Number) {
                    push_lower(&mut out, kind, &word, connector);
                    (kind, word) = next(&mut at);
                }
                if !matches!(kind, Word::None | Word::Punct | Word::Connector) {
                    out.push(connector);
                }
            }
            Word::Connector => push_lower(&mut out, previous, &last, connector),
            Word::Punct => {}
            _ if kind != Word::Number => {
                if !matches!(kind, Word::Connector | Word::Punct) {
                    out.push(connector);
                }
            }
            _ if at >= chars.len() => {}
            _ => {
                let number = word;
                (kind, word) = next(&mut at);
                if kind != Word::Alphabet {
                    push_lower(&mut out, Word::Number, &number, connector);
                    if !matches!(kind, Word::Connector | Word::Punct) {
                        out.push(connector);
                    }
                    continue;
                }
                out.push(connector);
                push_lower(&mut out, Word::Number, &number, connector);
                while matches!(kind, Word::Alphabet | Word::Number) {
                    push_lower(&mut out, kind, &word, connector);
                    (kind, word) = next(&mut at);
                }
                if !matches!(kind, Word::None | Word::Connector | Word::Punct) {
                    out.push(connector);
                }
            }
        }
    }
    push_lower(&mut out, kind, &word, connector);
    out
}

fn push_lower(out: &mut String, kind: Word, word: &[char], connector: char) {
    if !matches!(kind, Word::Upper | Word::Connector) {
        out.extend(word);
        return;
    }
    out.extend(word.iter().map(|c| {
        if is_connector(*c) {
            connector
        } else {
            lower(*c)
        }
    }));
}

/// `goutils.WrapCustom`.
fn wrap(text: &str, width: i64, new_line: &str, break_long: bool) -> String {
    let width = width.max(1) as usize;
    let new_line = if new_line.is_empty() { "\n" } else { new_line };
    let chars: Vec<char> = text.chars().collect();
    let len = chars.len();
    let mut out = String::new();
    let mut offset = 0;
    while offset < len && len - offset > width {
        if chars[offset] == ' ' {
            offset += 1;
            continue;
        }
        let limit = width + offset + 1;
        let space = chars[..limit.min(len)].iter().rposition(|c| *c == ' ');
        if let Some(space) = space.filter(|space| *space >= offset) {
            out.extend(&chars[offset..space]);
            out.push_str(new_line);
            offset = space + 1;
        } else if break_long {
            out.extend(&chars[offset..offset + width]);
            out.push_str(new_line);
            offset += width;
        } else {
            let after = chars[(offset + width).min(len)..]
                .iter()
                .position(|c| *c == ' ');
            match after.map(|at| at + offset + width) {
                Some(space) => {
                    out.extend(&chars[offset..space]);
                    out.push_str(new_line);
                    offset = space + 1;
                }
                None => {
                    out.extend(&chars[offset..]);
                    offset = len;
                }
            }
        }
    }
    out.extend(&chars[offset.min(len)..]);
    out
}
