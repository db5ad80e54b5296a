//! Fields and methods of values.

use super::call::Signature;
use super::{Result, Slot, State, zero};
use crate::error::{Detail, Error};
use crate::tree::{Arg, ArgKind, Show};
use crate::value::{Elem, Method, Str, Value};
use std::sync::Arc;

impl<'t> State<'_, '_, 't> {
    pub(super) fn eval_chain(
        &mut self,
        dot: &Slot,
        whole: &'t Arg,
        node: &'t Arg,
        names: &'t [Str],
        args: &'t [Arg],
        last: Option<Slot>,
    ) -> Result<Slot> {
        self.at(whole.pos, whole);
        if matches!(node.kind, ArgKind::Nil) {
            return self.error(format!(
                "indirection through explicit nil in {}",
                whole.shown()
            ));
        }
        let receiver = self.eval_arg(dot, None, node)?;
        self.eval_field_chain(dot, receiver, whole, names, args, last)
    }

    pub(super) fn eval_variable(
        &mut self,
        dot: &Slot,
        whole: &'t Arg,
        name: &'t Arc<str>,
        names: &'t [Str],
        args: &'t [Arg],
        last: Option<Slot>,
    ) -> Result<Slot> {
        self.at(whole.pos, whole);
        let slot = self.variable(name)?;
        if names.is_empty() {
            if !args.is_empty() {
                self.not_a_function(args, &last)?;
            } else if last.is_some() {
                return self.error("can't give argument to non-function");
            }
            return Ok(slot);
        }
        self.eval_field_chain(dot, slot, whole, names, args, last)
    }

    pub(super) fn eval_field_chain(
        &mut self,
        dot: &Slot,
        mut receiver: Slot,
        whole: &'t Arg,
        names: &'t [Str],
        args: &'t [Arg],
        last: Option<Slot>,
    ) -> Result<Slot> {
        let (final_name, before) = names.split_last().expect("a chain has a field");
        for (at, name) in before.iter().enumerate() {
            receiver = self.eval_field(dot, receiver, whole, (name, at), &[], None)?;
        }
        let named = (final_name, before.len());
        self.eval_field(dot, receiver, whole, named, args, last)
    }

    pub(super) fn eval_field(
        &mut self,
        dot: &Slot,
        receiver: Slot,
        whole: &'t Arg,
        (name, at): (&'t Str, usize),
        args: &'t [Arg],
        last: Option<Slot>,
    ) -> Result<Slot> {
        if receiver.value.is_nil() {
            if !receiver.iface {
                return Ok(Slot::default());
            }
            let message = format!("nil pointer evaluating interface {{}}.{}", name.to_text());
            let detail = Detail::NilPointer {
                missing: segments(whole, at),
                field: name.to_text().into_owned(),
            };
            return self.error_with(message, Some(detail));
        }
        if let Value::Map(map) = &receiver.value
            && map.ty.named.is_none()
        {
            let iface = map.ty.elem == Elem::Any;
            let found = map.borrow().get(name.as_bytes()).cloned();
            return self.map_entry(found, map.ty.elem, iface, name, args, &last);
        }
        self.eval_rare_field(dot, receiver, whole, (name, at), args, last)
    }

    pub(super) fn map_entry(
        &self,
        found: Option<Value>,
        elem: Elem,
        iface: bool,
        name: &Str,
        args: &[Arg],
        last: &Option<Slot>,
    ) -> Result<Slot> {
        if args.len() > 1 || last.is_some() {
            return self.error(format!(
                "{} is not a method but has arguments",
                name.to_text()
            ));
        }
        let value = found.unwrap_or_else(|| zero(elem));
        Ok(Slot { value, iface })
    }

    /// Methods, named maps and structs.
    pub(super) fn eval_rare_field(
        &mut self,
        dot: &Slot,
        receiver: Slot,
        whole: &'t Arg,
        (name, at): (&'t Str, usize),
        args: &'t [Arg],
        last: Option<Slot>,
    ) -> Result<Slot> {
        let methods = receiver.value.methods();
        let method = methods
            .iter()
            .find(|method| method.name.as_bytes() == name.as_bytes());
        if let Some(method) = method {
            return self.eval_method(dot, receiver.value, method, whole, args, last);
        }
        match &receiver.value {
            Value::Map(map) => {
                let found = map.get(name);
                return self.map_entry(
                    found,
                    map.ty.elem,
                    map.ty.elem == Elem::Any,
                    name,
                    args,
                    &last,
                );
            }
            Value::Struct(object) => {
                let text = name.to_text();
                let exported = text.starts_with(|c: char| c.is_uppercase());
                if let Some(field) = object.field(&text).filter(|_| exported) {
                    if args.len() > 1 || last.is_some() {
                        return self.error(format!(
                            "{text} has arguments but cannot be invoked as function"
                        ));
                    }
                    return Ok(Slot::concrete(field.clone()));
                }
            }
            _ => {}
        }
        let text = name.to_text();
        let type_name = receiver.type_name();
        let message = format!("can't evaluate field {text} in type {type_name}");
        let detail = Detail::NoField {
            holder: segments(whole, at),
            field: text.into_owned(),
            value: excerpt(&receiver.value),
            type_name: receiver.value.type_name(),
        };
        self.error_with(message, Some(detail))
    }

    pub(super) fn eval_method(
        &mut self,
        dot: &Slot,
        receiver: Value,
        method: &'static Method,
        whole: &'t Arg,
        args: &'t [Arg],
        last: Option<Slot>,
    ) -> Result<Slot> {
        let args = args.get(1..).unwrap_or_default();
        let signature = Signature {
            name: method.name,
            params: method.params,
            variadic: false,
        };
        let argv = self.eval_args(dot, &signature, args, last)?;
        match (method.call)(&receiver, &argv) {
            Ok(value) => Ok(Slot::concrete(value)),
            Err(message) => {
                self.at(whole.pos, whole);
                Err(self.call_error(method.name, Error::message(message)))
            }
        }
    }
}

/// The expression as segments up to the field before number `at`.
pub(super) fn segments(whole: &Arg, at: usize) -> Vec<String> {
    let (root, names) = match &whole.kind {
        ArgKind::Field(names) => (".".to_owned(), names),
        ArgKind::Variable(name, names) => (name.to_string(), names),
        ArgKind::Chain(node, names) => (format!("({})", node.shown()), names),
        _ => return vec![whole.shown()],
    };
    let names = names
        .iter()
        .take(at)
        .map(|name| name.to_text().into_owned());
    std::iter::once(root).chain(names).collect()
}

/// A short text of a value for messages.
pub(super) fn excerpt(value: &Value) -> String {
    let text = crate::fmt::value_text(value);
    let text = String::from_utf8_lossy(&text);
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
