//! Reading `coracle.yaml`: what is wrong is said with its line and with what
//! was probably meant.

use std::path::Path;

use coracle_cluster::Share;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_saphyr::Error;

use super::{FILE, Project};
use crate::failure::Failure;
use coracle_release::why::similar;

/// The file that makes a folder a chart.
const CHART: &str = "Chart.yaml";

/// Reads the project in `folder` with the variations called `profiles`; the
/// folder of a bare chart is a project as well.
///
/// # Errors
/// Fails if there is neither, if the file is wrong, or if a file it names is
/// not there.
pub fn read(folder: &Path, profiles: &[String]) -> Result<Project, Failure> {
    let path = folder.join(FILE);
    let folder = std::path::absolute(folder)?;
    let (mut project, text) = if !path.exists() && folder.join(CHART).exists() {
        (bare_chart(&folder), String::new())
    } else {
        let text = std::fs::read_to_string(&path).map_err(|error| missing(&path, &error))?;
        (parse(&path.display().to_string(), &text)?, text)
    };
    for name in profiles {
        let Some(profile) = project.profiles.get(name).cloned() else {
            return Err(no_profile(&project, name));
        };
        project.vary(profile);
    }
    project.folder = folder;
    check_files(&project, &path, &text)?;
    if project.release.is_empty() {
        project.release = chart_name(&project.path(&project.chart));
    }
    Ok(project)
}

/// Reads the project in `folder`, with advice of the caller's where there is none.
///
/// # Errors
/// Fails as [`read`] does.
pub fn read_or(folder: &Path, profiles: &[String], advice: &str) -> Result<Project, Failure> {
    read(folder, profiles).map_err(|failure| match is_in(folder) {
        true => failure,
        false => failure.hint(advice),
    })
}

/// Returns whether there is a project in `folder`, be it right or wrong.
pub fn is_in(folder: &Path) -> bool {
    folder.join(FILE).exists() || folder.join(CHART).exists()
}

/// Parses the text of the file called `name`.
///
/// # Errors
/// Fails with line, excerpt and advice.
pub fn parse(name: &str, text: &str) -> Result<Project, Failure> {
    serde_saphyr::from_str(text).map_err(|error| explain(name, text, &error))
}

/// Reads shares as the command line takes them.
///
/// # Errors
/// Fails for words that are none.
pub fn shares<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Share>>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(from)?;
    let read = |texts: Vec<String>| texts.iter().map(|text| text.parse()).collect();
    texts.map(read).transpose().map_err(D::Error::custom)
}

fn explain(name: &str, text: &str, error: &Error) -> Failure {
    let error = error.without_snippet();
    let (line, column) = error.location().map_or((1, 1), |place| {
        (place.line() as usize, place.column() as usize)
    });
    let (message, hint) = match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => (
            format!("there is no key {field:?} here"),
            match similar(field, expected.iter().copied()) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("the keys here are {}", expected.join(", ")),
            },
        ),
        Error::SerdeMissingField { field, .. } => (
            format!("the key {field:?} is missing"),
            "`coracle config schema` prints every key with its meaning".into(),
        ),
        other => {
            let mut text = other.to_string();
            // The place stands in front already.
            if let Some(end) = text.find(" at line ") {
                text.truncate(end);
            }
            (
                text,
                "`coracle config schema` prints every key with its meaning".into(),
            )
        }
    };
    at(name, text, line, column, &message).hint(hint)
}

/// Returns a failure that shows the line it speaks of.
fn at(name: &str, text: &str, line: usize, column: usize, message: &str) -> Failure {
    let excerpt = text
        .lines()
        .nth(line.saturating_sub(1))
        .filter(|excerpt| !excerpt.trim().is_empty());
    let excerpt = excerpt.map_or(String::new(), |excerpt| {
        let before: String = excerpt
            .chars()
            .take(column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        format!("\n{line:>5} | {excerpt}\n      | {before}^")
    });
    Failure::usage(format!("{name}:{line}:{column}: {message}{excerpt}"))
}

fn missing(path: &Path, error: &std::io::Error) -> Failure {
    let message = match error.kind() {
        std::io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("."));
            format!(
                "there is no {FILE} and no Chart.yaml in {}",
                folder.display()
            )
        }
        _ => format!("{}: {error}", path.display()),
    };
    Failure::usage(message).hint("name a folder that holds coracle.yaml or a chart: coracle up DIR")
}

fn no_profile(project: &Project, name: &str) -> Failure {
    let known: Vec<&str> = project.profiles.keys().map(String::as_str).collect();
    let hint = match similar(name, known.iter().copied()) {
        Some(meant) => format!("did you mean --profile {meant}?"),
        None if known.is_empty() => format!("{FILE} has no key \"profiles\""),
        None => format!("its profiles are {}", known.join(", ")),
    };
    Failure::usage(format!("{FILE} has no profile {name:?}")).hint(hint)
}

/// Checks that what the file names is there, before anything is begun.
fn check_files(project: &Project, path: &Path, text: &str) -> Result<(), Failure> {
    let chart = project.path(&project.chart);
    let named: Vec<(&Path, bool, &str)> = std::iter::once((
        project.chart.as_path(),
        chart.is_file() || chart.join(CHART).is_file(),
        "is no chart: it holds no Chart.yaml",
    ))
    .chain(project.values.iter().map(|file| {
        let there = project.path(file).is_file();
        (file.as_path(), there, "is no file of values")
    }))
    .chain(project.images.iter().flat_map(|image| {
        let dockerfile = project.path(&image.dockerfile).is_file();
        let context = project.path(&image.context).is_dir();
        [
            (image.dockerfile.as_path(), dockerfile, "is no Dockerfile"),
            (image.context.as_path(), context, "is no folder"),
        ]
    }))
    .chain(project.shares.iter().flatten().map(|share| {
        let there = project.path(&share.host).is_dir();
        (share.host.as_path(), there, "is no folder")
    }))
    .collect();
    let Some((file, _, message)) = named.into_iter().find(|(_, there, _)| !there) else {
        return Ok(());
    };
    let shown = file.display().to_string();
    let place = text
        .lines()
        .enumerate()
        .find_map(|(number, line)| Some((number + 1, line.find(shown.as_str())? + 1)));
    let message = format!("{:?} {message}", shown);
    Err(match place {
        Some((line, column)) => at(&path.display().to_string(), text, line, column, &message),
        None => Failure::usage(message),
    }
    .hint(format!(
        "paths are relative to {}",
        project.folder.display()
    )))
}

fn bare_chart(folder: &Path) -> Project {
    Project {
        chart: ".".into(),
        folder: folder.to_owned(),
        ..Project::of_release("")
    }
}

/// Returns the name in a chart's Chart.yaml, else that of its folder.
fn chart_name(chart: &Path) -> String {
    #[derive(serde::Deserialize)]
    struct Meta {
        name: String,
    }
    let text = std::fs::read_to_string(chart.join(CHART)).unwrap_or_default();
    match serde_saphyr::from_str::<Meta>(&text) {
        Ok(meta) => meta.name,
        Err(_) => chart
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let failure = parse(FILE, text).expect_err("it is wrong");
        let said = failure.to_string();
        for part in expected {
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_advice() {
        check(
            "release: a\nchart: c\nimagse: []\n",
            &[
                "coracle.yaml:3:1",
                "there is no key \"imagse\"",
                "3 | imagse: []",
                "did you mean \"images\"?",
            ],
        );
        check(
            "chart: c\nimages:\n  - name: a\n    dockerfle: D\n",
            &["coracle.yaml:4:5", "did you mean \"dockerfile\"?"],
        );
        check("release: a\n", &["the key \"chart\" is missing"]);
        check(
            "chart: c\nfleet: 3\n",
            &["the keys here are release, namespace"],
        );
        check("chart: [c\n", &["coracle.yaml:"]);
        check("chart: c\nvalues: yes\n", &["coracle.yaml:2"]);
    }

    #[test]
    fn an_empty_list_is_not_a_missing_one() {
        let shares = |text: &str| {
            let project = parse(FILE, text).expect("it is right");
            project.shares.map(|shares| shares.len())
        };
        assert_eq!(shares("chart: c\n"), None);
        assert_eq!(shares("chart: c\nshares: []\n"), Some(0));
        assert_eq!(shares("chart: c\nshares: [data:/data]\n"), Some(1));
        check("chart: c\nshares: [data:data]\n", &["PATH absolute"]);
    }

    #[test]
    fn profiles_add_and_replace() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).expect("a file for the test");
        };
        std::fs::create_dir(dir.path().join("c")).expect("a folder for the test");
        write(
            "c/Chart.yaml",
            "apiVersion: v2\nname: boat\nversion: 0.1.0\n",
        );
        write("a.yaml", "");
        write("b.yaml", "");
        write(
            FILE,
            "chart: c\nvalues: [a.yaml]\nprofiles:\n  lean: {values: [b.yaml], set: [x=1], namespace: n}\n",
        );
        let plain = read(dir.path(), &[]).expect("it is right");
        assert_eq!(
            (plain.release.as_str(), plain.namespace.as_str()),
            ("boat", "default")
        );
        let lean = read(dir.path(), &["lean".into()]).expect("it is right");
        assert_eq!(lean.values, [Path::new("a.yaml"), Path::new("b.yaml")]);
        assert_eq!(
            (lean.set.as_slice(), lean.namespace.as_str()),
            (&["x=1".to_owned()][..], "n")
        );
        let said = read(dir.path(), &["laen".into()])
            .expect_err("it is misspelled")
            .to_string();
        assert!(said.contains("did you mean --profile lean?"), "{said}");
    }

    #[test]
    fn files_that_are_not_there_are_named_with_their_line() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        std::fs::write(dir.path().join(FILE), "release: a\nchart: nowhere\n").expect("a file");
        let said = read(dir.path(), &[])
            .expect_err("there is no chart")
            .to_string();
        assert!(said.contains(":2:8: \"nowhere\" is no chart"), "{said}");
    }

    #[test]
    fn the_published_schema_is_that_of_the_code() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/coracle.schema.json");
        let expected =
            serde_json::to_string_pretty(&super::super::schema()).expect("it is JSON") + "\n";
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            published, expected,
            "write it anew: coracle config schema > docs/coracle.schema.json"
        );
    }
}
