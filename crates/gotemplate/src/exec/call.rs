//! Calls of functions, and how arguments become what they ask for.

use super::field::excerpt;
use super::{Result, Slot, State};
use crate::error::{Detail, Error};
use crate::funcs::{Builtin, Func, FuncId};
use crate::tree::{Arg, ArgKind, Show};
use crate::value::{Elem, MAP_ANY, Type, Value};

impl<'t> State<'_, '_, 't> {
    pub(super) fn call_error(&self, name: &str, cause: Error) -> Box<Error> {
        let message = format!("error calling {name}: {}", cause.text);
        self.make_error(message, Some(Box::new(cause)), None)
    }

    pub(super) fn eval_function(
        &mut self,
        dot: &Slot,
        id: FuncId,
        node: (usize, &'t dyn Show),
        args: &'t [Arg],
        last: Option<Slot>,
    ) -> Result<Slot> {
        self.burn()?;
        let functions = self.exec.functions;
        let func: &Func = functions.get(id);
        let args = args.get(1..).unwrap_or_default();
        let signature = Signature {
            name: func.name,
            params: func.params,
            variadic: func.variadic,
        };
        if let Some(builtin @ (Builtin::And | Builtin::Or)) = func.builtin {
            self.check_count(&signature, args.len(), last.is_some())?;
            return self.eval_logic(dot, builtin, args, last);
        }
        let argv = self.eval_args(dot, &signature, args, last)?;
        match (func.call)(self.exec, &argv) {
            Ok(value) => Ok(Slot::concrete(value)),
            Err(mut cause) => {
                if func.builtin == Some(Builtin::Call) {
                    // Go names the callee by its expression.
                    let callee = args.first().map(Show::shown).unwrap_or_default();
                    cause.text = cause.text.replacen("CALLEE", &callee, 1);
                }
                self.at(node.0, node.1);
                Err(self.call_error(func.name, cause))
            }
        }
    }

    /// `and` and `or` stop at the argument that decides.
    pub(super) fn eval_logic(
        &mut self,
        dot: &Slot,
        builtin: Builtin,
        args: &'t [Arg],
        last: Option<Slot>,
    ) -> Result<Slot> {
        let mut value = Slot::default();
        for arg in args {
            value = self.eval_arg(dot, Some(Type::Reflect), arg)?;
            if value.value.truth() == (builtin == Builtin::Or) {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    pub(super) fn check_count(
        &self,
        signature: &Signature,
        given: usize,
        piped: bool,
    ) -> Result<()> {
        let name = signature.name;
        let total = given + usize::from(piped);
        let wanted = signature.params.len();
        if signature.variadic {
            let least = wanted - 1;
            if total < least {
                return self.error(format!(
                    "wrong number of args for {name}: want at least {least} got {given}"
                ));
            }
        } else if total != wanted {
            return self.error(format!(
                "wrong number of args for {name}: want {wanted} got {total}"
            ));
        }
        Ok(())
    }

    pub(super) fn eval_args(
        &mut self,
        dot: &Slot,
        signature: &Signature,
        args: &'t [Arg],
        last: Option<Slot>,
    ) -> Result<Vec<Value>> {
        self.check_count(signature, args.len(), last.is_some())?;
        let mut argv = Vec::with_capacity(args.len() + 1);
        for (at, arg) in args.iter().enumerate() {
            let slot = self.eval_arg(dot, Some(signature.param(at)), arg)?;
            argv.push(slot.value);
        }
        if let Some(last) = last {
            let typ = signature.param(args.len());
            argv.push(self.validate_type(last, Some(typ))?.value);
        }
        Ok(argv)
    }

    pub(super) fn eval_arg(&mut self, dot: &Slot, typ: Option<Type>, arg: &'t Arg) -> Result<Slot> {
        self.at(arg.pos, arg);
        let slot = match &arg.kind {
            ArgKind::Dot => dot.clone(),
            ArgKind::Nil => return self.nil_arg(typ),
            ArgKind::Field(names) => {
                self.eval_field_chain(dot, dot.clone(), arg, names, &[], None)?
            }
            ArgKind::Variable(name, names) => {
                self.eval_variable(dot, arg, name, names, &[], None)?
            }
            ArgKind::Pipe(pipe) => Slot::concrete(self.eval_pipeline(dot, pipe)?),
            ArgKind::Identifier(_, id) => {
                self.eval_function(dot, *id, (arg.pos, arg), &[], None)?
            }
            ArgKind::Chain(node, names) => self.eval_chain(dot, arg, node, names, &[], None)?,
            ArgKind::Bool(_) | ArgKind::Number(_) | ArgKind::String(..) => {
                return self.constant_arg(typ, arg).map(Slot::concrete);
            }
        };
        self.validate_type(slot, typ)
    }

    pub(super) fn nil_arg(&self, typ: Option<Type>) -> Result<Slot> {
        match typ {
            Some(typ) if !typ.can_be_nil() => {
                self.error(format!("cannot assign nil to {}", typ.name()))
            }
            Some(Type::Reflect) => Ok(Slot::default()),
            _ => Ok(Slot {
                value: Value::Nil,
                iface: true,
            }),
        }
    }

    pub(super) fn constant_arg(&self, typ: Option<Type>, arg: &Arg) -> Result<Value> {
        let typ = typ.unwrap_or(Type::Any);
        let fitting = match (typ, &arg.kind) {
            (Type::Any | Type::Reflect | Type::Bool, ArgKind::Bool(value)) => {
                Some(Value::Bool(*value))
            }
            (Type::Any | Type::Reflect | Type::String, ArgKind::String(_, text)) => {
                Some(Value::Str(text.clone()))
            }
            (Type::Any | Type::Reflect, ArgKind::Number(number)) => {
                return self.ideal_constant(number);
            }
            (Type::Int, ArgKind::Number(number)) => number.int.map(Value::Int),
            (Type::Int64, ArgKind::Number(number)) => number.int.map(Value::Int64),
            (Type::Float, ArgKind::Number(number)) => number.float.map(Value::Float),
            (Type::Uint32, ArgKind::Number(number)) => number
                .uint
                .map(|number| Value::Uint64(u64::from(number as u32))),
            _ => None,
        };
        match fitting {
            Some(value) => Ok(value),
            None => self.unfit_constant(typ, arg),
        }
    }

    fn unfit_constant(&self, typ: Type, arg: &Arg) -> Result<Value> {
        let shown = arg.shown();
        let wanted = match typ {
            Type::Bool => "bool",
            Type::String => "string",
            Type::Int | Type::Int64 => "integer",
            Type::Uint32 => "unsigned integer",
            Type::Float => "float",
            other => {
                return self.error(format!(
                    "can't handle {shown} for arg of type {}",
                    other.name()
                ));
            }
        };
        self.error(format!("expected {wanted}; found {shown}"))
    }

    pub(super) fn validate_type(&self, slot: Slot, typ: Option<Type>) -> Result<Slot> {
        let Some(typ) = typ else {
            return Ok(slot);
        };
        let fits = match (&slot.value, typ) {
            (_, Type::Any | Type::Reflect) => return Ok(slot),
            (Value::Nil, _) if !slot.iface => {
                if typ.can_be_nil() {
                    return Ok(slot);
                }
                return self.error_with(
                    format!("invalid value; expected {}", typ.name()),
                    Some(Detail::WrongType {
                        expected: typ.name(),
                        got: "nil".into(),
                        value: String::new(),
                    }),
                );
            }
            (Value::Str(_), Type::String)
            | (Value::Int(_), Type::Int)
            | (Value::Int64(_), Type::Int64)
            | (Value::Float(_), Type::Float)
            | (Value::Bool(_), Type::Bool)
            | (Value::Time(_), Type::Time) => true,
            (Value::Map(map), Type::Map) if map.ty.elem == Elem::Any => {
                return Ok(Slot::concrete(Value::Map(map.with_type(MAP_ANY))));
            }
            (Value::Struct(object), Type::Certificate) => object.ty.name == typ.name(),
            _ => false,
        };
        if fits {
            return Ok(Slot::concrete(slot.value));
        }
        let got = if slot.value.is_nil() {
            "interface {}".into()
        } else {
            slot.value.type_name()
        };
        let message = format!("wrong type for value; expected {}; got {got}", typ.name());
        let detail = Detail::WrongType {
            expected: typ.name(),
            got,
            value: excerpt(&slot.value),
        };
        self.error_with(message, Some(detail))
    }
}

/// What a function or method asks for.
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) params: &'static [Type],
    pub(super) variadic: bool,
}

impl Signature {
    pub(super) fn param(&self, at: usize) -> Type {
        let last = self.params.len().saturating_sub(1);
        self.params.get(at.min(last)).copied().unwrap_or(Type::Any)
    }
}
