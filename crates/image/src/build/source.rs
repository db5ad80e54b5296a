//! Where `COPY` takes files from: a context directory, a stage, an image:
//! [`Source`].

use std::path::{Path, PathBuf};

use super::BuildError;
use super::ignore::Ignore;
use crate::rootfs::{Found, FoundKind, View, ViewError};

/// A tree to copy from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) view: View,
    ignore: Ignore,
    /// Owners are kept from stages and images; a context's files become root's
    /// (and so does not depend on who builds).
    pub(crate) keeps_owners: bool,
}

impl Source {
    /// Returns a directory of this machine, with its `.dockerignore`; a
    /// Dockerfile may have one of its own beside it.
    pub(crate) fn directory(
        dir: &Path,
        own_ignore: Option<&(PathBuf, String)>,
    ) -> Result<Self, BuildError> {
        let context = |source| BuildError::Context {
            path: dir.to_owned(),
            source,
        };
        let dir = dir.canonicalize().map_err(context)?;
        if !dir.is_dir() {
            return Err(context(std::io::ErrorKind::NotADirectory.into()));
        }
        let ignore = match own_ignore {
            Some((path, text)) => parse_ignore(path, text)?,
            None => read_ignore(&dir.join(".dockerignore"))?,
        };
        Ok(Self {
            view: View::new([dir]),
            ignore,
            keeps_owners: false,
        })
    }

    /// Returns the tree of a stage or image.
    pub(crate) fn layers(layers: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            view: View::new(layers),
            ignore: Ignore::default(),
            keeps_owners: true,
        }
    }

    /// Returns whether a path is hidden by the `.dockerignore`.
    pub(crate) fn hides(&self, path: &Path) -> bool {
        let text = path.to_string_lossy();
        let text = text.trim_start_matches('/');
        !text.is_empty() && self.ignore.excludes(text)
    }

    /// Returns what a path names, links followed; hidden files do not exist.
    pub(crate) fn find(&self, path: &Path) -> Result<Option<Found>, ViewError> {
        let found = self.view.find(path)?;
        Ok(found.filter(|found| !self.hides(&found.path) || self.may_hold(found)))
    }

    /// Returns what is in a directory and not hidden.
    pub(crate) fn children(&self, directory: &Found) -> Result<Vec<Found>, ViewError> {
        let mut children = self.view.children(directory)?;
        children.retain(|child| !self.hides(&child.path) || self.may_hold(child));
        Ok(children)
    }

    /// Returns whether a directory is hidden itself, and only walked because a
    /// later rule may bring back something in it.
    pub(crate) fn only_walked(&self, found: &Found) -> bool {
        self.hides(&found.path)
    }

    fn may_hold(&self, found: &Found) -> bool {
        found.kind == FoundKind::Directory && self.ignore.may_bring_back()
    }
}

fn read_ignore(path: &Path) -> Result<Ignore, BuildError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Ignore::default()),
        Err(source) => {
            return Err(BuildError::Context {
                path: path.to_owned(),
                source,
            });
        }
    };
    parse_ignore(path, &text)
}

fn parse_ignore(path: &Path, text: &str) -> Result<Ignore, BuildError> {
    Ignore::parse(text).map_err(|(line, reason)| BuildError::Ignore {
        path: path.to_owned(),
        line,
        reason,
    })
}
