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
        let mut pipe = Pipe {
            pos: self.peek_non_space().pos,
            is_assign: false,
            decl: Vec::new(),
            cmds: Vec::with_capacity(1),
        };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_non_space();
            match token.typ {
                typ if typ == end => {
                    self.check_pipeline(&pipe, context)?;
                    return Ok(pipe);
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
                    pipe.cmds.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<()> {
        loop {
            let variable = self.peek_non_space();
            if variable.typ != ItemType::Variable {
                return Ok(());
            }
            self.next();
            // Space is a token, so telling `$x foo` from `$x := foo` takes
            // three tokens of look-ahead.
            let after = self.peek().clone();
            let next = self.peek_non_space();
            match next.typ {
                ItemType::Assign | ItemType::Declare => {
                    pipe.is_assign = next.typ == ItemType::Assign;
                    self.next_non_space();
                    self.declare(pipe, &variable);
                    return Ok(());
                }
                ItemType::Char if *next.val == *b"," => {
                    self.next_non_space();
                    self.declare(pipe, &variable);
                    if context != "range" || pipe.decl.len() >= 2 {
                        return self.error(format!("too many declarations in {context}"));
                    }
                    match self.peek_non_space().typ {
                        ItemType::Variable | ItemType::RightDelim | ItemType::RightParen => {}
                        _ => return self.error("range can only initialize variables"),
                    }
                }
                _ if after.typ == ItemType::Space => {
                    self.backup3(variable, after);
                    return Ok(());
                }
                _ => {
                    self.backup2(variable);
                    return Ok(());
                }
            }
        }
    }

    fn declare(&mut self, pipe: &mut Pipe, variable: &Item) {
        let name: Arc<str> = variable.text().into();
        self.scope.vars.push(name.clone());
        // A declared name cannot hold fields; Go keeps the first part only.
        let first = name.split('.').next().unwrap_or_default();
        pipe.decl.push(first.into());
    }

    fn check_pipeline(&mut self, pipe: &Pipe, context: &str) -> Result<()> {
        if pipe.cmds.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (at, command) in pipe.cmds.iter().enumerate().skip(1) {
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
        let mut command = Command {
            pos: self.peek_non_space().pos,
            args: Vec::with_capacity(1),
        };
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                command.args.push(operand);
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
        if command.args.is_empty() {
            return self.error("empty command");
        }
        Ok(command)
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
            ArgKind::Field(mut fields) => {
                fields.extend(names);
                ArgKind::Field(fields)
            }
            ArgKind::Variable(name, mut fields) => {
                fields.extend(names);
                ArgKind::Variable(name, fields)
            }
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
                names,
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
            ItemType::Field => ArgKind::Field(vec![self.field(&token)]),
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
                ArgKind::String(self.part(&token), text.into())
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
