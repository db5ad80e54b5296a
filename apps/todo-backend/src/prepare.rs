//! `todo-backend prepare FOLDER...`: hands folders to the user the server
//! runs as. A folder of the node belongs to root, whatever `fsGroup` says, so
//! an init container that is root runs this first.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::ExitCode;

/// User and group of the image.
const SERVER_ID: u32 = 1001;

/// Prepares all folders, or says which one resisted.
pub fn run(folders: impl Iterator<Item = String>) -> ExitCode {
    for folder in folders {
        if let Err(error) = prepare(Path::new(&folder)) {
            crate::log::plain(&format!("{folder} cannot be prepared: {error}\n"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn prepare(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    chown(folder, Some(SERVER_ID), Some(SERVER_ID))?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o770))
}
