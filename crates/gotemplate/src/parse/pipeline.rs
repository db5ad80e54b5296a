//! What stands between the braces: pipelines, commands, operands.

use super::{Parser, Result, shown_name};
use crate::lex::{Item, ItemType};
use crate::strconv::quote;
use crate::tree::{Arg, ArgKind, Command, Pipe, Show};
use crate::value::Str;
use std::borrow::Cow;
use std::sync::Arc;

impl<'a> Parser<'a> {
    pub(super) fn pipeline(&mut self, context: &str, end: ItemType) -> Result<Pipe> {
        let pos = self.peek_non_space().pos;
        let (decl, is_assign) = self.declarations(context)?;
        let outer = self.commands.len();
        loop {
            let token = self.next_non_space();
            match token.typ {
                typ if typ == end => {
                    self.check_pipeline(outer, context)?;
                    return Ok(Pipe {
                        pos,
                        is_assign,
                        decl: decl.into(),
                        cmds: self.commands.drain(outer..).collect(),
                    });
                }
                ItemType::Bool
                | ItemType::CharConstant
                | ItemType::Complex
                | ItemType::Dot
                | ItemType::Field
                | ItemType::Identifier
                | ItemType::Number
                | ItemType::Nil
                | ItemType::RawString
                | ItemType::String
                | ItemType::Variable
                | ItemType::LeftParen => {
                    self.backup();
                    let command = self.command()?;
                    self.commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    /// The variables that a pipeline sets, and whether they were there before.
    fn declarations(&mut self, context: &str) -> Result<(Vec<Arc<str>>, bool)> {
        let mut decl = Vec::new();
        loop {
            let variable = self.peek_non_space();
            if variable.typ != ItemType::Variable {
                return Ok((decl, false));
            }
            self.next();
            // Space is a token, so telling `$x foo` from `$x := foo` takes
            // three tokens of look-ahead.
            let after = self.peek().clone();
            let next = self.peek_non_space();
            match next.typ {
                ItemType::Assign | ItemType::Declare => {
                    self.next_non_space();
                    self.declare(&mut decl, &variable);
                    return Ok((decl, next.typ == ItemType::Assign));
                }
                ItemType::Char if *next.val == *b"," => {
                    self.next_non_space();
                    self.declare(&mut decl, &variable);
                    if context != "range" || decl.len() >= 2 {
                        return self.error(format!("too many declarations in {context}"));
                    }
                    match self.peek_non_space().typ {
                        ItemType::Variable | ItemType::RightDelim | ItemType::RightParen => {}
                        _ => return self.error("range can only initialize variables"),
                    }
                }
                _ if after.typ == ItemType::Space => {
                    self.backup3(variable, after);
                    return Ok((decl, false));
                }
                _ => {
                    self.backup2(variable);
                    return Ok((decl, false));
                }
            }
        }
    }

    fn declare(&mut self, decl: &mut Vec<Arc<str>>, variable: &Item) {
        let name: Arc<str> = variable.text().into();
        self.scope.vars.push(name.clone());
        // A declared name cannot hold fields; Go keeps the first part only.
        let first = name.split('.').next().unwrap_or_default();
        decl.push(first.into());
    }

    /// Checks the commands from `start` on.
    fn check_pipeline(&mut self, start: usize, context: &str) -> Result<()> {
        let commands = &self.commands[start..];
        if commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (at, command) in commands.iter().enumerate().skip(1) {
            if matches!(
                command.args[0].kind,
                ArgKind::Bool(_)
                    | ArgKind::Dot
                    | ArgKind::Nil
                    | ArgKind::Number(_)
                    | ArgKind::String(..)
            ) {
                let stage = at + 1;
                return self.error(format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command> {
        let pos = self.peek_non_space().pos;
        let outer = self.args.len();
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                self.args.push(operand);
            }
            let token = self.next();
            match token.typ {
                ItemType::Space => continue,
                ItemType::RightDelim | ItemType::RightParen => self.backup(),
                ItemType::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if self.args.len() == outer {
            return self.error("empty command");
        }
        Ok(Command {
            pos,
            args: self.args.drain(outer..).collect(),
        })
    }

    fn operand(&mut self) -> Result<Option<Arg>> {
        let Some(node) = self.term()? else {
            return Ok(None);
        };
        if self.peek().typ != ItemType::Field {
            return Ok(Some(node));
        }
        let pos = self.peek().pos;
        let mut names = Vec::new();
        while self.peek().typ == ItemType::Field {
            let token = self.next();
            names.push(self.field(&token));
        }
        let kind = match node.kind {
            ArgKind::Field(fields) => ArgKind::Field(joined(fields, names)),
            ArgKind::Variable(name, fields) => ArgKind::Variable(name, joined(fields, names)),
            ArgKind::Bool(_)
            | ArgKind::String(..)
            | ArgKind::Number(_)
            | ArgKind::Nil
            | ArgKind::Dot => {
                let term = quote(node.shown().as_bytes(), false);
                let term = String::from_utf8_lossy(&term).into_owned();
                return self.error(format!("unexpected . after term {term}"));
            }
            kind => ArgKind::Chain(
                Box::new(Arg {
                    pos: node.pos,
                    kind,
                }),
                names.into(),
            ),
        };
        Ok(Some(Arg { pos, kind }))
    }

    fn term(&mut self) -> Result<Option<Arg>> {
        let token = self.next_non_space();
        let kind = match token.typ {
            ItemType::Identifier => {
                let found = std::str::from_utf8(&token.val).ok();
                match found.and_then(|name| self.functions.find(name)) {
                    Some((name, id)) => ArgKind::Identifier(name, id),
                    None => {
                        let name = shown_name(&token.text());
                        return self.error(format!("function {name} not defined"));
                    }
                }
            }
            ItemType::Dot => ArgKind::Dot,
            ItemType::Nil => ArgKind::Nil,
            ItemType::Variable => self.use_variable(&token)?,
            ItemType::Field => ArgKind::Field(Box::new([self.field(&token)])),
            ItemType::Bool => ArgKind::Bool(*token.val == *b"true"),
            ItemType::CharConstant | ItemType::Complex | ItemType::Number => {
                ArgKind::Number(Box::new(self.number(&token)?))
            }
            ItemType::LeftParen => {
                self.deeper()?;
                let pipe = self.pipeline("parenthesized pipeline", ItemType::RightParen)?;
                self.depth -= 1;
                return Ok(Some(Arg {
                    pos: pipe.pos,
                    kind: ArgKind::Pipe(Box::new(pipe)),
                }));
            }
            ItemType::String | ItemType::RawString => {
                let text = self.unquoted(&token)?;
                ArgKind::String(self.part(&token), Str::from(&*text))
            }
            _ => {
                self.backup();
                return Ok(None);
            }
        };
        Ok(Some(Arg {
            pos: token.pos,
            kind,
        }))
    }

    /// The name that follows the dot of a field.
    fn field(&mut self, token: &Item<'a>) -> Str {
        match token.val {
            Cow::Borrowed(val) => self.name(&val[1..]),
            Cow::Owned(ref val) => Str::from(&val[1..]),
        }
    }

    fn name(&mut self, name: &'a [u8]) -> Str {
        self.names
            .entry(name)
            .or_insert_with(|| name.into())
            .clone()
    }

    fn use_variable(&mut self, token: &Item<'a>) -> Result<ArgKind> {
        let Cow::Borrowed(val) = token.val else {
            return self.unexpected(token, "operand");
        };
        let mut parts = val.split(|byte| *byte == b'.');
        let name = parts.next().unwrap_or_default();
        let known = self
            .scope
            .vars
            .iter()
            .find(|known| known.as_bytes() == name)
            .cloned();
        let Some(known) = known else {
            let name = shown_name(&String::from_utf8_lossy(name));
            return self.error(format!("undefined variable {name}"));
        };
        let fields = parts.map(|part| self.name(part)).collect();
        Ok(ArgKind::Variable(known, fields))
    }
}

fn joined(fields: Box<[Str]>, more: Vec<Str>) -> Box<[Str]> {
    fields.into_iter().chain(more).collect()
}
