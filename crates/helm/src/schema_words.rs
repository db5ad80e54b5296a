//! What the Go library says of a violation; `boon`, its sister, has other words
//! for the same kinds.
//!
//! Main functions: [`lines`] and [`refusal`]. Reference: `kind/kind.go` and the
//! errors of `compiler.go` in github.com/santhosh-tekuri/jsonschema/v6.

use boon::{CompileError, ErrorKind as Kind, ValidationError};
use coracle_gotemplate::strconv;
use serde_json::{Number, Value};

/// One line of a report: the path of the value, and Helm's text.
pub(crate) type Line = (Vec<String>, String);

/// Makes a line for every error of a tree, causes indented below.
pub(crate) fn lines(error: &ValidationError<'_, '_>) -> Vec<Line> {
    let mut lines = Vec::new();
    leaves(error, "", 0, &mut lines);
    lines
}

/// `around` is the location of the schema that the error was found from.
fn leaves(error: &ValidationError<'_, '_>, around: &str, depth: usize, lines: &mut Vec<Line>) {
    let location = error.instance_location.to_string();
    let left_out = crate::schema_path::groups(around, error.schema_url, &location);
    for (at, group) in left_out.iter().enumerate() {
        let words = match group.keyword {
            "oneOf" => "'oneOf' failed, none matched".to_owned(),
            keyword => format!("'{keyword}' failed"),
        };
        lines.push(line(group.location, depth + at, &words));
    }
    let depth = depth + left_out.len();
    // The outermost error, and a reference with one cause, say nothing.
    let passed_on = matches!(error.kind, Kind::Reference { .. }) && error.causes.len() == 1;
    let silent = passed_on || matches!(error.kind, Kind::Schema { .. });
    if !silent {
        lines.push(line(&location, depth, &words(&error.kind)));
    }
    let inside = match &error.kind {
        Kind::Reference { url, .. } | Kind::Schema { url } => url,
        _ => error.schema_url,
    };
    let group = match &error.kind {
        Kind::AllOf => "/allOf/",
        Kind::AnyOf => "/anyOf/",
        Kind::OneOf(_) => "/oneOf/",
        _ => "",
    };
    for cause in &error.causes {
        let inside = crate::schema_path::member(inside, group, cause.schema_url);
        leaves(cause, inside, depth + usize::from(!silent), lines);
    }
}

fn line(location: &str, depth: usize, words: &str) -> Line {
    let indent = "  ".repeat(depth);
    let path = location
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    (path, format!("{indent}- at {}: {words}", quote(location)))
}

/// Says why a schema is none.
pub(crate) fn refusal(error: &CompileError) -> String {
    match error {
        CompileError::ValidationError { url, src } => {
            let mut text = format!("{url:?} is not valid against metaschema: ");
            if let Kind::Schema { url } = &src.kind {
                text.push_str(&format!("jsonschema validation failed with {}", quote(url)));
            }
            for (_, line) in lines(src) {
                text.push('\n');
                text.push_str(&line);
            }
            text
        }
        CompileError::LoadUrlError { url, src } => format!("failing loading {url:?}: {src}"),
        CompileError::UnsupportedUrlScheme { url } => {
            format!("failing loading {url:?}: no URLLoader registered for {url:?}")
        }
        CompileError::InvalidMetaSchemaUrl { url, src } => {
            format!("invalid $schema in {url:?}: {src}")
        }
        CompileError::UnsupportedDraft { url } => format!("draft {url:?} is not supported"),
        CompileError::MetaSchemaCycle { url } => {
            format!("cycle in resolving $schema in {url:?}")
        }
        CompileError::ParseIdError { loc } => format!("error in parsing id at {loc:?}"),
        CompileError::ParseAnchorError { loc } => format!("error in parsing anchor at {loc:?}"),
        CompileError::DuplicateId {
            url,
            id,
            ptr1,
            ptr2,
        } => format!("duplicate id {id:?} in {url:?} at {ptr1:?} and {ptr2:?}"),
        CompileError::DuplicateAnchor {
            anchor,
            url,
            ptr1,
            ptr2,
        } => format!("duplicate anchor {anchor:?} in {url:?} at {ptr1:?} and {ptr2:?}"),
        CompileError::InvalidJsonPointer(url) => format!("invalid jsonpointer {url:?}"),
        CompileError::JsonPointerNotFound(url) => format!("jsonpointer in {url:?} not found"),
        CompileError::AnchorNotFound { url, reference } => {
            format!("anchor in {reference:?} not found in schema {url:?}")
        }
        CompileError::UnsupportedVocabulary { url, vocabulary } => {
            format!("unsupported vocabulary {vocabulary:?} in {url:?}")
        }
        CompileError::InvalidRegex { url, regex, src } => {
            let cause = regex_error(regex).unwrap_or_else(|| src.to_string());
            format!("invalid regex {regex:?} at {url:?}: {cause}")
        }
        CompileError::ParseUrlError { url, src } => format!("error in parsing {url:?}: {src}"),
        other => other.to_string(),
    }
}

/// Returns why Go's `regexp` does not take a pattern.
pub fn regex_error(pattern: &str) -> Option<String> {
    coracle_gotemplate::funcs::regexes::check(pattern).err()
}

fn words(kind: &Kind<'_, '_>) -> String {
    let count = |name: &str, got: &usize, want: &usize| format!("{name}: got {got}, want {want}");
    let bound = |name: &str, got: &Number, want: &Number| {
        format!("{name}: got {}, want {}", go_float(got), go_float(want))
    };
    match kind {
        Kind::Group | Kind::Schema { .. } | Kind::Reference { .. } => "validation failed".into(),
        Kind::RefCycle {
            url,
            kw_loc1,
            kw_loc2,
        } => format!(
            "both {} and {} resolve to {url:?} causing reference cycle",
            quote(kw_loc1),
            quote(kw_loc2)
        ),
        Kind::FalseSchema => "false schema".into(),
        Kind::Not => "'not' failed".into(),
        Kind::AllOf => "'allOf' failed".into(),
        Kind::AnyOf => "'anyOf' failed".into(),
        Kind::OneOf(None) => "'oneOf' failed, none matched".into(),
        Kind::OneOf(Some((a, b))) => format!("'oneOf' failed, subschemas {a}, {b} matched"),
        Kind::Type { got, want } => {
            let want: Vec<String> = want.iter().map(|want| want.to_string()).collect();
            format!("got {got}, want {}", want.join(" or "))
        }
        Kind::Enum { want } => one_of(want),
        Kind::Const { want } => match want {
            Value::Array(_) | Value::Object(_) => "'const' failed".into(),
            want => format!("value must be {}", display(want)),
        },
        Kind::Format { got, want, err } => {
            let cause = match (&**got, *want) {
                (Value::String(pattern), "regex") => regex_error(pattern),
                _ => None,
            };
            let cause = cause.unwrap_or_else(|| err.to_string());
            format!("{} is not valid {want}: {cause}", display(got))
        }
        Kind::Required { want } => match want.as_slice() {
            [one] => format!("missing property {}", quote(one)),
            many => format!("missing properties {}", quoted(many)),
        },
        Kind::Dependency { prop, missing } | Kind::DependentRequired { prop, missing } => format!(
            "properties {} required, if {} exists",
            quoted(missing),
            quote(prop)
        ),
        Kind::AdditionalProperties { got } => {
            format!("additional properties {} not allowed", quoted(got))
        }
        Kind::AdditionalItems { got } => format!("last {got} additionalItem(s) not allowed"),
        Kind::PropertyName { prop } => format!("invalid propertyName {}", quote(prop)),
        Kind::MinProperties { got, want } => count("minProperties", got, want),
        Kind::MaxProperties { got, want } => count("maxProperties", got, want),
        Kind::MinItems { got, want } => count("minItems", got, want),
        Kind::MaxItems { got, want } => count("maxItems", got, want),
        Kind::MinLength { got, want } => count("minLength", got, want),
        Kind::MaxLength { got, want } => count("maxLength", got, want),
        Kind::UniqueItems { got: [a, b] } => format!("items at {a} and {b} are equal"),
        Kind::Contains => "no items match contains schema".into(),
        Kind::MinContains { got, want } => contained("min", got, *want),
        Kind::MaxContains { got, want } => contained("max", got, *want),
        Kind::Minimum { got, want } => bound("minimum", got, want),
        Kind::Maximum { got, want } => bound("maximum", got, want),
        Kind::ExclusiveMinimum { got, want } => bound("exclusiveMinimum", got, want),
        Kind::ExclusiveMaximum { got, want } => bound("exclusiveMaximum", got, want),
        Kind::MultipleOf { got, want } => bound("multipleOf", got, want),
        Kind::Pattern { got, want } => {
            format!("{} does not match pattern {}", quote(got), quote(want))
        }
        Kind::ContentEncoding { want, err } => {
            format!("value is not {} encoded: {err}", quote(want))
        }
        Kind::ContentMediaType { want, err, .. } => {
            format!("value if not of mediatype {}: {err}", quote(want))
        }
        Kind::ContentSchema => "'contentSchema' failed".into(),
    }
}

fn one_of(want: &[Value]) -> String {
    let is_primitive = |value: &Value| !matches!(value, Value::Array(_) | Value::Object(_));
    if !want.iter().all(is_primitive) {
        return "'enum' failed".into();
    }
    let shown: Vec<String> = want.iter().map(display).collect();
    match shown.as_slice() {
        [one] => format!("value must be {one}"),
        many => format!("value must be one of {}", many.join(", ")),
    }
}

fn contained(bound: &str, got: &[usize], want: usize) -> String {
    let head = format!("{bound} {want} items required to match contains schema, but");
    if got.is_empty() {
        return format!("{head} none matched");
    }
    let places: Vec<String> = got.iter().map(usize::to_string).collect();
    format!("{head} matched {} items at {}", got.len(), places.join(" "))
}

/// Go's `%q` between single quotes.
fn quote(text: &str) -> String {
    let quoted = strconv::quote(text.as_bytes(), false);
    let quoted = String::from_utf8_lossy(&quoted);
    let inner = quoted[1..quoted.len() - 1]
        .replace("\\\"", "\"")
        .replace('\'', "\\'");
    format!("'{inner}'")
}

fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<String> = names.iter().map(|name| quote(name.as_ref())).collect();
    names.join(", ")
}

fn display(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => quote(text),
        Value::Array(_) | Value::Object(_) => "value".into(),
        other => other.to_string(),
    }
}

/// Go's `%v` of the float behind a JSON number.
fn go_float(number: &Number) -> String {
    match number.as_f64() {
        Some(number) => strconv::format_float(number, b'g', -1),
        None => number.to_string(),
    }
}
