//! What to do about a cluster that could not be started, stopped or changed.

use std::io::ErrorKind;

use coracle_cluster::LaunchError;

use super::doctor;
use crate::failure::Failure;

/// Returns the failure of a command that changes a cluster, with advice.
pub fn of_launch(error: LaunchError) -> Failure {
    let text = super::target::chain(&error);
    match &error {
        LaunchError::File { source, .. } => match source.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotFound => {
                Failure::machine(text).hint(
                    "clusters are kept in a folder that you may write: export CORACLE_HOME=DIR",
                )
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Failure::machine(text).hint(
                "free some space (coracle image ls shows what takes it), or: export CORACLE_HOME=DIR",
            ),
            _ => Failure::machine(text).hint("coracle doctor says what is wrong with this machine"),
        },
        LaunchError::TooNew { .. } => Failure::machine(text)
            .hint("use the coracle that wrote it, or a newer one; or begin anew: coracle delete"),
        LaunchError::Busy { .. } => {
            Failure::from(anyhow::anyhow!(text)).hint("wait for that command, or end it")
        }
        LaunchError::Namespaces { message } => {
            let says = |word: &str| message.contains(word);
            let hint = match () {
                () if says("user namespace") || says("id map") => doctor::user_namespaces(),
                () if says("overlay") => doctor::OVERLAY.into(),
                () if says("nftables") => doctor::NFTABLES.into(),
                () => "coracle doctor says what this machine lacks".into(),
            };
            Failure::machine(text).hint(hint)
        }
        LaunchError::Spawn { .. } => {
            Failure::machine(text).hint("coracle doctor says what is wrong with this machine")
        }
    }
}

/// Refuses a binary that containers could not execute: it needs libraries of
/// this machine.
pub fn check_binary() -> Result<(), Failure> {
    if !doctor::needs_libraries() {
        return Ok(());
    }
    Err(
        Failure::machine("this coracle needs libraries of this machine, which its containers do not have")
            .hint("build the static one: cargo build --release in the repository, whose .cargo/config.toml asks for it"),
    )
}
