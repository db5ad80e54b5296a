//! `values.schema.json`: checking values before templates run.
//!
//! Drafts 4 to 2020-12 through `boon`; references over the network are
//! refused. Reference: `pkg/chart/common/util/jsonschema.go` of Helm.

use crate::chart::Chart;
use coracle_goyaml::{Map, Value};

/// A value that breaks a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Name of the chart whose schema it is.
    pub chart: String,
    /// Path of the value from the root of all values.
    pub path: Vec<String>,
    /// Helm's line without the leading `- `.
    pub message: String,
}

/// All violations of a chart and those below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    /// Helm's text: a heading and lines for each chart.
    pub text: String,
    /// The violations.
    pub list: Vec<Violation>,
}

/// Checks values against the schemas of a chart and those below it.
///
/// # Errors
///
/// The violations.
pub fn validate(chart: &Chart, values: &Map) -> Result<(), Violations> {
    let mut violations = Violations::default();
    check(chart, values, &mut Vec::new(), &mut violations);
    if violations.text.is_empty() {
        Ok(())
    } else {
        Err(violations)
    }
}

/// Whether the chart or one below it has a schema.
pub(crate) fn is_there(chart: &Chart) -> bool {
    chart.schema.is_some() || chart.dependencies.iter().any(is_there)
}

fn check(chart: &Chart, values: &Map, path: &mut Vec<String>, violations: &mut Violations) {
    if let Some(schema) = &chart.schema {
        let found = against(schema, values);
        if let Err(lines) = found {
            violations.text.push_str(&format!("{}:\n", chart.name()));
            for (at, message) in lines {
                violations.text.push_str(&message);
                violations.text.push('\n');
                let path = path.iter().cloned().chain(at).collect();
                violations.list.push(Violation {
                    chart: chart.name().to_owned(),
                    path,
                    message: message.trim_start_matches("- ").to_owned(),
                });
            }
        }
    }
    for child in &chart.dependencies {
        match values.get(child.name()) {
            Some(Value::Map(below)) => {
                path.push(child.name().to_owned());
                check(child, below, path, violations);
                path.pop();
            }
            None | Some(Value::Null) => {}
            Some(_) => violations.text.push_str(&format!(
                "{}:\ninvalid type for values: expected object (map)\n",
                child.name()
            )),
        }
    }
}

/// Checks values against one schema alone.
///
/// # Errors
///
/// Helm's lines.
pub fn validate_single(schema: &[u8], values: &Map) -> Result<(), String> {
    against(schema, values).map_err(|lines| {
        lines
            .into_iter()
            .map(|(_, message)| message + "\n")
            .collect()
    })
}

type Lines = Vec<(Vec<String>, String)>;

fn against(schema: &[u8], values: &Map) -> Result<(), Lines> {
    let plain = |message: String| vec![(Vec::new(), message)];
    let schema = schema.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(schema);
    let schema: serde_json::Value =
        serde_json::from_slice(schema).map_err(|error| plain(error.to_string()))?;
    let mut compiler = boon::Compiler::new();
    compiler.set_default_draft(boon::Draft::V2020_12);
    compiler.use_loader(Box::new(NoNetwork));
    const URL: &str = "file:///values.schema.json";
    let mut schemas = boon::Schemas::new();
    compiler
        .add_resource(URL, schema)
        .map_err(|error| plain(error.to_string()))?;
    let index = compiler
        .compile(URL, &mut schemas)
        .map_err(|error| plain(format!("{error:#}")))?;
    let instance = to_json(&Value::Map(values.clone()));
    match schemas.validate(&instance, index) {
        Ok(()) => Ok(()),
        Err(error) => {
            let mut lines = Vec::new();
            leaves(&error, 0, &mut lines);
            Err(lines)
        }
    }
}

/// The tree of causes as the Go library prints it, one line each.
fn leaves(error: &boon::ValidationError<'_, '_>, depth: usize, lines: &mut Lines) {
    // The outermost error, and a reference with one cause, say nothing.
    let passed_on =
        matches!(error.kind, boon::ErrorKind::Reference { .. }) && error.causes.len() == 1;
    let silent = passed_on || matches!(error.kind, boon::ErrorKind::Schema { .. });
    if !silent {
        let location = error.instance_location.to_string();
        let indent = "  ".repeat(depth);
        let path = location
            .split('/')
            .skip(1)
            .map(|part| part.replace("~1", "/").replace("~0", "~"))
            .collect();
        lines.push((
            path,
            format!("{indent}- at '{location}': {}", words(&error.kind)),
        ));
    }
    for cause in &error.causes {
        leaves(cause, depth + usize::from(!silent), lines);
    }
}

/// What the Go library says; `boon` has other words for the same kinds.
fn words(kind: &boon::ErrorKind<'_, '_>) -> String {
    use boon::ErrorKind as Kind;
    let count = |name: &str, got: &usize, want: &usize| format!("{name}: got {got}, want {want}");
    let bound = |name: &str, got: &serde_json::Number, want: &serde_json::Number| {
        format!("{name}: got {}, want {}", go_number(got), go_number(want))
    };
    match kind {
        Kind::Group => "validation failed".into(),
        Kind::Not => "'not' failed".into(),
        Kind::AllOf => "'allOf' failed".into(),
        Kind::AnyOf => "'anyOf' failed".into(),
        Kind::OneOf(None) => "'oneOf' failed, none matched".into(),
        Kind::OneOf(Some((a, b))) => format!("'oneOf' failed, subschemas {a}, {b} matched"),
        Kind::Type { got, want } => {
            let want: Vec<String> = want.iter().map(|want| want.to_string()).collect();
            format!("got {got}, want {}", want.join(" or "))
        }
        Kind::Required { want } => match want.as_slice() {
            [one] => format!("missing property '{one}'"),
            many => format!("missing properties {}", quoted(many)),
        },
        Kind::Dependency { prop, missing } | Kind::DependentRequired { prop, missing } => {
            format!(
                "properties {} required, if '{prop}' exists",
                quoted(missing)
            )
        }
        Kind::AdditionalProperties { got } => {
            format!("additional properties {} not allowed", quoted(got))
        }
        Kind::PropertyName { prop } => format!("invalid propertyName '{prop}'"),
        Kind::MinProperties { got, want } => count("minProperties", got, want),
        Kind::MaxProperties { got, want } => count("maxProperties", got, want),
        Kind::MinItems { got, want } => count("minItems", got, want),
        Kind::MaxItems { got, want } => count("maxItems", got, want),
        Kind::MinLength { got, want } => count("minLength", got, want),
        Kind::MaxLength { got, want } => count("maxLength", got, want),
        Kind::Minimum { got, want } => bound("minimum", got, want),
        Kind::Maximum { got, want } => bound("maximum", got, want),
        Kind::ExclusiveMinimum { got, want } => bound("exclusiveMinimum", got, want),
        Kind::ExclusiveMaximum { got, want } => bound("exclusiveMaximum", got, want),
        Kind::MultipleOf { got, want } => bound("multipleOf", got, want),
        Kind::AdditionalItems { got } => format!("last {got} additionalItem(s) not allowed"),
        other => other.to_string(),
    }
}

fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| format!("'{}'", name.as_ref()))
        .collect();
    names.join(", ")
}

/// Go's `%v` of the float behind a JSON number.
fn go_number(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(number) => coracle_gotemplate::strconv::format_float(number, b'g', -1),
        None => number.to_string(),
    }
}

/// Refuses every reference that leaves the schema.
struct NoNetwork;

impl boon::UrlLoader for NoNetwork {
    fn load(&self, url: &str) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
        Err(format!("{url} is not read: references must stay inside the schema").into())
    }
}

fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::Uint(number) => (*number).into(),
        // A whole float is an integer to a schema and to its messages.
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            (*number as i64).into()
        }
        Value::Float(number) => (*number).into(),
        Value::Str(text) => text.as_str().into(),
        Value::Seq(items) => items.iter().map(to_json).collect(),
        Value::Map(map) => serde_json::Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), to_json(value)))
                .collect(),
        ),
    }
}
