//! A table whose wanted state is kept in parts.
//!
//! Main type: [`Table`]. An owner hands in its new fragment; only the
//! difference goes to the kernel, so one endpoint among thousands of services
//! costs one element.

use std::collections::BTreeMap;

use super::commit::Sink;
use super::diff::{self, Change, Op};
use super::fragment::Fragment;
use crate::error::{Error, Result};

/// A table and what is in it.
#[derive(Debug)]
pub struct Table<S> {
    name: String,
    sink: S,
    fragments: BTreeMap<String, Fragment>,
    made: bool,
    uncertain: bool,
}

/// An owner's new fragment; `None` takes away all it wanted.
pub type Wanted = (String, Option<Fragment>);

impl<S: Sink> Table<S> {
    /// Returns an empty table; the first change makes it in the kernel.
    pub fn new(name: &str, sink: S) -> Self {
        Table {
            name: name.to_owned(),
            sink,
            fragments: BTreeMap::new(),
            made: false,
            uncertain: false,
        }
    }

    /// Returns the table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what an owner wants now.
    pub fn fragment(&self, owner: &str) -> Option<&Fragment> {
        self.fragments.get(owner)
    }

    /// Returns the owners.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        self.fragments.keys().map(String::as_str)
    }

    /// Returns where changes go.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Makes the owners' new fragments true, all in one transaction where it fits.
    ///
    /// Returns the number of edits.
    ///
    /// # Errors
    /// Nothing has changed then, unless the change was too large for one
    /// transaction: then [`Error::Uncertain`] answers all further changes.
    pub fn apply(&mut self, wanted: Vec<Wanted>) -> Result<usize> {
        if self.uncertain {
            return Err(Error::Uncertain(self.name.clone()));
        }
        let changes: Vec<_> = wanted
            .iter()
            .map(|(owner, new)| Change {
                old: self.fragments.get(owner),
                new: new.as_ref(),
            })
            .collect();
        let mut groups = diff::difference(&changes);
        if !self.made {
            groups.insert(0, vec![Op::AddTable]);
        }
        let edits = groups.iter().map(Vec::len).sum();
        if edits > 0
            && let Err(failure) = self.sink.commit(&self.name, &groups)
        {
            self.uncertain = failure.partly;
            return Err(failure.error);
        }
        self.made = true;
        self.remember(wanted);
        Ok(edits)
    }

    /// Deletes the table with all in it.
    pub fn delete(&mut self) -> Result<()> {
        let groups = [vec![Op::AddTable, Op::DeleteTable]];
        self.sink
            .commit(&self.name, &groups)
            .map_err(|failure| failure.error)?;
        self.fragments.clear();
        self.made = false;
        self.uncertain = false;
        Ok(())
    }

    /// Takes over what is in the kernel now.
    pub(super) fn adopt(&mut self, fragments: BTreeMap<String, Fragment>) {
        self.fragments = fragments;
        self.made = true;
        self.uncertain = false;
    }

    fn remember(&mut self, wanted: Vec<Wanted>) {
        for (owner, fragment) in wanted {
            match fragment {
                Some(fragment) if !fragment.is_empty() => {
                    self.fragments.insert(owner, fragment);
                }
                _ => {
                    self.fragments.remove(&owner);
                }
            }
        }
    }
}
