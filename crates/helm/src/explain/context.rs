//! What is said of values: where they come from, what is missing, what stands
//! near.
//!
//! Main type: [`Context`].

use super::did_you_mean;
use crate::chart::Chart;
use crate::error::RenderError;
use crate::provenance::{default_origin, mentioned, root_path};
use crate::values::{Origin, Source, Values};
use coracle_gotemplate::near::nearest;
use coracle_goyaml::{self as yaml, Map};

/// What an explanation may look at.
pub(super) struct Context<'c> {
    pub chart: &'c Chart,
    pub values: &'c Values,
    /// The values as templates saw them.
    pub coalesced: &'c Map,
    /// The template that stopped.
    pub file: String,
    /// The template that led to it.
    pub caller: String,
}

impl Context<'_> {
    pub fn root_path(&self, names: &[String]) -> Vec<String> {
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

    pub fn origin(&self, path: &[String]) -> Option<Origin> {
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
            Source::File { name, .. } => name.clone(),
            Source::Flag { flag, text } => format!("{flag} {text}"),
        }));
        names.join(", ")
    }

    pub fn nil(&self, report: &mut RenderError, missing: &[String], field: &str) {
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

    pub fn no_field(
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

    pub fn wrong_type(
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
    pub fn mention(&self, report: &mut RenderError, expression: &str) {
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
