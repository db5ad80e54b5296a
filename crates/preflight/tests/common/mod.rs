//! Charts made of a few texts, and what is found in them.

#![allow(dead_code)]

use coracle_helm::{Capabilities, Chart, File, Level, NoCluster, Options, Release, Values};
use coracle_preflight::{Input, Report, Target, check};
use std::path::Path;

/// A chart of one template.
pub fn chart(template: &str) -> Chart {
    chart_with(template, "")
}

/// A chart of one template and default values.
pub fn chart_with(template: &str, values: &str) -> Chart {
    let files = vec![
        File::new(
            "Chart.yaml",
            &b"apiVersion: v2\nname: c\nversion: 0.1.0\n"[..],
        ),
        File::new("values.yaml", values.as_bytes()),
        File::new("templates/all.yaml", template.as_bytes()),
    ];
    Chart::load(files).expect("the chart of a test loads")
}

/// A chart on the disk.
pub fn folder(path: &Path) -> Chart {
    fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(root, &path, files);
                continue;
            }
            let name = path.strip_prefix(root).expect("below").to_string_lossy();
            files.push(File::new(name, std::fs::read(&path).expect("a file")));
        }
    }
    let mut files = Vec::new();
    collect(path, path, &mut files);
    Chart::load(files).expect("the chart loads")
}

/// Checks a chart as release `r` in namespace `default`.
pub fn report(chart: &Chart, values: &Values, target: Option<&Target>) -> Report {
    report_as(chart, values, target, &Release::named("r"))
}

/// Checks a chart as a release.
pub fn report_as(
    chart: &Chart,
    values: &Values,
    target: Option<&Target>,
    release: &Release,
) -> Report {
    check(&Input {
        chart,
        values,
        release,
        capabilities: &Capabilities::of(Level::default()),
        lookup: &NoCluster,
        options: Options::default(),
        target,
        create_namespace: false,
    })
}

/// Findings as lines: `error[rule] Kind/name field: message`.
pub fn lines(report: &Report) -> Vec<String> {
    let findings = report.findings.iter();
    findings
        .map(|finding| {
            let object = finding.object.as_ref().map(|object| format!(" {object}"));
            format!(
                "{}[{}]{} {}: {}",
                finding.severity.as_str(),
                finding.rule,
                object.unwrap_or_default(),
                finding.field,
                finding.message
            )
        })
        .collect()
}
