//! A set of templates that can see each other.
//!
//! Main type: [`Set`]. `tpl` works in a set on top of the caller's: it sees
//! everything below, and what it defines is gone when it returns.

use crate::funcs::Functions;
use crate::hash::NameMap;
use crate::parse::{ParseError, parse};
use crate::tree::Tree;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Named templates, and the set below.
#[derive(Default)]
pub struct Set {
    trees: RefCell<NameMap<Arc<str>, Arc<Tree>>>,
    below: Option<Rc<Set>>,
}

impl Set {
    /// Makes an empty set.
    pub fn new() -> Self {
        Set::default()
    }

    /// Makes an empty set on top of another.
    pub fn above(below: Rc<Set>) -> Self {
        Set {
            trees: RefCell::default(),
            below: Some(below),
        }
    }

    /// Parses a text and adds the templates that it defines. Returns the tree
    /// of the text itself.
    ///
    /// # Errors
    ///
    /// Those of the parser.
    pub fn parse(
        &self,
        name: &str,
        text: impl Into<Arc<[u8]>>,
        functions: &Functions,
    ) -> Result<Arc<Tree>, ParseError> {
        let trees = parse(name, text.into(), functions)?;
        let main = trees[0].clone();
        self.add_all(trees);
        Ok(main)
    }

    /// Adds the templates of a text.
    pub fn add_all(&self, trees: Vec<Arc<Tree>>) {
        for tree in trees {
            self.add(tree);
        }
    }

    /// Adds a template. The last one of a name wins, but an empty one does not
    /// replace another.
    pub fn add(&self, tree: Arc<Tree>) {
        if tree.root.is_empty_tree() && self.lookup(&tree.name).is_some() {
            return;
        }
        self.trees.borrow_mut().insert(tree.name.clone(), tree);
    }

    /// Finds a template.
    pub fn lookup(&self, name: &str) -> Option<Arc<Tree>> {
        if let Some(tree) = self.trees.borrow().get(name) {
            return Some(tree.clone());
        }
        self.below.as_ref()?.lookup(name)
    }

    /// Returns the names that look most like `name`, nearest first.
    pub fn near(&self, name: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let mut set = Some(self);
        while let Some(here) = set {
            names.extend(here.trees.borrow().keys().map(|name| name.to_string()));
            set = here.below.as_deref();
        }
        crate::near::nearest(name, names)
    }
}
