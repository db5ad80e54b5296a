//! `get all --template`: a Go template, filled with a release as Go sees it
//! (helm `pkg/cmd/get_all.go`, `pkg/release/v1/release.go`).
//!
//! Main function: [`fill`]. The template has Go's own functions and no others,
//! as in Helm.

use std::collections::BTreeMap;
use std::rc::Rc;

use coracle_gotemplate::value::{Elem, List, MAP_STRING, Map, Struct, StructType, Time};
use coracle_gotemplate::{Entries, Executor, Functions, NoHost, Set, Value};
use coracle_release::{Hook, Info, Record, chart_from_record};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

/// Fills a template with `.Release`.
///
/// # Errors
/// Go's words.
pub fn fill(template: &str, record: &Record) -> Result<Vec<u8>, String> {
    let functions = Functions::go();
    let set = Rc::new(Set::new());
    let tree = set
        .parse("_", template.as_bytes(), &functions)
        .map_err(|error| error.to_string())?;
    let data = Value::map(Entries::from([("Release".into(), release(record))]));
    Executor::new(set, &functions, &NoHost)
        .execute(&tree, data)
        .map_err(|error| error.text)
}

const fn of(name: &'static str, fields: &'static [&'static str]) -> StructType {
    StructType {
        name,
        fields,
        methods: &[],
        display: None,
        display_by_pointer: false,
        json: None,
    }
}

static RELEASE: StructType = of(
    "*v1.Release",
    &[
        "Name",
        "Info",
        "Chart",
        "Config",
        "Manifest",
        "Hooks",
        "Version",
        "Namespace",
        "Labels",
        "ApplyMethod",
    ],
);

static INFO: StructType = of(
    "*v1.Info",
    &[
        "FirstDeployed",
        "LastDeployed",
        "Deleted",
        "Description",
        "Status",
        "Notes",
        "RollbackRevision",
    ],
);

static CHART: StructType = of("*v2.Chart", &["Metadata", "Templates", "Values", "Files"]);

static FILE: StructType = of("*common.File", &["Name", "Data"]);

static HOOK: StructType = of(
    "*v1.Hook",
    &[
        "Name",
        "Kind",
        "Path",
        "Manifest",
        "Events",
        "LastRun",
        "Weight",
        "DeletePolicies",
        "OutputLogPolicies",
    ],
);

static RUN: StructType = of("v1.HookExecution", &["StartedAt", "CompletedAt", "Phase"]);

fn made(ty: &'static StructType, fields: Vec<Value>) -> Value {
    Value::Struct(Struct {
        ty,
        fields: Rc::new(fields),
    })
}

fn release(record: &Record) -> Value {
    made(
        &RELEASE,
        vec![
            text(&record.name),
            info(&record.info),
            chart(&record.chart),
            plain(&record.config),
            text(&record.manifest),
            Value::list(record.hooks.iter().map(hook).collect()),
            Value::Int(record.version),
            text(&record.namespace),
            labels(&record.secret_labels),
            text(&record.apply_method),
        ],
    )
}

fn info(info: &Info) -> Value {
    made(
        &INFO,
        vec![
            time(&info.first_deployed),
            time(&info.last_deployed),
            time(&info.deleted),
            text(&info.description),
            text(info.status.word()),
            text(&info.notes),
            Value::Int(info.rollback_revision),
        ],
    )
}

fn chart(chart: &Json) -> Value {
    let files = |key: &str| {
        let files = chart[key].as_array().into_iter().flatten();
        Value::list(files.map(file).collect())
    };
    let metadata = chart_from_record(chart).metadata.to_value(true);
    made(
        &CHART,
        vec![
            metadata,
            files("templates"),
            plain(&chart["values"]),
            files("files"),
        ],
    )
}

fn file(file: &Json) -> Value {
    use base64::Engine;
    let data = file["data"].as_str().unwrap_or_default();
    let data = base64::engine::general_purpose::STANDARD.decode(data);
    let data = Value::Bytes(data.unwrap_or_default().into());
    made(
        &FILE,
        vec![text(file["name"].as_str().unwrap_or_default()), data],
    )
}

fn hook(hook: &Hook) -> Value {
    let run = &hook.last_run;
    let run = vec![
        time(&run.started_at),
        time(&run.completed_at),
        text(&run.phase),
    ];
    made(
        &HOOK,
        vec![
            text(&hook.name),
            text(&hook.kind),
            text(&hook.path),
            text(&hook.manifest),
            texts(&hook.events),
            made(&RUN, run),
            Value::Int(hook.weight),
            texts(&hook.delete_policies),
            texts(&hook.output_log_policies),
        ],
    )
}

fn text(text: &str) -> Value {
    Value::str(text)
}

fn texts(texts: &[String]) -> Value {
    let items = texts.iter().map(|one| text(one)).collect();
    Value::List(List::typed(Elem::String, items))
}

fn labels(labels: &BTreeMap<String, String>) -> Value {
    let entries = labels
        .iter()
        .map(|(key, value)| (key.as_str().into(), text(value)));
    Value::Map(Map::typed(MAP_STRING, entries.collect()))
}

/// A time of a record; Go's zero time is the beginning of our era.
fn time(text: &str) -> Value {
    const ZERO: &str = "0001-01-01T00:00:00Z";
    let parsed = text.parse().or_else(|_| ZERO.parse::<Timestamp>());
    let time = parsed.unwrap_or_default().to_zoned(TimeZone::UTC);
    Value::Time(Rc::new(Time(time)))
}

/// A plain value as `encoding/json` reads it.
fn plain(value: &Json) -> Value {
    let text = value.to_string();
    coracle_gotemplate::json::decode(text.as_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(template: &str, expected: Result<&str, &str>) {
        let record = Record {
            name: "web".into(),
            chart: json!({"metadata": {"apiVersion": "v2", "name": "demo", "version": "0.1.0"},
                "templates": [{"name": "templates/a.yaml", "data": "YTogMQo="}]}),
            config: json!({"message": "two"}),
            manifest: "---\n".into(),
            version: 2,
            info: Info {
                first_deployed: "2026-11-21T13:20:58.125844913Z".into(),
                status: coracle_release::Status::Deployed,
                ..Info::default()
            },
            secret_labels: [("owner".to_owned(), "helm".to_owned())].into(),
            ..Record::default()
        };
        let filled = fill(template, &record);
        let filled = filled.map(|bytes| String::from_utf8(bytes).expect("it is text"));
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(filled, expected, "{template}");
    }

    // What helm 4.2.3 answers.
    #[test]
    fn releases_are_what_go_sees() {
        check("{{.Release.Name}}", Ok("web"));
        check(
            "{{.Release.Info.Status}} {{.Release.Manifest}}",
            Ok("deployed ---\n"),
        );
        check(
            "{{.Release.Chart.Metadata.Name}}-{{.Release.Version}} {{.Release.Config}} {{.Release.Info.FirstDeployed.Year}}",
            Ok("demo-2 map[message:two] 2026"),
        );
        check(
            "{{range .Release.Hooks}}{{.Name}}{{end}}|{{.Release.Labels}}|{{len .Release.Chart.Templates}}{{printf \"%T\" .Release}}",
            Ok("|map[owner:helm]|1*v1.Release"),
        );
        check("{{.Nope}}", Ok("<no value>"));
        check("{{", Err("template: _:1: unclosed action"));
        check(
            "{{ .Release.Name | upper }}",
            Err("template: _:1: function \"upper\" not defined"),
        );
    }
}
