//! The clusters of this user: what dead ones left behind, what is wrong with
//! the living.

use std::fs;
use std::path::{Path, PathBuf};

use coracle_cluster::pki::Pki;
use coracle_cluster::{ClusterDir, Record};
use coracle_runtime::Delegation;

use super::super::target::Target;
use super::finding::Finding;
use crate::failure::command;
use crate::process::cgroups;
use crate::remedy;

/// Looks at every cluster.
pub fn look(target: &Target) -> Vec<Finding> {
    let clusters: Vec<ClusterDir> = target
        .home
        .clusters()
        .iter()
        .map(|name| target.home.cluster(name))
        .collect();
    let mut findings = vec![leftovers(&clusters)];
    for cluster in &clusters {
        findings.extend(format(cluster));
        findings.extend(gateway(cluster));
        findings.extend(certificates(cluster));
    }
    findings
}

/// Records, sockets and cgroups of clusters whose processes are gone.
fn leftovers(clusters: &[ClusterDir]) -> Finding {
    let mut names = Vec::new();
    let mut groups_left = Vec::new();
    let mut files: Vec<PathBuf> = Vec::new();
    for cluster in clusters {
        if Record::read(cluster).is_some() {
            continue;
        }
        let left: Vec<PathBuf> = fs::read_dir(cluster.run())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| !path.is_dir() && !path.ends_with("init.json"))
            .collect();
        let groups = cgroups::name(cluster);
        let group = Delegation::find(&groups).map(|_| groups);
        if group.is_some() || !left.is_empty() {
            names.push(cluster.name().to_owned());
            groups_left.extend(group);
            files.extend(left);
        }
    }
    if names.is_empty() {
        return Finding::good("leftovers", "none");
    }
    Finding::fair(
        "leftovers",
        format!("of {}, which ended unexpectedly", names.join(", ")),
    )
    .remedy("coracle doctor --fix, or just start it again")
    .mended_by(move || {
        for name in &groups_left {
            if let Some(delegation) = Delegation::find(name) {
                delegation.remove()?;
            }
        }
        for file in &files {
            remove(file)?;
        }
        Ok(())
    })
}

fn remove(file: &Path) -> std::io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn format(cluster: &ClusterDir) -> Option<Finding> {
    let error = cluster.check_version().err()?;
    Some(Finding::bad("data", error).remedy(remedy::NEWER))
}

fn gateway(cluster: &ClusterDir) -> Option<Finding> {
    let record = Record::read(cluster)?;
    if record.gateway.is_some_and(|gateway| gateway.is_alive()) {
        return None;
    }
    Some(
        Finding::fair(
            "gateway",
            format!(
                "that of {} has ended: its ports do not answer",
                cluster.name()
            ),
        )
        .remedy(command("start", cluster.name())),
    )
}

fn certificates(cluster: &ClusterDir) -> Option<Finding> {
    let pki = Pki::at(&cluster.pki());
    let days = ["apiserver", "admin"]
        .iter()
        .filter_map(|name| pki.days_left(name))
        .min()?;
    if days > 30 {
        return None;
    }
    Some(
        Finding::fair(
            "certificates",
            format!("those of {} end in {days} days", cluster.name()),
        )
        .remedy(format!("{} renews them", command("start", cluster.name()))),
    )
}
