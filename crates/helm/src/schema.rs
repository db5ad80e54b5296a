//! `values.schema.json`: checking values before templates run.
//!
//! Drafts 4 to 2020-12 through `boon`; references over the network are
//! refused. Reference: `pkg/chart/common/util/jsonschema.go` of Helm.

use crate::chart::Chart;
use crate::schema_words::{self, Line};
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

impl Violations {
    fn add(&mut self, chart: &Chart, path: &[String], wrong: Wrong) {
        self.text.push_str(&format!("{}:\n", chart.name()));
        self.text.push_str(&wrong.text());
        let lines = match wrong {
            Wrong::Values(lines) => lines,
            // It is the schema that is wrong, no value.
            Wrong::Schema(_) => return,
        };
        for (at, message) in lines {
            self.list.push(Violation {
                chart: chart.name().to_owned(),
                path: path.iter().cloned().chain(at).collect(),
                message: message.trim_start_matches("- ").to_owned(),
            });
        }
    }
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
    if let Some(schema) = &chart.schema
        && let Err(wrong) = against(schema, values)
    {
        violations.add(chart, path, wrong);
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
    against(schema, values).map_err(|wrong| wrong.text())
}

/// What is wrong: lines, or one text that Helm puts no line break behind.
enum Wrong {
    Values(Vec<Line>),
    Schema(String),
}

impl Wrong {
    fn text(&self) -> String {
        match self {
            Wrong::Values(lines) => lines.iter().map(|(_, line)| format!("{line}\n")).collect(),
            Wrong::Schema(text) => text.clone(),
        }
    }
}

fn against(schema: &[u8], values: &Map) -> Result<(), Wrong> {
    let schema = schema.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(schema);
    let schema = parse(schema).map_err(Wrong::Schema)?;
    let instance = to_json(&Value::Map(values.clone()));
    if is_plainly_valid(&schema, &instance) {
        return Ok(());
    }
    const URL: &str = "file:///values.schema.json";
    let mut compiler = compiler();
    let mut schemas = boon::Schemas::new();
    let refuse = |error| Wrong::Schema(schema_words::refusal(&error));
    compiler.add_resource(URL, schema).map_err(refuse)?;
    let index = compiler.compile(URL, &mut schemas).map_err(refuse)?;
    schemas
        .validate(&instance, index)
        .map_err(|error| Wrong::Values(schema_words::lines(&error)))
}

fn compiler() -> boon::Compiler {
    let mut compiler = boon::Compiler::new();
    compiler.set_default_draft(boon::Draft::V2020_12);
    compiler.use_loader(Box::new(NoNetwork));
    compiler
}

/// Whether the schema fits its draft and the values fit the schema, found out
/// with less work; where it is not certain, the answer is no.
///
/// The first schema of anybody's makes `boon` compile those of all drafts.
/// Those that stand at json-schema.org it takes for well-formed, so that this
/// one's draft can be compiled alone and asked first.
fn is_plainly_valid(schema: &serde_json::Value, instance: &serde_json::Value) -> bool {
    const OWN: &str = "https://json-schema.org/values/of/a/chart/values.schema.json";
    const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
    let draft = schema["$schema"].as_str().unwrap_or(DRAFT);
    if !refers_to_itself(schema) {
        return false;
    }
    let mut schemas = boon::Schemas::new();
    let mut compiler = compiler();
    compiler.enable_format_assertions();
    let mut fits = |compiler: &mut boon::Compiler, url: &str, value: &serde_json::Value| {
        let index = compiler.compile(url, &mut schemas);
        index.is_ok_and(|index| schemas.validate(value, index).is_ok())
    };
    if !stands_there(draft) || !fits(&mut compiler, draft, schema) {
        return false;
    }
    let mut compiler = self::compiler();
    compiler.add_resource(OWN, schema.clone()).is_ok() && fits(&mut compiler, OWN, instance)
}

/// Whether a URL is one of json-schema.org.
fn stands_there(url: &str) -> bool {
    let known = ["http://json-schema.org/", "https://json-schema.org/"];
    known.iter().any(|host| url.starts_with(host))
}

/// Whether no part of the schema has a name of its own or refers to another
/// document: then it does not matter where it stands.
fn refers_to_itself(schema: &serde_json::Value) -> bool {
    match schema {
        serde_json::Value::Object(map) => map.iter().all(|(key, value)| match key.as_str() {
            "$id" | "id" if value.is_string() => false,
            "$ref" | "$dynamicRef" | "$recursiveRef" => {
                value.as_str().is_some_and(|text| text.starts_with('#'))
            }
            _ => refers_to_itself(value),
        }),
        serde_json::Value::Array(items) => items.iter().all(refers_to_itself),
        _ => true,
    }
}

/// Reads a schema as Go's decoder does.
fn parse(text: &[u8]) -> Result<serde_json::Value, String> {
    serde_json::from_slice(text).map_err(|error| {
        let blank = text.trim_ascii().is_empty();
        match coracle_gotemplate::json::decode(text) {
            Err(_) if blank => "EOF".into(),
            Err(words) if words == "unexpected end of JSON input" => "unexpected EOF".into(),
            Err(words) if words.ends_with("after top-level value") => {
                "invalid character after top-level value".into()
            }
            Err(words) => words,
            Ok(_) => error.to_string(),
        }
    })
}

/// Refuses references that leave the schema.
struct NoNetwork;

impl boon::UrlLoader for NoNetwork {
    fn load(&self, url: &str) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
        match url.split_once(':') {
            // Helm takes any value where such a reference stands.
            Some(("urn", _)) => Ok(serde_json::Value::Bool(true)),
            _ => Err(format!("{url} is not read: references must stay inside the schema").into()),
        }
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
