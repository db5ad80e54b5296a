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
    println!("{}", folder.display());
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
