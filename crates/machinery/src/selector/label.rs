//! Label selectors: requirements, matching, and the object form.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde_json::{Map, Value};

use super::names::{label_key_errors, label_value_errors};
use super::parse;

/// Why a label selector is refused. Messages follow upstream's wording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The text does not follow the grammar.
    #[error("found '{found}', expected: {expected}")]
    Unexpected {
        /// The offending token.
        found: String,
        /// What the grammar allows there.
        expected: &'static str,
    },
    /// A set is not opened where one must be.
    #[error("found '{found}' expected: '('")]
    NoSet {
        /// The offending token.
        found: String,
    },
    /// A requirement is not valid: a wrong key, value or number of values.
    #[error("{0}")]
    Invalid(String),
    /// A requirement of a query text is not valid.
    #[error("unable to parse requirement: {0}")]
    Requirement(Box<LabelError>),
    /// `matchExpressions` names an unknown operator.
    #[error("{0:?} is not a valid label selector operator")]
    Operator(String),
    /// The object has not the shape of a label selector.
    #[error("label selector: {0} has the wrong type")]
    Shape(&'static str),
}

/// How a requirement relates a label to its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// `key=value`
    Equals,
    /// `key==value`
    DoubleEquals,
    /// `key!=value`; also holds where the label is absent.
    NotEquals,
    /// `key in (a,b)`
    In,
    /// `key notin (a,b)`; also holds where the label is absent.
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key>5`
    GreaterThan,
    /// `key<5`
    LessThan,
}

/// Something whose labels can be looked up.
pub trait Labels {
    /// Returns the value of the label `key`.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for Map<String, Value> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl Labels for HashMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl<K: AsRef<str>, V: AsRef<str>> Labels for [(K, V)] {
    fn label(&self, key: &str) -> Option<&str> {
        self.iter()
            .find(|(name, _)| name.as_ref() == key)
            .map(|(_, value)| value.as_ref())
    }
}

impl<L: Labels> Labels for Option<L> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref()?.label(key)
    }
}

impl<L: Labels + ?Sized> Labels for &L {
    fn label(&self, key: &str) -> Option<&str> {
        (**self).label(key)
    }
}

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRequirement {
    key: String,
    operator: Operator,
    /// Sorted where they came from a text.
    values: Vec<String>,
}

impl LabelRequirement {
    /// Checks and builds a requirement.
    ///
    /// # Errors
    /// When the key, a value, or the number of values does not fit the operator.
    pub fn new(
        key: &str,
        operator: Operator,
        values: Vec<String>,
    ) -> Result<LabelRequirement, LabelError> {
        let mut errors = Vec::new();
        let key_errors = label_key_errors(key);
        if !key_errors.is_empty() {
            errors.push(format!(
                "key: Invalid value: {key:?}: {}",
                key_errors.join("; ")
            ));
        }
        errors.extend(count_error(operator, &values));
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            for (index, value) in values
                .iter()
                .enumerate()
                .filter(|(_, value)| value.parse::<i64>().is_err())
            {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(format!(
                    "values[{index}]: Invalid value: {value:?}: {detail}"
                ));
            }
        }
        for (index, value) in values.iter().enumerate() {
            let value_errors = label_value_errors(value);
            if !value_errors.is_empty() {
                errors.push(format!(
                    "values[{index}][{key}]: Invalid value: {value:?}: {}",
                    value_errors.join("; ")
                ));
            }
        }
        match &mut errors[..] {
            [] => Ok(LabelRequirement {
                key: key.to_owned(),
                operator,
                values,
            }),
            [one] => Err(LabelError::Invalid(std::mem::take(one))),
            many => Err(LabelError::Invalid(format!("[{}]", many.join(", ")))),
        }
    }

    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The operator.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The values; empty for `Exists` and `DoesNotExist`.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether labels satisfy this requirement.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        let label = labels.label(&self.key);
        let listed = |label: &str| self.values.iter().any(|value| value == label);
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => label.is_some_and(listed),
            Operator::NotEquals | Operator::NotIn => !label.is_some_and(listed),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan => self
                .numbers(label)
                .is_some_and(|(label, value)| label > value),
            Operator::LessThan => self
                .numbers(label)
                .is_some_and(|(label, value)| label < value),
        }
    }

    fn numbers(&self, label: Option<&str>) -> Option<(i64, i64)> {
        Some((label?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

fn count_error(operator: Operator, values: &[String]) -> Option<String> {
    let detail = match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            "for 'in', 'notin' operators, values set can't be empty"
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
            "exact-match compatibility requires one single value"
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            "values set must be empty for exists and does not exist"
        }
        Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
            "for 'Gt', 'Lt' operators, exactly one value is required"
        }
        _ => return None,
    };
    let list = Value::from(values.to_vec());
    Some(format!("values: Invalid value: {list}: {detail}"))
}

impl fmt::Display for LabelRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        values.sort_unstable();
        let (key, values) = (&self.key, values.join(","));
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// A conjunction of requirements on labels.
///
/// The default selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    /// Sorted by key.
    requirements: Vec<LabelRequirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Returns the selector that matches no object at all.
    pub fn nothing() -> LabelSelector {
        LabelSelector {
            requirements: Vec::new(),
            nothing: true,
        }
    }

    /// Returns the selector that is the conjunction of `requirements`.
    pub fn from_requirements(mut requirements: Vec<LabelRequirement>) -> LabelSelector {
        requirements.sort_by(|left, right| left.key.cmp(&right.key));
        LabelSelector {
            requirements,
            nothing: false,
        }
    }

    /// Reads the query form, as in `?labelSelector=app=web,tier in (a,b)`.
    ///
    /// # Errors
    /// When the text does not follow the grammar or a key or value is invalid.
    pub fn parse(text: &str) -> Result<LabelSelector, LabelError> {
        parse::parse(text).map(LabelSelector::from_requirements)
    }

    /// Reads the object form with `matchLabels` and `matchExpressions`.
    /// An absent selector matches nothing, an empty one everything.
    ///
    /// # Errors
    /// When the object has another shape or holds an invalid requirement.
    pub fn from_object(object: Option<&Value>) -> Result<LabelSelector, LabelError> {
        let object = match object {
            None | Some(Value::Null) => return Ok(LabelSelector::nothing()),
            Some(Value::Object(object)) => object,
            Some(_) => return Err(LabelError::Shape("selector")),
        };
        let mut requirements = match object.get("matchLabels") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(labels)) => equalities(labels)?,
            Some(_) => return Err(LabelError::Shape("matchLabels")),
        };
        match object.get("matchExpressions") {
            None | Some(Value::Null) => {}
            Some(Value::Array(expressions)) => {
                for expression in expressions {
                    requirements.push(from_expression(expression)?);
                }
            }
            Some(_) => return Err(LabelError::Shape("matchExpressions")),
        }
        Ok(LabelSelector::from_requirements(requirements))
    }

    /// Reads a plain map of labels, as Services and ReplicationControllers
    /// select. An absent or empty map matches nothing: such a Service has no
    /// pods of its own.
    ///
    /// # Errors
    /// When a key or value is invalid.
    pub fn from_map(labels: Option<&Map<String, Value>>) -> Result<LabelSelector, LabelError> {
        match labels {
            Some(labels) if !labels.is_empty() => {
                equalities(labels).map(LabelSelector::from_requirements)
            }
            _ => Ok(LabelSelector::nothing()),
        }
    }

    /// The requirements, sorted by key.
    pub fn requirements(&self) -> &[LabelRequirement] {
        &self.requirements
    }

    /// Whether every object matches.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether no object can match because the selector is absent.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// Whether labels satisfy every requirement.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        !self.nothing
            && self
                .requirements
                .iter()
                .all(|requirement| requirement.matches(labels))
    }

    /// The one value that label `key` must have, if the selector asks for one.
    pub fn exact(&self, key: &str) -> Option<&str> {
        let requirement = self
            .requirements
            .iter()
            .find(|requirement| requirement.key == key)?;
        match (requirement.operator, &requirement.values[..]) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{requirement}")?;
        }
        Ok(())
    }
}

fn equalities(labels: &Map<String, Value>) -> Result<Vec<LabelRequirement>, LabelError> {
    let equality = |(key, value): (&String, &Value)| {
        let value = value.as_str().ok_or(LabelError::Shape("matchLabels"))?;
        LabelRequirement::new(key, Operator::Equals, vec![value.to_owned()])
    };
    labels.iter().map(equality).collect()
}

fn from_expression(expression: &Value) -> Result<LabelRequirement, LabelError> {
    let text = |name: &str| {
        expression
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let operator = match text("operator") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        unknown => return Err(LabelError::Operator(unknown.to_owned())),
    };
    let values = match expression.get("values") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => {
            let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
            texts
                .collect::<Option<Vec<_>>>()
                .ok_or(LabelError::Shape("values"))?
        }
        Some(_) => return Err(LabelError::Shape("values")),
    };
    LabelRequirement::new(text("key"), operator, values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
        let parsed = LabelSelector::parse(selector).expect("a valid selector");
        assert_eq!(parsed.matches(labels), expected, "{selector}");
    }

    #[test]
    fn matching() {
        let labels = [("a", "1"), ("b", ""), ("n", "12")];
        check("", &labels, true);
        check("a=1", &labels, true);
        check("a==1,b=", &labels, true);
        check("a=2", &labels, false);
        check("a!=2", &labels, true);
        check("c!=2", &labels, true);
        check("a in (1,2)", &labels, true);
        check("a notin (1,2)", &labels, false);
        check("c notin (1)", &labels, true);
        check("c in (1)", &labels, false);
        check("b in ()", &labels, true);
        check("a,b", &labels, true);
        check("!a", &labels, false);
        check("!c", &labels, true);
        check("n>11,n<13", &labels, true);
        check("n>12", &labels, false);
        check("b>1", &labels, false);
    }

    #[test]
    fn objects() {
        let of = |value: Value| LabelSelector::from_object(Some(&value));
        assert!(
            LabelSelector::from_object(None)
                .expect("valid")
                .is_nothing()
        );
        assert!(of(json!({})).expect("valid").is_everything());
        let both = of(json!({
            "matchLabels": {"b": "2", "a": "1"},
            "matchExpressions": [
                {"key": "c", "operator": "NotIn", "values": ["y", "x"]},
                {"key": "d", "operator": "Exists"},
                {"key": "e", "operator": "DoesNotExist"},
            ],
        }));
        assert_eq!(
            both.expect("valid").to_string(),
            "a=1,b=2,c notin (x,y),d,!e"
        );
        let error = of(json!({"matchExpressions": [{"key": "a", "operator": "Is"}]}))
            .expect_err("unknown operator");
        assert_eq!(
            error.to_string(),
            "\"Is\" is not a valid label selector operator"
        );
        let error = of(json!({"matchExpressions": [{"key": "a", "operator": "In", "values": []}]}))
            .expect_err("empty");
        assert_eq!(
            error.to_string(),
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
        );
        assert_eq!(
            of(json!({"matchLabels": []})),
            Err(LabelError::Shape("matchLabels"))
        );
    }

    #[test]
    fn exact_values() {
        let selector = LabelSelector::parse("a=1,b in (2),c in (3,4),d!=5").expect("valid");
        assert_eq!(selector.exact("a"), Some("1"));
        assert_eq!(selector.exact("b"), Some("2"));
        assert_eq!(selector.exact("c"), None);
        assert_eq!(selector.exact("d"), None);
    }
}
