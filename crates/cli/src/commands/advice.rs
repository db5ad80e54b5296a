//! What to do about a cluster that could not be started, stopped or changed.

use std::io::ErrorKind;

use coracle_cluster::LaunchError;

use super::doctor;
use crate::failure::Failure;
use crate::remedy;

/// Returns the failure of a command that changes a cluster, with advice.
pub fn of_launch(error: LaunchError) -> Failure {
    let text = super::target::chain(&error);
    match &error {
        LaunchError::File { source, .. } => match source.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotFound => {
                Failure::machine(text).hint(remedy::HOME)
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Failure::machine(text).hint(remedy::DISK)
            }
            _ => Failure::machine(text).hint(remedy::LOOK),
        },
        LaunchError::TooNew { .. } => {
            Failure::machine(text).hint(format!("{}; or begin anew: coracle delete", remedy::NEWER))
        }
        LaunchError::Busy { .. } => {
            Failure::from(anyhow::anyhow!(text)).hint("wait for that command, or end it")
        }
        LaunchError::Namespaces { message } => {
            let says = |word: &str| message.contains(word);
            let hint = match () {
                () if says("user namespace") || says("id map") => doctor::user_namespaces(),
                () if says("overlay") => remedy::OVERLAY.into(),
                () if says("nftables") => remedy::NFTABLES.into(),
                () => remedy::LOOK.into(),
            };
            Failure::machine(text).hint(hint)
        }
        LaunchError::Spawn { .. } => Failure::machine(text).hint(remedy::LOOK),
    }
}

/// Refuses a binary that containers could not execute: it needs libraries of
/// this machine.
pub fn check_binary() -> Result<(), Failure> {
    if !doctor::needs_libraries() {
        return Ok(());
    }
    Err(Failure::machine(
        "this coracle needs libraries of this machine, which its containers do not have",
    )
    .hint(remedy::STATIC))
}
