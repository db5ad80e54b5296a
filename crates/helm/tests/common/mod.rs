//! Shared by the tests: charts of this folder, and the real helm where it is
//! fetched (`cargo xtask oracles`).

#![allow(dead_code, clippy::print_stderr)]

use coracle_helm as helm;
use std::path::{Path, PathBuf};

/// The folder of the tests.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Reads the files of a chart folder.
pub fn read_chart(path: &Path) -> Vec<helm::File> {
    fn walk(top: &Path, folder: &Path, files: &mut Vec<helm::File>) {
        for entry in std::fs::read_dir(folder).expect("the folder exists") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(top, &path, files);
            } else {
                let name = path
                    .strip_prefix(top)
                    .expect("below")
                    .to_string_lossy()
                    .into_owned();
                files.push(helm::File::new(name, std::fs::read(&path).expect("a file")));
            }
        }
    }
    let mut files = Vec::new();
    walk(path, path, &mut files);
    files
}

/// The probe chart with one more template.
pub fn probe_with(template: &str) -> Vec<helm::File> {
    let mut files = read_chart(&folder().join("probe"));
    files.push(helm::File::new("templates/case.yaml", template.as_bytes()));
    files
}

/// Renders as `helm template release-name` would print it.
pub fn template(
    files: Vec<helm::File>,
    values: &helm::Values,
    level: helm::Level,
) -> Result<String, String> {
    let chart = helm::Chart::load(files).map_err(|error| error.to_string())?;
    let options = helm::Options {
        level,
        ..helm::Options::default()
    };
    helm::render_with(
        &chart,
        values,
        &helm::Release::named("release-name"),
        &helm::Capabilities::of(level),
        &helm::NoCluster,
        options,
    )
    .map(|rendered| helm::print::template(&rendered, helm::print::Parts::default()))
    .map_err(|error| error.template_text())
}

/// The real helm; `None` with a loud line where it is not fetched.
pub fn oracle() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/oracles/helm-4.2.3");
    if path.is_file() {
        return Some(path);
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "the real helm is missing: run `cargo xtask oracles`"
    );
    eprintln!("SKIPPED: the real helm is missing, run `cargo xtask oracles`");
    None
}

/// Writes a chart to a folder of its own and runs the real helm on it.
pub fn run_helm(oracle: &Path, files: &[helm::File], flags: &[&str]) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let chart = folder.path().join("chart");
    for file in files {
        let path = chart.join(&file.name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, &file.data).expect("written");
    }
    let output = std::process::Command::new(oracle)
        .args(["template", "release-name"])
        .arg(&chart)
        .args(flags)
        .output()
        .expect("helm runs");
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let at = text.find("Error: ").map_or(0, |at| at + 7);
    Err(text[at..].trim_end().to_owned())
}

/// Compares with a golden file; with `UPDATE_GOLDENS=1` and the real helm the
/// file is written anew.
pub fn golden(path: &Path, ours: &str, theirs: impl FnOnce() -> Option<String>) {
    if std::env::var_os("UPDATE_GOLDENS").is_some()
        && let Some(text) = theirs()
    {
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }
    let expected =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if expected == ours {
        return;
    }
    // What ours printed lies beside the build, for diff.
    let name = path.strip_prefix(folder()).unwrap_or(path);
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("ours")
        .join(name);
    std::fs::create_dir_all(kept.parent().expect("a parent")).expect("a folder");
    std::fs::write(&kept, ours).expect("written");
    let mut report = String::new();
    for (at, pair) in expected.lines().zip(ours.lines()).enumerate() {
        if pair.0 != pair.1 && report.len() < 6000 {
            report.push_str(&format!("line {}\n- {}\n+ {}\n", at + 1, pair.0, pair.1));
        }
    }
    panic!("{} differs:\n{report}", path.display());
}
