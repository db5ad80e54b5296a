//! The executor, after Go's `text/template/exec.go`.
//!
//! Main type: [`Executor`]. It holds what all templates of one rendering
//! share: the set of templates, the functions, the host, the limits.
//! A `State` is the execution of one template; its method names are Go's.

mod call;
mod eval;
mod field;
mod walk;

use crate::error::{Detail, Error, Frame};
use crate::funcs::Functions;
use crate::hash::NameMap;
use crate::host::Host;
use crate::set::Set;
use crate::trace::Trace;
use crate::tree::{Show, Tree};
use crate::value::{Elem, Str, Value};
use std::rc::Rc;
use std::sync::Arc;

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
    pub(crate) includes: NameMap<Str, usize>,
    /// Records which node wrote which bytes, when asked to.
    pub trace: Option<Trace>,
    /// Numbers for `rand…`, seeded by the host.
    pub(crate) random: Option<crate::funcs::random::Source>,
    limits: Limits,
    depth: usize,
    out: Vec<u8>,
    /// `$`, the variable that every template has.
    root: Arc<str>,
}

impl<'x> Executor<'x> {
    /// Makes an executor over a set of templates.
    pub fn new(set: Rc<Set>, functions: &'x Functions, host: &'x dyn Host) -> Self {
        Executor {
            functions,
            host,
            set,
            includes: NameMap::default(),
            trace: None,
            random: None,
            limits: Limits::default(),
            depth: 0,
            out: Vec::new(),
            root: "$".into(),
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
    name: Arc<str>,
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
        let name = exec.root.clone();
        State {
            exec,
            tree,
            node: (tree.root.pos, &tree.root),
            vars: vec![Variable { name, slot: dot }],
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
