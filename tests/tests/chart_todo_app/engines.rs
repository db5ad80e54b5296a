//! The two engines, which must agree, and how their objects are read.

use std::path::{Path, PathBuf};
use std::process::Command;

use coracle_helm::print::{self, Parts};
use coracle_helm::{Capabilities, Chart, File, Level, NoCluster, Release, Values, render};
use serde_json::Value;

use crate::CHART;

/// Our own engine, and the real Helm beside it where there is one.
pub struct Engines {
    pub helm: Option<PathBuf>,
}

/// What an engine made of the chart: its output, or its refusal.
pub type Rendering = Result<String, String>;

impl Engines {
    pub fn find() -> Self {
        let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/oracles/helm");
        let mut candidates = [oracle, PathBuf::from("helm")].into_iter();
        let helm = candidates.find(|path| {
            let output = Command::new(path).args(["version", "--short"]).output();
            output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).starts_with("v4.2.3"))
        });
        if helm.is_none() {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "helm 4.2.3 is missing on CI"
            );
            eprintln!(
                "SKIPPED: no helm 4.2.3 in target/oracles or PATH, only our own engine is tested"
            );
        }
        Self { helm }
    }

    /// Renders with both engines, which must agree to the byte.
    pub fn template(&self, arguments: &[&str]) -> Rendering {
        let ours = render_here(arguments);
        if let Some(helm) = &self.helm {
            match (&ours, run_helm(helm, arguments)) {
                (Ok(ours), Ok(theirs)) => {
                    assert_eq!(masked(ours), masked(&theirs), "{arguments:?}")
                }
                (Err(ours), Err(theirs)) => {
                    assert!(
                        theirs.contains(ours.trim()),
                        "{arguments:?}\nours: {ours}\nHelm: {theirs}"
                    );
                }
                (ours, theirs) => panic!("{arguments:?}\nours: {ours:?}\nHelm: {theirs:?}"),
            }
        }
        ours
    }

    pub fn render(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.template(arguments);
        documents(&output.unwrap_or_else(|error| panic!("{arguments:?}: {error}")))
    }
}

/// A secret made at random differs by nature.
fn masked(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| match line.split_once("BETTER_AUTH_SECRET: \"") {
            Some((before, _)) => format!("{before}BETTER_AUTH_SECRET: made"),
            None => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

fn run_helm(helm: &Path, arguments: &[&str]) -> Rendering {
    let mut command = Command::new(helm);
    command
        .args(["template", "todo", CHART])
        .args(arguments)
        .current_dir(CHART);
    let output = command.output().expect("helm was started before");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

fn render_here(arguments: &[&str]) -> Rendering {
    let mut files = Vec::new();
    collect(Path::new(CHART), Path::new(CHART), &mut files);
    let chart = Chart::load(files).map_err(|error| error.to_string())?;
    let mut values = Values::default();
    // As Helm does: all files first, then what was set.
    for pair in arguments.chunks(2).filter(|pair| pair[0] == "-f") {
        let text =
            std::fs::read(Path::new(CHART).join(pair[1])).map_err(|error| error.to_string())?;
        values
            .add_file(pair[1], &text)
            .map_err(|error| error.to_string())?;
    }
    for pair in arguments.chunks(2).filter(|pair| pair[0] == "--set") {
        values.set(pair[1]).map_err(|error| error.to_string())?;
    }
    let capabilities = Capabilities::of(Level::default());
    let rendered = render(
        &chart,
        &values,
        &Release::named("todo"),
        &capabilities,
        &NoCluster,
    );
    rendered
        .map(|rendered| print::template(&rendered, Parts::default()))
        .map_err(|error| error.helm)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    let entries = std::fs::read_dir(folder).expect("the chart is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path
                .strip_prefix(root)
                .expect("below the root")
                .to_string_lossy()
                .into_owned();
            files.push(File::new(name, std::fs::read(&path).expect("readable")));
        }
    }
}

fn documents(yaml: &str) -> Vec<Value> {
    let parts = yaml
        .split("\n---\n")
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let values = parts
        .map(|part| serde_saphyr::from_str::<Value>(part.trim_start_matches("---\n")).expect(part));
    values.filter(|value| !value.is_null()).collect()
}

pub fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

pub fn container<'a>(objects: &'a [Value], deployment: &str) -> &'a Value {
    &find(objects, "Deployment", deployment)["spec"]["template"]["spec"]["containers"][0]
}

/// Checks fields of an object, each named by its JSON pointer (RFC 6901);
/// null means that there is none.
pub fn check_fields(objects: &[Value], kind: &str, name: &str, fields: &Value) {
    let object = find(objects, kind, name);
    for (pointer, expected) in fields.as_object().expect("pointers and values") {
        let found = object.pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(found, expected, "{kind} {name} {pointer}");
    }
}
