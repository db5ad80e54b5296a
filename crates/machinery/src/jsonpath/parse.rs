//! The grammar of templates.

use serde_json::Value;

use super::{Block, Comparison, PathError, Slice, Step, TEXT_BYTES_MAX};

/// Filters and unions nest at most this deep.
const DEPTH_MAX: usize = 32;

/// What stands between two braces.
enum Action {
    Steps(Vec<Step>),
    Range(Vec<Step>),
    End,
}

/// Parses a template.
pub(super) fn parse(template: &str) -> Result<Vec<Block>, PathError> {
    if template.len() > TEXT_BYTES_MAX {
        return Err(syntax("the template is too long"));
    }
    // Blocks under construction: the template itself, then open ranges.
    let mut open: Vec<(Vec<Step>, Vec<Block>)> = vec![(Vec::new(), Vec::new())];
    let mut rest = template;
    while !rest.is_empty() {
        let (text, action) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
        if !text.is_empty() {
            push(&mut open, Block::Steps(vec![Step::Text(text.into())]));
        }
        let Some(action) = action.strip_prefix('{') else {
            break;
        };
        let mut parser = Parser {
            rest: action,
            depth: 0,
        };
        match parser.action()? {
            Action::Steps(steps) => push(&mut open, Block::Steps(steps)),
            Action::Range(steps) => open.push((steps, Vec::new())),
            Action::End => match open.pop() {
                Some((steps, blocks)) if !open.is_empty() => {
                    push(&mut open, Block::Range(steps, blocks))
                }
                _ => {
                    return Err(PathError::Evaluation(
                        "not in range, nothing to end".to_owned(),
                    ));
                }
            },
        }
        rest = parser.rest;
    }
    // A range that is not ended goes to the end of the template.
    while let Some((steps, blocks)) = open.pop() {
        if open.is_empty() {
            return Ok(blocks);
        }
        push(&mut open, Block::Range(steps, blocks));
    }
    Ok(Vec::new())
}

fn push(open: &mut [(Vec<Step>, Vec<Block>)], block: Block) {
    if let Some((_, blocks)) = open.last_mut() {
        blocks.push(block);
    }
}

fn syntax(message: impl Into<String>) -> PathError {
    PathError::Syntax(message.into())
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    /// Parses up to and with the closing brace.
    fn action(&mut self) -> Result<Action, PathError> {
        let (mut steps, mut keyword) = (Vec::new(), None);
        loop {
            if let Some(rest) = self.rest.strip_prefix('}') {
                self.rest = rest;
                return Ok(match keyword {
                    Some("range") => Action::Range(steps),
                    Some(_) => Action::End,
                    None => Action::Steps(steps),
                });
            }
            if let Some(word) = self.step(&mut steps)? {
                keyword = Some(word);
            }
        }
    }

    /// Parses the whole text as the steps of one action.
    fn nested(text: &str, depth: usize) -> Result<Vec<Step>, PathError> {
        if depth >= DEPTH_MAX {
            return Err(syntax("the path nests too deep"));
        }
        let closed = format!("{text}}}");
        let mut parser = Parser {
            rest: &closed,
            depth: depth + 1,
        };
        match parser.action()? {
            Action::Steps(steps) => Ok(steps),
            Action::Range(_) | Action::End => Err(syntax("a range cannot stand inside brackets")),
        }
    }

    /// Parses one step; gives back a keyword instead if one stands there.
    fn step(&mut self, steps: &mut Vec<Step>) -> Result<Option<&'static str>, PathError> {
        if let Some(rest) = self.rest.strip_prefix("[?(") {
            self.rest = rest;
            steps.push(self.filter()?);
            return Ok(None);
        }
        if let Some(rest) = self.rest.strip_prefix("..") {
            if steps.last() == Some(&Step::Recursive) {
                return Err(syntax("invalid multiple recursive descent"));
            }
            self.rest = rest;
            steps.push(Step::Recursive);
            if rest.starts_with(is_word) {
                steps.push(self.field());
            }
            return Ok(None);
        }
        let start = self.rest;
        match self.next() {
            None | Some('\r' | '\n') => return Err(syntax("unclosed action")),
            Some(' ' | '@' | '$') => {}
            Some('[') => self.brackets(steps)?,
            Some(quote @ ('"' | '\'')) => steps.push(self.quoted(quote)?),
            Some('.') => steps.push(self.field()),
            Some('+' | '-' | '0'..='9') => {
                self.rest = start;
                steps.push(self.number()?);
            }
            Some(character) if is_word(character) => {
                self.rest = start;
                return self.identifier(steps);
            }
            Some(character) => {
                let code = u32::from(character);
                return Err(syntax(format!(
                    "unrecognized character in action: U+{code:04X} '{character}'"
                )));
            }
        }
        Ok(None)
    }

    fn identifier(&mut self, steps: &mut Vec<Step>) -> Result<Option<&'static str>, PathError> {
        let (word, rest) = self
            .rest
            .split_at(self.rest.find(is_terminator).unwrap_or(self.rest.len()));
        self.rest = rest;
        match word {
            "true" | "false" => steps.push(Step::Text(Value::Bool(word == "true"))),
            "range" => return Ok(Some("range")),
            "end" => return Ok(Some("end")),
            _ => {
                return Err(PathError::Evaluation(format!(
                    "unrecognized identifier {word}"
                )));
            }
        }
        Ok(None)
    }

    /// Parses a field's name; a backslash takes the meaning from what follows.
    fn field(&mut self) -> Step {
        let mut name = String::new();
        while let Some(character) = self
            .rest
            .chars()
            .next()
            .filter(|character| !is_terminator(*character))
        {
            self.next();
            match character {
                '\\' => name.extend(self.next()),
                other => name.push(other),
            }
        }
        if name == "*" {
            Step::Wildcard
        } else {
            Step::Field(name)
        }
    }

    fn number(&mut self) -> Result<Step, PathError> {
        let signs = usize::from(self.rest.starts_with(['+', '-']));
        let digits = self.rest[signs..]
            .find(|character: char| character != '.' && !character.is_ascii_digit());
        let (text, rest) = self
            .rest
            .split_at(digits.map_or(self.rest.len(), |digits| digits + signs));
        self.rest = rest;
        if let Ok(whole) = text.parse::<i64>() {
            return Ok(Step::Text(whole.into()));
        }
        let float = text
            .parse::<f64>()
            .map_err(|_| syntax(format!("cannot parse number {text}")))?;
        Ok(Step::Text(float.into()))
    }

    fn quoted(&mut self, quote: char) -> Result<Step, PathError> {
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Err(syntax("unterminated quoted string")),
                Some('\\') => text.push(self.escaped(quote)?),
                Some(character) if character == quote => return Ok(Step::Text(text.into())),
                Some(character) => text.push(character),
            }
        }
    }

    fn escaped(&mut self, quote: char) -> Result<char, PathError> {
        let invalid = || syntax("unquote string error invalid syntax");
        Ok(
            match self
                .next()
                .ok_or_else(|| syntax("unterminated quoted string"))?
            {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'v' => '\u{b}',
                '\\' => '\\',
                'u' => {
                    let digits = self.rest.get(..4).ok_or_else(invalid)?;
                    let code = u32::from_str_radix(digits, 16).map_err(|_| invalid())?;
                    self.rest = &self.rest[4..];
                    char::from_u32(code).ok_or_else(invalid)?
                }
                character if character == quote => character,
                _ => return Err(invalid()),
            },
        )
    }

    /// Parses what follows an opening bracket: a union, a key, a slice.
    fn brackets(&mut self, steps: &mut Vec<Step>) -> Result<(), PathError> {
        let end = self
            .rest
            .find([']', '\n'])
            .filter(|end| self.rest[*end..].starts_with(']'));
        let end = end.ok_or_else(|| syntax("unterminated array"))?;
        let text = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        if text.contains(',') {
            let members = text.split(',').map(|member| {
                Parser::nested(&format!("[{}]", member.trim_matches(' ')), self.depth)
            });
            steps.push(Step::Union(members.collect::<Result<_, _>>()?));
            return Ok(());
        }
        let key = text
            .strip_prefix('\'')
            .and_then(|text| text.strip_suffix('\''))
            .filter(|key| !key.contains('\''));
        match key {
            Some(key) => steps.extend(Parser::nested(&format!(".{key}"), self.depth)?),
            None => steps.push(Step::Slice(slice(text)?)),
        }
        Ok(())
    }

    /// Parses what follows `[?(`.
    fn filter(&mut self) -> Result<Step, PathError> {
        let (mut open, mut closed, mut previous) = (None, false, ' ');
        let mut end = None;
        for (index, character) in self.rest.char_indices() {
            match character {
                '\n' => break,
                '"' | '\'' if open.is_none() => open = Some(character),
                '"' | '\'' if previous != '\\' && open == Some(character) => closed = true,
                ')' if open.is_some() == closed => {
                    end = Some(index);
                    break;
                }
                _ => {}
            }
            previous = character;
        }
        let end = end.ok_or_else(|| syntax("unterminated filter"))?;
        let text = &self.rest[..end];
        self.rest = self.rest[end + 1..]
            .strip_prefix(']')
            .ok_or_else(|| syntax("unclosed array expect ]"))?;
        let is_operator = |character: char| matches!(character, '!' | '<' | '>' | '=');
        let operator = text.find(is_operator).filter(|start| *start > 0);
        let Some(start) = operator else {
            return Ok(Step::Filter(Parser::nested(text, self.depth)?, None));
        };
        let length = text[start..]
            .find(|character| !is_operator(character))
            .unwrap_or(text.len() - start);
        let (left, operator, right) = (
            &text[..start],
            &text[start..start + length],
            &text[start + length..],
        );
        if right.is_empty() {
            return Ok(Step::Filter(Parser::nested(text, self.depth)?, None));
        }
        let comparison = match operator {
            "<" => Comparison::Less,
            ">" => Comparison::Greater,
            "==" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<=" => Comparison::LessEqual,
            ">=" => Comparison::GreaterEqual,
            unknown => {
                return Err(PathError::Evaluation(format!(
                    "unrecognized filter operator {unknown}"
                )));
            }
        };
        let (left, right) = (
            Parser::nested(left, self.depth)?,
            Parser::nested(right, self.depth)?,
        );
        Ok(Step::Filter(left, Some((comparison, right))))
    }
}

fn slice(text: &str) -> Result<Slice, PathError> {
    let text = if text == "*" { ":" } else { text };
    let invalid = || syntax(format!("invalid array index {text}"));
    let mut numbers = [None; 3];
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > numbers.len() {
        return Err(invalid());
    }
    for (number, part) in numbers.iter_mut().zip(&parts) {
        let digits = part.strip_prefix('-').unwrap_or(part);
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(invalid());
        }
        if !part.is_empty() {
            let parsed = part
                .parse()
                .map_err(|_| syntax(format!("array index {part} is not a number")))?;
            *number = Some(parsed);
        }
    }
    let [from, to, step] = numbers;
    Ok(Slice {
        from,
        to,
        step,
        single: parts.len() == 1,
    })
}

fn is_terminator(character: char) -> bool {
    matches!(
        character,
        ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}'
    )
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}
