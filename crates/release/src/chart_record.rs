//! A chart as Helm's records keep it, and back.
//!
//! Reference: the JSON of `pkg/chart/v2/chart.go` and `metadata.go` of Helm.
//! Charts below a chart are not kept there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use coracle_goyaml as yaml;
use coracle_helm::{Chart, Dependency, File, Metadata, Values};
use serde_json::{Map, Value, json};

use crate::json::{map_from_json, map_to_json, to_json};

/// Go's zero time, where a time has no `omitzero`.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Returns the record of a chart.
pub fn chart_to_record(chart: &Chart) -> Value {
    let file = |name: &str| chart.raw.iter().find(|file| file.name == name);
    let mut record = json!({
        "metadata": metadata(&chart.metadata),
        "lock": lock(chart),
        "templates": files(&chart.templates),
        "values": if chart.values.is_empty() { Value::Null } else { Value::Object(map_to_json(&chart.values)) },
        "schema": chart.schema.as_ref().map(|schema| STANDARD.encode(schema)),
        "schemamodtime": file("values.schema.json").and_then(modified).unwrap_or(ZERO_TIME.into()),
        "files": files(&chart.files),
    });
    if let Some(time) = file("Chart.yaml").and_then(modified) {
        record["modtime"] = time;
    }
    record
}

/// When a file was changed last, as Go writes it.
fn modified(file: &File) -> Option<Value> {
    let time = jiff::Timestamp::try_from(file.modified?).ok()?;
    Some(time.to_string().into())
}

/// Returns the record of the values that a user gave.
pub fn values_to_record(values: &Values) -> Value {
    Value::Object(map_to_json(values.map()))
}

fn metadata(meta: &Metadata) -> Value {
    let mut out = Map::new();
    let text = |out: &mut Map<String, Value>, key: &str, value: &str| {
        if !value.is_empty() {
            out.insert(key.into(), value.into());
        }
    };
    text(&mut out, "name", &meta.name);
    text(&mut out, "home", &meta.home);
    if !meta.sources.is_empty() {
        out.insert("sources".into(), json!(meta.sources));
    }
    text(&mut out, "version", &meta.version);
    text(&mut out, "description", &meta.description);
    if !meta.keywords.is_empty() {
        out.insert("keywords".into(), json!(meta.keywords));
    }
    if !meta.maintainers.is_empty() {
        let maintainers: Vec<Value> = meta.maintainers.iter().map(maintainer).collect();
        out.insert("maintainers".into(), Value::Array(maintainers));
    }
    text(&mut out, "icon", &meta.icon);
    text(&mut out, "apiVersion", &meta.api_version);
    text(&mut out, "condition", &meta.condition);
    text(&mut out, "tags", &meta.tags);
    text(&mut out, "appVersion", &meta.app_version);
    if meta.deprecated {
        out.insert("deprecated".into(), true.into());
    }
    if !meta.annotations.is_empty() {
        out.insert("annotations".into(), json!(meta.annotations));
    }
    text(&mut out, "kubeVersion", &meta.kube_version);
    if !meta.dependencies.is_empty() {
        let dependencies: Vec<Value> = meta.dependencies.iter().map(dependency).collect();
        out.insert("dependencies".into(), Value::Array(dependencies));
    }
    text(&mut out, "type", &meta.kind);
    Value::Object(out)
}

fn maintainer(maintainer: &[String; 3]) -> Value {
    let keys = ["name", "email", "url"];
    let pairs = keys.iter().zip(maintainer);
    let given = pairs.filter(|(_, value)| !value.is_empty());
    Value::Object(
        given
            .map(|(key, value)| ((*key).to_owned(), value.as_str().into()))
            .collect(),
    )
}

fn dependency(dependency: &Dependency) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), dependency.name.as_str().into());
    if !dependency.version.is_empty() {
        out.insert("version".into(), dependency.version.as_str().into());
    }
    out.insert("repository".into(), dependency.repository.as_str().into());
    if !dependency.condition.is_empty() {
        out.insert("condition".into(), dependency.condition.as_str().into());
    }
    if !dependency.tags.is_empty() {
        out.insert("tags".into(), json!(dependency.tags));
    }
    if dependency.enabled {
        out.insert("enabled".into(), true.into());
    }
    if !dependency.import_values.is_empty() {
        let imports = dependency.import_values.iter().map(to_json).collect();
        out.insert("import-values".into(), Value::Array(imports));
    }
    if !dependency.alias.is_empty() {
        out.insert("alias".into(), dependency.alias.as_str().into());
    }
    Value::Object(out)
}

/// A list without files is Go's nil.
fn files(files: &[File]) -> Value {
    if files.is_empty() {
        return Value::Null;
    }
    let entry = |file: &File| {
        let mut entry = json!({"name": file.name, "data": STANDARD.encode(&file.data)});
        if let Some(time) = modified(file) {
            entry["modtime"] = time;
        }
        entry
    };
    Value::Array(files.iter().map(entry).collect())
}

/// `Chart.lock` with the fields that Go knows; one that is no map is left out.
fn lock(chart: &Chart) -> Value {
    let Some(Ok(yaml::Value::Map(map))) = chart.lock.as_ref().map(|text| yaml::from_slice(text))
    else {
        return Value::Null;
    };
    let text = |key: &str| match map.get(key) {
        Some(yaml::Value::Str(text)) => text.clone(),
        _ => String::new(),
    };
    let generated = match text("generated") {
        time if time.parse::<jiff::Timestamp>().is_ok() => time,
        _ => ZERO_TIME.into(),
    };
    let dependencies = map.get("dependencies").map_or(Value::Null, to_json);
    json!({"generated": generated, "digest": text("digest"), "dependencies": dependencies})
}

/// Returns the chart that a record keeps.
pub fn chart_from_record(record: &Value) -> Chart {
    let mut chart = Chart::default();
    // JSON is YAML, so the reader of Chart.yaml reads it.
    let meta = record["metadata"].to_string();
    if record["metadata"].is_object() && chart.metadata.read(meta.as_bytes()).is_err() {
        chart.metadata.name = record["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
    }
    if let Some(values) = record["values"].as_object() {
        chart.values = map_from_json(values);
    }
    let bytes = |value: &Value| STANDARD.decode(value.as_str()?).ok();
    chart.schema = bytes(&record["schema"])
        .filter(|schema| !schema.is_empty())
        .map(Into::into);
    let files = |key: &str| -> Vec<File> {
        let entries = record[key].as_array().into_iter().flatten();
        entries
            .filter_map(|file| Some(File::new(file["name"].as_str()?, bytes(&file["data"])?)))
            .collect()
    };
    chart.templates = files("templates");
    chart.files = files("files");
    chart
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let file = |name: &str, text: &str| File::new(name, text.as_bytes());
        Chart::load(vec![
            file(
                "Chart.yaml",
                "apiVersion: v2\nname: c\nversion: 1.0.0\nappVersion: 1.10\nkeywords: [a]\nmaintainers: [{name: m, email: e}]\nannotations: {k: v}\ntype: application\n",
            ),
            file("values.yaml", "count: 3\nf: 1.5\nlist: [a]\n"),
            file("values.schema.json", "{}"),
            file("templates/a.yaml", "kind: {{ .Values.count }}\n"),
            file("README.md", "hello"),
        ])
        .expect("it is a chart")
    }

    #[test]
    fn a_chart_is_kept_whole() {
        let record = chart_to_record(&chart());
        assert_eq!(
            record["metadata"].to_string(),
            r#"{"name":"c","version":"1.0.0","keywords":["a"],"maintainers":[{"name":"m","email":"e"}],"apiVersion":"v2","appVersion":"1.1","annotations":{"k":"v"},"type":"application"}"#
        );
        assert_eq!(
            record["values"].to_string(),
            r#"{"count":3,"f":1.5,"list":["a"]}"#
        );
        assert_eq!(record["schema"], "e30=");
        assert_eq!(record["templates"][0]["name"], "templates/a.yaml");
        assert_eq!(record["files"][0]["data"], "aGVsbG8=");
        assert!(record["lock"].is_null());
    }

    #[test]
    fn a_chart_comes_back_from_its_record() {
        let before = chart();
        let after = chart_from_record(&chart_to_record(&before));
        assert_eq!(after.metadata, before.metadata);
        assert_eq!(after.values, before.values);
        assert_eq!(after.templates, before.templates);
        assert_eq!(after.files, before.files);
        assert_eq!(after.schema, before.schema);
        assert_eq!(chart_from_record(&Value::Null).name(), "");
    }
}
