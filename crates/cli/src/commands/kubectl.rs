//! `coracle kubectl`: the user's own kubectl, with the cluster's kubeconfig.

use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;

use super::Global;
use super::target::Target;
use crate::failure::{Failure, Outcome};

/// Run kubectl with the cluster's kubeconfig.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct Kubectl {
    /// Arguments for kubectl.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<std::ffi::OsString>,
}

impl Kubectl {
    /// Becomes kubectl.
    pub fn run(&self, global: &Global) -> Outcome {
        use std::io::Write;
        let target = Target::of(global)?;
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
        let error = Command::new("kubectl")
            .args(&self.args)
            .env("KUBECONFIG", &path)
            .exec();
        Err(
            Failure::from(anyhow::anyhow!("kubectl could not be run: {error}"))
                .hint("install kubectl; its kubeconfig context is set by `coracle start`"),
        )
    }
}
