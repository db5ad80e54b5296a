//! The rewriting that Helm 4 does to errors of templates.
//!
//! Reference: `reformatExecErrorMsg` and `cleanupParseError` in
//! `pkg/engine/engine.go`.

use crate::compat::Rules;
use coracle_gotemplate::{Error, ParseError};

const WARN_START: &str = "HELM_ERR_START";
const WARN_END: &str = "HELM_ERR_END";

/// Helm's words for a template that does not parse.
pub fn parse_error(error: &ParseError) -> String {
    let text = error.to_string();
    let tokens: Vec<&str> = text.split(": ").collect();
    let (location, message) = (tokens[1], tokens[tokens.len() - 1]);
    format!("parse error at ({location}): {message}")
}

/// Helm's words for a template that stopped.
pub fn exec_error(filename: &str, error: &Error, rules: &Rules) -> String {
    let text = &error.text;
    if error.frame.is_none() {
        return text.clone();
    }
    let tokens: Vec<&str> = text.splitn(3, ": ").collect();
    if tokens.len() != 3 {
        return format!("execution error in ({filename}): {text}");
    }
    if let Some(message) = warning(tokens[2]) {
        return format!("execution error at ({}): {message}", tokens[1]);
    }
    if !rules.multiline_errors {
        return text.clone();
    }
    let mut lines: Vec<Traceable> = Vec::new();
    for link in error.chain() {
        let Some(traceable) = Traceable::parse(&link.text) else {
            return text.clone();
        };
        if lines.last() != Some(&traceable) {
            lines.push(traceable);
        }
    }
    let all: String = lines.iter().map(Traceable::show).collect();
    all.trim().to_owned()
}

/// Cuts a message of `fail` or `required` out of the text.
fn warning(text: &str) -> Option<&str> {
    let start = text.find(WARN_START)? + WARN_START.len();
    let end = text.rfind(WARN_END)?;
    text.get(start..end)
}

#[derive(PartialEq)]
struct Traceable {
    location: String,
    message: String,
    executed: String,
}

impl Traceable {
    fn parse(text: &str) -> Option<Traceable> {
        let rest = text.strip_prefix("template: ")?;
        if rest.starts_with("no template ") {
            return Some(Traceable {
                location: String::new(),
                message: text.to_owned(),
                executed: String::new(),
            });
        }
        if let Some(found) = Self::executing(rest) {
            return Some(found);
        }
        let at = rest.rfind(": ")?;
        Some(Traceable {
            location: rest[..at].to_owned(),
            message: cut(&rest[at + 2..]),
            executed: String::new(),
        })
    }

    fn executing(rest: &str) -> Option<Traceable> {
        let (location, after) = rest.split_once(": executing ")?;
        let body = after.strip_prefix('"')?;
        let quote = body.find('"')?;
        let (function, after) = (&body[..quote], &body[quote + 1..]);
        let (expression, message) = after.strip_prefix(" at <")?.split_once(">: ")?;
        Some(Traceable {
            location: location.to_owned(),
            message: cut(message),
            executed: format!("executing \"{function}\" at <{expression}>:"),
        })
    }

    fn show(&self) -> String {
        let mut out = String::new();
        if !self.location.is_empty() {
            out.push_str(&format!("{}\n  ", self.location));
        }
        if !self.executed.is_empty() {
            out.push_str(&format!("{}\n    ", self.executed));
        }
        if !self.message.is_empty() {
            out.push_str(&format!("{}\n", self.message));
        }
        out
    }
}

/// Without the next error of the chain, which has its own lines.
fn cut(message: &str) -> String {
    message
        .find(" template:")
        .map_or(message, |at| &message[..at])
        .to_owned()
}
