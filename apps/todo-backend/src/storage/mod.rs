//! Uploaded files: on a volume, or at Cloudinary when it is configured.
//!
//! A file gets a random name of ours and the ending its content earned; what
//! the client called it never becomes a path.

mod cloudinary;
pub mod sniff;

use std::path::PathBuf;

use crate::auth::links;
use crate::http::AppState;
use crate::time::Millis;
use sniff::Kind;

/// Largest file.
pub const FILE_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Where a file went.
#[derive(Debug)]
pub struct Stored {
    /// `local` or `cloudinary`.
    pub storage: &'static str,
    /// Path below the folder of uploads, or a URL.
    pub location: String,
}

/// Why a file was not kept.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The volume cannot be written.
    #[error("{path} cannot be written")]
    Volume {
        /// The path.
        path: String,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// Cloudinary said no.
    #[error("cloudinary: {0}")]
    Cloudinary(String),
}

/// Keeps a file below a folder (`avatars` or `attachments`).
///
/// # Errors
/// As [`StorageError`] says.
pub async fn store(
    state: &AppState,
    folder: &'static str,
    kind: Kind,
    bytes: Vec<u8>,
) -> Result<Stored, StorageError> {
    let config = state.config();
    if let Some(account) = &config.cloudinary {
        let location = cloudinary::upload(account, folder, kind, &bytes).await;
        let location = location.map_err(StorageError::Cloudinary)?;
        return Ok(Stored {
            storage: "cloudinary",
            location,
        });
    }
    let location = format!("{folder}/{}.{}", uuid::Uuid::new_v4().simple(), kind.ending);
    let path = config.uploads.join(&location);
    write(&path, bytes)
        .await
        .map_err(|cause| StorageError::Volume {
            path: path.display().to_string(),
            cause,
        })?;
    Ok(Stored {
        storage: "local",
        location,
    })
}

async fn write(path: &std::path::Path, bytes: Vec<u8>) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    // A reader never sees half a file.
    let partial = path.with_extension("part");
    tokio::fs::write(&partial, bytes).await?;
    tokio::fs::rename(&partial, path).await
}

/// Forgets a local file; one that is gone already is fine.
pub async fn forget(state: &AppState, location: &str) {
    if let Some(path) = path_of(state, location)
        && let Err(error) = tokio::fs::remove_file(&path).await
    {
        tracing::warn!("an uploaded file cannot be removed: {error}");
    }
}

/// Returns the path of a local file; `None` for anything that is not exactly
/// `folder/name.ending` as [`store`] makes it.
pub fn path_of(state: &AppState, location: &str) -> Option<PathBuf> {
    is_location(location).then(|| state.config().uploads.join(location))
}

fn is_location(location: &str) -> bool {
    let Some((folder, file)) = location.split_once('/') else {
        return false;
    };
    let Some((name, ending)) = file.split_once('.') else {
        return false;
    };
    matches!(folder, "avatars" | "attachments")
        && name.len() == 32
        && name.bytes().all(|byte| byte.is_ascii_hexdigit())
        && sniff::KINDS.iter().any(|kind| kind.ending == ending)
}

/// Returns the signature that opens a file until an instant without a session.
pub fn signature(state: &AppState, location: &str, until: Millis) -> String {
    let text = format!("upload {location} {until}");
    links::mark(&state.config().link_secret, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_paths() {
        let check = |text: &str, expected: bool| assert_eq!(is_location(text), expected, "{text}");
        check("avatars/0123456789abcdef0123456789abcdef.png", true);
        check("attachments/0123456789abcdef0123456789abcdef.pdf", true);
        check(
            "avatars/../avatars/0123456789abcdef0123456789abcdef.png",
            false,
        );
        check("../0123456789abcdef0123456789abcdef.png", false);
        check("avatars/0123456789abcdef0123456789abcdef.png/x", false);
        check("avatars/0123456789abcdef0123456789abcdef.exe", false);
        check("avatars/short.png", false);
        check("/etc/passwd", false);
        check("", false);
    }
}
