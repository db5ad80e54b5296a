//! What a template may ask of the outer world; everything has an answer that
//! touches nothing.

use crate::value::{Entries, Value};

/// The world outside of a rendering.
pub trait Host {
    /// Answers `lookup`: an object or a list, or an empty map.
    ///
    /// # Errors
    ///
    /// A text for the template's error.
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Value, String> {
        let _ = (api_version, kind, namespace, name);
        Ok(Value::map(Entries::new()))
    }

    /// In lint mode `required` and `fail` do not fail.
    fn lint_mode(&self) -> bool {
        false
    }

    /// The time that `now` gives.
    fn now(&self) -> jiff::Zoned {
        jiff::Zoned::now()
    }

    /// A seed that makes random functions repeatable; `None` asks for true
    /// randomness.
    fn seed(&self) -> Option<u64> {
        None
    }
}

/// A host that answers with the defaults.
pub struct NoHost;

impl Host for NoHost {}
