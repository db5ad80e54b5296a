//! What a verb answers about a release: for people as helm words it, or as
//! data; and failures with Helm's first line.

use coracle_release::{Record, ReleaseError, computed_values, to_yaml_text};
use serde_json::{Map, Value};

use super::flags::Format;
use super::{go, place::Manner, place::Place};
use crate::failure::Failure;

/// What of a release is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown {
    /// Values, hooks and manifest, too.
    pub debug: bool,
    /// The chart's name and versions, too.
    pub metadata: bool,
    /// Not the notes.
    pub hide_notes: bool,
}

/// Prints a release; `resources` are its objects as tables or data.
pub fn print(
    record: &Record,
    format: Format,
    shown: Shown,
    resources: Option<&str>,
) -> Result<(), Failure> {
    match format {
        Format::Json => println!("{}", go::json(&serde_json::to_value(record)?)),
        Format::Yaml => print!("{}", to_yaml_text(&serde_json::to_value(record)?)),
        Format::Table => print!("{}", text(record, shown, resources)?),
    }
    Ok(())
}

/// Writes a release for people (helm `pkg/cmd/status.go`).
fn text(record: &Record, shown: Shown, resources: Option<&str>) -> Result<String, Failure> {
    let mut out = format!("NAME: {}\n", record.name);
    let info = &record.info;
    if !info.last_deployed.is_empty() {
        out.push_str(&format!(
            "LAST DEPLOYED: {}\n",
            go::ansic(&info.last_deployed)
        ));
    }
    out.push_str(&format!("NAMESPACE: {}\n", record.namespace));
    out.push_str(&format!("STATUS: {}\n", info.status.word()));
    out.push_str(&format!("REVISION: {}\n", record.version));
    if shown.metadata {
        let meta = &record.chart["metadata"];
        let text = |key: &str| meta[key].as_str().unwrap_or_default();
        out.push_str(&format!("CHART: {}\n", text("name")));
        out.push_str(&format!("VERSION: {}\n", text("version")));
        out.push_str(&format!("APP_VERSION: {}\n", text("appVersion")));
    }
    out.push_str(&format!("DESCRIPTION: {}\n", info.description));
    if let Some(resources) = resources.filter(|text| !text.is_empty()) {
        out.push_str(&format!("RESOURCES:\n{resources}\n"));
    }
    out.push_str(&tests(record));
    if shown.debug {
        out.push_str(&format!(
            "USER-SUPPLIED VALUES:\n{}\nCOMPUTED VALUES:\n{}\n",
            yaml(record.config.as_object().cloned()),
            yaml(Some(computed_values(record)?))
        ));
    }
    if info.description.eq_ignore_ascii_case("Dry run complete") || shown.debug {
        out.push_str("HOOKS:\n");
        for hook in &record.hooks {
            out.push_str(&format!(
                "---\n# Source: {}\n{}\n",
                hook.path, hook.manifest
            ));
        }
        out.push_str(&format!("MANIFEST:\n{}\n", record.manifest));
    }
    if !shown.hide_notes && !info.notes.is_empty() {
        out.push_str(&format!("NOTES:\n{}\n", info.notes.trim()));
    }
    Ok(out)
}

/// Returns a map as YAML; Go writes null for none.
fn yaml(map: Option<Map<String, Value>>) -> String {
    to_yaml_text(&map.map_or(Value::Null, Value::Object))
}

fn tests(record: &Record) -> String {
    let tests: Vec<_> = record
        .hooks
        .iter()
        .filter(|hook| hook.runs_at("test"))
        .collect();
    if tests.is_empty() {
        return "TEST SUITE: None\n".into();
    }
    let mut out = String::new();
    for hook in tests {
        let run = &hook.last_run;
        if !run.started_at.is_empty() {
            out.push_str(&format!(
                "TEST SUITE:     {}\nLast Started:   {}\nLast Completed: {}\nPhase:          {}\n",
                hook.name,
                go::ansic(&run.started_at),
                go::ansic(&run.completed_at),
                run.phase
            ));
        }
    }
    out
}

/// Prints data.
pub fn data(format: Format, value: &Value) {
    match format {
        Format::Json => println!("{}", go::json(value)),
        _ => print!("{}", to_yaml_text(value)),
    }
}

/// Makes the failure of a verb: Helm's words on the first line, under its name
/// with Helm's prefix; then what it means and what to do.
pub fn failure(place: &Place, prefix: &str, error: &ReleaseError) -> Failure {
    let line = error.line();
    let line = match place.manner {
        Manner::Helm if !prefix.is_empty() => format!("{prefix}: {line}"),
        _ => line,
    };
    let failure = Failure::from(anyhow::anyhow!("{line}"));
    match error.help() {
        Some(help) => failure.hint(help),
        None => failure,
    }
}
