//! Patterns of `gobwas/glob` with `/` as separator.
//!
//! Main type: [`Glob`]. `*` stops at `/`, `**` does not, `?` is one character,
//! `[abc]`, `[a-z]`, `[!…]` are sets, `{a,b}` alternatives, `\` quotes.

/// A pattern; a broken one matches everything, as in Helm.
#[derive(Debug)]
pub struct Glob {
    alternatives: Option<Vec<Vec<Part>>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Char(char),
    One,
    Any,
    AnyDeep,
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// More alternatives than this are not expanded.
const ALTERNATIVES_MAX: usize = 1000;

impl Glob {
    /// Parses a pattern.
    pub fn parse(pattern: &str) -> Glob {
        let chars: Vec<char> = pattern.chars().collect();
        let mut parser = Parser {
            chars: &chars,
            at: 0,
        };
        let alternatives = parser.sequence(0).filter(|_| parser.at == chars.len());
        Glob { alternatives }
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let Some(alternatives) = &self.alternatives else {
            return true;
        };
        let chars: Vec<char> = text.chars().collect();
        alternatives.iter().any(|parts| matches_here(parts, &chars))
    }
}

struct Parser<'p> {
    chars: &'p [char],
    at: usize,
}

impl Parser<'_> {
    /// Reads up to the end, or inside braces up to `,` or `}`.
    fn sequence(&mut self, depth: usize) -> Option<Vec<Vec<Part>>> {
        if depth > 16 {
            return None;
        }
        let mut sequences = vec![Vec::new()];
        while let Some(&c) = self.chars.get(self.at) {
            let parts = match c {
                ',' | '}' if depth > 0 => break,
                '{' => {
                    self.at += 1;
                    let mut all = Vec::new();
                    loop {
                        all.extend(self.sequence(depth + 1)?);
                        let end = *self.chars.get(self.at)?;
                        self.at += 1;
                        if end == '}' {
                            break;
                        }
                    }
                    all
                }
                _ => vec![vec![self.part(c)?]],
            };
            if sequences.len() * parts.len() > ALTERNATIVES_MAX {
                return None;
            }
            sequences = sequences
                .iter()
                .flat_map(|sequence| {
                    parts
                        .iter()
                        .map(move |part| [sequence.as_slice(), part].concat())
                })
                .collect();
        }
        Some(sequences)
    }

    fn part(&mut self, c: char) -> Option<Part> {
        self.at += 1;
        Some(match c {
            '*' => {
                let mut deep = false;
                while self.chars.get(self.at) == Some(&'*') {
                    self.at += 1;
                    deep = true;
                }
                if deep { Part::AnyDeep } else { Part::Any }
            }
            '?' => Part::One,
            '[' => self.set()?,
            '\\' => {
                let quoted = *self.chars.get(self.at)?;
                self.at += 1;
                Part::Char(quoted)
            }
            c => Part::Char(c),
        })
    }

    fn set(&mut self) -> Option<Part> {
        let negated = self.chars.get(self.at) == Some(&'!');
        self.at += usize::from(negated);
        let mut ranges = Vec::new();
        loop {
            let mut c = *self.chars.get(self.at)?;
            self.at += 1;
            if c == ']' {
                break;
            }
            if c == '\\' {
                c = *self.chars.get(self.at)?;
                self.at += 1;
            }
            if self.chars.get(self.at) == Some(&'-') && self.chars.get(self.at + 1) != Some(&']') {
                let high = *self.chars.get(self.at + 1)?;
                self.at += 2;
                if high < c {
                    return None;
                }
                ranges.push((c, high));
            } else {
                ranges.push((c, c));
            }
        }
        (!ranges.is_empty()).then_some(Part::Set { negated, ranges })
    }
}

/// Matches with a table of reachable places, so that no pattern is slow.
fn matches_here(parts: &[Part], text: &[char]) -> bool {
    let mut reachable = vec![false; text.len() + 1];
    reachable[0] = true;
    for part in parts {
        let mut next = vec![false; text.len() + 1];
        match part {
            Part::Any | Part::AnyDeep => {
                let mut open = false;
                for at in 0..=text.len() {
                    if at > 0 && *part == Part::Any && text[at - 1] == '/' {
                        open = false;
                    }
                    open |= reachable[at];
                    next[at] = open;
                }
            }
            _ => {
                for at in 0..text.len() {
                    next[at + 1] = reachable[at] && single(part, text[at]);
                }
            }
        }
        reachable = next;
    }
    reachable[text.len()]
}

fn single(part: &Part, c: char) -> bool {
    match part {
        Part::Char(wanted) => *wanted == c,
        Part::One => c != '/',
        Part::Set { negated, ranges } => {
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
        }
        Part::Any | Part::AnyDeep => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(
                Glob::parse(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        };
        check("config/*", "config/a.yaml", true);
        check("config/*", "config/b/a.yaml", false);
        check("config/**", "config/b/a.yaml", true);
        check("**.yaml", "config/b/a.yaml", true);
        check("**/*.yaml", "a.yaml", false);
        check("{a,b}.txt", "b.txt", true);
        check("f[0-9].txt", "f3.txt", true);
        check("f[!0-9].txt", "f3.txt", false);
        check("a?c", "abc", true);
        check("[", "anything", true);
        check("files/", "files/a", false);
        check("*", "a/b", false);
    }
}
