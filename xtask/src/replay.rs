//! `cargo xtask replay FOLDER [OPTIONS]`: sends recorded requests to the API
//! server and prints the share of equal answers, area by area.
//!
//! The folder holds recordings (`AREA.jsonl.gz`) and the program that compares
//! (`replay.py`); options go to the latter, such as `--show 5` or `--only ssa`.
//! Area `controllers` is left out: the server runs alone, without controllers.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A server that takes longer to begin is not going to.
const START_MAX: Duration = Duration::from_secs(30);
/// The area that needs controllers.
const LEFT_OUT: &str = "controllers.jsonl.gz";

/// Runs the chore.
pub fn run(arguments: &[String]) -> Result<()> {
    let Some((folder, options)) = arguments.split_first() else {
        bail!("usage: cargo xtask replay FOLDER [OPTIONS]");
    };
    let recordings = recordings(Path::new(folder))?;
    let home = tempfile::tempdir()?;
    let kubeconfig = home.path().join("kubeconfig");
    let server = Server::start(&kubeconfig)?;
    let status = Command::new("python3")
        .arg(Path::new(folder).join("replay.py"))
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .args(options)
        .args(recordings)
        .status()
        .context("python3 is needed to compare")?;
    drop(server);
    // The comparison itself says what differs; its code is not a failure here.
    ensure!(status.code().is_some(), "the comparison was ended");
    Ok(())
}

fn recordings(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".jsonl.gz") && name != LEFT_OUT
        })
        .collect();
    ensure!(!found.is_empty(), "{} has no recordings", folder.display());
    found.sort();
    Ok(found)
}

/// The example `serve`; it ends with this.
struct Server(Child);

impl Server {
    fn start(kubeconfig: &Path) -> Result<Server> {
        // Built first, so that waiting for the server is not waiting for the compiler.
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "coracle-apiserver"]);
        let built = build.args(["--example", "serve"]).status()?;
        ensure!(built.success(), "the server does not build");
        let mut server = Server(Command::new(program()?).arg(kubeconfig).spawn()?);
        let since = Instant::now();
        while std::fs::read(kubeconfig).unwrap_or_default().is_empty() {
            let ended = server.0.try_wait()?.is_some();
            ensure!(
                !ended && since.elapsed() < START_MAX,
                "the server does not start"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }
}

/// Where cargo puts the example: beside this program.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program stands in a folder")?;
    Ok(folder.join("examples/serve"))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
