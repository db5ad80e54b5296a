//! An older build of the program.
//!
//! `CORACLE_OLDER` names one that was built from an earlier commit (`cargo
//! xtask soak` does so). Otherwise it is a copy of this build in which another
//! version and an older format stand: from these it knows what it is, so it
//! writes and refuses what a build of that version would.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cluster::built;

/// What begins the line in the executable that says what it is.
const MARK: &[u8] = b"CORACLE-BUILD version=";

/// The line of an older build, as long as the one it replaces or shorter.
const LINE: &[u8] = b"CORACLE-BUILD version=0.0.9 format=1;";

/// Returns an older build; a copy is laid into `folder`.
///
/// # Panics
/// Panics if it cannot be made.
pub fn build(folder: &Path) -> PathBuf {
    if let Some(path) = std::env::var_os("CORACLE_OLDER") {
        return path.into();
    }
    let path = folder.join("coracle-0.0.9");
    let mut bytes = fs::read(built("coracle")).expect("it was built");
    let at = find(&bytes);
    let length = bytes[at..]
        .iter()
        .position(|byte| *byte == b';')
        .expect("the line has an end")
        + 1;
    assert!(LINE.len() <= length, "the line has no room");
    bytes[at..at + length].fill(b' ');
    bytes[at..at + LINE.len()].copy_from_slice(LINE);
    fs::write(&path, bytes).expect("a file for the test");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, mode).expect("it is ours");
    path
}

/// Returns where the line stands; the mark alone stands elsewhere, too.
fn find(bytes: &[u8]) -> usize {
    let found = bytes.windows(MARK.len() + 1).position(|window| {
        window.starts_with(MARK) && window.last().is_some_and(u8::is_ascii_digit)
    });
    found.expect("the program says what it is")
}
