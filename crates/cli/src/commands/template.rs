//! `coracle template`: prints what a chart renders to.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use coracle_helm::print::{self, Parts};
use coracle_helm::{
    Capabilities, KubeVersion, Level, Lookup, NoCluster, Options, Release, RenderError, Rendered,
    render_with,
};
use coracle_release::{DryRun, check_name};

use super::release::{ChartFlags, Naming, Where, dry_run, source};
use crate::failure::{Failure, Outcome};
use crate::values::ValueFlags;

/// How much is printed at once.
const PRINTED_BYTES: usize = 64 << 10;

/// Render a chart as `helm template` does.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  coracle template charts/todo-app\n  coracle template todo charts/todo-app -f production.yaml --set backend.replicaCount=3\n  coracle template charts/todo-app --show-only templates/service.yaml\n  coracle template charts/todo-app --output-dir rendered"
)]
pub struct Template {
    /// Name of the release and the chart, or the chart alone.
    #[arg(required = true, num_args = 1.., value_name = "[NAME] CHART")]
    names: Vec<String>,
    #[command(flatten)]
    naming: Naming,
    #[command(flatten)]
    chart: ChartFlags,
    #[command(flatten)]
    values: ValueFlags,
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
    /// Leave out tests.
    #[arg(long)]
    skip_tests: bool,
    /// Leave out hooks.
    #[arg(long)]
    no_hooks: bool,
    /// Leave values.schema.json unread.
    #[arg(long)]
    skip_schema_validation: bool,
    /// Which release of Helm to equal: 4.2, 4.1 or 3.
    #[arg(long, default_value = "4.2", value_parser = level)]
    helm_level: Level,
    /// As if installing, without a cluster (client) or asking one (server).
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "client", value_parser = dry_run)]
    dry_run: Option<DryRun>,
    /// The same as --dry-run=server.
    #[arg(long, hide = true)]
    validate: bool,
}

/// The command with the flags that helm has for every command.
#[derive(Debug, Args)]
pub struct Placed {
    #[command(flatten)]
    at: Where,
    /// Print what templates wrote, even if it is no YAML.
    #[arg(long)]
    debug: bool,
    #[command(flatten)]
    template: Template,
}

impl Placed {
    /// Prints the manifest, or writes it.
    pub fn run(&self) -> Outcome {
        let namespace = self.at.namespace.as_deref();
        self.template
            .run(namespace.unwrap_or("default"), self.debug)
    }
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
    /// Whether templates see a cluster: what it serves, and its objects by
    /// `lookup`.
    pub fn asks_server(&self) -> bool {
        self.validate || self.dry_run == Some(DryRun::Server)
    }

    /// Prints the manifest, or writes it.
    pub fn run(&self, namespace: &str, debug: bool) -> Outcome {
        if self.asks_server() {
            return Err(Failure::usage("template asks no server")
                .hint("ask one with: coracle check CHART --context NAME"));
        }
        let capabilities = Capabilities::of(self.helm_level);
        self.run_with(namespace, debug, capabilities, &NoCluster)
    }

    /// The same with what a cluster says.
    pub fn run_with(
        &self,
        namespace: &str,
        debug: bool,
        seen: Capabilities,
        lookup: &dyn Lookup,
    ) -> Outcome {
        crate::memory::keep();
        let capabilities = self.capabilities(seen)?;
        let (name, chart) = self
            .naming
            .name_and_chart(&self.names, Some("release-name"))?;
        let (chart, values) = source::load(chart, &self.chart, &self.values)?;
        check_name(&name).map_err(|error| anyhow::anyhow!("release name check failed: {error}"))?;
        let release = Release {
            namespace: namespace.to_owned(),
            is_install: !self.is_upgrade,
            ..Release::named(&*name)
        };
        let options = Options {
            level: self.helm_level,
            skip_schema_validation: self.skip_schema_validation,
            once: true,
            ..Options::default()
        };
        let rendered = render_with(&chart, &values, &release, &capabilities, lookup, options);
        let rendered = rendered.map_err(|error| match debug {
            true => self.refused_aloud(&error),
            false => refusal(&error),
        })?;
        for warning in &rendered.warnings {
            eprintln!("{warning}");
        }
        let printed = match &self.output_dir {
            Some(folder) => self.write(folder, &name, &rendered),
            None => self.print(&rendered),
        };
        // The process ends now, and the kernel frees faster.
        std::mem::forget((chart, rendered));
        printed
    }

    fn capabilities(&self, mut capabilities: Capabilities) -> Result<Capabilities, Failure> {
        if let Some(version) = &self.kube_version {
            capabilities.kube_version = KubeVersion::parse(version).map_err(|message| {
                Failure::usage(format!("invalid kube version '{version}': {message}"))
            })?;
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
        let mut out = BufWriter::with_capacity(PRINTED_BYTES, std::io::stdout().lock());
        if self.show_only.is_empty() {
            for piece in print::pieces(rendered, self.parts()) {
                out.write_all(piece.as_bytes())?;
            }
        } else {
            let text = print::template(rendered, self.parts());
            let text = print::only(&text, &self.show_only, self.helm_level)
                .map_err(|message| anyhow::anyhow!(message))?;
            out.write_all(text.as_bytes())?;
        }
        out.flush()?;
        Ok(())
    }

    /// Makes the failure of a refusal; prints what templates wrote, or those of
    /// them that are asked for.
    fn refused_aloud(&self, error: &RenderError) -> Failure {
        let mut text = String::new();
        for (path, written) in &error.written {
            if !written.trim().is_empty() {
                text.push_str(&format!("---\n# Source: {path}\n{written}\n"));
            }
        }
        if !self.show_only.is_empty() {
            match print::only(&text, &self.show_only, self.helm_level) {
                Ok(found) => text = found,
                Err(message) => return anyhow::anyhow!(message).into(),
            }
        } else if text.is_empty() {
            text.push('\n');
        }
        print!("{text}");
        refusal(error)
    }

    /// Writes one file per template; says which.
    fn write(&self, folder: &Path, name: &str, rendered: &Rendered) -> Outcome {
        let below = match self.release_name {
            true => folder.join(name),
            false => folder.to_owned(),
        };
        let mut written = BTreeSet::new();
        let definitions: Vec<&str> = rendered.crds.iter().map(|crd| &*crd.name).collect();
        for (path, text) in print::files(rendered, self.parts()) {
            // Helm knows no release where it writes definitions.
            let target = match definitions.contains(&&*path) {
                true => folder.join(&path),
                false => below.join(&path),
            };
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
        // Everything is in the files: Helm prints the line break of an empty
        // manifest, and finds nothing to show of it.
        match self.show_only.first() {
            Some(pattern) => {
                Err(anyhow::anyhow!("could not find template {pattern} in chart").into())
            }
            None => {
                println!();
                Ok(())
            }
        }
    }
}

/// Makes the failure of a refusal.
fn refusal(error: &RenderError) -> Failure {
    Failure::from(anyhow::anyhow!("{}", error.report().trim_end()))
}
