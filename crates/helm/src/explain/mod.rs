//! Turning failures into reports: where in the chart, which value, set where,
//! and what to do about it.

mod context;
mod execution;

pub(crate) use self::execution::execution;

use self::context::Context;
use crate::chart::Chart;
use crate::error::{Place, RenderError, Step};
use crate::manifest::BadManifest;
use crate::provenance::{Traced, mentioned};
use crate::schema::Violations;
use crate::values::Values;
use coracle_gotemplate::ParseError;
use coracle_gotemplate::near::nearest;
use coracle_goyaml::Map;

/// A template that does not parse.
pub(crate) fn parse(helm: String, error: &ParseError, text: &[u8]) -> Box<RenderError> {
    let mut report = RenderError::new(Step::Parse, helm);
    let before = &text[..error.pos.min(text.len())];
    let column = before
        .iter()
        .rev()
        .take_while(|byte| **byte != b'\n')
        .count()
        + 1;
    report.place = Some(Place::new(&error.name, text, error.line, column, 0));
    if let Some(name) = between(&error.message, "function \"", "\" not defined") {
        let near = nearest(name, crate::funcs::FUNCTIONS.names().map(str::to_owned));
        report.explanation = Some(format!("there is no function {name:?}"));
        report.remedy = did_you_mean(&near);
        if let Some(place) = &mut report.place {
            place.width = name.len();
        }
    } else if let Some(name) = between(&error.message, "undefined variable \"", "\"") {
        report.explanation = Some(format!("the variable {name} is not declared here"));
        report.remedy = Some(format!(
            "declare it in an enclosing block: {{{{- {name} := … }}}}"
        ));
    } else if error.message == "unexpected EOF" {
        report.explanation =
            Some("an {{ if }}, {{ range }}, {{ with }} or {{ define }} has no {{ end }}".into());
    }
    report
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let start = text.find(before)? + before.len();
    let end = text[start..].find(after)? + start;
    Some(&text[start..end])
}

fn did_you_mean(near: &[String]) -> Option<String> {
    let (first, rest) = near.split_first()?;
    let mut text = format!("did you mean {first}");
    for other in rest {
        text.push_str(&format!(" or {other}"));
    }
    text.push('?');
    Some(text)
}

/// A document that is no YAML.
pub(crate) fn manifest(
    chart: &Chart,
    values: &Values,
    bad: &BadManifest,
    traced: Option<Traced>,
) -> Box<RenderError> {
    let helm = format!("YAML parse error on {}: {}", bad.path, bad.message);
    let mut report = RenderError::new(Step::Manifest, helm);
    let body_lines: Vec<&str> = bad.body.lines().collect();
    let shown = |line: usize| {
        body_lines
            .get(line.wrapping_sub(1))
            .copied()
            .unwrap_or_default()
    };
    if bad.line > 0 {
        report.explanation = Some(format!(
            "{} wrote this line, which is no YAML:\n{:>5} | {}",
            bad.path,
            bad.line,
            shown(bad.line)
        ));
    }
    // The line that go-yaml names, or the one before it.
    let traced = traced.as_ref();
    let found = traced.and_then(|traced| {
        (0..3).find_map(|back| traced.find(&bad.body, bad.line.checked_sub(back)?))
    });
    if let Some(found) = found {
        report.place = Some(found.place());
        let line = found.line_text();
        let context = Context {
            chart,
            values,
            coalesced: &Map::new(),
            file: found.file().to_owned(),
            caller: bad.path.clone(),
        };
        for names in mentioned(&line) {
            let path = context.root_path(&names);
            if let Some(origin) = context.origin(&path) {
                report.values.push((path.join("."), Some(origin)));
            }
        }
    }
    report.remedy = Some(document_remedy(&bad.message, shown(bad.line)).into());
    report
}

fn document_remedy(message: &str, line: &str) -> &'static str {
    if line.starts_with('\t') || message.contains("tab character") {
        return "indent with spaces: YAML allows no tabs";
    }
    if line.contains("map[") {
        return "a map was printed as it is: write | toYaml | nindent N";
    }
    if message.contains("did not find expected key")
        || message.contains("did not find expected '-'")
    {
        return "the indent does not fit the lines before: check the number given to nindent or indent";
    }
    if message.contains("cannot start any token")
        || message.contains("mapping values are not allowed")
    {
        return "quote values that may hold special characters: | quote";
    }
    if message.contains("cannot unmarshal") {
        return "a manifest is a map with apiVersion, kind and metadata; annotations are texts: | quote";
    }
    "quote values that may hold special characters (| quote), and check the number given to nindent"
}

/// Values that break a schema.
pub(crate) fn schema(chart: &Chart, values: &Values, violations: Violations) -> Box<RenderError> {
    let helm = format!(
        "values don't meet the specifications of the schema(s) in the following chart(s):\n{}",
        violations.text
    );
    let mut report = RenderError::new(Step::Schema, helm);
    let coalesced = Map::new();
    let context = Context {
        chart,
        values,
        coalesced: &coalesced,
        file: String::new(),
        caller: String::new(),
    };
    for violation in &violations.list {
        let mut path = violation.path.clone();
        let mut origin = context.origin(&path);
        // What is missing has no place; what should hold it has.
        while origin.is_none() && path.pop().is_some() && !path.is_empty() {
            origin = context.origin(&path);
        }
        report
            .values
            .push((violation.message.trim().to_owned(), origin));
    }
    report
}
