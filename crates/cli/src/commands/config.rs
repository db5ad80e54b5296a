//! `coracle config`: defaults of the user's own, the kubeconfig, and the
//! schema of coracle.yaml.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use coracle_cluster::Home;

use super::Global;
use super::target::{Target, kubeconfig_path};
use crate::failure::{Failure, Outcome};
use crate::project;
use coracle_release::why::similar;

/// What can be set, and what for.
const KEYS: [(&str, &str); 3] = [
    ("cluster", "name of the cluster that commands act on"),
    ("kubeconfig", "kubeconfig that is changed and read"),
    ("context", "existing cluster that commands act on"),
];

/// View and set defaults; print the schema of coracle.yaml.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  coracle config view                    what is set
  coracle config set cluster dev         `--cluster dev` from now on
  coracle config unset cluster           the built-in default again
  coracle config kubeconfig              where the kubeconfig is
  coracle config use-context             make kubectl talk to the cluster
  coracle config schema > schema.json    for editors: the keys of coracle.yaml

A flag wins over an environment variable, that over what is set here.")]
pub struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print what is set.
    View,
    /// Set a default.
    Set {
        /// What to set: cluster, kubeconfig or context.
        key: String,
        /// Its value.
        value: String,
    },
    /// Remove a default.
    Unset {
        /// What to remove.
        key: String,
    },
    /// Print the path of the kubeconfig.
    Kubeconfig,
    /// Make the cluster the current context of the kubeconfig.
    UseContext,
    /// Print the JSON schema of coracle.yaml.
    Schema,
}

/// Defaults of the user's own.
pub type Defaults = BTreeMap<String, String>;

impl Config {
    /// Runs the command.
    pub fn run(&self, global: &Global) -> Outcome {
        match &self.action {
            Action::View => {
                for (key, value) in defaults()? {
                    println!("{key}: {value}");
                }
                Ok(())
            }
            Action::Set { key, value } => {
                let key = known(key)?;
                if key == "cluster" {
                    super::cluster_name(value).map_err(Failure::usage)?;
                }
                let mut defaults = defaults()?;
                defaults.insert(key.into(), value.clone());
                write(&defaults)
            }
            Action::Unset { key } => {
                let mut defaults = defaults()?;
                defaults.remove(known(key)?);
                write(&defaults)
            }
            Action::Kubeconfig => {
                println!("{}", kubeconfig_path(global)?.display());
                Ok(())
            }
            Action::UseContext => {
                let target = Target::of(global)?;
                let record = target.require_running()?;
                target
                    .entry(&record)?
                    .merge_into(&kubeconfig_path(global)?)?;
                Ok(())
            }
            Action::Schema => {
                println!("{}", serde_json::to_string_pretty(&project::schema())?);
                Ok(())
            }
        }
    }
}

/// Reads the defaults; without a file there are none.
pub fn defaults() -> Result<Defaults, Failure> {
    let path = path()?;
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Defaults::new()),
        Err(error) => return Err(Failure::usage(format!("{}: {error}", path.display()))),
    };
    serde_saphyr::from_str(&text).map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display()))
            .hint("its lines are KEY: VALUE; remove the file to start anew")
    })
}

fn write(defaults: &Defaults) -> Outcome {
    let path = path()?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(std::fs::write(path, serde_saphyr::to_string(defaults)?)?)
}

fn path() -> Result<PathBuf, Failure> {
    Ok(Home::from_environment()?.path().join("config.yaml"))
}

fn known(key: &str) -> Result<&'static str, Failure> {
    let keys = || KEYS.iter().map(|(key, _)| *key);
    if let Some(found) = keys().find(|known| *known == key) {
        return Ok(found);
    }
    let hint = match similar(key, keys()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => KEYS.map(|(key, what)| format!("{key} ({what})")).join(", "),
    };
    Err(Failure::usage(format!("there is nothing called {key:?} to set")).hint(hint))
}
