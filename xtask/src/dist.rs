//! `cargo xtask dist`: what is handed to users: the static binary with its
//! checksum, completions and man pages, in `target/dist`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

const SHELLS: [(&str, &str); 3] = [
    ("bash", "coracle.bash"),
    ("zsh", "_coracle"),
    ("fish", "coracle.fish"),
];

/// Builds everything.
pub fn run() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask stands in the repository")?;
    let program = build(root)?;
    let folder = root.join("target/dist");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(folder.join("completions"))?;
    let name = format!(
        "coracle-{}-{}-linux",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    );
    let binary = folder.join(&name);
    fs::copy(&program, &binary)?;
    for (shell, file) in SHELLS {
        let text = output(Command::new(&binary).args(["completions", shell]))?;
        fs::write(folder.join("completions").join(file), text)?;
    }
    output(Command::new(&binary).arg("man").arg(folder.join("man")))?;
    let schema = output(Command::new(&binary).args(["config", "schema"]))?;
    fs::write(folder.join("coracle.schema.json"), schema)?;
    // Written as sha256sum(1) checks it: sha256sum -c FILE.
    let sum = output(Command::new("sha256sum").arg(&name).current_dir(&folder))?;
    fs::write(folder.join(format!("{name}.sha256")), sum)?;
    try_out(&folder, &name)?;
    println!("{}", folder.display());
    Ok(())
}

/// Checks that what was made works as a user would use it: the checksum, a
/// binary without an interpreter that knows its version and says what fails, no
/// empty file.
fn try_out(folder: &Path, name: &str) -> anyhow::Result<()> {
    let sum = format!("{name}.sha256");
    output(
        Command::new("sha256sum")
            .args(["--check", "--quiet", &sum])
            .current_dir(folder),
    )?;
    let headers = output(
        Command::new("readelf")
            .arg("--program-headers")
            .arg(folder.join(name)),
    )?;
    if String::from_utf8_lossy(&headers).contains("INTERP") {
        bail!("{name} needs libraries of the machine");
    }
    let version = output(Command::new(folder.join(name)).arg("--version"))?;
    let version = String::from_utf8(version)?;
    if version.trim() != concat!("coracle ", env!("CARGO_PKG_VERSION")) {
        bail!("{name} says it is {version:?}");
    }
    says_what_fails(&folder.join(name))?;
    for folder in ["completions", "man"].map(|part| folder.join(part)) {
        let mut files = 0;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            files += 1;
            if entry.metadata()?.len() == 0 {
                bail!("{} is empty", entry.path().display());
            }
        }
        if files == 0 {
            bail!("{} holds nothing", folder.display());
        }
    }
    let size = fs::metadata(folder.join(name))?.len();
    println!("{name}: static, {:.1} MB", size as f64 / 1e6);
    Ok(())
}

/// Checks that an error is told where backtraces are asked for: the binary has no
/// tables to make them of.
fn says_what_fails(binary: &Path) -> anyhow::Result<()> {
    let refused = Command::new(binary)
        .args(["template", "/nowhere"])
        .env("RUST_BACKTRACE", "1")
        .output()?;
    let said = String::from_utf8_lossy(&refused.stderr);
    if refused.status.code() != Some(1) || !said.contains("/nowhere") {
        bail!("a missing chart ended with {}: {said:?}", refused.status);
    }
    Ok(())
}

/// Builds the release binary and returns where it is.
pub(crate) fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let text = output(
        Command::new(env!("CARGO"))
            .args(["build", "--release", "--locked", "-p", "coracle"])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(root),
    )?;
    let text = String::from_utf8(text)?;
    text.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "coracle")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .context("cargo named no executable")
}

fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}", output.status);
    }
    Ok(output.stdout)
}
