//! The executor, after Go's `text/template/exec.go`.
//!
//! Main type: [`Executor`]. It holds what all templates of one rendering
//! share: the set of templates, the functions, the host, the limits.
//! A `State` is the execution of one template; its method names are Go's.

use crate::error::{Detail, Error, Frame};
use crate::fmt::write_value;
use crate::funcs::{Builtin, Func, FuncId, Functions};
use crate::host::Host;
use crate::set::Set;
use crate::trace::Trace;
use crate::tree::{Arg, ArgKind, Branch, Command, List, Node, Number, Pipe, Show, Tree};
use crate::value::{Elem, MAP_ANY, Method, Str, Type, Value};
use std::collections::HashMap;
use std::rc::Rc;

/// Result with the error boxed: it is large and rare.
pub type Result<T> = std::result::Result<T, Box<Error>>;

/// Bounds on what a rendering may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many nodes may be visited.
    pub fuel: u64,
    /// How many templates may be under execution at once.
    pub depth: usize,
    /// How many bytes one template may write.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            fuel: 2_000_000_000,
            depth: 4_000,
            output_bytes: 1 << 30,
        }
    }
}

/// A value and whether its static Go type is `interface {}`; the difference
/// shows in error texts and decides what a nil is.
#[derive(Clone, Default)]
struct Slot {
    value: Value,
    iface: bool,
}

impl Slot {
    fn concrete(value: Value) -> Self {
        Slot {
            value,
            iface: false,
        }
    }

    fn type_name(&self) -> String {
        if self.iface {
            "interface {}".into()
        } else {
            self.value.type_name()
        }
    }
}

/// Runs templates of one set.
pub struct Executor<'x> {
    /// The functions.
    pub functions: &'x Functions,
    /// What the outer world answers.
    pub host: &'x dyn Host,
    /// The templates in sight.
    pub set: Rc<Set>,
    /// How often each template is being included right now.
    pub(crate) includes: HashMap<Str, usize>,
    /// Records which node wrote which bytes, when asked to.
    pub trace: Option<Trace>,
    /// Numbers for `rand…`, seeded by the host.
    pub(crate) random: Option<crate::funcs::random::Source>,
    limits: Limits,
    depth: usize,
    out: Vec<u8>,
}

impl<'x> Executor<'x> {
    /// Makes an executor over a set of templates.
    pub fn new(set: Rc<Set>, functions: &'x Functions, host: &'x dyn Host) -> Self {
        Executor {
            functions,
            host,
            set,
            includes: HashMap::new(),
            trace: None,
            random: None,
            limits: Limits::default(),
            depth: 0,
            out: Vec::new(),
        }
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Executes the template of that name and returns what it wrote.
    ///
    /// # Errors
    ///
    /// Go's errors, and ours for limits.
    pub fn execute_template(&mut self, name: &str, data: Value) -> Result<Vec<u8>> {
        let Some(tree) = self.set.lookup(name) else {
            let quoted = crate::strconv::quote(name.as_bytes(), false);
            let text = format!(
                "template: no template {} associated with template \"gotpl\"",
                String::from_utf8_lossy(&quoted)
            );
            let near = self.set.near(name);
            return Err(Box::new(Error::message(text).with_detail(
                Detail::NoTemplate {
                    name: name.into(),
                    near,
                },
            )));
        };
        self.execute(&tree, data)
    }

    /// Executes a tree and returns what it wrote.
    ///
    /// # Errors
    ///
    /// Go's errors, and ours for limits.
    pub fn execute(&mut self, tree: &Tree, data: Value) -> Result<Vec<u8>> {
        let outer = std::mem::take(&mut self.out);
        if let Some(trace) = &mut self.trace {
            trace.enter();
        }
        let dot = Slot::concrete(data);
        let result = State::new(self, tree, dot.clone()).run(&dot);
        let written = std::mem::replace(&mut self.out, outer);
        if let Some(trace) = &mut self.trace {
            trace.leave(result.is_ok());
        }
        result.map(|()| written)
    }
}

enum Flow {
    Next,
    Break,
    Continue,
}

struct Variable {
    name: Rc<str>,
    slot: Slot,
}

struct State<'e, 'x, 't> {
    exec: &'e mut Executor<'x>,
    tree: &'t Tree,
    node: (usize, &'t dyn Show),
    vars: Vec<Variable>,
}

impl<'e, 'x, 't> State<'e, 'x, 't> {
    fn new(exec: &'e mut Executor<'x>, tree: &'t Tree, dot: Slot) -> Self {
        State {
            exec,
            tree,
            node: (tree.root.pos, &tree.root),
            vars: vec![Variable {
                name: "$".into(),
                slot: dot,
            }],
        }
    }

    fn run(&mut self, dot: &Slot) -> Result<()> {
        if self.exec.depth >= self.exec.limits.depth {
            let limit = self.exec.limits.depth;
            let message = format!("exceeded maximum template depth ({limit})");
            return self.error_with(message, Some(Detail::Limit));
        }
        self.exec.depth += 1;
        let result = self.walk_list(dot, &self.tree.root);
        self.exec.depth -= 1;
        result.map(|_| ())
    }

    fn at(&mut self, pos: usize, node: &'t dyn Show) {
        self.node = (pos, node);
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        self.error_with(message, None)
    }

    fn error_with<T>(&self, message: impl Into<String>, detail: Option<Detail>) -> Result<T> {
        Err(self.make_error(message.into(), None, detail))
    }

    fn make_error(
        &self,
        message: String,
        source: Option<Box<Error>>,
        detail: Option<Detail>,
    ) -> Box<Error> {
        let (pos, node) = self.node;
        let place = self.tree.source.place(pos);
        let context = node.shown();
        let name = crate::strconv::quote(self.tree.name.as_bytes(), false);
        let text = format!(
            "template: {}:{}:{}: executing {} at <{context}>: {message}",
            self.tree.source.name,
            place.line,
            place.column,
            String::from_utf8_lossy(&name),
        );
        Box::new(Error {
            text,
            source,
            frame: Some(Box::new(Frame {
                template: self.tree.name.clone(),
                source: self.tree.source.clone(),
                pos,
                context,
                message,
            })),
            detail: detail.map(Box::new),
        })
    }

    fn burn(&mut self) -> Result<()> {
        if self.exec.limits.fuel == 0 {
            return self.error_with(
                "the template runs too long: no fuel left",
                Some(Detail::Limit),
            );
        }
        self.exec.limits.fuel -= 1;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.exec.out.len() + bytes.len() > self.exec.limits.output_bytes {
            return self.error_with("the template writes too much", Some(Detail::Limit));
        }
        if let Some(trace) = &mut self.exec.trace {
            trace.wrote(bytes, &self.tree.source, self.node.0);
        }
        self.exec.out.extend_from_slice(bytes);
        Ok(())
    }

    fn walk_list(&mut self, dot: &Slot, list: &'t List) -> Result<Flow> {
        for node in &list.nodes {
            match self.walk(dot, node)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn walk(&mut self, dot: &Slot, node: &'t Node) -> Result<Flow> {
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
                self.walk_template(dot, name, pipe.as_ref())?;
            }
        }
        Ok(Flow::Next)
    }

    fn walk_if_or_with(&mut self, dot: &Slot, branch: &'t Branch, with: bool) -> Result<Flow> {
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

    fn walk_range(&mut self, dot: &Slot, branch: &'t Branch) -> Result<Flow> {
        let mark = self.vars.len();
        let value = self.eval_pipeline(dot, &branch.pipe)?;
        let flow = self.range_over(dot, branch, value);
        self.vars.truncate(mark);
        flow
    }

    fn range_over(&mut self, dot: &Slot, branch: &'t Branch, value: Value) -> Result<Flow> {
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
    fn iteration(&mut self, branch: &'t Branch, index: Slot, element: Slot) -> Result<bool> {
        self.burn()?;
        let pipe = &branch.pipe;
        let mark = self.vars.len();
        match (pipe.decl.as_slice(), pipe.is_assign) {
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

    fn walk_template(&mut self, dot: &Slot, name: &str, pipe: Option<&'t Pipe>) -> Result<()> {
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

    fn set_variable(&mut self, name: &str, slot: Slot) -> Result<()> {
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

    fn variable(&self, name: &Rc<str>) -> Result<Slot> {
        let found = self
            .vars
            .iter()
            .rev()
            .find(|variable| Rc::ptr_eq(&variable.name, name) || variable.name == *name);
        match found {
            Some(variable) => Ok(variable.slot.clone()),
            None => self.error(format!("undefined variable: {name}")),
        }
    }

    fn eval_pipeline(&mut self, dot: &Slot, pipe: &'t Pipe) -> Result<Value> {
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

    fn not_a_function(&self, args: &[Arg], last: &Option<Slot>) -> Result<()> {
        if args.len() > 1 || last.is_some() {
            return self.error(format!(
                "can't give argument to non-function {}",
                args[0].shown()
            ));
        }
        Ok(())
    }

    fn eval_command(
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

    fn ideal_constant(&self, number: &Number) -> Result<Value> {
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

    fn eval_chain(
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

    fn eval_variable(
        &mut self,
        dot: &Slot,
        whole: &'t Arg,
        name: &'t Rc<str>,
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

    fn eval_field_chain(
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

    fn eval_field(
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

    fn map_entry(
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
    fn eval_rare_field(
        &mut self,
        dot: &Slot,
        receiver: Slot,
        whole: &'t Arg,
        (name, at): (&'t Str, usize),
        args: &'t [Arg],
        last: Option<Slot>,
    ) -> Result<Slot> {
        let text = name.to_text();
        let methods = receiver.value.methods();
        if let Some(method) = methods.iter().find(|method| method.name == text) {
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

    fn eval_method(
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

    fn call_error(&self, name: &str, cause: Error) -> Box<Error> {
        let message = format!("error calling {name}: {}", cause.text);
        self.make_error(message, Some(Box::new(cause)), None)
    }

    fn eval_function(
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
    fn eval_logic(
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

    fn check_count(&self, signature: &Signature, given: usize, piped: bool) -> Result<()> {
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

    fn eval_args(
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

    fn eval_arg(&mut self, dot: &Slot, typ: Option<Type>, arg: &'t Arg) -> Result<Slot> {
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

    fn nil_arg(&self, typ: Option<Type>) -> Result<Slot> {
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

    fn constant_arg(&self, typ: Option<Type>, arg: &Arg) -> Result<Value> {
        let shown = arg.shown();
        let wanted = match (typ, &arg.kind) {
            (None | Some(Type::Any | Type::Reflect), ArgKind::Bool(value)) => {
                return Ok(Value::Bool(*value));
            }
            (None | Some(Type::Any | Type::Reflect), ArgKind::Number(number)) => {
                return self.ideal_constant(number);
            }
            (None | Some(Type::Any | Type::Reflect | Type::String), ArgKind::String(_, text)) => {
                return Ok(Value::Str(text.clone()));
            }
            (Some(Type::Bool), ArgKind::Bool(value)) => return Ok(Value::Bool(*value)),
            (Some(Type::Int), ArgKind::Number(Number { int: Some(int), .. })) => {
                return Ok(Value::Int(*int));
            }
            (Some(Type::Int64), ArgKind::Number(Number { int: Some(int), .. })) => {
                return Ok(Value::Int64(*int));
            }
            (
                Some(Type::Float),
                ArgKind::Number(Number {
                    float: Some(float), ..
                }),
            ) => {
                return Ok(Value::Float(*float));
            }
            (Some(Type::Bool), _) => "bool",
            (Some(Type::String), _) => "string",
            (Some(Type::Int | Type::Int64), _) => "integer",
            (Some(Type::Float), _) => "float",
            (Some(typ), _) => {
                return self.error(format!(
                    "can't handle {shown} for arg of type {}",
                    typ.name()
                ));
            }
            (None, _) => return self.error(format!("can't handle {shown}")),
        };
        self.error(format!("expected {wanted}; found {shown}"))
    }

    fn validate_type(&self, slot: Slot, typ: Option<Type>) -> Result<Slot> {
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

    fn print_value(&mut self, value: &Value) -> Result<()> {
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

struct Signature {
    name: &'static str,
    params: &'static [Type],
    variadic: bool,
}

impl Signature {
    fn param(&self, at: usize) -> Type {
        let last = self.params.len().saturating_sub(1);
        self.params.get(at.min(last)).copied().unwrap_or(Type::Any)
    }
}

fn same_integer(like: &Value, number: i64) -> Value {
    match like {
        Value::Int64(_) => Value::Int64(number),
        Value::Uint64(_) => Value::Uint64(number as u64),
        Value::Uint8(_) => Value::Uint8(number as u8),
        _ => Value::Int(number),
    }
}

/// The zero value of an element type; what a missing key gives.
pub(crate) fn zero(elem: Elem) -> Value {
    match elem {
        Elem::Any => Value::Nil,
        Elem::String => Value::str(""),
        Elem::Int => Value::Int(0),
        Elem::Bytes => Value::Bytes("".into()),
        Elem::List => Value::list(Vec::new()),
    }
}

/// The expression as segments up to the field before number `at`.
fn segments(whole: &Arg, at: usize) -> Vec<String> {
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
fn excerpt(value: &Value) -> String {
    let text = crate::fmt::value_text(value);
    let text = String::from_utf8_lossy(&text);
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
