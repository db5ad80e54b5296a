//! `coracle get`: one part of what a revision says.

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Args, Subcommand};
use coracle_release::{Record, computed_values, revision, to_yaml_text};
use serde_json::{Map, Value, json};

use super::answer::{self, Shown};
use super::flags::{Format, Output, integer};
use super::place::Place;
use super::{Verb, filled, go};
use crate::failure::Outcome;

/// Print one part of what a release's revision says.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  coracle get all web\n  coracle get all web --template '{{.Release.Info.Status}}'\n  coracle get values web -o json   the values that were given\n  coracle get values web --all     with the chart's defaults\n  coracle get manifest web --revision 2\n  coracle get hooks web\n  coracle get notes web\n  coracle get metadata web -o yaml   names, versions, labels, dates"
)]
pub struct Get {
    #[command(subcommand)]
    pub part: Part,
}

/// A part of a revision.
#[derive(Debug, Clone, Subcommand)]
pub enum Part {
    /// Everything.
    All(AllOf),
    /// The hooks.
    Hooks(Which),
    /// The rendered objects.
    Manifest(Which),
    /// Names, versions, labels, dates.
    Metadata(WithOutput),
    /// The notes.
    Notes(Which),
    /// The values.
    Values(ValuesOf),
}

/// Which revision.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Name of the release.
    pub release: String,
    /// The revision; the newest if none is named.
    #[arg(long, allow_negative_numbers = true, value_parser = integer)]
    pub revision: Option<i64>,
}

/// Which revision, and what of it.
#[derive(Debug, Clone, Args)]
pub struct AllOf {
    #[command(flatten)]
    pub which: Which,
    /// Go template that is filled with .Release instead.
    #[arg(long)]
    pub template: Option<String>,
}

/// Which revision, and how it is printed.
#[derive(Debug, Clone, Args)]
pub struct WithOutput {
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub output: Output,
}

/// Which values.
#[derive(Debug, Clone, Args)]
pub struct ValuesOf {
    #[command(flatten)]
    pub which: Which,
    /// With the chart's defaults.
    #[arg(long, short)]
    pub all: bool,
    #[command(flatten)]
    pub output: Output,
}

impl Part {
    fn which(&self) -> &Which {
        match self {
            Part::All(all) => &all.which,
            Part::Hooks(which) | Part::Manifest(which) | Part::Notes(which) => which,
            Part::Metadata(with) => &with.which,
            Part::Values(values) => &values.which,
        }
    }
}

impl Verb for Get {
    async fn run(&self, place: &Place) -> Outcome {
        let which = self.part.which();
        let session = place.session()?;
        let record = revision(&session, &which.release, which.revision).await;
        let record = record.map_err(|error| answer::failure(place, "", &error))?;
        match &self.part {
            Part::All(AllOf {
                template: Some(template),
                ..
            }) => {
                let text = filled::fill(template, &record).map_err(|text| anyhow::anyhow!(text))?;
                std::io::stdout().write_all(&text)?;
            }
            Part::All(_) => {
                let shown = Shown {
                    debug: true,
                    metadata: true,
                    hide_notes: false,
                };
                return answer::print(&record, Format::Table, shown, None);
            }
            Part::Hooks(_) => {
                for hook in &record.hooks {
                    println!("---\n# Source: {}\n{}", hook.path, hook.manifest);
                }
            }
            Part::Manifest(_) => println!("{}", record.manifest),
            Part::Notes(_) => {
                if !record.info.notes.is_empty() {
                    println!("NOTES:\n{}", record.info.notes);
                }
            }
            Part::Metadata(with) => {
                // Helm shows its own labels unless a revision is named.
                let labels = match with.which.revision {
                    None | Some(0) => &record.secret_labels,
                    Some(_) => &record.labels,
                };
                metadata(&record, labels, with.output.output);
            }
            Part::Values(values) => return values_of(&record, values),
        }
        Ok(())
    }
}

fn values_of(record: &Record, values: &ValuesOf) -> Outcome {
    let found = if values.all {
        Value::Object(computed_values(record)?)
    } else {
        match &record.config {
            Value::Object(config) if !config.is_empty() => record.config.clone(),
            _ => Value::Null,
        }
    };
    match values.output.output {
        Format::Table => {
            let title = if values.all {
                "COMPUTED VALUES:"
            } else {
                "USER-SUPPLIED VALUES:"
            };
            print!("{title}\n{}", to_yaml_text(&found));
        }
        format => answer::data(format, &found),
    }
    Ok(())
}

/// `a=b,c=d`, sorted.
fn pairs(map: Option<&Map<String, Value>>) -> String {
    let mut pairs: Vec<String> = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    pairs.join(",")
}

fn metadata(record: &Record, labels: &BTreeMap<String, String>, format: Format) {
    let meta = &record.chart["metadata"];
    let text = |key: &str| meta[key].as_str().unwrap_or_default().to_owned();
    let labels: Map<String, Value> = labels
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().into()))
        .collect();
    let deployed_at = go::rfc3339(&record.info.last_deployed);
    if format != Format::Table {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| out.insert(key.into(), value);
        put("name", record.name.as_str().into());
        put("chart", text("name").into());
        put("version", text("version").into());
        put("appVersion", text("appVersion").into());
        if let Some(annotations) = meta["annotations"].as_object() {
            put("annotations", Value::Object(annotations.clone()));
        }
        if !labels.is_empty() {
            put("labels", Value::Object(labels));
        }
        if let Some(dependencies) = meta["dependencies"].as_array() {
            put("dependencies", json!(dependencies));
        }
        put("namespace", record.namespace.as_str().into());
        put("revision", record.version.into());
        put("status", record.info.status.word().into());
        put("deployedAt", deployed_at.into());
        if !record.apply_method.is_empty() {
            put("applyMethod", record.apply_method.as_str().into());
        }
        answer::data(format, &Value::Object(out));
        return;
    }
    let mut dependencies: Vec<&str> = meta["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["name"].as_str())
        .collect();
    dependencies.sort_unstable();
    let method = match record.apply_method.as_str() {
        "" => "client-side apply (defaulted)".to_owned(),
        "csa" => "client-side apply".to_owned(),
        "ssa" => "server-side apply".to_owned(),
        other => format!("unknown ({other:?})"),
    };
    let rows = [
        ("NAME", record.name.clone()),
        ("CHART", text("name")),
        ("VERSION", text("version")),
        ("APP_VERSION", text("appVersion")),
        ("ANNOTATIONS", pairs(meta["annotations"].as_object())),
        ("LABELS", pairs(Some(&labels))),
        ("DEPENDENCIES", dependencies.join(",")),
        ("NAMESPACE", record.namespace.clone()),
        ("REVISION", record.version.to_string()),
        ("STATUS", record.info.status.word().to_owned()),
        ("DEPLOYED_AT", deployed_at),
        ("APPLY_METHOD", method),
    ];
    for (key, value) in rows {
        println!("{key}: {value}");
    }
}
