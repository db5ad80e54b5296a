//! Nodes: text, actions, conditions, loops, templates within templates.

use super::{Flow, Result, Slot, State};
use crate::error::Detail;
use crate::fmt::write_value;
use crate::tree::{Branch, List, Node, Pipe};
use crate::value::{Elem, Value};

impl<'t> State<'_, '_, 't> {
    pub(super) fn walk_list(&mut self, dot: &Slot, list: &'t List) -> Result<Flow> {
        for node in &list.nodes {
            match self.walk(dot, node)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    pub(super) fn walk(&mut self, dot: &Slot, node: &'t Node) -> Result<Flow> {
        self.burn()?;
        match node {
            Node::Text { pos, text } => {
                self.at(*pos, node);
                self.write(text)?;
            }
            Node::Action { pos, pipe } => {
                self.at(*pos, node);
                let value = self.eval_pipeline(dot, pipe)?;
                if pipe.decl.is_empty() {
                    self.at(*pos, node);
                    self.print_value(&value)?;
                }
            }
            Node::Break(_) => return Ok(Flow::Break),
            Node::Continue(_) => return Ok(Flow::Continue),
            Node::If(branch) => {
                self.at(branch.pos, node);
                return self.walk_if_or_with(dot, branch, false);
            }
            Node::With(branch) => {
                self.at(branch.pos, node);
                return self.walk_if_or_with(dot, branch, true);
            }
            Node::Range(branch) => {
                self.at(branch.pos, node);
                return self.walk_range(dot, branch);
            }
            Node::Template { pos, name, pipe } => {
                self.at(*pos, node);
                self.walk_template(dot, name, pipe.as_deref())?;
            }
        }
        Ok(Flow::Next)
    }

    pub(super) fn walk_if_or_with(
        &mut self,
        dot: &Slot,
        branch: &'t Branch,
        with: bool,
    ) -> Result<Flow> {
        let mark = self.vars.len();
        let value = self.eval_pipeline(dot, &branch.pipe)?;
        let flow = if value.truth() {
            if with {
                self.walk_list(&Slot::concrete(value), &branch.list)
            } else {
                self.walk_list(dot, &branch.list)
            }
        } else if let Some(list) = &branch.else_list {
            self.walk_list(dot, list)
        } else {
            Ok(Flow::Next)
        };
        self.vars.truncate(mark);
        flow
    }

    pub(super) fn walk_range(&mut self, dot: &Slot, branch: &'t Branch) -> Result<Flow> {
        let mark = self.vars.len();
        let value = self.eval_pipeline(dot, &branch.pipe)?;
        let flow = self.range_over(dot, branch, value);
        self.vars.truncate(mark);
        flow
    }

    pub(super) fn range_over(
        &mut self,
        dot: &Slot,
        branch: &'t Branch,
        value: Value,
    ) -> Result<Flow> {
        let mut ran = false;
        match &value {
            Value::Int(_) | Value::Int64(_) | Value::Uint64(_) | Value::Uint8(_) => {
                if branch.pipe.decl.len() > 1 {
                    let text = crate::fmt::value_text(&value);
                    return self.error(format!(
                        "can't use {} to iterate over more than one variable",
                        String::from_utf8_lossy(&text)
                    ));
                }
                let count = crate::funcs::cast::to_int64(&value);
                for at in 0..count.max(0) {
                    ran = true;
                    let element = Slot::concrete(same_integer(&value, at));
                    if self.iteration(branch, Slot::default(), element)? {
                        break;
                    }
                }
            }
            Value::List(list) => {
                let items = list.borrow().clone();
                let iface = list.ty.elem == Elem::Any;
                for (at, item) in items.into_iter().enumerate() {
                    ran = true;
                    let index = Slot::concrete(Value::Int(at as i64));
                    if self.iteration(branch, index, Slot { value: item, iface })? {
                        break;
                    }
                }
            }
            Value::Bytes(bytes) => {
                for (at, byte) in bytes.iter().enumerate() {
                    ran = true;
                    let index = Slot::concrete(Value::Int(at as i64));
                    let element = Slot::concrete(Value::Uint8(*byte));
                    if self.iteration(branch, index, element)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                let entries = map.borrow().clone();
                let iface = map.ty.elem == Elem::Any;
                for (key, value) in entries {
                    ran = true;
                    let index = Slot::concrete(Value::Str(key));
                    if self.iteration(branch, index, Slot { value, iface })? {
                        break;
                    }
                }
            }
            Value::Nil => {}
            _ => {
                let text = crate::fmt::value_text(&value);
                let text = String::from_utf8_lossy(&text).into_owned();
                return self.error(format!("range can't iterate over {text}"));
            }
        }
        match &branch.else_list {
            Some(list) if !ran => self.walk_list(dot, list),
            _ => Ok(Flow::Next),
        }
    }

    /// Runs the body once; true when the loop is to stop.
    pub(super) fn iteration(
        &mut self,
        branch: &'t Branch,
        index: Slot,
        element: Slot,
    ) -> Result<bool> {
        self.burn()?;
        let pipe = &branch.pipe;
        let mark = self.vars.len();
        match (&*pipe.decl, pipe.is_assign) {
            ([], _) => {}
            ([one], true) => self.set_variable(one, element.clone())?,
            ([first, second, ..], true) => {
                self.set_variable(first, index)?;
                self.set_variable(second, element.clone())?;
            }
            ([_], false) => self.vars[mark - 1].slot = element.clone(),
            ([_, _, ..], false) => {
                self.vars[mark - 1].slot = element.clone();
                self.vars[mark - 2].slot = index;
            }
        }
        let flow = self.walk_list(&element, &branch.list)?;
        self.vars.truncate(mark);
        Ok(matches!(flow, Flow::Break))
    }

    pub(super) fn walk_template(
        &mut self,
        dot: &Slot,
        name: &str,
        pipe: Option<&'t Pipe>,
    ) -> Result<()> {
        let Some(tree) = self.exec.set.lookup(name) else {
            let quoted = crate::strconv::quote(name.as_bytes(), false);
            let message = format!("template {} not defined", String::from_utf8_lossy(&quoted));
            let near = self.exec.set.near(name);
            let name = name.to_owned();
            return self.error_with(message, Some(Detail::NoTemplate { name, near }));
        };
        let dot = match pipe {
            Some(pipe) => Slot::concrete(self.eval_pipeline(dot, pipe)?),
            None => Slot::default(),
        };
        State::new(self.exec, &tree, dot.clone()).run(&dot)
    }

    pub(super) fn print_value(&mut self, value: &Value) -> Result<()> {
        let text = match value {
            Value::Str(text) => return self.write(text),
            Value::Nil => b"<no value>".to_vec(),
            Value::Struct(object) => match object.ty.display {
                Some(display) => display(object).into_bytes(),
                None => {
                    let text = crate::fmt::value_text(value);
                    text.strip_prefix(b"&").map(<[u8]>::to_vec).unwrap_or(text)
                }
            },
            other => {
                let mut text = Vec::new();
                write_value(&mut text, other);
                text
            }
        };
        self.write(&text)
    }
}

pub(super) fn same_integer(like: &Value, number: i64) -> Value {
    match like {
        Value::Int64(_) => Value::Int64(number),
        Value::Uint64(_) => Value::Uint64(number as u64),
        Value::Uint8(_) => Value::Uint8(number as u8),
        _ => Value::Int(number),
    }
}
