//! Chart archives: gzip, then tar, one folder at the top.
//!
//! Reference: `pkg/chart/loader/archive/archive.go` of Helm. Nothing is
//! written anywhere; links and devices are skipped, sizes are bounded.

use crate::chart::File;
use std::io::Read;

/// Helm's bound on the sum of all files.
const TOTAL_MAX: u64 = 100 << 20;
/// Helm's bound on one file.
const FILE_MAX: u64 = 5 << 20;

/// Opens an archive.
///
/// # Errors
///
/// When it is no chart archive, or paths or sizes are not allowed.
pub fn unpack(bytes: &[u8]) -> Result<Vec<File>, String> {
    let gzip = flate2::read::GzDecoder::new(bytes);
    let mut archive = tar::Archive::new(gzip.take(TOTAL_MAX + (1 << 20)));
    let mut files = Vec::new();
    let mut remaining = TOTAL_MAX;
    let entries = archive.entries().map_err(unreadable)?;
    for entry in entries {
        let mut entry = entry.map_err(unreadable)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(name) = inner_path(&path)? else {
            continue;
        };
        let size = entry.size();
        if size > remaining {
            return Err(format!(
                "decompressed chart is larger than the maximum size {TOTAL_MAX}"
            ));
        }
        if size > FILE_MAX {
            return Err(format!(
                "decompressed chart file {path:?} is larger than the maximum file size {FILE_MAX}"
            ));
        }
        remaining -= size;
        let mut data = Vec::with_capacity(size as usize);
        entry
            .by_ref()
            .take(FILE_MAX + 1)
            .read_to_end(&mut data)
            .map_err(unreadable)?;
        let data = data
            .strip_prefix(b"\xEF\xBB\xBF")
            .map(<[u8]>::to_vec)
            .unwrap_or(data);
        files.push(File::new(name, data));
    }
    if files.is_empty() {
        return Err("no files in chart archive".into());
    }
    Ok(files)
}

fn unreadable(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "unexpected EOF".into(),
        _ => error.to_string(),
    }
}

/// The path below the top folder; `None` for what stands beside it.
fn inner_path(path: &str) -> Result<Option<String>, String> {
    let path = path.replace('\\', "/");
    let Some((_, inner)) = path.split_once('/') else {
        return match path.as_str() {
            "Chart.yaml" => Err("chart yaml not in base directory".into()),
            _ => Ok(None),
        };
    };
    if path.starts_with('/') {
        return Err("chart illegally contains absolute paths".into());
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in inner.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("chart illegally references parent directory".into()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err("chart illegally contains content outside the base directory".into());
    }
    let second = parts[0].as_bytes();
    if second.len() > 1 && second[1] == b':' && second[0].is_ascii_alphabetic() {
        return Err("chart contains illegally named files".into());
    }
    Ok(Some(parts.join("/")))
}
