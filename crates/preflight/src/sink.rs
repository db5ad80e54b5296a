//! Where rules put what they find.
//!
//! Main type: [`Sink`]. A [`Draft`] knows its object and field; `locate` adds
//! the places.

use crate::object::Object;
use crate::report::{ObjectName, Severity};

/// A finding without its places.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub severity: Severity,
    pub rule: &'static str,
    pub object: Option<ObjectName>,
    /// Index of the object among the world's.
    pub index: Option<usize>,
    pub field: String,
    pub message: String,
    pub fix: Option<String>,
    /// A value of the user that decides it, by its path.
    pub value_path: Option<Vec<String>>,
    /// Whether the value may be shown.
    pub secret: bool,
    /// Whether the API refuses the object because of it.
    pub refused: bool,
}

impl Draft {
    pub fn fix(&mut self, fix: impl Into<String>) -> &mut Draft {
        self.fix = Some(fix.into());
        self
    }

    /// Says that the API refuses the object because of it.
    pub fn refused(&mut self) -> &mut Draft {
        self.refused = true;
        self
    }

    pub fn secret(&mut self) -> &mut Draft {
        self.secret = true;
        self
    }
}

/// Everything found so far.
#[derive(Default)]
pub struct Sink {
    drafts: Vec<Draft>,
}

impl Sink {
    /// Adds a finding about a field of an object.
    pub fn add(
        &mut self,
        severity: Severity,
        rule: &'static str,
        object: &Object,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Draft {
        self.push(Draft {
            severity,
            rule,
            object: Some(object.id.clone()),
            index: Some(object.index),
            field: field.into(),
            message: message.into(),
            fix: None,
            value_path: None,
            secret: false,
            refused: false,
        })
    }

    /// Adds a finding about no single object.
    pub fn general(
        &mut self,
        severity: Severity,
        rule: &'static str,
        message: impl Into<String>,
    ) -> &mut Draft {
        self.push(Draft {
            severity,
            rule,
            object: None,
            index: None,
            field: String::new(),
            message: message.into(),
            fix: None,
            value_path: None,
            secret: false,
            refused: false,
        })
    }

    fn push(&mut self, draft: Draft) -> &mut Draft {
        self.drafts.push(draft);
        self.drafts.last_mut().expect("it was pushed above")
    }

    pub fn finish(self) -> Vec<Draft> {
        self.drafts
    }
}
