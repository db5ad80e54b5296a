//! Logical lines: directives, continuations, comments, heredocs.

use super::words::split_words;

/// Most bytes of a Dockerfile.
const DOCKERFILE_BYTES_MAX: usize = 4 << 20;

/// An instruction's text and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogicalLine {
    /// First line, from 1.
    pub(super) line: u32,
    /// Continuations joined.
    pub(super) text: String,
    pub(super) heredocs: Vec<Heredoc>,
}

/// The body of a `<<NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The delimiter.
    pub name: String,
    /// Whether variables in it are replaced: the delimiter was not quoted.
    pub expand: bool,
    /// Whether leading tabs are removed: `<<-`.
    pub strip_tabs: bool,
    /// The lines between, each with its line feed.
    pub content: String,
}

impl Heredoc {
    /// Returns the content, without leading tabs where `<<-` asked for it.
    pub fn text(&self) -> String {
        if !self.strip_tabs {
            return self.content.clone();
        }
        let lines = self.content.split_inclusive('\n');
        lines.map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// A Dockerfile as logical lines.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) lines: Vec<LogicalLine>,
    /// `\`, or a backtick when a directive says so.
    pub(super) escape: char,
}

/// Splits a Dockerfile.
///
/// Errors carry the line and the message.
pub(super) fn split(text: &str) -> Result<Lines, (u32, String)> {
    if text.len() > DOCKERFILE_BYTES_MAX {
        return Err((1, "the Dockerfile is larger than 4 MiB".to_owned()));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let physical: Vec<&str> = text.lines().collect();
    let escape = directives(&physical)?;
    let mut splitter = Splitter {
        physical,
        next: 0,
        escape,
    };
    let mut lines = Vec::new();
    while let Some(line) = splitter.logical()? {
        lines.push(line);
    }
    Ok(Lines { lines, escape })
}

// Directives stand at the very top; the first line of another form ends them.
fn directives(physical: &[&str]) -> Result<char, (u32, String)> {
    let (mut escape, mut seen_escape) = ('\\', false);
    for (index, line) in physical.iter().enumerate() {
        let Some((name, value)) = directive(line) else {
            break;
        };
        match name.as_str() {
            "escape" if seen_escape => {
                let message = "only one escape directive can be used".to_owned();
                return Err((index as u32 + 1, message));
            }
            "escape" => {
                seen_escape = true;
                escape = match value {
                    "\\" => '\\',
                    "`" => '`',
                    _ => {
                        let message = format!("escape is \\ or `, not \"{value}\"");
                        return Err((index as u32 + 1, message));
                    }
                };
            }
            // The syntax directive names a frontend image; this is the only
            // frontend here. `check` configures a linter.
            "syntax" | "check" => {}
            _ => break,
        }
    }
    Ok(escape)
}

fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let name = name.trim().to_ascii_lowercase();
    let word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    word.then(|| (name, value.trim()))
}

struct Splitter<'t> {
    physical: Vec<&'t str>,
    next: usize,
    escape: char,
}

impl Splitter<'_> {
    fn logical(&mut self) -> Result<Option<LogicalLine>, (u32, String)> {
        while self.next < self.physical.len() {
            let line = self.physical[self.next].trim_start();
            if !line.is_empty() && !line.starts_with('#') {
                return self.instruction().map(Some);
            }
            self.next += 1;
        }
        Ok(None)
    }

    fn instruction(&mut self) -> Result<LogicalLine, (u32, String)> {
        let line = self.next as u32 + 1;
        let mut text = String::new();
        let mut first = true;
        while self.next < self.physical.len() {
            let physical = self.physical[self.next];
            self.next += 1;
            let trimmed = physical.trim_start();
            // Inside an instruction, comments and empty lines are left out.
            if !first && (trimmed.is_empty() || trimmed.starts_with('#')) {
                continue;
            }
            let part = if first { trimmed } else { physical };
            first = false;
            match self.continued(part) {
                Some(part) => text.push_str(part),
                None => {
                    text.push_str(part);
                    break;
                }
            }
        }
        let text = text.trim_end().to_owned();
        let heredocs = self.heredocs(&text, line)?;
        Ok(LogicalLine {
            line,
            text,
            heredocs,
        })
    }

    // The escape character at the end, but not an escaped escape.
    fn continued<'p>(&self, line: &'p str) -> Option<&'p str> {
        let rest = line
            .trim_end_matches([' ', '\t'])
            .strip_suffix(self.escape)?;
        match rest.ends_with(self.escape) {
            true => None,
            false => Some(rest),
        }
    }

    fn heredocs(&mut self, text: &str, line: u32) -> Result<Vec<Heredoc>, (u32, String)> {
        let instruction = text.split_whitespace().next().unwrap_or_default();
        let takes = ["RUN", "COPY", "ADD"];
        if !text.contains("<<")
            || !takes
                .iter()
                .any(|name| name.eq_ignore_ascii_case(instruction))
        {
            return Ok(Vec::new());
        }
        let words = split_words(text, self.escape);
        let mut heredocs: Vec<Heredoc> = words.iter().filter_map(|word| opening(word)).collect();
        for heredoc in &mut heredocs {
            self.body(heredoc, line)?;
        }
        Ok(heredocs)
    }

    fn body(&mut self, heredoc: &mut Heredoc, line: u32) -> Result<(), (u32, String)> {
        while self.next < self.physical.len() {
            let physical = self.physical[self.next];
            self.next += 1;
            let candidate = match heredoc.strip_tabs {
                true => physical.trim_start_matches('\t'),
                false => physical,
            };
            if candidate == heredoc.name {
                return Ok(());
            }
            heredoc.content.push_str(physical);
            heredoc.content.push('\n');
        }
        let name = &heredoc.name;
        Err((
            line,
            format!("the heredoc is not ended: no line says {name}"),
        ))
    }
}

/// Reads a word such as `<<EOF`, `<<-"EOF"` or `3<<EOF`.
pub(super) fn opening(word: &str) -> Option<Heredoc> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest.strip_prefix("<<")?;
    let (strip_tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let name: String = rest.chars().filter(|c| !matches!(c, '"' | '\'')).collect();
    if name.is_empty() || name.contains('<') {
        return None;
    }
    Some(Heredoc {
        expand: name == rest,
        name,
        strip_tabs,
        content: String::new(),
    })
}
