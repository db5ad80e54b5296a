//! `coracle kubectl`: the user's own kubectl, with the cluster's kubeconfig.
//!
//! Under the name `kubectl` this program stands before the user's own and
//! calls that; there is none in it.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Args;

use super::Global;
use super::target::Target;
use crate::failure::{Failure, Outcome};

/// Run kubectl with the cluster's kubeconfig.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:
  coracle kubectl get pods -A
  coracle kubectl --cluster second get nodes    another cluster of yours"
)]
pub struct Kubectl {
    /// Arguments for kubectl.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl Kubectl {
    /// Becomes kubectl.
    pub fn run(&self, global: &Global) -> Outcome {
        use std::io::Write;
        let target = Target::of(global)?;
        if let Some(remote) = &target.remote {
            return become_kubectl(|kubectl| {
                kubectl
                    .args(["--context", &remote.context])
                    .args(&self.args);
                if let Some(path) = &global.kubeconfig {
                    kubectl.env("KUBECONFIG", path);
                }
            });
        }
        if self.asks_for_help() && target.running().is_none() {
            return become_kubectl(|kubectl| {
                kubectl.args(&self.args);
            });
        }
        let record = target.require_running()?;
        let path = target.dir.path().join("kubeconfig");
        let text = serde_json::to_vec_pretty(&target.entry(&record)?.document())?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(&text)?;
        become_kubectl(|kubectl| {
            kubectl.args(&self.args).env("KUBECONFIG", &path);
        })
    }

    /// Whether kubectl answers without a cluster.
    fn asks_for_help(&self) -> bool {
        let mut own = self.args.iter().take_while(|word| *word != "--");
        self.args.first().is_some_and(|word| word == "help")
            || own.any(|word| word == "--help" || word == "-h")
    }
}

/// Becomes the user's kubectl with the words of the command line.
pub fn run() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    match become_kubectl(|kubectl| {
        kubectl.args(words);
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn become_kubectl(prepare: impl FnOnce(&mut Command)) -> Outcome {
    let Some(path) = find() else {
        return Err(Failure::machine("there is no kubectl on this machine").hint(
            "fetch it from https://kubernetes.io/docs/tasks/tools/ (any of 1.27 to 1.36), or use \
             what needs none: coracle status, logs, why, forward, service",
        ));
    };
    let mut kubectl = Command::new(&path);
    prepare(&mut kubectl);
    let error = kubectl.exec();
    Err(Failure::machine(format!(
        "{} could not be run: {error}",
        path.display()
    )))
}

/// Returns the first kubectl of the PATH that is not this program.
fn find() -> Option<PathBuf> {
    let own = std::fs::metadata("/proc/self/exe").ok()?;
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join("kubectl"))
        .find(|path| {
            std::fs::metadata(path).is_ok_and(|found| {
                let is_own = (found.dev(), found.ino()) == (own.dev(), own.ino());
                found.is_file() && found.permissions().mode() & 0o111 != 0 && !is_own
            })
        })
}
