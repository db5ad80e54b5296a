//! Turning failures into reports: where in the chart, which value, set where,
//! and what to do about it.

use crate::chart::Chart;
use crate::error::{Place, RenderError, Step};
use crate::manifest::BadManifest;
use crate::provenance::{Traced, default_origin, mentioned, root_path};
use crate::schema::Violations;
use crate::values::{Origin, Values};
use coracle_gotemplate::near::nearest;
use coracle_gotemplate::{Detail, Error, Frame, ParseError};
use coracle_goyaml::{self as yaml, Map};

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

fn place_of(frame: &Frame) -> Place {
    let place = frame.place();
    let width = frame
        .context
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .count();
    let column = place.column + 1;
    // Go points at the second part of `.a.b`; the expression starts before.
    let line_start = frame.source.text[..frame.pos.min(frame.source.text.len())]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let line = &frame.source.text[line_start..];
    let line = &line[..line
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(line.len())];
    let line = String::from_utf8_lossy(line);
    let shown = line
        .match_indices(frame.context.as_str())
        .map(|(at, _)| at + 1)
        .filter(|at| *at <= column)
        .last();
    let (column, width) = match shown {
        Some(at) => (at, width),
        None => (column, 0),
    };
    Place::new(
        &frame.source.name,
        &frame.source.text,
        place.line,
        column,
        width,
    )
}

/// A template that stopped.
pub(crate) fn execution(
    helm: String,
    error: &Error,
    chart: &Chart,
    values: &Values,
    coalesced: &Map,
) -> Box<RenderError> {
    let mut report = RenderError::new(Step::Execute, helm);
    let frames: Vec<&Frame> = error
        .chain()
        .filter_map(|link| link.frame.as_deref())
        .collect();
    if let Some((innermost, outer)) = frames.split_last() {
        report.place = Some(place_of(innermost));
        report.calls = outer.iter().rev().map(|frame| place_of(frame)).collect();
    }
    let frame = frames.last();
    let detail = error
        .chain()
        .filter_map(|link| link.detail.as_deref())
        .last();
    let context = Context {
        chart,
        values,
        coalesced,
        file: frame
            .map(|frame| frame.source.name.to_string())
            .unwrap_or_default(),
        caller: frames
            .first()
            .map(|frame| frame.source.name.to_string())
            .unwrap_or_default(),
    };
    match detail {
        Some(Detail::NilPointer { missing, field }) => context.nil(&mut report, missing, field),
        Some(Detail::NoField {
            holder,
            field,
            value,
            type_name,
        }) => {
            context.no_field(&mut report, holder, field, value, type_name);
        }
        Some(Detail::WrongType {
            expected,
            got,
            value,
        }) => {
            let expression = frame.map(|frame| frame.context.clone()).unwrap_or_default();
            context.wrong_type(&mut report, &expression, (expected, got), value);
        }
        Some(Detail::NoTemplate { name, near }) => {
            report.explanation = Some(format!("no template is called {name:?}"));
            report.remedy = did_you_mean(near).or_else(|| {
                Some("define it in a file whose name starts with _, or add the chart that does to charts/".into())
            });
        }
        Some(Detail::Refused(_)) => {
            report.explanation = Some("the chart itself refuses these values".into());
            let expression = frame.map(|frame| frame.context.clone()).unwrap_or_default();
            context.mention(&mut report, &expression);
        }
        Some(Detail::Limit) | None => {
            if let Some(frame) = frame {
                context.mention(&mut report, &frame.context);
                report.remedy = remedy_for(&frame.message);
            }
        }
    }
    // What `tpl` executes came from a value.
    if let (Some(outer), true) = (frames.first(), context.file == "gotpl") {
        context.mention(&mut report, &outer.context);
    }
    report
}

/// What to do about errors that functions raise.
fn remedy_for(message: &str) -> Option<String> {
    const REMEDIES: &[(&str, &str)] = &[
        (
            "incompatible types for comparison",
            "compare like with like: numbers of values files are float64, so write (int …) or (toString …) around one side",
        ),
        (
            "index out of range",
            "ask for the length first: {{ if gt (len …) … }}",
        ),
        ("range can't iterate over", "make the value a list or a map"),
        (
            "index of untyped nil",
            "give it a default first: (index (… | default list) …)",
        ),
        (
            "integer divide by zero",
            "guard against zero before dividing",
        ),
        (
            "interface conversion",
            "dig and friends take plain maps: pass .Values.AsMap, and check that every step is a map",
        ),
        (
            "wrong number of args",
            "look at the function's parameters; a value from the left of | comes last",
        ),
    ];
    let found = REMEDIES.iter().find(|(part, _)| message.contains(part));
    found.map(|(_, remedy)| (*remedy).to_owned())
}

struct Context<'c> {
    chart: &'c Chart,
    values: &'c Values,
    coalesced: &'c Map,
    file: String,
    caller: String,
}

impl Context<'_> {
    fn root_path(&self, names: &[String]) -> Vec<String> {
        let file = if self.file.starts_with(self.chart.name()) {
            &self.file
        } else {
            &self.caller
        };
        root_path(file, names)
    }

    /// `.Values.a.b` or `$.Values.a.b` as `[a, b]`.
    fn values_path(segments: &[String]) -> Option<&[String]> {
        match segments {
            [root, values, rest @ ..] if (root == "." || root == "$") && values == "Values" => {
                Some(rest)
            }
            _ => None,
        }
    }

    fn origin(&self, path: &[String]) -> Option<Origin> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.values
            .origin(&path)
            .or_else(|| default_origin(self.chart, self.chart.name(), &path))
    }

    fn lookup(&self, path: &[String]) -> Option<&yaml::Value> {
        let (first, rest) = path.split_first()?;
        let mut value = self.coalesced.get(first)?;
        for part in rest {
            value = value.get(part)?;
        }
        Some(value)
    }

    fn sources(&self) -> String {
        let mut names: Vec<String> = vec![format!("{}/values.yaml", self.chart.name())];
        names.extend(self.values.sources().iter().map(|source| match source {
            crate::values::Source::File { name, .. } => name.clone(),
            crate::values::Source::Flag { flag, text } => format!("{flag} {text}"),
        }));
        names.join(", ")
    }

    fn nil(&self, report: &mut RenderError, missing: &[String], field: &str) {
        let shown = dotted(missing);
        let Some(names) = Self::values_path(missing) else {
            report.explanation = Some(format!("{shown} is not set, so it has no field {field}"));
            report.remedy = Some(format!(
                "guard it: {{{{ with {shown} }}}}{{{{ .{field} }}}}{{{{ end }}}}"
            ));
            return;
        };
        let path = self.root_path(names);
        let origin = self.origin(&path);
        let state = if origin.is_some() {
            "is null"
        } else {
            "is not set"
        };
        report.explanation = Some(format!(
            "{shown} {state}, so it has no field {field} (read: {})",
            self.sources()
        ));
        if let Some(origin) = origin {
            report
                .values
                .push((format!("{} is null", path.join(".")), Some(origin)));
        }
        let (last, holder) = path
            .split_last()
            .map_or(("", &[][..]), |(last, holder)| (last.as_str(), holder));
        let siblings: Vec<String> = match holder.is_empty() {
            true => self.coalesced.keys().cloned().collect(),
            false => self
                .lookup(holder)
                .and_then(yaml::Value::as_map)
                .map(|map| map.keys().cloned().collect())
                .unwrap_or_default(),
        };
        let near = nearest(last, siblings);
        if let Some(first) = near.first() {
            let mut neighbour = holder.to_vec();
            neighbour.push(first.clone());
            let origin = self.origin(&neighbour);
            report
                .values
                .push((format!("{} exists", neighbour.join(".")), origin));
        }
        let set = format!("--set {}.{field}=…", path.join("."));
        report.remedy = Some(match did_you_mean(&near) {
            Some(text) => format!(
                "{text} Otherwise set it ({set}), or write (({shown}).{field}) with parentheses to allow its absence"
            ),
            None => format!(
                "set it ({set}), or write ({shown}).{field} with parentheses to allow its absence"
            ),
        });
    }

    fn no_field(
        &self,
        report: &mut RenderError,
        holder: &[String],
        field: &str,
        value: &str,
        type_name: &str,
    ) {
        let shown = dotted(holder);
        let what = match type_name {
            "string" => format!("the text {value:?}"),
            "float64" | "int" | "int64" => format!("the number {value}"),
            "bool" => format!("the boolean {value}"),
            name if name.starts_with("[]") => format!("a list: {value}"),
            name => format!("{value} ({name})"),
        };
        report.explanation = Some(format!("{shown} is {what}, which has no field {field}"));
        if let Some(names) = Self::values_path(holder) {
            let path = self.root_path(names);
            let origin = self.origin(&path);
            report
                .values
                .push((format!("{} = {value}", path.join(".")), origin));
            report.remedy = Some(format!(
                "make {} a map with the key {field}",
                path.join(".")
            ));
        }
    }

    fn wrong_type(
        &self,
        report: &mut RenderError,
        expression: &str,
        (expected, got): (&str, &str),
        value: &str,
    ) {
        let shown = if value.is_empty() || got == "nil" || got == "interface {}" {
            "nothing".to_owned()
        } else {
            format!("{value} ({got})")
        };
        report.explanation = Some(format!(
            "the function takes {expected}, {expression} is {shown}"
        ));
        // In a pipeline the value stands further left on the line.
        let line = report.place.as_ref().and_then(|place| place.excerpt.last());
        let line = line.map(|(_, line)| line.clone()).unwrap_or_default();
        let source = if expression.contains(".Values.") {
            expression
        } else {
            &line
        };
        self.mention(report, source);
        report.remedy = Some(match expected {
            "string" if got == "nil" || got == "interface {}" => {
                "give it a default: | default \"\", or demand it: | required \"…\"".into()
            }
            "string" => "turn it into text first: | toString".to_owned(),
            "int" | "int64" => "turn it into a number first: | int".to_owned(),
            other => format!("pass a {other}"),
        });
    }

    /// Names every value that an expression mentions.
    fn mention(&self, report: &mut RenderError, expression: &str) {
        for names in mentioned(expression) {
            let path = self.root_path(&names);
            let shown = match self.lookup(&path) {
                None => format!("{} is not set", path.join(".")),
                Some(value @ (yaml::Value::Map(_) | yaml::Value::Seq(_))) => {
                    let count = value
                        .as_map()
                        .map_or(value.as_seq().map_or(0, <[_]>::len), Map::len);
                    format!("{} has {count} entries", path.join("."))
                }
                Some(value) => {
                    format!("{} = {}", path.join("."), yaml::to_string(value).trim_end())
                }
            };
            let origin = self.origin(&path);
            report.values.push((shown, origin));
        }
    }
}

fn dotted(segments: &[String]) -> String {
    match segments.split_first() {
        Some((root, rest)) if root == "." => format!(".{}", rest.join(".")),
        Some((root, [])) => root.clone(),
        Some((root, rest)) => format!("{root}.{}", rest.join(".")),
        None => ".".into(),
    }
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
