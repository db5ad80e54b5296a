//! The parse tree, after Go's `text/template/parse/node.go`.
//!
//! Main types: [`Tree`], [`Node`], [`Pipe`], [`Arg`]. Every node knows its
//! byte offset in its [`Source`] and can print itself as Go does, because
//! error texts quote it.

use crate::funcs::FuncId;
use crate::strconv::quote;
use crate::value::Str;
use std::sync::Arc;

/// The text from which trees were parsed.
#[derive(Debug)]
pub struct Source {
    /// Name for error messages: the file.
    pub name: Arc<str>,
    /// The text.
    pub text: Arc<[u8]>,
}

/// A part of a source's text, shared with it.
#[derive(Clone)]
pub struct Part {
    source: Arc<Source>,
    start: u32,
    end: u32,
}

impl Part {
    /// Returns the bytes of `source` from `start` on that are `text`.
    ///
    /// # Panics
    ///
    /// When they lie behind its end.
    pub fn of(source: &Arc<Source>, start: usize, length: usize) -> Part {
        let end = start + length;
        assert!(end <= source.text.len(), "a part lies within its source");
        match (u32::try_from(start), u32::try_from(end)) {
            (Ok(start), Ok(end)) => Part {
                source: source.clone(),
                start,
                end,
            },
            // Larger than any chart: a copy of its own.
            _ => Part {
                source: Arc::new(Source {
                    name: source.name.clone(),
                    text: source.text[start..end].into(),
                }),
                start: 0,
                end: length as u32,
            },
        }
    }
}

impl std::ops::Deref for Part {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.source.text[self.start as usize..self.end as usize]
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self))
    }
}

/// A line and a column as Go reports them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In bytes, from 0.
    pub column: usize,
}

impl Source {
    /// Returns line and column of a byte offset.
    pub fn place(&self, pos: usize) -> Place {
        let before = &self.text[..pos.min(self.text.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        Place {
            line: 1 + memchr::memchr_iter(b'\n', before).count(),
            column: before.len() - line_start,
        }
    }
}

/// One template: its name and what it does.
#[derive(Debug)]
pub struct Tree {
    /// Name under which it is included.
    pub name: Arc<str>,
    /// Where it was written.
    pub source: Arc<Source>,
    /// Its nodes.
    pub root: List,
}

/// A sequence of nodes.
#[derive(Debug, Default)]
pub struct List {
    /// Offset of its first token.
    pub pos: usize,
    /// The nodes in order.
    pub nodes: Box<[Node]>,
}

/// A node of a list.
#[derive(Debug)]
pub enum Node {
    /// Plain text.
    Text {
        /// Offset.
        pos: usize,
        /// The text after trimming.
        text: Part,
    },
    /// `{{ pipeline }}`
    Action {
        /// Offset.
        pos: usize,
        /// The pipeline.
        pipe: Pipe,
    },
    /// `{{ break }}`
    Break(usize),
    /// `{{ continue }}`
    Continue(usize),
    /// `{{ if }}`
    If(Box<Branch>),
    /// `{{ range }}`
    Range(Box<Branch>),
    /// `{{ with }}`
    With(Box<Branch>),
    /// `{{ template }}` and the use of a `{{ block }}`
    Template {
        /// Offset.
        pos: usize,
        /// Name of the template.
        name: Arc<str>,
        /// Its dot, where given.
        pipe: Option<Box<Pipe>>,
    },
}

/// The common shape of `if`, `range` and `with`.
#[derive(Debug)]
pub struct Branch {
    /// Offset of the pipeline.
    pub pos: usize,
    /// The condition.
    pub pipe: Pipe,
    /// What to do when it holds.
    pub list: List,
    /// What to do otherwise.
    pub else_list: Option<List>,
}

/// A pipeline with optional declarations.
#[derive(Debug)]
pub struct Pipe {
    /// Offset.
    pub pos: usize,
    /// `=` instead of `:=`.
    pub is_assign: bool,
    /// Declared or assigned variables.
    pub decl: Box<[Arc<str>]>,
    /// The commands, left to right.
    pub cmds: Box<[Command]>,
}

/// A command of a pipeline.
#[derive(Debug)]
pub struct Command {
    /// Offset.
    pub pos: usize,
    /// Function or value, then arguments; never empty.
    pub args: Box<[Arg]>,
}

/// An operand.
#[derive(Debug)]
pub struct Arg {
    /// Offset.
    pub pos: usize,
    /// What it is.
    pub kind: ArgKind,
}

/// The kinds of operands.
#[derive(Debug)]
pub enum ArgKind {
    /// `.`
    Dot,
    /// `nil`
    Nil,
    /// `true`, `false`
    Bool(bool),
    /// A number.
    Number(Box<Number>),
    /// A string; first as written.
    String(Part, Str),
    /// `.a.b`
    Field(Box<[Str]>),
    /// `$x.a.b`: the variable with its `$`, then fields.
    Variable(Arc<str>, Box<[Str]>),
    /// The name of a function.
    Identifier(&'static str, FuncId),
    /// `(…).a.b`
    Chain(Box<Arg>, Box<[Str]>),
    /// `( pipeline )`
    Pipe(Box<Pipe>),
}

/// A number constant: the readings that its text allows.
#[derive(Debug, Clone)]
pub struct Number {
    /// As written.
    pub text: Box<str>,
    /// As a signed integer.
    pub int: Option<i64>,
    /// As an unsigned integer.
    pub uint: Option<u64>,
    /// As a float.
    pub float: Option<f64>,
    /// Whether it is imaginary; such numbers have no other reading here.
    pub complex: bool,
}

impl List {
    /// Whether there is nothing but space.
    pub fn is_empty_tree(&self) -> bool {
        self.nodes.iter().all(|node| match node {
            Node::Text { text, .. } => String::from_utf8_lossy(text).trim().is_empty(),
            _ => false,
        })
    }
}

/// Something that prints itself as Go's `Node.String`.
pub trait Show {
    /// Appends the text.
    fn show(&self, out: &mut String);

    /// Returns the text.
    fn shown(&self) -> String {
        let mut out = String::new();
        self.show(&mut out);
        out
    }
}

fn fields(out: &mut String, names: &[Str]) {
    for name in names {
        out.push('.');
        out.push_str(&name.to_text());
    }
}

impl Show for Arg {
    fn show(&self, out: &mut String) {
        match &self.kind {
            ArgKind::Dot => out.push('.'),
            ArgKind::Nil => out.push_str("nil"),
            ArgKind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            ArgKind::Number(number) => out.push_str(&number.text),
            ArgKind::String(written, _) => out.push_str(&String::from_utf8_lossy(written)),
            ArgKind::Field(names) => fields(out, names),
            ArgKind::Variable(name, names) => {
                out.push_str(name);
                fields(out, names);
            }
            ArgKind::Identifier(name, _) => out.push_str(name),
            ArgKind::Chain(node, names) => {
                if let ArgKind::Pipe(pipe) = &node.kind {
                    out.push('(');
                    pipe.show(out);
                    out.push(')');
                } else {
                    node.show(out);
                }
                fields(out, names);
            }
            ArgKind::Pipe(pipe) => pipe.show(out),
        }
    }
}

impl Show for Command {
    fn show(&self, out: &mut String) {
        for (at, arg) in self.args.iter().enumerate() {
            if at > 0 {
                out.push(' ');
            }
            if let ArgKind::Pipe(pipe) = &arg.kind {
                out.push('(');
                pipe.show(out);
                out.push(')');
            } else {
                arg.show(out);
            }
        }
    }
}

impl Show for Pipe {
    fn show(&self, out: &mut String) {
        if !self.decl.is_empty() {
            out.push_str(&self.decl.join(", "));
            out.push_str(if self.is_assign { " = " } else { " := " });
        }
        for (at, command) in self.cmds.iter().enumerate() {
            if at > 0 {
                out.push_str(" | ");
            }
            command.show(out);
        }
    }
}

impl Show for List {
    fn show(&self, out: &mut String) {
        for node in &self.nodes {
            node.show(out);
        }
    }
}

impl Branch {
    fn show_as(&self, out: &mut String, keyword: &str) {
        out.push_str("{{");
        out.push_str(keyword);
        out.push(' ');
        self.pipe.show(out);
        out.push_str("}}");
        self.list.show(out);
        if let Some(list) = &self.else_list {
            out.push_str("{{else}}");
            list.show(out);
        }
        out.push_str("{{end}}");
    }
}

impl Show for Node {
    fn show(&self, out: &mut String) {
        match self {
            Node::Text { text, .. } => out.push_str(&String::from_utf8_lossy(text)),
            Node::Action { pipe, .. } => {
                out.push_str("{{");
                pipe.show(out);
                out.push_str("}}");
            }
            Node::Break(_) => out.push_str("{{break}}"),
            Node::Continue(_) => out.push_str("{{continue}}"),
            Node::If(branch) => branch.show_as(out, "if"),
            Node::Range(branch) => branch.show_as(out, "range"),
            Node::With(branch) => branch.show_as(out, "with"),
            Node::Template { name, pipe, .. } => {
                out.push_str("{{template ");
                out.push_str(&String::from_utf8_lossy(&quote(name.as_bytes(), false)));
                if let Some(pipe) = pipe {
                    out.push(' ');
                    pipe.show(out);
                }
                out.push_str("}}");
            }
        }
    }
}
