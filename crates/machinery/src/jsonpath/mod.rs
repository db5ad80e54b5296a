//! JSONPath in kubectl's dialect: `{.spec.containers[*].name}`.
//!
//! [`JsonPath`] serves the printer columns of custom resources and whatever
//! else takes such paths. It follows `k8s.io/client-go/util/jsonpath`: text
//! outside braces stands for itself, missing keys are no error, members of
//! maps come in the order they are stored in (upstream's is random).

mod eval;
mod parse;

use std::borrow::Cow;

use serde_json::Value;

/// Templates have at most this many bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Why a path cannot be read or evaluated. Messages follow upstream's wording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The text does not follow the grammar.
    #[error("{0}")]
    Syntax(String),
    /// The path does not fit the value: an index outside a list, a filter on
    /// something that is none.
    #[error("{0}")]
    Evaluation(String),
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    blocks: Vec<Block>,
}

/// A piece of a template that gives one group of results.
#[derive(Debug, Clone, PartialEq)]
enum Block {
    /// A text, or the steps between a pair of braces.
    Steps(Vec<Step>),
    /// `{range …}` to `{end}`: the inner blocks once for every result.
    Range(Vec<Step>, Vec<Block>),
}

/// One step from values to values.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Text(Value),
    Field(String),
    Slice(Slice),
    Filter(Vec<Step>, Option<(Comparison, Vec<Step>)>),
    Wildcard,
    Recursive,
    Union(Vec<Vec<Step>>),
}

/// `[from:to:step]`, or a single index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    step: Option<i64>,
    single: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    Greater,
    Equal,
    NotEqual,
    LessEqual,
    GreaterEqual,
}

impl JsonPath {
    /// Reads a template such as `{range .items[*]}{.metadata.name}{"\n"}{end}`.
    ///
    /// # Errors
    /// When the text does not follow the grammar.
    pub fn parse(template: &str) -> Result<JsonPath, PathError> {
        parse::parse(template).map(|blocks| JsonPath { blocks })
    }

    /// Reads a bare path such as `.status.phase`, as printer columns have it.
    ///
    /// # Errors
    /// When the text does not follow the grammar.
    pub fn parse_path(path: &str) -> Result<JsonPath, PathError> {
        JsonPath::parse(&format!("{{{path}}}"))
    }

    /// Returns what every piece of the template finds in `value`.
    ///
    /// # Errors
    /// When the path does not fit the value.
    pub fn find<'v>(&self, value: &'v Value) -> Result<Vec<Vec<Cow<'v, Value>>>, PathError> {
        eval::find(&self.blocks, &Cow::Borrowed(value))
    }

    /// Returns the first thing found, which is what a printer column shows.
    pub fn first<'v>(&self, value: &'v Value) -> Option<Cow<'v, Value>> {
        self.find(value)
            .ok()?
            .into_iter()
            .next()?
            .into_iter()
            .next()
    }

    /// Writes what is found as text: texts plainly, maps and lists as JSON,
    /// several results of one piece with a blank between them.
    ///
    /// # Errors
    /// When the path does not fit the value.
    pub fn render(&self, value: &Value) -> Result<String, PathError> {
        let mut text = String::new();
        for group in self.find(value)? {
            let parts: Vec<String> = group.iter().map(|value| as_text(value)).collect();
            text += &parts.join(" ");
        }
        Ok(text)
    }
}

/// Writes one value as text, as a printer column of type string shows it.
pub fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(_) | Value::Array(_) => eval::sorted(value).to_string(),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        json!({
            "kind": "Pod",
            "metadata": {"name": "p", "labels": {"a.b/c": "d", "e": "f"}},
            "spec": {"containers": [
                {"name": "c", "ports": [{"n": 1}, {"n": 2}], "ready": true},
                {"name": "d", "ports": [{"n": 3}], "ready": false},
            ]},
            "status": {"replicas": 3, "ratio": 0.5, "nothing": null},
        })
    }

    #[track_caller]
    fn check(template: &str, expected: &str) {
        let printed = match JsonPath::parse(template).and_then(|path| path.render(&pod())) {
            Ok(text) => text,
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(printed, expected, "{template}");
    }

    #[test]
    fn fields_and_indices() {
        check("{.metadata.name}", "p");
        check("{$.metadata.name}", "p");
        check("{@.metadata.name}", "p");
        check("{ .kind } is {.metadata.name}", "Pod is p");
        check("{.metadata.labels.a\\.b/c}", "d");
        check("{.metadata.labels['a\\.b/c']}", "d");
        check("{.metadata['name']}", "p");
        check("{.spec.containers[0].name}", "c");
        check("{.spec.containers[-1].name}", "d");
        check("{.spec.containers[*].name}", "c d");
        check("{.spec.containers[0:1].name}", "c");
        check("{.spec.containers[:].name}", "c d");
        check("{.spec.containers[0,1].name}", "c d");
        check(
            "{.metadata['name', 'labels']}",
            "p {\"a.b/c\":\"d\",\"e\":\"f\"}",
        );
        check("{.metadata.labels.*}", "d f");
        check("{..n}", "1 2 3");
        check("{.missing}", "");
        check(
            "{.status.replicas} {.status.ratio} {.status.nothing}",
            "3 0.5 null",
        );
        check(
            "{.status}",
            "{\"nothing\":null,\"ratio\":0.5,\"replicas\":3}",
        );
    }

    #[test]
    fn filters_ranges_and_texts() {
        check("{.spec.containers[?(@.name==\"d\")].ports[0].n}", "3");
        check("{.spec.containers[?(@.name!='d')].name}", "c");
        check("{.spec.containers[?(@.ready==true)].name}", "c");
        check("{.spec.containers[0].ports[?(@.n>1)].n}", "2");
        check("{.spec.containers[?(@.name)].name}", "c d");
        check("{.spec.containers[?(@.bogus)].name}", "");
        check(
            "{range .spec.containers[*]}{.name}:{range .ports[*]}{.n},{end}{\"\\n\"}{end}!",
            "c:1,2,\nd:3,\n!",
        );
        check("{range .missing[*]}{.name}{end}x", "x");
        check("a{\"b\\t\"}c", "ab\tc");
        check("no braces", "no braces");
    }

    #[test]
    fn errors() {
        check("{.a", "error: unclosed action");
        check(
            "{.spec.containers[5].name}",
            "error: array index out of bounds: index 5, length 2",
        );
        check("{.spec.containers[x]}", "error: invalid array index x");
        check("{.spec.containers[0}", "error: unterminated array");
        check("{\"a}", "error: unterminated quoted string");
        check("{end}", "error: not in range, nothing to end");
        check("{bogus}", "error: unrecognized identifier bogus");
        check("{#}", "error: unrecognized character in action: U+0023 '#'");
        check(
            "{.metadata[0]}",
            "error: map[string]interface {} is not array or slice",
        );
        check(
            "{.spec.containers[?(@.name>1)].name}",
            "error: incompatible types for comparison",
        );
        check("{.spec.containers[?(@.name}", "error: unterminated filter");
        check("{....}", "error: invalid multiple recursive descent");
    }

    #[test]
    fn columns() {
        let path = JsonPath::parse_path(".spec.containers[0].name").expect("valid");
        assert_eq!(path.first(&pod()).as_deref(), Some(&json!("c")));
        let path = JsonPath::parse_path(".missing").expect("valid");
        assert_eq!(path.first(&pod()), None);
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{{{}}}", "[?(@.a".repeat(3000));
        assert!(JsonPath::parse(&deep).is_err());
        assert!(JsonPath::parse(&"x".repeat(TEXT_BYTES_MAX + 1)).is_err());
    }
}
