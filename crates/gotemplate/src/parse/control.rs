//! Control structures: `if`, `range`, `with`, `template`, `block`, and what ends
//! them.

use super::{Parser, Result, Scope, Stop};
use crate::lex::{Item, ItemType};
use crate::tree::{Branch, List, Node};
use std::sync::Arc;

impl Parser<'_> {
    pub(super) fn loop_control(&mut self, shown: &str) -> Result<()> {
        let token = self.next_non_space();
        if token.typ != ItemType::RightDelim {
            return self.unexpected(&token, shown);
        }
        if self.scope.range_depth == 0 {
            return self.error(format!("{shown} outside {{{{range}}}}"));
        }
        Ok(())
    }

    pub(super) fn else_control(&mut self) -> Result<Stop> {
        let peek = self.peek_non_space();
        if matches!(peek.typ, ItemType::If | ItemType::With) {
            return Ok(Stop::Else { pos: peek.pos });
        }
        let token = self.expect(ItemType::RightDelim, "else")?;
        Ok(Stop::Else { pos: token.pos })
    }

    pub(super) fn control(&mut self, context: &str) -> Result<Box<Branch>> {
        let vars = self.scope.vars.len();
        let pipe = self.pipeline(context, ItemType::RightDelim)?;
        self.scope.range_depth += usize::from(context == "range");
        let (list, stop) = self.item_list()?;
        self.scope.range_depth -= usize::from(context == "range");
        let else_list = match stop {
            Stop::End => None,
            Stop::Else { pos } => Some(self.else_list(context, pos)?),
        };
        self.scope.vars.truncate(vars);
        Ok(Box::new(Branch {
            pos: pipe.pos,
            pipe,
            list,
            else_list,
        }))
    }

    fn else_list(&mut self, context: &str, pos: usize) -> Result<List> {
        let chained = match self.peek().typ {
            ItemType::If if context == "if" => true,
            ItemType::With if context == "with" => true,
            _ => false,
        };
        if !chained {
            let (list, stop) = self.item_list()?;
            if !matches!(stop, Stop::End) {
                return self.error(format!("expected end; found {}", stop.show()));
            }
            return Ok(list);
        }
        self.next();
        self.deeper()?;
        let branch = self.control(context)?;
        self.depth -= 1;
        let node = if context == "if" {
            Node::If(branch)
        } else {
            Node::With(branch)
        };
        Ok(List {
            pos,
            nodes: Box::new([node]),
        })
    }

    pub(super) fn block_control(&mut self) -> Result<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, ItemType::RightDelim)?;
        let outer = std::mem::replace(&mut self.scope, Scope::new());
        let (root, stop) = self.item_list()?;
        if !matches!(stop, Stop::End) {
            return self.error(format!("unexpected {} in {CONTEXT}", stop.show()));
        }
        self.add(name.clone(), root)?;
        self.scope = outer;
        Ok(Node::Template {
            pos: token.pos,
            name,
            pipe: Some(Box::new(pipe)),
        })
    }

    pub(super) fn template_control(&mut self) -> Result<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let mut pipe = None;
        if self.next_non_space().typ != ItemType::RightDelim {
            self.backup();
            pipe = Some(Box::new(self.pipeline(CONTEXT, ItemType::RightDelim)?));
        }
        Ok(Node::Template {
            pos: token.pos,
            name,
            pipe,
        })
    }

    fn template_name(&mut self, token: &Item, context: &str) -> Result<Arc<str>> {
        if !matches!(token.typ, ItemType::String | ItemType::RawString) {
            return self.unexpected(token, context);
        }
        Ok(String::from_utf8_lossy(&self.unquoted(token)?).into())
    }
}
