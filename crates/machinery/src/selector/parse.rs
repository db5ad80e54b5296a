//! The grammar of label selectors in query texts.
//!
//! It follows `k8s.io/apimachinery/pkg/labels`: keywords count as plain words
//! where a value stands, sets may have empty members, and the first error
//! found is the one reported.

use super::label::{LabelError, LabelRequirement, Operator};
use super::names::label_key_errors;

const BINARY_OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

/// Parses a selector into its requirements, in the order written.
pub(super) fn parse(text: &str) -> Result<Vec<LabelRequirement>, LabelError> {
    let mut parser = Parser {
        tokens: scan(text),
        position: 0,
    };
    let mut requirements = Vec::new();
    loop {
        let token = parser.peek();
        match token.kind {
            Kind::End => return Ok(requirements),
            Kind::Word | Kind::Not => {}
            _ => return Err(unexpected(token, "!, identifier, or 'end of string'")),
        }
        let requirement = parser.requirement();
        requirements.push(requirement.map_err(|error| LabelError::Requirement(Box::new(error)))?);
        let token = parser.next();
        match token.kind {
            Kind::End => return Ok(requirements),
            Kind::Comma => {
                let token = parser.peek();
                if !matches!(token.kind, Kind::Word | Kind::Not) {
                    return Err(unexpected(token, "identifier after ','"));
                }
            }
            _ => return Err(unexpected(token, "',' or 'end of string'")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Error,
    End,
    Word,
    Open,
    Close,
    Comma,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    In,
    NotIn,
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    text: String,
}

fn unexpected(token: Token, expected: &'static str) -> LabelError {
    LabelError::Unexpected {
        found: token.text,
        expected,
    }
}

fn is_symbol(byte: char) -> bool {
    matches!(byte, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_blank(byte: char) -> bool {
    matches!(byte, ' ' | '\t' | '\r' | '\n')
}

fn symbol(text: &str) -> Option<Kind> {
    Some(match text {
        ")" => Kind::Close,
        "," => Kind::Comma,
        "!" => Kind::Not,
        "==" => Kind::DoubleEquals,
        "=" => Kind::Equals,
        ">" => Kind::Greater,
        "<" => Kind::Less,
        "!=" => Kind::NotEquals,
        "(" => Kind::Open,
        _ => return None,
    })
}

fn scan(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    // A zero byte ends the text, as upstream's scanner takes it.
    let mut rest = text.split('\0').next().unwrap_or_default();
    loop {
        rest = rest.trim_start_matches(is_blank);
        let Some(first) = rest.chars().next() else {
            tokens.push(Token {
                kind: Kind::End,
                text: String::new(),
            });
            return tokens;
        };
        let (token, remaining) = if is_symbol(first) {
            scan_symbol(rest)
        } else {
            scan_word(rest)
        };
        tokens.push(token);
        rest = remaining;
    }
}

fn scan_word(text: &str) -> (Token, &str) {
    let end = text
        .find(|byte| is_symbol(byte) || is_blank(byte))
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let kind = match word {
        "in" => Kind::In,
        "notin" => Kind::NotIn,
        _ => Kind::Word,
    };
    (
        Token {
            kind,
            text: word.to_owned(),
        },
        rest,
    )
}

/// Takes the longest run of symbol characters that is an operator.
fn scan_symbol(text: &str) -> (Token, &str) {
    let mut found = None;
    let run = text.find(|byte| !is_symbol(byte)).unwrap_or(text.len());
    for end in 1..=run {
        match symbol(&text[..end]) {
            Some(kind) => found = Some((kind, end)),
            None if found.is_some() => break,
            None => {}
        }
    }
    match found {
        Some((kind, end)) => (
            Token {
                kind,
                text: text[..end].to_owned(),
            },
            &text[end..],
        ),
        None => {
            let message = format!("error expected: keyword found '{}'", &text[..run]);
            (
                Token {
                    kind: Kind::Error,
                    text: message,
                },
                &text[run..],
            )
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
}

impl Parser {
    /// The token here, with keywords taken as operators.
    fn operator_token(&self) -> Token {
        let last = self.tokens.len() - 1;
        self.tokens[self.position.min(last)].clone()
    }

    /// The token here, with keywords taken as words.
    fn peek(&self) -> Token {
        let mut token = self.operator_token();
        if matches!(token.kind, Kind::In | Kind::NotIn) {
            token.kind = Kind::Word;
        }
        token
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn requirement(&mut self) -> Result<LabelRequirement, LabelError> {
        let mut token = self.next();
        let negated = token.kind == Kind::Not;
        if negated {
            token = self.next();
        }
        if token.kind != Kind::Word {
            return Err(unexpected(token, "identifier"));
        }
        let key = token.text;
        let errors = label_key_errors(&key);
        if !errors.is_empty() {
            return Err(LabelError::Invalid(format!(
                "<nil>: Invalid value: {key:?}: {}",
                errors.join("; ")
            )));
        }
        if negated {
            return LabelRequirement::new(&key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek().kind, Kind::End | Kind::Comma) {
            return LabelRequirement::new(&key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let mut values = match operator {
            Operator::In | Operator::NotIn => self.set()?,
            _ => vec![self.value()?],
        };
        values.sort_unstable();
        values.dedup();
        LabelRequirement::new(&key, operator, values)
    }

    fn operator(&mut self) -> Result<Operator, LabelError> {
        let token = self.operator_token();
        self.position += 1;
        Ok(match token.kind {
            Kind::In => Operator::In,
            Kind::NotIn => Operator::NotIn,
            Kind::Equals => Operator::Equals,
            Kind::DoubleEquals => Operator::DoubleEquals,
            Kind::NotEquals => Operator::NotEquals,
            Kind::Greater => Operator::GreaterThan,
            Kind::Less => Operator::LessThan,
            _ => return Err(unexpected(token, BINARY_OPERATORS)),
        })
    }

    fn value(&mut self) -> Result<String, LabelError> {
        if matches!(self.peek().kind, Kind::End | Kind::Comma) {
            return Ok(String::new());
        }
        let token = self.next();
        match token.kind {
            Kind::Word => Ok(token.text),
            _ => Err(unexpected(token, "identifier")),
        }
    }

    fn set(&mut self) -> Result<Vec<String>, LabelError> {
        let token = self.next();
        if token.kind != Kind::Open {
            return Err(LabelError::NoSet { found: token.text });
        }
        let token = self.peek();
        match token.kind {
            Kind::Close => {
                self.position += 1;
                Ok(vec![String::new()])
            }
            Kind::Word | Kind::Comma => {
                let members = self.members()?;
                self.position += 1;
                Ok(members)
            }
            _ => Err(unexpected(token, "',', ')' or identifier")),
        }
    }

    /// Members up to the closing parenthesis, which is left in place. A comma
    /// without a word on one side stands for an empty member.
    fn members(&mut self) -> Result<Vec<String>, LabelError> {
        let mut members = Vec::new();
        loop {
            let token = self.next();
            let following = self.peek();
            match token.kind {
                Kind::Word => {
                    members.push(token.text);
                    match following.kind {
                        Kind::Comma => {}
                        Kind::Close => return Ok(members),
                        _ => return Err(unexpected(following, "',' or ')'")),
                    }
                }
                Kind::Comma => {
                    if members.is_empty() || matches!(following.kind, Kind::Close | Kind::Comma) {
                        members.push(String::new());
                    }
                    if following.kind == Kind::Close {
                        return Ok(members);
                    }
                }
                _ => return Err(unexpected(token, "',', or identifier")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LabelSelector;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let printed = match LabelSelector::parse(text) {
            Ok(selector) => selector.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(printed, expected, "{text}");
    }

    #[test]
    fn texts() {
        check(
            "x in (foo,,baz),y,z notin ()",
            "x in (,baz,foo),y,z notin ()",
        );
        check(" a = b ", "a=b");
        check("a==b", "a==b");
        check("a!=b", "a!=b");
        check("b,a", "a,b");
        check("!a", "!a");
        check("a in (in,notin)", "a in (in,notin)");
        check("in in (a)", "in in (a)");
        check("a=", "a=");
        check("a=,b=", "a=,b=");
        check("a in (,)", "a in ()");
        check("a in (b,)", "a in (,b)");
        check("a in (,b)", "a in (,b)");
        check("n>5,n<9", "n>5,n<9");
        check("", "");
        check("   ", "");
        check("!a=b", "error: found '=', expected: ',' or 'end of string'");
    }

    #[test]
    fn errors() {
        check("a,", "error: found '', expected: identifier after ','");
        check(
            ",a",
            "error: found ',', expected: !, identifier, or 'end of string'",
        );
        check(
            "a b",
            "error: unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        );
        check(
            "a in b",
            "error: unable to parse requirement: found 'b' expected: '('",
        );
        check(
            "a in (b",
            "error: unable to parse requirement: found '', expected: ',' or ')'",
        );
        check(
            "a in (b c)",
            "error: unable to parse requirement: found 'c', expected: ',' or ')'",
        );
        check(
            "a=b=c",
            "error: found '=', expected: ',' or 'end of string'",
        );
        check(
            "a=(b)",
            "error: unable to parse requirement: found '(', expected: identifier",
        );
        check(
            "!",
            "error: unable to parse requirement: found '', expected: identifier",
        );
        check(
            "n>x",
            "error: unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
        );
        check(
            "a=b c/",
            "error: found 'c/', expected: ',' or 'end of string'",
        );
        check(
            "-a=b",
            "error: unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        );
        check(
            "a=-b",
            "error: unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        );
    }
}
