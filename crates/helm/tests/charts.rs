//! Every chart of `charts/` with every line of its `cases.txt`, against what
//! the real helm prints.

mod common;

use common::{folder, golden, oracle, read_chart, run_helm, template};
use coracle_helm::{Level, Values};
use std::path::Path;

/// Gathers values as the flags say.
fn values(folder: &Path, flags: &[&str]) -> Result<Values, String> {
    let mut values = Values::new();
    for pair in flags.chunks(2) {
        let (flag, text) = (pair[0], pair[1]);
        if flag == "-f" {
            let bytes = std::fs::read(folder.join(text)).expect("the values file exists");
            values
                .add_file(text, &bytes)
                .map_err(|error| error.to_string())?;
        }
    }
    let order = ["--set-json", "--set", "--set-string", "--set-literal"];
    for wanted in order {
        for pair in flags.chunks(2).filter(|pair| pair[0] == wanted) {
            match wanted {
                "--set-json" => values.set_json(pair[1]),
                "--set" => values.set(pair[1]),
                "--set-string" => values.set_string(pair[1]),
                _ => values.set_literal(pair[1]),
            }
            .map_err(|error| error.to_string())?;
        }
    }
    Ok(values)
}

#[test]
fn charts_render_as_helm_renders_them() {
    let mut failures = Vec::new();
    let mut charts: Vec<_> = std::fs::read_dir(folder().join("charts"))
        .expect("the charts exist")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    charts.sort();
    for chart in charts {
        let files = read_chart(&chart.join("chart"));
        let cases = std::fs::read_to_string(chart.join("cases.txt")).expect("cases");
        for case in cases.lines() {
            let mut words = case.split(' ');
            let name = words.next().unwrap_or_default();
            let flags: Vec<&str> = words.collect();
            let ours = values(&chart, &flags)
                .and_then(|values| template(files.clone(), &values, Level::V4_2))
                .unwrap_or_else(|text| format!("Error: {text}"));
            let path = chart.join("expected").join(format!("{name}.txt"));
            let outcome = std::panic::catch_unwind(|| {
                golden(&path, ours.trim_end(), || {
                    let flags: Vec<String> = flags
                        .chunks(2)
                        .flat_map(|pair| match pair[0] {
                            "-f" => [
                                "-f".to_owned(),
                                chart.join(pair[1]).to_string_lossy().into_owned(),
                            ],
                            _ => [pair[0].to_owned(), pair[1].to_owned()],
                        })
                        .collect();
                    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
                    let said = run_helm(&oracle()?, &files, &flags);
                    let text = said.unwrap_or_else(|text| format!("Error: {text}"));
                    Some(text.trim_end().to_owned())
                });
            });
            if outcome.is_err() {
                failures.push(path.display().to_string());
            }
        }
    }
    assert!(failures.is_empty(), "unequal: {failures:#?}");
}
