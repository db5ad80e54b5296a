//! Protobuf bodies against the fully populated objects of the public
//! repository `kubernetes/api`: every `.pb` of its `testdata/HEAD` decodes to
//! what the `.json` beside it says.
//!
//! The files are not kept here. `KUBERNETES_API_TESTDATA=…/testdata/HEAD cargo
//! test -p coracle-machinery --test protobuf_testdata -- --ignored` compares.

use std::path::{Path, PathBuf};

use coracle_machinery::{canonical, kinds, protobuf, strict};
use serde_json::Value;

#[test]
#[ignore = "needs the files of a public repository, see above"]
fn every_populated_object_decodes_as_its_json() {
    let folder = std::env::var("KUBERNETES_API_TESTDATA").expect("KUBERNETES_API_TESTDATA");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of the files")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "pb"))
        .collect();
    paths.sort();
    let (mut equal, mut different) = (0, Vec::new());
    for path in paths {
        match compare(&path) {
            None => {}
            Some(Ok(())) => equal += 1,
            Some(Err(why)) => different.push(format!("{}: {why}", path.display())),
        }
    }
    assert!(
        different.is_empty(),
        "{equal} equal, {} different:\n{}",
        different.len(),
        different.join("\n")
    );
    assert!(equal > 50, "only {equal} kinds were found");
}

/// `None` for a type that is not served as an object here.
fn compare(path: &Path) -> Option<Result<(), String>> {
    let text = std::fs::read(path.with_extension("json")).ok()?;
    let mut wanted: Value = serde_json::from_slice(&text).ok()?;
    let kind = kinds::by_api_version(wanted["apiVersion"].as_str()?, wanted["kind"].as_str()?)?;
    let body = std::fs::read(path).ok()?;
    Some(
        protobuf::decode(&body)
            .map_err(|error| error.to_string())
            .and_then(|mut found| {
                for value in [&mut wanted, &mut found] {
                    strict::decode(kind.schema(), value).map_err(|error| error.to_string())?;
                    canonical::apply(kind, value);
                }
                match first_difference("", &wanted, &found) {
                    None => Ok(()),
                    Some(place) => Err(place),
                }
            }),
    )
}

fn first_difference(path: &str, wanted: &Value, found: &Value) -> Option<String> {
    match (wanted, found) {
        (Value::Object(left), Value::Object(right)) => {
            let names = left.keys().chain(right.keys());
            names
                .filter_map(|name| {
                    let place = format!("{path}.{name}");
                    first_difference(&place, &wanted[name], &found[name])
                })
                .next()
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(index, (left, right))| {
                first_difference(&format!("{path}[{index}]"), left, right)
            }),
        (left, right) => (left != right).then(|| format!("{path}: wanted {left}, found {right}")),
    }
}
