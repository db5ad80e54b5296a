//! Field selectors: `metadata.name=a,status.phase!=Running`.
//!
//! [`FieldSelector`] knows the grammar and how to match; which fields a kind
//! offers is the caller's table.

use std::fmt;

/// Why a field selector is refused. Messages follow upstream's wording
/// (`k8s.io/apimachinery/pkg/fields`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A term has no operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole selector.
        selector: String,
        /// The term without an operator.
        term: String,
    },
    /// A backslash stands before something that needs none.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// A comma or an equals sign in a value is not escaped. Upstream prints
    /// the character's number.
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    Unescaped(char),
}

/// One condition on one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRequirement {
    /// Path of the field as the client wrote it, such as `status.phase`.
    pub field: String,
    /// Whether the field must equal the value, or differ from it.
    pub equal: bool,
    /// The value, unescaped.
    pub value: String,
}

/// A conjunction of conditions on fields. The default selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Reads a selector; an empty text selects everything.
    ///
    /// # Errors
    /// When a term has no operator or a value is badly escaped.
    pub fn parse(text: &str) -> Result<FieldSelector, FieldError> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let terms = terms.into_iter().filter(|term| !term.is_empty());
        let requirements = terms
            .map(|term| requirement(text, term))
            .collect::<Result<Vec<_>, _>>()?;
        // A term without field and value, such as `=`, restricts nothing.
        let restricts = |requirement: &FieldRequirement| {
            !(requirement.field.is_empty() && requirement.value.is_empty())
        };
        Ok(FieldSelector {
            requirements: requirements.into_iter().filter(restricts).collect(),
        })
    }

    /// The requirements, in the order of their texts.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Whether every object matches.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The one value that `field` must have, if the selector asks for one.
    pub fn exact(&self, field: &str) -> Option<&str> {
        let requirement = self
            .requirements
            .iter()
            .find(|requirement| requirement.equal && requirement.field == field);
        requirement.map(|requirement| requirement.value.as_str())
    }

    /// Whether an object matches, given a look-up of its fields; an absent
    /// field counts as an empty text.
    pub fn matches<V: AsRef<str>>(&self, get: impl Fn(&str) -> Option<V>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = get(&requirement.field);
            let equal = value.as_ref().map_or("", AsRef::as_ref) == requirement.value;
            equal == requirement.equal
        })
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (
            index,
            FieldRequirement {
                field,
                equal,
                value,
            },
        ) in self.requirements.iter().enumerate()
        {
            let separator = if index == 0 { "" } else { "," };
            let operator = if *equal { "=" } else { "!=" };
            let value = value
                .replace('\\', "\\\\")
                .replace(',', "\\,")
                .replace('=', "\\=");
            write!(f, "{separator}{field}{operator}{value}")?;
        }
        Ok(())
    }
}

/// Splits at commas that no backslash stands before.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn requirement(selector: &str, term: &str) -> Result<FieldRequirement, FieldError> {
    let operators = [("!=", false), ("==", true), ("=", true)];
    for (index, _) in term.char_indices() {
        for (operator, equal) in operators {
            if let Some(value) = term[index..].strip_prefix(operator) {
                let value = unescape(value)?;
                return Ok(FieldRequirement {
                    field: term[..index].to_owned(),
                    equal,
                    value,
                });
            }
        }
    }
    Err(FieldError::Term {
        selector: selector.to_owned(),
        term: term.to_owned(),
    })
}

fn unescape(value: &str) -> Result<String, FieldError> {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                Some(other) => return Err(FieldError::Escape(format!("\\{other}"))),
                None => return Err(FieldError::Escape("\\".to_owned())),
            },
            ',' | '=' => return Err(FieldError::Unescaped(character)),
            _ => plain.push(character),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let printed = match FieldSelector::parse(text) {
            Ok(selector) => selector.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(printed, expected, "{text}");
    }

    #[test]
    fn texts() {
        check("", "");
        check("a=b", "a=b");
        check("a==b", "a=b");
        check(
            "status.phase!=Succeeded,spec.nodeName=n",
            "spec.nodeName=n,status.phase!=Succeeded",
        );
        check("a=", "a=");
        check(",,a=b,", "a=b");
        check(r"a=b\,c\=d\\e", r"a=b\,c\=d\\e");
        check("=", "");
        check("a", "error: invalid selector: 'a'; can't understand 'a'");
        check(
            r"a=\x",
            r"error: invalid field selector: invalid escape sequence: \x",
        );
        check(
            r"a=b\",
            r"error: invalid field selector: invalid escape sequence: \",
        );
        check(
            "a=b=c",
            "error: invalid field selector: unescaped character in value: 61",
        );
    }

    #[test]
    fn matching() {
        let fields = |name: &str| (name == "status.phase").then_some("Running");
        let check = |text: &str| FieldSelector::parse(text).expect("valid").matches(fields);
        assert!(check("status.phase=Running"));
        assert!(!check("status.phase!=Running"));
        assert!(check("status.phase!=Failed,status.phase!=Succeeded"));
        assert!(check("spec.nodeName="));
        assert!(!check("spec.nodeName=n"));
    }
}
