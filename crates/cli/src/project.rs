//! `coracle.yaml`: what `coracle up` does in a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::Failure;

/// What `coracle up` does in a folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Name of the release.
    pub release: String,
    /// Namespace of the release.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Folder of the chart.
    pub chart: PathBuf,
    /// Files of values, later ones win.
    #[serde(default)]
    pub values: Vec<PathBuf>,
    /// Images that are built first.
    #[serde(default)]
    pub images: Vec<ImageSpec>,
    /// The folder that all paths are relative to.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// An image that is built first.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// Its name.
    pub name: String,
    /// Its Dockerfile.
    pub dockerfile: PathBuf,
    /// Folder of the files that the Dockerfile copies.
    #[serde(default = "default_context")]
    pub context: PathBuf,
    /// Commands that run first, by `sh -c`, in the folder of the file.
    #[serde(default)]
    pub before: Commands,
    /// Folders that stand in for stages or images.
    #[serde(default)]
    pub contexts: BTreeMap<String, PathBuf>,
}

/// One command or several.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(untagged)]
pub enum Commands {
    /// None.
    #[default]
    None,
    /// One.
    One(String),
    /// Several, one after another.
    Many(Vec<String>),
}

impl Commands {
    /// Returns the commands in order.
    pub fn list(&self) -> &[String] {
        match self {
            Commands::None => &[],
            Commands::One(command) => std::slice::from_ref(command),
            Commands::Many(commands) => commands,
        }
    }
}

fn default_namespace() -> String {
    "default".into()
}

fn default_context() -> PathBuf {
    ".".into()
}

impl Project {
    /// Reads `coracle.yaml` in `folder`; a bare chart is a project as well.
    ///
    /// # Errors
    /// Fails if there is neither, or if the file is wrong.
    pub fn read(folder: &Path) -> Result<Project, Failure> {
        let path = folder.join("coracle.yaml");
        let folder = std::path::absolute(folder)?;
        if !path.exists() && folder.join("Chart.yaml").exists() {
            return Ok(Project::of_chart(&folder));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::usage(format!("{}: {error}", path.display()))
                .hint("name a folder that holds coracle.yaml or a chart: coracle up DIR")
        })?;
        let mut project: Project = serde_saphyr::from_str(&text)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        project.folder = folder;
        Ok(project)
    }

    fn of_chart(folder: &Path) -> Project {
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Project {
            release: name,
            namespace: default_namespace(),
            chart: ".".into(),
            values: Vec::new(),
            images: Vec::new(),
            folder: folder.to_owned(),
        }
    }

    /// Returns a path of the file as a path of the file system.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_key_is_refused_with_its_line() {
        let dir = std::env::temp_dir().join(format!("coracle-project-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder for the test");
        std::fs::write(
            dir.join("coracle.yaml"),
            "release: a\nchart: c\nimagse: []\n",
        )
        .expect("a file");
        let failure = Project::read(&dir).expect_err("it is misspelled");
        std::fs::remove_dir_all(&dir).expect("it was made");
        let text = format!("{failure:?}");
        assert!(text.contains("imagse") && text.contains('3'), "{text}");
    }
}
