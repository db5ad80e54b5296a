//! The tokens under the parser's eyes: reading, pushing back, complaining.

use super::{ParseError, Parser, Result};
use crate::lex::{Item, ItemType};

impl<'a> Parser<'a> {
    pub(super) fn next(&mut self) -> Item<'a> {
        if self.peek_count > 0 {
            self.peek_count -= 1;
        } else {
            self.token[0] = self.lexer.next_item();
        }
        self.token[self.peek_count].clone()
    }

    pub(super) fn backup(&mut self) {
        self.peek_count += 1;
    }

    pub(super) fn backup2(&mut self, first: Item<'a>) {
        self.token[1] = first;
        self.peek_count = 2;
    }

    pub(super) fn backup3(&mut self, second: Item<'a>, first: Item<'a>) {
        self.token[1] = first;
        self.token[2] = second;
        self.peek_count = 3;
    }

    pub(super) fn peek(&mut self) -> &Item<'a> {
        if self.peek_count == 0 {
            self.peek_count = 1;
            self.token[0] = self.lexer.next_item();
        }
        &self.token[self.peek_count - 1]
    }

    pub(super) fn next_non_space(&mut self) -> Item<'a> {
        loop {
            let token = self.next();
            if token.typ != ItemType::Space {
                return token;
            }
        }
    }

    pub(super) fn peek_non_space(&mut self) -> Item<'a> {
        let token = self.next_non_space();
        self.backup();
        token
    }

    pub(super) fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(ParseError {
            name: self.source.name.to_string(),
            line: self.token[0].line,
            pos: self.token[0].pos,
            message: message.into(),
        })
    }

    pub(super) fn expect(&mut self, expected: ItemType, context: &str) -> Result<Item<'a>> {
        let token = self.next_non_space();
        if token.typ != expected {
            return self.unexpected(&token, context);
        }
        Ok(token)
    }

    pub(super) fn unexpected<T>(&self, token: &Item, context: &str) -> Result<T> {
        if token.typ != ItemType::Error {
            return self.error(format!("unexpected {} in {context}", token.show()));
        }
        let line = self.scope.action_line;
        let mut message = token.show();
        if line != 0 && line != token.line {
            if !message.ends_with(" action") {
                message.push_str(" in action");
            }
            message.push_str(&format!(" started at {}:{line}", self.source.name));
        }
        self.error(message)
    }
}
