//! What the host looks like: links, routes, mounts, cgroups, nftables, sysctls.
//! A cluster that is deleted must leave all of it as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A picture of the host, by what was looked at.
pub type Picture = BTreeMap<String, String>;

/// Takes a picture of the host: all that anybody sees, and the cgroups of clusters
/// whose names are `clusters` or begin so, as others come and go.
pub fn picture(clusters: &str) -> Picture {
    let mut picture = Picture::new();
    for file in [
        "/proc/net/route",
        "/proc/net/ipv6_route",
        "/proc/self/mountinfo",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
    ] {
        picture.insert(
            file.into(),
            without_counters(file, &fs::read_to_string(file).unwrap_or_default()),
        );
    }
    picture.insert("links".into(), names("/sys/class/net"));
    picture.insert("cgroups".into(), cgroups(clusters));
    picture.insert("nftables".into(), nftables());
    picture
}

/// Routes count their uses; that is no difference.
fn without_counters(file: &str, text: &str) -> String {
    if file != "/proc/net/ipv6_route" {
        return text.to_owned();
    }
    let fields = |line: &str| {
        line.split_whitespace()
            .enumerate()
            .filter(|(at, _)| !matches!(at, 6 | 7))
            .map(|(_, field)| field.to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    text.lines().map(fields).collect::<Vec<_>>().join("\n")
}

fn names(folder: &str) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.join("\n")
}

fn cgroups(clusters: &str) -> String {
    let mut found = Vec::new();
    let prefix = format!("coracle-{clusters}-");
    collect(Path::new("/sys/fs/cgroup"), &prefix, &mut found, 0);
    found.sort();
    found.join("\n")
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<String>, depth: usize) {
    if depth > 6 {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                found.push(path.display().to_string());
            }
            collect(&path, prefix, found, depth + 1);
        }
    }
}

/// The host's nftables tables, where the caller may see them and `nft` exists.
fn nftables() -> String {
    let output = std::process::Command::new("nft")
        .args(["list", "tables"])
        .output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

/// Compares two pictures and names what differs.
///
/// # Panics
/// Panics if anything does.
pub fn assert_same(before: &Picture, after: &Picture) {
    for (name, was) in before {
        let is = after.get(name).map(String::as_str).unwrap_or_default();
        assert_eq!(was, is, "{name} of the host is not as it was");
    }
}
