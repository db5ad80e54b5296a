//! A project for `coracle up` that takes the programs built beside the tests
//! instead of compiling them again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cluster::{Cluster, built, repository};

/// What `coracle.yaml` says.
#[derive(Debug, Clone)]
pub struct Project {
    /// Tag of both images.
    pub tag: &'static str,
    /// Files of values, later ones win; relative ones stand in the cluster's home.
    pub values: Vec<PathBuf>,
}

impl Default for Project {
    fn default() -> Project {
        Project {
            tag: "latest",
            values: Vec::new(),
        }
    }
}

impl Project {
    /// Writes `coracle.yaml`, a copy of the chart and what the images hold.
    ///
    /// # Panics
    /// Panics if a file cannot be written.
    pub fn write(&self, cluster: &Cluster) {
        let home = cluster.home();
        let mut images = String::new();
        for name in ["todo-backend", "todo-frontend"] {
            let context = home.join(name);
            fs::create_dir_all(context.join("out")).expect("a folder for the test");
            fs::copy(built(name), context.join("out").join(name)).expect("it was built");
            let dockerfile = home.join(format!("{name}.Dockerfile"));
            let source = repository().join(format!("apps/{name}/Dockerfile"));
            fs::copy(source, &dockerfile).expect("it is there");
            images.push_str(&format!(
                "  - name: {name}:{}\n    dockerfile: {}\n    context: {}\n    contexts: {{builder: {}}}\n",
                self.tag,
                dockerfile.display(),
                context.display(),
                context.display(),
            ));
        }
        copy_folder(&repository().join("charts/todo-app"), &home.join("chart"));
        let values: String = self
            .values
            .iter()
            .map(|path| format!("  - {}\n", home.join(path).display()))
            .collect();
        let text = format!(
            "release: todo\nnamespace: default\nchart: {}\nvalues:\n{values}images:\n{images}",
            home.join("chart").display(),
        );
        fs::write(home.join("coracle.yaml"), text).expect("a file for the test");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder for the test");
    for entry in fs::read_dir(from).expect("the chart is there").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file for the test");
        }
    }
}
