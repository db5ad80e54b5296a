//! The reader: tokens to documents of nodes with positions.
//!
//! Main types: [`Document`], [`Node`]. After libyaml's `parser.c`, written as
//! a descent. Not here: what a scalar means (`resolve`) and the conversion to
//! plain values (`value`).

use crate::error::{Error, Mark};
use crate::scan::{DEPTH_MAX, Scanner, Style, Token, TokenType};
use std::borrow::Cow;
use std::collections::HashMap;

/// Index of a node in its document.
pub type NodeId = usize;

/// A document: its nodes and the root among them.
#[derive(Clone, Debug, Default)]
pub struct Document<'t> {
    /// All nodes.
    pub nodes: Vec<Node<'t>>,
    /// The outermost one.
    pub root: NodeId,
    /// Whether a `---` line started it.
    pub explicit: bool,
}

/// Where a node starts; both numbers from 0, the column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl Place {
    /// The line, from 1.
    pub fn line_number(self) -> usize {
        self.line as usize + 1
    }

    /// The column, from 1.
    pub fn column_number(self) -> usize {
        self.column as usize + 1
    }
}

impl From<Mark> for Place {
    fn from(mark: Mark) -> Place {
        let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Place {
            line: number(mark.line),
            column: number(mark.column),
        }
    }
}

/// A node and where it stands.
#[derive(Clone, Debug)]
pub struct Node<'t> {
    /// First character.
    pub start: Place,
    /// Tag as written, with its handle replaced by the prefix.
    pub tag: Option<Box<str>>,
    /// What it is.
    pub kind: NodeKind<'t>,
}

/// What YAML's own tags begin with.
const YAML_TAG: &str = "tag:yaml.org,2002:";

impl Node<'_> {
    /// The tag without its prefix, if it is one of YAML's own.
    pub fn short_tag(&self) -> Option<&str> {
        self.tag.as_deref()?.strip_prefix(YAML_TAG)
    }
}

/// The kinds of nodes.
#[derive(Clone, Debug)]
pub enum NodeKind<'t> {
    /// A scalar.
    Scalar {
        /// Its text.
        value: Cow<'t, str>,
        /// How it was written.
        style: Style,
        /// Whether its meaning is to be found from its text.
        implicit: bool,
    },
    /// A sequence.
    Sequence(Vec<NodeId>),
    /// A mapping: keys and values in order.
    Mapping(Vec<(NodeId, NodeId)>),
    /// A reference to an anchored node.
    Alias {
        /// Name of the anchor.
        name: Box<str>,
        /// The node.
        target: NodeId,
    },
}

type Result<T> = std::result::Result<T, Error>;

/// What may stand before a node: its names.
#[derive(Default)]
struct Properties {
    anchor: Option<String>,
    tag: Option<Box<str>>,
}

/// A scalar for which nothing is written.
fn empty(implicit: bool) -> NodeKind<'static> {
    NodeKind::Scalar {
        value: Cow::Borrowed(""),
        style: Style::Plain,
        implicit,
    }
}

/// Reads documents one after the other.
pub struct Reader<'t> {
    scanner: Scanner<'t>,
    started: bool,
    tags: Vec<(String, String)>,
    nodes: Vec<Node<'t>>,
    anchors: HashMap<String, NodeId>,
    depth: usize,
}

impl<'t> Reader<'t> {
    /// Starts at the beginning of `text`.
    ///
    /// # Errors
    ///
    /// When the text holds bytes that YAML does not allow.
    pub fn new(text: &'t [u8]) -> Result<Reader<'t>> {
        Ok(Reader {
            scanner: Scanner::new(text)?,
            started: false,
            tags: Vec::new(),
            nodes: Vec::new(),
            anchors: HashMap::new(),
            depth: 0,
        })
    }

    /// Returns the next document; `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of go-yaml's reader.
    pub fn next_document(&mut self) -> Result<Option<Document<'t>>> {
        let explicit = match self.document_start()? {
            Some(explicit) => explicit,
            None => return Ok(None),
        };
        self.nodes.clear();
        self.anchors.clear();
        let token = self.peek()?;
        let empty = matches!(
            token.typ,
            TokenType::VersionDirective
                | TokenType::TagDirective
                | TokenType::DocumentStart
                | TokenType::DocumentEnd
                | TokenType::StreamEnd
        );
        let mark = token.start;
        let root = if explicit && empty {
            self.empty_scalar(mark)
        } else {
            self.node(true, false)?
        };
        if self.peek()?.typ == TokenType::DocumentEnd {
            self.take()?;
        }
        self.tags.clear();
        Ok(Some(Document {
            nodes: std::mem::take(&mut self.nodes),
            root,
            explicit,
        }))
    }

    fn peek(&mut self) -> Result<&Token<'t>> {
        self.scanner.peek()
    }

    fn take(&mut self) -> Result<Token<'t>> {
        self.scanner.take()
    }

    fn peek_type(&mut self) -> Result<TokenType> {
        Ok(self.scanner.peek()?.typ)
    }

    fn error<T>(&self, message: &str, problem: Mark, context: Mark) -> Result<T> {
        let line = match (problem.line, context.line) {
            (0, 0) => None,
            (0, context) => Some(context),
            (line, _) => Some(line),
        };
        Err(Error::Syntax {
            line,
            true_line: problem.line + 1,
            column: problem.column + 1,
            message: message.into(),
        })
    }

    /// Whether a document follows, and whether `---` starts it.
    fn document_start(&mut self) -> Result<Option<bool>> {
        let first = !std::mem::replace(&mut self.started, true);
        if !first {
            while self.peek_type()? == TokenType::DocumentEnd {
                self.take()?;
            }
        }
        match self.peek_type()? {
            TokenType::StreamEnd => Ok(None),
            TokenType::VersionDirective | TokenType::TagDirective | TokenType::DocumentStart => {
                self.directives()?;
                let token = self.peek()?;
                let (typ, start) = (token.typ, token.start);
                if typ != TokenType::DocumentStart {
                    return self.error(
                        "did not find expected <document start>",
                        start,
                        Mark::default(),
                    );
                }
                self.take()?;
                Ok(Some(true))
            }
            _ if first => {
                self.directives()?;
                Ok(Some(false))
            }
            _ => {
                let start = self.peek()?.start;
                self.error(
                    "did not find expected <document start>",
                    start,
                    Mark::default(),
                )
            }
        }
    }

    fn directives(&mut self) -> Result<()> {
        let mut version = false;
        loop {
            match self.peek_type()? {
                TokenType::VersionDirective => {
                    let token = self.take()?;
                    if std::mem::replace(&mut version, true) {
                        return self.error(
                            "found duplicate %YAML directive",
                            token.start,
                            Mark::default(),
                        );
                    }
                    if token.value != "1.1" {
                        return self.error(
                            "found incompatible YAML document",
                            token.start,
                            Mark::default(),
                        );
                    }
                }
                TokenType::TagDirective => {
                    let token = self.take()?;
                    if self.tags.iter().any(|(handle, _)| *handle == token.value) {
                        return self.error(
                            "found duplicate %TAG directive",
                            token.start,
                            Mark::default(),
                        );
                    }
                    self.tags.push((token.value.into(), token.suffix));
                }
                _ => break,
            }
        }
        for (handle, prefix) in [("!", "!"), ("!!", YAML_TAG)] {
            if !self.tags.iter().any(|(known, _)| known == handle) {
                self.tags.push((handle.into(), prefix.into()));
            }
        }
        Ok(())
    }

    fn add(&mut self, start: Mark, properties: Properties, kind: NodeKind<'t>) -> NodeId {
        let id = self.nodes.len();
        self.nodes.push(Node {
            start: start.into(),
            tag: properties.tag,
            kind,
        });
        if let Some(anchor) = properties.anchor {
            self.anchors.insert(anchor, id);
        }
        id
    }

    fn empty_scalar(&mut self, mark: Mark) -> NodeId {
        self.add(mark, Properties::default(), empty(true))
    }

    fn node(&mut self, block: bool, indentless: bool) -> Result<NodeId> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let start = self.peek()?.start;
            return self.error(&format!("exceeded max depth of {DEPTH_MAX}"), start, start);
        }
        let id = self.node_inside(block, indentless);
        self.depth -= 1;
        id
    }

    fn node_inside(&mut self, block: bool, indentless: bool) -> Result<NodeId> {
        if self.peek_type()? == TokenType::Alias {
            return self.alias();
        }
        let start = self.peek()?.start;
        let properties = self.properties(start)?;
        let token = self.peek()?;
        let (typ, token_start) = (token.typ, token.start);
        let implicit = properties.tag.is_none();
        let kind = match typ {
            TokenType::BlockEntry if indentless => NodeKind::Sequence(Vec::new()),
            TokenType::FlowSequenceStart => NodeKind::Sequence(Vec::new()),
            TokenType::BlockSequenceStart if block => NodeKind::Sequence(Vec::new()),
            TokenType::FlowMappingStart => NodeKind::Mapping(Vec::new()),
            TokenType::BlockMappingStart if block => NodeKind::Mapping(Vec::new()),
            TokenType::Scalar => {
                let token = self.take()?;
                let no_tag = properties.tag.as_deref() == Some("!");
                let kind = NodeKind::Scalar {
                    value: token.value,
                    style: token.style,
                    implicit: (implicit && token.style == Style::Plain) || no_tag,
                };
                return Ok(self.add(start, properties, kind));
            }
            _ if properties.anchor.is_some() || !implicit => {
                return Ok(self.add(start, properties, empty(implicit)));
            }
            _ => return self.error("did not find expected node content", token_start, start),
        };
        let id = self.add(start, properties, kind);
        match typ {
            TokenType::BlockEntry => self.indentless_sequence(id)?,
            TokenType::BlockSequenceStart => self.block_sequence(id)?,
            TokenType::BlockMappingStart => self.block_mapping(id)?,
            TokenType::FlowSequenceStart => self.flow_sequence(id)?,
            _ => self.flow_mapping(id)?,
        }
        Ok(id)
    }

    fn alias(&mut self) -> Result<NodeId> {
        let token = self.take()?;
        let Some(&target) = self.anchors.get(&*token.value) else {
            return Err(Error::Syntax {
                line: None,
                true_line: token.start.line + 1,
                column: token.start.column + 1,
                message: format!("unknown anchor '{}' referenced", token.value),
            });
        };
        let kind = NodeKind::Alias {
            name: token.value.into(),
            target,
        };
        Ok(self.add(token.start, Properties::default(), kind))
    }

    /// Reads an anchor and a tag in either order.
    fn properties(&mut self, start: Mark) -> Result<Properties> {
        let (mut anchor, mut tag) = (None, None);
        loop {
            match self.peek_type()? {
                TokenType::Anchor if anchor.is_none() => anchor = Some(self.take()?.value.into()),
                TokenType::Tag if tag.is_none() => tag = Some(self.take()?),
                _ => break,
            }
        }
        let tag = match tag {
            Some(token) => Some(self.tag(token, start)?).filter(|tag| !tag.is_empty()),
            None => None,
        };
        Ok(Properties { anchor, tag })
    }

    /// Replaces the handle of a tag by its prefix.
    fn tag(&self, token: Token, start: Mark) -> Result<Box<str>> {
        if token.value.is_empty() {
            return Ok(token.suffix.into());
        }
        let prefix = self.tags.iter().find(|(handle, _)| *handle == token.value);
        match prefix {
            Some((_, prefix)) => Ok(format!("{prefix}{}", token.suffix).into()),
            None => self.error("found undefined tag handle", token.start, start),
        }
    }

    fn push_item(&mut self, id: NodeId, item: NodeId) {
        if let NodeKind::Sequence(items) = &mut self.nodes[id].kind {
            items.push(item);
        }
    }

    fn push_pair(&mut self, id: NodeId, key: NodeId, value: NodeId) {
        if let NodeKind::Mapping(pairs) = &mut self.nodes[id].kind {
            pairs.push((key, value));
        }
    }

    fn block_sequence(&mut self, id: NodeId) -> Result<()> {
        let context = self.take()?.start;
        loop {
            match self.peek_type()? {
                TokenType::BlockEntry => {
                    let mark = self.take()?.end;
                    let item = match self.peek_type()? {
                        TokenType::BlockEntry | TokenType::BlockEnd => self.empty_scalar(mark),
                        _ => self.node(true, false)?,
                    };
                    self.push_item(id, item);
                }
                TokenType::BlockEnd => {
                    self.take()?;
                    return Ok(());
                }
                _ => {
                    let start = self.peek()?.start;
                    return self.error("did not find expected '-' indicator", start, context);
                }
            }
        }
    }

    fn indentless_sequence(&mut self, id: NodeId) -> Result<()> {
        while self.peek_type()? == TokenType::BlockEntry {
            let mark = self.take()?.end;
            let item = match self.peek_type()? {
                TokenType::BlockEntry | TokenType::Key | TokenType::Value | TokenType::BlockEnd => {
                    self.empty_scalar(mark)
                }
                _ => self.node(true, false)?,
            };
            self.push_item(id, item);
        }
        Ok(())
    }

    fn block_mapping(&mut self, id: NodeId) -> Result<()> {
        let context = self.take()?.start;
        loop {
            let key = match self.peek_type()? {
                TokenType::Key => {
                    let mark = self.take()?.end;
                    match self.peek_type()? {
                        TokenType::Key | TokenType::Value | TokenType::BlockEnd => {
                            self.empty_scalar(mark)
                        }
                        _ => self.node(true, true)?,
                    }
                }
                TokenType::BlockEnd => {
                    self.take()?;
                    return Ok(());
                }
                _ => {
                    let start = self.peek()?.start;
                    return self.error("did not find expected key", start, context);
                }
            };
            let value = if self.peek_type()? == TokenType::Value {
                let mark = self.take()?.end;
                match self.peek_type()? {
                    TokenType::Key | TokenType::Value | TokenType::BlockEnd => {
                        self.empty_scalar(mark)
                    }
                    _ => self.node(true, true)?,
                }
            } else {
                let mark = self.peek()?.start;
                self.empty_scalar(mark)
            };
            self.push_pair(id, key, value);
        }
    }

    fn flow_sequence(&mut self, id: NodeId) -> Result<()> {
        let context = self.take()?.start;
        let mut first = true;
        loop {
            if self.peek_type()? != TokenType::FlowSequenceEnd && !first {
                if self.peek_type()? != TokenType::FlowEntry {
                    let start = self.peek()?.start;
                    return self.error("did not find expected ',' or ']'", start, context);
                }
                self.take()?;
            }
            first = false;
            let item = match self.peek_type()? {
                TokenType::FlowSequenceEnd => {
                    self.take()?;
                    return Ok(());
                }
                TokenType::Key => self.single_pair()?,
                _ => self.node(false, false)?,
            };
            self.push_item(id, item);
        }
    }

    /// `[a: b]` is a sequence of one mapping with one pair.
    fn single_pair(&mut self) -> Result<NodeId> {
        let token = self.take()?;
        let kind = NodeKind::Mapping(Vec::new());
        let id = self.add(token.start, Properties::default(), kind);
        let key = match self.peek_type()? {
            TokenType::Value | TokenType::FlowEntry | TokenType::FlowSequenceEnd => {
                // go-yaml loses this token.
                let lost = self.take()?;
                self.empty_scalar(lost.end)
            }
            _ => self.node(false, false)?,
        };
        let mark = self.peek()?.start;
        let mut value = None;
        if self.peek_type()? == TokenType::Value {
            self.take()?;
            if !matches!(
                self.peek_type()?,
                TokenType::FlowEntry | TokenType::FlowSequenceEnd
            ) {
                value = Some(self.node(false, false)?);
            }
        }
        let value = value.unwrap_or_else(|| self.empty_scalar(mark));
        self.push_pair(id, key, value);
        Ok(id)
    }

    fn flow_mapping(&mut self, id: NodeId) -> Result<()> {
        let context = self.take()?.start;
        let mut first = true;
        loop {
            if self.peek_type()? != TokenType::FlowMappingEnd && !first {
                if self.peek_type()? != TokenType::FlowEntry {
                    let start = self.peek()?.start;
                    return self.error("did not find expected ',' or '}'", start, context);
                }
                self.take()?;
            }
            first = false;
            match self.peek_type()? {
                TokenType::FlowMappingEnd => {
                    self.take()?;
                    return Ok(());
                }
                TokenType::Key => {
                    self.take()?;
                    let token = self.peek()?;
                    let (typ, mark) = (token.typ, token.start);
                    let key = match typ {
                        TokenType::Value | TokenType::FlowEntry | TokenType::FlowMappingEnd => {
                            self.empty_scalar(mark)
                        }
                        _ => self.node(false, false)?,
                    };
                    let value = self.flow_value()?;
                    self.push_pair(id, key, value);
                }
                _ => {
                    let key = self.node(false, false)?;
                    let mark = self.peek()?.start;
                    let value = self.empty_scalar(mark);
                    self.push_pair(id, key, value);
                }
            }
        }
    }

    fn flow_value(&mut self) -> Result<NodeId> {
        let mark = self.peek()?.start;
        if self.peek_type()? == TokenType::Value {
            self.take()?;
            if !matches!(
                self.peek_type()?,
                TokenType::FlowEntry | TokenType::FlowMappingEnd
            ) {
                return self.node(false, false);
            }
        }
        Ok(self.empty_scalar(mark))
    }
}
