//! Pipelines, commands, variables and constants.

use super::{Result, Slot, State, Variable};
use crate::tree::{Arg, ArgKind, Command, Number, Pipe, Show};
use crate::value::Value;
use std::sync::Arc;

impl<'t> State<'_, '_, 't> {
    pub(super) fn set_variable(&mut self, name: &str, slot: Slot) -> Result<()> {
        match self
            .vars
            .iter_mut()
            .rev()
            .find(|variable| &*variable.name == name)
        {
            Some(variable) => {
                variable.slot = slot;
                Ok(())
            }
            None => self.error(format!("undefined variable: {name}")),
        }
    }

    pub(super) fn variable(&self, name: &Arc<str>) -> Result<Slot> {
        let found = self
            .vars
            .iter()
            .rev()
            .find(|variable| Arc::ptr_eq(&variable.name, name) || variable.name == *name);
        match found {
            Some(variable) => Ok(variable.slot.clone()),
            None => self.error(format!("undefined variable: {name}")),
        }
    }

    pub(super) fn eval_pipeline(&mut self, dot: &Slot, pipe: &'t Pipe) -> Result<Value> {
        self.at(pipe.pos, pipe);
        let mut value: Option<Slot> = None;
        for command in &pipe.cmds {
            let slot = self.eval_command(dot, command, value)?;
            // An interface is replaced by what it holds.
            value = Some(Slot::concrete(slot.value));
        }
        let value = value.unwrap_or_default().value;
        for name in &pipe.decl {
            let slot = Slot::concrete(value.clone());
            if pipe.is_assign {
                self.set_variable(name, slot)?;
            } else {
                self.vars.push(Variable {
                    name: name.clone(),
                    slot,
                });
            }
        }
        Ok(value)
    }

    pub(super) fn not_a_function(&self, args: &[Arg], last: &Option<Slot>) -> Result<()> {
        if args.len() > 1 || last.is_some() {
            return self.error(format!(
                "can't give argument to non-function {}",
                args[0].shown()
            ));
        }
        Ok(())
    }

    pub(super) fn eval_command(
        &mut self,
        dot: &Slot,
        command: &'t Command,
        last: Option<Slot>,
    ) -> Result<Slot> {
        let first = &command.args[0];
        match &first.kind {
            ArgKind::Field(names) => {
                self.at(first.pos, first);
                return self.eval_field_chain(dot, dot.clone(), first, names, &command.args, last);
            }
            ArgKind::Chain(node, names) => {
                return self.eval_chain(dot, first, node, names, &command.args, last);
            }
            ArgKind::Identifier(_, id) => {
                self.at(first.pos, first);
                return self.eval_function(dot, *id, (command.pos, command), &command.args, last);
            }
            ArgKind::Pipe(pipe) => {
                self.not_a_function(&command.args, &last)?;
                return self.eval_pipeline(dot, pipe).map(Slot::concrete);
            }
            ArgKind::Variable(name, names) => {
                return self.eval_variable(dot, first, name, names, &command.args, last);
            }
            _ => {}
        }
        self.at(first.pos, first);
        self.not_a_function(&command.args, &last)?;
        match &first.kind {
            ArgKind::Bool(value) => Ok(Slot::concrete(Value::Bool(*value))),
            ArgKind::Dot => Ok(dot.clone()),
            ArgKind::Number(number) => self.ideal_constant(number).map(Slot::concrete),
            ArgKind::String(_, text) => Ok(Slot::concrete(Value::Str(text.clone()))),
            _ => self.error("nil is not a command"),
        }
    }

    pub(super) fn ideal_constant(&self, number: &Number) -> Result<Value> {
        let text = &*number.text;
        if number.complex {
            return self.error(format!("complex constant {text} is not supported"));
        }
        let hex = text.len() > 2
            && (text.starts_with("0x") || text.starts_with("0X"))
            && !text.contains(['p', 'P']);
        let floating = !hex && !text.starts_with('\'') && text.contains(['.', 'e', 'E', 'p', 'P']);
        match (number.float, number.int) {
            (Some(float), _) if floating => Ok(Value::Float(float)),
            (_, Some(int)) => Ok(Value::Int(int)),
            _ => self.error(format!("{text} overflows int")),
        }
    }
}
