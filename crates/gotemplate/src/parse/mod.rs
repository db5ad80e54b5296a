//! The parser, after Go's `text/template/parse/parse.go`.
//!
//! Main function: [`parse`]. One text may define several templates; the first
//! tree of the answer is the text itself.

mod control;
mod number;
mod pipeline;
mod tokens;

use crate::funcs::Functions;
use crate::hash::NameMap;
use crate::lex::{Item, ItemType, Lexer};
use crate::strconv::{quote, unquote};
use crate::tree::{Arg, Command, List, Node, Part, Source, Tree};
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
        nodes: Vec::new(),
        commands: Vec::new(),
        args: Vec::new(),
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
    /// What the lists, pipelines and commands that are being read hold so far.
    nodes: Vec<Node>,
    commands: Vec<Command>,
    args: Vec<Arg>,
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
        let pos = self.peek().pos;
        let outer = self.nodes.len();
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
                Parsed::Node(node) => self.nodes.push(node),
                Parsed::Stop(stop) => return self.error(format!("unexpected {}", stop.show())),
            }
        }
        Ok(self.list(pos, outer))
    }

    /// Makes a list of the nodes from `start` on.
    fn list(&mut self, pos: usize, start: usize) -> List {
        List {
            pos,
            nodes: self.nodes.drain(start..).collect(),
        }
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
        Part::of(&self.source, token.pos, token.val.len())
    }

    fn unquoted<'i>(&self, token: &'i Item) -> Result<Cow<'i, [u8]>> {
        match unquote(&token.val) {
            Some(text) => Ok(text),
            None => self.error("invalid syntax"),
        }
    }

    fn item_list(&mut self) -> Result<(List, Stop)> {
        self.deeper()?;
        let pos = self.peek_non_space().pos;
        let outer = self.nodes.len();
        while self.peek_non_space().typ != ItemType::Eof {
            match self.text_or_action()? {
                Parsed::Node(node) => self.nodes.push(node),
                Parsed::Stop(stop) => {
                    self.depth -= 1;
                    return Ok((self.list(pos, outer), stop));
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
}

fn shown_name(name: &str) -> String {
    String::from_utf8_lossy(&quote(name.as_bytes(), false)).into_owned()
}
