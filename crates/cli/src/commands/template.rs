//! `coracle template`: prints what a chart renders to.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use coracle_helm::print::{self, Parts};
use coracle_helm::{
    Capabilities, KubeVersion, Level, NoCluster, Options, Release, Rendered, render_with,
};

use crate::chart;
use crate::failure::{Failure, Outcome};
use crate::values::ValueFlags;

/// Render a chart as `helm template` does.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  coracle template charts/todo-app\n  coracle template todo charts/todo-app -f production.yaml --set backend.replicaCount=3\n  coracle template charts/todo-app --show-only templates/service.yaml\n  coracle template charts/todo-app --output-dir rendered"
)]
pub struct Template {
    /// Name of the release and the chart, or the chart alone.
    #[arg(required = true, num_args = 1..=2, value_name = "[NAME] CHART")]
    names: Vec<String>,
    #[command(flatten)]
    values: ValueFlags,
    /// Namespace of the release.
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// Kubernetes version that the chart sees.
    #[arg(long)]
    kube_version: Option<String>,
    /// API versions that the chart sees besides the usual ones.
    #[arg(long, short, value_delimiter = ',')]
    api_versions: Vec<String>,
    /// Print only what these templates write.
    #[arg(long, short, value_name = "FILE")]
    show_only: Vec<String>,
    /// Write files below a folder instead of printing.
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Put a folder of the release's name into --output-dir.
    #[arg(long)]
    release_name: bool,
    /// Print the definitions of crds/ as well.
    #[arg(long)]
    include_crds: bool,
    /// Let the chart see an upgrade instead of an installation.
    #[arg(long)]
    is_upgrade: bool,
    /// Leave tests away.
    #[arg(long)]
    skip_tests: bool,
    /// Leave hooks away.
    #[arg(long)]
    no_hooks: bool,
    /// Leave values.schema.json unread.
    #[arg(long)]
    skip_schema_validation: bool,
    /// Which release of Helm to equal: 4.2, 4.1 or 3.
    #[arg(long, default_value = "4.2", value_parser = level)]
    helm_level: Level,
    /// Asks a server in Helm; templates are rendered without one here.
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "client")]
    dry_run: Option<String>,
    /// Asks a server in Helm; templates are rendered without one here.
    #[arg(long, hide = true)]
    validate: bool,
    /// Says more in Helm.
    #[arg(long, hide = true)]
    debug: bool,
}

fn level(text: &str) -> Result<Level, String> {
    match text {
        "4.2" | "4" => Ok(Level::V4_2),
        "4.1" => Ok(Level::V4_1),
        "3" | "3.17" => Ok(Level::V3),
        _ => Err("expected 4.2, 4.1 or 3".into()),
    }
}

impl Template {
    /// Prints the manifest, or writes it.
    pub fn run(&self) -> Outcome {
        let (name, path) = match self.names.as_slice() {
            [path] => ("release-name", path),
            [name, path] => (name.as_str(), path),
            _ => return Err(Failure::usage("name one chart")),
        };
        if self.validate || self.dry_run.as_deref() == Some("server") {
            return Err(Failure::usage("template asks no server")
                .hint("ask one with: coracle check CHART --context NAME"));
        }
        let chart = chart::load(path.as_ref())?;
        let values = self.values.read()?;
        let release = Release {
            namespace: self.namespace.clone(),
            is_install: !self.is_upgrade,
            ..Release::named(name)
        };
        let options = Options {
            level: self.helm_level,
            skip_schema_validation: self.skip_schema_validation,
            ..Options::default()
        };
        let capabilities = self.capabilities()?;
        let rendered = render_with(
            &chart,
            &values,
            &release,
            &capabilities,
            &NoCluster,
            options,
        )
        .map_err(|error| Failure::from(anyhow::anyhow!("{}", error.report().trim_end())))?;
        for warning in &rendered.warnings {
            eprintln!("{warning}");
        }
        match &self.output_dir {
            Some(folder) => self.write(folder, name, &rendered),
            None => self.print(&rendered),
        }
    }

    fn capabilities(&self) -> Result<Capabilities, Failure> {
        let mut capabilities = Capabilities::of(self.helm_level);
        if let Some(version) = &self.kube_version {
            capabilities.kube_version = KubeVersion::parse(version).map_err(Failure::usage)?;
        }
        let more = self.api_versions.iter().cloned();
        capabilities.api_versions.extend(more);
        Ok(capabilities)
    }

    fn parts(&self) -> Parts {
        Parts {
            crds: self.include_crds,
            no_hooks: self.no_hooks,
            skip_tests: self.skip_tests,
        }
    }

    fn print(&self, rendered: &Rendered) -> Outcome {
        let mut text = print::template(rendered, self.parts());
        if !self.show_only.is_empty() {
            text = print::only(&text, &self.show_only, self.helm_level)
                .map_err(|message| anyhow::anyhow!(message))?;
        }
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }

    /// Writes one file per template; says which.
    fn write(&self, folder: &Path, name: &str, rendered: &Rendered) -> Outcome {
        let folder = match self.release_name {
            true => folder.join(name),
            false => folder.to_owned(),
        };
        let mut written = BTreeSet::new();
        for (path, text) in print::files(rendered, self.parts()) {
            let target = folder.join(&path);
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent)
                    .with_context(|| format!("could not make {}", parent.display()))?;
            }
            let mut file = std::fs::OpenOptions::new()
                .create(true)
                .write(true)
                .append(written.contains(&path))
                .truncate(!written.contains(&path))
                .open(&target)
                .with_context(|| format!("could not write {}", target.display()))?;
            file.write_all(text.as_bytes())
                .with_context(|| format!("could not write {}", target.display()))?;
            written.insert(path);
            println!("wrote {}", target.display());
        }
        // Helm prints the empty manifest's line break.
        println!();
        Ok(())
    }
}
