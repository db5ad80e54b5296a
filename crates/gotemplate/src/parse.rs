//! The parser, after Go's `text/template/parse/parse.go`.
//!
//! Main function: [`parse`]. One text may define several templates; the first
//! tree of the answer is the text itself.

use crate::funcs::Functions;
use crate::hash::NameMap;
use crate::lex::{Item, ItemType, Lexer};
use crate::strconv::{parse_float, parse_integer_base0, quote, unquote};
use crate::tree::{
    Arg, ArgKind, Branch, Command, List, Node, Number, Part, Pipe, Show, Source, Tree,
};
use crate::value::Str;
use std::borrow::Cow;
use std::sync::Arc;

/// How deep parentheses and control structures may nest. Go allows 10,000
/// parentheses; nobody writes 500, and our stack is smaller.
const DEPTH_MAX: usize = 500;

/// A text that is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}: {message}")]
pub struct ParseError {
    /// Name of the text.
    pub name: String,
    /// Line, from 1.
    pub line: usize,
    /// Byte offset of the token that was being read.
    pub pos: usize,
    /// Go's words.
    pub message: String,
}

type Result<T> = std::result::Result<T, ParseError>;

/// Parses `text` into the templates that it defines.
///
/// # Errors
///
/// Those of Go's parser, in its words.
pub fn parse(name: &str, text: Arc<[u8]>, functions: &Functions) -> Result<Vec<Arc<Tree>>> {
    let source = Arc::new(Source {
        name: name.into(),
        text: text.clone(),
    });
    let mut parser = Parser {
        source: source.clone(),
        functions,
        lexer: Lexer::new(&text),
        token: [eof(), eof(), eof()],
        peek_count: 0,
        scope: Scope::new(),
        depth: 0,
        trees: Vec::new(),
        names: NameMap::default(),
    };
    let root = parser.parse()?;
    parser.add(name.into(), root)?;
    let main = parser.trees.iter().position(|tree| &*tree.name == name);
    let mut trees = parser.trees;
    if let Some(main) = main {
        let tree = trees.remove(main);
        trees.insert(0, tree);
    }
    Ok(trees)
}

fn eof() -> Item<'static> {
    Item {
        typ: ItemType::Eof,
        pos: 0,
        val: Cow::Borrowed(&[]),
        line: 0,
    }
}

/// What belongs to one template while it is parsed.
struct Scope {
    vars: Vec<Arc<str>>,
    action_line: usize,
    range_depth: usize,
}

impl Scope {
    fn new() -> Self {
        Scope {
            vars: vec!["$".into()],
            action_line: 0,
            range_depth: 0,
        }
    }
}

struct Parser<'a> {
    source: Arc<Source>,
    functions: &'a Functions,
    lexer: Lexer<'a>,
    token: [Item<'a>; 3],
    peek_count: usize,
    scope: Scope,
    depth: usize,
    trees: Vec<Arc<Tree>>,
    /// The names of fields so far: most of them come again.
    names: NameMap<&'a [u8], Str>,
}

/// What ended a list.
enum Stop {
    End,
    Else { pos: usize },
}

impl Stop {
    fn show(&self) -> &'static str {
        match self {
            Stop::End => "{{end}}",
            Stop::Else { .. } => "{{else}}",
        }
    }
}

enum Parsed {
    Node(Node),
    Stop(Stop),
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Item<'a> {
        if self.peek_count > 0 {
            self.peek_count -= 1;
        } else {
            self.token[0] = self.lexer.next_item();
        }
        self.token[self.peek_count].clone()
    }

    fn backup(&mut self) {
        self.peek_count += 1;
    }

    fn backup2(&mut self, first: Item<'a>) {
        self.token[1] = first;
        self.peek_count = 2;
    }

    fn backup3(&mut self, second: Item<'a>, first: Item<'a>) {
        self.token[1] = first;
        self.token[2] = second;
        self.peek_count = 3;
    }

    fn peek(&mut self) -> &Item<'a> {
        if self.peek_count == 0 {
            self.peek_count = 1;
            self.token[0] = self.lexer.next_item();
        }
        &self.token[self.peek_count - 1]
    }

    fn next_non_space(&mut self) -> Item<'a> {
        loop {
            let token = self.next();
            if token.typ != ItemType::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Item<'a> {
        let token = self.next_non_space();
        self.backup();
        token
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(ParseError {
            name: self.source.name.to_string(),
            line: self.token[0].line,
            pos: self.token[0].pos,
            message: message.into(),
        })
    }

    fn expect(&mut self, expected: ItemType, context: &str) -> Result<Item<'a>> {
        let token = self.next_non_space();
        if token.typ != expected {
            return self.unexpected(&token, context);
        }
        Ok(token)
    }

    fn unexpected<T>(&self, token: &Item, context: &str) -> Result<T> {
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

    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.error("max expression depth exceeded");
        }
        Ok(())
    }

    /// Puts a finished template into the set.
    fn add(&mut self, name: Arc<str>, root: List) -> Result<()> {
        let tree = Arc::new(Tree {
            name,
            source: self.source.clone(),
            root,
        });
        match self.trees.iter().position(|known| known.name == tree.name) {
            None => self.trees.push(tree),
            Some(at) if self.trees[at].root.is_empty_tree() => self.trees[at] = tree,
            Some(_) if tree.root.is_empty_tree() => {}
            Some(_) => {
                let name = shown_name(&tree.name);
                return self.error(format!("template: multiple definition of template {name}"));
            }
        }
        Ok(())
    }

    fn parse(&mut self) -> Result<List> {
        let mut root = List {
            pos: self.peek().pos,
            nodes: Vec::new(),
        };
        while self.peek().typ != ItemType::Eof {
            if self.peek().typ == ItemType::LeftDelim {
                let delim = self.next();
                if self.next_non_space().typ == ItemType::Define {
                    self.definition()?;
                    continue;
                }
                self.backup2(delim);
            }
            match self.text_or_action()? {
                Parsed::Node(node) => root.nodes.push(node),
                Parsed::Stop(stop) => return self.error(format!("unexpected {}", stop.show())),
            }
        }
        Ok(root)
    }

    fn definition(&mut self) -> Result<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_non_space();
        if !matches!(token.typ, ItemType::String | ItemType::RawString) {
            return self.unexpected(&token, CONTEXT);
        }
        let outer = std::mem::replace(&mut self.scope, Scope::new());
        let name = self.unquoted(&token)?;
        self.expect(ItemType::RightDelim, CONTEXT)?;
        let (root, stop) = self.item_list()?;
        if !matches!(stop, Stop::End) {
            return self.error(format!("unexpected {} in {CONTEXT}", stop.show()));
        }
        self.add(String::from_utf8_lossy(&name).into(), root)?;
        self.scope = outer;
        Ok(())
    }

    fn part(&self, token: &Item) -> Part {
        Part::of(&self.source.text, token.pos, token.val.len())
    }

    fn unquoted(&self, token: &Item) -> Result<Vec<u8>> {
        match unquote(&token.val) {
            Some(text) => Ok(text),
            None => self.error("invalid syntax"),
        }
    }

    fn item_list(&mut self) -> Result<(List, Stop)> {
        self.deeper()?;
        let mut list = List {
            pos: self.peek_non_space().pos,
            nodes: Vec::new(),
        };
        while self.peek_non_space().typ != ItemType::Eof {
            match self.text_or_action()? {
                Parsed::Node(node) => list.nodes.push(node),
                Parsed::Stop(stop) => {
                    self.depth -= 1;
                    return Ok((list, stop));
                }
            }
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Result<Parsed> {
        let token = self.next_non_space();
        match token.typ {
            ItemType::Text => Ok(Parsed::Node(Node::Text {
                pos: token.pos,
                text: self.part(&token),
            })),
            ItemType::LeftDelim => {
                self.scope.action_line = token.line;
                let parsed = self.action();
                if parsed.is_ok() {
                    self.scope.action_line = 0;
                }
                parsed
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Result<Parsed> {
        let token = self.next_non_space();
        let node = match token.typ {
            ItemType::Block => self.block_control()?,
            ItemType::Break => {
                self.loop_control("{{break}}")?;
                Node::Break(token.pos)
            }
            ItemType::Continue => {
                self.loop_control("{{continue}}")?;
                Node::Continue(token.pos)
            }
            ItemType::Else => return self.else_control().map(Parsed::Stop),
            ItemType::End => {
                self.expect(ItemType::RightDelim, "end")?;
                return Ok(Parsed::Stop(Stop::End));
            }
            ItemType::If => Node::If(self.control("if")?),
            ItemType::Range => Node::Range(self.control("range")?),
            ItemType::Template => self.template_control()?,
            ItemType::With => Node::With(self.control("with")?),
            _ => {
                self.backup();
                let pos = self.peek().pos;
                let pipe = self.pipeline("command", ItemType::RightDelim)?;
                Node::Action { pos, pipe }
            }
        };
        Ok(Parsed::Node(node))
    }

    fn loop_control(&mut self, shown: &str) -> Result<()> {
        let token = self.next_non_space();
        if token.typ != ItemType::RightDelim {
            return self.unexpected(&token, shown);
        }
        if self.scope.range_depth == 0 {
            return self.error(format!("{shown} outside {{{{range}}}}"));
        }
        Ok(())
    }

    fn else_control(&mut self) -> Result<Stop> {
        let peek = self.peek_non_space();
        if matches!(peek.typ, ItemType::If | ItemType::With) {
            return Ok(Stop::Else { pos: peek.pos });
        }
        let token = self.expect(ItemType::RightDelim, "else")?;
        Ok(Stop::Else { pos: token.pos })
    }

    fn control(&mut self, context: &str) -> Result<Box<Branch>> {
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
            nodes: vec![node],
        })
    }

    fn block_control(&mut self) -> Result<Node> {
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
            pipe: Some(pipe),
        })
    }

    fn template_control(&mut self) -> Result<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let mut pipe = None;
        if self.next_non_space().typ != ItemType::RightDelim {
            self.backup();
            pipe = Some(self.pipeline(CONTEXT, ItemType::RightDelim)?);
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

    fn pipeline(&mut self, context: &str, end: ItemType) -> Result<Pipe> {
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

    fn number(&self, token: &Item) -> Result<Number> {
        let text = token.text();
        let shown = shown_name(&text);
        let number = match token.typ {
            ItemType::CharConstant => char_number(&token.val),
            ItemType::Complex => Some(complex_number(&text)),
            _ if text.ends_with('i') => Some(complex_number(&text)),
            _ => plain_number(&text),
        };
        match number {
            Some(number) if number.overflow => self.error(format!("integer overflow: {shown}")),
            Some(number) => Ok(number.number),
            None if token.typ == ItemType::CharConstant => {
                self.error(format!("malformed character constant: {text}"))
            }
            None => self.error(format!("illegal number syntax: {shown}")),
        }
    }
}

fn shown_name(name: &str) -> String {
    String::from_utf8_lossy(&quote(name.as_bytes(), false)).into_owned()
}

struct Reading {
    number: Number,
    overflow: bool,
}

fn reading(text: &str, int: Option<i64>, uint: Option<u64>, float: Option<f64>) -> Reading {
    Reading {
        number: Number {
            text: text.into(),
            int,
            uint,
            float,
            complex: false,
        },
        overflow: false,
    }
}

fn complex_number(text: &str) -> Reading {
    let mut reading = reading(text, None, None, None);
    reading.number.complex = true;
    reading
}

fn char_number(literal: &[u8]) -> Option<Reading> {
    let bytes = unquote(literal)?;
    let code = match std::str::from_utf8(&bytes) {
        Ok(text) => text.chars().next()? as u32,
        Err(_) => u32::from(*bytes.first()?),
    };
    let text = String::from_utf8_lossy(literal);
    let (int, uint) = (i64::from(code), u64::from(code));
    Some(reading(&text, Some(int), Some(uint), Some(f64::from(code))))
}

fn plain_number(text: &str) -> Option<Reading> {
    let parsed = parse_integer_base0(text);
    let int = parsed.and_then(|(negative, magnitude)| {
        let magnitude = i128::try_from(magnitude).ok()?;
        i64::try_from(if negative { -magnitude } else { magnitude }).ok()
    });
    let signed = text.starts_with(['+', '-']);
    let mut uint = parsed
        .filter(|_| !signed)
        .and_then(|(_, magnitude)| u64::try_from(magnitude).ok());
    if int == Some(0) {
        uint = Some(0);
    }
    if let Some(int) = int {
        return Some(reading(text, Some(int), uint, Some(int as f64)));
    }
    if let Some(uint) = uint {
        return Some(reading(text, None, Some(uint), Some(uint as f64)));
    }
    let plain = text.replace('_', "");
    let float = parse_float(&plain)?;
    let mut reading = reading(text, None, None, Some(float));
    reading.overflow = !text.contains(['.', 'e', 'E', 'p', 'P']);
    if float as i64 as f64 == float {
        reading.number.int = Some(float as i64);
    }
    if float as u64 as f64 == float {
        reading.number.uint = Some(float as u64);
    }
    Some(reading)
}
