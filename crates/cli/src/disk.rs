//! What the disk answers, in the words of Go, which users of helm know.

use std::io::{Error, ErrorKind};
use std::path::Path;

/// Returns an error as Go's `os.PathError` has it: `open values.yaml: no such
/// file or directory`.
pub fn path_error(verb: &str, path: impl AsRef<Path>, error: &Error) -> anyhow::Error {
    anyhow::anyhow!("{verb} {}: {}", path.as_ref().display(), words(error))
}

fn words(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file or directory".into(),
        ErrorKind::PermissionDenied => "permission denied".into(),
        ErrorKind::IsADirectory => "is a directory".into(),
        ErrorKind::NotADirectory => "not a directory".into(),
        _ => error.to_string(),
    }
}
