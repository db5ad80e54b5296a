//! Field paths as Kubernetes writes them: `spec.containers[0].ports[1].name`.
//!
//! [`Path`] is a list on the stack: walking down costs nothing, text is made
//! only when an error needs it.

use std::fmt;

/// A place inside an object.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
    Key(&'a str),
    Entry(&'a str),
}

impl<'a> Path<'a> {
    /// The whole object; prints as nothing.
    pub const ROOT: Path<'static> = Path {
        parent: None,
        step: Step::Root,
    };

    /// The whole object where upstream names it by an empty path, which prints
    /// as brackets.
    pub const WHOLE: Path<'static> = Path {
        parent: None,
        step: Step::Key(""),
    };

    /// Starts a path at a field of the object; `name` may be dotted.
    pub const fn new(name: &'a str) -> Path<'a> {
        Path {
            parent: None,
            step: Step::Field(name),
        }
    }

    /// Goes to a field; `name` may be dotted.
    pub const fn field(&'a self, name: &'a str) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Field(name),
        }
    }

    /// Goes to an element of a list.
    pub const fn index(&'a self, index: usize) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Index(index),
        }
    }

    /// Goes to a key of a map, written in brackets.
    pub const fn key(&'a self, key: &'a str) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    /// Goes to an entry of a map, written like a field.
    pub const fn entry(&'a self, key: &'a str) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Entry(key),
        }
    }

    fn is_root(&self) -> bool {
        matches!(self.step, Step::Root) && self.parent.is_none_or(Path::is_root)
    }

    /// The path without list indices and map keys, dotted, as Go's decoder names fields.
    pub(crate) fn without_indices(&self) -> String {
        let mut text = match self.parent {
            Some(parent) => parent.without_indices(),
            None => String::new(),
        };
        if let Step::Field(name) = self.step {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(name);
        }
        text
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) | Step::Entry(name) if self.parent.is_none_or(Path::is_root) => {
                f.write_str(name)
            }
            Step::Field(name) | Step::Entry(name) => write!(f, ".{name}"),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_upstream_writes_them() {
        let spec = Path::new("spec");
        let containers = spec.field("containers");
        let first = containers.index(0);
        let image = first.field("image");
        assert_eq!(image.to_string(), "spec.containers[0].image");
        assert_eq!(image.without_indices(), "spec.containers.image");
        let metadata = Path::ROOT.field("metadata");
        assert_eq!(
            metadata.field("annotations").key("a/b").to_string(),
            "metadata.annotations[a/b]"
        );
        assert_eq!(Path::ROOT.to_string(), "");
    }
}
